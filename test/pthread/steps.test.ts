/** Races of the pthread layer, told step by step. */

import { describe, expect, test } from 'vitest';
import { Arena, Mutex, PthreadCond, PthreadMutex, PthreadRwlock } from '../../lib/index.ts';
import { Header } from '../../lib/memory/header.ts';
import { HOLDS } from '../../lib/sched/holds.ts';
import { Task } from '../../lib/sched/task.ts';
import { on, step, stepper } from '../support/stepper.ts';
import { exhaust, thrown } from '../support/threads.ts';

const PROTOCOLS = ['none', 'inherit'] as const;

const turn = () => new Promise((resolve) => setImmediate(resolve));
const codeOf = (promise: Promise<unknown>): Promise<string> =>
  promise.then(
    () => '',
    (error) => error.code,
  );

/** Runs a call that ends with ETIMEDOUT, if its thread lives on. */
function timesOut(call: () => void): void {
  try {
    call();
  } catch (error) {
    if ((error as { code?: string }).code !== 'ETIMEDOUT') throw error;
  }
}

/** Arenas of several threads, with a mutex and a condition that all of them know. */
function stage(threads: number, protocol: 'none' | 'inherit' = 'none') {
  const all = stepper(threads);
  const [first] = all.arenas as [Arena];
  const [mutex, cond] = [new PthreadMutex(first, undefined, { protocol }), new PthreadCond(first)];
  return {
    ...all,
    mutexes: all.arenas.map((arena) => PthreadMutex.from(arena, mutex.handle, { protocol })),
    conds: all.arenas.map((arena) => PthreadCond.from(arena, cond.handle)),
    taskOf: (number: number) => all.arenas[number]!.thread.self,
  };
}

for (const protocol of PROTOCOLS) {
  describe(`a guard and its waits, protocol ${protocol}`, () => {
    test('released while it is lent: somebody else loses the mutex', async () => {
      const arena = Arena.create({ bytes: 1 << 20, maxThreads: 4 });
      const [mutex, cond] = [new PthreadMutex(arena, undefined, { protocol }), new PthreadCond(arena)];
      const guard = await mutex.acquireAsync();
      const waiting = cond.waitAsync(guard);
      const other = await mutex.acquireAsync();
      expect(thrown(() => guard.release()).code).toBe('EPERM');
      expect(thrown(() => guard[Symbol.dispose]()).code).toBe('EPERM');
      expect(mutex.tryLock()).toBe(false);
      cond.signal();
      other.release();
      await waiting;
      guard.release();
      expect(mutex.isLocked).toBe(false);
      expect(arena.thread.tasksInUse).toBe(0);
    });

    test('in two waits at once', async () => {
      const arena = Arena.create({ bytes: 1 << 20, maxThreads: 4 });
      const mutex = new PthreadMutex(arena, undefined, { protocol });
      const [full, empty] = [new PthreadCond(arena), new PthreadCond(arena)];
      const guard = await mutex.acquireAsync();
      const waiting = full.waitAsync(guard);
      expect(await codeOf(empty.waitAsync(guard))).toBe('EPERM');
      full.signal();
      await waiting;
      expect(await codeOf(full.waitAsync(guard, { timeout: -1 }))).toBe('EINVAL');
      guard.release();
      expect(await codeOf(full.waitAsync(guard))).toBe('EPERM');
    });

    test('that ended without the mutex: the end of the scope frees it for everybody', async () => {
      const { mutexes, conds, arenas, die, reap } = stage(2, protocol);
      const guard = await mutexes[0]!.acquireAsync();
      const waiting = codeOf(conds[0]!.waitAsync(guard));
      mutexes[1]!.lock();
      die(1);
      reap(0);
      mutexes[0]!.lock();
      mutexes[0]!.unlock();
      conds[0]!.signal();
      expect(await waiting).toBe('ENOTRECOVERABLE');
      guard[Symbol.dispose]();
      expect(thrown(() => guard.release()).message).toBe('EPERM: this guard lost its mutex in a wait');
      expect(thrown(() => mutexes[0]!.lock()).code).toBe('ENOTRECOVERABLE');
      expect(arenas[0]!.thread.tasksInUse).toBe(0);
    });

    test("synchronous code's, in a wait that ended without the mutex: the end of the scope hides why", () => {
      const { mutexes, conds, before, die, reap } = stage(3, protocol);
      before(0, on('wait'), () => {
        mutexes[1]!.lock();
        die(1);
        reap(2);
        mutexes[2]!.lock();
        mutexes[2]!.unlock();
        conds[2]!.signal();
      });
      const earlier = mutexes[0]!.acquire();
      earlier.release();
      const scope = () => {
        using guard = mutexes[0]!.acquire();
        expect(guard.ownerDied).toBe(false);
        conds[0]!.wait(mutexes[0]!);
      };
      expect(thrown(scope).code).toBe('ENOTRECOVERABLE');
      expect(thrown(() => earlier.release()).message).toBe('EPERM: this guard was released before');
    });

    test("synchronous code's, in an asynchronous wait", async () => {
      const { mutexes, conds } = stage(1, protocol);
      const guard = mutexes[0]!.acquire();
      expect(await codeOf(conds[0]!.waitAsync(guard))).toBe('EINVAL');
      expect(mutexes[0]!.isLocked).toBe(true);
      guard.release();
    });

    test('broadcast: waiters that sleep at a mutex that has become unrecoverable', async () => {
      const { mutexes, conds, die, reap } = stage(2, protocol);
      const waiting: Promise<string>[] = [];
      for (let i = 0; i < 3; i++) waiting.push(codeOf(conds[0]!.waitAsync(await mutexes[0]!.acquireAsync())));
      mutexes[1]!.lock();
      die(1);
      reap(0);
      await turn();
      mutexes[0]!.lock();
      conds[0]!.broadcast();
      mutexes[0]!.unlock();
      expect(await Promise.all(waiting)).toEqual(Array(3).fill('ENOTRECOVERABLE'));
    });
  });
}

