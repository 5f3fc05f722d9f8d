/**
 * The verdict on a litmus test, the slow way: whatever each read might return, whatever order the writes of a location might
 * have, each combination laid out as one complete execution and put to the model. Nothing is left out because of what it
 * would lead to, nothing is kept from one candidate to the next.
 */

import { finalRegister } from '../../../../native-sim/litmus/candidates.ts';
import { shownLocations } from '../../../../native-sim/litmus/check.ts';
import { type FinalLocation, holds } from '../../../../native-sim/litmus/condition.ts';
import type { Dialect } from '../../../../native-sim/litmus/dialect.ts';
import { finerCells } from '../../../../native-sim/litmus/memory-map.ts';
import type { LitmusTest } from '../../../../native-sim/litmus/test-file.ts';
import {
  infeasible,
  type Oracle,
  strayed,
  ThreadRun,
  type TraceEvent,
} from '../../../../native-sim/litmus/thread-run.ts';
import { isCircular } from '../../../../native-sim/litmus/unknown.ts';
import { Execution, Kind, type Model } from '../../../../native-sim/models/execution.ts';

export interface Outcome {
  /** How many executions end in each state, which is the values of all that is shown. */
  readonly states: ReadonlyMap<string, number>;
  readonly positive: number;
  readonly negative: number;
}

/** Undefined: there are more than `limit` candidates. */
export function naiveOutcome(test: LitmusTest, model: Model, dialect: Dialect, limit: number): Outcome | undefined {
  for (;;) {
    try {
      return new Enumeration(test, model, dialect, limit).outcome();
    } catch (thrown) {
      if (thrown === tooMany) return undefined;
      if (thrown !== finerCells) throw thrown;
    }
  }
}

const tooMany = Symbol('too many candidates');

class Enumeration {
  readonly #test: LitmusTest;
  readonly #model: Model;
  readonly #dialect: Dialect;
  readonly #shown: readonly FinalLocation[];
  readonly #x = new Execution();
  #left: number;
  /** What each location may hold, as far as is known. */
  readonly #values = new Map<bigint, bigint[]>();
  readonly #states = new Map<string, number>();
  #positive = 0;
  #negative = 0;

  constructor(test: LitmusTest, model: Model, dialect: Dialect, limit: number) {
    this.#test = test;
    this.#model = model;
    this.#dialect = dialect;
    this.#shown = shownLocations(test);
    this.#left = limit;
  }

  outcome(): Outcome {
    const runs = this.#allRuns();
    const choose = (thread: number, chosen: ThreadRun[]): void => {
      if (thread === runs.length) this.#communicate(chosen);
      else for (const run of runs[thread]!) choose(thread + 1, [...chosen, run]);
    };
    choose(0, []);
    return { states: this.#states, positive: this.#positive, negative: this.#negative };
  }

  /**
   * Every run of every thread. A location may hold what anybody writes who may read what locations may hold, and, where the
   * model lets values justify themselves, small numbers.
   */
  #allRuns(): ThreadRun[][] {
    const { memory } = this.#test;
    if (this.#dialect.thinAir) {
      for (const name of memory.names()) {
        const address = memory.address(name);
        this.#values.set(address, [...new Set([memory.initialCell(address), 0n, 1n, 2n, 3n])]);
      }
    }
    let writes = 0;
    for (let round = 0; ; round++) {
      const runs = this.#test.threads.map((_, thread) => this.#runsOf(thread));
      writes = runs.reduce((sum, of) => sum + Math.max(0, ...of.map((run) => run.events.length)), 0);
      const isNew = this.#addWritten(runs.flat());
      if (!isNew || round > writes) return runs;
    }
  }

  #addWritten(runs: readonly ThreadRun[]): boolean {
    let isNew = false;
    for (const { kind, address, value } of runs.flatMap((run) => run.events)) {
      if (kind !== Kind.write || this.#valuesAt(address).includes(value)) continue;
      this.#values.set(address, [...this.#valuesAt(address), value]);
      isNew = true;
    }
    return isNew;
  }

