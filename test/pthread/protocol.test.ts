import { describe, expect, test } from 'vitest';
import { Arena, Mutex, PthreadCond, PthreadMutex, type PthreadMutexType, RtMutex, WaitQueue } from '../../lib/index.ts';
import { Task } from '../../lib/sched/task.ts';
import { on, stepper } from '../support/stepper.ts';
import { asleep, inThread, thrown, until } from '../support/threads.ts';

const THREADS = new URL('./pthread.threads.ts', import.meta.url).href;

function setup() {
  const arena = Arena.create({ bytes: 512 << 10, maxThreads: 8 });
  const stage = arena.alloc(16);
  arena.words.fill(0, stage, stage + 16);
  return { arena, stage };
}

const turn = () => new Promise((resolve) => setImmediate(resolve));

test.each([{ protocol: 'inherit', type: 'recursive' } as const, { protocol: 'protect', prioceiling: -1 } as const])(
  'two owners at once: %o',
  async (attributes) => {
    const { arena, stage } = setup();
    const threads = Array.from({ length: 3 }, () =>
      inThread<number>(arena, THREADS, 'count', 'm', stage, 2000, attributes),
    );
    for (const { result } of threads) expect(await result).toBe(0);
    expect(arena.words[stage]).toBe(6000);
    expect(new PthreadMutex(arena, 'm', attributes).isLocked).toBe(false);
  },
);

test('attributes that do not go together', () => {
  const { arena } = setup();
  const message = (attributes: object) => thrown(() => new PthreadMutex(arena, undefined, attributes)).message;
  expect(message({ protocol: 'ceiling' })).toMatch(/^EINVAL: attributes are .* received .* protocol "ceiling"$/);
  expect(message({ protocol: 'protect' })).toMatch(
    /^EINVAL: a prioceiling goes with protocol 'protect'; received undefined/,
  );
  expect(message({ prioceiling: 3 })).toMatch(
    /^EINVAL: a prioceiling goes with protocol 'protect'; received 3 with "none"/,
  );
  expect(message({ protocol: 'protect', prioceiling: 0.5 })).toMatch(/^EINVAL: a priority is a whole number/);
  expect(message({ protocol: 'inherit', robust: false })).toMatch(/^EINVAL: .* is robust/);
  new PthreadMutex(arena, 'm', { protocol: 'inherit', type: 'errorcheck' });
  expect(thrown(() => new PthreadMutex(arena, 'm')).message).toBe(
    'EINVAL: "m" is a pthread priority-inherit errorcheck mutex, not a pthread mutex',
  );
});

