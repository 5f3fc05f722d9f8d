import { inspect } from 'node:util';
import { describe, expect, test } from 'vitest';
import { Arena } from '../../lib/index.ts';
import { inThread, thrown, until } from '../support/threads.ts';
import { LOCKS, type LockName } from './spinning.threads.ts';

const THREADS = new URL('./spinning.threads.ts', import.meta.url).href;

describe.each(Object.keys(LOCKS) as LockName[])('%s', (kind) => {
  function setup() {
    const arena = Arena.create({ bytes: 512 << 10, maxThreads: 8 });
    const lock = new LOCKS[kind](arena, 'lock');
    const stage = arena.alloc(4);
    arena.words.fill(0, stage, stage + 4);
    return { arena, lock, stage };
  }

  test('two threads inside at once', async () => {
    const { arena, stage } = setup();
    const times = kind === 'SpinLock' ? 20_000 : 300;
    const threads = [1, 2, 3].map(() => inThread<number>(arena, THREADS, 'count', kind, stage, times));
    for (const { result } of threads) expect(await result).toBe(0);
    expect(arena.words[stage]).toBe(3 * times);
  });

  test('relocking, and unlocking what is not held', async () => {
    const { arena, lock } = setup();
    expect(thrown(() => lock.unlock())).toMatchObject({
      code: 'EPERM',
      message: expect.stringContaining('nobody holds it'),
    });
    const held = lock.acquire();
    expect(lock.tryLock()).toBe(false);
    expect(thrown(() => lock.lock()).code).toBe('EDEADLK');
    expect(inspect(lock)).toBe(`${kind}(lock, held by thread 0)`);
    expect(await inThread(arena, THREADS, 'unlockElsewhere', kind).result).toContain('thread 0 holds it');
    expect(thrown(() => lock.destroy()).code).toBe('EBUSY');
    expect(thrown(() => arena.detach()).code).toBe('EBUSY');
    held.release();
    expect(thrown(() => held.release()).code).toBe('EPERM');
    expect(inspect(lock)).toBe(`${kind}(lock, free)`);
    {
      using _held = lock.acquire();
      expect(lock.owner).toEqual({ thread: 0, async: false });
    }
    expect(lock.isLocked).toBe(false);
  });

  test('waiters stranded behind a dead owner', async () => {
    const { arena, lock, stage } = setup();
    const holder = inThread(arena, THREADS, 'holdForEver', kind, stage);
    await until(arena, stage, 1);
    const waiters = [1, 2].map(() => inThread<boolean>(arena, THREADS, 'take', kind, stage + 1));
    await until(arena, stage + 1, 2);
    await holder.worker.terminate();
    const died = await Promise.all(waiters.map(({ result }) => result));
    expect(died.filter(Boolean)).toHaveLength(1);
    expect(lock.isLocked).toBe(false);
  });

  test('a waiter that dies in the queue and holds up those behind it', async () => {
    const { arena, lock, stage } = setup();
    lock.lock();
    const doomed = [1, 2].map(() => inThread(arena, THREADS, 'take', kind, stage));
    await until(arena, stage, 2);
    const behind = inThread<boolean>(arena, THREADS, 'take', kind, stage + 1);
    await until(arena, stage + 1, 1);
    await Promise.all(doomed.map(({ worker }) => worker.terminate()));
    lock.unlock();
    await behind.result;
    lock.lock();
    lock.unlock();
  });

  test('a holder that exits while the reaper waits to pass on the place of a dead waiter', async () => {
    const { arena, lock, stage } = setup();
    const holder = inThread(arena, THREADS, 'holdUntilExit', kind, stage);
    await until(arena, stage, 1);
    const doomed = inThread(arena, THREADS, 'take', kind, stage + 1);
    await until(arena, stage + 1, 1);
    await doomed.worker.terminate();
    const behind = inThread<boolean>(arena, THREADS, 'take', kind, stage + 1);
    await until(arena, stage + 1, 2);
    Atomics.store(arena.words, stage, 2);
    Atomics.notify(arena.words, stage);
    await holder.exited;
    expect(await behind.result).toBe(true);
    expect(lock.isLocked).toBe(false);
  });
});

test.each(['McsLock', 'TicketLock'] as const)('%s: more locks at once than a thread has nodes', (kind) => {
  const arena = Arena.create();
  const locks = Array.from({ length: 5 }, () => new LOCKS[kind](arena));
  for (const lock of locks.slice(0, 4)) lock.lock();
  expect(thrown(() => locks[4]?.lock()).code).toBe('EAGAIN');
  for (const lock of locks.slice(0, 4).reverse()) lock.unlock();
  locks[4]?.lock();
  locks[4]?.unlock();
});
