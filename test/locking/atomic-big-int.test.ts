import { expect, test, vi } from 'vitest';
import { Arena, AtomicBigInt } from '../../lib/index.ts';
import { inThread, thrown } from '../support/threads.ts';

const THREADS = new URL('./atomic-big-int.threads.ts', import.meta.url).href;
const LEAST = -(2n ** 63n);
const MOST = 2n ** 63n - 1n;

const make = () => new AtomicBigInt(Arena.create({ bytes: 1 << 20, maxThreads: 4 }), 'n');

test('an operation returns the other value, or makes another change', () => {
  const n = make();
  expect(n.read()).toBe(0n);
  n.set(5n);
  expect([n.fetchAdd(2n), n.addReturn(1n), n.fetchSub(3n), n.subReturn(1n), n.read()]).toEqual([5n, 8n, 8n, 4n, 4n]);
  expect([n.fetchOr(3n), n.fetchAnd(6n), n.fetchXor(5n), n.fetchAndNot(1n), n.read()]).toEqual([4n, 7n, 6n, 3n, 2n]);
  expect([n.xchg(9n), n.cmpxchg(1n, 2n), n.cmpxchg(9n, 7n), n.readAcquire()]).toEqual([2n, 9n, 9n, 7n]);
  expect([n.tryCmpxchg(1n, 2n), n.tryCmpxchg(7n, 1n), n.read()]).toEqual([false, true, 1n]);
  expect([n.decAndTest(), n.decAndTest(), n.incAndTest(), n.incAndTest()]).toEqual([true, false, true, false]);
  expect([n.subAndTest(2n), n.subAndTest(-1n), n.addNegative(-1n), n.addNegative(1n)]).toEqual([
    false,
    true,
    true,
    false,
  ]);
  n.setRelease(0n);
  expect([n.incNotZero(), n.addUnless(3n, 1n), n.addUnless(3n, 3n), n.incNotZero(), n.read()]).toEqual([
    false,
    true,
    false,
    true,
    4n,
  ]);
  n.set(-1n);
  expect([n.incUnlessNegative(), n.decUnlessPositive(), n.decIfPositive(), n.read()]).toEqual([false, true, -3n, -2n]);
  n.set(1n);
  expect([n.decUnlessPositive(), n.decIfPositive(), n.decIfPositive(), n.incUnlessNegative()]).toEqual([
    false,
    0n,
    -1n,
    true,
  ]);
});

test('a number that does not wrap at 64 bits, or does at 32', () => {
  const n = make();
  n.set(2n ** 32n - 1n);
  expect(n.addReturn(1n)).toBe(2n ** 32n);
  expect(n.subReturn(1n)).toBe(2n ** 32n - 1n);
  n.set(MOST);
  n.inc();
  expect(n.read()).toBe(LEAST);
  n.dec();
  expect([n.addReturn(1n), n.subReturn(1n), n.addUnless(1n, 0n), n.read()]).toEqual([LEAST, MOST, true, LEAST]);
  expect(n.decIfPositive()).toBe(MOST);
  expect([n.testBit(63), n.testAndClearBit(63), n.testBit(63), n.read()]).toEqual([true, true, false, 0n]);
  expect([n.testAndSetBit(40), n.testAndSetBit(40), n.testAndChangeBit(40), n.testAndChangeBit(63)]).toEqual([
    false,
    true,
    true,
    false,
  ]);
  expect(n.read()).toBe(LEAST);
});

test('what is no bigint of 64 bits, or no bit of them', () => {
  const n = make();
  const bad = [() => n.set(1 as never), () => n.fetchAdd(MOST + 1n), () => n.xchg('1' as never), () => n.testBit(64)];
  for (const call of bad) expect(thrown(call)).toMatchObject({ code: 'EINVAL' });
  expect(n.read()).toBe(0n);
});

test('an addUnless that another thread comes between adds to a value of before', () => {
  const n = make();
  n.set(1n);
  const { compareExchange } = Atomics;
  vi.spyOn(Atomics, 'compareExchange').mockImplementationOnce(((...args: Parameters<typeof compareExchange>) => {
    n.dec();
    return compareExchange(...args);
  }) as never);
  expect(n.incNotZero()).toBe(false);
  vi.restoreAllMocks();
  expect(n.read()).toBe(0n);
});

test('numbers beside it, in the same line and on other threads, are their own', async () => {
  const { arena } = make();
  const numbers = Array.from({ length: 4 }, (_, i) => new AtomicBigInt(arena, `n${i}`));
  for (const number of numbers) number.set(-1n);
  const threads = [1, 2].map(() => inThread<number>(arena, THREADS, 'count', 'n1'));
  expect(await Promise.all(threads.map(({ result }) => result))).toEqual([1000, 1000]);
  expect(numbers.map((number) => number.read())).toEqual([-1n, 2000n * 2n ** 31n - 1n, -1n, -1n]);
  expect(arena.fsck()).toEqual([]);
});
