/** What a level of a maple tree is to hold, slot by slot, before it is put into nodes. */
import type { Cpu } from '../../machine/cpu.ts';
import { closePivots, lastOf, MAX_KEY, Node, pivotsOfInner, pivotsOfLeaf, type Shape, slotsOf } from './node.ts';

/** Two nodes of slots, a few that come between them, and a neighbour. */
const MOST = 128;

export class Slots {
  count = 0;
  readonly pivots = new Int32Array(MOST);
  readonly words = new Int32Array(MOST);
  /** Of children, where the tree has gaps. */
  readonly gaps = new Int32Array(MOST);
  /** The key that slot 0 begins with. */
  low = 0;

  clear(low: number): void {
    this.count = 0;
    this.low = low;
  }

  push(pivot: number, word: number, gap: number): void {
    const at = this.count++;
    this.pivots[at] = pivot;
    this.words[at] = word;
    this.gaps[at] = gap;
  }

  pushAll(other: Slots): void {
    for (let i = 0; i < other.count; i++) {
      this.push(other.pivots[i] as number, other.words[i] as number, other.gaps[i] as number);
    }
  }

  /** The slots from `from` up to `to` of a node whose last key is `high`. */
  pushNode(cpu: Cpu, shape: Shape, isLeaf: boolean, node: number, from: number, to: number, high: number): void {
    if (isLeaf) {
      const used = cpu.read(node + Node.count);
      const pivots = pivotsOfLeaf(shape.leafSlots, used);
      for (let slot = from; slot < to; slot++) {
        const word = slot < used ? cpu.read(node + shape.leafAt + slot) : 0;
        this.push(lastOf(cpu, node, pivots, slot, high), word, 0);
      }
      return;
    }
    const at = node + shape.innerAt;
    const pivots = pivotsOfInner(cpu.read(node + Node.count));
    for (let slot = from; slot < to; slot++) {
      const gap = shape.hasGaps ? cpu.read(node + shape.gapsAt + slot) : 0;
      this.push(lastOf(cpu, node, pivots, slot, high), cpu.read(at + slot), gap);
    }
  }

  /** All slots of a node with the keys from `low` to `high` come in front. */
  unshiftNode(cpu: Cpu, shape: Shape, isLeaf: boolean, node: number, low: number, high: number): void {
    const slots = isLeaf ? slotsOf(cpu, shape, node, high) : cpu.read(node + Node.count);
    for (const words of [this.pivots, this.words, this.gaps]) words.copyWithin(slots, 0, this.count);
    const count = this.count;
    this.clear(low);
    this.pushNode(cpu, shape, isLeaf, node, 0, slots, high);
    this.count += count;
  }

  /** Writes the slots from `from` up to `to` into a node that no reader can find yet, and returns its longest gap. */
  write(cpu: Cpu, shape: Shape, isLeaf: boolean, node: number, from: number, to: number): number {
    const pivots = isLeaf ? shape.leafPivots : shape.innerPivots;
    const at = node + (isLeaf ? shape.leafAt : shape.innerAt);
    const hasGaps = shape.hasGaps && !isLeaf;
    let count = to - from;
    let longest = 0;
    for (let slot = 0; slot < count; slot++) {
      const word = this.words[from + slot] as number;
      if (slot < pivots) cpu.write(node + Node.words + slot, this.pivots[from + slot] as number);
      cpu.write(at + slot, word);
      let gap = 0;
      if (hasGaps) {
        cpu.write(node + shape.gapsAt + slot, this.gaps[from + slot] as number);
        gap = (this.gaps[from + slot] as number) >>> 0;
      } else if (isLeaf && word === 0) {
        gap = (this.pivots[from + slot] as number) - this.#first(from + slot) + 1;
      }
      if (gap > longest) longest = gap;
    }
    closePivots(cpu, node, count, pivots);
    // Nothing at the end of the tree is no slot.
    if (isLeaf && this.words[to - 1] === 0 && this.pivots[to - 1] === MAX_KEY) count--;
    cpu.write(node + Node.count, count);
    return longest;
  }

  #first(at: number): number {
    return at === 0 ? this.low : (this.pivots[at - 1] as number) + 1;
  }
}
