/**
 * Changes that stay within one leaf of a maple tree, for the writer.
 *
 *   the range is one slot        the slot is overwritten
 *   the leaf has room            a changed copy takes its place
 *
 * Either is one word for readers. The gaps above go with it in the same step.
 */
import type { Cpu } from '../../machine/cpu.ts';
import type { Step } from './append.ts';
import {
  closePivots,
  endOf,
  firstOf,
  Head,
  LEAF,
  lastOf,
  longestGap,
  MAX_KEY,
  Node,
  pivotsOfInner,
  slotsOf,
  wordOf,
} from './node.ts';
import type { Path } from './path.ts';

export class LeafChange {
  readonly #step: Step;
  /** The way to the leaf, and to the slot in which the range begins. */
  readonly #way: Path;
  /** Of a copy, as `fits` has found: the slot of the range, the old one behind it, and how many there are then. */
  #at = 0;
  #behind = 0;

  constructor(step: Step, way: Path) {
    this.#step = step;
    this.#way = way;
  }

  /** Whether the range is one slot, in which a word can take the place of the one there. */
  overwrites(first: number, last: number, word: number): boolean {
    const { cpu, shape } = this.#step;
    const { depth, nodes, slots, lows, highs } = this.#way;
    const level = depth - 1;
    const node = nodes[level] as number;
    const slot = slots[level] as number;
    if (slot === cpu.read(node + Node.count) || firstOf(cpu, node, slot, lows[level] as number) !== first) return false;
    if (endOf(cpu, shape, node, slot, highs[level] as number) !== last) return false;
    // What is at the end of the tree is a slot, and nothing is none.
    return word !== 0 || last !== MAX_KEY;
  }

  stageOverwrite(first: number, last: number, word: number): void {
    const { cpu, shape, journal } = this.#step;
    const { depth, nodes, slots, lows, highs } = this.#way;
    const level = depth - 1;
    const node = nodes[level] as number;
    const slot = slots[level] as number;
    const at = node + shape.leafAt + slot;
    const old = cpu.read(at);
    journal.stage(at, word);
    if (!shape.hasGaps || (old === 0) === (word === 0)) return;
    let longest = word === 0 ? last - first + 1 : 0;
    for (let i = 0, low = lows[level] as number; i < slotsOf(cpu, shape, node, highs[level] as number); i++) {
      const high = endOf(cpu, shape, node, i, highs[level] as number);
      if (i !== slot && wordOf(cpu, shape, node, i) === 0) longest = Math.max(longest, high - low + 1);
      low = high + 1;
    }
    this.stageGap(level - 1, longest);
  }

  /** Whether a copy of the leaf has room for the range, and enough is left in it. For `stageCopy`. */
  fits(first: number, last: number): boolean {
    const { cpu, shape } = this.#step;
    const { depth, nodes, slots, lows, highs } = this.#way;
    const level = depth - 1;
    const old = nodes[level] as number;
    const slot = slots[level] as number;
    const high = highs[level] as number;
    let behind = slot;
    while (endOf(cpu, shape, old, behind, high) < last) behind++;
    if (endOf(cpu, shape, old, behind, high) === last) behind++;
    this.#at = firstOf(cpu, old, slot, lows[level] as number) < first ? slot + 1 : slot;
    this.#behind = behind;
    const added = this.#at + 1 - behind;
    const count = slotsOf(cpu, shape, old, high) + added;
    return count <= shape.leafSlots && (added >= 0 || count >= shape.leastInLeaf || level === 0);
  }

