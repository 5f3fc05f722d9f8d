import { describe, expect, test } from 'vitest';
import { Arena, XArray, XaState } from '../../lib/index.ts';
import { thrown } from '../support/threads.ts';

const LAST = 2 ** 32 - 1;

/** Entries at 3, 64 to 127 as one, 200, and the last index. */
function filled(): XArray {
  const array = new XArray(Arena.create({ bytes: 1 << 20 }));
  array.store(3, 30);
  array.storeOrder(64, 6, 640);
  array.store(200, 2000);
  array.store(LAST, 1);
  return array;
}

describe('a walk', () => {
  test('find begins where it was set, goes on behind, and takes an entry of several indices once', () => {
    const at = new XaState(filled());
    const seen = [];
    for (let entry = at.find(); entry !== undefined; entry = at.find()) seen.push([at.index, entry]);
    expect(seen).toEqual([
      [3, 30],
      [64, 640],
      [200, 2000],
      [LAST, 1],
    ]);
    expect([at.status, at.index]).toEqual(['bounds', LAST]);
    expect(at.find()).toBeUndefined();
    at.set(3);
    expect([at.find(2), at.status]).toEqual([undefined, 'bounds']);
    // In the middle of an entry.
    at.set(100);
    expect([at.find(), at.index, at.find(), at.index]).toEqual([640, 100, 2000, 200]);
  });

  test('find with a mark passes what has none', () => {
    const array = filled();
    array.setMark(200, 1);
    const at = new XaState(array);
    expect([at.find(LAST, 1), at.index, at.getMark(1), at.find(LAST, 1)]).toEqual([2000, 200, true, undefined]);
    at.clearMark(1);
    expect(array.marked(1)).toBe(false);
    at.setMark(2);
    expect(array.getMark(200, 2)).toBe(true);
  });

  test('next and prev go from index to index, and end at either end', () => {
    const at = new XaState(filled(), 3);
    expect([at.next(), at.index, at.next(), at.index, at.prev(), at.index]).toEqual([30, 3, undefined, 4, 30, 3]);
    at.set(LAST);
    expect([at.next(), at.status, at.next(), at.status, at.index]).toEqual([1, 'active', undefined, 'bounds', LAST]);
    at.set(0);
    expect([at.prev(), at.status, at.prev(), at.status, at.index]).toEqual([
      undefined,
      'active',
      undefined,
      'bounds',
      0,
    ]);
  });

  test('goes on after a pause behind what it was at, and after a reset with it', () => {
    const array = filled();
    const at = new XaState(array, 64);
    expect(at.find()).toBe(640);
    at.pause();
    expect([at.index, at.status]).toEqual([128, 'start']);
    array.store(128, 7);
    expect(at.find()).toBe(7);
    at.reset();
    expect(at.find()).toBe(7);
    at.set(LAST);
    at.load();
    at.pause();
    expect([at.status, at.find()]).toEqual(['bounds', undefined]);
  });
});

test('a store that goes to other indices than those of its order', () => {
  const array = filled();
  const at = new XaState(array, 70, 3);
  expect([at.index, at.order]).toEqual([64, 3]);
  at.setOrder(205, 4);
  expect([...at.findConflict()]).toEqual([2000]);
  at.store(9);
  expect([array.load(191), array.load(192), array.load(207), array.load(208)]).toEqual([undefined, 9, 9, undefined]);
  expect(array.getOrder(200)).toBe(4);
  expect(at.load()).toBe(9);
  at.split(0);
  expect(array.getOrder(200)).toBe(0);
  expect([...at.findConflict()]).toHaveLength(16);
  at.store(undefined);
  expect(array.load(200)).toBeUndefined();
});

test('a state of what is no XArray, or no index', () => {
  expect(thrown(() => new XaState({} as XArray)).code).toBe('EINVAL');
  const at = new XaState(filled(), 5);
  for (const bad of [() => at.set(-1), () => at.setOrder(0, 32), () => at.find(2 ** 32)]) {
    expect(thrown(bad).code).toBe('EINVAL');
  }
  expect([at.index, at.status]).toEqual([5, 'start']);
});
