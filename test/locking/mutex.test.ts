import { inspect } from 'node:util';
import { expect, test } from 'vitest';
import { Arena, Mutex } from '../../lib/index.ts';
import { inThread, thrown, until } from '../support/threads.ts';

const THREADS = new URL('./mutex.threads.ts', import.meta.url).href;

function setup() {
  const arena = Arena.create({ bytes: 512 << 10, maxThreads: 12 });
  const mutex = new Mutex(arena, 'm');
  const stage = arena.alloc(4);
  arena.words.fill(0, stage, stage + 4);
  return { arena, mutex, stage };
}

/** A turn of the event loop, so that what is due runs. */
const turn = () => new Promise((resolve) => setImmediate(resolve));

test('two owners at once, sync and async mixed over threads', async () => {
  const { arena, stage } = setup();
  const threads = Array.from({ length: 4 }, () => inThread<number>(arena, THREADS, 'count', 'm', stage, 3000));
  for (const { result } of threads) expect(await result).toBe(0);
  expect(arena.words[stage]).toBe(12_000);
});

test('a lock that its own thread takes twice', async () => {
  const { arena, mutex } = setup();
  mutex.lock();
  expect(mutex.tryLock()).toBe(false);
  expect(thrown(() => mutex.lock()).code).toBe('EDEADLK');
  expect(thrown(() => new Mutex(arena, 'm').acquire({ timeout: 1000 })).code).toBe('EDEADLK');
  mutex.unlock();
  const held = await mutex.acquireAsync();
  expect(thrown(() => mutex.lock()).code).toBe('EDEADLK');
  held.release();
  mutex.lock();
  mutex.unlock();
});

test('unlock by who does not hold it', async () => {
  const { arena, mutex } = setup();
  expect(thrown(() => mutex.unlock()).message).toContain('free');
  mutex.lock();
  expect(await inThread(arena, THREADS, 'unlockElsewhere', 'm').result).toBe('EPERM');
  mutex.unlock();
  expect(thrown(() => mutex.unlock()).code).toBe('EPERM');
  const guard = mutex.acquire();
  guard.release();
  expect(thrown(() => guard.release()).code).toBe('EPERM');
  const held = await mutex.acquireAsync();
  expect(thrown(() => mutex.unlock()).code).toBe('EPERM');
  held.release();
  expect(thrown(() => held.release()).code).toBe('EPERM');
  await mutex.lockAsync();
  mutex.unlock();
  expect(mutex.isLocked).toBe(false);
  expect(arena.thread.tasksInUse).toBe(0);
});

test('a scope that ends without unlocking', async () => {
  const { mutex } = setup();
  {
    using held = mutex.acquire();
    expect(held.ownerDied).toBe(false);
    expect(mutex.owner).toEqual({ thread: 0, async: false });
  }
  expect(mutex.isLocked).toBe(false);
  const failing = async () => {
    using _held = await mutex.acquireAsync();
    expect(mutex.owner).toEqual({ thread: 0, async: true });
    throw new Error('inside');
  };
  await expect(failing()).rejects.toThrow('inside');
  expect(mutex.isLocked).toBe(false);
});

test('async waiters served out of order', async () => {
  const { mutex } = setup();
  mutex.lock();
  const order: number[] = [];
  const waiters = Array.from({ length: 20 }, async (_, i) => {
    using _held = await mutex.acquireAsync();
    order.push(i);
    await turn();
  });
  await turn();
  mutex.unlock();
  await Promise.all(waiters);
  expect(order).toEqual(Array.from({ length: 20 }, (_, i) => i));
});

test('a timeout that waits on, or takes the lock with it', async () => {
  const { arena, mutex, stage } = setup();
  const holder = inThread(arena, THREADS, 'hold', 'm', stage);
  await until(arena, stage, 1);
  for (const timeout of [0, 5]) {
    expect(thrown(() => mutex.lock({ timeout }))).toMatchObject({
      code: 'ETIMEDOUT',
      message: expect.stringContaining('held by thread 1'),
    });
    await expect(mutex.acquireAsync({ timeout })).rejects.toMatchObject({ code: 'ETIMEDOUT' });
  }
  Atomics.store(arena.words, stage, 2);
  Atomics.notify(arena.words, stage);
  await holder.result;
  mutex.lock({ timeout: 10_000 });
  mutex.unlock();
  expect(mutex.isContended).toBe(false);
  expect(arena.thread.tasksInUse).toBe(0);
});

test('an abort that loses the wake-up of the waiter behind', async () => {
  const { mutex, arena } = setup();
  mutex.lock();
  const controller = new AbortController();
  const aborted = mutex.acquireAsync({ signal: controller.signal });
  const behind = mutex.acquireAsync();
  await turn();
  const reason = new Error('enough');
  mutex.unlock();
  controller.abort(reason);
  const first = await aborted.catch((error) => error);
  if (first === reason) expect((await behind).ownerDied).toBe(false);
  else first.release();
  (await behind).release();
  expect(mutex.isLocked).toBe(false);
  const already = AbortSignal.abort('too late');
  await expect(mutex.acquireAsync({ signal: already })).rejects.toBe('too late');
  expect(arena.thread.tasksInUse).toBe(0);
});

