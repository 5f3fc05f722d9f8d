/**
 * What the kernel's own test of the maple tree (lib/test_maple_tree.c) holds it to, as behaviour of ours: a test for each of its
 * checks, by that one's name, with other numbers. Without a counterpart are the benchmarks, what looks at a walk's node, and
 * `mas_expected_entries`; `check_fuzzer` is the random programs of `maple-tree.test.ts` and of the models.
 */
import { describe, expect, test } from 'vitest';
import { Arena, MapleState, MapleTree } from '../../lib/index.ts';
import { shapeOf } from '../../lib/structures/maple/node.ts';
import { exhaust, thrown } from '../support/threads.ts';
import { inspectNodes, LAST, MapleModel } from './maple-model.ts';

const upTo = (n: number) => Array.from({ length: n }, (_, i) => i);

describe.each([
  { slots: 4, gaps: true },
  { slots: 15, gaps: true },
  { slots: 15, gaps: false },
] as const)('$slots slots, gaps $gaps', ({ slots, gaps }) => {
  /** A tree, and a plain list of the same ranges; `same` compares them, and looks at the nodes. */
  function make(arena = Arena.create({ bytes: 8 << 20 })) {
    const tree = new MapleTree(arena, undefined, { gaps }, slots);
    const model = new MapleModel();
    const store = (first: number, last: number, entry: number | undefined) => {
      tree.storeRange(first, last, entry);
      model.storeRange(first, last, entry);
    };
    const same = (other = tree) => {
      expect(inspectNodes(arena.cpu, shapeOf(slots, gaps), other.address).faults).toEqual([]);
      expect([...other]).toEqual(model.ranges);
      expect([...other.reversed()]).toEqual(model.ranges.toReversed());
    };
    /** Ranges of `length` indices, one each `step`. */
    const fill = (count: number, step: number, length: number) => {
      for (const i of upTo(count)) store(i * step, i * step + length - 1, i);
    };
    const at = () => new MapleState(tree);
    return { arena, tree, model, store, same, fill, at };
  }

  test.each(['up', 'down'])('check_seq, check_rev_seq: single indices, %s', (direction) => {
    const { tree, model, same } = make();
    const indices = direction === 'up' ? upTo(700) : upTo(700).reverse();
    for (const [i, index] of indices.entries()) {
      tree.insert(index, index);
      model.storeRange(index, index, index);
      if (index > 0 && direction === 'down') expect(tree.load(index - 1)).toBeUndefined();
      if (direction === 'up') expect(tree.load(index + 1)).toBeUndefined();
      if (i % 90 === 0) same();
      expect(thrown(() => tree.insert(index, 1)).code).toBe('EBUSY');
    }
    for (const index of indices) expect(tree.load(index)).toBe(index);
    same();
  });

  test('check_lower_bound_split, check_upper_bound_split, check_mid_split: halves and doubles', () => {
    const { tree, model, same } = make();
    const powers = upTo(20).map((i) => 2 ** (i + 12));
    const insert = (index: number) => {
      tree.insert(index, index % 1000);
      model.storeRange(index, index, index % 1000);
      for (const near of [index - 1, index, index + 1]) expect(tree.load(near)).toBe(model.at(near)?.entry);
    };
    for (const index of powers.toReversed()) insert(index);
    same();
    tree.clear();
    model.storeRange(0, LAST, undefined);
    for (const index of powers) insert(index);
    same();
    tree.clear();
    model.storeRange(0, LAST, undefined);
    for (const index of [LAST - 1, 0]) {
      tree.insert(index, 5);
      model.storeRange(index, index, 5);
    }
    for (const index of powers.toReversed()) insert(index);
    same();
  });

  test('check_root_expand: what an empty tree says, and one with an entry at 0', () => {
    const { tree } = make();
    const at = new MapleState(tree, 3);
    expect([at.walk(), at.first, at.last]).toEqual([undefined, 0, LAST]);
    at.set(1);
    at.store(9);
    expect([0, 1, 2].map((index) => tree.load(index))).toEqual([undefined, 9, undefined]);
    tree.clear();
    at.set(0);
    at.store(9);
    at.set(5);
    expect([at.walk(), at.first, at.last]).toEqual([undefined, 1, LAST]);
    at.set(0, 100);
    expect([at.walk(), at.first, at.last]).toEqual([9, 0, 0]);
    expect([at.next(), at.status, at.prev(), at.first, at.last]).toEqual([undefined, 'overflow', 9, 0, 0]);
    at.set(1);
    expect([at.prev(), at.first, at.last]).toEqual([9, 0, 0]);
  });

  test('check_ranges: a store into, over the end of, over, and across what is there', () => {
    const { tree, store, same } = make();
    store(30, 39, 1);
    store(50, 59, 2);
    for (const [first, last] of [
      [39, 39],
      [35, 55],
      [0, 30],
      [55, 99],
      [0, LAST],
    ] as const) {
      expect(thrown(() => tree.insertRange(first, last, 7)).code).toBe('EBUSY');
      same();
    }
    store(38, 51, 3);
    same();
    store(12, 3000, 4);
    same();
    store(200, 400, 5);
    same();
    for (const count of [50, 100, 250, 400]) {
      const { fill, ...other } = make();
      fill(count, 1, 1);
      for (const [first, last, entry] of [
        [7, 43, 1], // the end of a node, and into the next
        [20, 20, 2], // splits a range
        [43, 48, 3], // its end
        [3, 8, 4], // its beginning
        [8, 43, 5], // all of one
        [count - 12, count + 90, 6], // beyond what there is
        [30, count - 20, 7], // parents that become one
        [30, 40, undefined],
        [29, 39, 8], // less than the gap
        [29, 40, 9], // all of it
        [0, LAST, 10], // all there is
        [0, 0, undefined],
      ] as const) {
        if (first > last) continue;
        other.store(first, last, entry);
        other.same();
      }
    }
  });

  test('check_ranges: ranges that are torn open, so that nodes split at all levels', () => {
    const { fill, store, same, model } = make();
    fill(1200, 10, 10);
    for (let i = 5; i < 460; i += 10) store(7200 + i, 7201 + i, undefined);
    same();
    for (let i = 1; i < 16; i++) store(7585 + i, 7585 + i, i);
    store(7584, 7584, 99);
    same();
    store(7400, 7799, 1);
    store(7410, 7789, undefined);
    for (let i = 100; i < 300; i += 3) store(i, i + 1, 2);
    same();
    for (const { first } of model.ranges.filter((_, i) => i % 3 === 1)) store(first, first, undefined);
    same();
  });

  test('check_find, check_find_2, check_rev_find: from range to range, up to a bound, in both directions', () => {
    const { tree, store, at } = make();
    const powers = [0, ...upTo(15).map((i) => 4 ** i)];
    for (const index of powers) store(index, index, index % 1000);
    expect([...tree].map(({ first }) => first)).toEqual(powers);
    store(LAST, LAST, 7);
    expect([...tree].map(({ first }) => first)).toEqual([...powers, LAST]);
    expect(tree.find({ first: 17, last: 512 })?.first).toBe(64);
    expect(tree.find({ first: 17, last: 20 })).toBeUndefined();
    const end = new MapleState(tree, LAST);
    expect([end.find(), end.prev(), end.first]).toEqual([7, 4 ** 14 % 1000, 4 ** 14]);
    end.set(LAST);
    end.erase();
    expect([end.prev(), end.first]).toEqual([4 ** 14 % 1000, 4 ** 14]);
    end.set(0);
    expect([end.prev(), end.status]).toEqual([undefined, 'underflow']);

    const other = make();
    other.fill(200, 10, 6);
    const back = new MapleState(other.tree, 1500);
    expect([back.findRev(1500), back.findRev(1500)]).toEqual([150, undefined]);
    back.set(1499);
    expect(back.findRev(1497)).toBeUndefined();
    back.set(1500);
    expect([back.findRev(1400), back.findRev(1400)]).toEqual([150, 149]);
    back.set(20);
    expect([back.findRev(), back.findRev(), back.findRev(), back.findRev()]).toEqual([2, 1, 0, undefined]);
    expect(at().find()).toBe(0);
    for (const i of upTo(200)) {
      expect([...other.tree].map(({ entry }) => entry)).toEqual(upTo(200).slice(i));
      other.tree.erase(i * 10 + (i % 6));
    }
    expect(other.tree.empty).toBe(true);
  });

  test('check_next_entry, check_prev_entry, next_prev_test: from one to the next, over the ends and back', () => {
    const { tree, fill } = make();
    fill(300, 10, 6);
    const at = new MapleState(tree);
    expect(at.walk()).toBe(0);
    for (let i = 1; i < 300; i++) expect([at.next(), at.first, at.last]).toEqual([i, i * 10, i * 10 + 5]);
    expect([at.next(), at.status]).toEqual([undefined, 'overflow']);
    expect([at.prev(), at.first]).toEqual([299, 2990]);
    for (let i = 298; i >= 0; i--) expect([at.prev(), at.first, at.last]).toEqual([i, i * 10, i * 10 + 5]);
    expect([at.prev(), at.status]).toEqual([undefined, 'underflow']);
    expect([at.next(), at.first]).toEqual([0, 0]);
    // From a gap, and no further than a bound.
    at.set(1686);
    expect(at.walk()).toBeUndefined();
    expect([at.next(), at.prev(), at.next(), at.next()]).toEqual([169, 168, 169, 170]);
    at.set(20);
    expect([at.walk(), at.prev(19)]).toEqual([2, undefined]);
    at.set(80);
    expect([at.walk(), at.prev(76)]).toEqual([8, undefined]);
    tree.erase(0);
    at.set(10);
    expect([at.walk(), at.prev()]).toEqual([1, undefined]);
  });

  test('check_iteration: a loop that cuts the range on which it stands', () => {
    const { tree, fill } = make();
    fill(126, 10, 10);
    const at = new MapleState(tree);
    const seen: number[] = [];
    for (let entry = at.find(925); entry !== undefined; entry = at.find(925)) {
      seen.push(at.first);
      if (entry !== 92) continue;
      at.set(925, 929); // what is left of it in front stays where it was
      at.store(entry);
    }
    expect(seen).toEqual(upTo(93).map((i) => i * 10));
    expect([at.find(), at.first]).toEqual([93, 930]);
    at.set(780);
    expect(at.find()).toBe(78);
    at.set(780, 785);
    at.store(78);
    expect([at.find(), at.first, at.last]).toEqual([78, 786, 789]);
  });

  test('check_gap_combining: neighbours that go leave one gap, whichever node they were in', () => {
    const { tree, model, fill, store, same } = make();
    fill(2000, 1, 1);
    const expectGap = (first: number, size: number) => {
      for (const index of [first + size - 1, ...upTo(size - 1).map((i) => first + i)]) store(index, index, undefined);
      const [from, to] = [Math.max(0, first - 40), first + size + 40];
      expect(model.emptyArea(from, to, size, true)).toBe(first);
      expect([tree.emptyArea(from, to, size), tree.emptyAreaRev(from, to, size)]).toEqual([first, first]);
      expect([tree.emptyArea(from, to, size + 1), tree.emptyAreaRev(from, to, size + 1)]).toEqual([
        undefined,
        undefined,
      ]);
    };
    // At each offset within a node, and across nodes of several levels.
    for (const i of upTo(18)) expectGap(100 + 101 * i, 2 + (i % 4));
    same();
    store(286, 318, undefined);
    store(250, 330, 4);
    same();
  });

  test('check_node_overwrite, check_spanning_relatives: nothing over many nodes, from within a range into another', () => {
    const { fill, store, same } = make();
    fill(1500, 100, 51);
    store(119_951, 137_950, undefined);
    same();
    store(20, 149_930, undefined);
    same();
    const { fill: fillOther, ...other } = make();
    fillOther(1000, 10, 6);
    other.store(9365, 9955, undefined);
    other.same();
  });

  test('check_alloc_range, check_alloc_rev_range: the first and the last place that is large enough', () => {
    const { tree, model, fill, store, same } = make();
    fill(60, 100, 80); // 20 free behind each
    store(3380, 3399, undefined);
    store(3300, 3379, undefined); // 120 free at 3280
    const end = 5999;
    const alloc = (size: number, first: number, last: number, reverse: boolean) => {
      const expected = model.emptyArea(first, last, size, reverse);
      if (expected === undefined) {
        expect(thrown(() => tree.allocRange(1, size, { first, last, reverse })).code).toBe('EBUSY');
        return undefined;
      }
      expect(tree.allocRange(1, size, { first, last, reverse })).toBe(expected);
      model.storeRange(expected, expected + size - 1, 1);
      return expected;
    };
    expect(alloc(20, 0, end, false)).toBe(80);
    expect(alloc(20, 0, end, true)).toBe(5980);
    expect(alloc(21, 0, end, false)).toBe(3280);
    expect(alloc(99, 0, end, true)).toBe(3301); // what is left of it, to the last index
    expect(alloc(21, 0, end, true)).toBeUndefined();
    expect(alloc(5, 190, 1000, false)).toBe(190); // from within a gap
    expect(alloc(5, 0, 594, true)).toBe(590); // up to within one
    expect(alloc(11, 585, 620, false)).toBeUndefined();
    expect(thrown(() => tree.allocRange(1, 6, { first: 585, last: 589 })).code).toBe('EINVAL');
    expect(alloc(LAST, 0, LAST, false)).toBeUndefined();
    same();
    store(5000, 5079, undefined);
    expect(alloc(100, 0, end, true)).toBe(5000); // at its far end
    same();
  });

  test('check_empty_area_window, check_empty_area_fill: a window that cuts gaps, until nothing is left in it', () => {
    const { tree, fill, same, model } = make();
    fill(120, 100, 50);
    expect(tree.emptyAreaRev(5, 100, 6)).toBe(94);
    expect(tree.emptyAreaRev(0, 89, 40)).toBe(50);
    expect(tree.emptyAreaRev(0, 89, 41)).toBeUndefined();
    expect(tree.emptyArea(55, 100, 45)).toBe(55);
    expect(tree.emptyArea(55, 140, 46)).toBeUndefined();
    expect(thrown(() => tree.emptyArea(55, 99, 46)).code).toBe('EINVAL');
    expect(tree.emptyArea(0, 49, 1)).toBeUndefined();
    expect(tree.emptyAreaRev(200, 249, 1)).toBeUndefined();
    expect(tree.emptyArea(LAST - 5, LAST, 6)).toBe(LAST - 5);
    expect(tree.emptyAreaRev(LAST, LAST, 1)).toBe(LAST);
    expect(thrown(() => tree.emptyArea(5, 4, 1)).code).toBe('EINVAL');
    expect(thrown(() => tree.emptyArea(0, 10, 0)).code).toBe('EINVAL');
    for (let i = 0; ; i++) {
      const size = (i % 7) + 1;
      const first = i % 2 === 0 ? tree.emptyArea(0, 11_999, size) : tree.emptyAreaRev(0, 11_999, size);
      expect(first).toBe(model.emptyArea(0, 11_999, size, i % 2 === 1));
      if (first === undefined && size === 1) break;
      if (first === undefined) continue;
      tree.storeRange(first, first + size - 1, 1);
      model.storeRange(first, first + size - 1, 1);
    }
    same();
  });

  test('alloc_cyclic_testing: onwards from the latest, round at the end, EBUSY when all is taken', () => {
    const { tree } = make();
    const range = { first: 3, last: 1026, cyclic: true };
    for (let index = 3; index <= 1026; index++) expect(tree.allocRange(1, 1, range)).toBe(index);
    expect(thrown(() => tree.allocRange(1, 1, range)).code).toBe('EBUSY');
    tree.erase(80);
    tree.erase(30);
    tree.erase(1000);
    expect([30, 80, 1000].map(() => tree.allocRange(1, 1, range))).toEqual([30, 80, 1000]);
    tree.erase(999);
    tree.erase(1001);
    expect([tree.allocRange(1, 1, range), tree.allocRange(1, 1, range)]).toEqual([1001, 999]);
  });

  test.each([0, 1, 7, 40, 900])('check_forking, check_mas_store_gfp, check_dup: a copy of %i ranges', (count) => {
    const { tree, fill, same, store } = make();
    fill(count, 10, count % 2 === 0 ? 10 : 6);
    if (count === 7) store(LAST, LAST, 1);
    const copy = tree.dup();
    same(copy);
    // By hand, range by range.
    const other = make();
    const at = new MapleState(other.tree);
    for (const { first, last, entry } of tree) {
      at.set(first, last);
      at.store(entry as number);
      other.model.storeRange(first, last, entry as number);
    }
    other.same();
    copy.storeRange(5, 200, 3);
    same();
    copy.destroy();
    same();
  });

  test('check_dup_gaps, check_bnode_min_spanning: ranges with a gap behind each, from few to many, cut in the middle', () => {
    for (const count of [10, 50, 136, 200]) {
      const { tree, fill, store, same } = make();
      fill(count, 10, 6);
      const copy = tree.dup();
      for (let i = 5; i < count * 10; i += 97) copy.storeRange(i, i + 61, undefined);
      same();
      const first = Math.floor(count / 2) * 10 + 4;
      store(first - 30, first, undefined);
      store(first - 29, first + 31, 8);
      same();
    }
  });

  test('check_state_handling: where a walk stands when it has found nothing', () => {
    const { tree, store } = make();
    store(0x1000, 0x1500, 1);
    store(0x2000, 0x2500, 2);
    store(0x3000, 0x3500, 3);
    const at = new MapleState(tree, 0x2000);
    const where = () => [at.first, at.last, at.status];
    expect([at.find(), ...where()]).toEqual([2, 0x2000, 0x2500, 'active']);
    expect([at.next(0x2fff), ...where()]).toEqual([undefined, 0x2000, 0x2500, 'overflow']);
    // The bound was in the way: further on there is one.
    expect([at.next(), ...where()]).toEqual([3, 0x3000, 0x3500, 'active']);
    expect([at.next(), ...where()]).toEqual([undefined, 0x3000, 0x3500, 'overflow']);
    expect([at.prev(), ...where()]).toEqual([3, 0x3000, 0x3500, 'active']);
    expect([at.prev(0x2501), ...where()]).toEqual([undefined, 0x3000, 0x3500, 'underflow']);
    at.set(0x1500);
    expect([at.findRev(), ...where()]).toEqual([1, 0x1000, 0x1500, 'active']);
    expect([at.findRev(), ...where()]).toEqual([undefined, 0x1000, 0x1500, 'underflow']);
    expect([at.find(), ...where()]).toEqual([1, 0x1000, 0x1500, 'active']);
    at.set(0x1600);
    expect([at.walk(), ...where()]).toEqual([undefined, 0x1501, 0x1fff, 'active']);
    expect([at.next(), at.first]).toEqual([2, 0x2000]);
  });

  test('check_nomem: a store of several nodes without memory changes nothing, and goes when there is some', () => {
    const arena = Arena.create({ bytes: 512 << 10 });
    const { tree, fill, same, store } = make(arena);
    fill(100, 10, 6);
    const freed = arena.alloc(4096);
    exhaust(arena);
    // As long as there are nodes left of its own, stores that need one more go.
    let isFull = false;
    for (let i = 0; i < 5000 && !isFull; i++) {
      const first = 10_000 + i * 10;
      const error = thrownBy(() => tree.insertRange(first, first + 4, 1));
      isFull = error !== undefined;
      if (isFull) expect(error).toBe('ENOMEM');
      else store(first, first + 4, 1);
    }
    expect(isFull).toBe(true);
    same();
    arena.free(freed);
    store(60_000, 60_004, 1);
    store(5, 55_000, 2);
    same();
  });
});

function thrownBy(call: () => unknown): string | undefined {
  try {
    call();
  } catch (error) {
    return (error as { code?: string }).code;
  }
  return undefined;
}
