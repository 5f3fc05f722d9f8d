import { expect, test } from 'vitest';
import {
  Arena,
  McsLock,
  Mutex,
  PercpuRwSemaphore,
  PthreadCond,
  PthreadMutex,
  PthreadRwlock,
  Rcu,
  RtMutex,
  RwLock,
  RwSemaphore,
  SeqLock,
  SpinLock,
  Srcu,
  TicketLock,
  WwClass,
  WwMutex,
} from '../../lib/index.ts';
import type { LockObserver, ObservedLock, WaitForm } from '../../lib/sched/watch.ts';
import { stepper } from '../support/stepper.ts';

/** Writes down what it hears, a word each: `wants`, `has`, `took`, `gave`, `shares`, `notHeld`. */
class Listener implements LockObserver {
  readonly heard: string[] = [];
  /** Tasks that hold what was wanted or taken. */
  readonly holders: number[] = [];
  readonly #main: number;

  constructor(main: number) {
    this.#main = main;
  }

  wants(lock: ObservedLock, form: WaitForm) {
    this.heard.push(`wants${shown(form)}`);
    return { lock };
  }

  has(wanted: object | undefined, task: number) {
    expect(wanted).toBeDefined();
    this.holders.push(task);
    this.heard.push('has');
  }

  took(_lock: ObservedLock, form: WaitForm, task: number) {
    this.holders.push(task);
    this.heard.push(`took${shown(form)}`);
  }

