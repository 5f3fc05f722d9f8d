import { inspect } from 'node:util';
import { MessageChannel } from 'node:worker_threads';
import { describe, expect, test } from 'vitest';
import type { Arena as View } from '../../lib/arena/arena.ts';
import {
  Arena,
  type Guard,
  type LockOwner,
  McsLock,
  Mutex,
  PercpuRwSemaphore,
  PthreadMutex,
  PthreadRwlock,
  Rcu,
  RcuQsbr,
  RtMutex,
  RwLock,
  RwSemaphore,
  Semaphore,
  SeqLock,
  SpinLock,
  Srcu,
  TicketLock,
  WwClass,
  WwMutex,
} from '../../lib/index.ts';
import { stepper } from '../support/stepper.ts';
import { thrown } from '../support/threads.ts';

/** A way to get a guard, and whether what it stands for is held, by whomever. */
interface Case {
  readonly take: () => Guard | Promise<Guard>;
  readonly isHeld: () => boolean;
}

const SLEEPING = ['acquireRead', 'acquireWrite', 'acquireReadAsync', 'acquireWriteAsync'] as const;

const CASES: Record<string, (arena: Arena) => Case> = {
  'Mutex.acquire': (arena) => owned(new Mutex(arena), 'acquire'),
  'Mutex.acquireAsync': (arena) => owned(new Mutex(arena), 'acquireAsync'),
  'RtMutex.acquire': (arena) => owned(new RtMutex(arena), 'acquire'),
  'RtMutex.acquireAsync': (arena) => owned(new RtMutex(arena), 'acquireAsync'),
  'PthreadMutex.acquire': (arena) => owned(new PthreadMutex(arena), 'acquire'),
  'PthreadMutex.acquire, recursive': (arena) => owned(new PthreadMutex(arena, 'm', { type: 'recursive' }), 'acquire'),
  'PthreadMutex.acquireAsync': (arena) => owned(new PthreadMutex(arena), 'acquireAsync'),
  'SpinLock.acquire': (arena) => owned(new SpinLock(arena), 'acquire'),
  'TicketLock.acquire': (arena) => owned(new TicketLock(arena), 'acquire'),
  'McsLock.acquire': (arena) => owned(new McsLock(arena), 'acquire'),
  'SeqLock.acquire': (arena) => {
    const lock = new SeqLock(arena);
    return { take: () => lock.acquire(), isHeld: () => lock.owner !== undefined };
  },
  ...eachSide('RwLock', (arena) => {
    const lock = new RwLock(arena);
    return { lock, reads: () => lock.readers > 0 };
  }),
  ...eachSide('RwSemaphore', (arena) => {
    const lock = new RwSemaphore(arena);
    return { lock, reads: () => lock.readers > 0 };
  }),
  ...eachSide('PercpuRwSemaphore', (arena) => {
    const lock = new PercpuRwSemaphore(arena);
    return { lock, reads: () => lock.readers > 0 };
  }),
  ...eachSide('PthreadRwlock', (arena) => {
    const lock = new PthreadRwlock(arena);
    return { lock, reads: () => lock.readers > 0 };
  }),
  'Semaphore.acquire': (arena) => permits(new Semaphore(arena), 'acquire'),
  'Semaphore.acquireAsync': (arena) => permits(new Semaphore(arena), 'acquireAsync'),
  'WwClass.begin': (arena) => {
    const lock = new WwMutex(new WwClass(arena));
    const take = () => {
      const context = lock.wwClass.begin();
      lock.lock(context);
      return context;
    };
    return { take, isHeld: () => lock.isLocked };
  },
  'WwClass.beginAsync': (arena) => {
    const lock = new WwMutex(new WwClass(arena));
    const take = async () => {
      const context = lock.wwClass.beginAsync();
      await lock.lockAsync(context);
      return context;
    };
    return { take, isHeld: () => lock.isLocked };
  },
};

/** What they do when their thread has left is in rcu/meetings.test.ts: they end no other reader, and do not throw. */
const READERS: typeof CASES = {
  'Rcu.read': (arena) => readers(new Rcu(arena)),
  'RcuQsbr.read': (arena) => readers(new RcuQsbr(arena)),
  'Srcu.read': (arena) => readers(new Srcu(arena)),
};

type Side = (typeof SLEEPING)[number];
type Taker<Call extends string> = { readonly [call in Call]?: () => Guard | Promise<Guard> };
interface Sided {
  readonly lock: Taker<Side> & { readonly owner?: LockOwner | undefined };
  readonly reads: () => boolean;
}

