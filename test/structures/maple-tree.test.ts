import { describe, expect, test } from 'vitest';
import { Arena, MapleTree, xaPointer } from '../../lib/index.ts';
import { Head, shapeOf } from '../../lib/structures/maple/node.ts';
import { exhaust, thrown } from '../support/threads.ts';
import { inspectNodes, LAST, MapleModel } from './maple-model.ts';
import { randomFrom } from './xarray-model.ts';

const MiB = 1 << 20;

/** Four slots a node, so that trees are tall. */
const small = (arena = Arena.create({ bytes: 4 * MiB }), gaps = true) => new MapleTree(arena, undefined, { gaps }, 4);

/** Nothing of the tree is out of order, and it has no block but its nodes. */
function expectSound(arena: Arena, tree: MapleTree, slots: 4 | 15, gaps: boolean): void {
  const shape = shapeOf(slots, gaps);
  const { faults, words } = inspectNodes(arena.cpu, shape, tree.address);
  expect(faults).toEqual([]);
  const { bytes, free } = tree.use();
  const inUse = bytes - free - words * 4;
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
        // Beside what was found or changed: the leaf that a reader knows.
        for (const at of [first, Math.max(0, first - 2)]) expect(tree.load(at)).toBe(model.at(at)?.entry);
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

  test('that grows over its own end leaves its nodes half empty', () => {
    const arena = Arena.create({ bytes: 4 * MiB });
    const tree = new MapleTree(arena, undefined, {}, slots);
    const count = 3000;
    for (let i = 0; i < count; i++) tree.storeRange(i * 10, i * 10 + 14, i);
    expectSound(arena, tree, slots, true);
    const { nodes } = inspectNodes(arena.cpu, shapeOf(slots, true), tree.address);
    if (slots === 15) expect(nodes).toBeLessThan((count / slots) * 1.25);
    expect([...tree].length).toBe(count);
  });

  test('that shrinks keeps nodes with next to nothing, and its height', () => {
    const arena = Arena.create({ bytes: 4 * MiB });
    const tree = new MapleTree(arena, undefined, {}, slots);
    const nodes = () => inspectNodes(arena.cpu, shapeOf(slots, true), tree.address).nodes;
    const count = 3000;
    for (let i = 0; i < count; i++) tree.storeRange(i * 10, i * 10 + 4, i);
    const most = nodes();
    for (let i = 0; i < count; i++) if (i % 10 !== 0) tree.erase(i * 10);
    expect(nodes()).toBeLessThan(most / 4);
    expectSound(arena, tree, slots, true);
    tree.storeRange(3, LAST, undefined);
    expect(nodes()).toBe(1);
    expect([...tree]).toEqual([{ first: 0, last: 2, entry: 0 }]);
  });
});

test('nodes that are left with a few slots each stay as many', () => {
  const arena = Arena.create({ bytes: 4 * MiB });
  const tree = new MapleTree(arena);
  const nodes = () => inspectNodes(arena.cpu, shapeOf(15, true), tree.address).nodes;
  // A leaf for every 14 ranges, of which one range takes 12: a change in one leaf each.
  for (let i = 0; i < 2800; i++) tree.storeRange(i * 10, i * 10 + 9, i);
  const most = nodes();
  for (let i = 1; i < 2800; i += 14) tree.storeRange(i * 10, i * 10 + 119, i);
  expect([...tree].length).toBe(600);
  expect(nodes()).toBeLessThan(most * 0.7);
  expectSound(arena, tree, 15, true);
});

test('a range over many nodes leaves nodes of them behind, or cuts what sticks out', () => {
  const arena = Arena.create({ bytes: 4 * MiB });
  const tree = small(arena);
  const model = new MapleModel();
  for (let i = 0; i < 300; i++) {
    tree.storeRange(i * 10, i * 10 + 6, i);
    model.storeRange(i * 10, i * 10 + 6, i);
  }
  // Within one node, from the middle of one to that of another, at both ends, everything.
  const ranges: [number, number, number | undefined][] = [
    [503, 504, 1],
    [1005, 1503, undefined],
    [1003, 1900, 2],
    [0, 155, undefined],
    [2807, LAST, undefined],
    [7, 2500, 3],
    [0, LAST, 4],
    [2 ** 31, 2 ** 31, 5],
    [2 ** 31 - 1, LAST, undefined],
    [0, LAST, undefined],
  ];
  for (const [first, last, entry] of ranges) {
    tree.storeRange(first, last, entry);
    model.storeRange(first, last, entry);
    expect([...tree]).toEqual(model.ranges);
    expectSound(arena, tree, 4, true);
  }
  expect(tree.empty).toBe(true);
});

