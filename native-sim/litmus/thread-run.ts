/**
 * One run of one thread of a litmus test, all by itself: what its reads return is given by an oracle, and what comes
 * out is a trace, the thread's events with their dependencies, and its final registers.
 *
 * Dependencies are exact because every value carries the set of reads it was computed from, even where the value does
 * not in fact vary (`r1 ^ r1`): that is what "dependency" means in the models. A set is a bigint with one bit per
 * read of the thread. `pick` holds the reads that only chose between values (Armv8's CSEL and CAS).
 */
import { Fence, Kind, Tag } from '../models/execution.ts';
import type { Dialect } from './dialect.ts';

export interface Tainted {
  readonly value: bigint;
  readonly from: bigint;
  readonly pick: bigint;
}

export const zero: Tainted = { value: 0n, from: 0n, pick: 0n };

export function constant(value: bigint): Tainted {
  return { value, from: 0n, pick: 0n };
}

export function combine(value: bigint, ...operands: Tainted[]): Tainted {
  let from = 0n;
  let pick = 0n;
  for (const operand of operands) {
    from |= operand.from;
    pick |= operand.pick;
  }
  return { value, from, pick };
}

export interface TraceEvent {
  readonly kind: number;
  readonly fence: number;
  readonly tags: number;
  /** -1n: none. */
  readonly address: bigint;
  readonly value: bigint;
  /** Which read of the thread it is; -1: none. */
  readonly read: number;
  readonly addr: bigint;
  readonly data: bigint;
  readonly ctrl: bigint;
  readonly pickAddr: bigint;
  readonly pickData: bigint;
  readonly pickCtrl: bigint;
  /** For the write of a read-modify-write: the index, in the trace, of its read. -1: none. */
  readonly rmw: number;
}

export interface Trace {
  readonly events: readonly TraceEvent[];
  readonly registers: ReadonlyMap<string, Tainted>;
  /** A loop went round more often than it may: only part of what the thread can do. */
  readonly cut: boolean;
}

export interface ThreadProgram {
  run(thread: ThreadRun): void;
  /** What the registers hold at the start. */
  readonly registers: ReadonlyMap<string, bigint>;
}

/** Answers what the run cannot know: which of `count` choices is taken, and what a read returns. */
export interface Oracle {
  choose(count: number): number;
  valuesAt(address: bigint): readonly bigint[];
  isLocation(address: bigint): boolean;
}

/** Thrown to leave a run that cannot be: a guess that led nowhere. */
export const infeasible = Symbol('infeasible');

export class ThreadRun {
  readonly events: TraceEvent[] = [];
  readonly registers = new Map<string, Tainted>();
  cut = false;
  ctrl = 0n;
  pickCtrl = 0n;
  /** What kernel operations become. Assembly has none. */
  readonly dialect: Dialect;
  readonly #oracle: Oracle;
  #reads = 0;

  constructor(oracle: Oracle, dialect: Dialect, initial: ReadonlyMap<string, bigint>) {
    this.#oracle = oracle;
    this.dialect = dialect;
    for (const [register, value] of initial) this.registers.set(register, constant(value));
  }

  get(register: string): Tainted {
    return this.registers.get(register) ?? zero;
  }

  set(register: string, value: Tainted): void {
    this.registers.set(register, value);
  }

  choose(count: number): number {
    return this.#oracle.choose(count);
  }

  /** Read `address`; the value is any that the location may hold, or, where `only` says so, that one alone. */
  read(address: Tainted, tags: number, only?: bigint): Tainted {
    this.#check(address);
    let value: bigint;
    if (only === undefined) {
      const values = this.#oracle.valuesAt(address.value);
      value = values[this.#oracle.choose(values.length)]!;
    } else value = only;
    const read = this.#reads++;
    this.#push(Kind.read, Fence.none, tags, address, constant(value), read, -1);
    return { value, from: 1n << BigInt(read), pick: 0n };
  }

  /** Write, and where it is the second half of a read-modify-write, say which event was the first. */
  write(address: Tainted, value: Tainted, tags: number, rmw = -1): void {
    this.#check(address);
    this.#push(Kind.write, Fence.none, tags, address, value, -1, rmw);
  }

  fence(fence: number, address: Tainted = constant(-1n)): void {
    if (fence !== Fence.none) this.#push(Kind.fence, fence, Tag.none, address, zero, -1, -1);
  }

  /** A fence that hands out a token, or takes one: `data` leads from the first to the second. */
  tokenFence(fence: number, address: Tainted, token: Tainted = zero): Tainted {
    const read = this.#reads++;
    this.#push(Kind.fence, fence, Tag.none, address, token, read, -1);
    return { value: 0n, from: 1n << BigInt(read), pick: 0n };
  }

  /** The index of the latest event, for `write`'s `rmw`. */
  get last(): number {
    return this.events.length - 1;
  }

  /** What follows depends on `condition` for whether it happens at all. */
  branchOn(condition: Tainted): void {
    this.ctrl |= condition.from;
    this.pickCtrl |= condition.pick;
  }

  #check(address: Tainted): void {
    if (!this.#oracle.isLocation(address.value)) throw infeasible;
  }

  #push(kind: number, fence: number, tags: number, address: Tainted, value: Tainted, read: number, rmw: number): void {
    this.events.push({
      kind,
      fence,
      tags,
      address: address.value,
      value: value.value,
      read,
      addr: address.from,
      data: kind === Kind.read ? 0n : value.from,
      ctrl: this.ctrl,
      pickAddr: address.pick,
      pickData: kind === Kind.read ? 0n : value.pick,
      pickCtrl: this.pickCtrl,
      rmw,
    });
  }
}
