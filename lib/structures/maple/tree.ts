/**
 * Changes of a maple tree, for the writer that has its latch. There is one: a word, or 0, at all keys from `first` to `last`.
 *
 *   it comes behind all others            slots are added: `append.ts`
 *   it is one slot, or fits in the leaf   the slot is overwritten, or the leaf copied: `leaf.ts`
 *   anything else                         level by level from the leaves up: `rebuild.ts`
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
import { appendRange, innerNodesFor, isBehindAll, type Step, stageLeaf } from './append.ts';
import { LeafChange } from './leaf.ts';
import {
  Head,
  isLeaf,
  LEAF,
  MAX_KEY,
  MIN_KEY,
  MOST_CHANGES,
  NO_GAPS,
  Node,
  nodeOf,
  type Shape,
  shapeOf,
} from './node.ts';
import { Path } from './path.ts';
import { Rebuild } from './rebuild.ts';
import { LatestLeaf, loadWord, Range, seek } from './walk.ts';

/** New nodes of one level, at most. */
const MOST_NEW = 3;

export class MapleCore extends Core {
  readonly shape: Shape;
  /** The ways to the first and the last key of this step. */
  readonly #left = new Path();
  readonly #right = new Path();
  readonly #step: Step;
  readonly #change: LeafChange;
  readonly #rebuild: Rebuild;
  readonly #found = new Range();
  readonly #latest = new LatestLeaf();
  readonly #stretch: Stretch;

  constructor(arena: Arena, view: StructureView, stretch: Stretch, slots: 4 | 15) {
    super(arena, view, stretch);
    this.shape = shapeOf(slots, (arena.cpu.load(view.address + Head.flags) & NO_GAPS) === 0);
    this.#stretch = stretch;
    const { cpu, shape, journal, pool, address } = this;
    this.#step = { cpu, shape, journal, pool, address };
    this.#change = new LeafChange(this.#step, this.#left);
    this.#rebuild = new Rebuild(this.#step, this.#left, this.#right, this.#change);
  }

  get root(): number {
    return this.cpu.loadDependent(this.address + Head.root);
  }

  /** The word at `key`, for a reader. */
  load(key: number): number {
    return loadWord(this.cpu, this.shape, this.address, key, this.#latest, this.#stretch.visits);
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
    this.#beginAnew();
    this.#rebuild.retireBelow(root);
    this.journal.stage(this.address + Head.root, 0);
    this.#commitAnew();
  }

  /** How many leaves the tree has, or inner nodes. */
  nodes(ofLeaves: boolean, word = this.root): number {
    if (word === 0) return 0;
    if (isLeaf(word)) return ofLeaves ? 1 : 0;
    let nodes = ofLeaves ? 0 : 1;
    for (let slot = this.#count(word) - 1; slot >= 0; slot--) nodes += this.nodes(ofLeaves, this.#child(word, slot));
    return nodes;
  }

  /** Makes this tree, which has nothing in it and which no other thread knows, a copy of `other`, whose latch is held. */
  copyFrom(other: MapleCore): void {
    const leaves = other.nodes(true);
    if (leaves === 0) return;
    this.pool.reserve(this.shape.leafWords, leaves, this.shape.innerWords, other.nodes(false));
    this.begin();
    this.journal.stage(this.address + Head.root, this.#copy(other.root));
    this.commit();
  }

  /** Begins a step that takes leaves out. */
  #beginAnew(): void {
    this.begin();
    this.#stageChanges(1);
  }

  /** Makes such a step. */
  #commitAnew(): void {
    this.#stageChanges(2);
    this.commit();
  }

  /** Before the words that lead to nodes, and behind them. Pairs with the load in `loadWord()` of walk.ts. */
  #stageChanges(by: 1 | 2): void {
    const changes = this.address + Head.changes;
    this.journal.stage(changes, (this.cpu.read(changes) + by) & MOST_CHANGES);
  }

  #copy(word: number): number {
    const { cpu, shape } = this;
    const old = nodeOf(word);
    const words = isLeaf(word) ? shape.leafWords : shape.innerWords;
    const node = this.pool.take(words);
    for (let at = Node.count; at < words; at++) cpu.write(node + at, cpu.read(old + at));
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
    const { cpu, shape, pool } = this;
    const left = this.#left;
    left.go(cpu, shape, this.root, first);
    if (word !== 0 && isBehindAll(cpu, left)) {
      this.#append(first, last, word);
      return;
    }
    const leaf = left.depth - 1;
    // A leaf that would end with nothing is joined with the next one.
    const end = word === 0 && last < MAX_KEY ? last + 1 : last;
    const isOneLeaf = leaf < 0 || end <= (left.highs[leaf] as number);
    if (leaf >= 0 && isOneLeaf && this.#putInLeaf(first, last, word)) return;
    const rebuild = this.#rebuild;
    this.#right.go(cpu, shape, this.root, end);
    rebuild.gatherLeaf(first, last, word);
    const isSplit = isOneLeaf && (leaf < 0 || rebuild.overflows);
    if (isSplit) rebuild.reserveToSplit(leaf);
    else pool.reserve(shape.leafWords, MOST_NEW, shape.innerWords, MOST_NEW * Math.max(leaf, 0) + 1);
    this.#beginAnew();
    if (!isOneLeaf) rebuild.retireBetween();
    rebuild.rise(Math.max(leaf, 0), !isSplit);
    this.#commitAnew();
  }

  /** If the change stays within the leaf of the left way: makes it. */
  #putInLeaf(first: number, last: number, word: number): boolean {
    const change = this.#change;
    if (change.overwrites(first, last, word)) {
      this.begin();
      change.stageOverwrite(first, last, word);
      this.commit();
      return true;
    }
    if (!change.fits(first, last)) return false;
    this.pool.reserve(this.shape.leafWords, 1);
    this.#beginAnew();
    change.stageCopy(first, last, word);
    this.#commitAnew();
    return true;
  }

  /** Behind all entries. */
  #append(first: number, last: number, word: number): void {
    const { cpu, shape, pool } = this;
    const way = this.#left;
    if (appendRange(cpu, shape, way, first, last, word)) return;
    pool.reserve(shape.leafWords, 1, shape.innerWords, innerNodesFor(cpu, shape, way));
    this.begin();
    stageLeaf(this.#step, way, first, last, word);
    this.commit();
  }

  /** Slots that are in use; `slotsOf` of node.ts says how many a leaf has. */
  #count(node: number): number {
    return this.cpu.read(node + Node.count);
  }

  /** The word in a slot of an inner node. */
  #child(node: number, slot: number): number {
    return this.cpu.read(node + this.shape.innerAt + slot);
  }
}
