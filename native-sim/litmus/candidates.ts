/**
 * Candidate executions of a litmus test: a trace for each thread, and for each location a way its accesses may have
 * communicated, such that every value read is one that was written. Nothing here knows of a memory model; the
 * model's predicate decides which candidates are executions. Cycles in po | rf are candidates like any other.
 */
import { Execution, Kind, type Model, Tag } from '../models/execution.ts';
import { type CombinationOptions, forEachCombination } from './combinations.ts';
import { type Access, type Communication, communications } from './communications.ts';
import type { FinalLocation, FinalValue } from './condition.ts';
import type { Dialect } from './dialect.ts';
import { UnsupportedConstruct } from './errors.ts';
import { asType, asUndeclared } from './memory-map.ts';
import { type Edges, Preparation, type PreparedTrace } from './prepared.ts';
import type { LitmusTest } from './test-file.ts';
import type { Trace } from './thread-run.ts';
import { findTraces, type Traces } from './traces.ts';
import { isCircular, isOfUnknown } from './unknown.ts';
import type { Work } from './work.ts';

/** Look whether a candidate is hopeless already once that many more would follow from it. */
const worthAnEarlyLook = 3;

export interface Visited {
  /** How many candidates were put to the model. */
  readonly candidates: number;
  readonly cut: boolean;
  /** Some run accessed what is no location. */
  readonly strayed: boolean;
  /** Executions in which copies hand the unknown value round. */
  readonly ofUnknown: number;
  /** There are others in which values go round in a circle, but not unchanged. */
  readonly circular: boolean;
  /** There may be executions with values out of thin air beyond those visited: they were too many to look for. */
  readonly incomplete: boolean;
}

/** The number that `x.address` has for an address; undefined: nothing accesses it. */
export type AddressNumber = (address: bigint) => number | undefined;

type Visit = (final: FinalValue, x: Execution, addressNumber: AddressNumber) => void;

/** Calls `visit` with each execution that `model` allows, or, where `options` say so, with each that is of interest. */
export function forEachExecution(
  test: LitmusTest,
  model: Model,
  dialect: Dialect,
  visit: Visit,
  work: Work,
  options: CombinationOptions<Trace> = {},
): Visited {
  const traces = findTraces(test, dialect, work);
  let circular = 0;
  const combineAll = combiner(test, model, work, options);
  combineAll(traces, (final, x, addressNumber) => {
    if (dialect.thinAir && isCircular(x)) circular++;
    else visit(final, x, addressNumber);
  });
  let ofUnknown = 0;
  let { incomplete } = traces;
  if (circular > 0) {
    const withUnknown = findTraces(test, dialect, work, true);
    incomplete ||= withUnknown.incomplete;
    combineAll(withUnknown, (final, x, addressNumber) => {
      if (!isCircular(x) || !isOfUnknown(x)) return;
      ofUnknown++;
      visit(final, x, addressNumber);
    });
  }
  const { cut, strayed } = traces;
  return {
    candidates: work.candidates,
    cut,
    strayed,
    ofUnknown,
    circular: circular > 0 && ofUnknown === 0,
    incomplete,
  };
}

function combiner(
  test: LitmusTest,
  model: Model,
  work: Work,
  options: CombinationOptions<Trace>,
): (traces: Traces, visit: Visit) => void {
  return ({ byThread }, visit) => {
    const preparation = new Preparation();
    const prepared = byThread.map((traces, thread) => traces.map((trace) => preparation.prepare(trace, thread)));
    const ways = new Ways(test, preparation.addresses, model.name !== 'javascript', work);
    const x = new Execution();
    const combine = (chosen: readonly PreparedTrace[], share: number): void => {
      const combination = new Combination(test, chosen, model, x, ways);
      const addressNumber: AddressNumber = (address) => combination.numberOf(preparation.location(address));
      combination.forEachExecution(work, share, (communication) => {
        visit(combination.finalValue(communication, preparation), x, addressNumber);
      });
    };
    const takesAreFree = !ways.coherent && byThread.flat().some(writesOrdinarily);
    forEachCombination(test, prepared, work, combine, { ...options, takesAreFree });
  };
}

function writesOrdinarily({ events }: Trace): boolean {
  return events.some(({ kind, tags }) => kind === Kind.write && (tags & Tag.plain) !== 0);
}