test('aborted waiters that stay in the queue', async () => {
  const { mutex, arena } = setup();
  mutex.lock();
  const controller = new AbortController();
  const waiters = Array.from({ length: 50 }, () => mutex.acquireAsync({ signal: controller.signal }));
  await turn();
  controller.abort();
  for (const waiter of waiters) await expect(waiter).rejects.toThrow('aborted');
  mutex.unlock();
  expect(mutex.isContended).toBe(false);
  expect(arena.thread.tasksInUse).toBe(0);
});

test('options that mean nothing', async () => {
  const { mutex, arena } = setup();
  const before = [...arena.words];
  for (const timeout of [-1, Number.NaN, Number.POSITIVE_INFINITY, '5' as never, null as never]) {
    expect(thrown(() => mutex.lock({ timeout })).code).toBe('EINVAL');
    expect(thrown(() => mutex.acquire({ timeout })).code).toBe('EINVAL');
    await expect(mutex.lockAsync({ timeout })).rejects.toMatchObject({ code: 'EINVAL' });
    await expect(mutex.acquireAsync({ timeout })).rejects.toMatchObject({ code: 'EINVAL' });
  }
  expect(thrown(() => mutex.lock(10 as never)).message).toContain('{ timeout: 50 }, received 10');
  await expect(mutex.acquireAsync({ signal: {} as never })).rejects.toMatchObject({ code: 'EINVAL' });
  expect([...arena.words]).toEqual(before);
});

test('a thread that waits for what was handed to its own async task', async () => {
  const { arena, mutex, stage } = setup();
  const holder = inThread(arena, THREADS, 'hold', 'm', stage);
  await until(arena, stage, 1);
  const order: string[] = [];
  const waiting = mutex.acquireAsync().then((held) => {
    order.push('async');
    held.release();
  });
  await turn();
  // The event loop stands still from here: the async waiter in front cannot run.
  setTimeout(() => {}, 0);
  Atomics.store(arena.words, stage, 2);
  Atomics.notify(arena.words, stage);
  mutex.lock();
  order.push('sync');
  mutex.unlock();
  await waiting;
  await holder.result;
  expect(order).toEqual(['sync', 'async']);
});

test('a held mutex that dies with its thread', async () => {
  const { arena, mutex, stage } = setup();
  for (const how of ['throw', 'exit', 'return'] as const) {
    await inThread(arena, THREADS, 'holdAndEnd', 'm', how).exited;
    const held = await mutex.acquireAsync({ timeout: 10_000 });
    expect(held.ownerDied).toBe(true);
    held.makeConsistent();
    expect(held.ownerDied).toBe(false);
    expect(thrown(() => held.makeConsistent()).code).toBe('EINVAL');
    held.release();
  }
  const holder = inThread(arena, THREADS, 'holdForEver', 'm', stage);
  await until(arena, stage, 1);
  const waiters = Array.from({ length: 3 }, () => inThread<boolean>(arena, THREADS, 'waitFor', 'm', stage + 1));
  await until(arena, stage + 1, 1);
  await holder.worker.terminate();
  const died = await Promise.all(waiters.map(({ result }) => result));
  expect(died.filter(Boolean)).toHaveLength(1);
  expect(thrown(() => mutex.makeConsistent()).code).toBe('EPERM');
});

test('a thread that blocks for ever on a dead thread that nobody can report', async () => {
  const { arena, mutex, stage } = setup();
  const holder = inThread(arena, THREADS, 'holdForEver', 'm', stage);
  await until(arena, stage, 1);
  // The exit event cannot arrive while this thread sleeps in lock().
  void holder.worker.terminate();
  mutex.lock({ timeout: 30_000 });
  expect(mutex.ownerDied).toBe(true);
  mutex.makeConsistent();
  mutex.unlock();
});

test('a mutex that is used on after nobody repaired what it protects', async () => {
  const { arena, mutex } = setup();
  await inThread(arena, THREADS, 'holdAndEnd', 'm', 'throw').exited;
  mutex.lock();
  const waiting = mutex.acquireAsync();
  await turn();
  mutex.unlock();
  await expect(waiting).rejects.toMatchObject({ code: 'ENOTRECOVERABLE' });
  for (const call of [() => mutex.lock(), () => mutex.tryLock(), () => mutex.acquire({ timeout: 5 })]) {
    expect(thrown(call).code).toBe('ENOTRECOVERABLE');
  }
  await expect(mutex.lockAsync()).rejects.toMatchObject({ code: 'ENOTRECOVERABLE' });
  expect(inspect(mutex)).toBe('Mutex(m, not recoverable)');
  mutex.destroy();
});

test('waiters that die in the queue and take the next wake-up with them', async () => {
  const { arena, mutex, stage } = setup();
  mutex.lock();
  const doomed = Array.from({ length: 3 }, () => inThread(arena, THREADS, 'waitFor', 'm', stage));
  const survivor = inThread<boolean>(arena, THREADS, 'waitFor', 'm', stage + 1);
  await until(arena, stage, 1);
  await until(arena, stage + 1, 1);
  await Promise.all(doomed.map(({ worker }) => worker.terminate()));
  mutex.unlock();
  expect(await survivor.result).toBe(false);
  expect(mutex.tryLock()).toBe(true);
  mutex.unlock();
});

test('what a person sees', () => {
  const { arena, mutex } = setup();
  expect(inspect(mutex)).toBe('Mutex(m, free)');
  mutex.lock();
  expect(inspect(mutex)).toBe('Mutex(m, held by thread 0)');
  mutex.unlock();
  expect(inspect(new Mutex(arena))).toMatch(/^Mutex\(\d+, free\)$/);
});
