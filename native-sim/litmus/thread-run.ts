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
import { addressInParts, UnsupportedConstruct } from './errors.ts';

export interface Tainted {
  readonly value: bigint;
  readonly from: bigint;
  readonly pick: bigint;
  /** It, or something that it was computed from, is as it is by chance alone: whether a store-exclusive succeeded. */
  readonly chance?: boolean;
}

export const zero: Tainted = { value: 0n, from: 0n, pick: 0n };

export function constant(value: bigint): Tainted {
  return { value, from: 0n, pick: 0n };
}

/** A value that nothing before it decides. */
export function byChance(value: bigint): Tainted {
  return { value, from: 0n, pick: 0n, chance: true };
}

export function combine(value: bigint, ...operands: Tainted[]): Tainted {
  let from = 0n;
  let pick = 0n;
  let chance = false;
  for (const operand of operands) {
    from |= operand.from;
    pick |= operand.pick;
    chance ||= operand.chance === true;
  }
  return { value, from, pick, chance };
}

export interface TraceEvent {
  readonly kind: number;
  readonly fence: number;
  readonly tags: number;
  /** -1n: none. */
  readonly address: bigint;
  readonly value: bigint;
  /** Which read of the thread it is, or other event that later ones may depend on; -1: none. */
  readonly read: number;
  readonly addr: bigint;
  readonly data: bigint;
  readonly ctrl: bigint;
  readonly pickAddr: bigint;
  readonly pickData: bigint;
  readonly pickCtrl: bigint;
  /** Reads of the same instruction that decide whether this write happens. */
  readonly guard: bigint;
  /** For the write of a read-modify-write: the index, in the trace, of the first part of its read. -1: none. */
  readonly rmw: number;
  /** The index of the first event of the same single-copy-atomic access, and of the same instruction. */
  readonly access: number;
  readonly instruction: number;
}

export interface ReadOptions {
  /** How much is read; default: the whole element that is there. */
  readonly bytes?: number | undefined;
  /** The one value that the read may return: any other is another run. */
  readonly only?: bigint;
}

export interface WriteOptions {
  readonly bytes?: number | undefined;
  /** The second half of a read-modify-write: the index of the first event of the first half. */
  readonly rmw?: number;
  readonly guard?: bigint;
  /** Later instructions may depend on the write: through the value that is returned. */
  readonly source?: boolean;
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
  /** `own`: what the thread has written there last; undefined: nothing. */
  valuesAt(address: bigint, own: bigint | undefined): readonly bigint[];
  /** The size of the cells that an access touches; undefined: there is nothing to access. */
  cell(address: bigint, bytes: number | undefined): number | undefined;
  isAddress(value: bigint): boolean;
}

/** Thrown to leave a run that cannot be: a guess that led nowhere. */
export const infeasible = Symbol('infeasible');

/** Thrown to leave a run that accesses what is no location: a null pointer, beyond an array. */
export const strayed = Symbol('strayed');

