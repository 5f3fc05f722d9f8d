import { describe, expect, test } from 'vitest';
import { Arena, MapleState, MapleTree } from '../../lib/index.ts';
import { thrown } from '../support/threads.ts';

const LAST = 2 ** 32 - 1;

/** Ranges at 10, 20 and 30, of five indices. */
function make(first?: number, last?: number): { tree: MapleTree; at: MapleState; where(): unknown[] } {
  const tree = new MapleTree(Arena.create({ bytes: 1 << 20 }));
  for (const index of [10, 20, 30]) tree.storeRange(index, index + 4, index);
  const at = new MapleState(tree, first, last);
  return { tree, at, where: () => [at.first, at.last, at.status] };
}

describe('a walk', () => {
  test('goes to the whole range, or the whole gap', () => {
    const { at, where } = make(12);
    expect(where()).toEqual([12, 12, 'start']);
    expect(at.walk()).toBe(10);
    expect(where()).toEqual([10, 14, 'active']);
    at.set(17);
    expect(at.walk()).toBeUndefined();
    expect(where()).toEqual([15, 19, 'active']);
  });

  test('find begins where it was set, and goes on behind', () => {
    const { at, where } = make(12);
    expect([at.find(), at.find(), at.find()]).toEqual([10, 20, 30]);
    expect(where()).toEqual([30, 34, 'active']);
    expect(at.find()).toBeUndefined();
    expect(where()).toEqual([30, 34, 'overflow']);
    at.set(15);
    expect(at.find(19)).toBeUndefined();
    expect(where()).toEqual([15, 15, 'overflow']);
    expect(at.find(20)).toBe(20);
  });

  test('findRev the other way', () => {
    const { at, where } = make(32);
    expect([at.findRev(), at.findRev(15), at.findRev(15)]).toEqual([30, 20, undefined]);
    expect(where()).toEqual([20, 24, 'underflow']);
    expect(at.findRev()).toBe(10);
    at.set(4);
    expect(at.findRev(5)).toBeUndefined();
    expect(at.find(3)).toBeUndefined();
  });

  test('a bound on the wrong side of the place finds nothing', () => {
    const { at } = make(12);
    expect(at.find(9)).toBeUndefined();
    expect(at.status).toBe('overflow');
    at.set(12);
    expect(at.findRev(20)).toBeUndefined();
    expect(at.status).toBe('underflow');
  });

  test('next passes the range that it is at, and turns round at either end', () => {
    const { at, where } = make(10);
    expect([at.next(), at.next(), at.next()]).toEqual([20, 30, undefined]);
    expect(at.status).toBe('overflow');
    expect([at.prev(), at.prev(), at.prev(), at.prev()]).toEqual([30, 20, 10, undefined]);
    expect(where()).toEqual([10, 14, 'underflow']);
    expect([at.next(), at.next(24)]).toEqual([10, 20]);
    expect(at.next(29)).toBeUndefined();
    expect(at.next()).toBe(30);
  });

  test('turns round in a gap', () => {
    const { at } = make(5);
    expect(at.prev()).toBeUndefined();
    expect(at.next()).toBe(10);
    at.set(40);
    expect(at.next()).toBeUndefined();
    expect(at.prev()).toBe(30);
  });

  test('goes on after what another has stored meanwhile', () => {
    const { tree, at } = make(10);
    expect(at.find()).toBe(10);
    tree.store(16, 16);
    tree.erase(20);
    expect([at.find(), at.find(), at.find()]).toEqual([16, 30, undefined]);
    tree.store(LAST, 1);
    expect(at.next()).toBe(1);
    expect(at.next()).toBeUndefined();
  });
});

test('stores and erases where it is', () => {
  const { tree, at, where } = make(12, 22);
  at.store(7);
  expect(where()).toEqual([12, 22, 'active']);
  expect([...tree].map(({ first, last }) => [first, last])).toEqual([
    [10, 11],
    [12, 22],
    [23, 24],
    [30, 34],
  ]);
  expect(at.next()).toBe(20);
  at.set(15);
  expect(at.erase()).toBe(7);
  expect(where()).toEqual([12, 22, 'active']);
  expect(at.erase()).toBeUndefined();
  expect(tree.load(12)).toBeUndefined();
  expect(at.next()).toBe(20);
});

test('an empty area, to store in', () => {
  const { tree, at, where } = make();
  expect(at.emptyArea(11, 100, 6)).toBe(true);
  expect(where()).toEqual([35, 40, 'start']);
  at.store(1);
  expect(tree.load(40)).toBe(1);
  expect(at.emptyAreaRev(0, 34, 5)).toBe(true);
  expect(where()).toEqual([25, 29, 'start']);
  expect(at.emptyArea(10, 34, 6)).toBe(false);
  expect(where()).toEqual([25, 29, 'start']);
});

test('bad input', () => {
  const { tree } = make();
  expect(thrown(() => new MapleState({} as never)).message).toMatch(/place in a MapleTree, received an object/);
  expect(thrown(() => new MapleState(tree, -1)).message).toMatch(/received -1/);
  expect(thrown(() => new MapleState(tree, 5, 4)).message).toMatch(/from 5 to 4/);
});
