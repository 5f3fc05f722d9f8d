/**
 * Each choice of one trace per thread in which every value read is initial or written by someone, and no more atomic
 * read-modify-writes take a value than there are writes of it: each of those is overwritten at once, in memory's order.
 *
 * Threads are decided in order, and what cannot be any more is known at once (arc consistency): a choice rules out the
 * other traces of its thread, with them the values that only those would have written, the traces that need one of
 * these values, and so on. So a chain of threads that hand a value on is followed to its end in one step.
 */
import { Kind } from '../models/execution.ts';
import type { LitmusTest } from './test-file.ts';
import type { Trace } from './thread-run.ts';
import type { Work } from './work.ts';

interface Candidate<T extends Trace> {
  readonly thread: number;
  readonly trace: T;
  /** What the trace reads that is not initial, writes, and takes by atomic read-modify-write, as numbers of cells. */
  readonly needs: readonly number[];
  readonly gives: readonly number[];
  readonly takes: readonly number[];
  /** `gives`, each once. */
  readonly kinds: readonly number[];
  isPossible: boolean;
}

/** The traces of each thread that are possible yet: one, where it is decided. */
export type Possible<T extends Trace> = (thread: number) => readonly T[];

export interface CombinationOptions<T extends Trace> {
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
  visit: (chosen: readonly T[]) => void,
  options: CombinationOptions<T> = {},
): void {
  new Combinations(test, byThread, work, visit, options).run();
}

class Combinations<T extends Trace> {
  readonly #test: LitmusTest;
  readonly #work: Work;
  readonly #visit: (chosen: readonly T[]) => void;
  readonly #options: CombinationOptions<T>;
  readonly #cells = new Numbering();
  readonly #initial = new Set<number>();
  readonly #threads: readonly (readonly Candidate<T>[])[];
  /** By cell: the candidates that need it. */
  readonly #needing: readonly (readonly Candidate<T>[])[];
  /** By cell: how many possible candidates write it; one more where it is initial. */
  readonly #support: Int32Array;
  /** How often each cell is written, and taken, by what is chosen so far. */
  readonly #given: Int32Array;
  readonly #taken: Int32Array;
  /** For each thread, how often that one and those after it can write each cell, at most. */
  readonly #supplies: readonly Int32Array[];
  /** How many candidates of each thread are possible. */
  readonly #counts: number[];
  /** Those that have been ruled out, in order. */
  readonly #ruledOut: Candidate<T>[] = [];
  readonly #chosen: T[] = [];

  constructor(
    test: LitmusTest,
    byThread: readonly (readonly T[])[],
    work: Work,
    visit: (chosen: readonly T[]) => void,
    options: CombinationOptions<T>,
  ) {
    this.#test = test;
    this.#work = work;
    this.#visit = visit;
    this.#options = options;
    this.#threads = byThread.map((traces, thread) => traces.map((trace) => this.#candidate(trace, thread)));
    this.#counts = this.#threads.map((candidates) => candidates.length);
    const size = this.#cells.size;
    this.#support = new Int32Array(size);
    this.#given = new Int32Array(size);
    this.#taken = new Int32Array(size);
    const needing: Candidate<T>[][] = Array.from({ length: size }, () => []);
    for (const candidate of this.#threads.flat()) {
      for (const cell of candidate.kinds) this.#support[cell]!++;
      for (const cell of candidate.needs) needing[cell]!.push(candidate);
    }
    for (const cell of this.#initial) {
      this.#support[cell]!++;
      this.#given[cell]!++;
    }
    this.#needing = needing;
    this.#supplies = suppliesOf(this.#threads, size);
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
        if (event.rmw >= 0 && event.rmw === at - 1) takes.push(this.#cells.of(trace.events[at - 1]!));
      } else if (event.value === this.#test.memory.initialCell(event.address)) this.#initial.add(cell);
      else needs.add(cell);
    });
    return { thread, trace, needs: [...needs], gives, takes, kinds: [...new Set(gives)], isPossible: true };
  }

  run(): void {
    const unsupported = this.#support.reduce<number[]>((cells, count, cell) => {
      if (count === 0) cells.push(cell);
      return cells;
    }, []);
    if (this.#ruleOutNeeding(unsupported)) this.#choose(0, []);
  }

  #choose(thread: number, takes: readonly number[]): void {
    if (thread === this.#threads.length) {
      this.#visit(this.#chosen);
      return;
    }
    const supply = this.#supplies[thread + 1]!;
    for (const candidate of this.#threads[thread]!) {
      if (!candidate.isPossible) continue;
      this.#work.step();
      for (const cell of candidate.gives) this.#given[cell]!++;
      for (const cell of candidate.takes) this.#taken[cell]!++;
      const allTakes = candidate.takes.length === 0 ? takes : [...takes, ...candidate.takes];
      const before = this.#ruledOut.length;
      const fits = allTakes.every((cell) => this.#taken[cell]! <= this.#given[cell]! + supply[cell]!);
      if (fits && this.#ruleOutOthers(candidate) && this.#isPromising()) {
        this.#chosen.push(candidate.trace);
        this.#choose(thread + 1, allTakes);
        this.#chosen.pop();
      }
      this.#restore(before);
      for (const cell of candidate.gives) this.#given[cell]!--;
      for (const cell of candidate.takes) this.#taken[cell]!--;
    }
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

  #ruleOutNeeding(unsupported: number[]): boolean {
    for (let cell = unsupported.pop(); cell !== undefined; cell = unsupported.pop()) {
      for (const candidate of this.#needing[cell]!) {
        if (candidate.isPossible) this.#ruleOut(candidate, unsupported);
        if (this.#counts[candidate.thread] === 0) return false;
      }
    }
    return true;
  }

  #ruleOut(candidate: Candidate<T>, unsupported: number[]): void {
    candidate.isPossible = false;
    this.#counts[candidate.thread]!--;
    this.#ruledOut.push(candidate);
    for (const cell of candidate.kinds) if (--this.#support[cell]! === 0) unsupported.push(cell);
  }

  /** All that has been ruled out since there were `before`. */
  #restore(before: number): void {
    while (this.#ruledOut.length > before) {
      const candidate = this.#ruledOut.pop()!;
      candidate.isPossible = true;
      this.#counts[candidate.thread]!++;
      for (const cell of candidate.kinds) this.#support[cell]!++;
    }
  }
}

function suppliesOf(threads: readonly (readonly Candidate<Trace>[])[], cells: number): Int32Array[] {
  const supplies = [new Int32Array(cells)];
  for (let thread = threads.length - 1; thread >= 0; thread--) {
    const most = new Map<number, number>();
    for (const { gives } of threads[thread]!) {
      for (const cell of gives) {
        const count = gives.reduce((sum, given) => sum + (given === cell ? 1 : 0), 0);
        most.set(cell, Math.max(most.get(cell) ?? 0, count));
      }
    }
    const supply = supplies[0]!.slice();
    for (const [cell, count] of most) supply[cell]! += count;
    supplies.unshift(supply);
  }
  return supplies;
}