export class ThreadRun {
  readonly events: TraceEvent[] = [];
  readonly registers = new Map<string, Tainted>();
  cut = false;
  ctrl = 0n;
  pickCtrl = 0n;
  /** Where a load-exclusive stands that a store-exclusive may still pair with: the index of its event. -1: nowhere. */
  monitor = -1;
  /** How much that load-exclusive read. */
  monitorBytes = 0;
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
  read(address: Tainted, tags: number, options: ReadOptions = {}): Tainted {
    const { bytes, only } = options;
    const cell = this.#cell(address, bytes);
    const parts = bytes === undefined ? 1 : bytes / cell;
    const access = this.events.length;
    let value = 0n;
    let from = 0n;
    for (let part = 0; part < parts; part++) {
      const at = { ...address, value: address.value + BigInt(part * cell) };
      let held: bigint;
      if (only === undefined) {
        const values = this.#oracle.valuesAt(at.value, this.#lastWritten(at.value));
        held = values[this.#oracle.choose(values.length)]!;
      } else held = parts === 1 ? only : cut(only, part, cell);
      const read = this.#reads++;
      this.#push({ kind: Kind.read, tags, address: at, value: constant(held), read, access });
      value = parts === 1 ? held : value | (held << BigInt(8 * part * cell));
      from |= 1n << BigInt(read);
    }
    return { value, from, pick: 0n };
  }

  write(address: Tainted, value: Tainted, tags: number, options: WriteOptions = {}): Tainted {
    const { bytes, rmw = -1, guard = 0n, source = false } = options;
    const cell = this.#cell(address, bytes);
    const parts = bytes === undefined ? 1 : bytes / cell;
    const access = this.events.length;
    if (parts > 1 && this.#oracle.isAddress(value.value)) throw new UnsupportedConstruct(addressInParts);
    const isOneInstruction = rmw >= 0 && (tags & Tag.exclusive) === 0;
    const instruction = isOneInstruction ? this.events[rmw]!.instruction : access;
    let from = 0n;
    for (let part = 0; part < parts; part++) {
      const at = { ...address, value: address.value + BigInt(part * cell) };
      const held = bytes === undefined ? value : { ...value, value: cut(value.value, part, cell) };
      const read = source ? this.#reads++ : -1;
      if (source) from |= 1n << BigInt(read);
      this.#push({ kind: Kind.write, tags, address: at, value: held, rmw, guard, access, instruction, read });
    }
    return { value: 0n, from, pick: 0n };
  }

  /** `tags`: `Tag.inner`, as the kernel's barriers on Armv8, or none. */
  fence(fence: number, address: Tainted = constant(-1n), tags: number = Tag.inner): void {
    if (fence !== Fence.none) this.#push({ kind: Kind.fence, fence, address, value: zero, tags });
  }

  /** A fence that hands out a token, or takes one: `data` leads from the first to the second. */
  tokenFence(fence: number, address: Tainted, token: Tainted = zero): Tainted {
    const read = this.#reads++;
    this.#push({ kind: Kind.fence, fence, address, value: token, read });
    return { value: 0n, from: 1n << BigInt(read), pick: 0n };
  }

  /** The index of the first event of the latest access, for `write`'s `rmw`. */
  get last(): number {
    return this.events.at(-1)!.access;
  }

  /** Can the latest branch go another way? That of a loop that counts cannot, which ends by itself. */
  branchIsOpen = true;

  /** How the places where what was read decides what is done have been seen to go: 1, not so; 2, so; 3, both. */
  readonly decisions = new Map<object, number>();

  /** At `site`, what was read decided for `outcome`. */
  decide(site: object, outcome: boolean): void {
    this.decisions.set(site, (this.decisions.get(site) ?? 0) | (outcome ? 2 : 1));
  }

  /** What follows depends on `condition` for whether it happens at all. `site` is where that is asked. */
  branchOn(condition: Tainted, site?: object): void {
    const isRead = (condition.from | condition.pick) !== 0n;
    this.branchIsOpen = isRead || condition.chance === true;
    if (site !== undefined && isRead) this.decide(site, condition.value !== 0n);
    this.ctrl |= condition.from;
    this.pickCtrl |= condition.pick;
  }

  #lastWritten(address: bigint): bigint | undefined {
    return this.events.findLast((event) => event.kind === Kind.write && event.address === address)?.value;
  }

  #cell(address: Tainted, bytes: number | undefined): number {
    const cell = this.#oracle.cell(address.value, bytes);
    if (cell === undefined) throw strayed;
    return cell;
  }

  #push(event: NewEvent): void {
    const { kind, address, value, access = this.events.length } = event;
    this.events.push({
      kind,
      fence: event.fence ?? Fence.none,
      tags: event.tags ?? Tag.none,
      address: address.value,
      value: value.value,
      read: event.read ?? -1,
      addr: address.from,
      data: kind === Kind.read ? 0n : value.from,
      ctrl: this.ctrl,
      pickAddr: address.pick,
      pickData: kind === Kind.read ? 0n : value.pick,
      pickCtrl: this.pickCtrl,
      guard: event.guard ?? 0n,
      rmw: event.rmw ?? -1,
      access,
      instruction: event.instruction ?? access,
    });
  }
}

interface NewEvent {
  readonly kind: number;
  readonly address: Tainted;
  readonly value: Tainted;
  readonly fence?: number;
  readonly tags?: number;
  readonly read?: number;
  readonly rmw?: number;
  readonly guard?: bigint;
  readonly access?: number;
  readonly instruction?: number;
}

/** The part of a value that goes into one cell, little end first. */
function cut(value: bigint, part: number, cell: number): bigint {
  return BigInt.asUintN(8 * cell, value >> BigInt(8 * part * cell));
}
