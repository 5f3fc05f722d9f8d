/**
 * Candidate executions of a litmus test: a trace for each thread, and for each location a way its accesses may have
 * communicated, such that every value read is one that was written. Nothing here knows of a memory model; the
 * model's predicate decides which candidates are executions. Cycles in po | rf are candidates like any other.
 */
import { Execution, Kind, type Model } from '../models/execution.ts';
import type { Relation } from '../models/relation.ts';
import { forEachCombination } from './combinations.ts';
import { type Access, type Communication, communications } from './communications.ts';
import type { FinalLocation, FinalValue } from './condition.ts';
import type { Dialect } from './dialect.ts';
import { UnsupportedConstruct } from './errors.ts';
import { asType, asUndeclared } from './memory-map.ts';
import type { LitmusTest } from './test-file.ts';
import type { Trace, TraceEvent } from './thread-run.ts';
import { findTraces } from './traces.ts';
import type { Work } from './work.ts';

/** Look whether a candidate is hopeless already once that many more would follow from it. */
const worthAnEarlyLook = 3;

export interface Visited {
  /** How many candidates were put to the model. */
  readonly candidates: number;
  readonly cut: boolean;
  /** Some run accessed what is no location. */
  readonly strayed: boolean;
  /** Executions left out because values in them come out of thin air: they circle, and no constant is where they begin. */
  readonly circular: number;
  /** There may be executions with values out of thin air beyond those visited: they were too many to look for. */
  readonly incomplete: boolean;
}

/** Calls `visit` with each execution that `model` allows. */
export function forEachExecution(
  test: LitmusTest,
  model: Model,
  dialect: Dialect,
  visit: (final: FinalValue, x: Execution, addresses: ReadonlyMap<bigint, number>) => void,
  work: Work,
): Visited {
  const traces = findTraces(test, dialect);
  const x = new Execution();
  let circular = 0;
  forEachCombination(test, traces.byThread, work, (chosen) => {
    const combination = new Combination(test, chosen, model, x);
    combination.forEachExecution(work, (communication) => {
      if (dialect.thinAir && !x.data.or(x.rf).isAcyclic()) {
        circular++;
        return;
      }
      visit(combination.finalValue(communication), x, combination.addressNumbers);
    });
  });
  const { cut, strayed, incomplete } = traces;
  return { candidates: work.candidates, cut, strayed, circular, incomplete };
}

/** One trace for each thread: all candidates that share their events. */
class Combination {
  readonly #test: LitmusTest;
  readonly #chosen: readonly Trace[];
  readonly #model: Model;
  readonly #x: Execution;
  /** The first event of each thread. */
  readonly #offsets: number[] = [];
  readonly #addresses: bigint[] = [];
  /** A small number for each address. */
  addressNumbers: ReadonlyMap<bigint, number> = new Map();
  #count = 0;

  constructor(test: LitmusTest, chosen: readonly Trace[], model: Model, x: Execution) {
    this.#test = test;
    this.#chosen = chosen.slice();
    this.#model = model;
    this.#x = x;
    for (const trace of chosen) {
      this.#offsets.push(this.#count);
      this.#count += trace.events.length;
    }
  }

