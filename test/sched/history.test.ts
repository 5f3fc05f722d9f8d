/**
 * What a call costs does not grow with the calls that there were before, nor with the square of those that wait: counted in
 * operations of the processor, which depend on no clock.
 */
import { describe, expect, test } from 'vitest';
import {
  type Arena,
  type AsyncWaitOptions,
  Completion,
  Mutex,
  PercpuRwSemaphore,
  PthreadBarrier,
  PthreadMutex,
  PthreadRwlock,
  PthreadSem,
  RtMutex,
  RwSemaphore,
  Semaphore,
  WaitQueue,
} from '../../lib/index.ts';
import { stepper } from '../support/stepper.ts';
import { thrown } from '../support/threads.ts';

/** Room for 600 tasks and more. */
const WORDS = 1 << 17;

/** One thread whose operations are counted. */
function counted() {
  const { arenas, before, cancel } = stepper(1, { words: WORDS });
  const arena = arenas[0] as Arena;
  let operations = 0;
  const count = () => {
    operations++;
    return false;
  };
  return {
    arena,
    async operations(action: () => unknown): Promise<number> {
      operations = 0;
      before(0, count, () => {});
      await action();
      cancel(0);
      return operations;
    },
  };
}

const HISTORY = 500;

const ATTEMPTS: Record<string, (arena: Arena) => () => unknown> = {
  Semaphore(arena) {
    const semaphore = new Semaphore(arena, undefined, { permits: 0 });
    return () => semaphore.down({ timeout: 0 });
  },
  'RwSemaphore, writing'(arena) {
    const lock = new RwSemaphore(arena);
    lock.downRead();
    return () => lock.downWrite({ timeout: 0 });
  },
  PthreadSem(arena) {
    const semaphore = new PthreadSem(arena);
    return () => semaphore.wait({ timeout: 0 });
  },
};

test.each(Object.entries(ATTEMPTS))('%s: a wait costs more after many asynchronous ones', async (_name, make) => {
  const { arena, operations } = counted();
  const attempt = make(arena);
  const fails = () => expect(thrown(attempt).message).not.toBe('');
  const other = new Semaphore(arena, undefined, { permits: 0 });
  const waitAtOnce = async (count: number) => {
    const waits = Array.from({ length: count }, () => other.acquireAsync());
    other.up(count);
    for (const guard of await Promise.all(waits)) guard.release();
  };
  // A thread that has never waited so looks for no such task of its own.
  await waitAtOnce(1);
  fails();
  const before = await operations(fails);
  await waitAtOnce(HISTORY);
  expect(await operations(fails)).toBe(before);
});

const WAITS: Record<string, (arena: Arena) => (options: AsyncWaitOptions) => Promise<unknown>> = {
  Mutex(arena) {
    const lock = new Mutex(arena);
    lock.lock();
    return (options) => lock.lockAsync(options);
  },
  RtMutex(arena) {
    const lock = new RtMutex(arena);
    lock.lock();
    return (options) => lock.lockAsync(options);
  },
  'RwSemaphore, reading'(arena) {
    const lock = new RwSemaphore(arena);
    lock.downWrite();
    return (options) => lock.downReadAsync(options);
  },
  'RwSemaphore, writing'(arena) {
    const lock = new RwSemaphore(arena);
    lock.downWrite();
    return (options) => lock.downWriteAsync(options);
  },
  'PercpuRwSemaphore, writing'(arena) {
    const lock = new PercpuRwSemaphore(arena);
    lock.downWrite();
    return (options) => lock.downWriteAsync(options);
  },
  Semaphore(arena) {
    const semaphore = new Semaphore(arena, undefined, { permits: 0 });
    return (options) => semaphore.acquireAsync(options);
  },
  Completion(arena) {
    const completion = new Completion(arena);
    return (options) => completion.waitAsync(options);
  },
  WaitQueue(arena) {
    const queue = new WaitQueue(arena);
    return (options) => queue.waitAsync(() => false, options);
  },
  'WaitQueue, exclusive'(arena) {
    const queue = new WaitQueue(arena);
    return (options) => queue.waitAsync(() => false, { ...options, exclusive: true });
  },
  PthreadMutex(arena) {
    const lock = new PthreadMutex(arena);
    lock.lock();
    return (options) => lock.lockAsync(options);
  },
  'PthreadRwlock, reading'(arena) {
    const lock = new PthreadRwlock(arena);
    lock.writeLock();
    return (options) => lock.acquireReadAsync(options);
  },
};

/** Four times as many waits may cost so many times as much: a tree's logarithm included. A square would be 16. */
const LINEAR = 6;

describe('four times as many waits cost more than four times as much', () => {
  test.each(Object.entries(WAITS))('%s', async (_name, make) => {
    const cost = async (waits: number) => {
      const { arena, operations } = counted();
      const wait = make(arena);
      const controller = new AbortController();
      return operations(async () => {
        const calls = Array.from({ length: waits }, () => wait({ signal: controller.signal }).catch(() => {}));
        await new Promise((resolve) => setImmediate(resolve));
        controller.abort();
        await Promise.all(calls);
      });
    };
    expect((await cost(256)) / (await cost(64))).toBeLessThan(LINEAR);
  });

  test('PthreadBarrier', async () => {
    const cost = async (waits: number) => {
      const { arena, operations } = counted();
      const barrier = new PthreadBarrier(arena, undefined, { count: waits });
      return operations(() => Promise.all(Array.from({ length: waits }, () => barrier.waitAsync())));
    };
    expect((await cost(256)) / (await cost(64))).toBeLessThan(LINEAR);
  });
});

test('PthreadRwlock: each writer that gives up wakes all the others', async () => {
  const { arena, operations } = counted();
  const lock = new PthreadRwlock(arena);
  lock.readLock();
  const controllers = Array.from({ length: 20 }, () => new AbortController());
  const calls = controllers.map(({ signal }) => lock.acquireWriteAsync({ signal }).catch(() => {}));
  await new Promise((resolve) => setImmediate(resolve));
  const { parks } = arena.thread.counters;
  await operations(async () => {
    for (const controller of controllers.slice(1)) controller.abort();
    await Promise.all(calls.slice(1));
  });
  expect(arena.thread.counters.parks).toBe(parks);
  controllers[0]?.abort();
  await calls[0];
  lock.unlock();
  expect(lock.tryWriteLock()).toBe(true);
});
