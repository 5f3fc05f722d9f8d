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
import { INIT, READ, WRITE } from './events.ts';

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
} as const;

export type Until = (value: number, arg: number) => boolean;

/** An awaiting read that has not been added yet. */
export interface Pending {
  op: number;
  flags: number;
  location: number;
  until: Until;
  arg: number;
}

const grownInts = (from: Int32Array, length: number) => {
  const to = new Int32Array(length);
  to.set(from);
  return to;
};

export class Graph {
  readonly threadCount: number;
  n = 0;
  capacity: number;
  /** 32-bit words in a row of `before`. */
  stride: number;

  thread: Int32Array;
  /** Position in the thread, from 0. */
  index: Int32Array;
  op: Int32Array;
  flags: Int32Array;
  location: Int32Array;
  /** What was read, or written. */
  value: Int32Array;
  /** What a compare-and-exchange expects, or the argument of an awaiting read's predicate. */
  arg: Int32Array;
  until: (Until | null)[] = [];
  rf: Int32Array;
  /** How many events of each thread precede this one in po | rf, itself included. */
  clock: Int32Array;
  /** The events ordered before each event, as bits. */
  before: Int32Array;
  /** What its thread keeps before an event, by position in the thread: the edges, and all that follows, as bits. */
  kept: number[][] = [];
  implied: Int32Array[] = [];
  /** How many events of its thread, from the first on, are all among those. */
  solid: number[] = [];
  /** `before` speaks of events that are gone, since one was cut that had been placed ahead of one that stays. */
  stale = false;
  /** 1 where adding the event put it before events that were there already. */
  early: Uint8Array;

  threads: number[][];
  /** By location: its writes, oldest first; its reads, in no order. */
  co: number[][] = [];
  reads: number[][] = [];

  /** By thread: what is known of it (`Stop`), the read it awaits, and how many events its idle loop repeats. */
  stop: Int32Array;
  pending: (Pending | null)[];
  turn: Int32Array;

  constructor(threadCount: number, capacity = 64) {
    this.threadCount = threadCount;
    this.capacity = capacity;
    this.stride = capacity >>> 5;
    this.thread = new Int32Array(capacity);
    this.index = new Int32Array(capacity);
    this.op = new Int32Array(capacity);
    this.flags = new Int32Array(capacity);
    this.location = new Int32Array(capacity);
    this.value = new Int32Array(capacity);
    this.arg = new Int32Array(capacity);
    this.rf = new Int32Array(capacity);
    this.clock = new Int32Array(capacity * threadCount);
    this.before = new Int32Array(capacity * this.stride);
    this.early = new Uint8Array(capacity);
    this.threads = Array.from({ length: threadCount }, () => []);
    this.stop = new Int32Array(threadCount);
    this.pending = this.threads.map(() => null);
    this.turn = new Int32Array(threadCount);
  }

  #grow(): void {
    const old = this.stride;
    const capacity = this.capacity * 2;
    this.capacity = capacity;
    this.stride = capacity >>> 5;
    for (const column of ['thread', 'index', 'op', 'flags', 'location', 'value', 'arg', 'rf'] as const) {
      this[column] = grownInts(this[column], capacity);
    }
    this.clock = grownInts(this.clock, capacity * this.threadCount);
    const early = new Uint8Array(capacity);
    early.set(this.early);
    this.early = early;
    const before = new Int32Array(capacity * this.stride);
    for (let e = 0; e < this.n; e++) {
      before.set(this.before.subarray(e * old, (e + 1) * old), e * this.stride);
    }
    this.before = before;
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
    this.rf[e] = rf;
    this.early[e] = 0;
    this.until[e] = null;
    list.push(e);
    this.setClock(e);
    if (flags & READ) this.reads[location]!.push(e);
    this.stop[thread] = Stop.none;
    return e;
  }

  setClock(e: number): void {
    const { threadCount, clock } = this;
    const thread = this.thread[e]!;
    const at = this.index[e]!;
    const row = e * threadCount;
    if (at === 0) clock.fill(0, row, row + threadCount);
    else
      clock.copyWithin(
        row,
        this.threads[thread]![at - 1]! * threadCount,
        (this.threads[thread]![at - 1]! + 1) * threadCount,
      );
    if (this.flags[e]! & READ && this.rf[e]! >= 0) {
      const from = this.rf[e]! * threadCount;
      for (let t = 0; t < threadCount; t++) if (clock[from + t]! > clock[row + t]!) clock[row + t] = clock[from + t]!;
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
      const flags = this.flags[e]!;
      if (flags & WRITE) {
        const co = this.co[this.location[e]!]!;
        if (co[co.length - 1] === e) co.pop();
        else co.splice(co.indexOf(e), 1);
      } else if (flags & READ) {
        const reads = this.reads[this.location[e]!]!;
        if (reads[reads.length - 1] === e) reads.pop();
        else reads.splice(reads.indexOf(e), 1);
      }
    }
    this.n = Math.min(this.n, stamp);
    if (this.n === 0) this.stale = false;
  }

  /** A copy of the events for which `keep` is 1, renumbered in the same order. `before` is left for the caller. */
  restrict(keep: Uint8Array): Graph {
    const copy = new Graph(this.threadCount, this.capacity);
    const to = new Int32Array(this.n);
    const { threadCount } = this;
    let m = 0;
    for (let e = 0; e < this.n; e++) {
      if (keep[e] === 0) {
        to[e] = NOT_KEPT;
        continue;
      }
      copy.thread[m] = this.thread[e]!;
      copy.index[m] = this.index[e]!;
      copy.op[m] = this.op[e]!;
      copy.flags[m] = this.flags[e]!;
      copy.location[m] = this.location[e]!;
      copy.value[m] = this.value[e]!;
      copy.arg[m] = this.arg[e]!;
      copy.until[m] = this.until[e]!;
      copy.kept[m] = this.kept[e]!;
      copy.implied[m] = this.implied[e]!;
      copy.solid[m] = this.solid[e]!;
      copy.rf[m] = this.rf[e]!;
      const row = e * threadCount;
      for (let t = 0; t < threadCount; t++) copy.clock[m * threadCount + t] = this.clock[row + t]!;
      to[e] = m++;
    }
    copy.n = m;
    // A read may be stamped before what it reads from, so the numbers are only translated now.
    for (let e = 0; e < m; e++) {
      const from = copy.rf[e]!;
      if (from >= 0 && copy.flags[e]! & READ) copy.rf[e] = to[from] === NOT_KEPT ? INIT : to[from]!;
    }
    const kept = (list: number[]) => {
      const out: number[] = [];
      for (const e of list) if (to[e] !== NOT_KEPT) out.push(to[e]!);
      return out;
    };
    copy.co = this.co.map(kept);
    copy.reads = this.reads.map(kept);
    copy.threads = this.threads.map(kept);
    for (let t = 0; t < threadCount; t++) {
      copy.stop[t] = copy.threads[t]!.length === this.threads[t]!.length ? this.stop[t]! : Stop.none;
      copy.pending[t] = this.pending[t]!;
      copy.turn[t] = this.turn[t]!;
    }
    return copy;
  }

  clone(): Graph {
    const keep = new Uint8Array(this.n).fill(1);
    const copy = this.restrict(keep);
    copy.before.set(this.before.subarray(0, this.n * this.stride));
    copy.early.set(this.early.subarray(0, this.n));
    return copy;
  }
}

const NOT_KEPT = -1;
