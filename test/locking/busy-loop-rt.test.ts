/** An event loop that computes, and a free RtMutex that is kept for its task: other threads take it after a while. The clock is the test's. */
import { describe, expect, test } from 'vitest';
import { HoldfastError, Mutex, PthreadMutex, RtMutex, WwClass, WwMutex } from '../../lib/index.ts';
import { lockSlow } from '../../lib/locking/rt-mutex/core.ts';
import type { SlowPath, Waiter } from '../../lib/sched/slow-path.ts';
import { SLEEPING, Task } from '../../lib/sched/task.ts';
import { MOST_OF_LOOPS } from '../../lib/sched/wait-list.ts';
import { on, step, stepper } from '../support/stepper.ts';

/** Thread 0 holds the lock, thread 1 has an event loop; the synchronous calls of the others are driven by hand. */
function stage({ threads = 4, stands = true } = {}) {
  const { arenas, real, ...rest } = stepper(threads);
  const views = arenas.map((arena) => new RtMutex(arena, 'l'));
  const [holder, loop] = views as [RtMutex, RtMutex];
  holder.lock();
  /** What the clock says, ms; it stands still. */
  const clock = { now: 0 };
  if (stands) for (const { cpu } of arenas) cpu.now = () => clock.now * 1e6;
  /** A call of a thread, which is asleep when it has begun. */
  const call = (number: number, async = false) => {
    const { thread, heap } = arenas[number]!;
    const task = async ? thread.takeTask(heap) : thread.self;
    const waiter: Waiter = { thread, task, deadline: Infinity, async, aborted: false };
    const steps: SlowPath<unknown> = lockSlow(holder.address, waiter, []);
    const go = (reason: 'woken' | 'timed-out' = 'woken') => steps.next(reason);
    return { waiter, go, sleeps: () => real.load(thread.self + Task.state) === SLEEPING };
  };
  return { arenas, real, views, holder, loop, call, clock, ...rest };
}

