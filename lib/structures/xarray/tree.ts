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
import { INDEX_BITS } from '../indices.ts';
import { isNode, nodeEntry, nodeOf, siblingEntry } from './entry.ts';
import { FREE, Head, hasMark, MARKS, markBit, markWord, Node, slotAt } from './node.ts';
import { XArrayStep } from './step.ts';
import { spanOf } from './walk.ts';

/** The largest entry is at 2^31 indices. */
export const MOST_ORDER = INDEX_BITS - 1;

export class XArrayTree extends XArrayStep {
  /** The entry's word at `index`. */
  get(index: number): number {
    return this.walk(index, 0);
  }

  /**
   * Stores a word that is not 0; an entry of several indices gets it at all of them. `isFull`: false for an entry that leaves
   * its index free (the bitmaps of Ida).
   */
  put(index: number, word: number, isFull = true): void {
    const old = this.walk(index, 0);
    if (this.depth === 0 && index > 0) {
      this.#grow(index, 0, word, isFull);
      return;
    }
    const { cpu } = this;
    this.beginStep();
    const shift = this.depth === 0 ? 0 : cpu.read(this.node() + Node.shift);
    let link = word;
    if (old === 0 && shift > 0) {
      const missing = shift / this.bits;
      this.pool.reserve(this.make.words, missing);
      link = nodeEntry(this.make.chain(index, shift - this.bits, 0, word, isFull));
    }
    this.journal.stage(this.linkAt(), link);
    if (this.tracksFree && link === word) this.markWay(FREE, !isFull);
    this.finishStep();
  }

  /** Takes the entry at `index` out, at all its indices. */
  erase(index: number): void {
    if (this.walk(index, 0) === 0) return;
    const at = this.depth - 1;
    const span = at < 0 ? 1 : spanOf(this.cpu, this.node(), this.waySlots[at] as number, this.slots);
    this.beginStep();
    this.#clearSlots(span);
    this.finishStep();
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
    const old = this.walk(first, level);
    if (this.depth === 0) {
      if (word !== 0) this.#grow(first, order, word, true);
      else if (first === 0) this.clear();
      return;
    }
    const shift = cpu.read(this.node() + Node.shift);
    const span = 1 << (order - level);
    if (shift > level || (old !== 0 && !isNode(old) && this.spanHere() >= span)) {
      // Nothing is there, or an entry of at least as many indices.
      if (old === 0 && word === 0) return;
      if (old === 0) this.#fill(first, shift, order, word);
      else if (word === 0) this.erase(first);
      else this.put(first, word);
      return;
    }
    this.beginStep();
    if (word === 0) this.#clearSlots(span);
    else this.#fillSlots(span, word);
    this.finishStep();
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
      this.pool.reserve(this.make.words, blocks + 3 * Math.ceil(INDEX_BITS / this.bits));
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
    const word = this.walk(index, 0);
    const from = order - (order % bits);
    const span = 1 << (order - from);
    const first = this.waySlots[this.depth - 1] as number;
    const each = into >= from ? 1 << (into - from) : 0;
    // A node for each slot, and all that are below it.
    let below = 0;
    for (let shift = from - bits, nodes = 1; each === 0; shift -= bits, nodes *= slots) {
      below += nodes;
      if (into >= shift) break;
    }
    this.pool.reserve(this.make.words, 1 + span * below);
    this.beginStep();
    const copy = this.make.copy(this.node());
    const marks = this.make.marksOf(copy, first);
    for (let slot = first; slot < first + span; slot++) {
      const isFirst = each > 0 && (slot - first) % each === 0;
      const link = each === 0 ? nodeEntry(this.make.filled(from - bits, into, word, marks)) : word;
      cpu.write(
        slotAt(copy, slot),
        each === 0 || isFirst ? link : siblingEntry(first + (((slot - first) / each) | 0) * each),
      );
      for (let mark = 0; mark < MARKS; mark++) {
        this.make.setBit(copy, mark, slot, (marks & (1 << mark)) !== 0 && (each === 0 || isFirst));
      }
    }
    this.replace(copy);
    this.finishStep();
  }

  setMark(index: number, mark: number, isSet: boolean): void {
    const word = this.walk(index, 0);
    if (word === 0) return;
    this.beginStep();
    this.markWay(mark, isSet);
    this.finishStep();
  }

  /** Whether the entry at `index` has the mark. */
  getMark(index: number, mark: number): boolean {
    if (this.walk(index, 0) === 0) return false;
    if (this.depth === 0) return (this.cpu.load(this.address + Head.flags) & (1 << mark)) !== 0;
    const slot = this.waySlots[this.depth - 1] as number;
    return (this.cpu.load(markWord(this.node(), mark, slot)) & markBit(slot)) !== 0;
  }

