/** What a program sees of who holds a lock: the same words on every lock. */
import { expect, test } from 'vitest';
import {
  Arena,
  type LockOwner,
  McsLock,
  Mutex,
  PercpuRwSemaphore,
  PthreadBarrier,
  PthreadMutex,
  PthreadRwlock,
  PthreadSem,
  RtMutex,
  RwLock,
  RwSemaphore,
  SeqLock,
  SpinLock,
  TicketLock,
  WwClass,
  WwMutex,
} from '../../lib/index.ts';
import { thrown } from '../support/threads.ts';

interface Guard {
  release(): void;
}

interface Exclusive {
  readonly owner: LockOwner | undefined;
  readonly isLocked: boolean;
  acquire?(): Guard;
  acquireAsync?(): Promise<Guard>;
}

interface Shared {
  readonly owner: LockOwner | undefined;
  readonly readers: number;
  readonly isLocked: boolean;
  acquireRead(): Guard;
  acquireWrite(): Guard;
  acquireWriteAsync?(): Promise<Guard>;
}

const EXCLUSIVE: Record<string, (arena: Arena) => Exclusive> = {
  SpinLock: (arena) => new SpinLock(arena),
  TicketLock: (arena) => new TicketLock(arena),
  McsLock: (arena) => new McsLock(arena),
  Mutex: (arena) => new Mutex(arena),
  RtMutex: (arena) => new RtMutex(arena),
  WwMutex(arena) {
    const lock = new WwMutex(new WwClass(arena));
    const acquire = () => {
      lock.lock();
      return { release: () => lock.unlock() };
    };
    return Object.assign(lock, { acquire });
  },
  SeqLock: (arena) => new SeqLock(arena),
  PthreadMutex: (arena) => new PthreadMutex(arena),
  'PthreadMutex, inherit': (arena) => new PthreadMutex(arena, undefined, { protocol: 'inherit' }),
};

const SHARED: Record<string, (arena: Arena) => Shared> = {
  RwLock: (arena) => new RwLock(arena),
  RwSemaphore: (arena) => new RwSemaphore(arena),
  PercpuRwSemaphore: (arena) => new PercpuRwSemaphore(arena),
  PthreadRwlock: (arena) => new PthreadRwlock(arena),
};

test.each(Object.keys(EXCLUSIVE))(
  '%s: a lock that is held names nobody, or one that is free a thread',
  async (name) => {
    const lock = EXCLUSIVE[name]!(Arena.create());
    expect(lock.owner).toBeUndefined();
    const held = lock.acquire?.();
    expect(lock.owner).toEqual({ thread: 0, async: false });
    expect(lock.isLocked).toBe(true);
    held?.release();
    expect(lock.owner).toBeUndefined();
    expect(lock.isLocked).toBe(false);
    const guard = await lock.acquireAsync?.();
    if (guard === undefined) return;
    expect(lock.owner).toEqual({ thread: 0, async: true });
    guard.release();
    expect(lock.owner).toBeUndefined();
  },
);

test.each(Object.keys(SHARED))('%s: a writer is counted as a reader, or a reader named as the owner', async (name) => {
  const lock = SHARED[name]!(Arena.create());
  const seen = () => [lock.owner, lock.readers, lock.isLocked];
  expect(seen()).toEqual([undefined, 0, false]);
  const reader = lock.acquireRead();
  expect(seen()).toEqual([undefined, 1, true]);
  reader.release();
  const writer = lock.acquireWrite();
  expect(seen()).toEqual([{ thread: 0, async: false }, 0, true]);
  writer.release();
  const guard = await lock.acquireWriteAsync?.();
  if (guard !== undefined) expect(seen()).toEqual([{ thread: 0, async: true }, 0, true]);
  guard?.release();
  expect(seen()).toEqual([undefined, 0, false]);
});

test('options that are none, or have a name too many, make no object', () => {
  const arena = Arena.create();
  const before = arena.heap.use().used;
  const makers = [
    (options: never) => new PthreadRwlock(arena, 'x', options),
    (options: never) => new PthreadBarrier(arena, 'x', options),
    (options: never) => new PthreadSem(arena, 'x', options),
    (options: never) => new WwClass(arena, 'x', options),
  ];
  for (const make of makers) {
    for (const options of [7, 'neither', null, { size: 1 }])
      expect(thrown(() => make(options as never)).code).toBe('EINVAL');
  }
  expect(arena.heap.use().used).toBe(before);
});

test('a preference alone stands for the options of a rwlock', () => {
  const arena = Arena.create();
  const lock = new PthreadRwlock(arena, 'a', 'readers');
  expect(new PthreadRwlock(arena, 'a', { preference: 'readers' }).address).toBe(lock.address);
  expect(thrown(() => new PthreadRwlock(arena, 'a', 'writers')).code).toBe('EINVAL');
  expect(thrown(() => new PthreadRwlock(arena, 'b', 'neither' as never)).message).toContain("'readers' or 'writers'");
});
