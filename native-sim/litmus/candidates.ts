/**
 * Candidate executions of a litmus test: a trace for each thread, and for each location a way its accesses may have
 * communicated, such that every value read is one that was written. Nothing here knows of a memory model; the
 * model's predicate decides which candidates are executions. Cycles in po | rf are candidates like any other.
 */
import { Execution, Kind, type Model } from '../models/execution.ts';
import type { Relation } from '../models/relation.ts';
import { type Access, type Communication, communications } from './communications.ts';
import type { FinalLocation, FinalValue } from './condition.ts';
import type { Dialect } from './dialect.ts';
import { LitmusLimitExceeded } from './errors.ts';
import type { LitmusTest } from './test-file.ts';
import type { Trace, TraceEvent } from './thread-run.ts';
import { findTraces } from './traces.ts';

const candidateLimit = 5_000_000;

/** Look whether a candidate is hopeless already once that many more would follow from it. */
const worthAnEarlyLook = 6;

export interface Visited {
  /** How many candidates were put to the model. */
  readonly candidates: number;
  readonly cut: boolean;
}

/** Calls `visit` with each execution that `model` allows. */
export function forEachExecution(
  test: LitmusTest,
  model: Model,
  dialect: Dialect,
  visit: (final: FinalValue, x: Execution) => void,
): Visited {
  const traces = findTraces(test, dialect);
  const x = new Execution();
  let candidates = 0;
  forEachCombination(test, traces.byThread, (chosen) => {
    const combination = new Combination(test, chosen);
    const isAllowed = (communication: readonly Communication[], decided: number): boolean => {
      if (++candidates > candidateLimit) throw new LitmusLimitExceeded('candidate executions', candidateLimit);
      combination.build(x, communication, decided);
      return model.violation(x) === null;
    };
    combination.forEachCandidate(model.name !== 'javascript', isAllowed, (communication) => {
      visit(combination.finalValue(communication), x);
    });
  });
  return { candidates, cut: traces.cut };
}

/** A key for "this value at this address". */
function cell(event: { readonly address: bigint; readonly value: bigint }): string {
  return `${event.address}=${event.value}`;
}

/** Each choice of one trace per thread in which every value read is initial or written by someone. */
function forEachCombination(
  test: LitmusTest,
  byThread: readonly (readonly Trace[])[],
  visit: (chosen: readonly Trace[]) => void,
): void {
  const summaries = byThread.map((traces) =>
    traces.map((trace) => ({
      trace,
      needs: trace.events
        .filter((e) => e.kind === Kind.read && e.value !== (test.initial.get(e.address) ?? 0n))
        .map(cell),
      gives: trace.events.filter((e) => e.kind === Kind.write).map(cell),
    })),
  );
  /** What threads from here on could yet write. */
  const supply: Set<string>[] = [new Set()];
  for (let thread = summaries.length - 1; thread >= 0; thread--) {
    supply.unshift(new Set([...supply[0]!, ...summaries[thread]!.flatMap((summary) => summary.gives)]));
  }
  const chosen: Trace[] = [];
  const choose = (thread: number, needs: readonly string[], gives: ReadonlySet<string>): void => {
    if (thread === summaries.length) {
      visit(chosen);
      return;
    }
    for (const summary of summaries[thread]!) {
      const given = new Set([...gives, ...summary.gives]);
      const open = [...needs, ...summary.needs].filter((need) => !given.has(need));
      if (!open.every((need) => supply[thread + 1]!.has(need))) continue;
      chosen.push(summary.trace);
      choose(thread + 1, open, given);
      chosen.pop();
    }
  };
  choose(0, [], new Set());
}

class Combination {
  readonly #test: LitmusTest;
  readonly #chosen: readonly Trace[];
  /** The first event of each thread. */
  readonly #offsets: number[] = [];
  readonly #addresses: bigint[] = [];
  #count = 0;

  constructor(test: LitmusTest, chosen: readonly Trace[]) {
    this.#test = test;
    this.#chosen = chosen.slice();
    for (const trace of chosen) {
      this.#offsets.push(this.#count);
      this.#count += trace.events.length;
    }
  }

