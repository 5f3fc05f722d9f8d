/**
 * Changes of a maple tree that do not stay within one leaf: level by level from the leaves up, for the writer.
 *
 *   gather    the slots of the new node: what is left of the old ones from the first key's to the last key's
 *   borrow    too few: those of a neighbour as well
 *   build     one, two or three new nodes
 *   one node in place of one            the word that leads to it is overwritten: done
 *   otherwise                           the level above is gathered with the new nodes in it
 */
import type { Step } from './append.ts';
import { endOfInner, type LeafChange } from './leaf.ts';
import {
  closePivots,
  endOf,
  firstOf,
  Head,
  isLeaf,
  LEAF,
  MAX_KEY,
  MIN_KEY,
  Node,
  nodeOf,
  slotsOf,
  wordOf,
} from './node.ts';
import type { Path } from './path.ts';
import { Slots } from './slots.ts';

export class Rebuild {
  readonly #step: Step;
  /** The ways to the first and the last key. */
  readonly #left: Path;
  readonly #right: Path;
  readonly #change: LeafChange;
  /** What the level in hand is to hold, and the nodes that it has become. */
  readonly #slots = new Slots();
  readonly #made = new Slots();
  /** Where the change is: 1 at the end of the last leaf, -1 at the beginning of the first, 0 elsewhere. */
  #side = 0;

  constructor(step: Step, left: Path, right: Path, change: LeafChange) {
    this.#step = step;
    this.#left = left;
    this.#right = right;
    this.#change = change;
  }

  /** Whether what was gathered needs more than one leaf. */
  get overflows(): boolean {
    return this.#slots.count > this.#step.shape.leafSlots;
  }