  #valuesAt(address: bigint): readonly bigint[] {
    return this.#values.get(address) ?? [this.#test.memory.initialCell(address)];
  }

  #runsOf(thread: number): ThreadRun[] {
    const runs: ThreadRun[] = [];
    const program = this.#test.threads[thread]!;
    const { memory } = this.#test;
    /** Choices still to be tried, each as the list of all choices up to it. */
    const open: number[][] = [[]];
    for (let choices = open.pop(); choices !== undefined; choices = open.pop()) {
      const made = choices;
      let at = 0;
      const oracle: Oracle = {
        choose: (count) => {
          if (at === made.length) {
            for (let other = 1; other < count; other++) open.push([...made.slice(0, at), other]);
            made.push(0);
          }
          return made[at++]!;
        },
        valuesAt: (address) => this.#valuesAt(address),
        cell: (address, bytes) => memory.cell(address, bytes),
        isAddress: (value) => memory.isPointer(value),
      };
      const run = new ThreadRun(oracle, this.#dialect, program.registers);
      try {
        program.run(run);
        runs.push(run);
      } catch (thrown) {
        if (thrown !== infeasible && thrown !== strayed) throw thrown;
      }
      this.#spend(1);
    }
    return runs;
  }

  #spend(count: number): void {
    this.#left -= count;
    if (this.#left < 0) throw tooMany;
  }

  #communicate(chosen: readonly ThreadRun[]): void {
    this.#spend(1);
    const events = chosen.flatMap((run) => run.events);
    const threads = chosen.flatMap((run, thread) => run.events.map(() => thread));
    const at = (address: bigint, kind: number): number[] => {
      return events.flatMap((event, number) => (event.address === address && event.kind === kind ? [number] : []));
    };
    const reads = events.flatMap((event, number) => (event.kind === Kind.read ? [number] : []));
    const addresses = [...new Set(events.filter(({ kind }) => kind !== Kind.fence).map(({ address }) => address))];
    const sources = reads.map((read) => {
      const { address, value } = events[read]!;
      const writes = at(address, Kind.write).filter((write) => events[write]!.value === value);
      return this.#test.memory.initialCell(address) === value ? [-1, ...writes] : writes;
    });
    if (sources.some((of) => of.length === 0)) return;
    // The writes of one thread to one location are in its order, under JavaScript's model too, which does not say so: no later
    // read would see the earlier one.
    const isInOrder = (order: readonly number[]): boolean =>
      order.every((write, later) =>
        order.slice(0, later).every((other) => threads[other] !== threads[write] || other < write),
      );
    const orders = addresses.map((address) => permutations(at(address, Kind.write)).filter(isInOrder));
    for (const readsFrom of product(sources)) {
      for (const coherence of product(orders)) {
        this.#spend(1);
        this.#judge(chosen, events, threads, addresses, reads, readsFrom, coherence);
      }
    }
  }

  #judge(
    chosen: readonly ThreadRun[],
    events: readonly TraceEvent[],
    threads: readonly number[],
    addresses: readonly bigint[],
    reads: readonly number[],
    readsFrom: readonly number[],
    coherence: readonly (readonly number[])[],
  ): void {
    const x = this.#x;
    layOut(x, chosen, events, threads);
    reads.forEach((read, number) => {
      if (readsFrom[number]! >= 0) x.rf.add(readsFrom[number]!, read);
    });
    for (const order of coherence) x.coherence(order);
    x.finish();
    if (this.#model.violation(x) !== null) return;
    if (this.#dialect.thinAir && isCircular(x)) return;
    const { memory } = this.#test;
    const cell = (address: bigint): bigint => {
      const last = coherence[addresses.indexOf(address)]?.at(-1);
      return last === undefined ? memory.initialCell(address) : events[last]!.value;
    };
    const final = (location: FinalLocation): bigint =>
      location.kind === 'register'
        ? finalRegister(this.#test, chosen[location.thread], location.thread, location.register)
        : memory.finalValue(location.address, cell);
    if (holds(this.#test.condition, final)) this.#positive++;
    else this.#negative++;
    const state = this.#shown.map(final).join();
    this.#states.set(state, (this.#states.get(state) ?? 0) + 1);
  }
}

function layOut(
  x: Execution,
  chosen: readonly ThreadRun[],
  events: readonly TraceEvent[],
  threads: readonly number[],
): void {
  x.begin(Math.max(1, events.length));
  const addresses = [...new Set(events.map(({ address }) => address))];
  let first = 0;
  for (const run of chosen) {
    /** By the number of a read, the event that it is. */
    const sources = new Map(run.events.flatMap((event, at) => (event.read < 0 ? [] : [[event.read, first + at]])));
    for (const event of run.events) {
      const { kind, value, tags, fence } = event;
      const address = event.address < 0n ? -1 : addresses.indexOf(event.address);
      const thread = threads[x.count]!;
      const id =
        kind === Kind.fence
          ? x.barrier(thread, fence, address)
          : (kind === Kind.read ? x.read : x.write).call(x, thread, address, Number(value), tags);
      x.value[id] = Number(value);
      x.access[id] = first + event.access;
      x.instruction[id] = first + event.instruction;
      for (const name of dependencies) {
        for (const [read, source] of sources) {
          if (((event[name] >> BigInt(read)) & 1n) !== 0n && source < id) x[name].add(source, id);
        }
      }
      for (let part = event.rmw; part >= 0 && run.events[part]?.access === event.rmw; part++)
        x.rmw.add(first + part, id);
    }
    first += run.events.length;
  }
}

const dependencies = ['addr', 'data', 'ctrl', 'pickAddr', 'pickData', 'pickCtrl', 'guard'] as const;

function permutations(items: readonly number[]): number[][] {
  if (items.length === 0) return [[]];
  return items.flatMap((item) => permutations(items.filter((other) => other !== item)).map((rest) => [item, ...rest]));
}

function* product<T>(lists: readonly (readonly T[])[], at = 0): Generator<T[]> {
  if (at === lists.length) yield [];
  else for (const item of lists[at]!) for (const rest of product(lists, at + 1)) yield [item, ...rest];
}
