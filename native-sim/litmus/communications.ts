/**
 * How the accesses to one location may have communicated: every order of its writes (coherence), and, under each, every
 * choice of the write that each read returns. What breaks coherence or the atomicity of a read-modify-write is left
 * out as soon as the write that breaks it is placed, which is what keeps the number of candidate executions small; under
 * JavaScript, whose ordinary accesses have no coherence, only what a read takes from its own thread's future is.
 */

import { LitmusLimitExceeded } from './errors.ts';
import type { Work } from './work.ts';

const waysPerLocation = 200_000;

export interface Access {
  /** Its number among the accesses to the location, thread after thread and in program order. */
  readonly event: number;
  readonly thread: number;
  readonly write: boolean;
  readonly value: bigint;
  /** For the write of a read-modify-write: the number of its read. -1: none. */
  readonly rmw: number;
}

export interface Communication {
  /** The writes, oldest first. */
  readonly order: readonly number[];
  /** Pairs of a write and a read; a read that takes the initial value has none. */
  readonly readsFrom: readonly (readonly [number, number])[];
  readonly finalValue: bigint;
}

/** `accesses` holds the accesses of each thread in program order. */
export function communications(
  accesses: readonly Access[],
  initial: bigint,
  coherent: boolean,
  work: Work,
): Communication[] {
  const threads = [...new Set(accesses.map((access) => access.thread))];
  const sequences = threads.map((thread) => accesses.filter((access) => access.thread === thread));
  return new Enumeration(sequences, initial, coherent, work).all();
}

class Enumeration {
  readonly #sequences: readonly (readonly Access[])[];
  readonly #initial: bigint;
  readonly #coherent: boolean;
  readonly #work: Work;
  readonly #found: Communication[] = [];
  /** The writes placed so far, oldest first. */
  readonly #order: Access[] = [];

  constructor(sequences: readonly (readonly Access[])[], initial: bigint, coherent: boolean, work: Work) {
    this.#sequences = sequences;
    this.#initial = initial;
    this.#coherent = coherent;
    this.#work = work;
  }

  all(): Communication[] {
    this.#place(this.#sequences.map(() => 0));
    return this.#found;
  }

  /** Place one more write, the next of some thread; `next` holds how far into its accesses each thread has come. */
  #place(next: number[]): void {
    let all = true;
    for (let thread = 0; thread < next.length; thread++) {
      const sequence = this.#sequences[thread]!;
      const from = next[thread]!;
      let at = from;
      while (at < sequence.length && !sequence[at]!.write) at++;
      if (at === sequence.length) continue;
      all = false;
      this.#work.step();
      if (this.#coherent && !this.#mayPlace(sequence, from, at)) continue;
      next[thread] = at + 1;
      this.#order.push(sequence[at]!);
      this.#place(next);
      this.#order.pop();
      next[thread] = from;
    }
    if (all) this.#chooseReads();
  }

  /** The value at a position in coherence order; 0 is the initial one. */
  #valueAt(position: number): bigint {
    return position === 0 ? this.#initial : this.#order[position - 1]!.value;
  }

  /** Can the reads in `sequence[from, at)` have returned writes that are placed already, and in that order? */
  #mayPlace(sequence: readonly Access[], from: number, at: number): boolean {
    let position = from === 0 ? 0 : this.#order.indexOf(sequence[from - 1]!) + 1;
    for (let read = from; read < at; read++) {
      while (position <= this.#order.length && this.#valueAt(position) !== sequence[read]!.value) position++;
      if (position > this.#order.length) return false;
    }
    const { rmw } = sequence[at]!;
    const before = sequence[at - 1];
    // The write of a read-modify-write that follows its read at once follows, in memory, what that returned.
    return rmw < 0 || before?.event !== rmw || this.#valueAt(this.#order.length) === before.value;
  }

  #chooseReads(): void {
    const order = this.#order;
    const positionOf = new Map<number, number>();
    for (let at = 0; at < order.length; at++) positionOf.set(order[at]!.event, at + 1);
    const readsFrom: [number, number][] = [];
    const flat = this.#sequences.flat();

    const choose = (at: number, oldest: number): void => {
      this.#work.step();
      const access = flat[at];
      if (access === undefined) {
        this.#add(readsFrom);
        return;
      }
      const begins = at === 0 || flat[at - 1]!.thread !== access.thread;
      const least = this.#coherent && !begins ? oldest : 0;
      if (access.write) {
        const position = positionOf.get(access.event)!;
        if (this.#coherent && position <= least) return;
        if (access.rmw >= 0 && !this.#isAtomic(access, positionOf.get(access.rmw)!, position)) return;
        choose(at + 1, position);
        return;
      }
      for (let position = least; position <= order.length; position++) {
        const source = position === 0 ? undefined : order[position - 1]!;
        if ((source?.value ?? this.#initial) !== access.value) continue;
        if (source !== undefined && source.thread === access.thread && source.event > access.event) continue;
        positionOf.set(access.event, position);
        if (source !== undefined) readsFrom.push([source.event, access.event]);
        choose(at + 1, position);
        if (source !== undefined) readsFrom.pop();
      }
    };
    choose(0, 0);
  }

  #add(readsFrom: readonly (readonly [number, number])[]): void {
    if (this.#found.length === waysPerLocation) {
      throw new LitmusLimitExceeded('ways to order one location', waysPerLocation);
    }
    this.#found.push({
      order: this.#order.map((write) => write.event),
      readsFrom: readsFrom.slice(),
      finalValue: this.#valueAt(this.#order.length),
    });
  }

  /**
   * No write of another thread lies between what the read took and the write. A model may let off a pair that has one of
   * its own thread in between, so such a pair is left to the model.
   */
  #isAtomic(write: Access, from: number, to: number): boolean {
    const between = this.#order.slice(from, to - 1);
    return between.every((w) => w.thread !== write.thread) ? between.length === 0 : true;
  }
}
