/**
 * Traces, made ready to be combined with those of other threads many times over: everything about a trace that does not
 * depend on the others is worked out here, once.
 */
import { Kind } from '../models/execution.ts';
import type { Access } from './communications.ts';
import type { Trace, TraceEvent } from './thread-run.ts';

type Pair = readonly [from: number, to: number];

/** The dependencies and pairs of a trace, between its events. */
export interface Edges {
  readonly addr: readonly Pair[];
  readonly data: readonly Pair[];
  readonly ctrl: readonly Pair[];
  readonly pickAddr: readonly Pair[];
  readonly pickData: readonly Pair[];
  readonly pickCtrl: readonly Pair[];
  readonly guard: readonly Pair[];
  readonly rmw: readonly Pair[];
}

/** What a trace does to one location. */
export interface Projection {
  /** The events that access it. */
  readonly events: readonly number[];
  /** The same as accesses, which count from 0. */
  readonly accesses: readonly Access[];
  /** Projections with one number are alike. */
  readonly number: number;
}

export interface PreparedTrace extends Trace {
  readonly edges: Edges;
  /** By event: the number of its location, -1: none. */
  readonly locations: readonly number[];
  readonly values: readonly number[];
  readonly projections: ReadonlyMap<number, Projection>;
}

export class Preparation {
  readonly #locations = new Map<bigint, number>();
  readonly #projections = new Map<string, number>();

  /** The number of a location; undefined: no trace accesses it. */
  location(address: bigint): number | undefined {
    return this.#locations.get(address);
  }

  /** The addresses of the locations, by number. */
  get addresses(): bigint[] {
    return [...this.#locations.keys()];
  }

  prepare(trace: Trace, thread: number): PreparedTrace {
    const { events, registers, cut } = trace;
    const locations = events.map((event) => (event.address < 0n ? -1 : this.#number(event.address)));
    return {
      events,
      registers,
      cut,
      locations,
      values: events.map((event) => Number(event.value)),
      edges: edgesOf(events),
      projections: this.#projectionsOf(events, locations, thread),
    };
  }

  #number(address: bigint): number {
    let number = this.#locations.get(address);
    if (number === undefined) this.#locations.set(address, (number = this.#locations.size));
    return number;
  }

  #projectionsOf(events: readonly TraceEvent[], locations: readonly number[], thread: number): Map<number, Projection> {
    const byLocation = new Map<number, number[]>();
    events.forEach((event, at) => {
      if (event.kind === Kind.fence) return;
      const of = byLocation.get(locations[at]!);
      if (of === undefined) byLocation.set(locations[at]!, [at]);
      else of.push(at);
    });
    const projections = new Map<number, Projection>();
    for (const [location, of] of byLocation) {
      const accesses = of.map((at, index): Access => {
        const { kind, value, rmw } = events[at]!;
        // The read of the same cell, which need not be the first part of the read of the instruction.
        const before = rmw < 0 ? -1 : of.slice(0, index).findLastIndex((other) => events[other]!.kind === Kind.read);
        return { event: index, thread, write: kind === Kind.write, value, rmw: before };
      });
      const text = accesses.map(({ write, value, rmw }) => `${write ? 'W' : 'R'}${value}/${rmw}`).join();
      let number = this.#projections.get(text);
      if (number === undefined) this.#projections.set(text, (number = this.#projections.size));
      projections.set(location, { events: of, accesses, number });
    }
    return projections;
  }
}

function edgesOf(events: readonly TraceEvent[]): Edges {
  const sources: number[] = [];
  events.forEach((event, at) => {
    if (event.read >= 0) sources[event.read] = at;
  });
  const pairs = (set: (event: TraceEvent) => bigint): Pair[] => {
    return events.flatMap((event, to) => {
      const found: Pair[] = [];
      for (let rest = set(event), read = 0; rest !== 0n; rest >>= 1n, read++) {
        if ((rest & 1n) !== 0n && sources[read]! < to) found.push([sources[read]!, to]);
      }
      return found;
    });
  };
  return {
    addr: pairs((event) => event.addr),
    data: pairs((event) => event.data),
    ctrl: pairs((event) => event.ctrl),
    pickAddr: pairs((event) => event.pickAddr),
    pickData: pairs((event) => event.pickData),
    pickCtrl: pairs((event) => event.pickCtrl),
    guard: pairs((event) => event.guard),
    rmw: events.flatMap((event, to) =>
      event.rmw < 0 ? [] : partsOf(events, event.rmw).map((from): Pair => [from, to]),
    ),
  };
}

/** Every part of the access that begins at `first`. */
function partsOf(events: readonly TraceEvent[], first: number): number[] {
  const parts: number[] = [];
  for (let at = first; events[at]?.access === first; at++) parts.push(at);
  return parts;
}
