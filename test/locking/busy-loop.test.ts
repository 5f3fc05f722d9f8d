/** An event loop that computes, with asynchronous acquisitions in line: what synchronous calls of other threads must not wait for. */
import { describe, expect, test } from 'vitest';
import { Arena, Mutex, PercpuRwSemaphore, SeqLock } from '../../lib/index.ts';
import { HANDOFF, lockSlow, MutexWords } from '../../lib/locking/mutex-core.ts';
import { WAITERS } from '../../lib/locking/owner-word.ts';
import { latchOf } from '../../lib/locking/percpu-rw-semaphore/core.ts';
import type { Waiter } from '../../lib/sched/slow-path.ts';
import { SLEEPING, Task } from '../../lib/sched/task.ts';
import { WaitList } from '../../lib/sched/wait-list.ts';
import { on, step, stepper } from '../support/stepper.ts';
import { asleep, inThread, thrown, until } from '../support/threads.ts';

const THREADS = new URL('./busy-loop.threads.ts', import.meta.url).href;
/** Of a test that fails. */
const LONG = 10_000;

/** The event loop does nothing until the word at `stage` is another than `seen`. */
function compute(arena: Arena, stage: number, seen: number): void {
  Atomics.notify(arena.words, stage);
  expect(Atomics.wait(arena.words, stage, seen, LONG), 'another thread waits for this loop').not.toBe('timed-out');
}

function setup() {
  const arena = Arena.create({ bytes: 1 << 20, maxThreads: 4 });
  const stage = arena.alloc(16);
  arena.words.fill(0, stage, stage + 16);
  return { arena, mutex: new Mutex(arena, 'm'), stage, second: stage + 1 };
}

test('a lock lies idle that was released while an event loop computes whose task is first in line', async () => {
  const { arena, mutex, stage, second } = setup();
  const holder = inThread(arena, THREADS, 'hold', 'm', stage);
  await until(arena, stage, 1);
  const mine = mutex.acquireAsync();
  const other = inThread(arena, THREADS, 'take', 'm', second);
  await asleep(arena, 1, mutex.address);
  Atomics.store(arena.words, stage, 2);
  Atomics.notify(arena.words, stage);
  compute(arena, second, 0);
  (await mine).release();
  await Promise.all([holder.result, other.result]);
  expect(mutex.isLocked).toBe(false);
});

test('a lock that was handed to a task lies idle until its event loop has computed', async () => {
  const { arena, mutex, stage } = setup();
  const other = inThread(arena, THREADS, 'holdThrice', 'm', stage);
  await until(arena, stage, 1);
  const mine = mutex.acquireAsync();
  await new Promise(setImmediate);
  Atomics.store(arena.words, stage, 2);
  compute(arena, stage, 2);
  // Woken in vain, the task asks for the next release.
  while (!(arena.cpu.load(mutex.address + MutexWords.owner) & HANDOFF)) await new Promise(setImmediate);
  Atomics.store(arena.words, stage, 4);
  compute(arena, stage, 4);
  (await mine).release();
  await other.result;
  expect(mutex.isLocked).toBe(false);
});

