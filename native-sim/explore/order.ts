/**
 * The memory models, incrementally: which writes a new read may read, and where in coherence order a new write may go.
 *
 * SC, x86-TSO, Armv8 and JavaScript's atomics have one shape (`native-sim/models/` states them as published; a test compares the two on
 * every execution of small programs): coherence per location, atomicity of read-modify-writes, and one order that has
 * no cycle: what the thread itself keeps (`ppo.ts`: the only place where the models differ), what threads saw
 * of each other (external rf, co, fr), and their transitive closure. `graph.before` is that closure.
 *
 * The new event is the last of its thread, so nothing its own thread keeps comes after it. The only edges out of it
 * lead to writes that are later in coherence; so adding it makes a cycle exactly if one of those is already before it.
 * That is one bit test per candidate, and it never rejects the coherence-latest write: executions can always go on.
 *
 * Armv8 read-modify-writes are the LDXR/STXR pairs of the kernel's LL/SC atomics, a fully ordered one being
 * `LDXR; STLXR; DMB`. Dependencies are invisible to a library, and a compiler may break them: none are assumed.
 */
import { INIT, NOTHING, POISON, READ, RMW, WRITE } from './events.ts';
import type { Graph } from './graph.ts';
import type { ModelName } from './ppo.ts';
import { copyRow, include, includeEdges, mark, wordsOf } from './rows.ts';
import { ThreadOrder } from './thread-order.ts';

const NEW = 0;
const OPEN = 1;
const CLOSED = 2;

export class Ordering {
  readonly model: ModelName;
  readonly #inThread: ThreadOrder;
  /** The events before the one being placed, as bits. */
  #row = new Int32Array(8);
  /** The flags of the new event whose local past is in `#row` while a choice is made for it; -1: there is none. */
  #rowFlags = -1;
  /** For `rebuild`: rows of direct predecessors; how far an event's row is; a write's place in coherence order. */
  #direct = new Int32Array(256);
  #states = new Uint8Array(64);
  #places = new Int32Array(64);

  constructor(model: ModelName) {
    this.model = model;
    this.#inThread = new ThreadOrder(model);
  }

  /** Everything before an event with `flags` at the end of `thread`, by the thread's own doing. */
  #local(g: Graph, row: Int32Array, thread: number, flags: number, location: number): void {
    const same = location < 0 ? -1 : g.lastAt(thread, location);
    this.#inThread.find(g, thread, g.threads[thread]!.length, flags, same);
    row.fill(0, 0, g.stride);
    includeEdges(g, row, thread, this.#inThread);
  }

  /** Everything before `e`, which is in the graph, by its thread's own doing. */
  #place(g: Graph, row: Int32Array, e: number): void {
    this.#inThread.find(g, g.thread[e]!, g.index[e]!, g.flags[e]!, g.sameBefore[e]!);
    row.fill(0, 0, g.stride);
    includeEdges(g, row, g.thread[e]!, this.#inThread);
    this.#inThread.note(g, e);
  }

  /** The flags of `e`, the last event of its thread, have changed, so what its thread keeps after it may have. */
  reconsider(g: Graph, e: number): void {
    this.#inThread.note(g, e);
  }

  #scratch(g: Graph): void {
    if (this.#row.length < g.stride) this.#row = new Int32Array(g.stride);
  }

  /** How many writes of its location the thread of `e` has seen before it. */
  seenBefore(g: Graph, e: number): number {
    return this.#seen(g, g.threads[g.thread[e]!]!, g.sameBefore[e]!, g.location[e]!);
  }

