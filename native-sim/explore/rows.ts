/** Rows of `Graph.before`: sets of events as bits, one for each event, with what comes before it. */
import type { Graph } from './graph.ts';
import type { ThreadOrder } from './thread-order.ts';

/** How many words of a row have bits of events that there are. */
export function wordsOf(g: Graph): number {
  return (g.n + 31) >>> 5;
}

export function copyRow(g: Graph, row: Int32Array, e: number): void {
  const { stride } = g;
  for (let i = 0; i < stride; i++) g.before[e * stride + i] = row[i]!;
}

export function mark(rows: Int32Array, at: number, e: number): void {
  rows[at + (e >>> 5)]! |= 1 << (e & 31);
}

/** Adds `e`, and what is before it, to `row`. */
export function include(g: Graph, row: Int32Array, e: number): void {
  const { before } = g;
  const from = e * g.stride;
  for (let i = 0, words = wordsOf(g); i < words; i++) row[i]! |= before[from + i]!;
  row[e >>> 5]! |= 1 << (e & 31);
}

/** Adds the edges that `inThread` has just found in `thread`. */
export function includeEdges(g: Graph, row: Int32Array, thread: number, inThread: ThreadOrder): void {
  const list = g.threads[thread]!;
  const { edges, count } = inThread;
  for (let i = 0; i < count; i++) {
    const e = list[edges[i]!]!;
    if ((row[e >>> 5]! & (1 << (e & 31))) === 0) include(g, row, e);
  }
}