  /** All entries go, in one step. */
  clear(): void {
    const head = this.head();
    if (head === 0) return;
    this.beginStep();
    this.retireBelow(head);
    this.journal.stage(this.address + Head.entry, 0);
    this.emptyFlags();
    this.finishStep();
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
    const head = this.head();
    if (head === 0 || index === 0) {
      this.pool.reserve(this.make.words, (top - level) / bits + 1);
      this.beginStep();
      const node = this.make.chain(index, top, order, word, isFull);
      for (let mark = 0; mark < MARKS; mark++) {
        const isKept = head !== 0 && (this.flags & (1 << mark)) !== 0 && !(mark === FREE && this.tracksFree);
        if (isKept) this.make.setBit(node, mark, 0, true);
      }
      this.retireBelow(head);
      this.journal.stage(this.address + Head.entry, nodeEntry(node));
      if (this.tracksFree) this.setFlag(FREE, hasMark(cpu, node, FREE));
      this.finishStep();
      return;
    }
    const old = isNode(head) ? cpu.read(nodeOf(head) + Node.shift) : -bits;
    top = Math.max(top, old + bits);
    this.pool.reserve(this.make.words, (top - old) / bits + (top - level) / bits);
    this.beginStep();
    let root = head;
    for (let shift = old + bits; shift <= top; shift += bits) {
      const node = this.make.newNode(shift);
      cpu.write(slotAt(node, 0), root);
      for (let mark = 0; mark < MARKS; mark++) {
        // From the second on the node below has room, if free indices are tracked.
        const isSet = (this.flags & (1 << mark)) !== 0 || (mark === FREE && shift > old + bits && this.tracksFree);
        this.make.setBit(node, mark, 0, isSet);
      }
      root = nodeEntry(node);
    }
    const node = nodeOf(root);
    const slot = (index >>> top) & (this.slots - 1);
    if (top === level) this.make.write(node, slot, 1 << (order - level), word, isFull);
    else cpu.write(slotAt(node, slot), nodeEntry(this.make.chain(index, top - bits, order, word, isFull)));
    this.journal.stage(this.address + Head.entry, root);
    if (this.tracksFree) this.setFlag(FREE, hasMark(cpu, node, FREE));
    this.finishStep();
  }

  /** An empty slot of the last node gets the entry, nodes below it if it takes those. */
  #fill(first: number, shift: number, order: number, word: number): void {
    const level = order - (order % this.bits);
    if (shift === level) {
      this.beginStep();
      this.#fillSlots(1 << (order - level), word);
      this.finishStep();
      return;
    }
    this.pool.reserve(this.make.words, (shift - level) / this.bits);
    this.beginStep();
    this.journal.stage(this.linkAt(), nodeEntry(this.make.chain(first, shift - this.bits, order, word, true)));
    this.finishStep();
  }

  /** The last node's `span` slots from the way's on hold one entry; what was below them goes. Their marks are the entry's. */
  #fillSlots(span: number, word: number): void {
    const { cpu } = this;
    const node = this.node();
    const first = this.waySlots[this.depth - 1] as number;
    if (span === 1) {
      this.retireBelow(cpu.load(slotAt(node, first)));
      this.journal.stage(this.linkAt(), word);
      if (this.tracksFree) this.markWay(FREE, false);
      return;
    }
    this.pool.reserve(this.make.words, 1);
    this.beginStep();
    const copy = this.make.copy(node);
    let marks = 0;
    for (let slot = first; slot < first + span; slot++) {
      this.retireBelow(cpu.read(slotAt(copy, slot)));
      marks |= this.make.marksOf(copy, slot);
      for (let mark = 0; mark < MARKS; mark++) this.make.setBit(copy, mark, slot, false);
    }
    this.make.write(copy, first, span, word, true);
    for (let mark = 0; mark < MARKS; mark++) {
      const isSet = (marks & (1 << mark)) !== 0 && !(mark === FREE && this.tracksFree);
      if (isSet) this.make.setBit(copy, mark, first, true);
    }
    this.replace(copy);
  }

  /** The last node's `span` slots from the way's on are empty from now on; the node goes if it holds nothing else. */
  #clearSlots(span: number): void {
    const { cpu } = this;
    if (this.depth === 0) {
      this.journal.stage(this.address + Head.entry, 0);
      this.emptyFlags();
      return;
    }
    const node = this.node();
    const first = this.waySlots[this.depth - 1] as number;
    const isKept = this.hasOthers(node, first, span);
    if (isKept && span > 1) {
      this.pool.reserve(this.make.words, 1);
      this.beginStep();
      const copy = this.make.copy(node);
      for (let slot = first; slot < first + span; slot++) {
        this.retireBelow(cpu.read(slotAt(copy, slot)));
        cpu.write(slotAt(copy, slot), 0);
        for (let mark = 0; mark < MARKS; mark++) this.make.setBit(copy, mark, slot, mark === FREE && this.tracksFree);
      }
      this.replace(copy);
      return;
    }
    for (let slot = first; slot < first + span; slot++) this.retireBelow(cpu.load(slotAt(node, slot)));
    if (!isKept) {
      // The way ends at the lowest node that holds something else.
      let depth = this.depth;
      do this.pool.retire(this.wayNodes[--depth] as number);
      while (depth > 0 && !this.hasOthers(this.wayNodes[depth - 1] as number, this.waySlots[depth - 1] as number, 1));
      this.depth = depth;
    }
    this.journal.stage(this.linkAt(), 0);
    if (this.depth === 0) {
      this.emptyFlags();
      return;
    }
    for (let mark = 0; mark < MARKS; mark++) this.markWay(mark, mark === FREE && this.tracksFree);
  }

  /** A tree whose top node has nothing but slot 0 loses it, as often as that is so. */
  #shrink(): void {
    const { cpu } = this;
    for (;;) {
      const head = this.head();
      if (!isNode(head)) return;
      const node = nodeOf(head);
      const word = cpu.load(slotAt(node, 0));
      if (word === 0 || this.hasOthers(node, 0, 1)) return;
      if (!isNode(word) && cpu.read(node + Node.shift) > 0) return;
      this.beginStep();
      this.journal.stage(this.address + Head.entry, word);
      for (let mark = 0; mark < MARKS; mark++) this.setFlag(mark, (this.make.marksOf(node, 0) & (1 << mark)) !== 0);
      this.pool.retire(node);
      this.finishStep();
    }
  }
}

/** The order of the largest aligned block that begins at `first` and does not go beyond `last`. */
function orderOf(first: number, last: number): number {
  const aligned = first === 0 ? MOST_ORDER : 31 - Math.clz32(first & -first);
  return Math.min(aligned, Math.floor(Math.log2(last - first + 1)), MOST_ORDER);
}
