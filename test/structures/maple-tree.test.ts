import { describe, expect, test } from 'vitest';
import { Arena, MapleTree, xaPointer } from '../../lib/index.ts';
import { shapeOf } from '../../lib/structures/maple/node.ts';
import { classOf, wordsOf } from '../../lib/structures/pool.ts';
import { exhaust, thrown } from '../support/threads.ts';
import { inspectNodes, LAST, MapleModel } from './maple-model.ts';
import { randomFrom } from './xarray-model.ts';

const MiB = 1 << 20;

/** Four slots a node, so that trees are tall. */
const small = (arena = Arena.create({ bytes: 4 * MiB }), gaps = true) => new MapleTree(arena, undefined, { gaps }, 4);

/** Nothing of the tree is out of order, and it has no block but its nodes. */
function expectSound(arena: Arena, tree: MapleTree, slots: 4 | 15, gaps: boolean): void {
  const shape = shapeOf(slots, gaps);
  const { faults, nodes } = inspectNodes(arena.cpu, shape, tree.address);
  expect(faults).toEqual([]);
  const { bytes, free } = tree.use();
  const inUse = bytes - free - nodes * wordsOf(classOf(shape.words)) * 4;
  // The heads of chunks, and what was too short for a block.
  expect(inUse).toBeGreaterThanOrEqual(0);
  expect(inUse).toBeLessThan(2048 + bytes / 64);
}

describe('a tree that differs from a plain list of ranges', () => {
  const trees: [4 | 15, boolean][] = [
    [4, true],
    [4, false],
    [15, true],
    [15, false],
  ];
  test.each(trees.flatMap(([slots, gaps]) => [1, 2, 3].map((seed) => ({ slots, gaps, seed }))))(
    'random calls: $slots slots, gaps $gaps, seed $seed',
    ({ slots, gaps, seed }) => {
      const random = randomFrom(seed * 104_729 + slots);
      const arena = Arena.create({ bytes: 4 * MiB });
      const tree = new MapleTree(arena, undefined, { gaps }, slots);
      const model = new MapleModel();
      // At the beginning, at the end, and across the middle, where the highest bit changes.
      const span = seed === 1 ? 120 : 1500;
      const base = seed === 1 ? 0 : seed === 2 ? LAST - span + 1 : 2 ** 31 - 700;
      const index = () => base + random(span);
      const value = () => (random(3) === 0 ? undefined : random(1000));
      for (let step = 0; step < 1200; step++) {
        const call = random(16);
        const first = index();
        // Mostly short, now and then over many nodes.
        const last = Math.min(base + span - 1, first + random(random(12) === 0 ? span : 8));
        if (call < 4) {
          const put = value();
          tree.storeRange(first, last, put);
          model.storeRange(first, last, put);
        } else if (call === 4) {
          const put = value();
          expect(tree.store(first, put)).toBe(model.at(first)?.entry);
          model.storeRange(first, first, put);
        } else if (call < 7) {
          const found = model.at(first);
          expect(tree.erase(first)).toBe(found?.entry);
          if (found !== undefined) model.storeRange(found.first, found.last, undefined);
        } else if (call < 10) {
          const put = random(1000);
          const isFree = model.within(first, last).length === 0;
          if (!isFree) expect(thrown(() => tree.insertRange(first, last, put)).code).toBe('EBUSY');
          else {
            tree.insertRange(first, last, put);
            model.storeRange(first, last, put);
          }
        } else if (call === 10) {
          const size = 1 + random(Math.min(20, last - first + 1));
          for (const isHighest of [false, true]) {
            const found = isHighest ? tree.emptyAreaRev(first, last, size) : tree.emptyArea(first, last, size);
            expect(found).toBe(model.emptyArea(first, last, size, isHighest));
          }
        } else if (call === 11) {
          const size = 1 + random(6);
          const reverse = random(2) === 1;
          const expected = model.emptyArea(base, base + span - 1, size, reverse);
          const range = { first: base, last: base + span - 1, reverse };
          if (expected === undefined) expect(thrown(() => tree.allocRange(5, size, range)).code).toBe('EBUSY');
          else {
            expect(tree.allocRange(5, size, range)).toBe(expected);
            model.storeRange(expected, expected + size - 1, 5);
          }
        } else if (call === 12) {
          const within = model.within(first, last);
          expect([...tree.entries({ first, last })]).toEqual(within);
          expect([...tree.reversed({ first, last })]).toEqual(within.reverse());
          expect(tree.find({ first, last })).toEqual(within.at(-1));
          expect(tree.findRev({ first, last })).toEqual(within[0]);
        } else if (call === 13) {
          const here = model.at(first);
          const next = model.ranges.find((range) => range.first > (here?.last ?? first));
          const previous = model.ranges.findLast((range) => range.last < (here?.first ?? first));
          expect(tree.next(first)).toEqual(next);
          expect(tree.prev(first)).toEqual(previous);
          expect(tree.next(first, last)).toEqual(next && next.first <= last ? next : undefined);
        } else if (call === 14) {
          const gap = model.gaps().find((gap) => gap.first <= first && first <= gap.last);
          expect(tree.findRange(first)).toEqual(model.at(first) ?? { ...gap, entry: undefined });
        } else {
          expect(tree.load(first)).toBe(model.at(first)?.entry);
        }
        if (step % 40 !== 0) continue;
        expect([...tree]).toEqual(model.ranges);
        expectSound(arena, tree, slots, gaps);
        expect(tree.empty).toBe(model.ranges.length === 0);
      }
      const copy = tree.dup();
      expect([...copy]).toEqual(model.ranges);
      expectSound(arena, copy, slots, gaps);
      for (const { first } of model.ranges) tree.erase(first);
      expect(tree.empty).toBe(true);
      expectSound(arena, tree, slots, gaps);
      expect([...copy]).toEqual(model.ranges);
      copy.destroy();
      const before = arena.use().used;
      tree.destroy();
      expect(arena.use().used).toBeLessThan(before);
      expect(arena.fsck()).toEqual([]);
    },
  );
});

describe.each([4, 15] as const)('a tree of %i slots', (slots) => {
  test.each(['up', 'down'])('that grows %s leaves its nodes half empty, or has none reserved', (direction) => {
    const arena = Arena.create({ bytes: 4 * MiB });
    const tree = new MapleTree(arena, undefined, {}, slots);
    const count = 3000;
    for (let i = 0; i < count; i++) {
      const at = (direction === 'up' ? i : count - 1 - i) * 10;
      tree.storeRange(at, at + 4, i);
    }
    expectSound(arena, tree, slots, true);
    const { nodes } = inspectNodes(arena.cpu, shapeOf(slots, true), tree.address);
    // Each range and the gap behind it take a slot.
    if (slots === 15) expect(nodes).toBeLessThan(((count * 2) / slots) * 1.25);
    expect([...tree].length).toBe(count);
    for (let i = 0; i < count; i++) tree.erase((i % 2 === 0 ? i : count - i) * 10);
    expect(tree.empty).toBe(true);
  });
});