describe('a lock that was handed to a task', () => {
  /** Thread 1 has the task; the calls of the others are driven by hand. */
  function stage() {
    const { arenas, real, killBefore, reap } = stepper(4);
    const views = arenas.map((arena) => new Mutex(arena, 'm'));
    const [first, second] = views as [Mutex, Mutex];
    first.lock();
    const mine = second.acquireAsync();
    const callOf = (number: number) => {
      const { thread } = arenas[number]!;
      const waiter: Waiter = { thread, task: thread.self, deadline: Infinity, async: false, aborted: false };
      const path = lockSlow(first.address, waiter);
      const sleeps = () => real.load(thread.self + Task.state) === SLEEPING;
      return { waiter, go: (reason: 'woken' | 'timed-out') => path.next(reason), sleeps };
    };
    const word = first.address + MutexWords.owner;
    const asks = () => (real.load(word) & HANDOFF) !== 0;
    const ask = () => real.store(word, real.load(word) | WAITERS | HANDOFF);
    const handOver = () => {
      ask();
      first.unlock();
    };
    /** The time of the threads without an event loop, in ms. */
    const clock = { now: 0 };
    for (const { cpu } of arenas.slice(2)) cpu.now = () => clock.now * 1e6;
    return { views, mine, callOf, asks, ask, handOver, clock, killBefore, reap };
  }

  test('is taken over before its event loop has had the time to run', async () => {
    const { mine, callOf, handOver } = stage();
    handOver();
    const call = callOf(2);
    expect(call.go('woken').done).toBe(false);
    expect(call.waiter.lookAgain).toBeDefined();
    (await mine).release();
    expect(call.go('woken').value).toBe('acquired');
  });

  test('is taken over by no other, when the one that was to look after it gives up', async () => {
    const { mine, callOf, handOver } = stage();
    const [call, next] = [callOf(2), callOf(3)];
    call.go('woken');
    next.go('woken');
    handOver();
    // The unlock has woken one beside the task.
    expect([call.sleeps(), next.sleeps()]).toEqual([false, true]);
    expect(call.go('timed-out').value).toBe('timed-out');
    expect(next.sleeps()).toBe(false);
    (await mine).release();
    expect(next.go('woken').value).toBe('acquired');
  });

  test('and by that to another one, is taken over in the time of the second', async () => {
    const { views, mine, callOf, ask, handOver, clock } = stage();
    const other = views[1]!.acquireAsync();
    handOver();
    const call = callOf(2);
    call.go('woken');
    const held = await mine;
    ask();
    held.release();
    clock.now = 0.9;
    call.go('woken');
    clock.now = 1.8;
    expect(call.go('woken').done).toBe(false);
    clock.now = 2;
    expect(call.go('woken').value).toBe('acquired');
    views[2]!.unlock();
    (await other).release();
  });

  test('is taken over again and again, where its event loop is always busy', async () => {
    const { views, mine, callOf, asks, handOver, clock } = stage();
    handOver();
    const call = callOf(2);
    call.go('woken');
    clock.now = 1;
    expect(call.go('woken').value).toBe('acquired');
    // The task has woken up in vain, and is next.
    while (!asks()) await new Promise(setImmediate);
    views[2]!.unlock();
    const next = callOf(3);
    next.go('woken');
    clock.now = 2.5;
    expect(next.go('woken').done).toBe(false);
    (await mine).release();
    expect(next.go('woken').value).toBe('acquired');
  });

  test('has less time, because of an earlier call', async () => {
    const { views, mine, callOf, asks, ask, handOver, clock } = stage();
    handOver();
    const call = callOf(2);
    call.go('woken');
    clock.now = 1;
    call.go('woken');
    while (!asks()) await new Promise(setImmediate);
    views[2]!.unlock();
    (await mine).release();
    views[0]!.lock();
    const later = views[1]!.acquireAsync();
    ask();
    views[0]!.unlock();
    const next = callOf(3);
    next.go('woken');
    expect(next.waiter.lookAgain).toBe(2e6);
    (await later).release();
    expect(next.go('woken').value).toBe('acquired');
  });

  test('is lost with a thread that dies as it takes that over', async () => {
    for (let n = 1, dies = true; dies; n++) {
      const { views, mine, callOf, handOver, clock, killBefore, reap } = stage();
      handOver();
      const [taker, next] = [callOf(2), callOf(3)];
      taker.go('woken');
      next.go('woken');
      clock.now = 1;
      dies = killBefore(2, step(n), () => taker.go('woken'));
      if (dies) expect(reap(0)).toBe('done');
      else views[2]!.unlock();
      // Twice the time, where the dead thread had got so far.
      clock.now = 3;
      expect(next.go('woken').done, `step ${n}`).toBe(true);
      if (views[3]!.ownerDied) views[3]!.makeConsistent();
      views[3]!.unlock();
      (await mine).release();
      expect(views[0]!.isLocked).toBe(false);
    }
  });

  test.each([Mutex, SeqLock])('makes a deadlock of one that would pass it on before it sleeps: %o', (Lock) => {
    const { arenas, stopBefore } = stepper(3);
    const [first, second, third] = arenas.map((arena) => new Lock(arena, 'l')) as [Mutex, Mutex, Mutex];
    const others = arenas.map((arena) => new Mutex(arena, 'n'));
    first.lock();
    others[2]!.lock();
    const call =
      'writeAsync' in second
        ? (second as unknown as SeqLock).writeAsync(arenas[1]!.alloc(1), [1])
        : second.acquireAsync();
    const word = first.address + MutexWords.owner;
    const { cpu } = arenas[0]!;
    cpu.store(word, cpu.load(word) | WAITERS | HANDOFF);
    first.unlock();
    const latch = first.address + MutexWords.waiters + WaitList.latch;
    expect(stopBefore(1, on('cmpxchgAcquire', latch), () => others[1]!.lock())).toBe(true);
    third.lock({ detectDeadlock: true });
    expect(third.isLocked).toBe(true);
    void call;
  });
});

test.each(['acquireReadAsync', 'acquireWriteAsync'] as const)(
  'PercpuRwSemaphore: what an event loop was given by %s makes a deadlock of a thread that would pass it on before it sleeps',
  (acquire) => {
    const { arenas, stopBefore } = stepper(3);
    const [first, second, third] = arenas.map((arena) => new PercpuRwSemaphore(arena, 'l')) as [
      PercpuRwSemaphore,
      PercpuRwSemaphore,
      PercpuRwSemaphore,
    ];
    const others = arenas.map((arena) => new Mutex(arena, 'n'));
    first.downWrite();
    others[2]!.lock();
    void second[acquire]();
    first.upWrite();
    expect(stopBefore(1, on('cmpxchgAcquire', latchOf(first.address)), () => others[1]!.lock())).toBe(true);
    // Nobody goes on for that thread, so the call waits; it does not give up.
    expect(thrown(() => third.downWrite({ detectDeadlock: true, timeout: 150 })).code).toBe('ETIMEDOUT');
  },
);
