/** Nodes of an XArray that no reader can find yet: made for one step, filled, and then led to by one word. */
import type { Cpu } from '../../machine/cpu.ts';
import type { Pool } from '../pool.ts';
import { nodeEntry, siblingEntry } from './entry.ts';
import { FREE, MARKS, markBit, markWord, Node, nodeWords, slotAt } from './node.ts';

export class NodeMaker {
  readonly bits: number;
  readonly slots: number;
  /** Length of a node. */
  readonly words: number;
  readonly #cpu: Cpu;
  readonly #pool: Pool;
  readonly #tracksFree: boolean;

  constructor(cpu: Cpu, pool: Pool, bits: number, tracksFree: boolean) {
    this.bits = bits;
    this.slots = 1 << bits;
    this.words = nodeWords(this.slots);
    this.#cpu = cpu;
    this.#pool = pool;
    this.#tracksFree = tracksFree;
  }

  /** A new node with nothing in it. */
  newNode(shift: number): number {
    const cpu = this.#cpu;
    const node = this.#pool.take(this.words);
    cpu.write(node + Node.shift, shift);
    for (let mark = 0; mark < MARKS; mark++) {
      const bits = mark === FREE && this.#tracksFree ? -1 : 0;
      cpu.write(markWord(node, mark, 0), this.slots < 32 ? bits & (markBit(this.slots) - 1) : bits);
      cpu.write(markWord(node, mark, 32), this.slots < 64 ? 0 : bits);
    }
    for (let slot = 0; slot < this.slots; slot++) cpu.write(slotAt(node, slot), 0);
    return node;
  }

  /** A copy of a node, for changes of several slots. */
  copy(node: number): number {
    const cpu = this.#cpu;
    const copy = this.#pool.take(this.words);
    for (let word = Node.shift; word < this.words; word++) cpu.write(copy + word, cpu.load(node + word));
    return copy;
  }

  /** Nodes from the shift `top` down to the one that holds the entry of 2^order indices at `index`. */
  chain(index: number, top: number, order: number, word: number, isFull: boolean): number {
    const { bits } = this;
    const cpu = this.#cpu;
    const level = order - (order % bits);
    let below = 0;
    for (let shift = level; shift <= top; shift += bits) {
      const node = this.newNode(shift);
      const slot = (index >>> shift) & (this.slots - 1);
      if (shift > level) cpu.write(slotAt(node, slot), nodeEntry(below));
      else this.write(node, slot, 1 << (order - level), word, isFull);
      below = node;
    }
    return below;
  }

  /** An entry in `span` slots of a node that no reader can find yet. */
  write(node: number, slot: number, span: number, word: number, isFull: boolean): void {
    const cpu = this.#cpu;
    for (let i = 0; i < span; i++) {
      cpu.write(slotAt(node, slot + i), i === 0 ? word : siblingEntry(slot));
      if (this.#tracksFree) this.setBit(node, FREE, slot + i, !isFull);
    }
  }

  /** A node of that shift with entries of 2^into indices everywhere, the first of each with those marks. */
  filled(shift: number, into: number, word: number, marks: number): number {
    const { bits, slots } = this;
    const cpu = this.#cpu;
    const node = this.newNode(shift);
    const each = into >= shift ? 1 << (into - shift) : 0;
    for (let slot = 0; slot < slots; slot++) {
      const isFirst = each > 0 && slot % each === 0;
      const below = each === 0 ? nodeEntry(this.filled(shift - bits, into, word, marks)) : word;
      cpu.write(slotAt(node, slot), each === 0 || isFirst ? below : siblingEntry(slot - (slot % each)));
      for (let mark = 0; mark < MARKS; mark++) {
        this.setBit(node, mark, slot, (marks & (1 << mark)) !== 0 && (each === 0 || isFirst));
      }
    }
    return node;
  }

  /** The marks of a slot, a bit each. */
  marksOf(node: number, slot: number): number {
    let marks = 0;
    for (let mark = 0; mark < MARKS; mark++) {
      if (this.#cpu.load(markWord(node, mark, slot)) & markBit(slot)) marks |= 1 << mark;
    }
    return marks;
  }

  /** The slot's bit of the mark. */
  setBit(node: number, mark: number, slot: number, isSet: boolean): void {
    const cpu = this.#cpu;
    const at = markWord(node, mark, slot);
    const word = cpu.read(at);
    cpu.write(at, isSet ? word | markBit(slot) : word & ~markBit(slot));
  }
}
