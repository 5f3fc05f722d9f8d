/** A maple tree in plain JavaScript, and a look at whether the nodes of one are as they must be. */
import type { Cpu } from '../../lib/machine/cpu.ts';
import { classOf, wordsOf } from '../../lib/structures/chunks.ts';
import {
  firstOf,
  Head,
  indexOf,
  isLeaf,
  lastOf,
  MAX_KEY,
  MIN_KEY,
  Node,
  nodeOf,
  pivotsOfInner,
  pivotsOfLeaf,
  type Shape,
  slotsOf,
  wordOf,
} from '../../lib/structures/maple/node.ts';

export const LAST = 2 ** 32 - 1;

export interface ModelRange {
  readonly first: number;
  readonly last: number;
  readonly entry: number;
}

/** Ranges in order. */
export class MapleModel {
  ranges: ModelRange[] = [];

  storeRange(first: number, last: number, entry: number | undefined): void {
    const before = this.ranges.filter((range) => range.first < first);
    const behind = this.ranges.filter((range) => range.last > last);
    this.ranges = [
      ...before.map((range) => ({ ...range, last: Math.min(range.last, first - 1) })),
      ...(entry === undefined ? [] : [{ first, last, entry }]),
      ...behind.map((range) => ({ ...range, first: Math.max(range.first, last + 1) })),
    ];
  }

  at(index: number): ModelRange | undefined {
    return this.ranges.find(({ first, last }) => first <= index && index <= last);
  }

  within(first: number, last: number): ModelRange[] {
    return this.ranges.filter((range) => range.last >= first && range.first <= last);
  }

  /** All stretches with nothing in them. */
  gaps(): { first: number; last: number }[] {
    const gaps = [];
    let at = 0;
    for (const { first, last } of this.ranges) {
      if (first > at) gaps.push({ first: at, last: first - 1 });
      at = last + 1;
    }
    if (at <= LAST) gaps.push({ first: at, last: LAST });
    return gaps;
  }

  emptyArea(min: number, max: number, size: number, isHighest: boolean): number | undefined {
    const places = this.gaps()
      .map(({ first, last }) => ({ from: Math.max(first, min), to: Math.min(last, max) }))
      .filter(({ from, to }) => to - from + 1 >= size);
    const place = places.at(isHighest ? -1 : 0);
    return place && (isHighest ? place.to - size + 1 : place.from);
  }
}

/** What is wrong with the nodes of the tree at `tree`, and how many there are. */
export function inspectNodes(cpu: Cpu, shape: Shape, tree: number): { faults: string[]; nodes: number; words: number } {
  const faults: string[] = [];
  let nodes = 0;
  let words = 0;
  let leafDepth = -1;
  const visit = (word: number, low: number, high: number, depth: number): number => {
    nodes++;
    words += wordsOf(classOf(isLeaf(word) ? shape.leafWords : shape.innerWords));
    const node = nodeOf(word);
    const fault = (text: string) => faults.push(`node ${node} of depth ${depth}: ${text}`);
    const slots = isLeaf(word) ? shape.leafSlots : shape.innerSlots;
    const used = cpu.read(node + Node.count);
    const count = isLeaf(word) ? slotsOf(cpu, shape, node, high) : used;
    const pivots = isLeaf(word) ? pivotsOfLeaf(slots, used) : pivotsOfInner(used);
    if (count < 1 || count > slots) fault(`${count} slots`);
    if (isLeaf(word) && high < MAX_KEY && used > 0 && lastOf(cpu, node, pivots, used - 1, high) !== high) {
      fault('does not say where it ends');
    }
    const isGapInUse = isLeaf(word) && used === count && wordOf(cpu, shape, node, used - 1) === 0;
    if (isGapInUse && used < slots) fault('has a slot for nothing at the end of the tree');
    if (isLeaf(word) && leafDepth >= 0 && leafDepth !== depth) fault('a leaf of another depth');
    if (isLeaf(word)) leafDepth = depth;
    let longest = 0;
    let wasEmpty = false;
    for (let slot = 0; slot < count; slot++) {
      const first = firstOf(cpu, node, slot, low);
      const last = lastOf(cpu, node, pivots, slot, high);
      if (first > last) fault(`slot ${slot} from ${indexOf(first)} to ${indexOf(last)}`);
      if (slot === count - 1 && last !== high) fault('does not end where it must');
      if (isLeaf(word)) {
        const isEmpty = wordOf(cpu, shape, node, slot) === 0;
        if (isEmpty && wasEmpty) fault(`two gaps side by side at slot ${slot}`);
        if (isEmpty && slot === count - 1 && high < MAX_KEY) fault('ends with a gap');
        if (isEmpty) longest = Math.max(longest, last - first + 1);
        wasEmpty = isEmpty;
      } else {
        const gap = visit(cpu.read(node + shape.innerAt + slot), first, last, depth + 1);
        const known = cpu.read(node + shape.gapsAt + slot) >>> 0;
        const isKnown = last === MAX_KEY ? known >= gap : known === gap;
        if (shape.hasGaps && !isKnown) fault(`slot ${slot} has another gap`);
        longest = Math.max(longest, gap);
      }
    }
    return longest;
  };
  const root = cpu.read(tree + Head.root);
  if (root !== 0) visit(root, MIN_KEY, MAX_KEY, 0);
  return { faults, nodes, words };
}