  /** The nodes that it takes when the gathered slots come in place of one leaf: some for each level that overflows. */
  reserveToSplit(leaf: number): void {
    const { leafWords, leafSlots, innerWords, innerSlots } = this.#step.shape;
    const { nodes } = this.#left;
    const leaves = nodesFor(this.#slots.count, leafSlots - 1);
    let count = leaves;
    let needed = 0;
    for (let level = leaf - 1; level >= 0 && count > 1; level--) {
      count = nodesFor(this.#count(nodes[level] as number) + count - 1, innerSlots);
      needed += count;
    }
    this.#step.pool.reserve(leafWords, leaves, innerWords, count > 1 ? needed + 1 : needed);
  }

  /** What is before the range in the left way's leaf, the range, and what is behind it in the right way's. */
  gatherLeaf(first: number, last: number, word: number): void {
    const { cpu, shape } = this.#step;
    const [left, right, slots] = [this.#left, this.#right, this.#slots];
    const leaf = left.depth - 1;
    if (leaf < 0) {
      slots.clear(MIN_KEY);
      if (first > MIN_KEY) slots.push(first - 1, 0, 0);
      this.#side = first > MIN_KEY ? 1 : -1;
      slots.push(last, word, 0);
      if (last < MAX_KEY) slots.push(MAX_KEY, 0, 0);
      return;
    }
    const [node, slot, low] = [left.nodes[leaf] as number, left.slots[leaf] as number, left.lows[leaf] as number];
    slots.clear(low);
    slots.pushNode(cpu, shape, true, node, 0, slot, 0);
    if (firstOf(cpu, node, slot, low) < first) slots.push(first - 1, wordOf(cpu, shape, node, slot), 0);
    const at = slots.count;
    slots.push(last, word, 0);
    const [end, next, high] = [right.nodes[leaf] as number, right.slots[leaf] as number, right.highs[leaf] as number];
    const from = endOf(cpu, shape, end, next, high) > last ? next : next + 1;
    slots.pushNode(cpu, shape, true, end, from, slotsOf(cpu, shape, end, high), high);
    const isLast = high === MAX_KEY && at >= slots.count - 2;
    this.#side = isLast ? 1 : low === MIN_KEY && at <= 1 ? -1 : 0;
  }

  /**
   * Builds the gathered leaves, and what is above them as far as it changes. `hasLess`: nodes may be left with too little. One
   * that grows is left alone: the last of a tree that grows at its end begins with little.
   */
  rise(leaf: number, hasLess: boolean): void {
    const { shape, journal, pool, address } = this.#step;
    const [left, right, slots, made] = [this.#left, this.#right, this.#slots, this.#made];
    for (let level = leaf; ; level--) {
      const isLeafLevel = level === leaf;
      if (level < left.depth) {
        pool.retire(left.nodes[level] as number);
        if (right.nodes[level] !== left.nodes[level]) pool.retire(right.nodes[level] as number);
      }
      if (!isLeafLevel && this.#widen(level)) {
        if (level > 0) this.#link(level - 1);
        else journal.stage(address + Head.root, made.words[0] as number);
        return;
      }
      if (!isLeafLevel) this.#gatherInner(level);
      if (!isLeafLevel && slots.count === 1 && slots.low === MIN_KEY && slots.pivots[0] === MAX_KEY) {
        this.#lower(level);
        return;
      }
      if (level === 0) break;
      const least = isLeafLevel ? shape.leastInLeaf : shape.leastInInner;
      if (hasLess && slots.count < least) this.#borrow(level, isLeafLevel);
      this.#build(isLeafLevel);
      const above = level - 1;
      const isSame = left.nodes[above] === right.nodes[above] && left.slots[above] === right.slots[above];
      if (made.count === 1 && isSame) {
        this.#link(above);
        return;
      }
    }
    this.#build(leaf === 0);
    if (made.count > 1) {
      // One more level.
      slots.clear(MIN_KEY);
      slots.pushAll(made);
      this.#build(false);
    }
    journal.stage(address + Head.root, made.words[0] as number);
  }

  /** The slot of the level in hand leads to the one new node. */
  #link(level: number): void {
    const { shape, journal } = this.#step;
    const { nodes, slots } = this.#left;
    const { words, gaps } = this.#made;
    journal.stage((nodes[level] as number) + shape.innerAt + (slots[level] as number), words[0] as number);
    if (shape.hasGaps) this.#change.stageGap(level, (gaps[0] as number) >>> 0);
  }

  /**
   * If the new nodes come in place of one slot, and its node has room: a copy of that with them in it, which `made` then
   * holds. What `#gatherInner` and `#build` would do, without a stop between.
   */
  #widen(level: number): boolean {
    const { cpu, shape, pool } = this.#step;
    const [left, right, made] = [this.#left, this.#right, this.#made];
    const old = left.nodes[level] as number;
    const slot = left.slots[level] as number;
    const count = this.#count(old);
    const added = made.count - 1;
    if (old !== right.nodes[level] || slot !== right.slots[level]) return false;
    if (added <= 0 || count + added > shape.innerSlots) return false;
    const node = pool.take(shape.innerWords);
    const high = left.highs[level] as number;
    const { innerAt, gapsAt, innerPivots, hasGaps } = shape;
    let longest = 0;
    for (let at = 0; at < count + added; at++) {
      const from = at < slot ? at : at - added;
      const isMade = at >= slot && from <= slot;
      const word = isMade ? (made.words[at - slot] as number) : cpu.read(old + innerAt + from);
      cpu.write(node + innerAt + at, word);
      if (at < innerPivots) {
        const pivot = from === count - 1 ? high : cpu.read(old + Node.words + from);
        cpu.write(node + Node.words + at, isMade ? (made.pivots[at - slot] as number) : pivot);
      }
      if (!hasGaps) continue;
      const gap = isMade ? (made.gaps[at - slot] as number) : cpu.read(old + gapsAt + from);
      cpu.write(node + gapsAt + at, gap);
      if (gap >>> 0 > longest) longest = gap >>> 0;
    }
    closePivots(cpu, node, count + added, innerPivots);
    cpu.write(node + Node.count, count + added);
    made.clear(left.lows[level] as number);
    made.push(high, node, longest | 0);
    return true;
  }

  /** All of the tree is below one slot of the level in hand: what that leads to becomes the root. */
  #lower(level: number): void {
    const [left, right] = [this.#left, this.#right];
    for (let above = level - 1; above >= 0; above--) {
      this.#step.pool.retire(left.nodes[above] as number);
      if (right.nodes[above] !== left.nodes[above]) this.#step.pool.retire(right.nodes[above] as number);
    }
    let root = this.#slots.words[0] as number;
    // Never a node that this step has taken: all of the tree was below one slot of that, too.
    for (; !isLeaf(root) && this.#count(root) === 1; root = this.#child(root, 0)) this.#step.pool.retire(root);
    this.#step.journal.stage(this.#step.address + Head.root, root);
  }

  /** The slots of a level above leaves: those outside the two ways, and the new nodes between. */
  #gatherInner(level: number): void {
    const { cpu, shape } = this.#step;
    const [left, right, slots] = [this.#left, this.#right, this.#slots];
    const end = right.nodes[level] as number;
    slots.clear(left.lows[level] as number);
    slots.pushNode(cpu, shape, false, left.nodes[level] as number, 0, left.slots[level] as number, 0);
    slots.pushAll(this.#made);
    const from = (right.slots[level] as number) + 1;
    slots.pushNode(cpu, shape, false, end, from, this.#count(end), right.highs[level] as number);
  }

  /** The slots in hand are joined with those of the next node under the same parent, or the one before. */
  #borrow(level: number, isLeafLevel: boolean): void {
    const { cpu, shape, pool } = this.#step;
    const [left, right, slots] = [this.#left, this.#right, this.#slots];
    const above = level - 1;
    const [parent, next] = [right.nodes[above] as number, (right.slots[above] as number) + 1];
    if (next < this.#count(parent)) {
      const node = nodeOf(this.#child(parent, next));
      const high = endOfInner(cpu, parent, next, right.highs[above] as number);
      const count = isLeafLevel ? slotsOf(cpu, shape, node, high) : this.#count(node);
      slots.pushNode(cpu, shape, isLeafLevel, node, 0, count, high);
      right.slots[above] = next;
      pool.retire(node);
      return;
    }
    const [before, previous] = [left.nodes[above] as number, (left.slots[above] as number) - 1];
    if (previous < 0) return;
    const node = nodeOf(this.#child(before, previous));
    const low = firstOf(cpu, before, previous, left.lows[above] as number);
    slots.unshiftNode(cpu, shape, isLeafLevel, node, low, slots.low - 1);
    left.slots[above] = previous;
    pool.retire(node);
  }

  /** Puts the slots in hand into as few nodes as they need, which `made` then holds. */
  #build(isLeafLevel: boolean): void {
    const { cpu, shape, pool } = this.#step;
    const [slots, made] = [this.#slots, this.#made];
    const most = isLeafLevel ? shape.leafSlots : shape.innerSlots;
    // Leaves leave room for one more slot, since a leaf may not end with nothing.
    const nodes = slots.count <= most ? 1 : nodesFor(slots.count, isLeafLevel ? most - 1 : most);
    made.clear(slots.low);
    let from = 0;
    for (let left = nodes; from < slots.count; left--) {
      let to = from + Math.ceil((slots.count - from) / left);
      if (nodes === 2 && left === 2) to = this.#split(most, to, isLeafLevel);
      if (isLeafLevel && left > 1 && slots.words[to - 1] === 0) to++;
      const node = pool.take(isLeafLevel ? shape.leafWords : shape.innerWords);
      const gap = slots.write(cpu, shape, isLeafLevel, node, from, to);
      made.push(slots.pivots[to - 1] as number, isLeafLevel ? node | LEAF : node, gap | 0);
      from = to;
    }
  }

  /** Where slots for two nodes are divided: in halves, but at an end of the tree so that what grows there fills nodes. */
  #split(most: number, half: number, isLeafLevel: boolean): number {
    const { count } = this.#slots;
    if (this.#side > 0) return Math.min(isLeafLevel ? most - 1 : most, count - 2);
    if (this.#side < 0) return Math.max(2, count - most);
    return half;
  }

  /** What lies between the two ways is no longer led to. */
  retireBetween(): void {
    const [left, right] = [this.#left, this.#right];
    for (let level = 0; level < left.depth - 1; level++) {
      const [node, end] = [left.nodes[level] as number, right.nodes[level] as number];
      const last = node === end ? (right.slots[level] as number) : this.#count(node);
      for (let slot = (left.slots[level] as number) + 1; slot < last; slot++) {
        this.retireBelow(this.#child(node, slot));
      }
      if (node === end) continue;
      for (let slot = 0; slot < (right.slots[level] as number); slot++) this.retireBelow(this.#child(end, slot));
    }
  }

  retireBelow(word: number): void {
    const node = nodeOf(word);
    if (!isLeaf(word)) {
      for (let slot = this.#count(node) - 1; slot >= 0; slot--) this.retireBelow(this.#child(node, slot));
    }
    this.#step.pool.retire(node);
  }

  /** Slots that are in use; `slotsOf` of node.ts says how many a leaf has. */
  #count(node: number): number {
    return this.#step.cpu.read(node + Node.count);
  }

  /** The word in a slot of an inner node. */
  #child(node: number, slot: number): number {
    return this.#step.cpu.read(node + this.#step.shape.innerAt + slot);
  }
}

function nodesFor(slots: number, most: number): number {
  return Math.ceil(slots / most);
}
