/**
 * Looks for indices with nothing at them, for the thread that has the tree's latch. A gap is one slot of one leaf, so a child
 * whose longest gap is too short need not be looked at, and one that lies within the bounds has a place if its gap is long
 * enough. Only the children at the two bounds may disappoint, and the last one of the tree, whose gap may be said to be too
 * long: one look at each level.
 */
import type { Cpu } from '../../machine/cpu.ts';
import { LAST_INDEX } from '../indices.ts';
import {
  Head,
  indexOf,
  isLeaf,
  keyOf,
  Node,
  nodeOf,
  pivotsOfInner,
  pivotsOfLeaf,
  type Shape,
  slotsOf,
  wordOf,
} from './node.ts';

export interface Bounds {
  /** The area lies from `min` to `max`. */
  readonly min: number;
  readonly max: number;
  /** Indices that it has. */
  readonly size: number;
}

/** The lowest index, or the highest, at which an area begins; -1 for none. */
export function areaIn(cpu: Cpu, shape: Shape, tree: number, bounds: Bounds, isHighest: boolean): number {
  const root = cpu.loadDependent(tree + Head.root);
  if (root === 0) return place(0, LAST_INDEX, bounds, isHighest);
  return below(cpu, shape, root, 0, LAST_INDEX, bounds, isHighest);
}

/** The same, below a word that leads to a node with the indices from `low` to `high`. */
function below(
  cpu: Cpu,
  shape: Shape,
  word: number,
  low: number,
  high: number,
  bounds: Bounds,
  isHighest: boolean,
): number {
  const node = nodeOf(word);
  const used = cpu.read(node + Node.count);
  const count = isLeaf(word) ? slotsOf(cpu, shape, node, keyOf(high)) : used;
  const pivots = isLeaf(word) ? pivotsOfLeaf(shape.leafSlots, used) : pivotsOfInner(used);
  const pivot = (slot: number) => indexOf(cpu.read(node + Node.words + slot));
  for (let i = 0; i < count; i++) {
    const slot = isHighest ? count - 1 - i : i;
    const first = slot === 0 ? low : pivot(slot - 1) + 1;
    const last = slot < pivots ? pivot(slot) : high;
    if (last < bounds.min || first > bounds.max) {
      if (isHighest ? last < bounds.min : first > bounds.max) return -1;
      continue;
    }
    const at = inSlot(cpu, shape, word, slot, first, last, bounds, isHighest);
    if (at >= 0) return at;
  }
  return -1;
}

function inSlot(
  cpu: Cpu,
  shape: Shape,
  word: number,
  slot: number,
  first: number,
  last: number,
  bounds: Bounds,
  isHighest: boolean,
): number {
  const node = nodeOf(word);
  if (isLeaf(word)) {
    return wordOf(cpu, shape, node, slot) === 0 ? place(first, last, bounds, isHighest) : -1;
  }
  if (shape.hasGaps && cpu.read(node + shape.gapsAt + slot) >>> 0 < bounds.size) return -1;
  return below(cpu, shape, cpu.read(node + shape.innerAt + slot), first, last, bounds, isHighest);
}

/** Where the area begins in the gap from `first` to `last`. */
function place(first: number, last: number, { min, max, size }: Bounds, isHighest: boolean): number {
  const from = Math.max(first, min);
  const to = Math.min(last, max);
  if (to - from + 1 < size) return -1;
  return isHighest ? to - size + 1 : from;
}