function eachSide(name: string, open: (arena: Arena) => Sided): Record<string, (arena: Arena) => Case> {
  const calls: readonly Side[] = name === 'RwLock' ? ['acquireRead', 'acquireWrite'] : SLEEPING;
  const cases = calls.map((call): [string, (arena: Arena) => Case] => [
    `${name}.${call}`,
    (arena) => {
      const { lock, reads } = open(arena);
      return { take: () => taken(lock, call), isHeld: () => reads() || lock.owner !== undefined };
    },
  ]);
  return Object.fromEntries(cases);
}

function owned<Call extends 'acquire' | 'acquireAsync'>(
  lock: Taker<Call> & { readonly isLocked: boolean },
  call: Call,
): Case {
  return { take: () => taken(lock, call), isHeld: () => lock.isLocked };
}

function readers(domain: Rcu | RcuQsbr | Srcu): Case {
  return { take: () => domain.read(), isHeld: () => domain.readLockHeld };
}

function permits(semaphore: Semaphore, call: 'acquire' | 'acquireAsync'): Case {
  return { take: () => semaphore[call](), isHeld: () => semaphore.permits === 0 };
}

function taken<Call extends string>(lock: Taker<Call>, call: Call): Guard | Promise<Guard> {
  const take = lock[call];
  if (take === undefined) throw new Error(`no ${call}`);
  return take.call(lock);
}

describe.each(Object.entries({ ...CASES, ...READERS }))('%s', (_name, open) => {
  test('released early, then the end of the scope: an error there hides that of the scope', async () => {
    const { take, isHeld } = open(Arena.create({ bytes: 1 << 20 }));
    const guard = await take();
    guard.release();
    const next = await take();
    guard[Symbol.dispose]();
    expect(isHeld()).toBe(true);
    next[Symbol.dispose]();
    expect(isHeld()).toBe(false);
  });

  test('a second release takes away what another section has acquired since', async () => {
    const { take, isHeld } = open(Arena.create({ bytes: 1 << 20 }));
    const guard = await take();
    guard.release();
    const next = await take();
    expect(thrown(() => guard.release()).code).toBe('EPERM');
    expect(isHeld()).toBe(true);
    next.release();
    expect(isHeld()).toBe(false);
  });
});

describe.each(Object.entries(CASES))('%s', (_name, open) => {
  test('released when the thread has left: what has come to another thread in its slot', async () => {
    const arena = Arena.create({ bytes: 1 << 20 });
    const { take, isHeld } = open(arena);
    const guard = await take();
    // The next thread in the slot has the same number and tasks, so it may hold the lock with the very same word.
    arena.thread.leave();
    expect(thrown(() => guard.release()).code).toBe('EINVAL');
    expect(isHeld()).toBe(true);
  });
});

/** Locks whose `unlock` releases an asynchronous acquisition too. */
const MIXED = {
  Mutex: (arena: Arena) => mixed(new Mutex(arena)),
  RtMutex: (arena: Arena) => mixed(new RtMutex(arena)),
  PthreadMutex: (arena: Arena) => mixed(new PthreadMutex(arena)),
  'RwSemaphore, read': (arena: Arena) => reading(new RwSemaphore(arena)),
  'RwSemaphore, write': (arena: Arena) => writing(new RwSemaphore(arena)),
  'PercpuRwSemaphore, read': (arena: Arena) => reading(new PercpuRwSemaphore(arena)),
  'PercpuRwSemaphore, write': (arena: Arena) => writing(new PercpuRwSemaphore(arena)),
};

test.each(Object.entries(MIXED))("a stale guard releases another flow's acquisition: %s", async (_name, open) => {
  const lock = open(Arena.create({ bytes: 1 << 20 }));
  const guard = lock.acquire();
  lock.unlock();
  await lock.lockAsync();
  expect(thrown(() => guard.release()).code).toBe('EPERM');
  expect(lock.isHeld()).toBe(true);
  lock.unlock();
  expect(lock.isHeld()).toBe(false);
});

interface Mixed {
  acquire(): Guard;
  unlock(): void;
  lockAsync(): Promise<void>;
  isHeld(): boolean;
}

function mixed(lock: Mutex | RtMutex | PthreadMutex): Mixed {
  return {
    acquire: () => lock.acquire(),
    unlock: () => lock.unlock(),
    lockAsync: () => lock.lockAsync(),
    isHeld: () => lock.isLocked,
  };
}

