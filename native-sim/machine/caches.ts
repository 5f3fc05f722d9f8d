/**
 * Private caches: in which state each core has each line, and which lines it has room for. One byte a core and line: the
 * state, and whether the line is in L1 too; L2 contains L1. Lines are replaced in the order in which they came.
 */
import type { CacheSize, Profile } from './profile.ts';

export const State = { invalid: 0, shared: 1, exclusive: 2, modified: 3, owned: 4, forward: 5 } as const;
const STATE = 7;
const IN_L1 = 8;

/** Words of a line: 64 bytes. */
export const LINE_WORDS = 16;
export const LINE_SHIFT = 4;

/** Sets of one level of one core. */
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

  /** Puts a line in and returns the one that has to go, or -1; `keep` may not go. */
  add(line: number, keep: number): number {
    const set = line % this.#sets;
    const base = set * this.#ways;
    let way = this.#next[set]!;
    if (this.#lines[base + way] === keep && this.#ways > 1) way = (way + 1) % this.#ways;
    const victim = this.#lines[base + way]!;
    this.#lines[base + way] = line;
    this.#next[set] = (way + 1) % this.#ways;
    return victim === keep ? -1 : victim;
  }
}

export class Caches {
  readonly lines: number;
  readonly #states: Uint8Array;
  readonly #l1: Sets[];
  readonly #l2: Sets[];

  constructor(profile: Profile, cores: number, lines: number) {
    this.lines = lines;
    this.#states = new Uint8Array(cores * lines);
    this.#l1 = Array.from({ length: cores }, () => new Sets(profile.l1));
    this.#l2 = Array.from({ length: cores }, () => new Sets(profile.l2));
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
  fill(core: number, line: number, state: number, keep: number): number {
    const at = core * this.lines + line;
    const isNew = (this.#states[at]! & STATE) === State.invalid;
    this.#states[at] = (this.#states[at]! & IN_L1) | state;
    const victim = isNew ? this.#l2[core]!.add(line, keep) : -1;
    this.promote(core, line);
    return victim === line || victim < 0 || this.state(core, victim) === State.invalid ? -1 : victim;
  }

  /** A line that L2 has comes into L1. */
  promote(core: number, line: number): void {
    const at = core * this.lines + line;
    if ((this.#states[at]! & IN_L1) !== 0) return;
    this.#states[at] = this.#states[at]! | IN_L1;
    const victim = this.#l1[core]!.add(line, -1);
    if (victim >= 0 && victim !== line)
      this.#states[core * this.lines + victim] = this.#states[core * this.lines + victim]! & ~IN_L1;
  }
}
