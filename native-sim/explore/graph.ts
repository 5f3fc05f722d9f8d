/**
 * An execution graph, as it grows: the events in the order in which the search added them (an event's number is its
 * stamp), what each read reads from, and the coherence order of each location. `order.ts` keeps `before`, the
 * transitive closure of the model's order, up to date as events come.
 *
 * Columns of typed arrays, because a search makes and unmakes millions of events. Two invariants carry everything:
 * a thread's events are added in program order, so cutting the graph back to a stamp leaves a prefix of each thread;
 * and a read changes what it reads from only while it is the last event of its thread, so `clock` (how much of each
 * thread precedes an event in po | rf) never has to be revised.
 */
import type { Until } from '../replay/replayed-cpu.ts';
import { INIT, KINDS, READ, WRITE } from './events.ts';

/** What is known about a thread whose events have all been replayed. */
export const Stop = {
  /** Not known: run it. */
  none: 0,
  finished: 1,
  /** Its next operation waits for a value and has not been added yet. */
  atAwait: 2,
  /** Its last event is a read that reads nothing. */
  blocked: 3,
  /** It repeats reads that change nothing, for ever. */
  spinning: 4,
  dead: 5,
  /**
   * It can never go on, so this graph is no execution; but what the other threads still write may revisit earlier
   * reads, and those graphs may be executions.
   */
  doomed: 6,
  /** Its event loop waits in several places, and none of these waits is over. */
  atTurn: 7,
} as const;

/** An awaiting read that has not been added yet. */
export interface Pending {
  op: number;
  flags: number;
  location: number;
  until: Until;
  arg: number;
}

/** What is kept of each event as a number: which array holds it, and how many elements there are for an event. */
const COLUMNS = {
  thread: { of: Int32Array, width: 1 },
  /** Position in the thread, from 0. */
  index: { of: Int32Array, width: 1 },
  op: { of: Int32Array, width: 1 },
  flags: { of: Int32Array, width: 1 },
  location: { of: Int32Array, width: 1 },
  /** What was read, written or chosen. */
  value: { of: Int32Array, width: 1 },
  /** What a compare-and-exchange expects, the argument of an awaiting read's predicate, or the canonical choice. */
  arg: { of: Int32Array, width: 1 },
  rf: { of: Int32Array, width: 1 },
  /** How many events the turn of a loop has that this `relax` repeats. */
  span: { of: Int32Array, width: 1 },
  /** 1 where adding the event put it before events that were there already. */
  early: { of: Uint8Array, width: 1 },
  /** The event before this one in its thread, at the same location: its position there, or -1. */
  sameBefore: { of: Int32Array, width: 1 },
  /** The least time, in ns, at which it can have happened: a clock goes forward along po | rf. */
  time: { of: Float64Array, width: 1 },
  /** How many events of each thread precede this one in po | rf, itself included. */
  clock: { of: Int32Array, width: 'threads' },
  /** What `thread-order.ts` keeps of the thread up to this event. */
  kept: { of: Int32Array, width: KINDS },
} as const;

type ColumnName = keyof typeof COLUMNS;
type Column<K extends ColumnName> = InstanceType<(typeof COLUMNS)[K]['of']>;
const NAMES = Object.keys(COLUMNS) as ColumnName[];

export class Graph {
  readonly threadCount: number;
  n = 0;
  capacity: number;
  /** 32-bit words in a row of `before`. */
  stride: number;

  thread!: Column<'thread'>;
  index!: Column<'index'>;
  op!: Column<'op'>;
  flags!: Column<'flags'>;
  location!: Column<'location'>;
  value!: Column<'value'>;
  arg!: Column<'arg'>;
  rf!: Column<'rf'>;
  span!: Column<'span'>;
  early!: Column<'early'>;
  sameBefore!: Column<'sameBefore'>;
  time!: Column<'time'>;
  clock!: Column<'clock'>;
  kept!: Column<'kept'>;
  until: (Until | null)[] = [];
  /** The events ordered before each event, as bits. */
  before: Int32Array;
  /** How many alternatives of a search begin from it. */
  users = 0;
  /** `before` speaks of events that are gone, since one was cut that had been placed ahead of one that stays. */
  stale = false;

  threads: number[][];
  /** By location and thread: the position of the thread's last event there, plus one. */
  #lastAt: Int32Array;
  /** By location: its writes, oldest first; its reads, in no order. */
  co: number[][] = [];
  reads: number[][] = [];

  /** By thread: what is known of it (`Stop`), and the read it awaits. */
  stop: Int32Array;
  pending: (Pending | null)[];

  constructor(threadCount: number, capacity = 64) {
    this.threadCount = threadCount;
    this.capacity = capacity;
    this.stride = capacity >>> 5;
    this.#allocate(capacity);
    this.before = new Int32Array(capacity * this.stride);
    this.threads = Array.from({ length: threadCount }, () => []);
    this.#lastAt = new Int32Array(threadCount * 32);
    this.stop = new Int32Array(threadCount);
    this.pending = this.threads.map(() => null);
  }

