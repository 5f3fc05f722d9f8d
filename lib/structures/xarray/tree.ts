/**
 * Changes of an XArray, for the writer that has its latch.
 *
 *   a slot that holds an entry, or an empty one in a leaf      is overwritten
 *   a missing node, an index beyond the tree                   new nodes are filled, then one word leads to them
 *   a change of several slots of a node                        a changed copy takes the node's place
 *   the last entry of a node                                   the node goes, and those above that have no other
 *
 * So readers see each change by one word. Marks, which are other words, and the pool's lists go with it in one step of the
 * journal. A node has no count and no parent: whether it is empty is a look at its slots, which mostly ends at the first, and
 * the way up is remembered on the way down.
 *
 * Source: lib/xarray.c of the kernel, for what the operations mean.
 */
import type { Arena } from '../../arena/arena.ts';
import type { Stretch } from '../../rcu/stretch.ts';
import { Core, type StructureView } from '../core.ts';
import { INDEX_BITS } from '../indices.ts';
import { isNode, isSibling, nodeEntry, nodeOf, siblingEntry, siblingOf } from './entry.ts';
import { FREE, Head, hasMark, MARKS, markBit, markWord, Node, slotAt, TRACK_FREE } from './node.ts';
import { NodeMaker } from './node-maker.ts';
import { spanOf } from './walk.ts';

/** The largest entry is at 2^31 indices. */
export const MOST_ORDER = INDEX_BITS - 1;

export class XArrayTree extends Core {
  readonly bits: number;
  readonly slots: number;
  readonly tracksFree: boolean;
  readonly #make: NodeMaker;
  /** The way down to the index of this step: nodes, and which slot of each. */
  readonly #nodes = new Int32Array(INDEX_BITS);
  readonly #slots = new Int32Array(INDEX_BITS);
  #depth = 0;
  /** `Head.flags` as this step leaves them. */
  #flags = 0;

  constructor(arena: Arena, view: StructureView, stretch: Stretch, bits: number) {
    super(arena, view, stretch);
    this.bits = bits;
    this.slots = 1 << bits;
    this.tracksFree = (arena.cpu.load(view.address + Head.flags) & TRACK_FREE) !== 0;
    this.#make = new NodeMaker(arena.cpu, this.pool, bits, this.tracksFree);
  }

  /** The entry's word at `index`. */
  get(index: number): number {
    return this.#walk(index, 0);
  }

