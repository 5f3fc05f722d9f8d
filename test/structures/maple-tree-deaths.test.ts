/** A writer is killed right before each of its operations that change memory; before any other it would leave the same. */
import { describe, expect, test } from 'vitest';
import type { Cpu } from '../../lib/machine/cpu.ts';
import { MapleTree } from '../../lib/structures/maple/maple-tree.ts';
import { Head, shapeOf } from '../../lib/structures/maple/node.ts';
import { type Step, stepper } from '../support/stepper.ts';
import { inspectNodes } from './maple-model.ts';

const open = (arena: ConstructorParameters<typeof MapleTree>[0]) => new MapleTree(arena, 'tree', {}, 4);

const changing = (n: number) => {
  let seen = 0;
  return ({ op }: Step) => !/^(read|load|now|relax)/.test(op) && ++seen === n;
};
const machineOf = (threads: number) => stepper(threads, { words: 1 << 14 });

/** What readers see. */
const image = (tree: MapleTree) => [...tree].map(({ first, last, entry }) => `${first}-${last}: ${entry}`).join('; ');

const CHANGES: Record<string, (tree: MapleTree) => void> = {
  'a first range': (tree) => tree.storeRange(5, 9, 1),
  'a slot that is overwritten': (tree) => tree.store(0, 77),
  'a gap that closes': (tree) => tree.storeRange(35, 39, 77),
  'a gap in place of a slot': (tree) => tree.erase(90),
  'a leaf with one slot more or less': (tree) => tree.storeRange(32, 38, 77),
  'a leaf that is split': (tree) => tree.storeRange(91, 92, 77),
  'a taller tree': (tree) => tree.storeRange(111, 112, 77),
  'leaves that are joined': (tree) => tree.erase(50),
  'a range over three leaves': (tree) => tree.storeRange(33, 87, 77),
  'nothing in three leaves': (tree) => tree.storeRange(33, 87, undefined),
  'a range behind all': (tree) => tree.storeRange(120, 124, 77),
  'a range behind all, and a leaf for it': (tree) => tree.storeRange(130, 134, 77),
  'a range behind all, and a root for it': (tree) => tree.storeRange(9_000, 9_004, 77),
  'an allocation': (tree) => tree.allocRange(77, 3),
  'a cyclic allocation': (tree) => tree.allocRange(77, 4, { cyclic: true, first: 30 }),
  'all but one': (tree) => tree.storeRange(1, 10_000, undefined),
  'all at once': (tree) => tree.clear(),
};

/** Appends ranges until the next one needs another root. */
function fillUp(cpu: Cpu, tree: MapleTree): void {
  const rootOf = (of: MapleTree) => cpu.read(of.address + Head.root);
  for (let i = 12; ; i++) {
    const copy = tree.dup();
    const root = rootOf(copy);
    copy.storeRange(9_000, 9_004, 77);
    const isFull = rootOf(copy) !== root;
    copy.destroy();
    if (isFull) return;
    tree.storeRange(i * 10, i * 10 + 4, i);
  }
}

describe.each(Object.keys(CHANGES))('%s: a step that is half made', (name) => {
  test('is made or not, for readers and for the next writer, and loses no block', () => {
    const change = CHANGES[name] as (tree: MapleTree) => void;
    const make = () => {
      const machine = machineOf(2);
      const trees = machine.arenas.map(open) as [MapleTree, MapleTree];
      // Memory for all that follows: what a death in `reserve` leaves is a test of the pool.
      for (let i = 0; i < 24; i++) trees[0].store(i * 2, i);
      trees[0].clear();
      if (name !== 'a first range') {
        for (let i = 0; i < 8; i++) trees[0].storeRange(i * 10, i * 10 + 4, i);
        for (let i = 8; i < 12; i++) trees[0].storeRange(i * 10, i * 10 + 9, i);
      }
      if (name.includes('root')) fillUp(machine.real, trees[0]);
      return { ...machine, trees };
    };
    const used = (tree: MapleTree) => {
      const { bytes, free } = tree.use();
      return bytes - free;
    };
    const whole = make();
    const before = image(whole.trees[0]);
    change(whole.trees[0]);
    const after = image(whole.trees[0]);
    expect(after).not.toBe(before);
    const most = used(whole.trees[0]);
    const seen = new Set<string>();
    for (let n = 1; ; n++) {
      const { killBefore, reap, arenas, trees } = make();
      if (!killBefore(0, changing(n), () => change(trees[0]))) break;
      // Readers do not wait for the reaper.
      expect([before, after], `killed before step ${n}`).toContain(image(trees[1]));
      expect(reap(1)).toBe('done');
      const left = image(trees[1]);
      seen.add(left);
      expect([before, after]).toContain(left);
      const nodes = inspectNodes(arenas[1]!.cpu, shapeOf(4, true), trees[1].address);
      expect(nodes.faults, `killed before step ${n}`).toEqual([]);
      if (left === before && !name.includes('cyclic')) {
        change(trees[1]);
        expect(image(trees[1])).toBe(after);
      }
      expect(used(trees[1]), `killed before step ${n}`).toBeLessThanOrEqual(most);
      trees[1].destroy();
      expect(arenas[1]!.fsck()).toEqual([]);
    }
    expect(seen.size).toBe(2);
  });
});

test('a copy in which its maker dies takes the tree with it', () => {
  for (let n = 1; ; n++) {
    const { arenas, killBefore, reap } = machineOf(2);
    const [first, second] = arenas.map(open) as [MapleTree, MapleTree];
    for (let i = 0; i < 5; i++) first.storeRange(i * 10, i * 10 + 4, i);
    const before = image(second);
    if (!killBefore(0, changing(n), () => first.dup())) break;
    expect(reap(1)).toBe('done');
    expect(image(second)).toBe(before);
    second.store(3, 1000);
    expect(second.load(3)).toBe(1000);
    second.destroy();
    expect(arenas[1]!.fsck(), `killed before step ${n}`).toEqual([]);
  }
});

test.each([1, 2, 3, 4, 5, 6])(
  'pivots that a dead writer has left behind those of %i ranges hide what comes there',
  (ranges) => {
    for (let n = 1; ; n++) {
      const { arenas, killBefore, reap } = machineOf(2);
      const [first, second] = arenas.map((arena) => new MapleTree(arena, 'tree')) as [MapleTree, MapleTree];
      for (let i = 0; i < ranges; i++) first.storeRange(i * 10, i * 10 + 4, i);
      if (!killBefore(0, changing(n), () => first.storeRange(130, 134, 77))) break;
      expect(reap(1)).toBe('done');
      if (second.load(130) === 77) continue;
      // Right behind the last of them: one slot, where the dead writer has written two.
      second.storeRange(ranges * 10 - 5, 500, 88);
      for (const index of [ranges * 10 - 5, 130, 134, 135, 300, 500]) {
        expect(second.load(index), `${index}, killed before step ${n}`).toBe(88);
      }
      expect(second.load(501)).toBeUndefined();
    }
  },
);
