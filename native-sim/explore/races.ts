/**
 * Data races: two accesses of one location of which one writes and one is plain, and which nothing orders. On hardware the order is
 * that of `order.ts`, without the edge between the two themselves; in JavaScript it is happens-before.
 *
 * A read that waits for a value looks many times, and only its last look is an event. The looks in vain are accesses as well: they
 * come after what its thread has done before, and what the last one sees orders nothing before them. That one may be made before
 * its rival is: the search finds such a race in the end, where `raceBefore` asks for each event.
 */
import { AWAIT, INIT, NOTHING, READ, WRITE } from './events.ts';
import type { Graph } from './graph.ts';
import { isPlain, type ModelName } from './ppo.ts';
import { includeEdges } from './rows.ts';
import { ThreadOrder } from './thread-order.ts';

export class Races {
  readonly #model: ModelName;
  readonly #inThread: ThreadOrder;
  #row = new Int32Array(8);
  #ahead = new Int32Array(8);
  /** The event whose surroundings are in these. */
  #surroundings = NOTHING;

  constructor(model: ModelName) {
    this.#model = model;
    this.#inThread = new ThreadOrder(model);
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
      if (!isPlain(this.#model, g.flags[other]! | flags)) continue;
      if (g.thread[other] === thread || g.rf[other] === NOTHING) continue;
      if (this.#model === 'javascript') {
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
    const from = (g.flags[b]! & (READ | AWAIT)) === READ ? g.rf[b]! : INIT;
    return from >= 0 && !isPlain(this.#model, g.flags[b]! | g.flags[from]!) && g.inPrefix(a, from);
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

  /** What is before `e` by more than one edge from another thread, into `#row`; its direct successors into `#ahead`. */
  #surround(g: Graph, e: number): void {
    if (this.#surroundings === e) return;
    this.#surroundings = e;
    const { stride } = g;
    if (this.#row.length < stride) {
      this.#row = new Int32Array(stride);
      this.#ahead = new Int32Array(stride);
    }
    const row = this.#row;
    const ahead = this.#ahead;
    const thread = g.thread[e]!;
    const co = g.co[g.location[e]!]!;
    row.fill(0, 0, stride);
    ahead.fill(0, 0, stride);
    this.#inThread.find(g, thread, g.index[e]!, g.flags[e]!, g.sameBefore[e]!);
    includeEdges(g, row, thread, this.#inThread);
    let place: number;
    if (g.flags[e]! & READ) {
      const write = g.rf[e]!;
      if (!(g.flags[e]! & AWAIT)) this.#includePast(g, write, thread);
      place = write === INIT ? 0 : co.lastIndexOf(write) + 1;
    } else {
      place = co.lastIndexOf(e);
      const overwritten = place <= 0 ? INIT : co[place - 1]!;
      this.#includePast(g, overwritten, thread);
      for (const r of g.reads[g.location[e]!]!) if (g.rf[r] === overwritten) this.#includePast(g, r, thread);
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
}