  /**
   * Decides location after location how its accesses communicated. The axioms of every coherent model only ever get harder to meet
   * as more is decided, so what `isAllowed` rejects half way need not be gone on with.
   */
  forEachCandidate(
    coherent: boolean,
    isAllowed: (communication: readonly Communication[], decided: number) => boolean,
    visit: (communication: readonly Communication[]) => void,
  ): void {
    const accesses = new Map<bigint, Access[]>();
    this.#forEachEvent((event, id, thread) => {
      if (event.kind === Kind.fence) return;
      let list = accesses.get(event.address);
      if (list === undefined) accesses.set(event.address, (list = []));
      const rmw = event.rmw < 0 ? -1 : this.#offsets[thread]! + event.rmw;
      list.push({ event: id, thread, write: event.kind === Kind.write, value: event.value, rmw });
    });
    const choices: { address: bigint; ways: Communication[] }[] = [];
    for (const [address, list] of accesses) {
      const ways = communications(list, this.#test.initial.get(address) ?? 0n, coherent);
      if (ways.length === 0) return;
      choices.push({ address, ways });
    }
    choices.sort((a, b) => a.ways.length - b.ways.length);
    this.#addresses.splice(0, this.#addresses.length, ...choices.map((choice) => choice.address));
    const following = choices.map((_, at) =>
      choices.slice(at + 1).reduce((product, choice) => product * choice.ways.length, 1),
    );
    const chosen: Communication[] = [];
    const choose = (at: number): void => {
      for (const way of choices[at]!.ways) {
        chosen[at] = way;
        chosen.length = at + 1;
        if (at + 1 === choices.length) {
          if (isAllowed(chosen, choices.length)) visit(chosen);
        } else if (!coherent || following[at]! < worthAnEarlyLook || isAllowed(chosen, at + 1)) choose(at + 1);
      }
    };
    if (choices.length > 0) choose(0);
    else if (isAllowed(chosen, 0)) visit(chosen);
  }

  #forEachEvent(visit: (event: TraceEvent, id: number, thread: number) => void): void {
    for (let thread = 0; thread < this.#chosen.length; thread++) {
      const { events } = this.#chosen[thread]!;
      for (let at = 0; at < events.length; at++) visit(events[at]!, this.#offsets[thread]! + at, thread);
    }
  }

  /** Lay the candidate out as an execution, of which the first `decided` addresses are decided. */
  build(x: Execution, communication: readonly Communication[], decided: number): void {
    x.begin(this.#count);
    const { addresses, reads } = this.#layout();
    this.#forEachEvent((event, id, thread) => {
      const address = event.address < 0n ? -1 : addresses.get(event.address)!;
      if (event.kind === Kind.read) x.read(thread, address, Number(event.value), event.tags);
      else if (event.kind === Kind.write) x.write(thread, address, Number(event.value), event.tags);
      else x.barrier(thread, event.fence, address);
      if (event.rmw >= 0) x.rmw.add(this.#offsets[thread]! + event.rmw, id);
      const from = reads[thread]!;
      link(x.addr, event.addr, from, id);
      link(x.data, event.data, from, id);
      link(x.ctrl, event.ctrl, from, id);
      link(x.pickAddr, event.pickAddr, from, id);
      link(x.pickData, event.pickData, from, id);
      link(x.pickCtrl, event.pickCtrl, from, id);
    });
    for (const { order, readsFrom } of communication) {
      x.coherence(order);
      for (const [write, read] of readsFrom) x.rf.add(write, read);
    }
    x.finish(decided);
  }

  #layoutCache: { addresses: Map<bigint, number>; reads: number[][] } | undefined;

  /** A small number for each address, and the event of each read of each thread. */
  #layout(): { addresses: Map<bigint, number>; reads: number[][] } {
    if (this.#layoutCache !== undefined) return this.#layoutCache;
    const addresses = new Map(this.#addresses.map((address, at) => [address, at]));
    const reads: number[][] = this.#chosen.map(() => []);
    this.#forEachEvent((event, id, thread) => {
      if (event.address >= 0n && !addresses.has(event.address)) addresses.set(event.address, addresses.size);
      if (event.read >= 0) reads[thread]![event.read] = id;
    });
    this.#layoutCache = { addresses, reads };
    return this.#layoutCache;
  }

  finalValue(communication: readonly Communication[]): FinalValue {
    const memory = new Map<bigint, bigint>();
    for (let at = 0; at < this.#addresses.length; at++) {
      memory.set(this.#addresses[at]!, communication[at]!.finalValue);
    }
    return (location: FinalLocation): bigint => {
      if (location.kind === 'register') {
        return this.#chosen[location.thread]?.registers.get(location.register)?.value ?? 0n;
      }
      return memory.get(location.address) ?? this.#test.initial.get(location.address) ?? 0n;
    };
  }
}

/** Relate each read in the set `from` to `to`. */
function link(relation: Relation, from: bigint, reads: readonly number[], to: number): void {
  for (let read = 0; from !== 0n; read++, from >>= 1n) {
    if ((from & 1n) !== 0n && reads[read]! < to) relation.add(reads[read]!, to);
  }
}
