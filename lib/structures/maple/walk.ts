/**
 * What readers do in a maple tree: they go down from the head and take no lock. Each word that leads to a node is read with
 * `loadDependent`, which pairs with the release in `apply()` of `journal.ts`; what else a node says was written before a
 * word led to it, or before its count, and does not change.
 *
 * A reader in a node that has been replaced goes on and finds what was there when it came.
 */
import type { Cpu } from '../../machine/cpu.ts';
import { ZERO } from '../xarray/entry.ts';
import {
  CHANGES_BITS,
  childFor,
  firstOf,
  Head,
  isLeaf,
  lastOf,
  MAX_KEY,
  MIN_KEY,
  Node,
  nodeOf,
  pivotsOfInner,
  pivotsOfLeaf,
  type Shape,
  slotFor,
} from './node.ts';

/** The leaf in which a thread has found its latest key. It need not go down again for the keys beside that. */
export class LatestLeaf {
  /** 0: there is none. It had more than one slot, so it has. */
  leaf = 0;
  /** The tree's `changes` before that, an even number, and the thread's stretch. Both the same: the leaf is part of the tree, and no other node. */
  changes = 0;
  visit = 0;
}

/** The word at `key`. `visit`: of the stretch that the reader is in. */
export function loadWord(cpu: Cpu, shape: Shape, tree: number, key: number, latest: LatestLeaf, visit: number): number {
  const { innerAt } = shape;
  // Pairs with the first word of a step, and the last one that readers look at, in `#stageChanges()` of tree.ts.
  const changes = cpu.loadDependent(tree + Head.changes);
  if (latest.leaf !== 0 && latest.changes === changes && latest.visit === visit) {
    const { leaf } = latest;
    const count = cpu.loadDependent(leaf + Node.count);
    const pivots = leaf + Node.words;
    // Where its first slot begins, and where the last one of a full leaf ends, is said above it.
    if (cpu.read(pivots) < key && key <= cpu.read(pivots + pivotsOfLeaf(shape.leafSlots, count) - 1)) {
      return cpu.loadDependent(leaf + shape.leafAt + slotFor(cpu, shape, leaf, count, key));
    }
  }
  // Behind `changes`: the address is made from that, so V8 takes no root that it has read earlier.
  let word = cpu.loadDependent(tree + Head.root + (changes >> CHANGES_BITS));
  if (word === 0) return 0;
  while (!isLeaf(word)) {
    const count = cpu.loadDependent(word + Node.count);
    word = cpu.loadDependent(word + innerAt + childFor(cpu, shape, word, count, key));
  }
  const leaf = nodeOf(word);
  const count = cpu.loadDependent(leaf + Node.count);
  // In the middle of a change the leaf may be one that goes, or one whose time is still to come.
  if (count > 1 && (changes & 1) === 0) {
    latest.leaf = leaf;
    latest.changes = changes;
    latest.visit = visit;
  }
  const slot = slotFor(cpu, shape, leaf, count, key);
  return slot === count ? 0 : cpu.loadDependent(leaf + shape.leafAt + slot);
}

/** A range that was found: its keys, and its word, which is 0 where nothing is. */
export class Range {
  first = MIN_KEY;
  last = MAX_KEY;
  word = 0;
  /** Where a leaf was found: the node, how many slots it had, which of them, and the leaf's own keys. */
  leaf = 0;
  count = 0;
  slot = 0;
  low = MIN_KEY;
  high = MAX_KEY;
}

/** The range in which `key` is, one that holds nothing included. */
export function seek(cpu: Cpu, shape: Shape, tree: number, key: number, found: Range): void {
  let low = MIN_KEY;
  let high = MAX_KEY;
  let word = cpu.loadDependent(tree + Head.root);
  found.leaf = 0;
  while (word !== 0 && !isLeaf(word)) {
    const count = cpu.loadDependent(word + Node.count);
    const slot = childFor(cpu, shape, word, count, key);
    high = lastOf(cpu, word, pivotsOfInner(count), slot, high);
    low = firstOf(cpu, word, slot, low);
    word = cpu.loadDependent(word + shape.innerAt + slot);
  }
  found.low = low;
  found.high = high;
  if (word === 0) {
    found.word = 0;
    found.first = low;
    found.last = high;
    return;
  }
  const leaf = nodeOf(word);
  found.leaf = leaf;
  found.count = cpu.loadDependent(leaf + Node.count);
  take(cpu, shape, found, slotFor(cpu, shape, leaf, found.count, key));
}

function take(cpu: Cpu, shape: Shape, found: Range, slot: number): void {
  const { leaf, count, low, high } = found;
  found.slot = slot;
  found.first = firstOf(cpu, leaf, slot, low);
  found.last = lastOf(cpu, leaf, pivotsOfLeaf(shape.leafSlots, count), slot, high);
  found.word = slot === count ? 0 : cpu.loadDependent(leaf + shape.leafAt + slot);
}

/** Whether the program sees nothing there. */
function isNothing(word: number): boolean {
  return word === 0 || word === ZERO;
}

/** The first range that holds an entry and ends at `key` or behind; false if there is none up to `last`. */
export function seekNext(cpu: Cpu, shape: Shape, tree: number, key: number, last: number, found: Range): boolean {
  seek(cpu, shape, tree, key, found);
  while (isNothing(found.word)) {
    if (found.last >= last) return false;
    if (found.last === found.high) seek(cpu, shape, tree, found.high + 1, found);
    else take(cpu, shape, found, found.slot + 1);
  }
  return found.first <= last;
}

/** The last range that holds an entry and begins at `key` or before; false if there is none down to `first`. */
export function seekPrevious(cpu: Cpu, shape: Shape, tree: number, key: number, first: number, found: Range): boolean {
  seek(cpu, shape, tree, key, found);
  while (isNothing(found.word)) {
    if (found.first <= first) return false;
    if (found.slot === 0 || found.leaf === 0) seek(cpu, shape, tree, found.low - 1, found);
    else take(cpu, shape, found, found.slot - 1);
  }
  return found.last >= first;
}
