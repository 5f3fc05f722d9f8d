/**
 * Nodes of an XArray, and the words of its head.
 *
 * A node has a slot for each value of `bits` bits of the index, from the bit `shift` on; its children have the bits below.
 * Once readers can find a node, `shift` does not change. `marks` has, for each of the three marks, a bit for each slot: the
 * entry there is marked, or an entry below it is.
 */
import type { Cpu } from '../../machine/cpu.ts';
import { LINE_WORDS, struct } from '../../memory/struct.ts';
import { Block } from '../chunks.ts';
import { CoreWords } from '../core.ts';

export const MARKS = 3;
const MARK_WORDS = 2;

export const Node = struct({
  block: Block,
  shift: 1,
  marks: MARKS * MARK_WORDS,
  pad: LINE_WORDS - Block.words - 1 - MARKS * MARK_WORDS,
});

export const Head = struct({
  core: CoreWords,
  /** An entry, which is that of index 0, or a node. */
  entry: 1,
  /** A bit for each mark, as in a node; and how indices are given out. */
  flags: 1,
  /** The index that the latest cyclic allocation gave out, once `hasCycled` is 1. */
  latest: 1,
  hasCycled: 1,
  /** A store over a range that is under way: its first index that is left, its last, and what is stored. */
  isPending: 1,
  pendingFirst: 1,
  pendingLast: 1,
  pendingEntry: 1,
});

/** Mark 0 says where an index is free. The kernel's XA_FLAGS_TRACK_FREE. */
export const TRACK_FREE = 1 << 3;
/** Index 0 is not given out. XA_FLAGS_ALLOC1. */
export const ALLOC1 = 1 << 4;
/** The mark that says so. XA_FREE_MARK. */
export const FREE = 0;

/** Words of a node with `slots` slots. */
export function nodeWords(slots: number): number {
  return Node.words + slots;
}

export function slotAt(node: number, slot: number): number {
  return node + Node.words + slot;
}

/** The word of a mark in which the bit of `slot` is. */
export function markWord(node: number, mark: number, slot: number): number {
  return node + Node.marks + mark * MARK_WORDS + (slot >> 5);
}

export function markBit(slot: number): number {
  return 1 << (slot & 31);
}

/** The first slot from `slot` on that has the mark; `slots` if there is none. */
export function nextMarked(cpu: Cpu, node: number, mark: number, slot: number, slots: number): number {
  for (let at = slot; at < slots; at = (at | 31) + 1) {
    const bits = cpu.load(markWord(node, mark, at)) & (-1 << (at & 31));
    if (bits !== 0) return (at & ~31) + 31 - Math.clz32(bits & -bits);
  }
  return slots;
}

/** Whether any slot of the node has the mark. */
export function hasMark(cpu: Cpu, node: number, mark: number): boolean {
  return cpu.load(markWord(node, mark, 0)) !== 0 || cpu.load(markWord(node, mark, 32)) !== 0;
}
