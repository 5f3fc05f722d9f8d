import { inspect } from 'node:util';
import { expect, test } from 'vitest';
import { Arena, PthreadRwlock, type PthreadRwlockPreference } from '../../lib/index.ts';
import { on, stepper } from '../support/stepper.ts';
import { inThread, thrown, until } from '../support/threads.ts';

const THREADS = new URL('./pthread.threads.ts', import.meta.url).href;

function setup(preference?: PthreadRwlockPreference) {
  const arena = Arena.create({ bytes: 512 << 10, maxThreads: 8 });
  const stage = arena.alloc(16);
  arena.words.fill(0, stage, stage + 16);
  return { arena, stage, lock: new PthreadRwlock(arena, 'rw', { preference }) };
}

const turn = () => new Promise((resolve) => setImmediate(resolve));

for (const preference of ['readers', 'writers'] as const) {
  test(`a writer that is not alone, preferring ${preference}`, async () => {
    const { arena, stage } = setup(preference);
    const threads = Array.from({ length: 3 }, () =>
      inThread<number>(arena, THREADS, 'readAndWrite', 'rw', preference, stage, 1500),
    );
    for (const { result } of threads) expect(await result).toBe(0);
    expect(arena.words[stage]).toBe(4500);
  });
}

test('readers let past a writer that waits, or the other way round', async () => {
  for (const preference of ['readers', 'writers'] as const) {
    const { lock } = setup(preference);
    const order: string[] = [];
    lock.readLock();
    const writing = lock.acquireWriteAsync().then((held) => {
      order.push('writer');
      held.release();
    });
    await turn();
    const reading = lock.acquireReadAsync().then((held) => {
      order.push('reader');
      held.release();
    });
    await turn();
    // A thread that reads already may read again, whatever is preferred.
    expect(lock.tryReadLock()).toBe(true);
    lock.unlock();
    lock.unlock();
    await Promise.all([writing, reading]);
    expect(order).toEqual(preference === 'readers' ? ['reader', 'writer'] : ['writer', 'reader']);
  }
});

test('readers that have read before, let past a writer that sleeps, or out past it', () => {
  const { arenas, before: stopAt } = stepper(3);
  const [reading, writing, coming] = arenas.map((arena) => new PthreadRwlock(arena, 'rw')) as [
    PthreadRwlock,
    PthreadRwlock,
    PthreadRwlock,
  ];
  for (const lock of [reading, coming]) {
    lock.readLock();
    lock.unlock();
  }
  const seen: unknown[] = [];
  reading.readLock();
  stopAt(1, on('wait'), () => {
    expect(() => coming.readLock()).toThrow('sleeps for ever');
    seen.push(reading.readers);
    // It reads already, and is not the last to leave.
    reading.readLock();
    reading.unlock();
    seen.push(reading.readers);
    reading.unlock();
    seen.push(reading.readers, reading.isLocked);
  });
  writing.writeLock();
  expect(seen).toEqual([1, 1, 0, false]);
  expect(writing.owner?.thread).toBe(1);
  writing.unlock();
});

test('a lock that is gone, for a reader that has read before', () => {
  const { arenas } = stepper(2);
  const [reading, destroying] = arenas.map((arena) => new PthreadRwlock(arena, 'rw')) as [PthreadRwlock, PthreadRwlock];
  reading.readLock();
  reading.unlock();
  destroying.destroy();
  // The memory is still there, and the record of the last acquisition still names it: only the generation tells.
  expect(thrown(() => reading.readLock()).message).toContain('was destroyed');
});

test('a writer that died, in whose place nobody can come', () => {
  const { arenas, die, reap } = stepper(3);
  const [dying, reading] = arenas.map((arena) => new PthreadRwlock(arena, 'rw')) as [PthreadRwlock, PthreadRwlock];
  reading.readLock();
  reading.unlock();
  dying.writeLock();
  die(0);
  expect(reap(2)).toBe('done');
  reading.readLock();
  expect([reading.readers, reading.ownerDied, reading.owner]).toEqual([1, true, undefined]);
  reading.unlock();
  reading.writeLock();
  reading.makeConsistent();
  expect(reading.ownerDied).toBe(false);
  reading.unlock();
  expect(reading.isLocked).toBe(false);
});

