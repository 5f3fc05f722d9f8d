/**
 * Each choice of one trace per thread in which every value read is initial or written by someone, and no more atomic
 * read-modify-writes take a value than there are writes of it: each of those is overwritten at once, in memory's order.
 *
 * What cannot be any more is known at once (arc consistency): a choice rules out the other traces of its thread, with them
 * the values that only those would have written, the traces of other threads that need one of these values, and so on. So a
 * chain of threads that hand a value on is followed to its end in one step. The thread that has the fewest traces left is
 * decided next.
 */
import { Kind } from '../models/execution.ts';
import type { LitmusTest } from './test-file.ts';
import type { Trace } from './thread-run.ts';
import type { Work } from './work.ts';

interface Candidate<T extends Trace> {
  readonly thread: number;
  readonly trace: T;
  /** What the trace reads that is not initial, nor written by itself, what it writes, and what it takes by atomic read-modify-write, as numbers of cells. */
  readonly needs: readonly number[];
  readonly gives: readonly number[];
  readonly takes: readonly number[];
  /** `gives`, each once. */
  readonly kinds: readonly number[];
  isPossible: boolean;
}

/** The traces of each thread that are possible yet: one, where it is decided. */
export type Possible<T extends Trace> = (thread: number) => readonly T[];

/** `share`: what part of the whole search it is to go through the executions of this combination. */
type VisitCombination<T extends Trace> = (chosen: readonly T[], share: number) => void;

export interface CombinationOptions<T extends Trace> {
  /**
   * More read-modify-writes may take a value than there are writes of it: JavaScript orders ordinary writes and atomic ones only
   * where one happens before the other.
   */
  readonly takesAreFree?: boolean;
  /** False: nothing of interest can come of what is possible yet. */
  readonly isPromising?: (possible: Possible<T>) => boolean;
}

/** Cells, "this value at this address", by number. */
class Numbering {
  readonly #numbers = new Map<string, number>();

  of(event: { readonly address: bigint; readonly value: bigint }): number {
    const key = `${event.address}=${event.value}`;
    let number = this.#numbers.get(key);
    if (number === undefined) this.#numbers.set(key, (number = this.#numbers.size));
    return number;
  }

  get size(): number {
    return this.#numbers.size;
  }
}

export function forEachCombination<T extends Trace>(
  test: LitmusTest,
  byThread: readonly (readonly T[])[],
  work: Work,
  visit: VisitCombination<T>,
  options: CombinationOptions<T> = {},
): void {
  new Combinations(test, byThread, work, visit, options).run();
}

class Combinations<T extends Trace> {
  readonly #test: LitmusTest;
  readonly #work: Work;
  readonly #visit: VisitCombination<T>;
  readonly #options: CombinationOptions<T>;
  readonly #cells = new Numbering();
  readonly #initial = new Set<number>();
  readonly #threads: readonly (readonly Candidate<T>[])[];
  /** By cell: the candidates that need it. */
  readonly #needing: readonly (readonly Candidate<T>[])[];
  /** By thread and cell: how many possible candidates write it. */
  readonly #support: readonly Int32Array[];
  /** By cell: how many threads have such a candidate. */
  readonly #givers: Int32Array;
  /** How often each cell is written, and taken, by what is chosen so far. */
  readonly #given: Int32Array;
  readonly #taken: Int32Array;
  /** By thread and cell: how often the thread can write it, at most. */
  readonly #most: readonly Int32Array[];
  /** The same of all threads that are not decided. */
  readonly #supply: Int32Array;
  /** How many candidates of each thread are possible. */
  readonly #counts: number[];
  /** Those that have been ruled out, in order. */
  readonly #ruledOut: Candidate<T>[] = [];
  /** By thread. */
  readonly #chosen: T[] = [];
  readonly #isDecided: boolean[];

