import { describe, expect, test } from 'vitest';
import { Arena } from '../../lib/index.ts';
import { xaPointer } from '../../lib/structures/xarray/entry.ts';
import type { XaMark } from '../../lib/structures/xarray/options.ts';
import { XArray } from '../../lib/structures/xarray/xarray.ts';
import { exhaust, thrown } from '../support/threads.ts';
import { randomFrom, XArrayModel } from './xarray-model.ts';

const MiB = 1 << 20;
const LAST = 2 ** 32 - 1;
const small = (arena = Arena.create({ bytes: 4 * MiB })) => new XArray(arena, undefined, {}, 2);

describe('an array that differs from a plain one', () => {
  test.each([1, 2, 3, 4])('random calls, seed %i', (seed) => {
    const random = randomFrom(seed * 7919);
    const arena = Arena.create({ bytes: 4 * MiB });
    // Half of them with four slots a node, which have more levels.
    const xa = seed % 2 === 0 ? small(arena) : new XArray(arena);
    const model = new XArrayModel();
    const span = seed % 3 === 0 ? 2048 : 300;
    const value = () => (random(4) === 0 ? undefined : random(1000));
    for (let step = 0; step < 1500; step++) {
      const index = random(span);
      const call = random(12);
      if (call < 4) {
        const [put, before] = [value(), model.at.get(index)?.value];
        expect(xa.store(index, put)).toBe(before);
        model.store(index, put);
      } else if (call === 4) {
        xa.erase(index);
        model.erase(index);
      } else if (call === 5) {
        const [order, put] = [random(8), value()];
        xa.storeOrder(index, order, put);
        model.storeOrder(index, order, put);
      } else if (call === 6) {
        const [last, put] = [index + random(70), value()];
        xa.storeRange(index, last, put);
        model.storeRange(index, last, put);
      } else if (call < 9) {
        const mark = random(3) as XaMark;
        const entry = model.at.get(index);
        if (call === 7) xa.setMark(index, mark);
        else xa.clearMark(index, mark);
        if (entry !== undefined) entry.marks = call === 7 ? entry.marks | (1 << mark) : entry.marks & ~(1 << mark);
        expect(xa.getMark(index, mark)).toBe(call === 7 && entry !== undefined);
      } else if (call === 9) {
        const entry = model.at.get(index);
        if (entry !== undefined && entry.order > 0) {
          const order = random(entry.order);
          xa.split(index, order);
          model.split(index, order);
        }
      } else if (call === 10) {
        const [first, last, mark] = [index, index + random(200), random(4) - 1];
        const search = { first, last, mark: mark < 0 ? undefined : (mark as XaMark) };
        expect([...xa.entries(search)]).toEqual(model.entries(first, last, mark));
        expect(xa.find(search)?.index).toBe(model.entries(first, last, mark)[0]?.[0]);
      } else {
        expect(xa.load(index)).toBe(model.at.get(index)?.value);
        expect(xa.getOrder(index)).toBe(model.at.get(index)?.order ?? 0);
      }
      if (step % 150 !== 0) continue;
      expect([...xa]).toEqual(model.entries());
      for (const mark of [0, 1, 2] as const) {
        expect([...xa.entries({ mark })]).toEqual(model.entries(0, LAST, mark));
        expect(xa.marked(mark)).toBe(model.entries(0, LAST, mark).length > 0);
      }
      expect(xa.empty).toBe(model.at.size === 0);
    }
    for (const index of model.at.keys()) xa.erase(index);
    expect(xa.empty).toBe(true);
    const { bytes, free } = xa.use();
    // All but what is too short for a block, and the heads of the chunks.
    expect(bytes - free).toBeLessThan(bytes / 8);
    const before = arena.use().used;
    xa.destroy();
    expect(arena.use().used).toBeLessThan(before);
    expect(arena.fsck()).toEqual([]);
  });

  test('far indices, tall trees', () => {
    const xa = small();
    const random = randomFrom(5);
    const model = new Map<number, number>();
    for (let i = 0; i < 500; i++) {
      const index = random(2) === 0 ? LAST - random(1000) : 2 ** random(32) + random(3);
      model.set(index, i);
      xa.store(index, i);
    }
    const sorted = [...model].sort(([a], [b]) => a - b);
    expect([...xa]).toEqual(sorted);
    for (const [index, value] of sorted) expect(xa.erase(index)).toBe(value);
    expect(xa.empty).toBe(true);
  });
});

test('an index beyond the tree is taken for one in it', () => {
  const xa = small();
  xa.store(1, 7);
  for (let bit = 2; bit < 32; bit++) expect(xa.load(2 ** bit + 1)).toBeUndefined();
  xa.storeOrder(32, 5, 8);
  for (let bit = 6; bit < 32; bit++) expect(xa.load(2 ** bit + 40)).toBeUndefined();
  expect(xa.getOrder(2 ** 31)).toBe(0);
});

