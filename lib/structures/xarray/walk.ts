/**
 * Reads of an XArray: one walk from the head down, without a lock. The caller has entered a reader, or has the latch.
 *
 * A walk loads each word that leads on (`loadDependent`: what it leads to was written before), and finds what was there at
 * some moment since it began. Writers change one slot at a time, or replace a node by a changed copy, so a walk finds an
 * entry of several indices either as it was or as it is at each of them.
 */
import type { Cpu } from '../../machine/cpu.ts';
import { isNode, isSibling, nodeOf, siblingOf, ZERO } from './entry.ts';
import { FREE, Head, Node, nextMarked, slotAt } from './node.ts';

/** The entry's word at `index`, ZERO as it is. */
export function loadWord(cpu: Cpu, xa: number, bits: number, index: number): number {
  let word = cpu.loadDependent(xa + Head.entry);
  if (!isNode(word)) return index === 0 ? word : 0;
  let node = nodeOf(word);
  let shift = cpu.read(node + Node.shift);
  const mask = (1 << bits) - 1;
  if (index >>> shift > mask) return 0;
  for (; ; shift -= bits) {
    word = cpu.loadDependent(slotAt(node, (index >>> shift) & mask));
    if (!isNode(word)) return isSibling(word) ? cpu.loadDependent(slotAt(node, siblingOf(word))) : word;
    node = nodeOf(word);
  }
}

/** What a search has found. */
export interface Found {
  /** The first index of the entry, or the index asked for if the entry began before; -1 if there is none. */
  index: number;
  word: number;
  /** How many bits of the index the entry leaves open: it is at 2^order indices. */
  order: number;
}

const NOTHING: Found = { index: -1, word: 0, order: 0 };

/** The first entry from `first` to `last`; with a mark (0 to 2) the first that has it, with -1 any. Not reserved ones. */
export function findWord(cpu: Cpu, xa: number, bits: number, first: number, last: number, mark: number): Found {
  const slots = 1 << bits;
  let index = first;
  while (index <= last) {
    const head = cpu.loadDependent(xa + Head.entry);
    if (!isNode(head)) {
      const isHit = index === 0 && head !== 0 && head !== ZERO && (mark < 0 || hasFlag(cpu, xa, mark));
      return isHit ? { index: 0, word: head, order: 0 } : NOTHING;
    }
    let node = nodeOf(head);
    let shift = cpu.read(node + Node.shift);
    if (index >>> shift >= slots) return NOTHING;
    for (;;) {
      const wanted = (index >>> shift) & (slots - 1);
      const slot = nextSlot(cpu, node, wanted, slots, mark);
      if (slot === slots) {
        // Nothing more in this node: on behind it.
        index = endOf(index, shift + bits);
        break;
      }
      const word = cpu.loadDependent(slotAt(node, slot));
      if (slot !== wanted && !isSibling(word)) index = startOf(index, shift, bits, slot);
      if (isNode(word)) {
        node = nodeOf(word);
        shift -= bits;
        continue;
      }
      const canonical = isSibling(word) ? siblingOf(word) : slot;
      const entry = isSibling(word) ? cpu.loadDependent(slotAt(node, canonical)) : word;
      const order = shift + spanBits(cpu, node, canonical, slots);
      if (entry === 0 || entry === ZERO) {
        index = endOf(index, slot === canonical ? order : shift);
        break;
      }
      return index <= last ? { index, word: entry, order } : NOTHING;
    }
  }
  return NOTHING;
}

/** The first slot from `slot` on that has something, or is marked. A sibling counts where the search begins in it. */
function nextSlot(cpu: Cpu, node: number, slot: number, slots: number, mark: number): number {
  const here = cpu.load(slotAt(node, slot));
  if (isSibling(here)) {
    const canonical = siblingOf(here);
    if (mark < 0 || nextMarked(cpu, node, mark, canonical, slots) === canonical) return slot;
  }
  for (let at = slot; ; at++) {
    if (mark >= 0) at = nextMarked(cpu, node, mark, at, slots);
    if (at >= slots) return slots;
    const word = cpu.load(slotAt(node, at));
    if (word !== 0 && !isSibling(word)) return at;
  }
}

/** log2 of the number of slots that the entry in `slot` has. */
function spanBits(cpu: Cpu, node: number, slot: number, slots: number): number {
  return 31 - Math.clz32(spanOf(cpu, node, slot, slots));
}

/** How many slots the entry in `slot` has, itself and its siblings. */
export function spanOf(cpu: Cpu, node: number, slot: number, slots: number): number {
  let end = slot + 1;
  while (end < slots) {
    const word = cpu.load(slotAt(node, end));
    if (!isSibling(word) || siblingOf(word) !== slot) break;
    end++;
  }
  return end - slot;
}

/** The first free index from `first` to `last` of an array that tracks them; -1 if there is none. */
export function findFree(cpu: Cpu, xa: number, bits: number, first: number, last: number): number {
  const slots = 1 << bits;
  let index = first;
  while (index <= last) {
    const head = cpu.load(xa + Head.entry);
    // Indices that the tree does not reach are free.
    if (!isNode(head)) {
      if (index > 0 || head === 0 || hasFlag(cpu, xa, FREE)) return index;
      index = 1;
      continue;
    }
    let node = nodeOf(head);
    let shift = cpu.read(node + Node.shift);
    if (index >>> shift >= slots) return index;
    for (;;) {
      const wanted = (index >>> shift) & (slots - 1);
      const slot = nextMarked(cpu, node, FREE, wanted, slots);
      if (slot === slots) {
        index = endOf(index, shift + bits);
        break;
      }
      if (slot !== wanted) index = startOf(index, shift, bits, slot);
      const word = cpu.load(slotAt(node, slot));
      if (!isNode(word)) return index <= last ? index : -1;
      node = nodeOf(word);
      shift -= bits;
    }
  }
  return -1;
}

function hasFlag(cpu: Cpu, xa: number, mark: number): boolean {
  return (cpu.load(xa + Head.flags) & (1 << mark)) !== 0;
}

/** The first index of `slot`, in the node of that shift in which `index` is. */
export function startOf(index: number, shift: number, bits: number, slot: number): number {
  const size = 2 ** (shift + bits);
  return index - (index % size) + slot * 2 ** shift;
}

/** The first index behind the aligned 2^order indices in which `index` is. */
export function endOf(index: number, order: number): number {
  const size = 2 ** order;
  return index - (index % size) + size;
}