test('ranges side by side with the same entry become one', () => {
  const tree = new MapleTree(Arena.create());
  tree.storeRange(0, 9, 7);
  tree.storeRange(10, 19, 7);
  expect([...tree].length).toBe(2);
  tree.erase(15);
  expect([...tree]).toEqual([{ first: 0, last: 9, entry: 7 }]);
});

test('entries that are not numbers of 31 bits', () => {
  const arena = Arena.create();
  const tree = new MapleTree(arena);
  const pointer = xaPointer(arena.alloc(1), 3);
  for (const entry of [0, 2 ** 31 - 1, pointer]) {
    tree.store(5, entry);
    expect(tree.load(5)).toEqual(entry);
  }
});

describe('allocation', () => {
  test('beyond the bounds, or at a place that is taken', () => {
    const tree = small();
    tree.storeRange(10, 19, 1);
    expect(tree.emptyArea(0, LAST, 10)).toBe(0);
    expect(tree.emptyArea(0, LAST, 11)).toBe(20);
    expect(tree.emptyArea(5, LAST, 6)).toBe(20);
    expect(tree.emptyAreaRev(0, LAST, 10)).toBe(LAST - 9);
    expect(tree.emptyAreaRev(0, 24, 6)).toBe(4);
    expect(tree.emptyAreaRev(0, 24, 5)).toBe(20);
    expect(tree.emptyArea(3, 21, 8)).toBeUndefined();
    expect(tree.emptyArea(20, LAST, LAST - 19)).toBe(20);
    tree.clear();
    expect(tree.emptyArea(0, LAST, 2 ** 32)).toBe(0);
    tree.store(0, 1);
    expect(tree.emptyArea(0, LAST, 2 ** 32 - 1)).toBe(1);
  });

  test('cyclic: behind the latest, then from the beginning, then none', () => {
    const tree = small();
    const range = { first: 100, last: 129, cyclic: true } as const;
    expect([10, 5].map((size) => tree.allocRange(1, size, range))).toEqual([100, 110]);
    tree.erase(100);
    expect(tree.allocRange(2, 10, range)).toBe(115);
    expect(tree.allocRange(3, 5, range)).toBe(125);
    expect(tree.allocRange(4, 10, range)).toBe(100);
    expect(thrown(() => tree.allocRange(5, 1, range)).code).toBe('EBUSY');
    expect(tree.allocRange(6, 3)).toBe(0);
  });

  test('at the very end, and once round', () => {
    const tree = small();
    const range = { first: LAST - 3, last: LAST, cyclic: true } as const;
    expect(tree.allocRange(1, 4, range)).toBe(LAST - 3);
    tree.erase(LAST);
    expect(tree.allocRange(1, 1, range)).toBe(LAST - 3);
  });

  test('reserved indices are given out again, or found', () => {
    const tree = small();
    expect(tree.allocRange(undefined, 5)).toBe(0);
    expect(tree.load(2)).toBeUndefined();
    expect([...tree, ...tree.reversed()]).toEqual([]);
    expect(tree.empty).toBe(false);
    expect(tree.allocRange(1, 2)).toBe(5);
    expect(thrown(() => tree.insert(4, 1)).message).toMatch(/index 4/);
    tree.insertRange(9, 9, 1);
    tree.storeRange(0, 4, 9);
    expect(tree.load(2)).toBe(9);
  });
});

test('reserved indices at the ends of leaves stop a walk', () => {
  const tree = small();
  for (let i = 0; i < 60; i++) tree.allocRange(i % 3 === 0 ? i : undefined, 5);
  const expected = Array.from({ length: 20 }, (_, i) => i * 3);
  expect([...tree].map(({ entry }) => entry)).toEqual(expected);
  expect([...tree.reversed()].map(({ entry }) => entry)).toEqual(expected.reverse());
  expect(tree.find({ first: 5, last: 14 })).toBeUndefined();
});

test('a walk from an entry to the next one and back', () => {
  const tree = small();
  for (const first of [0, 10, 2 ** 31, LAST]) tree.store(first, first % 1000);
  expect(tree.next(0)?.first).toBe(10);
  expect(tree.next(11)?.first).toBe(2 ** 31);
  expect(tree.next(LAST)).toBeUndefined();
  expect(tree.next(10, 2 ** 31 - 1)).toBeUndefined();
  expect(tree.prev(0)).toBeUndefined();
  expect(tree.prev(LAST)?.first).toBe(2 ** 31);
  expect(tree.prev(10)?.first).toBe(0);
  expect(tree.prev(10, 1)).toBeUndefined();
  const seen: unknown[] = [];
  const each = (...range: unknown[]) => {
    seen.push(range);
  };
  tree.forEach(each, { first: 1, last: 20 });
  expect(seen).toEqual([[10, 10, 10]]);
  expect(tree.findRange(5)).toEqual({ first: 1, last: 9, entry: undefined });
});

