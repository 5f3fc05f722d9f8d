import { expect, test } from 'vitest';
import { Arena, AtomicInt } from '../../lib/index.ts';
import { stepper } from '../support/stepper.ts';
import { thrown } from '../support/threads.ts';

const make = () => new AtomicInt(Arena.create({ bytes: 1 << 20, maxThreads: 2 }), 'n');

test('an operation returns the other value, or makes another change', () => {
  const n = make();
  expect(n.read()).toBe(0);
  n.set(5);
  expect([n.fetchAdd(2), n.addReturn(1), n.fetchSub(3), n.subReturn(1), n.read()]).toEqual([5, 8, 8, 4, 4]);
  expect([n.fetchOr(3), n.fetchAnd(6), n.fetchXor(5), n.fetchAndNot(1), n.read()]).toEqual([4, 7, 6, 3, 2]);
  expect([n.xchg(9), n.cmpxchg(1, 2), n.cmpxchg(9, 7), n.readAcquire()]).toEqual([2, 9, 9, 7]);
  expect([n.tryCmpxchg(1, 2), n.tryCmpxchg(7, 1), n.read()]).toEqual([false, true, 1]);
  expect([n.decAndTest(), n.decAndTest(), n.incAndTest(), n.incAndTest()]).toEqual([true, false, true, false]);
  expect([n.subAndTest(2), n.subAndTest(-1), n.addNegative(-1), n.addNegative(1)]).toEqual([false, true, true, false]);
  n.setRelease(0);
  expect([n.incNotZero(), n.addUnless(3, 1), n.addUnless(3, 3), n.incNotZero(), n.read()]).toEqual([
    false,
    true,
    false,
    true,
    4,
  ]);
  n.set(-1);
  expect([n.incUnlessNegative(), n.decUnlessPositive(), n.decIfPositive(), n.read()]).toEqual([false, true, -3, -2]);
  n.set(1);
  expect([n.decUnlessPositive(), n.decIfPositive(), n.decIfPositive(), n.incUnlessNegative()]).toEqual([
    false,
    0,
    -1,
    true,
  ]);
  n.set(2 ** 31 - 1);
  n.inc();
  expect(n.read()).toBe(-(2 ** 31));
  n.dec();
  expect([n.addReturn(1), n.testBit(31), n.testAndClearBit(31), n.testBit(31)]).toEqual([
    -(2 ** 31),
    true,
    true,
    false,
  ]);
  expect([n.testAndSetBit(3), n.testAndSetBit(3), n.testAndChangeBit(3), n.testAndChangeBit(3)]).toEqual([
    false,
    true,
    true,
    false,
  ]);
});

test('what is no number of 32 bits, or no bit of them', () => {
  const n = make();
  for (const call of [() => n.set(0.5), () => n.fetchAdd(2 ** 31), () => n.xchg('1' as never), () => n.testBit(32)]) {
    expect(thrown(call)).toMatchObject({ code: 'EINVAL' });
  }
  expect(n.read()).toBe(0);
});

test('an addUnless that another thread comes between adds to a value of before', () => {
  const { arenas, before } = stepper(2);
  const [mine, other] = arenas.map((arena) => new AtomicInt(arena, 'n')) as [AtomicInt, AtomicInt];
  mine.set(1);
  before(
    0,
    ({ op }) => op === 'cmpxchg',
    () => other.dec(),
  );
  expect(mine.incNotZero()).toBe(false);
  expect(mine.read()).toBe(0);
});
