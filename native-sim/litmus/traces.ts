/**
 * All that a thread can do by itself, whatever the others write: its traces, one for each combination of values that
 * its reads may return.
 *
 * Which values a location may hold is not known beforehand: it starts with the initial one, and every round adds what
 * the traces of the round before wrote. A value that is made from others through a chain of writes takes as many
 * rounds as the chain is long, and no chain is longer than there are writes; so the rounds end, even where values
 * could grow for ever (`x = y + 1 || y = x + 1`), and no value is left out that an execution without values out of
 * thin air could have.
 */
import { Kind } from '../models/execution.ts';
import type { Dialect } from './dialect.ts';
import { LitmusLimitExceeded } from './errors.ts';
import type { LitmusTest } from './test-file.ts';
import { infeasible, type Oracle, ThreadRun, type Trace } from './thread-run.ts';

const tracesPerThread = 200_000;

export interface Traces {
  readonly byThread: readonly (readonly Trace[])[];
  /** Some loop was cut short. */
  readonly cut: boolean;
}

export function findTraces(test: LitmusTest, dialect: Dialect): Traces {
  const domain = new Map<bigint, bigint[]>();
  for (let round = 0; ; round++) {
    const all = test.threads.map((_, thread) => tracesOf(test, thread, dialect, domain));
    const writes = all.map((traces) => Math.max(0, ...traces.map(countWrites)));
    const longestChain = writes.reduce((sum, count) => sum + count, 0);
    const grown = addWritten(all, test, domain);
    if (!grown || round > longestChain) {
      return {
        byThread: all.map((traces) => traces.filter((trace) => !trace.cut)),
        cut: all.some((traces) => traces.some((trace) => trace.cut)),
      };
    }
  }
}

function countWrites(trace: Trace): number {
  return trace.events.reduce((count, event) => count + (event.kind === Kind.write ? 1 : 0), 0);
}

function addWritten(all: readonly (readonly Trace[])[], test: LitmusTest, domain: Map<bigint, bigint[]>): boolean {
  let grown = false;
  for (const trace of all.flat()) {
    for (const event of trace.events) {
      if (event.kind !== Kind.write) continue;
      let values = domain.get(event.address);
      if (values === undefined) domain.set(event.address, (values = [test.initial.get(event.address) ?? 0n]));
      if (values.includes(event.value)) continue;
      values.push(event.value);
      grown = true;
    }
  }
  return grown;
}

/** Runs the thread again and again, taking the next choice each time, until all are taken. */
class Chooser implements Oracle {
  readonly #test: LitmusTest;
  readonly #domain: ReadonlyMap<bigint, bigint[]>;
  readonly #taken: number[] = [];
  readonly #counts: number[] = [];
  #at = 0;

  constructor(test: LitmusTest, domain: ReadonlyMap<bigint, bigint[]>) {
    this.#test = test;
    this.#domain = domain;
  }

  choose(count: number): number {
    if (this.#at === this.#taken.length) {
      this.#taken.push(0);
      this.#counts.push(count);
    }
    return this.#taken[this.#at++]!;
  }

  valuesAt(address: bigint): readonly bigint[] {
    return this.#domain.get(address) ?? [this.#test.initial.get(address) ?? 0n];
  }

  isLocation(address: bigint): boolean {
    return this.#test.memory.isLocation(address);
  }

  /** On to the next combination of choices; false where there is none. */
  advance(): boolean {
    this.#at = 0;
    while (this.#taken.length > 0) {
      const next = this.#taken.pop()! + 1;
      const count = this.#counts.pop()!;
      if (next >= count) continue;
      this.#taken.push(next);
      this.#counts.push(count);
      return true;
    }
    return false;
  }
}

function tracesOf(test: LitmusTest, thread: number, dialect: Dialect, domain: ReadonlyMap<bigint, bigint[]>): Trace[] {
  const traces: Trace[] = [];
  const chooser = new Chooser(test, domain);
  const program = test.threads[thread]!;
  do {
    const run = new ThreadRun(chooser, dialect, program.registers);
    try {
      program.run(run);
    } catch (thrown) {
      if (thrown !== infeasible) throw thrown;
      continue;
    }
    traces.push(run);
    if (traces.length > tracesPerThread) throw new LitmusLimitExceeded(`traces of P${thread}`, tracesPerThread);
  } while (chooser.advance());
  return traces;
}