test('a tree is taller than what is left in it', () => {
  const inUse = (xa: XArray) => xa.use().bytes - xa.use().free;
  const [low, high] = [small(), small()];
  for (const xa of [low, high]) xa.store(3, 1);
  for (let bit = 4; bit < 32; bit += 9) {
    high.store(2 ** bit, 1);
    high.erase(2 ** bit);
    low.store(2, 1);
    low.erase(2);
  }
  // But for the heads of a chunk or two; without shrinking it is fifteen nodes of 96 bytes.
  expect(inUse(high) - inUse(low)).toBeLessThan(4 * 96);
});

describe('entries', () => {
  test('values at the edges, pointers with tags', () => {
    const arena = Arena.create({ bytes: MiB });
    const xa = new XArray(arena);
    const block = arena.alloc(3);
    const entries = [0, 1, 2 ** 30, 2 ** 31 - 1, xaPointer(block), xaPointer(block, 3), xaPointer(xa.address, 1)];
    for (const [i, entry] of entries.entries()) xa.store(i, entry);
    expect(entries.map((_, i) => xa.load(i))).toEqual(entries);
    expect(xa.extract(10)).toEqual(entries);
    expect(xa.cmpxchg(4, xaPointer(block, 1), 5)).toEqual(xaPointer(block));
    expect(xa.cmpxchg(4, xaPointer(block), 5)).toEqual(xaPointer(block));
    expect(xa.load(4)).toBe(5);
  });

  test('a reserved index is in use and holds nothing', () => {
    const xa = small();
    expect(xa.reserve(70)).toBe(true);
    expect(xa.reserve(70)).toBe(false);
    expect(xa.load(70)).toBeUndefined();
    expect(xa.empty).toBe(false);
    expect([...xa]).toEqual([]);
    expect(thrown(() => xa.insert(70, 1)).code).toBe('EBUSY');
    expect(xa.cmpxchg(70, undefined, 8)).toBeUndefined();
    xa.release(70);
    expect(xa.load(70)).toBe(8);
    xa.reserve(71);
    xa.release(71);
    xa.erase(70);
    expect(xa.empty).toBe(true);
  });

  test('insert leaves what is there', () => {
    const xa = small();
    xa.insert(9, 1);
    expect(thrown(() => xa.insert(9, 2)).code).toBe('EBUSY');
    expect(xa.load(9)).toBe(1);
  });

  test('find and findAfter go from entry to entry, by mark too', () => {
    const xa = small();
    xa.store(3, 30);
    xa.storeOrder(16, 3, 160);
    xa.store(1 << 20, 7);
    xa.setMark(20, 1);
    expect(xa.find()).toEqual({ index: 3, entry: 30 });
    expect(xa.findAfter(3)).toEqual({ index: 16, entry: 160 });
    expect(xa.find({ first: 19 })).toEqual({ index: 19, entry: 160 });
    expect(xa.findAfter(18)).toEqual({ index: 1 << 20, entry: 7 });
    expect(xa.findAfter(18, { last: 999 })).toBeUndefined();
    expect(xa.findAfter(3, { mark: 1 })).toEqual({ index: 16, entry: 160 });
    expect(xa.find({ first: 17, mark: 1 })).toEqual({ index: 17, entry: 160 });
    expect(xa.find({ mark: 2 })).toBeUndefined();
  });

  test('a loop that stores and erases ahead of itself and behind', () => {
    const xa = small();
    for (let i = 0; i < 100; i++) xa.store(i, i);
    const seen: number[] = [];
    for (const [index] of xa) {
      seen.push(index);
      xa.erase(index);
      if (index % 2 === 0) xa.erase(index + 1);
      if (index === 50) xa.store(5000, 1);
    }
    expect(seen).toEqual([...Array.from({ length: 50 }, (_, i) => 2 * i), 5000]);
    expect([...xa]).toEqual([]);
  });
});

