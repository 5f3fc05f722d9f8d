/**
 * Ranges that come behind all others: the one change that adds slots to a node which readers can find.
 *
 *   the last leaf has room      slots are written behind those in use, then `count`
 *   it has none                 a new leaf, in new nodes as far up as there is no room: a child behind the last one of a node
 *                               that has some, or of a new root
 *
 * A reader goes by the count that it has seen, so it finds the range or nothing, as it was. In the second case the old leaf
 * stays as it is, and so do the full nodes above it: keys behind its last pivot were nothing's, and are the new leaf's for readers that
 * see the new count.
 *
 * The gap that is known of the last child may be too long, so it stays in the first case. In the second that child is no longer
 * the last.
 */
import type { Cpu } from '../../machine/cpu.ts';
import type { Journal } from '../journal.ts';
import type { Pool } from '../pool.ts';
import { closePivots, firstOf, Head, LEAF, longestGap, MAX_KEY, Node, type Shape } from './node.ts';
import type { Path } from './path.ts';

/** A tree, in the middle of a step. */
export interface Step {
  readonly cpu: Cpu;
  readonly shape: Shape;
  readonly journal: Journal;
  readonly pool: Pool;
  readonly address: number;
}

/** Whether the way ends where nothing is, behind all entries of the tree. */
export function isBehindAll(cpu: Cpu, { depth, nodes, slots }: Path): boolean {
  const leaf = depth - 1;
  return leaf >= 0 && slots[leaf] === cpu.read((nodes[leaf] as number) + Node.count);
}

/** Adds a word from `first` to `last` to the leaf of a way that is behind all. False if it has no room. */
export function appendRange(cpu: Cpu, shape: Shape, way: Path, first: number, last: number, word: number): boolean {
  const level = way.depth - 1;
  const leaf = way.nodes[level] as number;
  const slot = way.slots[level] as number;
  const begin = firstOf(cpu, leaf, slot, way.lows[level] as number);
  // The last of them needs a pivot.
  if (slot + (begin < first ? 2 : 1) >= shape.leafSlots) return false;
  const count = writeSlots(cpu, shape, leaf, slot, begin, first, last, word);
  // A writer that died here may have left more.
  if (count < shape.leafPivots) cpu.storeUnordered(leaf + Node.words + count, MAX_KEY);
  // Pairs with the load of the count in `loadWord` and `seek` of walk.ts.
  cpu.storeReleaseLight(leaf + Node.count, count);
  return true;
}

/** How many inner nodes `stageLeaf` takes, beside the leaf. */
export function innerNodesFor(cpu: Cpu, shape: Shape, { depth, nodes }: Path): number {
  let level = depth - 2;
  while (level >= 0 && cpu.read((nodes[level] as number) + Node.count) === shape.innerSlots) level--;
  return level < 0 ? depth : depth - 2 - level;
}

/** Stages a new leaf behind that of the way, with a word from `first` to `last`. */
export function stageLeaf(tree: Step, way: Path, first: number, last: number, word: number): void {
  const { cpu, shape, journal, pool, address } = tree;
  const { nodes, lows, slots, depth } = way;
  const leaf = nodes[depth - 1] as number;
  const low = lows[depth - 1] as number;
  const begin = firstOf(cpu, leaf, slots[depth - 1] as number, low);
  const made = pool.take(shape.leafWords);
  const used = writeSlots(cpu, shape, made, 0, begin, first, last, word);
  closePivots(cpu, made, used, shape.leafPivots);
  cpu.write(made + Node.count, used);
  const gap = Math.max(first - begin, MAX_KEY - last) | 0;
  // What is to be led to, and the longest gap before it, which is known for certain from now on.
  let child = made | LEAF;
  let closed = shape.hasGaps ? longestGap(cpu, shape, leaf, low, begin - 1) : 0;
  for (let level = depth - 2; level >= 0; level--) {
    const node = nodes[level] as number;
    const count = cpu.read(node + Node.count);
    const gaps = node + shape.gapsAt;
    if (shape.hasGaps) journal.stage(gaps + count - 1, closed | 0);
    if (count < shape.innerSlots) {
      // Nobody looks there yet, nor after a death in between.
      cpu.write(node + shape.innerAt + count, child);
      if (shape.hasGaps) cpu.write(gaps + count, gap);
      cpu.storeUnordered(node + Node.words + count - 1, begin - 1);
      // Pairs with the loads of the count in `loadWord` and `seek` of walk.ts.
      journal.stage(node + Node.count, count + 1);
      return;
    }
    if (shape.hasGaps) for (let i = 0; i < count - 1; i++) closed = Math.max(closed, cpu.read(gaps + i) >>> 0);
    child = newInner(tree, [child], [gap]);
  }
  const root = newInner(tree, [cpu.read(address + Head.root), child], [closed | 0, gap]);
  cpu.write(root + Node.words, begin - 1);
  journal.stage(address + Head.root, root);
}

/** A node with those children, and their gaps. */
function newInner({ cpu, shape, pool }: Step, children: readonly number[], gaps: readonly number[]): number {
  const node = pool.take(shape.innerWords);
  for (const [slot, child] of children.entries()) {
    cpu.write(node + shape.innerAt + slot, child);
    if (shape.hasGaps) cpu.write(node + shape.gapsAt + slot, gaps[slot] as number);
  }
  closePivots(cpu, node, 0, shape.innerPivots);
  cpu.write(node + Node.count, children.length);
  return node;
}

/**
 * Writes a gap from `begin`, if there is one, and the range, from `slot` on. Returns the slot behind. Readers look at the pivots,
 * and take none for one of theirs before they see the count.
 */
function writeSlots(
  cpu: Cpu,
  { leafAt }: Shape,
  leaf: number,
  slot: number,
  begin: number,
  first: number,
  last: number,
  word: number,
): number {
  let at = slot;
  if (begin < first) {
    cpu.storeUnordered(leaf + Node.words + at, first - 1);
    cpu.write(leaf + leafAt + at++, 0);
  }
  cpu.storeUnordered(leaf + Node.words + at, last);
  cpu.write(leaf + leafAt + at, word);
  return at + 1;
}
