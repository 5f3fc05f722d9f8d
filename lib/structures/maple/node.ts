/**
 * Nodes of a maple tree, and the words of its head.
 *
 * A node splits a stretch of indices into slots, one behind the other, with nothing left out: slot 0 begins where the node
 * does, each other one behind the pivot of the slot before, and each ends at its pivot. `count` says how many there are; what
 * stands behind them means nothing. The last child of an inner node ends where the node does, and so does the last slot of a
 * leaf that is full. Where the tree ends with nothing, no slot says so: all keys behind the last pivot of its last leaf have
 * none, and it has room for a pivot.
 *
 *   leaf     a slot holds an entry (`xarray/entry.ts`), or 0 where nothing is
 *   inner    a slot holds a child: its address, with LEAF if it is a leaf. In a tree with gaps there is the longest gap of
 *            each child beside it, in indices; of the child that ends where the tree does, no less than that, so that a tree
 *            that grows at its end has not to say at each level how much is left
 *
 * Legal changes of a node that readers can find: an entry or 0 in a slot of a leaf, a child with the same stretch in a slot
 * of an inner node, a gap; and where the tree ends, slots that are added to the last leaf, or a child to the node above it. Those
 * are written first, with the pivots before them, and the count last: a reader goes by the count that it has seen. For
 * any other change a new node takes the node's place.
 *
 * Illegal: two slots side by side with nothing in them; a leaf that ends with nothing, unless the tree does. So each gap
 * is one slot of one leaf.
 *
 * A node takes 32 words, two cache lines, of which two are the pool's. That leaves room for 15 slots, 10 with gaps; the
 * kernel's nodes of four lines have 16 and 10.
 *
 * Keys: pivots are compared as signed words, so an index is kept with its highest bit turned round.
 */
import type { Cpu } from '../../machine/cpu.ts';
import { struct } from '../../memory/struct.ts';
import { CoreWords } from '../core.ts';
import { Block } from '../pool.ts';

export const Node = struct({
  block: Block,
  /** How many slots are in use. Pairs, where it is loaded, with the releases of `append.ts`. Pivots, slots and gaps stand behind it, as `Shape` says. */
  count: 1,
});

export const Head = struct({
  core: CoreWords,
  /** The root, as in a slot of an inner node; 0: nothing is in the tree. */
  root: 1,
  /** 1: nodes have no gaps. */
  flags: 1,
  /** The index behind the latest cyclic allocation, once `hasCycled` is 1. */
  next: 1,
  hasCycled: 1,
});

export const NO_GAPS = 1;

/** In a word that leads to a node: it is a leaf. */
export const LEAF = 1;

export const MIN_KEY = -(2 ** 31);
export const MAX_KEY = 2 ** 31 - 1;

export function keyOf(index: number): number {
  return index ^ MIN_KEY;
}

export function indexOf(key: number): number {
  return (key ^ MIN_KEY) >>> 0;
}

/** Nodes take so many words, and no level has more than so many slots. */
const SLOTS = 15;
const SLOTS_WITH_GAPS = 10;

/** Where things are in the nodes of a tree. */
export interface Shape {
  readonly words: number;
  readonly hasGaps: boolean;
  readonly leafSlots: number;
  readonly innerSlots: number;
  /** Offset of slot 0 in a leaf, and in an inner node. */
  readonly leafAt: number;
  readonly innerAt: number;
  /** Offset of the first gap in an inner node. */
  readonly gapsAt: number;
  /** Nodes with fewer slots than this are joined with a neighbour. */
  readonly leastInLeaf: number;
  readonly leastInInner: number;
}

function shape(leafSlots: number, innerSlots: number, hasGaps: boolean): Shape {
  const innerAt = Node.words + innerSlots - 1;
  const leafAt = Node.words + leafSlots - 1;
  return Object.freeze({
    words: Math.max(leafAt + leafSlots, innerAt + innerSlots * (hasGaps ? 2 : 1)),
    hasGaps,
    leafSlots,
    innerSlots,
    leafAt,
    innerAt,
    gapsAt: innerAt + innerSlots,
    leastInLeaf: Math.ceil(leafSlots / 3),
    leastInInner: Math.ceil(innerSlots / 3),
  });
}

