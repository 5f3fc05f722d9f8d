/**
 * Threads that are alike: the same code, which uses a thread's number for names only (its own words, its mark in a lock).
 * Renaming such threads turns one execution into another that need not be looked at. So an order is laid down for them:
 * compare what two alike threads do, event by event, up to the first difference; where both read one location, or both
 * write it, the thread of lower number must have the earlier place in coherence order. For every execution there is a
 * naming that has this order: the one that sorts the threads.
 *
 * A graph can be left when it breaks the order and everything that grows from it will. That is so when both threads'
 * events up to the difference are settled: no revisit to come can delete or change them. Settled is an event that is
 * not as the coherence-latest choice would have made it (see exhaustive.ts), because no revisit deletes it: if the
 * choice becomes the latest after all, then by a revisit whose write came after the event in po | rf; that write has a
 * reader that was there before it, and is not deleted either. And what an event needs is settled if the event is.
 */
import { AWAIT, CHOICE, FENCE, INIT, NOTHING, READ } from './events.ts';
import type { Graph } from './graph.ts';

const SAME = 0;
const IN_ORDER = 1;
const OUT_OF_ORDER = 2;

export class Symmetry {
  /** Pairs of alike threads, the lower number first. */
  readonly #pairs: readonly (readonly [number, number])[];
  readonly #settled: Int32Array;

  constructor(groups: readonly (readonly number[])[], threads: number) {
    this.#pairs = groups.flatMap((group) =>
      group.flatMap((a) => group.filter((b) => b > a).map((b) => [a, b] as const)),
    );
    this.#settled = new Int32Array(threads);
  }

  /** Will every execution that grows from the graph break the order? */
  isRenaming(g: Graph): boolean {
    this.#findSettled(g);
    for (const [a, b] of this.#pairs) if (this.#isOutOfOrder(g, a, b)) return true;
    return false;
  }

  /** How many events of each thread are settled. */
  #findSettled(g: Graph): void {
    const settled = this.#settled;
    const { threadCount, clock } = g;
    settled.fill(0);
    for (let e = 0; e < g.n; e++) {
      if (g.index[e]! < settled[g.thread[e]!]! || !isSettled(g, e)) continue;
      for (let t = 0, at = e * threadCount; t < settled.length; t++) {
        if (clock[at + t]! > settled[t]!) settled[t] = clock[at + t]!;
      }
    }
  }

  #isOutOfOrder(g: Graph, a: number, b: number): boolean {
    const most = Math.min(this.#settled[a]!, this.#settled[b]!);
    for (let i = 0; i < most; i++) {
      const order = compare(g, g.threads[a]![i]!, g.threads[b]![i]!);
      if (order !== SAME) return order === OUT_OF_ORDER;
    }
    return false;
  }
}

/** Is `e` something else than what the latest choice would have made it? */
function isSettled(g: Graph, e: number): boolean {
  const flags = g.flags[e]!;
  if (flags & FENCE) return (flags & CHOICE) !== 0 && g.value[e] !== g.arg[e];
  if (flags & AWAIT) return g.rf[e] !== NOTHING;
  const location = g.location[e]!;
  const co = g.co[location]!;
  const subject = flags & READ ? g.rf[e]! : e;
  for (let place = co.length - 1; place >= 0 && co[place] !== subject; place--) {
    // A write that found no place is not in coherence order.
    if (co[place]! < e) return subject === INIT || co.lastIndexOf(subject, place) >= 0;
  }
  if (flags & READ) return false;
  for (const r of g.reads[location]!) if (g.rf[r] === e && r < e) return true;
  return false;
}

function compare(g: Graph, a: number, b: number): number {
  const flags = g.flags[a]!;
  if (g.op[a] !== g.op[b]) return IN_ORDER;
  if (flags & FENCE) {
    if (!(flags & CHOICE) || g.value[a] === g.value[b]) return SAME;
    return g.value[a]! < g.value[b]! ? IN_ORDER : OUT_OF_ORDER;
  }
  if (g.location[a] !== g.location[b]) return isSameOfItsOwn(g, a, b) ? SAME : IN_ORDER;
  if (!(flags & READ)) return inOrder(g, a, b);
  if (g.rf[a] === g.rf[b]) return SAME;
  return g.rf[a] === NOTHING || g.rf[b] === NOTHING ? IN_ORDER : inOrder(g, g.rf[a]!, g.rf[b]!);
}

/** By the places in coherence order of two writes, or INIT, of one location. */
function inOrder(g: Graph, a: number, b: number): number {
  const co = g.co[g.location[a === INIT ? b : a]!]!;
  return co.indexOf(a) < co.indexOf(b) ? IN_ORDER : OUT_OF_ORDER;
}

/** At two locations, which are then the threads' own: has nobody else to do with what the events see or overwrite? */
function isSameOfItsOwn(g: Graph, a: number, b: number): boolean {
  if (!(g.flags[a]! & READ)) {
    const place = ownWritesBefore(g, a);
    return place >= 0 && place === ownWritesBefore(g, b);
  }
  const [from, likewise] = [g.rf[a]!, g.rf[b]!];
  if (from < 0 || likewise < 0) return from === likewise;
  if (g.thread[from] !== g.thread[a] || g.thread[likewise] !== g.thread[b]) return false;
  return g.index[from] === g.index[likewise];
}

/** How many writes come before `w` in coherence order; -1 if one is another thread's. */
function ownWritesBefore(g: Graph, w: number): number {
  const co = g.co[g.location[w]!]!;
  for (let place = 0; place < co.length; place++) {
    if (co[place] === w) return place;
    if (g.thread[co[place]!] !== g.thread[w]) return -1;
  }
  return -1;
}