describe('bad input', () => {
  test('changes nothing and says what is wrong', () => {
    const arena = Arena.create({ bytes: MiB });
    const tree = new MapleTree(arena, 'tree');
    const bad: [() => unknown, RegExp][] = [
      [() => tree.load(-1), /index is a whole number from 0 to 4294967295, received -1/],
      [() => tree.store(2 ** 32, 1), /received 4294967296/],
      [() => tree.load('7' as never), /received "7"/],
      [() => tree.store(0, 2 ** 31), /whole number from 0 to 2147483647/],
      [() => tree.storeRange(5, 4, 1), /from 5 to 4 has no index/],
      [() => tree.insertRange(0, 4, {} as never), /received an object/],
      [() => tree.emptyArea(0, 9, 11), /has 1 to 10 indices, received 11/],
      [() => tree.emptyAreaRev(0, 9, 0), /received 0/],
      [() => tree.allocRange(1, 1, { reverse: true, cyclic: true }), /not both/],
      [() => tree.allocRange(1, 1, { frist: 1 } as never), /no option of this call is named "frist"/],
      [() => tree.find({ mark: 1 } as never), /"mark"/],
      [() => tree.next(0, -1), /received -1/],
      [() => new MapleTree(arena, 'x', { gaps: 2 } as never), /gaps is true or false, received 2/],
      [() => MapleTree.from(arena, { ...tree.handle, type: 'holdfast.mutex' }), /handle of a maple-tree/],
    ];
    for (const [call, message] of bad)
      expect(thrown(call)).toMatchObject({ code: 'EINVAL', message: expect.stringMatching(message) });
    expect(tree.empty).toBe(true);
  });

  test('a range at the last index that goes leaves a slot for nothing', () => {
    const arena = Arena.create({ bytes: MiB });
    const tree = new MapleTree(arena);
    tree.storeRange(LAST - 19, LAST - 10, 1);
    tree.storeRange(LAST - 9, LAST, 2);
    expect(tree.erase(LAST)).toBe(2);
    expectSound(arena, tree, 15, true);
    tree.storeRange(LAST - 9, LAST - 5, 3);
    expect([...tree].map(({ entry }) => entry)).toEqual([1, 3]);
    expectSound(arena, tree, 15, true);
  });

  test('a full arena is ENOMEM before anything has changed', () => {
    const arena = Arena.create({ bytes: 256 << 10 });
    const tree = new MapleTree(arena);
    for (let i = 0; i < 100; i++) tree.storeRange(i * 10, i * 10 + 4, i);
    exhaust(arena);
    let before: unknown;
    let failed = false;
    for (let i = 0; i < 100_000 && !failed; i++) {
      before = [...tree];
      try {
        tree.store(5_000 + i * 2, 1);
      } catch (error) {
        expect(error).toMatchObject({ code: 'ENOMEM' });
        failed = true;
      }
    }
    expect(failed).toBe(true);
    expect([...tree]).toEqual(before);
    expect(inspectNodes(arena.cpu, shapeOf(15, true), tree.address).faults).toEqual([]);
    const { used } = arena.use();
    expect(thrown(() => tree.dup()).code).toBe('ENOMEM');
    expect(arena.use().used).toBe(used);
    // What needs no node goes on.
    expect(tree.store(5_000, 2)).toBe(1);
  });

  test('an allocation for which there is no memory skips indices', () => {
    const arena = Arena.create({ bytes: 256 << 10 });
    const tree = new MapleTree(arena);
    const alloc = () => tree.allocRange(1, 3, { cyclic: true });
    alloc();
    const taken = exhaust(arena);
    let next = 3;
    const { code } = thrown(() => {
      for (; ; next += 3) expect(alloc()).toBe(next);
    });
    expect(code).toBe('ENOMEM');
    for (const block of taken) arena.free(block);
    expect(alloc()).toBe(next);
  });
});

test('nodes that are taken out are used again while nobody reads', () => {
  const tree = small();
  for (let i = 0; i < 3_000; i++) {
    tree.storeRange(i * 64, i * 64 + 5, 1);
    tree.erase(i * 64);
  }
  expect(tree.use().bytes).toBeLessThan(100_000);
});

test('a reader that has been away takes another node for the leaf that it knew', async () => {
  const arena = Arena.create({ bytes: 4 * MiB });
  const tree = new MapleTree(arena);
  for (let i = 0; i < 6; i++) tree.storeRange(i * 10, i * 10 + 9, i);
  expect(tree.load(35)).toBe(3);
  const changes = tree.address + Head.changes;
  const before = arena.cpu.read(changes);
  tree.storeRange(33, 36, 77);
  expect(arena.cpu.read(changes)).not.toBe(before);
  await Promise.resolve();
  // As it is again after 2^32 changes.
  arena.cpu.write(changes, before);
  expect(tree.load(35)).toBe(77);
});