function reading(lock: RwSemaphore | PercpuRwSemaphore): Mixed {
  return {
    acquire: () => lock.acquireRead(),
    unlock: () => lock.upRead(),
    lockAsync: () => lock.downReadAsync(),
    isHeld: () => lock.readers === 1,
  };
}

function writing(lock: RwSemaphore | PercpuRwSemaphore): Mixed {
  return {
    acquire: () => lock.acquireWrite(),
    unlock: () => lock.upWrite(),
    lockAsync: () => lock.downWriteAsync(),
    isHeld: () => lock.owner !== undefined,
  };
}

test.each(Object.entries({ ...CASES, ...READERS }))(
  '%s: a message that loses the guard without a word, or a text that says [object Object]',
  async (_name, open) => {
    const { port1 } = new MessageChannel();
    const guard = await open(Arena.create({ bytes: 1 << 20 })).take();
    expect(() => port1.postMessage({ guard })).toThrow('send the .handle');
    expect(String(guard)).toMatch(/^(Guard of )?\w+\(.+\)$/);
    expect(String(guard)).toBe(inspect(guard));
    expect(JSON.stringify([guard])).toBe(JSON.stringify([String(guard)]));
    guard.release();
    expect(String(guard)).toMatch(/^\w+\((released|ended)\)$/);
    port1.close();
  },
);

/** A lock that says when its owner died: held by a call of that name. */
const robust =
  (open: (arena: View) => object, take: 'lock' | 'writeLock' | 'downWrite' = 'lock') =>
  (arena: View) => {
    const lock = open(arena) as Record<string, () => void> & { readonly ownerDied: boolean };
    return { lock, take: () => lock[take]!(), makeConsistent: () => lock.makeConsistent!() };
  };

const ROBUST: Record<string, ReturnType<typeof robust>> = {
  Mutex: robust((arena) => new Mutex(arena, 'x')),
  RtMutex: robust((arena) => new RtMutex(arena, 'x')),
  WwMutex: robust((arena) => new WwMutex(new WwClass(arena, 'class'), 'x')),
  SpinLock: robust((arena) => new SpinLock(arena, 'x')),
  TicketLock: robust((arena) => new TicketLock(arena, 'x')),
  McsLock: robust((arena) => new McsLock(arena, 'x')),
  RwLock: robust((arena) => new RwLock(arena, 'x'), 'writeLock'),
  RwSemaphore: robust((arena) => new RwSemaphore(arena, 'x'), 'downWrite'),
  PercpuRwSemaphore: robust((arena) => new PercpuRwSemaphore(arena, 'x'), 'downWrite'),
  SeqLock: robust((arena) => new SeqLock(arena, 'x')),
  PthreadMutex: robust((arena) => new PthreadMutex(arena, 'x')),
  'PthreadMutex, inherit': robust((arena) => new PthreadMutex(arena, 'x', { protocol: 'inherit' })),
  PthreadRwlock: robust((arena) => new PthreadRwlock(arena, 'x'), 'writeLock'),
};

test.each(Object.entries(ROBUST))('%s: a thread vouches for what another one holds, or nobody', (_name, open) => {
  const { arenas, die, reap } = stepper(3);
  const [dead, other, holder] = (arenas as View[]).map(open);
  dead!.take();
  die(0);
  expect(reap(2)).toBe('done');
  expect(thrown(() => other!.makeConsistent()).code).toBe('EPERM');
  holder!.take();
  expect(holder!.lock.ownerDied).toBe(true);
  expect(thrown(() => other!.makeConsistent()).code).toBe('EPERM');
  expect(holder!.lock.ownerDied).toBe(true);
  holder!.makeConsistent();
  expect(holder!.lock.ownerDied).toBe(false);
});

const SPINNING = { SpinLock, TicketLock, McsLock };

test.each(Object.entries(SPINNING))('%s: makeConsistent by a thread that does not hold the lock', (_name, Kind) => {
  const lock = new Kind(Arena.create({ bytes: 1 << 20 }));
  expect(thrown(() => lock.makeConsistent()).code).toBe('EPERM');
  const guard = lock.acquire();
  guard.makeConsistent();
  guard.release();
  expect(thrown(() => guard.makeConsistent()).code).toBe('EPERM');
  expect(thrown(() => guard.ownerDied).code).toBe('EPERM');
});
