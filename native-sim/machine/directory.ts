/** The directory: which cores have a line, as the homes of lines know it. */
import { type Caches, State } from './caches.ts';
import type { Interconnect } from './interconnect.ts';

export class Directory {
  /** By line: the core that has it modified, exclusive or owned, or -1; since when; the core that had it last. */
  readonly owner: Int16Array;
  readonly ownedSince: Float64Array;
  readonly near: Int16Array;
  readonly #network: Interconnect;
  /** By line: a bit for each core that shares it. */
  readonly #sharers: Uint32Array;
  readonly #sharerWords: number;

  constructor(cores: number, lines: number, network: Interconnect) {
    this.owner = new Int16Array(lines).fill(-1);
    this.ownedSince = new Float64Array(lines).fill(Number.NEGATIVE_INFINITY);
    this.near = new Int16Array(lines);
    this.#network = network;
    this.#sharerWords = (cores + 31) >> 5;
    this.#sharers = new Uint32Array(lines * this.#sharerWords);
  }

  share(core: number, line: number): void {
    this.#sharers[line * this.#sharerWords + (core >> 5)]! |= 1 << (core & 31);
  }

  /** The core has the line for itself, since `time`. */
  own(core: number, line: number, time: number): void {
    this.owner[line] = core;
    this.ownedSince[line] = time;
  }

  /** Nobody shares the line any more. */
  clearSharers(line: number): void {
    const sharers = line * this.#sharerWords;
    for (let word = 0; word < this.#sharerWords; word++) this.#sharers[sharers + word] = 0;
  }

  /** The core has the line no more. */
  forget(core: number, line: number): void {
    if (this.owner[line] === core) this.owner[line] = -1;
    this.#sharers[line * this.#sharerWords + (core >> 5)]! &= ~(1 << (core & 31));
  }

  /** The first core from `from` on that shares the line, or -1. */
  nextSharer(line: number, from: number): number {
    const base = line * this.#sharerWords;
    // The bits of the first word below `from` do not count.
    let mask = -1 << (from & 31);
    for (let word = from >> 5; word < this.#sharerWords; word++) {
      const bits = this.#sharers[base + word]! & mask;
      if (bits !== 0) return word * 32 + 31 - Math.clz32(bits & -bits);
      mask = -1;
    }
    return -1;
  }

  /** Of the cores that share the line, the one that is nearest to `core` and not that; or -1. */
  nearestSharer(core: number, line: number): number {
    const base = line * this.#sharerWords;
    let nearest = -1;
    let least = Number.POSITIVE_INFINITY;
    for (let word = 0; word < this.#sharerWords && least > 0; word++) {
      for (let bits = this.#sharers[base + word]!; bits !== 0; bits &= bits - 1) {
        const sharer = word * 32 + 31 - Math.clz32(bits & -bits);
        if (sharer === core) continue;
        const level = this.#network.level(core, sharer);
        if (level >= least) continue;
        least = level;
        nearest = sharer;
        if (level === 0) break;
      }
    }
    return nearest;
  }

  /** What does not hold between caches and directory, or null. */
  inconsistency(caches: Caches, cores: number): string | null {
    for (let line = 0; line < caches.lines; line++) {
      let writers = 0;
      let readers = 0;
      for (let core = 0; core < cores; core++) {
        const state = caches.state(core, line);
        if (state === State.modified || state === State.exclusive) writers++;
        else if (state !== State.invalid) readers++;
        const isKnown = this.owner[line] === core || this.nextSharer(line, core) === core;
        if (state !== State.invalid && !isKnown) return `line ${line}: its home does not know of core ${core}`;
      }
      if (writers > 1 || (writers === 1 && readers > 0))
        return `line ${line}: ${writers} owners and ${readers} readers`;
    }
    return null;
  }
}