describe('RtMutex: a free lock that is kept for a task of an event loop', () => {
  test('is taken after a while by the first thread behind it, which is woken beside it', async () => {
    const { views, holder, loop, call, clock } = stage();
    const mine = loop.acquireAsync({ priority: -1 });
    const [taker, next] = [call(2), call(3)];
    taker.go();
    next.go();
    holder.unlock();
    expect([taker.sleeps(), next.sleeps()]).toEqual([false, true]);
    expect(taker.go().done).toBe(false);
    clock.now = 0.9;
    expect(taker.go().done).toBe(false);
    expect(holder.isLocked).toBe(false);
    clock.now = 1;
    expect(taker.go().value).toBe('acquired');
    // It inherits from the task that it has passed.
    expect([holder.owner?.thread, views[2]!.arena.thread.priority]).toEqual([2, -1]);
    views[2]!.unlock();
    (await mine).release();
    expect(next.go().value).toBe('acquired');
  });

  test('makes a deadlock of a thread that waits for one that nobody wakes, behind more of its tasks than are looked past', () => {
    for (const [tasks, code] of [
      [MOST_OF_LOOPS, 'none'],
      [MOST_OF_LOOPS + 1, 'EDEADLK'],
    ] as const) {
      const { arenas, holder, loop, call, stopBefore } = stage();
      const others = arenas.map((arena) => new RtMutex(arena, 'm'));
      others[2]!.lock();
      for (let i = 0; i < tasks; i++) loop.acquireAsync().catch(() => {});
      const last = call(2);
      last.go();
      holder.unlock();
      expect(last.sleeps()).toBe(code !== 'none');
      let thrown = 'none';
      stopBefore(1, on('wait'), () => {
        try {
          others[1]!.lock();
        } catch (error) {
          if (!(error instanceof HoldfastError)) throw error;
          thrown = error.code;
        }
      });
      expect(thrown).toBe(code);
    }
  });

  test('is taken by a thread that comes later', async () => {
    const { views, holder, loop, call, clock } = stage();
    const mine = loop.acquireAsync();
    holder.unlock();
    const taker = call(2);
    expect(taker.go().done).toBe(false);
    clock.now = 1;
    expect(taker.go().value).toBe('acquired');
    views[2]!.unlock();
    (await mine).release();
  });

  test('is left to it by the tasks of other event loops', async () => {
    const { holder, loop, call, clock } = stage();
    const mine = loop.acquireAsync();
    const other = call(2, true);
    other.go();
    holder.unlock();
    other.go();
    clock.now = 5;
    expect(other.go().done).toBe(false);
    (await mine).release();
    expect(other.go().value).toBe('acquired');
  });

  test('is left to the task that comes in time', async () => {
    const { holder, loop, call, clock } = stage();
    const mine = loop.acquireAsync();
    const taker = call(2);
    taker.go();
    holder.unlock();
    taker.go();
    const held = await mine;
    clock.now = 9;
    expect(taker.go().done).toBe(false);
    expect(taker.waiter.lookAgain).toBe(undefined);
    held.release();
    expect(taker.go().value).toBe('acquired');
  });

  test('is left to it for twice the time, when it was taken from it before, and for no longer in its next call', async () => {
    const { views, holder, loop, call, clock } = stage();
    const mine = loop.acquireAsync();
    for (const [number, first, last] of [
      [2, 0.9, 1],
      [3, 2.9, 3],
    ] as const) {
      const taker = call(number);
      taker.go();
      (number === 2 ? holder : views[2]!).unlock();
      taker.go();
      clock.now = first;
      expect(taker.go().done).toBe(false);
      clock.now = last;
      expect(taker.go().value).toBe('acquired');
    }
    views[3]!.unlock();
    (await mine).release();
    holder.lock();
    const again = loop.acquireAsync();
    const taker = call(2);
    taker.go();
    holder.unlock();
    taker.go();
    clock.now = 4;
    expect(taker.go().value).toBe('acquired');
    views[2]!.unlock();
    (await again).release();
  });

  test('is left to a second task, for which the first has left it, for a time of its own', async () => {
    const { views, holder, loop, call, clock } = stage();
    const [mine, other] = [loop.acquireAsync({ priority: -2 }), loop.acquireAsync({ priority: -1 })];
    const taker = call(2);
    taker.go();
    holder.unlock();
    taker.go();
    clock.now = 0.9;
    (await mine).release();
    taker.go();
    clock.now = 1.8;
    expect(taker.go().done).toBe(false);
    clock.now = 2;
    expect(taker.go().value).toBe('acquired');
    views[2]!.unlock();
    (await other).release();
  });

  test('is looked after by the next, when one gives up, if it is not behind more than 16 tasks', () => {
    for (const tasks of [1, 16, 17]) {
      const { holder, loop, call } = stage();
      for (let n = 0; n < tasks; n++) loop.acquireAsync({ priority: -1 }).catch(() => {});
      const [taker, next] = [call(2), call(3)];
      taker.go();
      next.go();
      holder.unlock();
      expect(next.sleeps()).toBe(true);
      expect(taker.sleeps()).toBe(tasks > 16);
      if (tasks > 16) continue;
      taker.go();
      expect(taker.go('timed-out').value).toBe('timed-out');
      expect(next.sleeps()).toBe(false);
    }
  });

  test('is lost with a thread that dies as it takes it', async () => {
    for (let n = 1, dies = true; dies; n++) {
      const { views, holder, loop, call, clock, killBefore, reap } = stage();
      const mine = loop.acquireAsync();
      const [taker, next] = [call(2), call(3)];
      taker.go();
      next.go();
      holder.unlock();
      taker.go();
      clock.now = 1;
      dies = killBefore(2, step(n), () => taker.go());
      if (dies) expect(reap(0), `step ${n}`).toBe('done');
      else views[2]!.unlock();
      for (const now of [2, 4]) {
        clock.now = now;
        if (next.go().done) break;
        expect(now, `step ${n}`).toBe(2);
      }
      expect(holder.owner?.thread, `step ${n}`).toBe(3);
      if (views[3]!.ownerDied) views[3]!.makeConsistent();
      views[3]!.unlock();
      (await mine).release();
      expect(holder.isLocked).toBe(false);
    }
  });

  test('is taken from one that is dead', () => {
    for (const reaps of [false, true]) {
      const { views, holder, loop, call, clock, die, reap } = stage();
      loop.acquireAsync().catch(() => {});
      const taker = call(2);
      taker.go();
      holder.unlock();
      taker.go();
      die(1);
      if (reaps) expect(reap(3)).toBe('done');
      clock.now = 1;
      expect(taker.go().value).toBe('acquired');
      if (!reaps) expect(reap(3)).toBe('done');
      expect(holder.owner?.thread).toBe(2);
      views[2]!.unlock();
      expect(views[3]!.tryLock()).toBe(true);
    }
  });

  test('makes a deadlock of its thread, which sleeps', () => {
    const { arenas, holder, loop, views, stopBefore } = stage({ stands: false });
    const others = arenas.map((arena) => new Mutex(arena, 'n'));
    others[2]!.lock();
    loop.acquireAsync().catch(() => {});
    holder.unlock();
    expect(stopBefore(1, on('wait'), () => others[1]!.lock())).toBe(true);
    views[2]!.lock({ detectDeadlock: true });
    expect(holder.owner?.thread).toBe(2);
  });

  test('is taken for a PthreadMutex that lends priorities, too', () => {
    const { arenas } = stepper(3);
    const open = (number: number) => new PthreadMutex(arenas[number]!, 'p', { protocol: 'inherit' });
    open(0).lock();
    open(1)
      .acquireAsync()
      .catch(() => {});
    open(0).unlock();
    const taker = open(2);
    taker.lock();
    expect(taker.owner?.thread).toBe(2);
  });

  test('is taken from no acquire context', () => {
    const { arenas } = stepper(3);
    const classOf = (number: number) => new WwClass(arenas[number]!, 'c');
    const open = (number: number) => new WwMutex(classOf(number), 'w');
    open(0).lock();
    open(1)
      .lockAsync(classOf(1).beginAsync())
      .catch(() => {});
    open(0).unlock();
    expect(() => open(2).lock(undefined, { timeout: 20 })).toThrow('ETIMEDOUT');
  });
});
