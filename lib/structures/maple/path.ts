/** The way from the root of a maple tree to the leaf of one key, for the writer. */
import type { Cpu } from '../../machine/cpu.ts';
import {
  childFor,
  firstOf,
  isLeaf,
  lastOf,
  MAX_KEY,
  MIN_KEY,
  Node,
  nodeOf,
  pivotsOfInner,
  type Shape,
  slotFor,
} from './node.ts';

/** More levels than any tree has: each splits its stretch, of at most 2^32 keys, and trees of four slots are tests'. */
export const MOST_LEVELS = 40;

export class Path {
  /** Levels, that of the leaf included; 0 for a tree with nothing in it. */
  depth = 0;
  /** For each level, from the root on: the node, which of its slots, and the first and last key of the node. */
  readonly nodes = new Int32Array(MOST_LEVELS);
  readonly slots = new Int32Array(MOST_LEVELS);
  readonly lows = new Int32Array(MOST_LEVELS);
  readonly highs = new Int32Array(MOST_LEVELS);

  /** Goes from what `root` leads to down to the leaf of `key`. */
  go(cpu: Cpu, shape: Shape, root: number, key: number): void {
    let [low, high] = [MIN_KEY, MAX_KEY];
    this.depth = 0;
    for (let word = root; word !== 0; ) {
      const node = nodeOf(word);
      const level = this.depth++;
      const count = cpu.read(node + Node.count);
      this.nodes[level] = node;
      this.lows[level] = low;
      this.highs[level] = high;
      if (isLeaf(word)) {
        this.slots[level] = slotFor(cpu, shape, node, count, key);
        return;
      }
      const slot = childFor(cpu, shape, node, count, key);
      this.slots[level] = slot;
      high = lastOf(cpu, node, pivotsOfInner(count), slot, high);
      low = firstOf(cpu, node, slot, low);
      word = cpu.loadDependent(node + shape.innerAt + slot);
    }
  }
}