  #width(name: ColumnName): number {
    const { width } = COLUMNS[name];
    return width === 'threads' ? this.threadCount : width;
  }

  #allocate(capacity: number): void {
    const columns = this as unknown as Record<ColumnName, Int32Array>;
    for (const name of NAMES) {
      columns[name] = new (COLUMNS[name].of as Int32ArrayConstructor)(capacity * this.#width(name));
    }
  }

  #grow(): void {
    const { stride, before, n } = this;
    const old = NAMES.map((name) => this[name]);
    this.capacity *= 2;
    this.stride = this.capacity >>> 5;
    this.#allocate(this.capacity);
    for (const [i, name] of NAMES.entries()) this[name].set(old[i]!);
    this.before = new Int32Array(this.capacity * this.stride);
    for (let e = 0; e < n; e++) this.before.set(before.subarray(e * stride, (e + 1) * stride), e * this.stride);
  }

  /** Makes room for one more event, so that `stride` holds still while its place is computed. */
  reserve(): void {
    if (this.n + 1 > this.capacity) this.#grow();
  }

  /** Makes sure that `location` has its lists. */
  touch(location: number): void {
    while (this.co.length <= location) {
      this.co.push([]);
      this.reads.push([]);
    }
    if (this.#lastAt.length < this.co.length * this.threadCount) this.#growLastAt();
  }

  #growLastAt(): void {
    const old = this.#lastAt;
    this.#lastAt = new Int32Array(2 * this.co.length * this.threadCount);
    this.#lastAt.set(old);
  }

  /** The position of the last event of `thread` at `location`, or -1. */
  lastAt(thread: number, location: number): number {
    return this.#lastAt[location * this.threadCount + thread]! - 1;
  }

  /** Adds an event as the last of its thread; the caller has reserved room, and fills `before` and `co`. */
  push(thread: number, op: number, flags: number, location: number, value: number, rf: number): number {
    const e = this.n++;
    const list = this.threads[thread]!;
    this.thread[e] = thread;
    this.index[e] = list.length;
    this.op[e] = op;
    this.flags[e] = flags;
    this.location[e] = location;
    this.value[e] = value;
    this.arg[e] = 0;
    this.rf[e] = rf;
    this.span[e] = 0;
    this.early[e] = 0;
    this.until[e] = null;
    if (location < 0) this.sameBefore[e] = -1;
    else {
      const at = location * this.threadCount + thread;
      this.sameBefore[e] = this.#lastAt[at]! - 1;
      this.#lastAt[at] = list.length + 1;
    }
    list.push(e);
    this.setClock(e);
    if (flags & READ) this.reads[location]!.push(e);
    this.stop[thread] = Stop.none;
    return e;
  }

  /** Computes `clock` and `time` of an event from those before it in po | rf. */
  setClock(e: number): void {
    const { threadCount, clock, time } = this;
    const thread = this.thread[e]!;
    const at = this.index[e]!;
    const row = e * threadCount;
    const last = at === 0 ? -1 : this.threads[thread]![at - 1]!;
    if (last < 0) clock.fill(0, row, row + threadCount);
    else clock.copyWithin(row, last * threadCount, (last + 1) * threadCount);
    time[e] = last < 0 ? 0 : time[last]!;
    if (this.flags[e]! & READ && this.rf[e]! >= 0) {
      const from = this.rf[e]! * threadCount;
      for (let t = 0; t < threadCount; t++) if (clock[from + t]! > clock[row + t]!) clock[row + t] = clock[from + t]!;
      time[e] = Math.max(time[e]!, time[this.rf[e]!]!);
    }
    clock[row + thread] = at + 1;
  }

  /** Does `e` come before `of`, or equal it, in po | rf? */
  inPrefix(e: number, of: number): boolean {
    return this.index[e]! < this.clock[of * this.threadCount + this.thread[e]!]!;
  }

  isBefore(a: number, b: number): boolean {
    return (this.before[b * this.stride + (a >>> 5)]! & (1 << (a & 31))) !== 0;
  }

  lastOf(thread: number): number {
    const list = this.threads[thread]!;
    return list.length === 0 ? -1 : list[list.length - 1]!;
  }

  /**
   * Removes the events stamped `stamp` and later. `before` is stale if one of them had been placed ahead of one that
   * stays, and remains so until it is put right.
   */
  cut(stamp: number): void {
    for (let e = this.n - 1; e >= stamp; e--) {
      const thread = this.thread[e]!;
      this.threads[thread]!.pop();
      this.stop[thread] = Stop.none;
      if (this.early[e] !== 0) this.stale = true;
      const location = this.location[e]!;
      if (location >= 0) this.#lastAt[location * this.threadCount + thread] = this.sameBefore[e]! + 1;
      const flags = this.flags[e]!;
      if (flags & WRITE) remove(this.co[location]!, e);
      else if (flags & READ) remove(this.reads[location]!, e);
    }
    this.n = Math.min(this.n, stamp);
    if (this.n === 0) this.stale = false;
  }

  /**
   * A copy of the events for which `keep` is 1, renumbered in the same order, in a graph that nobody needs any more, if there
   * is one. `before` is left for the caller.
   */
  restrict(keep: Uint8Array, copy = new Graph(this.threadCount, this.capacity)): Graph {
    const { n } = this;
    const kept = new Int32Array(n);
    const to = new Int32Array(n);
    let m = 0;
    for (let e = 0; e < n; e++) {
      to[e] = keep[e] === 0 ? NOT_KEPT : m;
      if (keep[e] !== 0) kept[m++] = e;
    }
    copy.n = 0;
    while (copy.capacity < m) copy.#grow();
    copy.n = m;
    copy.stale = false;
    this.#copyEvents(kept, m, copy);
    // A read may be stamped before what it reads from, so the numbers are only translated now.
    for (let e = 0; e < m; e++) {
      const from = copy.rf[e]!;
      if (from >= 0 && copy.flags[e]! & READ) copy.rf[e] = to[from] === NOT_KEPT ? INIT : to[from]!;
    }
    translate(this.co, to, copy.co);
    translate(this.reads, to, copy.reads);
    translate(this.threads, to, copy.threads);
    copy.#findLast();
    for (let t = 0; t < this.threadCount; t++) {
      copy.stop[t] = copy.threads[t]!.length === this.threads[t]!.length ? this.stop[t]! : Stop.none;
      copy.pending[t] = this.pending[t]!;
    }
    return copy;
  }

  #findLast(): void {
    this.#lastAt.fill(0);
    if (this.#lastAt.length < this.co.length * this.threadCount) this.#growLastAt();
    for (let e = 0; e < this.n; e++) {
      const location = this.location[e]!;
      if (location >= 0) this.#lastAt[location * this.threadCount + this.thread[e]!] = this.index[e]! + 1;
    }
  }

  #copyEvents(kept: Int32Array, m: number, copy: Graph): void {
    for (const name of NAMES) copyColumn(this[name], kept, m, copy[name], this.#width(name));
    for (let i = 0; i < m; i++) copy.until[i] = this.until[kept[i]!]!;
  }

  /** A hash of the events, each with its operation, location, value, and what it reads from. */
  digest(): number {
    let hash = 0x811c9dc5;
    for (let e = 0; e < this.n; e++) {
      for (const part of [
        this.thread[e]!,
        this.op[e]!,
        this.flags[e]!,
        this.location[e]!,
        this.value[e]!,
        this.rf[e]!,
      ]) {
        hash = Math.imul(hash ^ part, 0x01000193);
      }
    }
    return hash >>> 0;
  }

  #copyRows(copy: Graph): void {
    const words = Math.min(this.stride, copy.stride);
    copy.before.fill(0);
    for (let e = 0; e < this.n; e++) {
      const row = e * this.stride;
      copy.before.set(this.before.subarray(row, row + words), e * copy.stride);
    }
  }

  clone(into?: Graph): Graph {
    const copy = this.restrict(new Uint8Array(this.n).fill(1), into);
    if (copy.stride === this.stride) copy.before.set(this.before.subarray(0, this.n * this.stride));
    else this.#copyRows(copy);
    copy.stale = this.stale;
    copy.early.set(this.early.subarray(0, this.n));
    return copy;
  }
}

