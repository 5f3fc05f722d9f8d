/**
 * Changes of a maple tree, for the writer that has its latch. There is one: a word, or 0, at all keys from `first` to `last`.
 *
 *   the range is one slot                 the slot is overwritten
 *   it comes behind all others            slots are added: `append.ts`
 *   anything else                         level by level from the leaves up:
 *     gather    the slots of the new node: what is left of the old ones from the first key's to the last key's
 *     borrow    too few: those of a neighbour as well
 *     build     one, two or three new nodes
 *     one node in place of one            the word that leads to it is overwritten: done
 *     otherwise                           the level above is gathered with the new nodes in it
 *
 * So a node that overflows, one that runs empty, and a range over any number of nodes are one algorithm, and readers see
 * each change by one word. Gaps, which are other words, and the pool's lists go with it in one step of the journal.
 *
 * All nodes that a change may need are reserved before it is begun.
 *
 * Source: lib/maple_tree.c of the kernel, for what the operations mean; its cases of a store are one here.
 */
import type { Arena } from '../../arena/arena.ts';
import type { Stretch } from '../../rcu/stretch.ts';
import { Core, type StructureView } from '../core.ts';
import { appendRange, blocksFor, isBehindAll, stageLeaf } from './append.ts';
import {
  endOf,
  firstOf,
  Head,
  isLeaf,
  LEAF,
  lastOf,
  longestGap,
  MAX_KEY,
  MIN_KEY,
  NO_GAPS,
  Node,
  nodeOf,
  pivotsOfInner,
  type Shape,
  shapeOf,
  slotsOf,
  wordOf,
} from './node.ts';
import { Path } from './path.ts';
import { Slots } from './slots.ts';
import { Range, seek } from './walk.ts';

/** New nodes of one level, at most. */
const MOST_NEW = 3;

export class MapleCore extends Core {
  readonly shape: Shape;
  /** The ways to the first and the last key of this step. */
  readonly #left = new Path();
  readonly #right = new Path();
  /** What the level in hand is to hold, and the nodes that it has become. */
  readonly #slots = new Slots();
  readonly #made = new Slots();
  readonly #found = new Range();
  /** Where the change is: 1 at the end of the last leaf, -1 at the beginning of the first, 0 elsewhere. */
  #side = 0;

  constructor(arena: Arena, view: StructureView, stretch: Stretch, slots: 4 | 15) {
    super(arena, view, stretch);
    this.shape = shapeOf(slots, (arena.cpu.load(view.address + Head.flags) & NO_GAPS) === 0);
  }

  get root(): number {
    return this.cpu.loadDependent(this.address + Head.root);
  }

