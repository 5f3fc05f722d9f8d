/** What is free is the caller's at once: `void lock.lockAsync(); lock.unlock()` in one turn, in all locks alike. */
import { expect, test } from 'vitest';
import { Arena, Mutex, PercpuRwSemaphore, PthreadMutex, RtMutex, RwSemaphore, Semaphore } from '../../lib/index.ts';

interface Case {
  take(): Promise<void>;
  release(): void;
  isFree(): boolean;
}

const mutex = (lock: Mutex | RtMutex | PthreadMutex): Case => ({
  take: () => lock.lockAsync(),
  release: () => lock.unlock(),
  isFree: () => !lock.isLocked,
});
const reader = (lock: RwSemaphore | PercpuRwSemaphore): Case => ({
  take: () => lock.downReadAsync(),
  release: () => lock.upRead(),
  isFree: () => lock.readers === 0,
});
const writer = (lock: RwSemaphore | PercpuRwSemaphore): Case => ({
  take: () => lock.downWriteAsync(),
  release: () => lock.upWrite(),
  isFree: () => lock.owner === undefined,
});

const CASES: Record<string, (arena: Arena) => Case> = {
  Mutex: (arena) => mutex(new Mutex(arena)),
  RtMutex: (arena) => mutex(new RtMutex(arena)),
  PthreadMutex: (arena) => mutex(new PthreadMutex(arena)),
  'PthreadMutex that inherits': (arena) => mutex(new PthreadMutex(arena, undefined, { protocol: 'inherit' })),
  'PthreadMutex with a ceiling': (arena) =>
    mutex(new PthreadMutex(arena, undefined, { protocol: 'protect', prioceiling: -1 })),
  'RwSemaphore, reading': (arena) => reader(new RwSemaphore(arena)),
  'RwSemaphore, writing': (arena) => writer(new RwSemaphore(arena)),
  'PercpuRwSemaphore, reading': (arena) => reader(new PercpuRwSemaphore(arena)),
  'PercpuRwSemaphore, writing': (arena) => writer(new PercpuRwSemaphore(arena)),
  Semaphore(arena) {
    const semaphore = new Semaphore(arena);
    return {
      take: () => semaphore.downAsync(),
      release: () => semaphore.up(),
      isFree: () => semaphore.permits === 1,
    };
  },
};

test.each(Object.keys(CASES))('%s: an unlock in the turn of the lockAsync that took it is EPERM', async (name) => {
  const arena = Arena.create({ bytes: 1 << 19 });
  const { take, release, isFree } = (CASES[name] as (typeof CASES)[string])(arena);
  for (let i = 0; i < 3; i++) {
    const taken = take();
    expect(isFree()).toBe(false);
    release();
    expect(isFree()).toBe(true);
    // The next acquisition may use the task of the one before, whose promise has not settled yet.
    const again = take();
    await taken;
    expect(isFree()).toBe(false);
    release();
    await again;
  }
  expect([isFree(), arena.thread.tasksInUse, arena.thread.unguarded.size]).toEqual([true, 0, 0]);
  expect(arena.fsck()).toEqual([]);
});
