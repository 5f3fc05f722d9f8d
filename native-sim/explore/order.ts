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
import { isPlain, keepsProgramOrder, type ModelName, PPO, type Ppo } from './ppo.ts';

const NEW = 0;
const OPEN = 1;
const CLOSED = 2;

export class Ordering {
  readonly model: ModelName;
  readonly #ppo: Ppo;
  readonly #inOrder: boolean;
  /** The events before the one being placed, as bits. */
  #row = new Int32Array(8);
  #ahead = new Int32Array(8);
  /** See `#preserve`. */
  readonly #edges: number[] = [];
  #closure = new Int32Array(8);
  #prefix = 0;
  /** For `rebuild`: rows of direct predecessors; how far an event's row is; a write's place in coherence order. */
  #direct = new Int32Array(256);
  #states = new Uint8Array(64);
  #places = new Int32Array(64);

  constructor(model: ModelName) {
    this.model = model;
    this.#ppo = PPO[model];
    this.#inOrder = keepsProgramOrder(model);
  }

  #include(g: Graph, row: Int32Array, e: number): void {
    const { before } = g;
    const from = e * g.stride;
    for (let i = 0, words = wordsOf(g); i < words; i++) row[i]! |= before[from + i]!;
    row[e >>> 5]! |= 1 << (e & 31);
  }

  /**
   * What the thread keeps before an event with `flags` that follows its first `count` events, by position in the
   * thread, into `#edges`; what follows from others by the thread's own order is left out.
   */
  #preserve(g: Graph, thread: number, count: number, flags: number, location: number): void {
    const edges = this.#edges;
    edges.length = 0;
    if (this.#inOrder) {
      if (count > 0) edges.push(count - 1);
      return;
    }
    const list = g.threads[thread]!;
    const words = (count + 31) >>> 5;
    if (this.#closure.length < words) this.#closure = new Int32Array(words * 2);
    const closure = this.#closure;
    closure.fill(0, 0, words);
    let near = true;
    let prefix = 0;
    for (let i = count - 1; i >= prefix; i--) {
      const a = list[i]!;
      const same = g.location[a] === location;
      if ((closure[i >>> 5]! & (1 << (i & 31))) === 0 && this.#ppo(g.flags[a]!, flags, same, near)) {
        edges.push(i);
        const further = g.ppoClosure[a]!;
        for (let w = 0; w < further.length; w++) closure[w]! |= further[w]!;
        closure[i >>> 5]! |= 1 << (i & 31);
        prefix = Math.max(prefix, g.ppoPrefix[a]!);
      }
      if (same && g.flags[a]! & WRITE) near = false;
    }
    while (prefix < count && (closure[prefix >>> 5]! & (1 << (prefix & 31))) !== 0) prefix++;
    this.#prefix = prefix;
  }

  /** Everything before an event with `flags` that follows the thread's first `count` events, by the thread's doing. */
  local(g: Graph, row: Int32Array, thread: number, count: number, flags: number, location: number): void {
    row.fill(0, 0, g.stride);
    this.#preserve(g, thread, count, flags, location);
    const list = g.threads[thread]!;
    for (const i of this.#edges) this.#include(g, row, list[i]!);
  }

  /** `local` for the event `e`, which is in the graph; what its thread keeps before it is noted there. */
  #place(g: Graph, row: Int32Array, e: number): void {
    this.local(g, row, g.thread[e]!, g.index[e]!, g.flags[e]!, g.location[e]!);
    this.#note(g, e);
  }

  #note(g: Graph, e: number): void {
    g.ppoEdges[e] = this.#edges.slice();
    if (this.#inOrder) return;
    g.ppoClosure[e] = this.#closure.slice(0, (g.index[e]! + 31) >>> 5);
    g.ppoPrefix[e] = this.#prefix;
  }

  /** The flags of `e` have changed, so what its thread keeps before it may have. */
  reconsider(g: Graph, e: number): void {
    this.#preserve(g, g.thread[e]!, g.index[e]!, g.flags[e]!, g.location[e]!);
    this.#note(g, e);
  }

  #scratch(g: Graph): void {
    if (this.#row.length < g.stride) {
      this.#row = new Int32Array(g.stride);
      this.#ahead = new Int32Array(g.stride);
    }
  }

  /** How many writes of `location` the thread has already seen, going by its first `count` events. */
  seen(g: Graph, thread: number, count: number, location: number): number {
    const list = g.threads[thread]!;
    for (let i = count - 1; i >= 0; i--) {
      const e = list[i]!;
      if (g.location[e] !== location || g.rf[e] === NOTHING) continue;
      const write = g.flags[e]! & WRITE ? e : g.rf[e]!;
      return write === INIT ? 0 : g.co[location]!.indexOf(write) + 1;
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
    g.touch(location);
    const count = g.threads[thread]!.length;
    const lowest = this.seen(g, thread, count, location);
    const co = g.co[location]!;
    const last = count === 0 ? -1 : g.threads[thread]![count - 1]!;
    const row = this.#row;
    let rowFlags = 0;
    out.length = 0;
    for (let i = co.length; i >= lowest; i--) {
      const write = i === 0 ? INIT : co[i - 1]!;
      const flags = accept(write);
      if (flags === 0) continue;
      const next = i < co.length ? co[i]! : -1;
      if (next >= 0 && flags & RMW && g.flags[next]! & RMW) {
        if (strict || (last >= 0 && g.inPrefix(next, last))) continue;
      }
      if (next >= 0) {
        if (flags !== rowFlags) {
          this.local(g, row, thread, count, flags, location);
          rowFlags = flags;
        }
        if (this.#overtaken(g, row, thread, write, co, i)) continue;
      }
      out.push(write);
    }
  }

  /** Is a write after position `i` already before a read whose local past is `row` and that reads `write`? */
  #overtaken(g: Graph, row: Int32Array, thread: number, write: number, co: number[], i: number): boolean {
    const external = write >= 0 && g.thread[write] !== thread;
    for (let j = i; j < co.length; j++) {
      const later = co[j]!;
      if (g.thread[later] === thread) continue;
      if (row[later >>> 5]! & (1 << (later & 31))) return true;
      if (external && g.isBefore(later, write)) return true;
    }
    return false;
  }

  /** The places in coherence order where a write at the end of `thread` may go, latest first, into `out`. */
  writeChoices(g: Graph, thread: number, location: number, flags: number, out: number[]): void {
    this.#scratch(g);
    g.touch(location);
    const count = g.threads[thread]!.length;
    const co = g.co[location]!;
    const row = this.#row;
    out.length = 0;
    this.local(g, row, thread, count, flags, location);
    const isRmw = (flags & RMW) !== 0;
    const lowest = isRmw ? this.rmwPlace(g, thread) : this.seen(g, thread, count, location);
    const highest = isRmw ? lowest : co.length;
    for (let i = highest; i >= lowest; i--) {
      if (i < co.length && g.flags[co[i]!]! & RMW) continue;
      if (i < co.length && this.#precedesLater(g, row, thread, location, i)) continue;
      out.push(i);
    }
  }

  /** The place right after what the last exclusive read of the thread read. */
  rmwPlace(g: Graph, thread: number): number {
    const list = g.threads[thread]!;
    let i = list.length - 1;
    while ((g.flags[list[i]!]! & (READ | RMW)) !== (READ | RMW)) i--;
    const e = list[i]!;
    return g.rf[e] === INIT ? 0 : g.co[g.location[e]!]!.indexOf(g.rf[e]!) + 1;
  }

  #precedesLater(g: Graph, local: Int32Array, thread: number, location: number, place: number): boolean {
    const co = g.co[location]!;
    const row = this.#ahead;
    for (let i = 0; i < g.stride; i++) row[i] = local[i]!;
    this.#observe(g, row, thread, location, place);
    for (let j = place; j < co.length; j++) {
      const later = co[j]!;
      if (g.thread[later] !== thread && row[later >>> 5]! & (1 << (later & 31))) return true;
    }
    return false;
  }

  /** Adds to `row` what a write at `place` overwrites: the other threads' writes before it, and who read them. */
  #observe(g: Graph, row: Int32Array, thread: number, location: number, place: number): void {
    const co = g.co[location]!;
    for (let j = 0; j < place; j++) {
      if (g.thread[co[j]!] !== thread) this.#include(g, row, co[j]!);
    }
    for (const r of g.reads[location]!) {
      if (g.thread[r] === thread || g.rf[r] === NOTHING) continue;
      const from = g.rf[r]!;
      if (from === INIT || co.indexOf(from) < place) this.#include(g, row, r);
    }
  }

  /** Places the read `e`, pushed last with its `rf` set. */
  insertRead(g: Graph, e: number): void {
    this.#scratch(g);
    const row = this.#row;
    const thread = g.thread[e]!;
    const location = g.location[e]!;
    this.#place(g, row, e);
    const write = g.rf[e]!;
    if (write >= 0 && g.thread[write] !== thread) this.#include(g, row, write);
    copyRow(g, row, e);
    if (write === NOTHING) return;
    const co = g.co[location]!;
    this.#precede(g, e, write === INIT ? 0 : co.indexOf(write) + 1);
  }

  /** Places the write `e`, pushed last, at `place` in coherence order. */
  insertWrite(g: Graph, e: number, place: number): void {
    this.#scratch(g);
    const row = this.#row;
    const thread = g.thread[e]!;
    const location = g.location[e]!;
    this.#place(g, row, e);
    this.#observe(g, row, thread, location, place);
    copyRow(g, row, e);
    const co = g.co[location]!;
    if (place === co.length) {
      co.push(e);
      return;
    }
    this.#precede(g, e, place);
    co.splice(place, 0, e);
  }

  insertFence(g: Graph, e: number): void {
    this.#scratch(g);
    this.#place(g, this.#row, e);
    copyRow(g, this.#row, e);
  }

  /** `e` comes before the other threads' writes from place `from` on, and before all that they come before. */
  #precede(g: Graph, e: number, from: number): void {
    const co = g.co[g.location[e]!]!;
    const { stride, before } = g;
    const ahead = this.#ahead;
    ahead.fill(0, 0, stride);
    let any = false;
    for (let j = from; j < co.length; j++) {
      const later = co[j]!;
      if (g.thread[later] === g.thread[e]) continue;
      ahead[later >>> 5]! |= 1 << (later & 31);
      any = true;
    }
    if (!any) return;
    g.early[e] = 1;
    const own = e * stride;
    const words = wordsOf(g);
    for (let y = 0; y < g.n; y++) {
      if (y === e) continue;
      const at = y * stride;
      let hit = ahead[y >>> 5]! & (1 << (y & 31));
      for (let i = 0; i < words && hit === 0; i++) hit = before[at + i]! & ahead[i]!;
      if (hit === 0) continue;
      for (let i = 0; i < words; i++) before[at + i]! |= before[own + i]!;
      before[at + (e >>> 5)]! |= 1 << (e & 31);
    }
  }

  /**
   * An access that conflicts with `e`, the last of its thread, and is ordered neither before nor after it; or -1. That
   * one reads the other, or overwrites it, is no order: it is what the race decides. So of two accesses related in this
   * way alone, the edge between them is left out.
   */
  race(g: Graph, e: number): number {
    this.#surroundings = NOTHING;
    return this.#findRival(g, e, true);
  }

  /** `race` for any event of a graph: finds those accesses that are not ordered after it. */
  raceBefore(g: Graph, e: number): number {
    this.#surroundings = NOTHING;
    return this.#findRival(g, e, false);
  }

  #findRival(g: Graph, e: number, isLast: boolean): number {
    const location = g.location[e]!;
    const rival = this.#rivalAmong(g, e, g.co[location]!, isLast);
    return rival >= 0 || !(g.flags[e]! & WRITE) ? rival : this.#rivalAmong(g, e, g.reads[location]!, isLast);
  }

  #rivalAmong(g: Graph, e: number, others: readonly number[], isLast: boolean): number {
    const flags = g.flags[e]!;
    const thread = g.thread[e]!;
    for (let i = 0; i < others.length; i++) {
      const other = others[i]!;
      if (!isPlain(this.model, g.flags[other]! | flags)) continue;
      if (g.thread[other] === thread || g.rf[other] === NOTHING) continue;
      if (this.model === 'javascript') {
        if (!this.#happensBefore(g, other, e) && !this.#happensBefore(g, e, other)) return other;
        continue;
      }
      if (isLast ? this.#isUnordered(g, e, other) : this.#isNotOrderedBefore(g, e, other)) return other;
    }
    return -1;
  }

  /**
   * ECMAScript's happens-before, (po | sw)+: sw leads from an atomic write to an atomic read of it. `clock` has the
   * reads-from of ordinary accesses as well; but if one of those is no happens-before, it is a race itself, and found.
   */
  #happensBefore(g: Graph, a: number, b: number): boolean {
    const at = g.index[b]!;
    if (at > 0 && g.inPrefix(a, g.threads[g.thread[b]!]![at - 1]!)) return true;
    const from = g.flags[b]! & READ ? g.rf[b]! : INIT;
    return from >= 0 && !isPlain(this.model, g.flags[b]! | g.flags[from]!) && g.inPrefix(a, from);
  }

  #isUnordered(g: Graph, e: number, other: number): boolean {
    this.#surround(g, e);
    if (this.#row[other >>> 5]! & (1 << (other & 31))) return false;
    const { stride, before } = g;
    for (let i = 0, at = other * stride; i < stride; i++) if (before[at + i]! & this.#ahead[i]!) return false;
    return true;
  }

  #isNotOrderedBefore(g: Graph, e: number, other: number): boolean {
    if (!g.isBefore(other, e)) return !g.isBefore(e, other);
    this.#surround(g, e);
    return (this.#row[other >>> 5]! & (1 << (other & 31))) === 0;
  }

  /** The event whose surroundings are in `#row` and `#ahead`. */
  #surroundings = NOTHING;

  /** What is before `e` by more than one edge from another thread, into `#row`; its direct successors into `#ahead`. */
  #surround(g: Graph, e: number): void {
    if (this.#surroundings === e) return;
    this.#surroundings = e;
    this.#scratch(g);
    const { stride } = g;
    const row = this.#row;
    const ahead = this.#ahead;
    const thread = g.thread[e]!;
    const co = g.co[g.location[e]!]!;
    row.fill(0, 0, stride);
    ahead.fill(0, 0, stride);
    for (const i of g.ppoEdges[e]!) this.#include(g, row, g.threads[thread]![i]!);
    let place: number;
    if (g.flags[e]! & READ) {
      const write = g.rf[e]!;
      this.#includePast(g, write, thread);
      place = write === INIT ? 0 : co.indexOf(write) + 1;
    } else {
      place = co.indexOf(e);
      for (let j = 0; j < place; j++) this.#includePast(g, co[j]!, thread);
      for (const r of g.reads[g.location[e]!]!) {
        if (g.rf[r] !== NOTHING && (g.rf[r] === INIT || co.indexOf(g.rf[r]!) < place)) this.#includePast(g, r, thread);
      }
    }
    for (let j = place; j < co.length; j++) {
      const later = co[j]!;
      if (g.thread[later] !== thread) ahead[later >>> 5]! |= 1 << (later & 31);
    }
  }

  /** Adds what is before `y`, of another thread, to `#row`: without `y`. */
  #includePast(g: Graph, y: number, thread: number): void {
    if (y < 0 || g.thread[y] === thread) return;
    const { stride, before } = g;
    for (let i = 0, at = y * stride; i < stride; i++) this.#row[i]! |= before[at + i]!;
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
    for (const i of g.ppoEdges[e]!) mark(direct, at, own[i]!);
    if (g.flags[e]! & READ) {
      const from = g.rf[e]!;
      if (from >= 0 && g.thread[from] !== thread) mark(direct, at, from);
    } else if (g.flags[e]! & WRITE) {
      const co = g.co[g.location[e]!]!;
      const place = this.#places[e]!;
      for (let j = 0; j < place; j++) if (g.thread[co[j]!] !== thread) mark(direct, at, co[j]!);
      for (const r of g.reads[g.location[e]!]!) {
        const from = g.rf[r]!;
        if (g.thread[r] === thread || from === NOTHING) continue;
        if (from === INIT || this.#places[from]! < place) mark(direct, at, r);
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

/** How many words of a row have bits of events that there are. */
function wordsOf(g: Graph): number {
  return (g.n + 31) >>> 5;
}

function copyRow(g: Graph, row: Int32Array, e: number): void {
  const { stride } = g;
  for (let i = 0; i < stride; i++) g.before[e * stride + i] = row[i]!;
}

function mark(rows: Int32Array, at: number, e: number): void {
  rows[at + (e >>> 5)]! |= 1 << (e & 31);
}