test('a thread that waits for a writer that waits for its own asynchronous reader', async () => {
  const { lock } = setup('writers');
  const held = await lock.acquireReadAsync();
  const writing = lock.acquireWriteAsync();
  await turn();
  lock.readLock({ timeout: 30_000 });
  lock.unlock();
  held.release();
  (await writing).release();
});

test('a wake-up for an asynchronous writer whose thread sleeps, waiting to read', async () => {
  const { arena, stage, lock } = setup('writers');
  const other = inThread(arena, THREADS, 'writeUntilAsleep', stage, arena.thread.self);
  await until(arena, stage, 1);
  const writing = lock.acquireWriteAsync();
  await turn();
  lock.readLock({ timeout: 30_000 });
  lock.unlock();
  (await writing).release();
  Atomics.store(arena.words, stage + 1, 1);
  Atomics.notify(arena.words, stage + 1);
  await other.result;
});

test('a writer that gives up and leaves the readers shut out', async () => {
  const { arena, lock } = setup('writers');
  lock.readLock();
  const controller = new AbortController();
  const late = lock.acquireWriteAsync({ timeout: 10 }).catch((error) => error.code);
  const aborted = lock.acquireWriteAsync({ signal: controller.signal }).catch((error) => error);
  await turn();
  const reading = lock.acquireReadAsync();
  await turn();
  controller.abort('enough');
  expect(await aborted).toBe('enough');
  expect(await late).toBe('ETIMEDOUT');
  (await reading).release();
  lock.unlock();
  expect(inspect(lock)).toBe('PthreadRwlock(rw, free)');
  expect(arena.thread.tasksInUse).toBe(0);
});

test('a thread that waits for itself, or unlocks what it does not hold', async () => {
  const { arena, lock } = setup();
  expect(thrown(() => lock.unlock()).code).toBe('EPERM');
  lock.readLock();
  expect(thrown(() => lock.writeLock()).code).toBe('EDEADLK');
  expect(thrown(() => lock.writeLock({ timeout: 2 })).code).toBe('ETIMEDOUT');
  expect(lock.tryWriteLock()).toBe(false);
  expect(thrown(() => lock.destroy()).code).toBe('EBUSY');
  lock.unlock();
  const held = await lock.acquireWriteAsync();
  expect(thrown(() => lock.readLock()).code).toBe('EDEADLK');
  expect(lock.tryReadLock()).toBe(false);
  expect(thrown(() => lock.unlock()).code).toBe('EPERM');
  held.release();
  expect(thrown(() => held.release()).code).toBe('EPERM');
  lock.writeLock();
  lock.unlock();
  expect(thrown(() => new PthreadRwlock(arena, 'rw', { preference: 'readers' })).code).toBe('EINVAL');
  expect(thrown(() => new PthreadRwlock(arena, 'x', { preference: 'nobody' as never })).code).toBe('EINVAL');
});

test('a thread that dies inside and leaves the lock held', async () => {
  const { arena, stage, lock } = setup();
  const reader = inThread(arena, THREADS, 'holdForEver', 'read', stage);
  await until(arena, stage, 1);
  const writing = lock.acquireWriteAsync();
  await turn();
  await reader.worker.terminate();
  const held = await writing;
  expect(lock.ownerDied).toBe(false);
  held.release();
  const writer = inThread(arena, THREADS, 'holdForEver', 'write', stage);
  await until(arena, stage, 2);
  const reading = [lock.acquireReadAsync(), lock.acquireReadAsync()];
  await turn();
  await writer.worker.terminate();
  for (const each of await Promise.all(reading)) each.release();
  expect(lock.ownerDied).toBe(true);
  expect(thrown(() => lock.makeConsistent()).code).toBe('EPERM');
  lock.writeLock();
  lock.makeConsistent();
  expect(thrown(() => lock.makeConsistent()).code).toBe('EINVAL');
  lock.unlock();
  lock.destroy();
});