  /** The range in which `key` is; good until the next call. */
  at(key: number): Range {
    seek(this.cpu, this.shape, this.address, key, this.#found);
    return this.#found;
  }

  /** Stores a word at all keys from `first` to `last`; 0 takes out what is there. */
  put(first: number, last: number, word: number): void {
    if (word === 0) this.#clear(first, last);
    else this.#put(first, last, word);
  }

  /** All entries go, in one step. */
  clear(): void {
    const { root } = this;
    if (root === 0) return;
    this.begin();
    this.#retireBelow(root);
    this.journal.stage(this.address + Head.root, 0);
    this.commit();
  }

  /** Nodes of the tree. */
  nodes(word = this.root): number {
    if (word === 0) return 0;
    let nodes = 1;
    if (!isLeaf(word)) {
      for (let slot = this.#count(word) - 1; slot >= 0; slot--) nodes += this.nodes(this.#child(word, slot));
    }
    return nodes;
  }

  /** Makes this tree, which has nothing in it and which no other thread knows, a copy of `other`, whose latch is held. */
  copyFrom(other: MapleCore): void {
    const nodes = other.nodes();
    if (nodes === 0) return;
    this.pool.reserve(this.shape.words, nodes);
    this.begin();
    this.journal.stage(this.address + Head.root, this.#copy(other.root));
    this.commit();
  }

  #copy(word: number): number {
    const { cpu, shape } = this;
    const old = nodeOf(word);
    const node = this.pool.take(shape.words);
    for (let at = Node.count; at < shape.words; at++) cpu.write(node + at, cpu.read(old + at));
    if (!isLeaf(word)) {
      for (let slot = this.#count(old) - 1; slot >= 0; slot--) {
        cpu.write(node + shape.innerAt + slot, this.#copy(this.#child(old, slot)));
      }
    }
    return node | (word & LEAF);
  }

  /** Nothing from `first` to `last`, and in the gaps that it joins. */
  #clear(first: number, last: number): void {
    const found = this.at(first);
    if (found.word === 0 && found.last >= last) return;
    let [from, to] = [found.first, last];
    if (found.word !== 0) {
      from = first;
      if (found.first === first && first > MIN_KEY && this.at(first - 1).word === 0) from = found.first;
    }
    this.at(last);
    if (found.word === 0) to = found.last;
    else if (found.last === last && last < MAX_KEY && this.at(last + 1).word === 0) to = found.last;
    if (from === MIN_KEY && to === MAX_KEY) this.clear();
    else this.#put(from, to, 0);
  }

  #put(first: number, last: number, word: number): void {
    const { cpu, shape } = this;
    const [left, right] = [this.#left, this.#right];
    left.go(cpu, shape, this.root, first);
    if (word !== 0 && isBehindAll(cpu, left)) {
      this.#append(first, last, word);
      return;
    }
    const leaf = left.depth - 1;
    // A leaf that would end with nothing is joined with the next one.
    const end = word === 0 && last < MAX_KEY ? last + 1 : last;
    const isOneLeaf = leaf < 0 || end <= (left.highs[leaf] as number);
    if (leaf >= 0 && isOneLeaf && (this.#overwrite(first, last, word) || this.#replaceLeaf(first, last, word))) return;
    right.go(cpu, shape, this.root, end);
    this.#gatherLeaf(first, last, word);
    const isSplit = isOneLeaf && (leaf < 0 || this.#slots.count > shape.leafSlots);
    this.pool.reserve(shape.words, isSplit ? this.#nodesToSplit(leaf) : MOST_NEW * left.depth + 1);
    this.begin();
    if (!isOneLeaf) this.#retireBetween();
    this.#rise(Math.max(leaf, 0), !isSplit);
    this.commit();
  }

  /** Behind all entries. */
  #append(first: number, last: number, word: number): void {
    const { cpu, shape, journal, pool, address } = this;
    const way = this.#left;
    if (appendRange(cpu, shape, way, first, last, word)) return;
    pool.reserve(shape.words, blocksFor(cpu, shape, way));
    this.begin();
    stageLeaf({ cpu, shape, journal, pool, address }, way, first, last, word);
    this.commit();
  }

  /** How many nodes it takes when the gathered slots come in place of one leaf: some for each level that overflows. */
  #nodesToSplit(leaf: number): number {
    const { nodes } = this.#left;
    let count = nodesFor(this.#slots.count, this.shape.leafSlots - 1);
    let needed = count;
    for (let level = leaf - 1; level >= 0 && count > 1; level--) {
      count = nodesFor(this.#count(nodes[level] as number) + count - 1, this.shape.innerSlots);
      needed += count;
    }
    return count > 1 ? needed + 1 : needed;
  }

  /**
   * If the leaf of the left way has room for the change, and enough is left in it, a changed copy takes its place: what
   * `#rise` would do, without a stop between.
   */
  #replaceLeaf(first: number, last: number, word: number): boolean {
    const { cpu, shape } = this;
    const { depth, nodes, slots, lows, highs } = this.#left;
    const level = depth - 1;
    const old = nodes[level] as number;
    const slot = slots[level] as number;
    const low = lows[level] as number;
    const high = highs[level] as number;
    const begin = firstOf(cpu, old, slot, low);
    let behind = slot;
    while (endOf(cpu, shape, old, behind, high) < last) behind++;
    if (endOf(cpu, shape, old, behind, high) === last) behind++;
    const at = begin < first ? slot + 1 : slot;
    const shift = at + 1 - behind;
    const count = slotsOf(cpu, shape, old, high) + shift;
    if (count > shape.leafSlots || (shift < 0 && count < shape.leastInLeaf && level > 0)) return false;
    this.pool.reserve(shape.words, 1);
    this.begin();
    const node = this.pool.take(shape.words);
    const pivots = Node.words;
    const { leafAt } = shape;
    const most = shape.leafSlots - 1;
    // Before the range, the range, behind it.
    for (let i = 0; i < slot; i++) {
      cpu.write(node + pivots + i, cpu.read(old + pivots + i));
      cpu.write(node + leafAt + i, cpu.read(old + leafAt + i));
    }
    let end = word;
    if (at > slot) {
      cpu.write(node + pivots + slot, first - 1);
      cpu.write(node + leafAt + slot, wordOf(cpu, shape, old, slot));
    }
    if (at < most) cpu.write(node + pivots + at, last);
    cpu.write(node + leafAt + at, word);
    for (let i = at + 1; i < count; i++) {
      end = wordOf(cpu, shape, old, i - shift);
      if (i < most) cpu.write(node + pivots + i, endOf(cpu, shape, old, i - shift, high));
      cpu.write(node + leafAt + i, end);
    }
    // Nothing at the end of the tree is no slot.
    cpu.write(node + Node.count, end === 0 && high === MAX_KEY ? count - 1 : count);
    this.pool.retire(old);
    const above = level - 1;
    if (level === 0) this.journal.stage(this.address + Head.root, node | LEAF);
    else this.journal.stage((nodes[above] as number) + shape.innerAt + (slots[above] as number), node | LEAF);
    if (shape.hasGaps && level > 0 && (word === 0 || this.#hadLongest(slot, behind))) {
      this.#stageGap(above, longestGap(cpu, shape, node, low, high));
    }
    this.commit();
    return true;
  }

  /** Whether one of these slots of the left way's leaf, `to` included, may be the longest gap of that. */
  #hadLongest(from: number, to: number): boolean {
    const { cpu, shape } = this;
    const { depth, nodes, slots, lows, highs } = this.#left;
    const level = depth - 1;
    const node = nodes[level] as number;
    // Nothing is said of the end of the tree but what cannot be too little.
    if (highs[level] === MAX_KEY) return false;
    const longest = cpu.read((nodes[level - 1] as number) + shape.gapsAt + (slots[level - 1] as number)) >>> 0;
    for (let slot = from; slot <= to && slot < this.#count(node); slot++) {
      if (cpu.read(node + shape.leafAt + slot) !== 0) continue;
      const last = endOf(cpu, shape, node, slot, highs[level] as number);
      if (last - firstOf(cpu, node, slot, lows[level] as number) + 1 >= longest) return true;
    }
    return false;
  }

  /** If the range is one slot of the left way's leaf, the word takes the place of the one there. */
  #overwrite(first: number, last: number, word: number): boolean {
    const { cpu, shape } = this;
    const { depth, nodes, slots, lows, highs } = this.#left;
    const level = depth - 1;
    const node = nodes[level] as number;
    const slot = slots[level] as number;
    if (slot === this.#count(node) || firstOf(cpu, node, slot, lows[level] as number) !== first) return false;
    if (endOf(cpu, shape, node, slot, highs[level] as number) !== last) return false;
    // What is at the end of the tree is a slot, and nothing is none.
    if (word === 0 && last === MAX_KEY) return false;
    const at = node + shape.leafAt + slot;
    const old = cpu.read(at);
    this.begin();
    this.journal.stage(at, word);
    if (shape.hasGaps && (old === 0) !== (word === 0)) {
      let longest = word === 0 ? last - first + 1 : 0;
      for (let i = 0, low = lows[level] as number; i < slotsOf(cpu, shape, node, highs[level] as number); i++) {
        const high = endOf(cpu, shape, node, i, highs[level] as number);
        if (i !== slot && wordOf(cpu, shape, node, i) === 0) longest = Math.max(longest, high - low + 1);
        low = high + 1;
      }
      this.#stageGap(level - 1, longest);
    }
    this.commit();
    return true;
  }

  /** The child at the left way's slot of that level has a gap of `gap` from now on, and so have those above, as they must. */
  #stageGap(from: number, gap: number): void {
    const { cpu, shape } = this;
    const { nodes, slots, highs } = this.#left;
    let longest = gap;
    for (let level = from; level >= 0; level--) {
      const node = nodes[level] as number;
      const slot = slots[level] as number;
      const at = node + shape.gapsAt;
      const known = cpu.read(at + slot) >>> 0;
      const isEnd = this.#endOf(node, slot, highs[level] as number) === MAX_KEY;
      if (known === longest || (isEnd && known > longest)) return;
      this.journal.stage(at + slot, longest | 0);
      for (let i = this.#count(node) - 1; i >= 0; i--) {
        if (i !== slot) longest = Math.max(longest, cpu.read(at + i) >>> 0);
      }
    }
  }

  /** What is before the range in the left way's leaf, the range, and what is behind it in the right way's. */
  #gatherLeaf(first: number, last: number, word: number): void {
    const { cpu, shape } = this;
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
  #rise(leaf: number, hasLess: boolean): void {
    const { shape, journal, pool } = this;
    const [left, right, slots, made] = [this.#left, this.#right, this.#slots, this.#made];
    for (let level = leaf; ; level--) {
      const isLeafLevel = level === leaf;
      if (!isLeafLevel) this.#gatherInner(level);
      if (level < left.depth) {
        pool.retire(left.nodes[level] as number);
        if (right.nodes[level] !== left.nodes[level]) pool.retire(right.nodes[level] as number);
      }
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
        journal.stage((left.nodes[above] as number) + shape.innerAt + (left.slots[above] as number), made.words[0]!);
        if (shape.hasGaps) this.#stageGap(above, (made.gaps[0] as number) >>> 0);
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
    journal.stage(this.address + Head.root, made.words[0] as number);
  }

  /** All of the tree is below one slot of the level in hand: what that leads to becomes the root. */
  #lower(level: number): void {
    const [left, right] = [this.#left, this.#right];
    for (let above = level - 1; above >= 0; above--) {
      this.pool.retire(left.nodes[above] as number);
      if (right.nodes[above] !== left.nodes[above]) this.pool.retire(right.nodes[above] as number);
    }
    let root = this.#slots.words[0] as number;
    // Never a node that this step has taken: all of the tree was below one slot of that, too.
    for (; !isLeaf(root) && this.#count(root) === 1; root = this.#child(root, 0)) this.pool.retire(root);
    this.journal.stage(this.address + Head.root, root);
  }

  /** The slots of a level above leaves: those outside the two ways, and the new nodes between. */
  #gatherInner(level: number): void {
    const { cpu, shape } = this;
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
    const { cpu, shape, pool } = this;
    const [left, right, slots] = [this.#left, this.#right, this.#slots];
    const above = level - 1;
    const [parent, next] = [right.nodes[above] as number, (right.slots[above] as number) + 1];
    if (next < this.#count(parent)) {
      const node = nodeOf(this.#child(parent, next));
      const high = this.#endOf(parent, next, right.highs[above] as number);
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
    const { cpu, shape, pool } = this;
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
      const node = pool.take(shape.words);
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
  #retireBetween(): void {
    const [left, right] = [this.#left, this.#right];
    for (let level = 0; level < left.depth - 1; level++) {
      const [node, end] = [left.nodes[level] as number, right.nodes[level] as number];
      const last = node === end ? (right.slots[level] as number) : this.#count(node);
      for (let slot = (left.slots[level] as number) + 1; slot < last; slot++) {
        this.#retireBelow(this.#child(node, slot));
      }
      if (node === end) continue;
      for (let slot = 0; slot < (right.slots[level] as number); slot++) this.#retireBelow(this.#child(end, slot));
    }
  }

  #retireBelow(word: number): void {
    const node = nodeOf(word);
    if (!isLeaf(word)) {
      for (let slot = this.#count(node) - 1; slot >= 0; slot--) this.#retireBelow(this.#child(node, slot));
    }
    this.pool.retire(node);
  }

  /** Slots that are in use; `slotsOf` of node.ts says how many a leaf has. */
  #count(node: number): number {
    return this.cpu.read(node + Node.count);
  }

  /** The last key of an inner node's slot. */
  #endOf(node: number, slot: number, high: number): number {
    return lastOf(this.cpu, node, pivotsOfInner(this.#count(node)), slot, high);
  }

  /** The word in a slot of an inner node. */
  #child(node: number, slot: number): number {
    return this.cpu.read(node + this.shape.innerAt + slot);
  }
}

function nodesFor(slots: number, most: number): number {
  return Math.ceil(slots / most);
}
