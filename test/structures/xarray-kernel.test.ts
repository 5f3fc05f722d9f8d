/**
 * What the kernel's own test of the XArray (lib/test_xarray.c) holds it to, as behaviour of ours: a test for each of its checks,
 * by that one's name. Without a counterpart are those that look at states of a walk (`xas_retry`, `xas_next` and `xas_prev` of
 * `check_move`, `check_create_range_3`), at fields of a node (`check_account`), or at lists of nodes (`check_workingset`).
 */
import { describe, expect, test } from 'vitest';
import { Arena } from '../../lib/index.ts';
import { xaPointer } from '../../lib/structures/xarray/entry.ts';
import type { XArrayOptions } from '../../lib/structures/xarray/options.ts';
import { XArray } from '../../lib/structures/xarray/xarray.ts';
import { exhaust, thrown } from '../support/threads.ts';

const LAST = 2 ** 32 - 1;
const FAR = 12_345_678;

describe.each([2, 6] as const)('%i bits a level', (bits) => {
  const make = (options: XArrayOptions = {}) => new XArray(Arena.create({ bytes: 8 << 20 }), undefined, options, bits);

  /** What each index holds, of those that are asked about. */
  const at = (xa: XArray, ...indices: number[]) => indices.map((index) => xa.load(index));

  test('check_xa_err: what was refused for want of memory is stored when there is some', () => {
    const arena = Arena.create({ bytes: 256 << 10 });
    const xa = new XArray(arena, undefined, {}, bits);
    const freed = arena.alloc(2048);
    exhaust(arena);
    expect(xa.store(0, 7)).toBeUndefined(); // index 0 alone needs no node
    expect(xa.erase(0)).toBe(7);
    for (let i = 0; i < 2; i++) expect(thrown(() => xa.store(1, 7)).code).toBe('ENOMEM');
    arena.free(freed);
    expect(xa.store(1, 7)).toBeUndefined();
    expect(xa.store(1, 0)).toBe(7);
    expect(xa.erase(1)).toBe(0);
  });

  test('check_xa_load: what is stored is there, and nothing else', () => {
    const xa = make();
    const indices = Array.from({ length: 300 }, (_, i) => i);
    for (const i of indices) {
      if (i % 37 === 0) expect(at(xa, ...indices)).toEqual(indices.map((j) => (j < i ? j : undefined)));
      expect(xa.store(i, i)).toBeUndefined();
    }
    for (const i of indices) {
      if (i % 37 === 0) expect(at(xa, ...indices)).toEqual(indices.map((j) => (j < i ? undefined : j)));
      expect(xa.erase(i)).toBe(i);
    }
    expect(xa.empty).toBe(true);
  });

  test.each([0, 4, 60, 1020, 16_380])('check_xa_mark: marks of an entry at %i', (index) => {
    const xa = make();
    const marks = (i: number) => ([0, 1, 2] as const).map((mark) => xa.getMark(i, mark));
    // Nothing has no marks, and gets none.
    xa.setMark(index, 0);
    expect(marks(index)).toEqual([false, false, false]);
    xa.store(index, index);
    expect(marks(index)).toEqual([false, false, false]);
    xa.setMark(index, 0);
    expect(marks(index)).toEqual([true, false, false]);
    expect(marks(index + 1)).toEqual([false, false, false]);
    // They go with the entry.
    xa.erase(index);
    xa.store(index, index);
    expect(marks(index)).toEqual([false, false, false]);
    xa.erase(index);

    // An entry that takes the place of several has the marks of all.
    for (let order = 2; order < 8; order++) {
      const first = index - (index % 2 ** order);
      const next = first + 2 ** order;
      xa.store(index + 1, 1);
      xa.setMark(index + 1, 0);
      xa.store(index + 2, 2);
      xa.setMark(index + 2, 2);
      xa.store(next, 3);
      xa.storeOrder(index, order, 9);
      for (let i = first; i < next; i++) {
        expect(marks(i)).toEqual([true, false, true]);
        expect([...xa.entries({ first: i })].length).toBe(2);
      }
      expect([...xa.entries({ mark: 0 })]).toEqual([[first, 9]]);
      expect(marks(next)).toEqual([false, false, false]);
      xa.erase(index);
      xa.erase(next);
      expect(xa.empty).toBe(true);
    }
  });

  test('check_xa_mark: a thousand of them, and one of an entry at several indices', () => {
    const xa = make();
    for (let i = 3500; i < 4500; i++) {
      xa.store(i, i);
      xa.setMark(i, 0);
    }
    expect([...xa.entries({ mark: 0 })].length).toBe(1000);
    xa.clear();
    expect(xa.marked(0)).toBe(false);
    xa.storeOrder(0x40, 2, 64);
    xa.setMark(0x41, 0);
    expect([...xa.entries({ mark: 0 })]).toEqual([[0x40, 64]]);
    expect([...xa.entries({ first: 0x41, mark: 0 })]).toEqual([[0x41, 64]]);
  });

  test('check_xa_shrink: a far index makes the tree taller, and it gets no larger by what has gone', () => {
    const xa = make();
    for (let order = 0; order < 15; order++) {
      const beyond = 2 ** order;
      xa.storeOrder(0, order, 5);
      xa.store(LAST, 1);
      expect(at(xa, beyond - 1, beyond, LAST)).toEqual([5, undefined, 1]);
      expect(xa.erase(LAST)).toBe(1);
      expect(at(xa, 0, beyond - 1, beyond, LAST)).toEqual([5, 5, undefined, undefined]);
      expect(xa.erase(0)).toBe(5);
      expect(xa.empty).toBe(true);
    }
  });

  test('check_xas_erase: a loop that takes out all that it sees, with far indices coming and going', () => {
    const xa = make();
    for (let i = 0; i < 200; i += 7) {
      for (let j = i; j < 2 * i + 17; j++) xa.store(j, j);
      xa.store(LAST, 0);
      xa.erase(LAST);
      const seen: number[] = [];
      for (const [index, entry] of xa) {
        expect(entry).toBe(index);
        seen.push(index);
        xa.erase(index);
      }
      expect(seen).toEqual(Array.from({ length: i + 17 }, (_, k) => i + k));
      expect(xa.empty).toBe(true);
    }
  });

  test('check_insert: neighbours of an entry stay empty', () => {
    const xa = make();
    const powers = Array.from({ length: 22 }, (_, i) => 2 ** (i + 10));
    for (const index of [1, 2, 63, 64, 65, 1023, ...powers, ...powers.map((p) => p - 1), LAST]) {
      xa.insert(index, 3);
      expect(at(xa, index - 1, index, Math.min(index + 1, LAST - 1))).toEqual([undefined, 3, undefined]);
      expect(xa.erase(index)).toBe(3);
      expect(xa.empty).toBe(true);
    }
  });

  test('check_cmpxchg', () => {
    const xa = make();
    xa.store(FAR, FAR);
    expect(thrown(() => xa.insert(FAR, xaPointer(xa.address))).code).toBe('EBUSY');
    expect(xa.cmpxchg(FAR, 6, 5)).toBe(FAR);
    expect(xa.cmpxchg(FAR, FAR, 5)).toBe(FAR);
    expect(xa.cmpxchg(FAR, 5, FAR)).toBe(5);
    expect(xa.cmpxchg(5, 5, undefined)).toBeUndefined();
    expect(xa.cmpxchg(5, undefined, 5)).toBeUndefined();
    expect(thrown(() => xa.insert(5, 5)).code).toBe('EBUSY');
    expect(xa.cmpxchg(5, 5, undefined)).toBe(5);
    xa.insert(5, 5);
    expect([...xa]).toEqual([
      [5, 5],
      [FAR, FAR],
    ]);
  });

  test('check_cmpxchg_order: all indices of an entry go at once, and those of its neighbour stay', () => {
    const xa = make();
    const orders = (first: number) => Array.from({ length: 8 }, (_, i) => xa.getOrder(first + i));
    xa.storeOrder(0, 3, 5);
    expect(orders(0)).toEqual(Array(8).fill(3));
    expect(xa.load(8)).toBeUndefined();
    xa.storeOrder(8, 3, 5);
    expect(xa.cmpxchg(0, 5, undefined)).toBe(5);
    for (let i = 0; i < 8; i++) expect(at(xa, i, 8 + i)).toEqual([undefined, 5]);
    expect(orders(0)).toEqual(Array(8).fill(0));
    expect(orders(8)).toEqual(Array(8).fill(3));
    xa.storeOrder(0, 31, undefined);
    expect(xa.empty).toBe(true);
  });

  test.each([undefined, 'from-0'] as const)('check_reserve, alloc %s', (alloc) => {
    const xa = make({ alloc });
    xa.reserve(FAR);
    expect([xa.empty, xa.load(FAR)]).toEqual([false, undefined]);
    xa.release(FAR);
    expect(xa.empty).toBe(true);
    // Once something is stored there is nothing to release.
    xa.reserve(FAR);
    expect(xa.store(FAR, 1)).toBeUndefined();
    xa.release(FAR);
    expect(xa.erase(FAR)).toBe(1);
    // A reserved one counts as empty for cmpxchg, and as in use for insert.
    xa.reserve(FAR);
    expect(thrown(() => xa.insert(FAR, 2)).code).toBe('EBUSY');
    expect(xa.cmpxchg(FAR, undefined, 2)).toBeUndefined();
    xa.release(FAR);
    expect(xa.erase(FAR)).toBe(2);
    xa.reserve(FAR);
    expect(xa.erase(FAR)).toBeUndefined();
    expect(xa.empty).toBe(true);
    // A loop goes past it.
    xa.store(5, 50);
    xa.reserve(6);
    xa.store(7, 70);
    expect([...xa]).toEqual([
      [5, 50],
      [7, 70],
    ]);
    if (alloc === undefined) return;
    expect(xa.alloc(8, { first: 5, last: 10 })).toBe(8);
    xa.release(6);
    expect(xa.alloc(6, { first: 5, last: 10 })).toBe(6);
  });

  test('check_multi_store: entries of any two orders over one another', () => {
    const xa = make();
    for (let first = 0; first < 32; first += 3) {
      for (let second = 0; second < 32; second += 3) {
        xa.storeOrder(0, first, 100 + first);
        xa.storeOrder(0, second, 200 + second);
        for (let k = 0; k < 32; k++) {
          const isIn = k <= Math.max(first, second);
          expect(xa.load(2 ** k - 1)).toBe(isIn ? 200 + second : undefined);
        }
        xa.erase(0);
        expect(xa.empty).toBe(true);
      }
    }
  });

  test('check_multi_store: an entry beside it, over it, and one store that takes several out', () => {
    const xa = make();
    xa.storeOrder(0, 1, 10);
    expect(at(xa, 0, 1, 2)).toEqual([10, 10, undefined]);
    xa.store(3, xaPointer(xa.address));
    expect(at(xa, 0, 1, 2)).toEqual([10, 10, undefined]);
    xa.storeOrder(0, 2, 11);
    expect(at(xa, 0, 1, 2, 3, 4)).toEqual([11, 11, 11, 11, undefined]);
    xa.storeOrder(0, 31, undefined);
    expect(xa.empty).toBe(true);
    xa.store(1, 1);
    xa.store(2, 2);
    xa.storeOrder(0, 2, undefined);
    expect(xa.empty).toBe(true);
  });

  test.each(Array.from({ length: 20 }, (_, i) => i))(
    'check_multi_store, order %i: its edges, by any of its indices',
    (order) => {
      const xa = make();
      for (const index of [200, 0, 2 ** order + 1, 4095]) {
        const first = index - (index % 2 ** order);
        const beyond = first + 2 ** order;
        const edges = () => at(xa, ...(first > 0 ? [first - 1] : []), first, beyond - 1, beyond);
        const want = (entry: number) => [...(first > 0 ? [undefined] : []), entry, entry, undefined];
        xa.storeOrder(index, order, 1);
        expect(edges()).toEqual(want(1));
        // A store at one index is one at all of them.
        expect(xa.store(index, 2)).toBe(1);
        expect(edges()).toEqual(want(2));
        // A loop sees it once, also one that begins inside.
        expect([...xa]).toEqual([[first, 2]]);
        if (order > 0) expect([...xa.entries({ first: first + 1 })]).toEqual([[first + 1, 2]]);
        expect(xa.erase(index)).toBe(2);
        expect(xa.empty).toBe(true);
      }
    },
  );

  test.each([0, 3, 6, 9])('check_multi_store_advanced, order %i: holes before, between and behind', (order) => {
    const xa = make();
    const pages = 2 ** order;
    for (let position = 7; position < 2 ** 31; position = position * position + 564) {
      const base = position - (position % pages);
      const [next, afterNext] = [base + pages, base + 2 * pages];
      const inside = (first: number) => at(xa, first, first + (pages >> 1), first + pages - 1);
      const empty = Array(3).fill(undefined);
      xa.storeOrder(base, order, 1);
      expect([inside(base), xa.load(next)]).toEqual([[1, 1, 1], undefined]);
      xa.store(next, 2);
      expect(xa.load(next)).toBe(2);
      xa.erase(next);
      xa.storeOrder(next, order, 3);
      expect([inside(base), inside(next)]).toEqual([
        [1, 1, 1],
        [3, 3, 3],
      ]);
      xa.erase(base);
      expect([inside(base), inside(next), inside(afterNext)]).toEqual([empty, [3, 3, 3], empty]);
      xa.erase(next);
      xa.storeOrder(afterNext, order, 4);
      expect([inside(base), inside(next), inside(afterNext)]).toEqual([empty, empty, [4, 4, 4]]);
      xa.erase(afterNext);
      expect(xa.empty).toBe(true);
    }
  });

  test('check_get_order: at each of its indices', () => {
    const xa = make();
    expect([0, 1, 2].map((i) => xa.getOrder(i))).toEqual([0, 0, 0]);
    for (let order = 0; order < 20; order++) {
      for (const i of [0, 1, 5, 9]) {
        const first = i * 2 ** order;
        xa.storeOrder(first, order, i);
        for (const j of [0, 1, 2 ** (order - 1), 2 ** order - 1]) {
          if (Number.isInteger(j) && j < 2 ** order) expect(xa.getOrder(first + j)).toBe(order);
        }
        xa.erase(first);
        expect(xa.getOrder(first)).toBe(0);
      }
    }
  });

  test.each([0, 1])('check_xa_alloc, from %i: the lowest that is free', (base) => {
    const xa = make({ alloc: base === 0 ? 'from-0' : 'from-1' });
    const alloc = () => xa.alloc(77);
    expect(alloc()).toBe(base);
    xa.erase(base);
    expect(xa.empty).toBe(true);
    for (let i = base; i < 128; i++) expect(alloc()).toBe(i);
    for (let i = base; i < 128; i++) xa.erase(i);
    expect(alloc()).toBe(base);
    xa.clear();
    expect([alloc(), alloc()]).toEqual([base, base + 1]);
    xa.erase(base + 1);
    xa.store(base + 1, 3);
    expect(alloc()).toBe(base + 2);
    xa.erase(base);
    expect(alloc()).toBe(base);
    xa.clear();

    // The end of all indices, and a range without one.
    const atEnd = { first: LAST - 1, last: LAST };
    expect([xa.alloc(1, atEnd), xa.alloc(1, atEnd)]).toEqual([LAST - 1, LAST]);
    expect(thrown(() => xa.alloc(1, atEnd)).code).toBe('EBUSY');
    expect(thrown(() => xa.alloc(1, { first: 10, last: 5 })).code).toBe('EINVAL');
    xa.clear();

    // Those that hold nothing.
    for (let i = base; i < base + 10; i++) expect(xa.alloc(undefined)).toBe(i);
    xa.store(4, 4);
    xa.store(4, undefined);
    xa.erase(5);
    expect(xa.alloc(undefined)).toBe(5);
    expect([...xa]).toEqual([]);
    for (let i = base; i < base + 10; i++) {
      expect(xa.empty).toBe(false);
      xa.erase(i);
    }
    expect(xa.empty).toBe(true);
  });

  test.each([0, 1])('check_xa_alloc, from %i: cyclic, round a range and round all', (base) => {
    const xa = make({ alloc: base === 0 ? 'from-0' : 'from-1' });
    const range = { first: 1, last: 0x3fff };
    for (let i = 1; i <= 0x3fff; i++) if (i > 4 && i < 0x3ffd) xa.store(i, 1);
    const next = () => xa.allocCyclic(5, range);
    expect([1, 2, 3, 4, 0x3ffd, 0x3ffe, 0x3fff].map((index) => ({ index, wrapped: false }))).toEqual(
      Array.from({ length: 7 }, next),
    );
    expect(thrown(next).code).toBe('EBUSY');
    xa.erase(2);
    expect(next()).toEqual({ index: 2, wrapped: true });
    xa.erase(base);
    xa.store(LAST, 1);
    expect(xa.allocCyclic(5, { first: base }).index).toBe(0x4000);
    xa.erase(LAST);
    expect(xa.allocCyclic(5, { first: LAST })).toEqual({ index: LAST, wrapped: false });
    xa.erase(LAST);
    expect(xa.allocCyclic(5)).toEqual({ index: base, wrapped: true });
  });

  test('check_find: every pair of entries from every index, by mark too', () => {
    const xa = make();
    for (let high = 1; high < 100; high += 3) {
      xa.store(high, high);
      xa.setMark(high, 0);
      for (let low = 0; low < high; low += 5) {
        xa.store(low, low);
        xa.setMark(low, 0);
        for (let from = 0; from < 100; from += 7) {
          const want = from <= low ? low : from <= high ? high : undefined;
          expect([xa.find({ first: from })?.index, xa.find({ first: from, mark: 0 })?.index]).toEqual([want, want]);
        }
        xa.erase(low);
        expect([xa.getMark(low, 0), xa.getMark(high, 0)]).toEqual([false, true]);
      }
      xa.erase(high);
    }
    expect(xa.find()).toBeUndefined();
    xa.store(LAST, 9);
    expect(xa.findAfter(0)).toEqual({ index: LAST, entry: 9 });
    expect(xa.findAfter(LAST)).toBeUndefined();
  });

  test('check_find: an entry at several indices, from before, inside and behind', () => {
    const xa = make();
    for (let order = 0; order < 10; order++) {
      const [multi, next] = [3 * 2 ** order, 4 * 2 ** order];
      xa.storeOrder(multi, order, 1);
      xa.store(next, 2);
      xa.store(next + 1, 3);
      expect(xa.find()).toEqual({ index: multi, entry: 1 });
      if (order > 0) expect(xa.find({ first: multi + 1 })).toEqual({ index: multi + 1, entry: 1 });
      expect(xa.findAfter(next - 1)).toEqual({ index: next, entry: 2 });
      expect(xa.findAfter(next, { last: next })).toBeUndefined();
      xa.clear();
      // Nothing follows an entry that has all there is.
      xa.storeOrder(0, order + 1, 4);
      expect(xa.findAfter(2 ** order)).toBeUndefined();
      xa.clear();
    }
  });

  test('check_find, check_find_entry: a loop that takes out what it stands on', () => {
    const xa = make();
    for (let order = 0; order < 8; order++) {
      const index = 2 ** order;
      for (const inside of [index, index + (index >> 1), 2 * index - 1]) {
        xa.store(index - 1, 1);
        xa.storeOrder(index, order, 2);
        for (const [seen] of xa.entries({ first: inside })) xa.erase(seen);
        expect([...xa]).toEqual([[index - 1, 1]]);
        xa.clear();
      }
      for (let i = 0; i < 32; i++) xa.storeOrder(i * index, order, i);
      expect([...xa]).toEqual(Array.from({ length: 32 }, (_, i) => [i * index, i]));
      xa.clear();
    }
  });

  test('check_pause: entries of all orders side by side, small ones first and large ones first', () => {
    const xa = make();
    for (let order = 0; order < 31; order++) xa.storeOrder(2 ** order, order, order);
    expect([...xa]).toEqual(Array.from({ length: 31 }, (_, i) => [2 ** i, i]));
    xa.clear();
    const large: [number, number][] = [];
    for (let order = 31, index = 0; order >= 0; index += 2 ** order, order--) {
      xa.storeOrder(index, order, order);
      large.push([index, order]);
    }
    expect([...xa]).toEqual(large);
    large[0] = [1, 31];
    expect([...xa.entries({ first: 1 })]).toEqual(large);
  });

  test('check_destroy, check_move: one entry anywhere, a stretch with a hole', () => {
    const xa = make();
    for (const index of [0, 1, 63, 64, 999, LAST]) {
      xa.store(index, 1);
      expect([...xa]).toEqual([[index, 1]]);
      xa.clear();
      expect(xa.empty).toBe(true);
    }
    xa.storeOrder(1 << 11, 11, 2);
    xa.clear();
    expect(xa.empty).toBe(true);
    for (let i = 0; i < 1 << 12; i++) xa.store(i, i);
    for (let i = 1 << 6; i < 1 << 11; i++) xa.erase(i);
    for (let i = (1 << 12) - 1; i >= 0; i--) expect(xa.load(i)).toBe(i < 1 << 6 || i >= 1 << 11 ? i : undefined);
  });

  test.each([0, 127, 128, 4095, 4096, 123_456, 1 << 24])('check_store_range, check_create_range, from %i', (from) => {
    const xa = make();
    for (let i = from; i < from + 128; i += 11) {
      for (let last = i; last < from + 128; last += 13) {
        xa.storeRange(i, last, 8);
        expect(at(xa, i, last, last + 1)).toEqual([8, 8, undefined]);
        if (i > 0) expect(xa.load(i - 1)).toBeUndefined();
        xa.storeRange(i, last, undefined);
        expect(xa.empty).toBe(true);
      }
    }
    // Into one entry, index by index.
    xa.store(from + 1, 5);
    xa.reserve(from + 2);
    for (let i = from; i < from + 64; i++) xa.store(i, i);
    for (let i = from; i < from + 64; i++) expect(xa.erase(i)).toBe(i);
    expect(xa.empty).toBe(true);
  });

  test('check_store_iter: an entry over none, one at either end, and many', () => {
    const xa = make();
    for (let order = 0; order < 11; order++) {
      const [first, last] = [2 ** order, 2 ** (order + 1) - 1];
      const replaces = (indices: number[]) => {
        for (const index of indices) xa.store(index, index);
        expect([...xa.entries({ first, last })].length).toBe(new Set(indices).size);
        xa.storeOrder(first, order, 5);
        expect([...xa]).toEqual([[first, 5]]);
        expect(at(xa, first, last)).toEqual([5, 5]);
        xa.erase(first);
        expect(xa.empty).toBe(true);
      };
      replaces([]);
      replaces([first]);
      replaces([last]);
      replaces(Array.from({ length: first }, (_, i) => first + i));
    }
    xa.store(63, 63);
    xa.store(65, 65);
    xa.storeOrder(64, 2, 64);
    expect([...xa]).toEqual([
      [63, 63],
      [64, 64],
    ]);
  });

  test('check_align: a store where an index was reserved needs no memory', () => {
    const arena = Arena.create({ bytes: 256 << 10 });
    const xa = new XArray(arena, undefined, {}, bits);
    xa.reserve(FAR);
    exhaust(arena);
    expect(thrown(() => xa.store(2 * FAR, 1)).code).toBe('ENOMEM');
    expect(xa.store(FAR, xaPointer(xa.address, 3))).toBeUndefined();
    expect(xa.load(FAR)).toEqual(xaPointer(xa.address, 3));
  });

  test('check_split: any order into any smaller one', () => {
    const xa = make();
    for (let order = 1; order < 12; order++) {
      for (let smaller = 0; smaller < order; smaller += 2) {
        for (const first of [0, 2 ** order, 3 * 2 ** order]) {
          const pieces = Array.from({ length: 2 ** (order - smaller) }, (_, i) => first + i * 2 ** smaller);
          xa.storeOrder(first, order, 1);
          xa.setMark(first, 1);
          xa.split(first, smaller);
          expect([...xa.entries({ mark: 1 })]).toEqual(pieces.map((index) => [index, 1]));
          const piece = pieces.at(-1) as number;
          xa.store(piece + 2 ** smaller - 1, 2);
          expect(at(xa, first, piece, piece + 2 ** smaller - 1)).toEqual([pieces.length === 1 ? 2 : 1, 2, 2]);
          xa.setMark(first, 0);
          expect([xa.getMark(first, 0), xa.getMark(piece, 0)]).toEqual([true, pieces.length === 1]);
          xa.clear();
        }
      }
    }
  });
});
