import { inspect } from 'node:util';
import { expect, test } from 'vitest';
import { Arena, PthreadMutex } from '../../lib/index.ts';
import { inThread, thrown, until } from '../support/threads.ts';

const THREADS = new URL('./pthread.threads.ts', import.meta.url).href;

function setup() {
  const arena = Arena.create({ bytes: 512 << 10, maxThreads: 8 });
  const stage = arena.alloc(16);
  arena.words.fill(0, stage, stage + 16);
  return { arena, stage };
}

const turn = () => new Promise((resolve) => setImmediate(resolve));

test('two owners at once, sync and async mixed over threads', async () => {
  const { arena, stage } = setup();
  const threads = Array.from({ length: 3 }, () => inThread<number>(arena, THREADS, 'count', 'm', stage, 3000));
  for (const { result } of threads) expect(await result).toBe(0);
  expect(arena.words[stage]).toBe(9000);
  expect(new PthreadMutex(arena, 'm').isLocked).toBe(false);
});

test('a second lock by its owner: normal, errorcheck, recursive', async () => {
  const { arena } = setup();
  const normal = new PthreadMutex(arena);
  normal.lock();
  expect(normal.tryLock()).toBe(false);
  expect(thrown(() => normal.lock({ timeout: 2 })).code).toBe('ETIMEDOUT');
  expect(thrown(() => normal.lock()).code).toBe('EDEADLK');
  normal.unlock();
  const checking = new PthreadMutex(arena, undefined, { type: 'errorcheck' });
  checking.lock();
  expect(thrown(() => checking.lock({ timeout: 10_000 })).code).toBe('EDEADLK');
  checking.unlock();
  const recursive = new PthreadMutex(arena, 'r', { type: 'recursive' });
  recursive.lock();
  recursive.lock();
  expect(recursive.tryLock()).toBe(true);
  recursive.unlock();
  recursive.unlock();
  expect(recursive.isLocked).toBe(true);
  recursive.unlock();
  expect(recursive.isLocked).toBe(false);
  expect(thrown(() => recursive.unlock()).code).toBe('EPERM');
  const held = await recursive.acquireAsync();
  expect(recursive.tryLock()).toBe(false);
  expect(thrown(() => recursive.lock()).code).toBe('EDEADLK');
  held.release();
});

test('a name opened with other attributes', () => {
  const { arena } = setup();
  new PthreadMutex(arena, 'm', { type: 'recursive' });
  expect(thrown(() => new PthreadMutex(arena, 'm'))).toMatchObject({
    code: 'EINVAL',
    message: expect.stringContaining('is a pthread recursive mutex, not a pthread mutex'),
  });
  expect(thrown(() => new PthreadMutex(arena, 'm', { type: 'fast' as never })).code).toBe('EINVAL');
  expect(thrown(() => new PthreadMutex(arena, 'm', { robust: 1 as never })).code).toBe('EINVAL');
});

test('unlock by who does not hold it', async () => {
  const { arena } = setup();
  const mutex = new PthreadMutex(arena, 'm');
  expect(thrown(() => mutex.unlock()).code).toBe('EPERM');
  mutex.lock();
  expect(await inThread(arena, THREADS, 'unlockElsewhere', 'm').result).toBe('EPERM');
  expect(thrown(() => mutex.destroy()).code).toBe('EBUSY');
  mutex.unlock();
  const held = await mutex.acquireAsync();
  expect(thrown(() => mutex.unlock()).code).toBe('EPERM');
  held.release();
  expect(thrown(() => held.release()).code).toBe('EPERM');
  await mutex.lockAsync();
  mutex.unlock();
  expect(arena.thread.tasksInUse).toBe(0);
  expect(inspect(mutex)).toBe('PthreadMutex(m, free)');
});

test('aborted or late waiters that stay in the way of those behind them', async () => {
  const { arena } = setup();
  const mutex = new PthreadMutex(arena, 'm');
  mutex.lock();
  const controller = new AbortController();
  const aborted = mutex.acquireAsync({ signal: controller.signal }).catch((error) => error);
  const late = mutex.acquireAsync({ timeout: 5 }).catch((error) => error.code);
  const behind = mutex.acquireAsync();
  await turn();
  controller.abort('enough');
  expect(await aborted).toBe('enough');
  expect(await late).toBe('ETIMEDOUT');
  mutex.unlock();
  (await behind).release();
  expect(mutex.isLocked).toBe(false);
  expect(arena.thread.tasksInUse).toBe(0);
});

test('a robust mutex that dies with its thread, and one that nobody repaired', async () => {
  const { arena, stage } = setup();
  const mutex = new PthreadMutex(arena, 'robust');
  const holder = inThread(arena, THREADS, 'holdForEver', 'robust', stage);
  await until(arena, stage, 1);
  const waiting = mutex.acquireAsync();
  await turn();
  await holder.worker.terminate();
  const held = await waiting;
  expect(held.ownerDied).toBe(true);
  held.makeConsistent();
  expect(thrown(() => held.makeConsistent()).code).toBe('EINVAL');
  held.release();
  expect(thrown(() => mutex.makeConsistent()).code).toBe('EPERM');
  const again = inThread(arena, THREADS, 'holdForEver', 'robust', stage);
  await until(arena, stage, 2);
  // The exit event cannot arrive while this thread sleeps.
  void again.worker.terminate();
  mutex.lock({ timeout: 30_000 });
  expect(mutex.ownerDied).toBe(true);
  const behind = mutex.acquireAsync().catch((error) => error.code);
  await turn();
  mutex.unlock();
  expect(await behind).toBe('ENOTRECOVERABLE');
  expect(thrown(() => mutex.lock()).code).toBe('ENOTRECOVERABLE');
  expect(thrown(() => mutex.tryLock()).code).toBe('ENOTRECOVERABLE');
  mutex.destroy();
});

test('a stalling mutex whose dead owner comes back to life as the next thread in its place', async () => {
  const { arena, stage } = setup();
  const mutex = new PthreadMutex(arena, 'stalling', { robust: false });
  const holder = inThread(arena, THREADS, 'holdForEver', 'stalling', stage);
  await until(arena, stage, 1);
  await holder.worker.terminate();
  await holder.reaped();
  expect(thrown(() => mutex.lock({ timeout: 5 })).code).toBe('ETIMEDOUT');
  expect(mutex.tryLock()).toBe(false);
  expect(inspect(mutex)).toBe('PthreadMutex(stalling, held by a dead thread)');
  mutex.destroy();
});