  /** `last`: the position of the thread's last event at the location. */
  #seen(g: Graph, list: readonly number[], last: number, location: number): number {
    for (let i = last; i >= 0; ) {
      const e = list[i]!;
      if (g.rf[e] !== NOTHING) {
        const write = g.flags[e]! & WRITE ? e : g.rf[e]!;
        return write === INIT ? 0 : g.co[location]!.lastIndexOf(write) + 1;
      }
      i = g.sameBefore[e]!;
    }
    return 0;
  }

  /**
   * The writes (or INIT) that a read at the end of `thread` may read from, coherence-latest first, into `out`. For a
   * compare-and-exchange the order depends on what it finds, so `accept` gives the flags for each write, or 0 to
   * skip it. An exclusive read may read what another read-modify-write has taken: the two then contend for the place
   * after it, which is settled when the write half comes; unless `strict`, or the other one precedes this one.
   */
  readChoices(
    g: Graph,
    thread: number,
    location: number,
    accept: (write: number) => number,
    out: number[],
    strict: boolean,
  ): void {
    this.#scratch(g);
    const list = g.threads[thread]!;
    const seen = this.#seen(g, list, g.lastAt(thread, location), location);
    const co = g.co[location]!;
    const last = list.length === 0 ? -1 : list[list.length - 1]!;
    this.#rowFlags = -1;
    /** By the thread's own past, which depends on the flags: it has seen so many writes. */
    let known = seen;
    empty(out);
    for (let i = co.length; i >= seen; i--) {
      const write = i === 0 ? INIT : co[i - 1]!;
      const flags = accept(write);
      if (flags === 0) continue;
      if (i < co.length) {
        const next = co[i]!;
        if (flags & RMW && g.flags[next]! & RMW && (strict || (last >= 0 && g.inPrefix(next, last)))) continue;
        if (flags !== this.#rowFlags) known = this.#known(g, thread, location, flags, seen);
        if (i < known) continue;
      }
      out.push(write);
    }
  }

  /** How many writes of the location are before a new event of the thread, by what the thread keeps; `seen` are for sure. */
  #known(g: Graph, thread: number, location: number, flags: number, seen: number): number {
    const row = this.#row;
    this.#local(g, row, thread, flags, location);
    this.#rowFlags = flags;
    const co = g.co[location]!;
    // A write that is before it has those before itself that are earlier in coherence order.
    for (let j = co.length - 1; j >= seen; j--) if (row[co[j]! >>> 5]! & (1 << (co[j]! & 31))) return j + 1;
    return seen;
  }

  /** The places in coherence order where a write at the end of `thread` may go, latest first, into `out`. */
  writeChoices(g: Graph, thread: number, location: number, flags: number, out: number[]): void {
    this.#scratch(g);
    const co = g.co[location]!;
    const list = g.threads[thread]!;
    empty(out);
    const isRmw = (flags & RMW) !== 0;
    const seen = isRmw ? this.rmwPlace(g, thread) : this.#seen(g, list, g.lastAt(thread, location), location);
    const lowest = this.#known(g, thread, location, flags, seen);
    for (let i = isRmw ? seen : co.length; i >= lowest; i--) {
      if (i === co.length || !(g.flags[co[i]!]! & RMW)) out.push(i);
    }
  }

  /** The place right after what the last exclusive read of the thread read. */
  rmwPlace(g: Graph, thread: number): number {
    const list = g.threads[thread]!;
    let i = list.length - 1;
    while ((g.flags[list[i]!]! & (READ | RMW)) !== (READ | RMW)) i--;
    const e = list[i]!;
    return g.rf[e] === INIT ? 0 : g.co[g.location[e]!]!.lastIndexOf(g.rf[e]!) + 1;
  }

  /**
   * Adds to `row` what a write at `place` overwrites: the write before it, if it is another thread's, and who read that one. What
   * is earlier in coherence order is before these; and before the thread's own write, which is in the row.
   */
  #observe(g: Graph, row: Int32Array, thread: number, location: number, place: number): void {
    const overwritten = place === 0 ? INIT : g.co[location]![place - 1]!;
    if (overwritten !== INIT && g.thread[overwritten] !== thread) include(g, row, overwritten);
    const reads = g.reads[location]!;
    for (let i = 0; i < reads.length; i++) {
      const r = reads[i]!;
      if (g.rf[r] === overwritten && g.thread[r] !== thread) include(g, row, r);
    }
  }

  /** Places the read `e`, pushed last with its `rf` set; `isChosen`: right after `readChoices` for it. */
  insertRead(g: Graph, e: number, isChosen = false): void {
    const row = this.#placed(g, e, isChosen);
    const write = g.rf[e]!;
    if (write >= 0 && g.thread[write] !== g.thread[e]) include(g, row, write);
    copyRow(g, row, e);
    if (write === NOTHING) return;
    this.#precede(g, e, write === INIT ? 0 : g.co[g.location[e]!]!.lastIndexOf(write) + 1);
  }

  /** Places the write `e`, pushed last, at `place` in coherence order; `isChosen`: right after `writeChoices` for it. */
  insertWrite(g: Graph, e: number, place: number, isChosen = false): void {
    const row = this.#placed(g, e, isChosen);
    const location = g.location[e]!;
    this.#observe(g, row, g.thread[e]!, location, place);
    copyRow(g, row, e);
    const co = g.co[location]!;
    if (place === co.length) {
      co.push(e);
      return;
    }
    this.#precede(g, e, place);
    co.splice(place, 0, e);
  }

  /** The row of a new event, as far as its thread goes: that from the choice, if it was made with these flags. */
  #placed(g: Graph, e: number, isChosen: boolean): Int32Array {
    this.#scratch(g);
    if (isChosen && this.#rowFlags === g.flags[e]) this.#inThread.note(g, e);
    else this.#place(g, this.#row, e);
    this.#rowFlags = -1;
    return this.#row;
  }

  insertFence(g: Graph, e: number): void {
    this.#scratch(g);
    this.#place(g, this.#row, e);
    copyRow(g, this.#row, e);
  }

  /** `e` comes before the write at place `from`, if there is one, and so before all that this one comes before. */
  #precede(g: Graph, e: number, from: number): void {
    const co = g.co[g.location[e]!]!;
    if (from >= co.length) return;
    const next = co[from]!;
    const { stride, before } = g;
    const bit = 1 << (next & 31);
    const words = wordsOf(g);
    const own = e * stride;
    g.early[e] = 1;
    for (let y = 0, at = next >>> 5; y < e; y++, at += stride) {
      if (y !== next && (before[at]! & bit) === 0) continue;
      const row = y * stride;
      for (let i = 0; i < words; i++) before[row + i]! |= before[own + i]!;
      before[row + (e >>> 5)]! |= 1 << (e & 31);
    }
  }

  /** Computes `before` anew, in any order of stamps; false if the order has a cycle. */
  rebuild(g: Graph): boolean {
    const { stride, n } = g;
    if (this.#direct.length < n * stride) this.#direct = new Int32Array(n * stride * 2);
    if (this.#states.length < n) {
      this.#states = new Uint8Array(n * 2);
      this.#places = new Int32Array(n * 2);
    }
    this.#direct.fill(0, 0, n * stride);
    this.#states.fill(NEW, 0, n);
    g.before.fill(0, 0, n * stride);
    g.early.fill(0, 0, n);
    g.stale = false;
    this.#places.fill(-1, 0, n);
    for (const writes of g.co) for (let i = 0; i < writes.length; i++) this.#places[writes[i]!] = i;
    for (let e = 0; e < n; e++) this.#link(g, e);
    for (let e = 0; e < n; e++) if (this.#states[e] === NEW && !this.#close(g, e)) return false;
    return true;
  }

  /** Sets the bits of those that one edge leads from to `e`, in its row of `#direct`. */
  #link(g: Graph, e: number): void {
    const direct = this.#direct;
    const at = e * g.stride;
    const thread = g.thread[e]!;
    const own = g.threads[thread]!;
    this.#inThread.find(g, thread, g.index[e]!, g.flags[e]!, g.sameBefore[e]!);
    const { edges, count } = this.#inThread;
    for (let i = 0; i < count; i++) mark(direct, at, own[edges[i]!]!);
    if (g.flags[e]! & READ) {
      const from = g.rf[e]!;
      if (from >= 0 && g.thread[from] !== thread) mark(direct, at, from);
    } else if (g.flags[e]! & WRITE) {
      const place = this.#places[e]!;
      if (place < 0) return;
      const overwritten = place === 0 ? INIT : g.co[g.location[e]!]![place - 1]!;
      if (overwritten !== INIT && g.thread[overwritten] !== thread) mark(direct, at, overwritten);
      for (const r of g.reads[g.location[e]!]!) {
        if (g.thread[r] !== thread && g.rf[r] === overwritten) mark(direct, at, r);
      }
    }
  }

  /** What is before `e`, into its row of `before`, after the rows of those that come first; false for a cycle. */
  #close(g: Graph, e: number): boolean {
    const { stride, before } = g;
    const words = wordsOf(g);
    const states = this.#states;
    const at = e * stride;
    states[e] = OPEN;
    // The latest stamps first: they mostly have the others in their rows.
    for (let w = words - 1; w >= 0; w--) {
      for (let bits = this.#direct[at + w]!; bits !== 0; ) {
        const highest = 31 - Math.clz32(bits);
        bits &= ~(1 << highest);
        const from = w * 32 + highest;
        if (from > e) g.early[from] = 1;
        if (states[from] === OPEN || (states[from] === NEW && !this.#close(g, from))) return false;
        if (before[at + w]! & (1 << highest)) continue;
        for (let i = 0, row = from * stride; i < words; i++) before[at + i]! |= before[row + i]!;
        before[at + w]! |= 1 << highest;
      }
    }
    states[e] = CLOSED;
    return true;
  }

  isPoisoned(g: Graph, write: number): boolean {
    return write >= 0 && (g.flags[write]! & POISON) !== 0;
  }
}

/** Setting the length of an array takes longer. */
function empty(list: number[]): void {
  while (list.length > 0) list.pop();
}