test('broadcast: waiters moved to another mutex than theirs, after a death in the middle of a wait', () => {
  for (let n = 1, isKilled = true; isKilled; n++) {
    const { mutexes, conds, arenas, stopBefore, killBefore, reap, taskOf } = stage(4);
    const other = new PthreadMutex(arenas[0]!);
    other.lock();
    expect(thrown(() => conds[0]!.wait(other, { timeout: 1 })).code).toBe('ETIMEDOUT');
    other.unlock();
    mutexes[1]!.lock();
    isKilled = killBefore(1, step(n), () => timesOut(() => conds[1]!.wait(mutexes[1]!, { timeout: 1 })));
    if (isKilled) reap(0);
    else mutexes[1]!.unlock();
    for (const number of [2, 3]) {
      mutexes[number]!.lock();
      if (mutexes[number]!.ownerDied) mutexes[number]!.makeConsistent();
      stopBefore(number, on('wait'), () => conds[number]!.wait(mutexes[number]!));
    }
    conds[0]!.broadcast();
    expect(arenas[0]!.cpu.load(taskOf(3) + Task.blockedOn)).toBe(mutexes[0]!.requeueWord);
  }
});

test('broadcast: waiters moved to the mutex of those who have gone meanwhile', () => {
  const all = stage(5);
  const { mutexes, conds, arenas, stopBefore, cancel, taskOf } = all;
  const other = new PthreadMutex(arenas[1]!);
  mutexes[1]!.lock();
  all.before(1, on('wait'), () => {
    // The broadcast has read the mutex, and is about to take the latches.
    all.before(0, on('cmpxchgAcquire'), () => {
      conds[4]!.signal();
      for (const number of [2, 3]) {
        const mine = PthreadMutex.from(arenas[number]!, other.handle);
        mine.lock();
        stopBefore(number, on('wait'), () => conds[number]!.wait(mine));
      }
    });
    conds[0]!.broadcast();
    expect(cancel(0)).toBe(false);
  });
  conds[1]!.wait(mutexes[1]!);
  expect(arenas[0]!.cpu.load(taskOf(3) + Task.blockedOn)).toBe(other.requeueWord);
});

test('rwlock: a reader that has no record left takes the wake-up of a writer', () => {
  for (const preference of ['readers', 'writers'] as const) {
    const { arenas } = stepper(2);
    const lock = new PthreadRwlock(arenas[0]!, undefined, { preference });
    lock.writeLock();
    for (let i = 0; i < HOLDS; i++) new PthreadRwlock(arenas[1]!).readLock();
    exhaust(arenas[1]!);
    // At once, and not after having slept: that would be `Hang`.
    const code = thrown(() => PthreadRwlock.from(arenas[1]!, lock.handle, { preference }).readLock()).code;
    expect(code).toBe('EAGAIN');
  }
});