describe('indices that are given out', () => {
  test.each([2, 6] as const)('differ from the lowest free ones, %i bits a level', (bits) => {
    const random = randomFrom(bits);
    const xa = new XArray(Arena.create({ bytes: 4 * MiB }), undefined, { alloc: 'from-0' }, bits);
    const used = new Map<number, number>();
    for (let step = 0; step < 1000; step++) {
      const index = random(260);
      if (random(2) === 0) {
        const first = random(200);
        const last = first + random(60);
        let lowest = first;
        while (used.has(lowest)) lowest++;
        if (lowest > last) expect(thrown(() => xa.alloc(step, { first, last })).code).toBe('EBUSY');
        else {
          expect(xa.alloc(step, { first, last })).toBe(lowest);
          used.set(lowest, step);
        }
      } else if (random(3) === 0) {
        xa.store(index, step);
        used.set(index, step);
      } else {
        xa.erase(index);
        used.delete(index);
      }
    }
    expect([...xa]).toEqual([...used].sort(([a], [b]) => a - b));
  });

  test('from 1; cyclic ones go on where the last was, and say when they wrap', () => {
    const xa = new XArray(Arena.create({ bytes: MiB }), undefined, { alloc: 'from-1' });
    expect([xa.alloc(5), xa.alloc(6)]).toEqual([1, 2]);
    const cyclic = { first: 1, last: 4 };
    expect(xa.allocCyclic(7, cyclic)).toEqual({ index: 3, wrapped: false });
    expect(xa.allocCyclic(7, cyclic)).toEqual({ index: 4, wrapped: false });
    xa.erase(2);
    expect(xa.allocCyclic(8, cyclic)).toEqual({ index: 2, wrapped: true });
    expect(thrown(() => xa.allocCyclic(9, cyclic)).code).toBe('EBUSY');
    expect(xa.alloc(0, { first: LAST })).toBe(LAST);
    xa.erase(LAST);
    expect(xa.allocCyclic(1, { first: LAST })).toEqual({ index: LAST, wrapped: false });
    xa.erase(LAST);
    expect(xa.allocCyclic(1, { first: 9 })).toEqual({ index: 9, wrapped: true });
  });

  test('undefined keeps the index, erase gives it back', () => {
    const xa = new XArray(Arena.create({ bytes: MiB }), undefined, { alloc: 'from-0' });
    xa.alloc(5);
    xa.store(0, undefined);
    expect(xa.load(0)).toBeUndefined();
    expect(xa.alloc(6)).toBe(1);
    xa.erase(0);
    expect(xa.alloc(undefined)).toBe(0);
    expect(xa.alloc(6)).toBe(2);
    expect(thrown(() => xa.setMark(1, 0)).code).toBe('EINVAL');
  });
});

describe('bad input', () => {
  test('changes nothing and says what is wrong', () => {
    const arena = Arena.create({ bytes: MiB });
    const xa = new XArray(arena, 'xa');
    const bad: [() => unknown, RegExp][] = [
      [() => xa.load(-1), /index is a whole number from 0 to 4294967295, received -1/],
      [() => xa.store(2 ** 32, 1), /received 4294967296/],
      [() => xa.load(0.5), /received 0.5/],
      [() => xa.load('7' as never), /received "7"/],
      [() => xa.store(0, 2 ** 31), /whole number from 0 to 2147483647/],
      [() => xa.store(0, {} as never), /received an object/],
      [() => xaPointer(17), /multiple of 16; received 17/],
      [() => xaPointer(1600, 4), /tag/],
      [() => xa.storeRange(5, 4, 1), /no index/],
      [() => xa.storeOrder(5, 32, 1), /order/],
      [() => xa.setMark(1, 3 as never), /mark is 0, 1 or 2/],
      [() => xa.alloc(1), /gives out no indices/],
      [() => xa.split(1, 0), /at 1 is none/],
      [() => xa.find({ frist: 1 } as never), /no option of this call is named "frist"/],
      [() => new XArray(arena, 'x', { alloc: 2 } as never), /from-0/],
      [() => XArray.from(arena, { ...xa.handle, type: 'holdfast.mutex' }), /expected a name or the handle of a xarray/],
      [() => new XArray({} as never), /lives in an Arena/],
    ];
    for (const [call, message] of bad)
      expect(thrown(call)).toMatchObject({ code: 'EINVAL', message: expect.stringMatching(message) });
    expect(xa.empty).toBe(true);
  });

  test('a full arena is ENOMEM before anything has changed', () => {
    const arena = Arena.create({ bytes: 256 << 10 });
    const xa = new XArray(arena);
    xa.store(0, 1);
    exhaust(arena);
    const before = xa.use();
    expect(thrown(() => xa.store(1 << 30, 2)).code).toBe('ENOMEM');
    expect(thrown(() => xa.storeRange(5, 999_999, 2)).code).toBe('ENOMEM');
    expect([...xa]).toEqual([[0, 1]]);
    expect(xa.use()).toEqual(before);
    expect(xa.store(0, 3)).toBe(1);
  });

  test('an allocation for which there is no memory skips indices', () => {
    const arena = Arena.create({ bytes: 256 << 10 });
    const xa = new XArray(arena, undefined, { alloc: 'from-0' });
    for (let i = 0; i < 4; i++) expect(xa.allocCyclic(i).index).toBe(i);
    exhaust(arena);
    expect(thrown(() => xa.allocCyclic(4, { first: 2 ** 30 })).code).toBe('ENOMEM');
    expect(xa.allocCyclic(4)).toEqual({ index: 4, wrapped: false });
  });
});

test('nodes that are taken out are used again while nobody reads', () => {
  const xa = small();
  for (let i = 0; i < 5_000; i++) {
    xa.store(i * 64, 1);
    xa.erase(i * 64);
  }
  expect(xa.use().bytes).toBeLessThan(100_000);
});
