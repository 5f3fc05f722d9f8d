/** What an exhaustive search has still to look at. */
import type { Graph } from './graph.ts';

/** What is different in an alternative. Stamps are those of its graph. */
export type Difference =
  /** The read `stamp` reads from `rf`. `before`: the order of the events before it: cheaper than to compute it anew. */
  | { kind: 'read'; stamp: number; rf: number; before: Int32Array }
  /** The write `stamp` takes another place in coherence order. */
  | { kind: 'write'; stamp: number; place: number; before: Int32Array | null }
  /** The choice `stamp` is made differently. */
  | { kind: 'choice'; stamp: number; value: number }
  /** The write `stamp` revisits a read. */
  | { kind: 'revisit'; stamp: number; read: number }
  /** The graph is as it is to be. */
  | { kind: 'graph' };

export interface Alternative {
  g: Graph;
  difference: Difference;
  /** Which share of the search it stands for. */
  weight: number;
  /** How many revisits led here. */
  depth: number;
  /** Which alternatives were taken to get here, to hand the subtree to another worker. */
  path: number[];
}

/** A part of the search, and which share of the whole it stands for. */
export type Subtree = Pick<Alternative, 'path' | 'weight'>;

export function subtreeOf({ path, weight }: Alternative): Subtree {
  return { path, weight };
}