test('rwlock: a writer that waits keeps out the readers of threads that hold other locks asynchronously', async () => {
  const { arenas, stopBefore } = stepper(3);
  const locks = arenas.map((arena) => new PthreadRwlock(arena, 'rw')) as [PthreadRwlock, PthreadRwlock, PthreadRwlock];
  await new PthreadMutex(arenas[2]!).acquireAsync();
  const elsewhere = new PthreadRwlock(arenas[2]!);
  await elsewhere.acquireReadAsync();
  locks[0].readLock();
  stopBefore(1, on('wait'), () => locks[1].writeLock());
  expect(locks[2].tryReadLock()).toBe(false);
  // Unless one of them is what the writer waits for, or a writer that waits.
  const reading = [locks[0].acquireReadAsync(), locks[2].acquireWriteAsync()];
  expect(locks[2].tryReadLock()).toBe(true);
  locks[2].unlock();
  void reading;
});

test('rwlock: a synchronous reader behind the writer that waits for an asynchronous reader of its thread', async () => {
  const { arenas, stopBefore } = stepper(3);
  const locks = arenas.map((arena) => new PthreadRwlock(arena, 'rw')) as [PthreadRwlock, PthreadRwlock, PthreadRwlock];
  const reading = await locks[2].acquireReadAsync();
  stopBefore(1, on('wait'), () => locks[1].writeLock());
  expect(locks[2].tryReadLock()).toBe(true);
  expect(locks[0].tryReadLock()).toBe(false);
  reading.release();
});

test('cond: a wait that times out ends as if it had been signalled, because another was', () => {
  const { before, stopBefore, conds, mutexes } = stage(3);
  mutexes[1]!.lock();
  stopBefore(1, on('wait'), () => conds[1]!.wait(mutexes[1]!));
  mutexes[0]!.lock();
  before(0, on('wait'), () => conds[2]!.signal());
  expect(thrown(() => conds[0]!.wait(mutexes[0]!, { timeout: 5 })).code).toBe('ETIMEDOUT');
  mutexes[0]!.unlock();
});

test('cond: a waiter that a broadcast has moved to the mutex, whose owner waits for it, ends as if its wait was aborted', () => {
  const { arenas, before, stopBefore, conds, mutexes } = stage(4);
  const others = arenas.map((arena) => new Mutex(arena, 'other'));
  mutexes[2]!.lock();
  stopBefore(2, on('wait'), () => conds[2]!.wait(mutexes[2]!));
  others[0]!.lock();
  mutexes[0]!.lock();
  // It is in the list, and is about to look for a deadlock. When it sleeps, it has found this one.
  before(0, on('cmpxchgAcquire', Header.namesLatch), () => {
    mutexes[1]!.lock();
    stopBefore(1, on('wait'), () => others[1]!.lock());
    conds[3]!.broadcast();
    before(0, on('wait'), () => mutexes[1]!.unlock());
  });
  conds[0]!.wait(mutexes[0]!, { detectDeadlock: true });
  mutexes[0]!.unlock();
});

test('cond: a mutex that inherits, whose next owner waits for the one that waits: EDEADLK, and not held', () => {
  const { arenas, before, stopBefore, conds, mutexes } = stage(3, 'inherit');
  const outer = arenas.map((arena) => new PthreadMutex(arena, 'outer', { protocol: 'inherit' }));
  outer[0]!.lock();
  mutexes[0]!.lock();
  before(0, on('wait'), () => {
    mutexes[1]!.lock();
    stopBefore(1, on('wait'), () => outer[1]!.lock());
    conds[2]!.signal();
  });
  expect(thrown(() => conds[0]!.wait(mutexes[0]!)).code).toBe('EDEADLK');
  expect(thrown(() => mutexes[0]!.unlock()).code).toBe('EPERM');
  outer[0]!.unlock();
});

test('rwlock: readers that nobody sees: who detaches, who waits, and a deadlock', () => {
  const { arenas, stopBefore } = stepper(2);
  const [one, two] = arenas.map((arena) => new PthreadRwlock(arena, 'one')) as [PthreadRwlock, PthreadRwlock];
  const [first, second] = arenas.map((arena) => new PthreadRwlock(arena, 'two')) as [PthreadRwlock, PthreadRwlock];
  one.readLock();
  expect(thrown(() => arenas[0]!.detach()).code).toBe('EBUSY');
  second.readLock();
  stopBefore(1, on('wait'), () => two.writeLock());
  expect(arenas[0]!.waits()).toMatchObject([{ thread: 1, async: false, object: 'pthread rwlock "one"', holders: [0] }]);
  expect(thrown(() => first.writeLock({ detectDeadlock: true })).code).toBe('EDEADLK');
});
