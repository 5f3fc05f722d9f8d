/** An event loop that computes, with asynchronous acquisitions in line: what synchronous calls of other threads must not wait for. */
import { describe, expect, test } from 'vitest';
import { Arena, Mutex } from '../../lib/index.ts';
import { HANDOFF, lockSlow, MutexWords } from '../../lib/locking/mutex-core.ts';
import { WAITERS } from '../../lib/locking/owner-word.ts';
import type { Waiter } from '../../lib/sched/slow-path.ts';
import { SLEEPING, Task } from '../../lib/sched/task.ts';
import { stepper } from '../support/stepper.ts';
import { asleep, inThread, until } from '../support/threads.ts';

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
    const { arenas, real } = stepper(4);
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
    const handOver = () => {
      const word = first.address + MutexWords.owner;
      real.store(word, real.load(word) | WAITERS | HANDOFF);
      first.unlock();
    };
    return { mine, callOf, handOver };
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
});