  /**
   * Decides location after location how its accesses communicated. The axioms of every coherent model only ever get harder to meet
   * as more is decided, so what the model rejects half way need not be gone on with.
   */
  forEachExecution(work: Work, visit: (communication: readonly Communication[]) => void): void {
    work.step(20);
    const coherent = this.#model.name !== 'javascript';
    const choices: { address: bigint; ways: Communication[] }[] = [];
    for (const [address, accesses] of this.#accesses()) {
      const ways = communications(accesses, this.#test.memory.initialCell(address), coherent, work);
      if (ways.length === 0) return;
      choices.push({ address, ways });
    }
    choices.sort((a, b) => a.ways.length - b.ways.length);
    this.#addresses.push(...choices.map((choice) => choice.address));
    this.#layOut();
    const following = choices.map((_, at) =>
      choices.slice(at + 1).reduce((product, choice) => product * choice.ways.length, 1),
    );
    const chosen: Communication[] = [];
    const isAllowed = (): boolean => {
      work.candidate();
      return this.#isAllowed(chosen, chosen.length);
    };
    const choose = (at: number): void => {
      for (const way of choices[at]!.ways) {
        chosen[at] = way;
        chosen.length = at + 1;
        if (at + 1 === choices.length) {
          if (isAllowed()) visit(chosen);
        } else if (!coherent || following[at]! < worthAnEarlyLook || isAllowed()) choose(at + 1);
      }
    };
    if (choices.length > 0) choose(0);
    else if (isAllowed()) visit(chosen);
  }

  #accesses(): Map<bigint, Access[]> {
    const byAddress = new Map<bigint, Access[]>();
    this.#forEachEvent((event, id, thread) => {
      if (event.kind === Kind.fence) return;
      let list = byAddress.get(event.address);
      if (list === undefined) byAddress.set(event.address, (list = []));
      // The read of the same cell, which need not be the first part of the read of the instruction.
      const rmw = event.rmw < 0 ? undefined : list.findLast((access) => access.thread === thread && !access.write);
      list.push({ event: id, thread, write: event.kind === Kind.write, value: event.value, rmw: rmw?.event ?? -1 });
    });
    return byAddress;
  }

  #forEachEvent(visit: (event: TraceEvent, id: number, thread: number) => void): void {
    for (let thread = 0; thread < this.#chosen.length; thread++) {
      const { events } = this.#chosen[thread]!;
      for (let at = 0; at < events.length; at++) visit(events[at]!, this.#offsets[thread]! + at, thread);
    }
  }

  /** What all candidates share: events, dependencies, and what the model makes of them alone. */
  #layOut(): void {
    const x = this.#x;
    x.begin(this.#count);
    const { addresses, reads } = this.#numbered();
    this.addressNumbers = addresses;
    const whole = this.#model.dividesAccesses !== true;
    this.#forEachEvent((event, id, thread) => {
      const first = this.#offsets[thread]!;
      const address = event.address < 0n ? -1 : addresses.get(event.address)!;
      if (event.kind === Kind.read) x.read(thread, address, Number(event.value), event.tags);
      else if (event.kind === Kind.write) x.write(thread, address, Number(event.value), event.tags);
      else x.barrier(thread, event.fence, address);
      x.access[id] = first + event.access;
      if (whole && x.access[id] !== id) {
        throw new UnsupportedConstruct(`accesses of mixed size under the model ${this.#model.name}`);
      }
      x.instruction[id] = first + event.instruction;
      if (event.rmw >= 0) this.#joinParts(thread, event.rmw, id);
      const from = reads[thread]!;
      link(x.addr, event.addr, from, id);
      link(x.data, event.data, from, id);
      link(x.ctrl, event.ctrl, from, id);
      link(x.pickAddr, event.pickAddr, from, id);
      link(x.pickData, event.pickData, from, id);
      link(x.pickCtrl, event.pickCtrl, from, id);
      link(x.guard, event.guard, from, id);
    });
    x.fix(this.#model);
  }

  /** Relate every part of the read that begins at `read`, an index in the trace, to the write `id`. */
  #joinParts(thread: number, read: number, id: number): void {
    const { events } = this.#chosen[thread]!;
    for (let at = read; events[at]?.access === read; at++) this.#x.rmw.add(this.#offsets[thread]! + at, id);
  }

  #isAllowed(communication: readonly Communication[], decided: number): boolean {
    const x = this.#x;
    x.again();
    for (const { order, readsFrom } of communication) {
      x.coherence(order);
      for (const [write, read] of readsFrom) x.rf.add(write, read);
    }
    x.communicate(decided);
    return this.#model.violation(x) === null;
  }

  /** A small number for each address, and the event of each read of each thread. */
  #numbered(): { addresses: Map<bigint, number>; reads: number[][] } {
    const addresses = new Map(this.#addresses.map((address, at) => [address, at]));
    const reads: number[][] = this.#chosen.map(() => []);
    this.#forEachEvent((event, id, thread) => {
      if (event.address >= 0n && !addresses.has(event.address)) addresses.set(event.address, addresses.size);
      if (event.read >= 0) reads[thread]![event.read] = id;
    });
    return { addresses, reads };
  }

  finalValue(communication: readonly Communication[]): FinalValue {
    const cells = new Map<bigint, bigint>();
    for (let at = 0; at < this.#addresses.length; at++) {
      cells.set(this.#addresses[at]!, communication[at]!.finalValue);
    }
    const { memory } = this.#test;
    return (location: FinalLocation): bigint => {
      if (location.kind === 'register') return this.#finalRegister(location.thread, location.register);
      return memory.finalValue(location.address, (address) => cells.get(address) ?? memory.initialCell(address));
    };
  }

  #finalRegister(thread: number, register: string): bigint {
    const value = this.#chosen[thread]?.registers.get(register)?.value ?? 0n;
    if (this.#test.architecture === 'C' || this.#test.memory.isPointer(value)) return value;
    const type = this.#test.registerTypes.get(`${thread}:${register}`);
    return type === undefined ? asUndeclared(value) : asType(value, type);
  }
}

/** Relate each read in the set `from` to `to`. */
function link(relation: Relation, from: bigint, reads: readonly number[], to: number): void {
  for (let read = 0; from !== 0n; read++, from >>= 1n) {
    if ((from & 1n) !== 0n && reads[read]! < to) relation.add(reads[read]!, to);
  }
}
