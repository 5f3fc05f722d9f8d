/** Who waits is served: no newcomer passes it for ever, and none once it has waited as long as the lock promises. */
import { describe, expect, test } from 'vitest';
import { Arena, Mutex, PercpuRwSemaphore, RtMutex, RwSemaphore, Semaphore } from '../../lib/index.ts';
import { HANDOFF, RwSemaphoreWords, tryRead, WAITERS } from '../../lib/locking/rw-semaphore/core.ts';
import { readAsleep, writeAsleep } from '../../lib/locking/rw-semaphore/wait.ts';
import type { SlowPath, Waiter } from '../../lib/sched/slow-path.ts';
import { Task } from '../../lib/sched/task.ts';
import type { Thread } from '../../lib/sched/thread.ts';
import { on, step, stepper } from '../support/stepper.ts';

const TURNS = 20_000;
type Taking = () => Promise<{ release(): void }>;

const LOOPS: Record<string, (arena: Arena) => { want: Taking; take: Taking }> = {
  Mutex: (arena) => sameFor(new Mutex(arena), (lock) => lock.acquireAsync()),
  RtMutex: (arena) => sameFor(new RtMutex(arena), (lock) => lock.acquireAsync()),
  Semaphore: (arena) => sameFor(new Semaphore(arena), (lock) => lock.acquireAsync()),
  'RwSemaphore, a writer behind writers': (arena) =>
    sameFor(new RwSemaphore(arena), (lock) => lock.acquireWriteAsync()),
  'RwSemaphore, a writer behind readers': (arena) => {
    const lock = new RwSemaphore(arena);
    return { want: () => lock.acquireWriteAsync(), take: () => lock.acquireReadAsync() };
  },
  'RwSemaphore, a reader behind writers': (arena) => {
    const lock = new RwSemaphore(arena);
    return { want: () => lock.acquireReadAsync(), take: () => lock.acquireWriteAsync() };
  },
  'PercpuRwSemaphore, a writer behind writers': (arena) =>
    sameFor(new PercpuRwSemaphore(arena), (lock) => lock.acquireWriteAsync()),
  'PercpuRwSemaphore, a writer behind readers': (arena) => {
    const lock = new PercpuRwSemaphore(arena);
    return { want: () => lock.acquireWriteAsync(), take: () => lock.acquireReadAsync() };
  },
};

function sameFor<Lock>(lock: Lock, acquire: (lock: Lock) => ReturnType<Taking>) {
  return { want: () => acquire(lock), take: () => acquire(lock) };
}

test.each(Object.entries(LOOPS))('an asynchronous loop starves a waiter of its own thread: %s', async (_, make) => {
  const { want, take } = make(Arena.create());
  let isServed = false;
  const held = await take();
  const waiting = want().then((guard) => {
    isServed = true;
    guard.release();
  });
  held.release();
  let turns = 0;
  for (; turns < TURNS && !isServed; turns++) (await take()).release();
  expect(isServed).toBe(true);
  await waiting;
});

describe('RwSemaphore: who is first in line, and has waited 4 ms,', () => {
  const waiterOf = (thread: Thread): Waiter => ({
    thread,
    task: thread.self,
    deadline: Number.POSITIVE_INFINITY,
    async: false,
    aborted: false,
  });

  /** A lock that thread 0 holds, and thread 1 waits for, for `age` ms now, to read or to write. */
  function stage(path: typeof readAsleep, age: number) {
    const { arenas, real, before, cancel } = stepper(3);
    const holder = new RwSemaphore(arenas[0]!);
    const newcomer = RwSemaphore.from(arenas[2]!, holder.handle);
    holder.downWrite();
    const { thread } = arenas[1]!;
    const waiting: SlowPath<unknown> = path(holder.address, waiterOf(thread));
    waiting.next();
    const since = thread.self + Task.since;
    real.store(since, (real.load(since) - age * 1000) & 0x7fffffff);
    const late = arenas[2]!.thread;
    return { holder, newcomer, late, real, before, cancel, isServed: () => waiting.next('woken').done === true };
  }

  test.each([
    ['a writer', writeAsleep],
    ['a reader', readAsleep],
  ])('%s, is passed at any step of the release', (_, path) => {
    for (const passes of ['tryDownWrite', 'tryDownRead'] as const) {
      for (let n = 1, isOver = false; !isOver; n++) {
        const { holder, newcomer, before, cancel, isServed } = stage(path, 5);
        let passed = false;
        before(0, step(n), () => {
          passed = newcomer.owner === undefined && newcomer.readers === 0 && newcomer[passes]();
        });
        holder.upWrite();
        isOver = cancel(0);
        expect(passed).toBe(false);
        expect(newcomer.tryDownWrite()).toBe(false);
        expect(isServed()).toBe(true);
      }
    }
  });

  test('is served at once, and one that has waited less must not be passed by any', () => {
    const { holder, newcomer, isServed } = stage(writeAsleep, 0);
    holder.upWrite();
    expect(newcomer.tryDownWrite()).toBe(true);
    expect(isServed()).toBe(false);
    newcomer.upWrite();
    expect(isServed()).toBe(true);
  });

  test('is passed by a reader that found no handoff when it looked', () => {
    const { newcomer, late: thread, real } = stage(writeAsleep, 0);
    const word = newcomer.address + RwSemaphoreWords.word;
    real.store(word, WAITERS | HANDOFF);
    expect(tryRead(thread, newcomer.address, thread.self, WAITERS)).toBeUndefined();
    expect(tryRead(thread, newcomer.address, thread.self, WAITERS | HANDOFF)).toBeUndefined();
  });
});

test('RwSemaphore: a writer never spins for readers again, once some have read for long', () => {
  const { arenas, real, before } = stepper(2);
  const reading = new RwSemaphore(arenas[0]!);
  const writing = RwSemaphore.from(arenas[1]!, reading.handle);
  const hint = reading.address + RwSemaphoreWords.nonspinnable;
  reading.downRead();
  before(1, on('wait'), () => reading.upRead());
  writing.downWrite();
  expect(real.load(hint)).toBe(0);
  writing.upWrite();
  reading.downRead();
  before(1, on('store', hint), () => reading.upRead());
  writing.downWrite();
  writing.upWrite();
  expect(real.load(hint)).toBe(0);
});