  gave(_lock: ObservedLock, task: number) {
    expect(this.holders).toContain(task);
    this.holders.splice(this.holders.lastIndexOf(task), 1);
    this.heard.push(task === this.#main ? 'gave' : 'gave it for a task');
  }

  shares() {
    this.heard.push('shares');
  }

  notHeld() {
    this.heard.push('not held');
  }
}

const shown = ({ shared, async }: WaitForm) => `${async ? ' async' : ''}${shared ? ' shared' : ''}`;

interface Row {
  readonly name: string;
  readonly run: (arena: Arena) => unknown;
  readonly hears: string;
}

const SYNC = 'wants, has, gave';
const TRY = 'took, gave';
const SHARED = 'wants shared, has, gave';
const TRY_SHARED = 'took shared, gave';
const ASYNC = 'wants async, has, gave it for a task';
const ASYNC_SHARED = 'wants async shared, has, gave it for a task';

type Exclusive = Pick<SpinLock, 'lock' | 'tryLock' | 'unlock' | 'acquire' | 'runExclusive'>;

/** What all locks of one owner do. */
function exclusive(name: string, open: (arena: Arena) => Exclusive): Row[] {
  return [
    { name: `${name}: lock, unlock`, run: (arena) => pair(open(arena)), hears: SYNC },
    { name: `${name}: tryLock, unlock`, run: (arena) => tryPair(open(arena)), hears: TRY },
    { name: `${name}: acquire`, run: (arena) => open(arena).acquire().release(), hears: SYNC },
    { name: `${name}: runExclusive`, run: (arena) => open(arena).runExclusive(() => {}), hears: SYNC },
    {
      name: `${name}: unlock by who does not hold it`,
      run: (arena) => thrown(() => open(arena).unlock()),
      hears: 'not held',
    },
    {
      name: `${name}: tryLock in vain`,
      run(arena) {
        const lock = open(arena);
        lock.lock();
        lock.tryLock();
        lock.unlock();
      },
      hears: SYNC,
    },
  ];
}

function sleeping(name: string, open: (arena: Arena) => Mutex | RtMutex | PthreadMutex): Row[] {
  return [
    ...exclusive(name, open),
    { name: `${name}: lock with options`, run: (arena) => pair(open(arena), { timeout: 1000 }), hears: SYNC },
    {
      name: `${name}: lockAsync, unlock`,
      async run(arena) {
        const lock = open(arena);
        await lock.lockAsync();
        lock.unlock();
      },
      hears: ASYNC,
    },
    { name: `${name}: acquireAsync`, run: async (arena) => (await open(arena).acquireAsync()).release(), hears: ASYNC },
    { name: `${name}: runExclusiveAsync`, run: (arena) => open(arena).runExclusiveAsync(() => {}), hears: ASYNC },
    {
      name: `${name}: acquireAsync that waits`,
      async run(arena) {
        const lock = open(arena);
        lock.lock();
        const second = lock.acquireAsync();
        lock.unlock();
        (await second).release();
      },
      hears: `wants, has, wants async, gave, has, gave it for a task`,
    },
    {
      name: `${name}: a call that is not in time`,
      async run(arena) {
        const lock = open(arena);
        lock.lock();
        await lock.acquireAsync({ timeout: 1 }).catch(() => {});
        lock.unlock();
      },
      hears: 'wants, has, wants async, gave',
    },
  ];
}

function semaphores(name: string, open: (arena: Arena) => RwSemaphore | PercpuRwSemaphore): Row[] {
  const calls = (way: 'Read' | 'Write', lock: RwSemaphore | PercpuRwSemaphore) => ({
    down: () => (way === 'Read' ? lock.downRead() : lock.downWrite()),
    tryDown: () => (way === 'Read' ? lock.tryDownRead() : lock.tryDownWrite()),
    up: () => (way === 'Read' ? lock.upRead() : lock.upWrite()),
    acquire: () => (way === 'Read' ? lock.acquireRead() : lock.acquireWrite()),
    acquireAsync: () => (way === 'Read' ? lock.acquireReadAsync() : lock.acquireWriteAsync()),
    downAsync: () => (way === 'Read' ? lock.downReadAsync() : lock.downWriteAsync()),
  });
  return (['Read', 'Write'] as const).flatMap((way): Row[] => {
    const isShared = way === 'Read';
    return [
      {
        name: `${name}: down${way}, up${way}`,
        run(arena) {
          const lock = calls(way, open(arena));
          lock.down();
          lock.up();
        },
        hears: isShared ? SHARED : SYNC,
      },
      {
        name: `${name}: tryDown${way}, up${way}`,
        run(arena) {
          const lock = calls(way, open(arena));
          expect(lock.tryDown()).toBe(true);
          lock.up();
        },
        hears: isShared ? TRY_SHARED : TRY,
      },
      {
        name: `${name}: acquire${way}`,
        run: (arena) => calls(way, open(arena)).acquire().release(),
        hears: isShared ? SHARED : SYNC,
      },
      {
        name: `${name}: acquire${way}Async`,
        run: async (arena) => (await calls(way, open(arena)).acquireAsync()).release(),
        hears: isShared ? ASYNC_SHARED : ASYNC,
      },
      {
        name: `${name}: down${way}Async, up${way}`,
        async run(arena) {
          const lock = calls(way, open(arena));
          await lock.downAsync();
          lock.up();
        },
        hears: isShared ? ASYNC_SHARED : ASYNC,
      },
      {
        name: `${name}: up${way} by who does not hold it`,
        run: (arena) => thrown(() => calls(way, open(arena)).up()),
        hears: 'not held',
      },
    ];
  });
}

const ROWS: Row[] = [
  ...exclusive('SpinLock', (arena) => new SpinLock(arena, 'l')),
  ...exclusive('TicketLock', (arena) => new TicketLock(arena, 'l')),
  ...exclusive('McsLock', (arena) => new McsLock(arena, 'l')),
  ...exclusive('SeqLock', (arena) => new SeqLock(arena, 'l')),
  ...sleeping('Mutex', (arena) => new Mutex(arena, 'l')),
  ...sleeping('RtMutex', (arena) => new RtMutex(arena, 'l')),
  ...sleeping('PthreadMutex', (arena) => new PthreadMutex(arena, 'l')),
  ...sleeping('PthreadMutex that inherits', (arena) => new PthreadMutex(arena, 'l', { protocol: 'inherit' })),
  ...sleeping(
    'PthreadMutex that protects',
    (arena) => new PthreadMutex(arena, 'l', { protocol: 'protect', prioceiling: -5 }),
  ),
  ...semaphores('RwSemaphore', (arena) => new RwSemaphore(arena, 'l')),
  ...semaphores('PercpuRwSemaphore', (arena) => new PercpuRwSemaphore(arena, 'l')),
  {
    name: 'PthreadMutex: a recursive one counts once',
    run(arena) {
      const lock = new PthreadMutex(arena, 'l', { type: 'recursive' });
      lock.lock();
      lock.lock();
      lock.tryLock();
      for (let i = 0; i < 3; i++) lock.unlock();
    },
    hears: SYNC,
  },
  {
    name: 'PthreadCond: wait gives the mutex back and takes it again',
    run(arena) {
      const lock = new PthreadMutex(arena, 'l');
      lock.lock();
      thrown(() => new PthreadCond(arena, 'c').wait(lock, { timeout: 0 }));
      lock.unlock();
    },
    hears: `${SYNC}, ${SYNC}`,
  },
  {
    name: 'RwSemaphore: readers that have met others',
    run(arena) {
      const lock = new RwSemaphore(arena, 'l');
      arena.thread.observer?.notHeld(lock);
      lock.downRead();
      void lock.acquireReadAsync().then((held) => held.release());
      lock.downRead();
      lock.upRead();
      lock.upRead();
      lock.downRead();
      lock.upRead();
      return Promise.resolve();
    },
    hears: `not held, wants shared, has, wants async shared, has, wants shared, has, gave, gave, ${SHARED}, gave it for a task`,
  },
  {
    name: 'RwSemaphore: downgradeWrite',
    run(arena) {
      const lock = new RwSemaphore(arena, 'l');
      lock.downWrite();
      lock.downgradeWrite();
      lock.upRead();
      const held = lock.acquireWrite();
      held.downgrade();
      held.release();
    },
    hears: 'wants, has, shares, gave, wants, has, shares, gave',
  },
  {
    name: 'RwLock: for reading',
    run(arena) {
      const lock = new RwLock(arena, 'l');
      lock.readLock();
      lock.readUnlock();
      lock.tryReadLock();
      lock.readUnlock();
      lock.acquireRead().release();
      thrown(() => lock.readUnlock());
    },
    hears: `${SHARED}, ${TRY_SHARED}, ${SHARED}, not held`,
  },
  {
    name: 'RwLock: for writing',
    run(arena) {
      const lock = new RwLock(arena, 'l');
      lock.writeLock();
      lock.writeUnlock();
      lock.tryWriteLock();
      lock.writeUnlock();
      lock.acquireWrite().release();
      thrown(() => lock.writeUnlock());
    },
    hears: `${SYNC}, ${TRY}, ${SYNC}, not held`,
  },
  {
    name: 'PthreadRwlock',
    async run(arena) {
      const lock = new PthreadRwlock(arena, 'l');
      lock.readLock();
      lock.unlock();
      lock.writeLock();
      lock.unlock();
      lock.tryReadLock();
      lock.unlock();
      lock.tryWriteLock();
      lock.unlock();
      (await lock.acquireReadAsync()).release();
      (await lock.acquireWriteAsync()).release();
      thrown(() => lock.unlock());
    },
    hears: `${SHARED}, ${SYNC}, ${TRY_SHARED}, ${TRY}, ${ASYNC_SHARED}, ${ASYNC}, not held`,
  },
  {
    name: 'Rcu: nested readers count once',
    run(arena) {
      const rcu = new Rcu(arena);
      for (let i = 0; i < 2; i++) {
        rcu.readLock();
        rcu.readLock();
        rcu.readUnlock();
        rcu.readUnlock();
      }
      expect(rcu.readLockHeld).toBe(false);
      thrown(() => rcu.readUnlock());
    },
    hears: `${SHARED}, ${SHARED}, not held`,
  },
  {
    name: 'Rcu: guards, and whoever waits for readers',
    run(arena) {
      const rcu = new Rcu(arena);
      const [one, other] = [rcu.read(), rcu.read()];
      one.release();
      other.release();
      rcu.synchronize();
    },
    hears: 'wants async shared, has, wants async shared, has, gave it for a task, gave it for a task, wants',
  },
  {
    name: 'Srcu',
    async run(arena) {
      const srcu = new Srcu(arena, 'l');
      srcu.readUnlock(srcu.readLock());
      srcu.read().release();
      await srcu.synchronizeAsync();
      thrown(() => srcu.readUnlock(0));
    },
    hears: `${ASYNC_SHARED}, ${ASYNC_SHARED}, wants async, not held`,
  },
  {
    name: 'SeqLock: write, writeAsync',
    async run(arena) {
      const lock = new SeqLock(arena, 'l');
      const words = arena.alloc(1);
      lock.write(words, [1]);
      await lock.writeAsync(words, [2]);
    },
    hears: `${SYNC}, ${ASYNC}`,
  },
  {
    name: 'WwMutex: with a context and without',
    async run(arena) {
      const wwClass = new WwClass(arena, 'w');
      const mutex = new WwMutex(wwClass, 'l');
      mutex.lock();
      mutex.unlock();
      mutex.tryLock();
      mutex.unlock();
      const context = wwClass.begin();
      mutex.lock(context);
      context.release();
      const other = wwClass.beginAsync();
      await mutex.lockAsync(other);
      other.release();
      thrown(() => mutex.unlock());
    },
    hears: `${SYNC}, ${TRY}, ${SYNC}, ${ASYNC}, not held`,
  },
];

test.each(ROWS)('$name: the observer of the thread misses a lock', async ({ run, hears }) => {
  const arena = Arena.create({ bytes: 1 << 20 });
  const listener = new Listener(arena.thread.self);
  arena.thread.observe(listener);
  await run(arena);
  // A guard that an asynchronous call of the row releases.
  await new Promise(setImmediate);
  expect(listener.heard.join(', ')).toBe(hears);
  expect(listener.holders).toEqual([]);
  arena.thread.observe(undefined);
  listener.heard.length = 0;
  await run(arena);
  expect(listener.heard).toEqual([]);
});

test.each([TicketLock, McsLock])(
  '%o that is had once more after it was destroyed was neither taken nor given back',
  (Lock) => {
    const { arenas } = stepper(2);
    const [first, second] = arenas as [Arena, Arena];
    const own = new Lock(first, 'x');
    const theirs = new Lock(second, 'x');
    own.destroy();
    const listener = new Listener(second.thread.self);
    second.thread.observe(listener);
    for (const call of [() => theirs.tryLock(), () => theirs.lock()]) expect(call).toThrow(/^EINVAL: .* was destroyed/);
    expect(listener.heard).toEqual(['wants']);
    second.thread.observe(undefined);
  },
);

test('a lock that is taken before anybody observes the thread, or given back after, is no error', () => {
  const arena = Arena.create({ bytes: 1 << 20 });
  const [early, late] = [new Mutex(arena, 'early'), new SpinLock(arena, 'late')];
  const rcu = new Rcu(arena);
  early.lock();
  rcu.readLock();
  const heard: string[] = [];
  const silent = new Listener(arena.thread.self);
  arena.thread.observe(
    Object.assign(Object.create(silent) as Listener, {
      gave: () => heard.push('gave'),
      notHeld: () => heard.push('not held'),
    }),
  );
  early.unlock();
  rcu.readUnlock();
  late.lock();
  rcu.readLock();
  arena.thread.observe(undefined);
  late.unlock();
  rcu.readUnlock();
  // The mutex and the reader from before; it knows neither.
  expect(heard).toEqual(['gave', 'gave']);
  expect([early.isLocked, late.isLocked, rcu.readLockHeld]).toEqual([false, false, false]);
});

function pair(lock: Exclusive, options?: { timeout: number }): void {
  (lock as Mutex).lock(options);
  lock.unlock();
}

function tryPair(lock: Exclusive): void {
  expect(lock.tryLock()).toBe(true);
  lock.unlock();
}

function thrown(call: () => void): void {
  expect(call).toThrow();
}