describe('inherit', () => {
  const protocol = 'inherit';

  test('an owner less urgent than who waits for it', async () => {
    const { arena, stage } = setup();
    const owner = inThread<number[]>(arena, THREADS, 'priorities', 'm', stage);
    await until(arena, stage, 1);
    const mutex = new PthreadMutex(arena, 'm', { protocol });
    arena.thread.setPriority(-7);
    mutex.lock();
    mutex.unlock();
    expect(await owner.result).toEqual([-7, 5]);
  });

  test('an asynchronous waiter less urgent than its thread', async () => {
    const { arena, stage } = setup();
    const owner = inThread<number[]>(arena, THREADS, 'priorities', 'm', stage);
    await until(arena, stage, 1);
    arena.thread.setPriority(-3);
    const held = await new PthreadMutex(arena, 'm', { protocol }).acquireAsync();
    held.release();
    expect(await owner.result).toEqual([-3, 5]);
    expect(arena.thread.tasksInUse).toBe(0);
  });

  test.each<PthreadMutexType>(['normal', 'errorcheck', 'recursive'])('a second lock by its owner: %s', async (type) => {
    const { arena } = setup();
    const mutex = new PthreadMutex(arena, undefined, { protocol, type });
    mutex.lock();
    if (type === 'recursive') {
      mutex.lock();
      expect(mutex.tryLock()).toBe(true);
      mutex.unlock();
      mutex.unlock();
    } else {
      expect(thrown(() => mutex.lock()).message).toMatch(/^EDEADLK: this thread already holds the pthread/);
      expect(mutex.tryLock()).toBe(false);
    }
    expect(mutex.isLocked).toBe(true);
    expect(thrown(() => mutex.destroy()).code).toBe('EBUSY');
    mutex.unlock();
    expect(mutex.isLocked).toBe(false);
    expect(thrown(() => mutex.unlock()).code).toBe('EPERM');
    await mutex.lockAsync();
    expect(thrown(() => mutex.lock()).code).toBe('EDEADLK');
    mutex.unlock();
    mutex.destroy();
  });

  test('two threads that wait for each other', async () => {
    const { arena, stage } = setup();
    const one = inThread<string>(arena, THREADS, 'lockBoth', 'a', 'b', stage, 2);
    const other = inThread<string>(arena, THREADS, 'lockBoth', 'b', 'a', stage, 2);
    expect((await Promise.all([one.result, other.result])).sort()).toEqual(['EDEADLK', 'none']);
  });

  test('an owner that dies, and one that nobody repaired', async () => {
    const { arena, stage } = setup();
    const mutex = new PthreadMutex(arena, 'inherit', { protocol });
    const holder = inThread(arena, THREADS, 'holdForEver', 'inherit', stage);
    await until(arena, stage, 1);
    const waiting = mutex.acquireAsync();
    await turn();
    await holder.worker.terminate();
    const held = await waiting;
    expect(held.ownerDied).toBe(true);
    held.makeConsistent();
    expect(thrown(() => held.makeConsistent()).code).toBe('EINVAL');
    held.release();
    const again = inThread(arena, THREADS, 'holdForEver', 'inherit', stage);
    await until(arena, stage, 2);
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

  test('waiters of a condition that are let go out of order, or not at all', async () => {
    const { arena, stage } = setup();
    const waiters = [3, 1, 2].map((priority) => inThread(arena, THREADS, 'waitInOrder', priority, stage, stage + 1));
    await until(arena, stage, 3);
    const mutex = new PthreadMutex(arena, 'm', { protocol });
    const cond = new PthreadCond(arena, 'c');
    // A thread that has arrived holds the mutex until it waits. All of them wait for the mutex again before one gets it.
    mutex.lock();
    cond.broadcast();
    while (arena.waits().filter(({ object }) => object.includes('priority-inherit')).length < 3) await turn();
    mutex.unlock();
    await Promise.all(waiters.map(({ result }) => result));
    expect([...arena.words.slice(stage + 1, stage + 5)]).toEqual([3, 1, 2, 3]);
  });
});

describe('protect', () => {
  const protocol = 'protect';

  test('an owner less urgent than the ceiling, and one that stays so', async () => {
    const { arena } = setup();
    const low = new PthreadMutex(arena, 'low', { protocol, prioceiling: -1 });
    const high = new PthreadMutex(arena, 'high', { protocol, prioceiling: -5, type: 'recursive' });
    low.lock();
    expect(arena.thread.priority).toBe(-1);
    high.lock();
    high.lock();
    expect(arena.thread.priority).toBe(-5);
    high.unlock();
    expect(arena.thread.priority).toBe(-5);
    low.unlock();
    expect(arena.thread.priority).toBe(-5);
    high.unlock();
    expect(arena.thread.priority).toBe(0);
    expect(low.tryLock()).toBe(true);
    const held = await high.acquireAsync();
    expect(arena.thread.priority).toBe(-5);
    held.release();
    low.unlock();
    expect(arena.thread.priority).toBe(0);
  });

  test('a thread more urgent than the ceiling', async () => {
    const { arena } = setup();
    const mutex = new PthreadMutex(arena, 'm', { protocol, prioceiling: -1 });
    arena.thread.setPriority(-2);
    expect(thrown(() => mutex.lock()).message).toBe(
      'EINVAL: the ceiling of the pthread priority-protect mutex "m" is -1: a thread of priority -2 is more urgent',
    );
    expect(thrown(() => mutex.tryLock()).code).toBe('EINVAL');
    await expect(mutex.acquireAsync()).rejects.toThrow('EINVAL');
    expect(arena.thread.tasksInUse).toBe(0);
    expect(mutex.setPrioceiling(-2)).toBe(-1);
    expect(mutex.prioceiling).toBe(-2);
    mutex.lock();
    expect(thrown(() => mutex.setPrioceiling(-3)).code).toBe('EDEADLK');
    mutex.unlock();
    expect(thrown(() => mutex.setPrioceiling(0.5)).code).toBe('EINVAL');
    expect(thrown(() => new PthreadMutex(arena).setPrioceiling(1)).code).toBe('EINVAL');
    expect(new PthreadMutex(arena).prioceiling).toBe(undefined);
  });

  test('a new ceiling that does not count while a recursive mutex stays locked', () => {
    const { arena } = setup();
    const mutex = new PthreadMutex(arena, 'm', { protocol, prioceiling: -1, type: 'recursive' });
    mutex.lock();
    expect(mutex.setPrioceiling(-4)).toBe(-1);
    expect(arena.thread.priority).toBe(-4);
    mutex.unlock();
    expect(arena.thread.priority).toBe(0);
  });

  test('a new ceiling for a mutex whose owner has died makes it unrecoverable', () => {
    const { arenas, die, reap } = stepper(2);
    const attributes = { protocol, prioceiling: -1 } as const;
    const [first, second] = arenas.map((each) => new PthreadMutex(each, 'm', attributes)) as [
      PthreadMutex,
      PthreadMutex,
    ];
    first.lock();
    die(0);
    reap(1);
    expect(thrown(() => second.setPrioceiling(-4)).code).toBe('EOWNERDEAD');
    expect(second.prioceiling).toBe(-1);
    second.makeConsistent();
    second.unlock();
    expect(second.setPrioceiling(-4)).toBe(-1);
    second.lock();
    second.unlock();
  });

  test('a wait for a condition that keeps the priority, or does not get it back', async () => {
    const { arena } = setup();
    const mutex = new PthreadMutex(arena, undefined, { protocol, prioceiling: -1 });
    const cond = new PthreadCond(arena);
    mutex.lock();
    expect(thrown(() => cond.wait(mutex, { timeout: 1 })).code).toBe('ETIMEDOUT');
    expect(arena.thread.priority).toBe(-1);
    mutex.unlock();
    const held = await mutex.acquireAsync();
    const waiting = cond.waitAsync(held);
    expect(arena.thread.priority).toBe(0);
    cond.signal();
    await waiting;
    expect(arena.thread.priority).toBe(-1);
    held.release();
    expect(arena.thread.priority).toBe(0);
  });

  test('a thread that waits for a condition stands in line with the ceiling of the mutex that it has given back', () => {
    const { arenas, real, before: stopAt } = stepper(1);
    const [arena] = arenas as [Arena];
    const mutex = new PthreadMutex(arena, 'm', { protocol, prioceiling: -1 });
    const cond = new PthreadCond(arena, 'c');
    const priorities: number[] = [];
    stopAt(0, on('wait'), () => {
      priorities.push(real.load(arena.thread.self + Task.priority));
      cond.signal();
    });
    mutex.lock();
    cond.wait(mutex);
    expect(priorities).toEqual([0]);
    expect(arena.thread.priority).toBe(-1);
    mutex.unlock();
    expect(arena.thread.priority).toBe(0);
  });

  test('a condition that locks while its thread stands in line, with the ceiling or without', () => {
    const { arenas, real, before: stopAt } = stepper(1);
    const [arena] = arenas as [Arena];
    const mutex = new PthreadMutex(arena, 'm', { protocol, prioceiling: -1 });
    const queue = new WaitQueue(arena, 'q');
    const priorities: number[] = [];
    const look = () => priorities.push(real.load(arena.thread.self + Task.priority));
    stopAt(0, on('wait'), () => queue.wake());
    queue.wait(() => {
      if (real.load(arena.thread.self + Task.list) === 0) return false;
      mutex.lock();
      look();
      mutex.unlock();
      return look() > 2;
    });
    expect(priorities).toEqual([-1, 0, -1, 0]);
  });

  test('a thread goes for a lock with less than its ceiling, or with one of a mutex that it has no more', () => {
    for (const isHeld of [true, false]) {
      const { arenas, before: stopAt } = stepper(3);
      const [holder, waiter, urgent] = arenas as [Arena, Arena, Arena];
      const [held, awaited, tried] = [holder, waiter, urgent].map((arena) => new RtMutex(arena, 'rt')) as [
        RtMutex,
        RtMutex,
        RtMutex,
      ];
      const mutex = new PthreadMutex(urgent, 'm', { protocol, prioceiling: -1 });
      mutex.lock();
      // Told to the others.
      expect(urgent.thread.priority).toBe(-1);
      mutex.unlock();
      if (isHeld) mutex.lock();
      held.lock();
      let isTaken: boolean | undefined;
      stopAt(1, on('wait'), () => {
        held.unlock();
        isTaken = tried.tryLock();
        if (isTaken) tried.unlock();
      });
      awaited.lock();
      expect(isTaken).toBe(isHeld);
      awaited.unlock();
    }
  });

  test('an owner that waits elsewhere behind those less urgent than its ceiling', async () => {
    const { arena, stage } = setup();
    const queue = new Mutex(arena, 'queue').acquire();
    const plain = [1, 2].map(() => inThread(arena, THREADS, 'passQueue', undefined, stage, stage + 1));
    await until(arena, stage, 2);
    await asleep(arena, 2);
    const urgent = inThread(arena, THREADS, 'passQueue', -4, stage, stage + 1);
    await asleep(arena, 3);
    queue.release();
    await Promise.all([...plain, urgent].map(({ result }) => result));
    expect(arena.words[stage + 2]).toBe(-4);
  });
});
