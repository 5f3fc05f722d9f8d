import { inspect } from 'node:util';
import { expect, test } from 'vitest';
import { Arena, RwLock } from '../../lib/index.ts';
import { inThread, thrown, until } from '../support/threads.ts';

const THREADS = new URL('./rw-lock.threads.ts', import.meta.url).href;

function setup(maxThreads = 8) {
  const arena = Arena.create({ bytes: 512 << 10, maxThreads });
  const lock = new RwLock(arena, 'rw');
  const stage = arena.alloc(4);
  arena.words.fill(0, stage, stage + 4);
  return { arena, lock, stage };
}

test.each([0, 1, 5])('a writer that is not alone, with %i reads for each write', async (reads) => {
  const { arena, stage } = setup();
  const threads = [1, 2, 3].map(() => inThread<number>(arena, THREADS, 'count', stage, 3000, reads));
  for (const { result } of threads) expect(await result).toBe(0);
  expect(arena.words[stage]).toBe(9000);
});

test('relocking, upgrading, and unlocking what is not held', () => {
  const { lock, arena } = setup();
  expect(thrown(() => lock.readUnlock())).toMatchObject({ code: 'EPERM', message: expect.stringContaining('free') });
  expect(thrown(() => lock.writeUnlock()).code).toBe('EPERM');
  {
    using _held = lock.acquireRead();
    expect(inspect(lock)).toBe('RwLock(rw, read by thread 0)');
    for (const call of [() => lock.readLock(), () => lock.writeLock()]) expect(thrown(call).code).toBe('EDEADLK');
    expect(lock.tryReadLock()).toBe(false);
    expect(lock.tryWriteLock()).toBe(false);
    expect(thrown(() => lock.writeUnlock()).code).toBe('EPERM');
    expect(thrown(() => lock.destroy()).code).toBe('EBUSY');
  }
  {
    using _held = lock.acquireWrite();
    expect(inspect(lock)).toBe('RwLock(rw, written by thread 0)');
    for (const call of [() => lock.readLock(), () => lock.writeLock()]) expect(thrown(call).code).toBe('EDEADLK');
    expect(lock.tryReadLock()).toBe(false);
    expect(thrown(() => lock.readUnlock()).code).toBe('EPERM');
    expect(thrown(() => arena.detach()).code).toBe('EBUSY');
  }
  expect(inspect(lock)).toBe('RwLock(rw, free)');
  lock.destroy();
});

test('readers that keep each other out', async () => {
  const { arena, lock, stage } = setup();
  const readers = [1, 2].map(() => inThread(arena, THREADS, 'holdForEver', 'read', stage));
  await until(arena, stage, 2);
  lock.readLock();
  expect(lock.readers).toBe(3);
  lock.readUnlock();
  expect(lock.tryWriteLock()).toBe(false);
  expect(lock.tryReadLock()).toBe(true);
  lock.readUnlock();
  await Promise.all(readers.map(({ worker }) => worker.terminate()));
});

test.each(['read', 'write'] as const)('a dead holder (%s) that keeps writers out', async (side) => {
  const { arena, lock, stage } = setup(70);
  const holder = inThread(arena, THREADS, 'holdForEver', side, stage);
  await until(arena, stage, 1);
  const waiters = [1, 2].map(() => inThread<boolean>(arena, THREADS, 'take', 'write', stage + 1));
  await until(arena, stage + 1, 2);
  await holder.worker.terminate();
  const died = await Promise.all(waiters.map(({ result }) => result));
  expect(died.filter(Boolean)).toHaveLength(side === 'write' ? 1 : 0);
  expect(thrown(() => lock.makeConsistent()).code).toBe('EPERM');
  lock.destroy();
});

test.each(['read', 'write'] as const)('dead waiters (%s) that hold up those behind them', async (side) => {
  const { arena, lock, stage } = setup();
  lock.writeLock();
  const doomed = [1, 2].map(() => inThread(arena, THREADS, 'take', side, stage));
  await until(arena, stage, 2);
  const behind = [1, 2].map((i) => inThread(arena, THREADS, 'take', i === 1 ? 'read' : 'write', stage + 1));
  await until(arena, stage + 1, 2);
  await Promise.all(doomed.map(({ worker }) => worker.terminate()));
  lock.writeUnlock();
  for (const { result } of behind) expect(await result).toBe(false);
  lock.writeLock();
  lock.writeUnlock();
  expect(lock.owner).toBeUndefined();
  lock.destroy();
});