  constructor(
    test: LitmusTest,
    byThread: readonly (readonly T[])[],
    work: Work,
    visit: VisitCombination<T>,
    options: CombinationOptions<T>,
  ) {
    this.#test = test;
    this.#work = work;
    this.#visit = visit;
    this.#options = options;
    this.#threads = byThread.map((traces, thread) => traces.map((trace) => this.#candidate(trace, thread)));
    this.#counts = this.#threads.map((candidates) => candidates.length);
    this.#isDecided = this.#threads.map(() => false);
    const size = this.#cells.size;
    this.#support = this.#threads.map(() => new Int32Array(size));
    this.#most = this.#threads.map(() => new Int32Array(size));
    this.#givers = new Int32Array(size);
    this.#given = new Int32Array(size);
    this.#taken = new Int32Array(size);
    this.#supply = new Int32Array(size);
    const needing: Candidate<T>[][] = Array.from({ length: size }, () => []);
    for (const candidate of this.#threads.flat()) {
      this.#addSupport(candidate);
      this.#raiseMost(candidate);
      for (const cell of candidate.needs) needing[cell]!.push(candidate);
    }
    for (let thread = 0; thread < this.#threads.length; thread++) this.#decide(thread, false);
    for (const cell of this.#initial) this.#given[cell]!++;
    this.#needing = needing;
  }

  #raiseMost({ thread, gives }: Candidate<T>): void {
    const most = this.#most[thread]!;
    const counts = new Map<number, number>();
    for (const cell of gives) counts.set(cell, (counts.get(cell) ?? 0) + 1);
    for (const [cell, count] of counts) most[cell] = Math.max(most[cell]!, count);
  }

  #candidate(trace: T, thread: number): Candidate<T> {
    const needs = new Set<number>();
    const gives: number[] = [];
    const takes: number[] = [];
    trace.events.forEach((event, at) => {
      if (event.kind === Kind.fence) return;
      const cell = this.#cells.of(event);
      if (event.kind === Kind.write) {
        gives.push(cell);
        // With an access in between, the pair may have a write of its own thread in between too.
        const isPair = event.rmw >= 0 && event.rmw === at - 1;
        if (isPair && this.#options.takesAreFree !== true) takes.push(this.#cells.of(trace.events[at - 1]!));
      } else if (event.value === this.#test.memory.initialCell(event.address)) this.#initial.add(cell);
      else needs.add(cell);
    });
    for (const cell of gives) needs.delete(cell);
    return { thread, trace, needs: [...needs], gives, takes, kinds: [...new Set(gives)], isPossible: true };
  }

  run(): void {
    const isPossible = this.#ruleOutNeeding(Array.from(this.#givers.keys()));
    this.#work.beginSearch();
    if (isPossible) this.#choose(0, [], 1);
  }

  #choose(decided: number, takes: readonly number[], share: number): void {
    if (decided === this.#threads.length) {
      this.#visit(this.#chosen, share);
      return;
    }
    const thread = this.#next();
    const part = share / this.#counts[thread]!;
    this.#decide(thread, true);
    for (const candidate of this.#threads[thread]!) {
      if (!candidate.isPossible) continue;
      this.#work.step();
      for (const cell of candidate.gives) this.#given[cell]!++;
      for (const cell of candidate.takes) this.#taken[cell]!++;
      const allTakes = candidate.takes.length === 0 ? takes : [...takes, ...candidate.takes];
      const before = this.#ruledOut.length;
      const fits = allTakes.every((cell) => this.#taken[cell]! <= this.#given[cell]! + this.#supply[cell]!);
      if (fits && this.#ruleOutOthers(candidate) && this.#isPromising()) {
        this.#chosen[thread] = candidate.trace;
        this.#choose(decided + 1, allTakes, part);
      } else this.#work.searched(part);
      this.#restore(before);
      for (const cell of candidate.gives) this.#given[cell]!--;
      for (const cell of candidate.takes) this.#taken[cell]!--;
    }
    this.#decide(thread, false);
  }

  /** The thread to decide: the first of those with the fewest possible traces. */
  #next(): number {
    let next = -1;
    for (let thread = 0; thread < this.#threads.length; thread++) {
      if (this.#isDecided[thread]) continue;
      if (next < 0 || this.#counts[thread]! < this.#counts[next]!) next = thread;
    }
    return next;
  }

  #decide(thread: number, isDecided: boolean): void {
    this.#isDecided[thread] = isDecided;
    const sign = isDecided ? -1 : 1;
    const most = this.#most[thread]!;
    for (let cell = 0; cell < most.length; cell++) this.#supply[cell]! += sign * most[cell]!;
  }

  #isPromising(): boolean {
    const { isPromising } = this.#options;
    if (isPromising === undefined) return true;
    return isPromising((thread) => this.#threads[thread]!.filter((one) => one.isPossible).map((one) => one.trace));
  }

  /** Only `chosen` is left of its thread. False: nothing is left of some thread. */
  #ruleOutOthers(chosen: Candidate<T>): boolean {
    const unsupported: number[] = [];
    for (const other of this.#threads[chosen.thread]!) {
      if (other !== chosen && other.isPossible) this.#ruleOut(other, unsupported);
    }
    return this.#ruleOutNeeding(unsupported);
  }

  /** Rules out all that need one of `cells` and can no longer have it from another thread, and what follows from that. */
  #ruleOutNeeding(cells: number[]): boolean {
    for (let cell = cells.pop(); cell !== undefined; cell = cells.pop()) {
      for (const candidate of this.#needing[cell]!) {
        const { thread, isPossible } = candidate;
        const others = this.#givers[cell]! - (this.#support[thread]![cell]! > 0 ? 1 : 0);
        if (isPossible && others === 0) this.#ruleOut(candidate, cells);
        if (this.#counts[thread] === 0) return false;
      }
    }
    return true;
  }

  #ruleOut(candidate: Candidate<T>, unsupported: number[]): void {
    candidate.isPossible = false;
    this.#counts[candidate.thread]!--;
    this.#ruledOut.push(candidate);
    const support = this.#support[candidate.thread]!;
    for (const cell of candidate.kinds) {
      if (--support[cell]! > 0) continue;
      this.#givers[cell]!--;
      unsupported.push(cell);
    }
  }

  #addSupport({ thread, kinds }: Candidate<T>): void {
    const support = this.#support[thread]!;
    for (const cell of kinds) if (support[cell]!++ === 0) this.#givers[cell]!++;
  }

  /** All that has been ruled out since there were `before`. */
  #restore(before: number): void {
    while (this.#ruledOut.length > before) {
      const candidate = this.#ruledOut.pop()!;
      candidate.isPossible = true;
      this.#counts[candidate.thread]!++;
      this.#addSupport(candidate);
    }
  }
}
