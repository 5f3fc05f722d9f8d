/**
 * Private caches: in which state each core has each line, and which lines it has room for. One byte a core and line: the
 * state, and whether the line is in L1 too; L2 contains L1. A full set replaces its places in turn.
 */
import type { CacheSize, Profile } from './profile.ts';

export const State = { invalid: 0, shared: 1, exclusive: 2, modified: 3, owned: 4, forward: 5 } as const;
const STATE = 7;
const IN_L1 = 8;

/** Words of a line: 64 bytes. */
export const LINE_WORDS = 16;
export const LINE_SHIFT = 4;

/** Sets of one level of one core, which could hold more lines than they have room for. */
class Sets {
  readonly #lines: Int32Array;
  readonly #next: Uint8Array;
  readonly #sets: number;
  readonly #ways: number;

  constructor({ lines, ways }: CacheSize) {
    this.#sets = lines / ways;
    this.#ways = ways;
    this.#lines = new Int32Array(lines).fill(-1);
    this.#next = new Uint8Array(this.#sets);
  }

  /** Puts a line in and returns the one that has to go, or -1. A place whose line is gone (`isGone`) is taken first. */
  add(line: number, isGone: (line: number) => boolean): number {
    const set = line % this.#sets;
    const base = set * this.#ways;
    const lines = this.#lines;
    let way = -1;
    for (let at = 0; at < this.#ways; at++) {
      const other = lines[base + at]!;
      if (other === line) return -1;
      if (way < 0 && (other < 0 || isGone(other))) way = at;
    }
    if (way >= 0) {
      lines[base + way] = line;
      return -1;
    }
    way = this.#next[set]!;
    const victim = lines[base + way]!;
    lines[base + way] = line;
    this.#next[set] = (way + 1) % this.#ways;
    return victim;
  }
}

/** Null where memory has so few lines that no set can overflow: then there is nothing to keep account of. */
function setsOf(size: CacheSize, cores: number, lines: number): readonly Sets[] | null {
  if (Math.ceil(lines / (size.lines / size.ways)) <= size.ways) return null;
  return Array.from({ length: cores }, () => new Sets(size));
}

export class Caches {
  readonly lines: number;
  readonly #states: Uint8Array;
  readonly #l1: readonly Sets[] | null;
  readonly #l2: readonly Sets[] | null;

  constructor(profile: Profile, cores: number, lines: number) {
    this.lines = lines;
    this.#states = new Uint8Array(cores * lines);
    this.#l1 = setsOf(profile.l1, cores, lines);
    this.#l2 = setsOf(profile.l2, cores, lines);
  }

  /** 0 where the core does not have the line. */
  state(core: number, line: number): number {
    return this.#states[core * this.lines + line]! & STATE;
  }

  /** Another state for a line that the core has. */
  change(core: number, line: number, state: number): void {
    const at = core * this.lines + line;
    this.#states[at] = state === State.invalid ? State.invalid : (this.#states[at]! & IN_L1) | state;
  }

  isInL1(core: number, line: number): boolean {
    return (this.#states[core * this.lines + line]! & IN_L1) !== 0;
  }

  /** A line arrives. Returns a line that has to leave the core, or -1. */
  fill(core: number, line: number, state: number): number {
    const at = core * this.lines + line;
    const isNew = (this.#states[at]! & STATE) === State.invalid;
    this.#states[at] = (this.#states[at]! & IN_L1) | state;
    const victim = isNew && this.#l2 !== null ? this.#l2[core]!.add(line, (old) => this.state(core, old) === 0) : -1;
    this.promote(core, line);
    return victim;
  }

  /** A line that L2 has comes into L1. */
  promote(core: number, line: number): void {
    const at = core * this.lines + line;
    if ((this.#states[at]! & IN_L1) !== 0) return;
    this.#states[at] = this.#states[at]! | IN_L1;
    if (this.#l1 === null) return;
    const victim = this.#l1[core]!.add(line, (old) => !this.isInL1(core, old));
    if (victim >= 0) this.#states[core * this.lines + victim]! &= ~IN_L1;
  }
}
