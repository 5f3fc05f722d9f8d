import type { Arena } from '../../arena/arena.ts';
import type { Stretch } from '../../rcu/stretch.ts';
import { Core, type StructureView } from '../core.ts';
import { INDEX_BITS } from '../indices.ts';
import { isNode, isSibling, nodeEntry, nodeOf, siblingOf } from './entry.ts';
import { FREE, Head, hasMark, MARKS, markBit, markWord, Node, slotAt, TRACK_FREE } from './node.ts';
import { NodeMaker } from './node-maker.ts';
import { spanOf } from './walk.ts';

/**
 * What the changes of an XArray are made of, all of them steps of its journal: the way down to an index, the word that leads to what
 * is there, and the marks of all nodes on the way.
 */
export abstract class XArrayStep extends Core {
  readonly bits: number;
  readonly slots: number;
  readonly tracksFree: boolean;
  protected readonly make: NodeMaker;
  /** The way down to the index of this step: nodes, and which slot of each. */
  protected readonly wayNodes = new Int32Array(INDEX_BITS);
  protected readonly waySlots = new Int32Array(INDEX_BITS);
  protected depth = 0;
  /** `Head.flags` as this step leaves them. */
  protected flags = 0;

  constructor(arena: Arena, view: StructureView, stretch: Stretch, bits: number) {
    super(arena, view, stretch);
    this.bits = bits;
    this.slots = 1 << bits;
    this.tracksFree = (arena.cpu.load(view.address + Head.flags) & TRACK_FREE) !== 0;
    this.make = new NodeMaker(arena.cpu, this.pool, bits, this.tracksFree);
  }

  protected head(): number {
    return this.cpu.loadDependent(this.address + Head.entry);
  }

  /** The last node on the way down. */
  protected node(): number {
    return this.wayNodes[this.depth - 1] as number;
  }

  protected spanHere(): number {
    return spanOf(this.cpu, this.node(), this.waySlots[this.depth - 1] as number, this.slots);
  }

  /** The word that leads to what the walk has found. */
  protected linkAt(depth = this.depth): number {
    return depth === 0
      ? this.address + Head.entry
      : slotAt(this.wayNodes[depth - 1] as number, this.waySlots[depth - 1] as number);
  }

  /**
   * Goes down to `index`, no further than nodes of the shift `level`, and returns the word there; it is a node only at
   * that level. The last slot of the way is that of the entry, not a sibling's. No way at all: the tree does not reach there,
   * or has no node.
   */
  protected walk(index: number, level: number): number {
    const { cpu, bits } = this;
    this.depth = 0;
    let word = this.head();
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
      this.wayNodes[this.depth] = node;
      this.waySlots[this.depth++] = slot;
      if (!isNode(word) || shift === level) return word;
    }
  }

  protected beginStep(): void {
    this.begin();
    this.flags = this.cpu.load(this.address + Head.flags);
  }

  protected finishStep(): void {
    if (this.flags !== this.cpu.load(this.address + Head.flags)) {
      this.journal.stage(this.address + Head.flags, this.flags);
    }
    this.commit();
  }

  /** Whether a slot holds something that is none of `span` slots from `first` on. */
  protected hasOthers(node: number, first: number, span: number): boolean {
    const { cpu } = this;
    for (let slot = 0; slot < this.slots; slot++) {
      if (cpu.load(slotAt(node, slot)) !== 0 && (slot < first || slot >= first + span)) return true;
    }
    return false;
  }

  /** A changed copy takes the place of the way's last node, and its marks become those of the slot above. */
  protected replace(copy: number): void {
    const { cpu } = this;
    this.pool.retire(this.node());
    this.depth--;
    this.journal.stage(this.linkAt(), nodeEntry(copy));
    for (let mark = 0; mark < MARKS; mark++) this.markWay(mark, hasMark(cpu, copy, mark));
  }

  /** The slot at the end of the way gets or loses the mark, and those above as they must. */
  protected markWay(mark: number, isSet: boolean): void {
    const { cpu } = this;
    for (let depth = this.depth - 1; depth >= 0; depth--) {
      const node = this.wayNodes[depth] as number;
      const slot = this.waySlots[depth] as number;
      const at = markWord(node, mark, slot);
      const word = cpu.load(at);
      const bit = markBit(slot);
      if (((word & bit) !== 0) === isSet) return;
      this.journal.stage(at, isSet ? word | bit : word & ~bit);
      const other = cpu.load(markWord(node, mark, slot ^ 32));
      if (!isSet && ((word & ~bit) !== 0 || other !== 0)) return;
    }
    this.setFlag(mark, isSet);
  }

  protected setFlag(mark: number, isSet: boolean): void {
    this.flags = isSet ? this.flags | (1 << mark) : this.flags & ~(1 << mark);
  }

  protected emptyFlags(): void {
    for (let mark = 0; mark < MARKS; mark++) this.setFlag(mark, mark === FREE && this.tracksFree);
  }

  /** Retires the nodes that a word leads to. Illegal for one that this step has taken: it is free again if the step is not made. */
  protected retireBelow(word: number): void {
    if (!isNode(word)) return;
    const node = nodeOf(word);
    for (let slot = 0; slot < this.slots; slot++) this.retireBelow(this.cpu.load(slotAt(node, slot)));
    this.pool.retire(node);
  }
}