/** The ways in which the accesses to one location may have communicated, which many combinations share. */
class Ways {
  readonly coherent: boolean;
  /** How many locations there are. */
  readonly locations: number;
  readonly #initial: readonly bigint[];
  readonly #known = new Map<string, readonly Communication[]>();
  readonly #work: Work;

  constructor(test: LitmusTest, addresses: readonly bigint[], coherent: boolean, work: Work) {
    this.coherent = coherent;
    this.locations = addresses.length;
    this.#initial = addresses.map((address) => test.memory.initialCell(address));
    this.#work = work;
  }

  /** Accesses are numbered from 0, thread after thread. */
  of(location: number, chosen: readonly PreparedTrace[]): readonly Communication[] {
    let key = `${location}`;
    for (const trace of chosen) key += `,${trace.projections.get(location)?.number ?? ''}`;
    let ways = this.#known.get(key);
    if (ways === undefined) {
      ways = communications(joined(location, chosen), this.#initial[location]!, this.coherent, this.#work);
      this.#known.set(key, ways);
    }
    return ways;
  }
}

function joined(location: number, chosen: readonly PreparedTrace[]): Access[] {
  const all: Access[] = [];
  for (const trace of chosen) {
    const first = all.length;
    for (const access of trace.projections.get(location)?.accesses ?? []) {
      const { event, rmw } = access;
      all.push({ ...access, event: first + event, rmw: rmw < 0 ? -1 : first + rmw });
    }
  }
  return all;
}

interface Choice {
  readonly location: number;
  readonly ways: readonly Communication[];
  /** The events of the accesses. */
  readonly events: readonly number[];
}

/** One trace for each thread: all candidates that share their events. */
class Combination {
  readonly #test: LitmusTest;
  readonly #chosen: readonly PreparedTrace[];
  readonly #model: Model;
  readonly #x: Execution;
  readonly #ways: Ways;
  /** The first event of each thread. */
  readonly #offsets: number[] = [];
  /** The number of each location in this combination, in the order in which they are decided; -1: it has none. */
  readonly #numbers: Int32Array;
  #numbered = 0;
  #choices: Choice[] = [];
  #count = 0;

  constructor(test: LitmusTest, chosen: readonly PreparedTrace[], model: Model, x: Execution, ways: Ways) {
    this.#test = test;
    this.#chosen = chosen.slice();
    this.#model = model;
    this.#x = x;
    this.#ways = ways;
    this.#numbers = new Int32Array(ways.locations).fill(-1);
    for (const trace of chosen) {
      this.#offsets.push(this.#count);
      this.#count += trace.events.length;
    }
  }

  numberOf(location: number | undefined): number | undefined {
    const number = location === undefined ? -1 : this.#numbers[location]!;
    return number < 0 ? undefined : number;
  }