  /**
   * Stores a word that is not 0; an entry of several indices gets it at all of them. `isFull`: false for an entry that leaves
   * its index free (the bitmaps of Ida).
   */
  put(index: number, word: number, isFull = true): void {
    const old = this.#walk(index, 0);
    if (this.#depth === 0 && index > 0) {
      this.#grow(index, 0, word, isFull);
      return;
    }
    const { cpu } = this;
    this.#begin();
    const shift = this.#depth === 0 ? 0 : cpu.read(this.#node() + Node.shift);
    let link = word;
    if (old === 0 && shift > 0) {
      const missing = shift / this.bits;
      this.pool.reserve(this.#make.words, missing);
      link = nodeEntry(this.#make.chain(index, shift - this.bits, 0, word, isFull));
    }
    this.journal.stage(this.#link(), link);
    if (this.tracksFree && link === word) this.#mark(FREE, !isFull);
    this.#finish();
  }

  /** Takes the entry at `index` out, at all its indices. */
  erase(index: number): void {
    if (this.#walk(index, 0) === 0) return;
    const at = this.#depth - 1;
    const span = at < 0 ? 1 : spanOf(this.cpu, this.#node(), this.#slots[at] as number, this.slots);
    this.#begin();
    this.#clearSlots(span);
    this.#finish();
    this.#shrink();
  }

  /** Stores a word, or 0, at the aligned 2^order indices in which `index` is; a larger entry gets it at all of its own. */
  putOrder(index: number, order: number, word: number): void {
    if (order === 0) {
      if (word === 0) this.erase(index);
      else this.put(index, word);
      return;
    }
    const { cpu } = this;
    const level = order - (order % this.bits);
    const first = index - (index % 2 ** order);
    const old = this.#walk(first, level);
    if (this.#depth === 0) {
      if (word !== 0) this.#grow(first, order, word, true);
      else if (first === 0) this.clear();
      return;
    }
    const shift = cpu.read(this.#node() + Node.shift);
    const span = 1 << (order - level);
    if (shift > level || (old !== 0 && !isNode(old) && this.#spanHere() >= span)) {
      // Nothing is there, or an entry of at least as many indices.
      if (old === 0 && word === 0) return;
      if (old === 0) this.#fill(first, shift, order, word);
      else if (word === 0) this.erase(first);
      else this.put(first, word);
      return;
    }
    this.#begin();
    if (word === 0) this.#clearSlots(span);
    else this.#fillSlots(span, word);
    this.#finish();
    if (word === 0) this.#shrink();
  }

  /**
   * Stores a word, or 0, at each index from `first` to `last`, in aligned blocks of 2^order indices; each is one step. A
   * writer that dies between two leaves a note, and the next one goes on from there.
   */
  putRange(first: number, last: number, word: number): void {
    const { address, journal } = this;
    if (last > first) {
      let blocks = 0;
      for (let at = first; at <= last; at += 2 ** orderOf(at, last)) blocks++;
      // Each block copies a node at most; those on the way to the first and the last may be new, and so may the top.
      this.pool.reserve(this.#make.words, blocks + 3 * Math.ceil(INDEX_BITS / this.bits));
    }
    journal.begin();
    journal.stage(address + Head.pendingFirst, first | 0);
    journal.stage(address + Head.pendingLast, last | 0);
    journal.stage(address + Head.pendingEntry, word);
    journal.stage(address + Head.isPending, 1);
    journal.commit();
    this.finishRange();
  }

  /** Before any other change: finishes the store over a range in which a writer has died. */
  finishRange(): void {
    const { cpu, address } = this;
    if (cpu.read(address + Head.isPending) === 0) return;
    const last = cpu.read(address + Head.pendingLast) >>> 0;
    const word = cpu.read(address + Head.pendingEntry);
    for (let at = cpu.read(address + Head.pendingFirst) >>> 0; at <= last; ) {
      const order = orderOf(at, last);
      // Done again after a death, it changes nothing.
      this.putOrder(at, order, word);
      at += 2 ** order;
      if (at <= last) cpu.storeRelease(address + Head.pendingFirst, at | 0);
    }
    cpu.storeRelease(address + Head.isPending, 0);
  }

  /** The entry of 2^order indices at `index` becomes entries of 2^into, with the same word. */
  split(index: number, order: number, into: number): void {
    const { cpu, bits, slots } = this;
    const word = this.#walk(index, 0);
    const from = order - (order % bits);
    const span = 1 << (order - from);
    const first = this.#slots[this.#depth - 1] as number;
    const each = into >= from ? 1 << (into - from) : 0;
    // A node for each slot, and all that are below it.
    let below = 0;
    for (let shift = from - bits, nodes = 1; each === 0; shift -= bits, nodes *= slots) {
      below += nodes;
      if (into >= shift) break;
    }
    this.pool.reserve(this.#make.words, 1 + span * below);
    this.#begin();
    const copy = this.#make.copy(this.#node());
    const marks = this.#make.marksOf(copy, first);
    for (let slot = first; slot < first + span; slot++) {
      const isFirst = each > 0 && (slot - first) % each === 0;
      const link = each === 0 ? nodeEntry(this.#make.filled(from - bits, into, word, marks)) : word;
      cpu.write(
        slotAt(copy, slot),
        each === 0 || isFirst ? link : siblingEntry(first + (((slot - first) / each) | 0) * each),
      );
      for (let mark = 0; mark < MARKS; mark++) {
        this.#make.setBit(copy, mark, slot, (marks & (1 << mark)) !== 0 && (each === 0 || isFirst));
      }
    }
    this.#replace(copy);
    this.#finish();
  }

  setMark(index: number, mark: number, isSet: boolean): void {
    const word = this.#walk(index, 0);
    if (word === 0) return;
    this.#begin();
    this.#mark(mark, isSet);
    this.#finish();
  }

  /** Whether the entry at `index` has the mark. */
  getMark(index: number, mark: number): boolean {
    if (this.#walk(index, 0) === 0) return false;
    if (this.#depth === 0) return (this.cpu.load(this.address + Head.flags) & (1 << mark)) !== 0;
    const slot = this.#slots[this.#depth - 1] as number;
    return (this.cpu.load(markWord(this.#node(), mark, slot)) & markBit(slot)) !== 0;
  }

  /** All entries go, in one step. */
  clear(): void {
    const head = this.#head();
    if (head === 0) return;
    this.#begin();
    this.#retireBelow(head);
    this.journal.stage(this.address + Head.entry, 0);
    this.#emptyFlags();
    this.#finish();
  }

  #head(): number {
    return this.cpu.loadDependent(this.address + Head.entry);
  }

  /** The last node on the way down. */
  #node(): number {
    return this.#nodes[this.#depth - 1] as number;
  }

  #spanHere(): number {
    return spanOf(this.cpu, this.#node(), this.#slots[this.#depth - 1] as number, this.slots);
  }

  /** The word that leads to what the walk has found. */
  #link(depth = this.#depth): number {
    return depth === 0
      ? this.address + Head.entry
      : slotAt(this.#nodes[depth - 1] as number, this.#slots[depth - 1] as number);
  }

  /**
   * Goes down to `index`, no further than nodes of the shift `level`, and returns the word there; it is a node only at
   * that level. The last slot of the way is that of the entry, not a sibling's. No way at all: the tree does not reach there,
   * or has no node.
   */
  #walk(index: number, level: number): number {
    const { cpu, bits } = this;
    this.#depth = 0;
    let word = this.#head();
    if (!isNode(word)) return index === 0 ? word : 0;
    let shift = cpu.read(nodeOf(word) + Node.shift);
    if (index >>> shift >= this.slots || shift < level) return 0;
    for (; ; shift -= bits) {
      const node = nodeOf(word);
      let slot = (index >>> shift) & (this.slots - 1);
      word = cpu.loadDependent(slotAt(node, slot));
      if (isSibling(word)) {
        slot = siblingOf(word);
        word = cpu.loadDependent(slotAt(node, slot));
      }
      this.#nodes[this.#depth] = node;
      this.#slots[this.#depth++] = slot;
      if (!isNode(word) || shift === level) return word;
    }
  }

  #begin(): void {
    this.begin();
    this.#flags = this.cpu.load(this.address + Head.flags);
  }

  #finish(): void {
    if (this.#flags !== this.cpu.load(this.address + Head.flags)) {
      this.journal.stage(this.address + Head.flags, this.#flags);
    }
    this.commit();
  }

  /**
   * The tree gets as tall as the entry needs, with the entry in it: one word leads to all of it. An entry of several indices
   * that begins at 0 takes the place of the whole tree, which was no taller.
   */
  #grow(index: number, order: number, word: number, isFull: boolean): void {
    const { cpu, bits } = this;
    const level = order - (order % bits);
    let top = level;
    while (index >>> top >= this.slots) top += bits;
    const head = this.#head();
    if (head === 0 || index === 0) {
      this.pool.reserve(this.#make.words, (top - level) / bits + 1);
      this.#begin();
      const node = this.#make.chain(index, top, order, word, isFull);
      for (let mark = 0; mark < MARKS; mark++) {
        const isKept = head !== 0 && (this.#flags & (1 << mark)) !== 0 && !(mark === FREE && this.tracksFree);
        if (isKept) this.#make.setBit(node, mark, 0, true);
      }
      this.#retireBelow(head);
      this.journal.stage(this.address + Head.entry, nodeEntry(node));
      if (this.tracksFree) this.#setFlag(FREE, hasMark(cpu, node, FREE));
      this.#finish();
      return;
    }
    const old = isNode(head) ? cpu.read(nodeOf(head) + Node.shift) : -bits;
    top = Math.max(top, old + bits);
    this.pool.reserve(this.#make.words, (top - old) / bits + (top - level) / bits);
    this.#begin();
    let root = head;
    for (let shift = old + bits; shift <= top; shift += bits) {
      const node = this.#make.newNode(shift);
      cpu.write(slotAt(node, 0), root);
      for (let mark = 0; mark < MARKS; mark++) {
        // From the second on the node below has room, if free indices are tracked.
        const isSet = (this.#flags & (1 << mark)) !== 0 || (mark === FREE && shift > old + bits && this.tracksFree);
        this.#make.setBit(node, mark, 0, isSet);
      }
      root = nodeEntry(node);
    }
    const node = nodeOf(root);
    const slot = (index >>> top) & (this.slots - 1);
    if (top === level) this.#make.write(node, slot, 1 << (order - level), word, isFull);
    else cpu.write(slotAt(node, slot), nodeEntry(this.#make.chain(index, top - bits, order, word, isFull)));
    this.journal.stage(this.address + Head.entry, root);
    if (this.tracksFree) this.#setFlag(FREE, hasMark(cpu, node, FREE));
    this.#finish();
  }

  /** An empty slot of the last node gets the entry, nodes below it if it takes those. */
  #fill(first: number, shift: number, order: number, word: number): void {
    const level = order - (order % this.bits);
    if (shift === level) {
      this.#begin();
      this.#fillSlots(1 << (order - level), word);
      this.#finish();
      return;
    }
    this.pool.reserve(this.#make.words, (shift - level) / this.bits);
    this.#begin();
    this.journal.stage(this.#link(), nodeEntry(this.#make.chain(first, shift - this.bits, order, word, true)));
    this.#finish();
  }

  /** The last node's `span` slots from the way's on hold one entry; what was below them goes. Their marks are the entry's. */
  #fillSlots(span: number, word: number): void {
    const { cpu } = this;
    const node = this.#node();
    const first = this.#slots[this.#depth - 1] as number;
    if (span === 1) {
      this.#retireBelow(cpu.load(slotAt(node, first)));
      this.journal.stage(this.#link(), word);
      if (this.tracksFree) this.#mark(FREE, false);
      return;
    }
    this.pool.reserve(this.#make.words, 1);
    this.#begin();
    const copy = this.#make.copy(node);
    let marks = 0;
    for (let slot = first; slot < first + span; slot++) {
      this.#retireBelow(cpu.read(slotAt(copy, slot)));
      marks |= this.#make.marksOf(copy, slot);
      for (let mark = 0; mark < MARKS; mark++) this.#make.setBit(copy, mark, slot, false);
    }
    this.#make.write(copy, first, span, word, true);
    for (let mark = 0; mark < MARKS; mark++) {
      const isSet = (marks & (1 << mark)) !== 0 && !(mark === FREE && this.tracksFree);
      if (isSet) this.#make.setBit(copy, mark, first, true);
    }
    this.#replace(copy);
  }

  /** The last node's `span` slots from the way's on are empty from now on; the node goes if it holds nothing else. */
  #clearSlots(span: number): void {
    const { cpu } = this;
    if (this.#depth === 0) {
      this.journal.stage(this.address + Head.entry, 0);
      this.#emptyFlags();
      return;
    }
    const node = this.#node();
    const first = this.#slots[this.#depth - 1] as number;
    const isKept = this.#hasOthers(node, first, span);
    if (isKept && span > 1) {
      this.pool.reserve(this.#make.words, 1);
      this.#begin();
      const copy = this.#make.copy(node);
      for (let slot = first; slot < first + span; slot++) {
        this.#retireBelow(cpu.read(slotAt(copy, slot)));
        cpu.write(slotAt(copy, slot), 0);
        for (let mark = 0; mark < MARKS; mark++) this.#make.setBit(copy, mark, slot, mark === FREE && this.tracksFree);
      }
      this.#replace(copy);
      return;
    }
    for (let slot = first; slot < first + span; slot++) this.#retireBelow(cpu.load(slotAt(node, slot)));
    if (!isKept) {
      // The way ends at the lowest node that holds something else.
      let depth = this.#depth;
      do this.pool.retire(this.#nodes[--depth] as number);
      while (depth > 0 && !this.#hasOthers(this.#nodes[depth - 1] as number, this.#slots[depth - 1] as number, 1));
      this.#depth = depth;
    }
    this.journal.stage(this.#link(), 0);
    if (this.#depth === 0) {
      this.#emptyFlags();
      return;
    }
    for (let mark = 0; mark < MARKS; mark++) this.#mark(mark, mark === FREE && this.tracksFree);
  }

  /** Whether a slot holds something that is none of `span` slots from `first` on. */
  #hasOthers(node: number, first: number, span: number): boolean {
    const { cpu } = this;
    for (let slot = 0; slot < this.slots; slot++) {
      if (cpu.load(slotAt(node, slot)) !== 0 && (slot < first || slot >= first + span)) return true;
    }
    return false;
  }

  /** A changed copy takes the place of the way's last node, and its marks become those of the slot above. */
  #replace(copy: number): void {
    const { cpu } = this;
    this.pool.retire(this.#node());
    this.#depth--;
    this.journal.stage(this.#link(), nodeEntry(copy));
    for (let mark = 0; mark < MARKS; mark++) this.#mark(mark, hasMark(cpu, copy, mark));
  }

  /** The slot at the end of the way gets or loses the mark, and those above as they must. */
  #mark(mark: number, isSet: boolean): void {
    const { cpu } = this;
    for (let depth = this.#depth - 1; depth >= 0; depth--) {
      const node = this.#nodes[depth] as number;
      const slot = this.#slots[depth] as number;
      const at = markWord(node, mark, slot);
      const word = cpu.load(at);
      const bit = markBit(slot);
      if (((word & bit) !== 0) === isSet) return;
      this.journal.stage(at, isSet ? word | bit : word & ~bit);
      const other = cpu.load(markWord(node, mark, slot ^ 32));
      if (!isSet && ((word & ~bit) !== 0 || other !== 0)) return;
    }
    this.#setFlag(mark, isSet);
  }

  #setFlag(mark: number, isSet: boolean): void {
    this.#flags = isSet ? this.#flags | (1 << mark) : this.#flags & ~(1 << mark);
  }

  #emptyFlags(): void {
    for (let mark = 0; mark < MARKS; mark++) this.#setFlag(mark, mark === FREE && this.tracksFree);
  }

  /** Retires the nodes that a word leads to. Illegal for one that this step has taken: it is free again if the step is not made. */
  #retireBelow(word: number): void {
    if (!isNode(word)) return;
    const node = nodeOf(word);
    for (let slot = 0; slot < this.slots; slot++) this.#retireBelow(this.cpu.load(slotAt(node, slot)));
    this.pool.retire(node);
  }

  /** A tree whose top node has nothing but slot 0 loses it, as often as that is so. */
  #shrink(): void {
    const { cpu } = this;
    for (;;) {
      const head = this.#head();
      if (!isNode(head)) return;
      const node = nodeOf(head);
      const word = cpu.load(slotAt(node, 0));
      if (word === 0 || this.#hasOthers(node, 0, 1)) return;
      if (!isNode(word) && cpu.read(node + Node.shift) > 0) return;
      this.#begin();
      this.journal.stage(this.address + Head.entry, word);
      for (let mark = 0; mark < MARKS; mark++) this.#setFlag(mark, (this.#make.marksOf(node, 0) & (1 << mark)) !== 0);
      this.pool.retire(node);
      this.#finish();
    }
  }
}

/** The order of the largest aligned block that begins at `first` and does not go beyond `last`. */
function orderOf(first: number, last: number): number {
  const aligned = first === 0 ? MOST_ORDER : 31 - Math.clz32(first & -first);
  return Math.min(aligned, Math.floor(Math.log2(last - first + 1)), MOST_ORDER);
}