  /** A changed copy in place of the leaf: what `Rebuild` would do, without a stop between. A block is reserved. */
  stageCopy(first: number, last: number, word: number): void {
    const { cpu, shape, journal, pool, address } = this.#step;
    const { depth, nodes, slots, lows, highs } = this.#way;
    const level = depth - 1;
    const old = nodes[level] as number;
    const high = highs[level] as number;
    const node = pool.take(shape.leafWords);
    this.#copy(old, node, slots[level] as number, high, first, last, word);
    pool.retire(old);
    const above = level - 1;
    if (level === 0) journal.stage(address + Head.root, node | LEAF);
    else journal.stage((nodes[above] as number) + shape.innerAt + (slots[above] as number), node | LEAF);
    if (shape.hasGaps && level > 0 && (word === 0 || this.#hadLongest(slots[level] as number, this.#behind))) {
      this.stageGap(above, longestGap(cpu, shape, node, lows[level] as number, high));
    }
  }

  /** What is before the range, the range, and what is behind it. */
  #copy(old: number, node: number, slot: number, high: number, first: number, last: number, word: number): void {
    const { cpu, shape } = this.#step;
    const [from, into] = [old + shape.leafAt, node + shape.leafAt];
    const [oldPivots, pivots] = [old + Node.words, node + Node.words];
    const most = shape.leafSlots - 1;
    for (let i = 0; i < slot; i++) {
      cpu.write(pivots + i, cpu.read(oldPivots + i));
      cpu.write(into + i, cpu.read(from + i));
    }
    const at = this.#at;
    if (at > slot) {
      cpu.write(pivots + slot, first - 1);
      cpu.write(into + slot, wordOf(cpu, shape, old, slot));
    }
    if (at < most) cpu.write(pivots + at, last);
    cpu.write(into + at, word);
    const used = cpu.read(old + Node.count);
    let count = at + 1;
    for (let i = this.#behind; i < used; i++, count++) {
      if (count < most) cpu.write(pivots + count, i < most ? cpu.read(oldPivots + i) : high);
      cpu.write(into + count, cpu.read(from + i));
    }
    closePivots(cpu, node, Math.min(count, most), shape.leafPivots);
    // Nothing at the end of the tree is no slot.
    cpu.write(node + Node.count, high === MAX_KEY && count === at + 1 && word === 0 ? at : count);
  }

  /** Whether one of these slots of the way's leaf, `to` included, may be the longest gap of that. */
  #hadLongest(from: number, to: number): boolean {
    const { cpu, shape } = this.#step;
    const { depth, nodes, slots, lows, highs } = this.#way;
    const level = depth - 1;
    const node = nodes[level] as number;
    // Nothing is said of the end of the tree but what cannot be too little.
    if (highs[level] === MAX_KEY) return false;
    const longest = cpu.read((nodes[level - 1] as number) + shape.gapsAt + (slots[level - 1] as number)) >>> 0;
    for (let slot = from; slot <= to && slot < cpu.read(node + Node.count); slot++) {
      if (cpu.read(node + shape.leafAt + slot) !== 0) continue;
      const last = endOf(cpu, shape, node, slot, highs[level] as number);
      if (last - firstOf(cpu, node, slot, lows[level] as number) + 1 >= longest) return true;
    }
    return false;
  }

  /** The child at the way's slot of that level has a gap of `gap` from now on, and so have those above, as they must. */
  stageGap(from: number, gap: number): void {
    const { cpu, shape, journal } = this.#step;
    const { nodes, slots, highs } = this.#way;
    let longest = gap;
    for (let level = from; level >= 0; level--) {
      const node = nodes[level] as number;
      const slot = slots[level] as number;
      const at = node + shape.gapsAt;
      const known = cpu.read(at + slot) >>> 0;
      const isEnd = endOfInner(cpu, node, slot, highs[level] as number) === MAX_KEY;
      if (known === longest || (isEnd && known > longest)) return;
      journal.stage(at + slot, longest | 0);
      for (let i = cpu.read(node + Node.count) - 1; i >= 0; i--) {
        if (i !== slot) longest = Math.max(longest, cpu.read(at + i) >>> 0);
      }
    }
  }
}

/** The last key of an inner node's slot. */
export function endOfInner(cpu: Cpu, node: number, slot: number, high: number): number {
  return lastOf(cpu, node, pivotsOfInner(cpu.read(node + Node.count)), slot, high);
}