/** `slots`: 15, or 4 for a test that wants a tall tree of few entries. */
export function shapeOf(slots: 4 | 15, hasGaps: boolean): Shape {
  if (slots === SLOTS) return hasGaps ? WITH_GAPS : PLAIN;
  return hasGaps ? SMALL_WITH_GAPS : SMALL;
}

const WITH_GAPS = shape(SLOTS, SLOTS_WITH_GAPS, true);
const PLAIN = shape(SLOTS, SLOTS, false);
const SMALL_WITH_GAPS = shape(4, 3, true);
const SMALL = shape(4, 4, false);

/** The node that a word leads to. */
export function nodeOf(word: number): number {
  return word & ~LEAF;
}

export function isLeaf(word: number): boolean {
  return (word & LEAF) !== 0;
}

/**
 * The slot in which `key` is, of an inner node that has `count`. The node's stretch has the key.
 *
 * From the last slot on: then each pivot's address depends on the count, and what was written before the count is seen.
 */
export function childFor(cpu: Cpu, node: number, count: number, key: number): number {
  let slot = count - 1;
  const before = node + Node.words - 1;
  while (slot > 0 && cpu.read(before + slot) >= key) slot--;
  return slot;
}

/** The same of a leaf with room for `slots`; `count` where nothing is at the end of the tree. A full leaf was made as such. */
export function slotFor(cpu: Cpu, leaf: number, slots: number, count: number, key: number): number {
  let slot = count === slots ? count - 1 : count;
  const before = leaf + Node.words - 1;
  while (slot > 0 && cpu.read(before + slot) >= key) slot--;
  return slot;
}

/** How many pivots an inner node has that count. */
export function pivotsOfInner(count: number): number {
  return count - 1;
}

/** The same of a leaf with room for `slots`. */
export function pivotsOfLeaf(slots: number, count: number): number {
  return count === slots ? count - 1 : count;
}

/** The last key of a slot, of a node that has so many pivots and whose last key is `high`. */
export function lastOf(cpu: Cpu, node: number, pivots: number, slot: number, high: number): number {
  return slot < pivots ? cpu.read(node + Node.words + slot) : high;
}

/** The first key of a slot, of a node whose first key is `low`. */
export function firstOf(cpu: Cpu, node: number, slot: number, low: number): number {
  return slot === 0 ? low : cpu.read(node + Node.words + slot - 1) + 1;
}

/** For the writer: how many slots a leaf with the last key `high` has, with the one that stands nowhere. */
export function slotsOf(cpu: Cpu, shape: Shape, leaf: number, high: number): number {
  const count = cpu.read(leaf + Node.count);
  if (high !== MAX_KEY || count === shape.leafSlots) return count;
  return count === 0 || cpu.read(leaf + Node.words + count - 1) < high ? count + 1 : count;
}

/** For the writer: the last key of a leaf's slot. */
export function endOf(cpu: Cpu, shape: Shape, leaf: number, slot: number, high: number): number {
  return lastOf(cpu, leaf, pivotsOfLeaf(shape.leafSlots, cpu.read(leaf + Node.count)), slot, high);
}

/** For the writer: the word in a leaf's slot. */
export function wordOf(cpu: Cpu, shape: Shape, leaf: number, slot: number): number {
  return slot < cpu.read(leaf + Node.count) ? cpu.read(leaf + shape.leafAt + slot) : 0;
}

/** The longest gap in a leaf with the keys from `low` to `high`, in indices. */
export function longestGap(cpu: Cpu, shape: Shape, leaf: number, low: number, high: number): number {
  const count = slotsOf(cpu, shape, leaf, high);
  let longest = 0;
  let first = low;
  for (let slot = 0; slot < count; slot++) {
    const last = endOf(cpu, shape, leaf, slot, high);
    if (last - first >= longest && wordOf(cpu, shape, leaf, slot) === 0) longest = last - first + 1;
    first = last + 1;
  }
  return longest;
}