  /**
   * Decides location after location how its accesses communicated. The axioms of every coherent model only ever get harder to meet
   * as more is decided, so what the model rejects half way need not be gone on with.
   */
  forEachExecution(work: Work, share: number, visit: (communication: readonly Communication[]) => void): void {
    work.step(20);
    if (!this.#chooseWays()) {
      work.searched(share);
      return;
    }
    this.#layOut();
    const choices = this.#choices;
    const { coherent } = this.#ways;
    const following = choices.map((_, at) =>
      choices.slice(at + 1).reduce((product, choice) => product * choice.ways.length, 1),
    );
    const chosen: Communication[] = [];
    const isAllowed = (): boolean => {
      work.candidate(this.#count);
      return this.#isAllowed(chosen, chosen.length);
    };
    const choose = (at: number, shareHere: number): void => {
      const { ways } = choices[at]!;
      const part = shareHere / ways.length;
      for (const way of ways) {
        chosen[at] = way;
        chosen.length = at + 1;
        if (at + 1 < choices.length && (!coherent || following[at]! < worthAnEarlyLook || isAllowed())) {
          choose(at + 1, part);
          continue;
        }
        if (at + 1 === choices.length && isAllowed()) visit(chosen);
        work.searched(part);
      }
    };
    if (choices.length > 0) choose(0, share);
    else if (isAllowed()) visit(chosen);
  }

  /** False: the accesses to some location cannot have communicated at all. */
  #chooseWays(): boolean {
    const choices: Choice[] = [];
    for (let location = 0; location < this.#ways.locations; location++) {
      if (!this.#chosen.some((trace) => trace.projections.has(location))) continue;
      const ways = this.#ways.of(location, this.#chosen);
      if (ways.length === 0) return false;
      choices.push({ location, ways, events: this.#eventsAt(location) });
    }
    choices.sort((a, b) => a.ways.length - b.ways.length);
    this.#choices = choices;
    for (const { location } of choices) this.#numbers[location] = this.#numbered++;
    return true;
  }

  #eventsAt(location: number): number[] {
    const all: number[] = [];
    for (let thread = 0; thread < this.#chosen.length; thread++) {
      const projection = this.#chosen[thread]!.projections.get(location);
      if (projection !== undefined) for (const event of projection.events) all.push(this.#offsets[thread]! + event);
    }
    return all;
  }

  /** What all candidates share: events, dependencies, and what the model makes of them alone. */
  #layOut(): void {
    const x = this.#x;
    x.begin(this.#count);
    for (let thread = 0; thread < this.#chosen.length; thread++) {
      this.#layOutThread(thread, this.#chosen[thread]!);
      this.#addEdges(this.#offsets[thread]!, this.#chosen[thread]!.edges);
    }
    x.fix(this.#model);
  }

  #layOutThread(thread: number, { events, locations, values }: PreparedTrace): void {
    const x = this.#x;
    const first = this.#offsets[thread]!;
    for (let at = 0; at < events.length; at++) {
      const event = events[at]!;
      const address = locations[at]! < 0 ? -1 : this.#numberOrNew(locations[at]!);
      if (event.kind === Kind.read) x.read(thread, address, values[at]!, event.tags);
      else if (event.kind === Kind.write) x.write(thread, address, values[at]!, event.tags);
      else x.barrier(thread, event.fence, address);
      x.value[first + at] = values[at]!;
      x.access[first + at] = first + event.access;
      x.instruction[first + at] = first + event.instruction;
      if (event.access !== at && this.#model.dividesAccesses !== true) {
        throw new UnsupportedConstruct(`accesses of mixed size under the model ${this.#model.name}`);
      }
    }
  }

  /** Some locations are only ever named by fences, as those of SRCU are. */
  #numberOrNew(location: number): number {
    if (this.#numbers[location]! < 0) this.#numbers[location] = this.#numbered++;
    return this.#numbers[location]!;
  }

  #addEdges(first: number, edges: Edges): void {
    const x = this.#x;
    for (const kind of edgeKinds) {
      const relation = x[kind];
      for (const [from, to] of edges[kind]) relation.add(first + from, first + to);
    }
  }

  #isAllowed(communication: readonly Communication[], decided: number): boolean {
    const x = this.#x;
    x.again();
    for (let at = 0; at < decided; at++) {
      const { events } = this.#choices[at]!;
      const { order, readsFrom } = communication[at]!;
      for (let later = 1; later < order.length; later++) {
        for (let earlier = 0; earlier < later; earlier++) x.co.add(events[order[earlier]!]!, events[order[later]!]!);
      }
      for (const [write, read] of readsFrom) x.rf.add(events[write]!, events[read]!);
    }
    x.communicate(decided);
    return this.#model.violation(x) === null;
  }

  finalValue(communication: readonly Communication[], preparation: Preparation): FinalValue {
    const { memory } = this.#test;
    const cell = (address: bigint): bigint => {
      const number = this.numberOf(preparation.location(address));
      return communication[number ?? -1]?.finalValue ?? memory.initialCell(address);
    };
    return (location: FinalLocation): bigint => {
      if (location.kind === 'register') {
        return finalRegister(this.#test, this.#chosen[location.thread], location.thread, location.register);
      }
      return memory.finalValue(location.address, cell);
    };
  }
}

/** What a register holds at the end of a trace, as a state shows it. */
export function finalRegister(test: LitmusTest, trace: Trace | undefined, thread: number, register: string): bigint {
  const value = trace?.registers.get(register)?.value ?? 0n;
  if (test.architecture === 'C' || test.memory.isPointer(value)) return value;
  const type = test.registerTypes.get(`${thread}:${register}`);
  return type === undefined ? asUndeclared(value) : asType(value, type);
}

const edgeKinds: readonly (keyof Edges)[] = [
  'addr',
  'data',
  'ctrl',
  'pickAddr',
  'pickData',
  'pickCtrl',
  'guard',
  'rmw',
];
