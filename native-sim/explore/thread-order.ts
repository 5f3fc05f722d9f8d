/**
 * What a thread keeps of its own order, without comparing each of its events with each (`ppo.ts` says what that is): a few
 * positions are kept up to date as events come, and tell which events come directly before the next one. Those, and all that
 * comes before them, are what `ppo.ts` demands; a test compares the two.
 *
 * That few are enough has these reasons. An access that all later accesses follow (an acquire) follows the one before it that is
 * like it. What follows all earlier accesses (a release, a full fence) stands for all of them. A fence comes after an earlier one
 * of its kind in all but name: each has before it what the earlier one has, and nobody observes a fence itself.
 */
import { ACQUIRE, FENCE, FENCE_LD, FENCE_ST, FULL, KINDS, READ, RELEASE, RMW, WRITE } from './events.ts';
import type { Graph } from './graph.ts';
import { keepsProgramOrder, type ModelName } from './ppo.ts';

/** The last event of each kind in a thread, by position: in the column `kept` of a graph, for each event up to that one. */
const STRONG = 0;
const TOTAL = 1;
const FULL_FENCE = 2;
const READ_FENCE = 3;
const WRITE_FENCE = 4;
const RELEASED = 5;

type Kinds = (flags: number) => number;

const bit = (kind: number) => 1 << kind;

/** A store may be delayed past later loads; nothing else. */
const x86Kinds: Kinds = (flags) => {
  if (flags & FENCE) return flags & FULL ? bit(FULL_FENCE) | bit(TOTAL) : 0;
  if (flags & RMW) return bit(STRONG) | bit(TOTAL);
  return flags & READ ? bit(STRONG) : bit(TOTAL);
};

const armKinds: Kinds = (flags) => {
  if (flags & FENCE) {
    if (flags & FULL) return bit(FULL_FENCE) | bit(TOTAL);
    return flags & FENCE_LD ? bit(READ_FENCE) : flags & FENCE_ST ? bit(WRITE_FENCE) : 0;
  }
  if (flags & READ) return flags & ACQUIRE ? bit(STRONG) : 0;
  return (flags & FULL ? bit(STRONG) : 0) | (flags & RELEASE ? bit(TOTAL) | bit(RELEASED) : 0);
};

export class ThreadOrder {
  /** The events directly before one, as `find` found them, by position in the thread: so many of the first elements. */
  edges = new Int32Array(64);
  count = 0;
  readonly #inOrder: boolean;
  readonly #isArm: boolean;
  readonly #kinds: Kinds;

  constructor(model: ModelName) {
    this.#inOrder = keepsProgramOrder(model);
    this.#isArm = model === 'armv8';
    this.#kinds = this.#isArm ? armKinds : x86Kinds;
  }

  /** Notes what there is in the thread up to `e`, its last event. */
  note(g: Graph, e: number): void {
    if (this.#inOrder) return;
    const { kept } = g;
    const at = g.index[e]!;
    const row = e * KINDS;
    const before = at === 0 ? -1 : g.threads[g.thread[e]!]![at - 1]! * KINDS;
    const kinds = this.#kinds(g.flags[e]!);
    for (let kind = 0; kind < KINDS; kind++) {
      kept[row + kind] = kinds & (1 << kind) ? at : before < 0 ? -1 : kept[before + kind]!;
    }
  }

  /**
   * Finds what is directly before an event with `flags` that follows the first `count` events of `thread`. `same`: the last of
   * these at its location, or -1.
   */
  find(g: Graph, thread: number, count: number, flags: number, same: number): void {
    this.count = 0;
    if (count === 0) return;
    // The same one may be found in more than one way.
    if (this.edges.length < count + 8) this.edges = new Int32Array(2 * count + 8);
    if (this.#inOrder) {
      this.#add(count - 1);
      return;
    }
    const list = g.threads[thread]!;
    if (this.#kinds(flags) & bit(TOTAL)) this.#findAll(g, list, count);
    else if (!(flags & FENCE)) this.#findForAccess(g, list, count, flags, same);
    else if (this.#isArm && flags & FENCE_LD) this.#findReads(g, list, count);
    else if (this.#isArm && flags & FENCE_ST) this.#findWrites(g, list, count);
  }

  #add(position: number): void {
    this.edges[this.count++] = position;
  }

  #last(g: Graph, list: readonly number[], count: number, kind: number): number {
    return g.kept[list[count - 1]! * KINDS + kind]!;
  }

  /** All accesses: those since the last event that follows all others, and that one. */
  #findAll(g: Graph, list: readonly number[], count: number): void {
    const total = this.#last(g, list, count, TOTAL);
    for (let i = count - 1; i > total; i--) if (!(g.flags[list[i]!]! & FENCE)) this.#add(i);
    if (total >= 0) this.#add(total);
  }

  #findForAccess(g: Graph, list: readonly number[], count: number, flags: number, same: number): void {
    const strong = this.#last(g, list, count, STRONG);
    const full = this.#last(g, list, count, FULL_FENCE);
    if (strong >= 0) this.#add(strong);
    if (full > strong) this.#add(full);
    const reads = this.#last(g, list, count, READ_FENCE);
    if (reads > strong && reads > full) this.#add(reads);
    if (flags & WRITE) {
      const writes = this.#last(g, list, count, WRITE_FENCE);
      // An acquire does not stand for it: reads may come before such a fence.
      if (writes > full) this.#add(writes);
      if (this.#isArm) this.#findAtSameLocation(g, list, same);
    } else if (flags & ACQUIRE && this.#isArm) {
      const released = this.#last(g, list, count, RELEASED);
      if (released >= 0) this.#add(released);
      const write = lastWrite(g, list, same);
      if (write >= 0 && g.flags[list[write]!]! & RMW) this.#add(write);
    }
  }

  /** The reads of the location since the thread's last write to it, and that one. */
  #findAtSameLocation(g: Graph, list: readonly number[], same: number): void {
    const write = lastWrite(g, list, same);
    for (let i = same; i > write; i = g.sameBefore[list[i]!]!) this.#add(i);
    if (write >= 0) this.#add(write);
  }

  /**
   * For a fence: all reads back to the last fence that is full, or of this kind. A full one needs no edge from here: each access
   * that follows this fence follows that one as well.
   */
  #findReads(g: Graph, list: readonly number[], count: number): void {
    for (let i = count - 1; i >= 0; i--) {
      const flags = g.flags[list[i]!]!;
      if (flags & READ || flags & FENCE_LD) this.#add(i);
      if (flags & FENCE_LD || (flags & FULL && flags & FENCE)) return;
    }
  }

  #findWrites(g: Graph, list: readonly number[], count: number): void {
    for (let i = count - 1; i >= 0; i--) {
      const flags = g.flags[list[i]!]!;
      if (flags & WRITE || flags & FENCE_ST) this.#add(i);
      if (flags & FENCE_ST || flags & RELEASE || (flags & FULL && flags & FENCE)) return;
    }
  }
}

/** The last write at the location of the event at position `same`, that one included. */
function lastWrite(g: Graph, list: readonly number[], same: number): number {
  let i = same;
  while (i >= 0 && !(g.flags[list[i]!]! & WRITE)) i = g.sameBefore[list[i]!]!;
  return i;
}