function copyColumn<C extends Int32Array | Uint8Array | Float64Array>(
  from: C,
  kept: Int32Array,
  m: number,
  to: C,
  width: number,
): void {
  if (width === 1) {
    for (let i = 0; i < m; i++) to[i] = from[kept[i]!]!;
    return;
  }
  for (let i = 0, at = 0; i < m; i++) {
    for (let w = 0, row = kept[i]! * width; w < width; w++) to[at++] = from[row + w]!;
  }
}

/** Lists of events, by the events' new numbers, into `out`. */
function translate(lists: readonly (readonly number[])[], to: Int32Array, out: number[][]): void {
  while (out.length < lists.length) out.push([]);
  for (let i = 0; i < out.length; i++) {
    const from = i < lists.length ? lists[i]! : NONE;
    const list = out[i]!;
    let count = 0;
    for (let j = 0; j < from.length; j++) {
      const e = to[from[j]!]!;
      if (e !== NOT_KEPT) list[count++] = e;
    }
    while (list.length > count) list.pop();
  }
}

const NONE: readonly number[] = [];
const NOT_KEPT = -1;

/** Takes `e`, which mostly stands at the end, out of `list`, if it is there. */
function remove(list: number[], e: number): void {
  if (list[list.length - 1] === e) {
    list.pop();
    return;
  }
  const at = list.indexOf(e);
  if (at >= 0) list.splice(at, 1);
}
