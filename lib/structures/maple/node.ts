/**
 * Nodes of a maple tree, and the words of its head.
 *
 * A node splits a stretch of indices into slots, one behind the other, with nothing left out: slot 0 begins where the node
 * does, each other one behind the pivot of the slot before, and each ends at its pivot. `count` says how many there are. Pivots
 * behind theirs are the greatest key, or those of slots that are being added: a search looks at them and is not led astray. What
 * else stands there means nothing. The last child of an inner node ends where the node does, and so does the last slot of a
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
 * A leaf takes 32 words, two cache lines, of which two are the pool's. That leaves room for 15 slots. It is copied by nearly
 * every store, so it is short. An inner node is copied when a leaf is split, and has 30 children: 62 words, 92 with gaps. So a million
 * ranges have four levels above the leaves. The kernel's nodes of four lines have 16 slots, 10 with gaps.
 *
 * Keys: pivots are compared as signed words, so an index is kept with its highest bit turned round.
 */
import type { Cpu } from '../../machine/cpu.ts';
import { struct } from '../../memory/struct.ts';
import { Block } from '../chunks.ts';
import { CoreWords } from '../core.ts';

export const Node = struct({
  block: Block,
  /** How many slots are in use. Pairs, where it is loaded, with the releases of `append.ts`. Pivots, slots and gaps stand behind it, as `Shape` says. */
  count: 1,
});

/** Fewer than a word's, for `loadWord()` of walk.ts. */
export const CHANGES_BITS = 30;

export const Head = struct({
  core: CoreWords,
  /** The root, as in a slot of an inner node; 0: nothing is in the tree. */
  root: 1,
  /**
   * Counts changes that take a leaf out, twice each: before the first word that leads to a node is written, and behind the last.
   * A leaf that was found since this was even is the tree's while this is the same. From 0 to MOST_CHANGES, then from 0 again.
   */
  changes: 1,
  /** 1: nodes have no gaps. */
  flags: 1,
  /** The index behind the latest cyclic allocation, once `hasCycled` is 1. */
  next: 1,
  hasCycled: 1,
});

export const NO_GAPS = 1;
export const MOST_CHANGES = 2 ** CHANGES_BITS - 1;

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
const LEAF_STRIDE = 5;
const LEAF_SLOTS = 3 * LEAF_STRIDE;
const INNER_STRIDE = 6;
const INNER_SLOTS = 5 * INNER_STRIDE;

/** Where things are in the nodes of a tree. */
export interface Shape {
  /** Lengths of a leaf and of an inner node. */
  readonly leafWords: number;
  readonly innerWords: number;
  readonly hasGaps: boolean;
  readonly leafSlots: number;
  readonly innerSlots: number;
  /** Pivots that a leaf and an inner node have room for. */
  readonly leafPivots: number;
  readonly innerPivots: number;
  /** Slots in a stride of a search (`childFor`); 0: it has no strides. */
  readonly leafStride: number;
  readonly innerStride: number;
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
  // What a search looks at, a stride included that a small node has not.
  const leafPivots = Math.max(leafSlots, LEAF_STRIDE) - 1;
  const innerPivots = Math.max(innerSlots, INNER_STRIDE) - 1;
  const leafAt = Node.words + leafPivots;
  const innerAt = Node.words + innerPivots;
  return Object.freeze({
    leafWords: leafAt + leafSlots,
    innerWords: innerAt + innerSlots * (hasGaps ? 2 : 1),
    hasGaps,
    leafSlots,
    innerSlots,
    leafPivots,
    innerPivots,
    leafStride: leafSlots > LEAF_STRIDE ? LEAF_STRIDE : 0,
    innerStride: innerSlots > INNER_STRIDE ? INNER_STRIDE : 0,
    leafAt,
    innerAt,
    gapsAt: innerAt + innerSlots,
    leastInLeaf: Math.ceil(leafSlots / 3),
    leastInInner: Math.ceil(innerSlots / 3),
  });
}

/** `slots`: 15, or 4 for a test that wants a tall tree of few entries. */
export function shapeOf(slots: 4 | 15, hasGaps: boolean): Shape {
  if (slots === LEAF_SLOTS) return hasGaps ? WITH_GAPS : PLAIN;
  return hasGaps ? SMALL_WITH_GAPS : SMALL;
}

const WITH_GAPS = shape(LEAF_SLOTS, INNER_SLOTS, true);
const PLAIN = shape(LEAF_SLOTS, INNER_SLOTS, false);
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
 * How many pivots are below the key, of those that end a stride, then of those within the stride: no comparison waits for another
 * one of its kind, and V8 makes a number of each, and no jump, which a processor would predict wrongly. Measured in 31 slots: 18 ns,
 * a binary search without jumps 25, one slot after the other 42.
 *
 * Pivots behind those of `count` are no lower than these, whatever a writer does there, so they lead to the last slot of `count`,
 * or behind it. None is read before the count: its address is made from that, so neither V8 nor a processor takes one that it has
 * read earlier.
 */
export function childFor(cpu: Cpu, { innerStride }: Shape, node: number, count: number, key: number): number {
  const from = firstPivot(node, count);
  let end = (from + innerStride - 1) | 0;
  let strides = +(cpu.readRacy(end) < key);
  strides = (strides + +(cpu.readRacy((end = (end + innerStride) | 0)) < key)) | 0;
  strides = (strides + +(cpu.readRacy((end = (end + innerStride) | 0)) < key)) | 0;
  strides = (strides + +(cpu.readRacy((end + innerStride) | 0) < key)) | 0;
  const first = Math.imul(strides, innerStride);
  const at = (from + first) | 0;
  let slot = (first + +(cpu.readRacy(at) < key)) | 0;
  slot = (slot + +(cpu.readRacy(at + 1) < key)) | 0;
  slot = (slot + +(cpu.readRacy(at + 2) < key)) | 0;
  slot = (slot + +(cpu.readRacy(at + 3) < key)) | 0;
  slot = (slot + +(cpu.readRacy(at + 4) < key)) | 0;
  return Math.min(slot, count - 1);
}

/** The same of a leaf; `count` where nothing is at the end of the tree. */
export function slotFor(cpu: Cpu, { leafStride }: Shape, leaf: number, count: number, key: number): number {
  const from = firstPivot(leaf, count);
  const end = (from + leafStride - 1) | 0;
  const strides = (+(cpu.readRacy(end) < key) + +(cpu.readRacy((end + leafStride) | 0) < key)) | 0;
  const first = Math.imul(strides, leafStride);
  const at = (from + first) | 0;
  let slot = (first + +(cpu.readRacy(at) < key)) | 0;
  slot = (slot + +(cpu.readRacy(at + 1) < key)) | 0;
  slot = (slot + +(cpu.readRacy(at + 2) < key)) | 0;
  slot = (slot + +(cpu.readRacy(at + 3) < key)) | 0;
  return Math.min(slot, count);
}

/** Where the pivots are of a node that has `count` slots, which are fewer than 256. */
function firstPivot(node: number, count: number): number {
  return (node + Node.words + (count >> 8)) | 0;
}

/** In a node that no reader can find yet: the pivots from `from` up to `to` lead nowhere. */
export function closePivots(cpu: Cpu, node: number, from: number, to: number): void {
  for (let pivot = from; pivot < to; pivot++) cpu.write(node + Node.words + pivot, MAX_KEY);
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
