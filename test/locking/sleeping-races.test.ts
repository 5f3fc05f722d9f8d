/** Races of the sleeping locks that were found by reading, each told step by step. */

import { describe, expect, test } from 'vitest';
import { Completion, Mutex, PercpuRwSemaphore, RwSemaphore, Semaphore, WaitQueue } from '../../lib/index.ts';
import { MutexWords } from '../../lib/locking/mutex-core.ts';
import { DRAINING, PercpuWords, upWrite, writerOf } from '../../lib/locking/percpu-rw-semaphore/core.ts';
import { readSlow, writeSlow } from '../../lib/locking/rw-semaphore/wait.ts';
import { READER, RwSemaphoreWords } from '../../lib/locking/rw-semaphore/words.ts';
import { downSlow } from '../../lib/locking/semaphore/core.ts';
import { MOST_PERMITS, SemaphoreWords } from '../../lib/locking/semaphore/words.ts';
import { HoldTable } from '../../lib/sched/holds.ts';
import type { SlowPath, Waiter } from '../../lib/sched/slow-path.ts';
import { SLEEPING, Task } from '../../lib/sched/task.ts';
import type { Thread } from '../../lib/sched/thread.ts';
import { firstWaiter, waiters } from '../../lib/sched/wait-list.ts';
import { wakeQueued } from '../../lib/sched/wake-queue.ts';
import { on, type Step, step, stepper } from '../support/stepper.ts';
import { thrown } from '../support/threads.ts';

const turn = () => new Promise((resolve) => setImmediate(resolve));

const waiterOf = (thread: Thread): Waiter => ({
  thread,
  task: thread.self,
  deadline: Number.POSITIVE_INFINITY,
  async: false,
  aborted: false,
});

/** One step of a slow path; true when it is at its end. */
const goesOn = (path: SlowPath<unknown>): boolean => path.next('woken').done === true;

/** Whether somebody has woken the thread, and it is at the end of its path then. */
const isLetIn = ({ cpu, self }: Thread, path: SlowPath<unknown>): boolean =>
  cpu.load(self + Task.state) !== SLEEPING && goesOn(path);

function stage<Lock extends { handle: unknown }>(
  threads: number,
  Kind: { new (arena: never): Lock; from(arena: never, handle: never): Lock },
) {
  const all = stepper(threads);
  const first = new Kind(all.arenas[0] as never);
  const others = all.arenas.slice(1).map((arena) => Kind.from(arena as never, first.handle as never));
  return { ...all, locks: [first, ...others] as [Lock, Lock, ...Lock[]], threads: all.arenas.map((a) => a.thread) };
}

/** What a waiter for an rt-mutex does to the priority of the thread that holds it. */
function boost(real: ReturnType<typeof stepper>['real'], by: Thread, thread: Thread, priority = -5): void {
  real.store(thread.self + Task.priority, priority);
  wakeQueued(by, { wake: [], reorder: [thread.self] });
}

describe('a waiter whose priority is raised', () => {
  test('in front of a writer that was woken, and sleeps on after that one has unlocked', () => {
    const { locks, threads, real } = stage(3, RwSemaphore);
    const [by, writing, reading] = threads as [Thread, Thread, Thread];
    const { address } = locks[0];
    locks[0].downWrite();
    const writer = writeSlow(address, waiterOf(writing));
    const reader = readSlow(address, waiterOf(reading));
    writer.next();
    reader.next();
    locks[0].upWrite();
    boost(real, by, reading);
    expect(isLetIn(reading, reader)).toBe(true);
    expect(goesOn(writer)).toBe(false);
    locks[2]!.upRead();
    expect(real.load(writing.self + Task.state)).not.toBe(SLEEPING);
    expect(goesOn(writer)).toBe(true);
    locks[1].upWrite();
    expect(real.load(address + RwSemaphoreWords.word)).toBe(0);
  });

  test('in front of a writer that takes the lock before anybody looks, and is never woken', () => {
    const { locks, threads, real, before: rightBefore } = stage(3, RwSemaphore);
    const [by, writing, reading] = threads as [Thread, Thread, Thread];
    const { address } = locks[0];
    locks[0].downWrite();
    const writer = writeSlow(address, waiterOf(writing));
    const reader = readSlow(address, waiterOf(reading));
    writer.next();
    reader.next();
    locks[0].upWrite();
    let isIn = false;
    // The second time that the latch is taken it is to look who can go.
    rightBefore(0, on('cmpxchgAcquire', address + RwSemaphoreWords.waiters + 2, 2), () => {
      isIn = goesOn(writer);
    });
    boost(real, by, reading);
    expect(isIn).toBe(true);
    expect(goesOn(reader)).toBe(false);
    locks[1].upWrite();
    expect(goesOn(reader)).toBe(true);
  });

  test('in front of a writer that was woken, while another has taken the lock', () => {
    const { locks, threads, real } = stage(4, RwSemaphore);
    const [by, writing, reading] = threads as [Thread, Thread, Thread];
    const { address } = locks[0];
    locks[0].downWrite();
    const writer = writeSlow(address, waiterOf(writing));
    const reader = readSlow(address, waiterOf(reading));
    writer.next();
    reader.next();
    locks[0].upWrite();
    expect(locks[3]!.tryDownWrite()).toBe(true);
    boost(real, by, reading);
    locks[3]!.upWrite();
    expect(isLetIn(reading, reader)).toBe(true);
  });

  test('to the front of a semaphore that has enough for it', () => {
    const { arenas, threads, real } = stage(3, Semaphore);
    const [by, greedy, modest] = threads as [Thread, Thread, Thread];
    const semaphore = new Semaphore(arenas[0]!, undefined, { permits: 5 });
    semaphore.down({ permits: 3 });
    const first = downSlow(semaphore.address, 5, false, waiterOf(greedy));
    const second = downSlow(semaphore.address, 1, false, waiterOf(modest));
    first.next();
    second.next();
    boost(real, by, modest);
    expect(isLetIn(modest, second)).toBe(true);
    expect(semaphore.permits).toBe(1);
    expect(goesOn(first)).toBe(false);
  });

  test('to the front of an RwSemaphore that others read', () => {
    const { locks, threads, real } = stage(3, RwSemaphore);
    const [by, writing, reading] = threads as [Thread, Thread, Thread];
    locks[0].downRead();
    const writer = writeSlow(locks[0].address, waiterOf(writing));
    const reader = readSlow(locks[0].address, waiterOf(reading));
    writer.next();
    reader.next();
    boost(real, by, reading);
    expect(isLetIn(reading, reader)).toBe(true);
    expect(locks[0].readers).toBe(2);
  });

  test('in a list that looks empty meanwhile to whoever looks without the latch', () => {
    for (let n = 1, isOver = false; !isOver; n++) {
      const { locks, threads, real, before: rightBefore, cancel } = stage(2, RwSemaphore);
      const [by, writing] = threads as [Thread, Thread];
      const list = locks[0].address + RwSemaphoreWords.waiters;
      locks[0].downWrite();
      writeSlow(locks[0].address, waiterOf(writing)).next();
      const look = () => expect(firstWaiter(real, list)).toBe(writing.self);
      rightBefore(0, step(n), look);
      boost(real, by, writing);
      isOver = cancel(0);
      expect(real.read(writing.self + Task.rank)).toBe(-5);
      expect(waiters(real, list)).toEqual([writing.self]);
    }
  });
});

test('a percpu writer that looks for a reader in the wrong order, and finds it nowhere', async () => {
  let steps = 0;
  for (let isOver = false; !isOver; steps++) {
    const { locks, before: rightBefore, cancel } = stage(2, PercpuRwSemaphore);
    const guard = await locks[0].acquireReadAsync();
    let joined = false;
    rightBefore(1, step(steps + 1), () => {
      if (locks[0].owner !== undefined) return;
      locks[0].downRead();
      guard.release();
      joined = true;
    });
    const isWriting = locks[1].tryDownWrite();
    expect(isWriting && locks[0].readers > 0).toBe(false);
    isOver = cancel(1);
    if (joined) locks[0].upRead();
  }
  expect(steps).toBeGreaterThan(5);
});

describe('RwSemaphore after deaths', () => {
  test('readers that were counted and never let in, when the first pass cannot settle', async () => {
    const { locks, real, reap, stopBefore, threads, die } = stage(6, RwSemaphore);
    const word = locks[0].address + RwSemaphoreWords.word;
    locks[0].downRead();
    locks[3]!.downRead();
    locks[0].upRead();
    expect(locks[0].readers).toBe(1);
    const giving = waiterOf(threads[4] as Thread);
    const writer = writeSlow(locks[0].address, giving);
    writer.next();
    const reader = locks[2]!.acquireReadAsync();
    await turn();
    // The writer gives up. It counts the reader behind it, and dies before it tells that one.
    let isCounted = false;
    const counts = on('cmpxchgAcquire', word);
    const dies = (at: Step) => {
      if (isCounted) return at.op === 'store';
      isCounted = counts(at);
      return false;
    };
    giving.aborted = true;
    expect(stopBefore(4, dies, () => writer.next('woken'))).toBe(true);
    expect(locks[0].readers).toBe(2);
    // Thread 3 leaves, and is preempted in the middle of it.
    expect(stopBefore(3, on('cmpxchg', word), () => locks[3]!.upRead())).toBe(true);
    die(4);
    expect(reap(5)).toBe('again');
    const record = threads[3]!.slot + HoldTable.records;
    real.store(word, real.load(word) - READER);
    real.store(record + 1, 0);
    reap(5);
    (await reader).release();
    expect(locks[0].readers).toBe(0);
    expect(locks[0].tryDownWrite()).toBe(true);
  });

  test('a reader that is counted for a thread that died while it gave that one a record', () => {
    const { locks, reap, killBefore } = stage(4, RwSemaphore);
    const word = locks[0].address + RwSemaphoreWords.word;
    locks[0].downRead();
    locks[2]!.downRead();
    locks[2]!.upRead();
    locks[0].upRead();
    locks[0].downRead();
    expect(killBefore(1, on('cmpxchg', word), () => locks[1].downRead())).toBe(true);
    locks[0].upRead();
    locks[2]!.downRead();
    expect(reap(3)).toBe('done');
    expect(locks[0].readers).toBe(1);
    locks[2]!.upRead();
    expect(locks[3]!.tryDownWrite()).toBe(true);
    locks[3]!.upWrite();
    expect(thrown(() => locks[0].upRead()).code).toBe('EPERM');
  });

  test('readers lost or made by one that dies at any step of entering or leaving among others', () => {
    for (let n = 1, isOver = false; !isOver; n++) {
      const { locks, reap, killBefore } = stage(4, RwSemaphore);
      locks[0].downRead();
      isOver = !killBefore(1, step(n), () => {
        locks[1].downRead();
        locks[0].upRead();
        locks[2]!.downRead();
        locks[1].upRead();
      });
      const others = locks[2]!.readers;
      if (!isOver) expect(reap(3)).toBe('done');
      expect(locks[3]!.readers).toBeLessThanOrEqual(others);
      for (const lock of [locks[0], locks[2]!]) {
        try {
          lock.upRead();
        } catch {}
      }
      expect(locks[3]!.readers).toBe(0);
      expect(locks[3]!.tryDownWrite()).toBe(true);
    }
  });
});

describe.each([0, 5])('a synchronous waiter of priority %s', (priority) => {
  test.each([Semaphore, Completion])('behind its own asynchronous ones, which cannot run: %o', (Kind) => {
    const { arenas } = stepper(2);
    arenas[0]!.thread.setPriority(priority);
    if (Kind === Semaphore) {
      const semaphore = new Semaphore(arenas[0]!, undefined, { permits: 0 });
      void semaphore.downAsync();
      Semaphore.from(arenas[1]!, semaphore.handle).up();
      semaphore.down();
      expect(semaphore.permits).toBe(0);
      semaphore.up();
    } else {
      const completion = new Completion(arenas[0]!);
      void completion.waitAsync();
      Completion.from(arenas[1]!, completion.handle).complete();
      completion.wait();
      completion.complete();
    }
  });

  test('behind its own asynchronous reader of a PercpuRwSemaphore', async () => {
    const { locks, threads, before: rightBefore, real } = stage(3, PercpuRwSemaphore);
    threads[0]!.setPriority(priority);
    locks[1].downWrite();
    const reader = locks[0].acquireReadAsync();
    const other = locks[2]!.acquireWriteAsync();
    // Lets thread 0's reader in, which does not know yet; thread 2 waits until it leaves.
    locks[1].upWrite();
    const block = locks[0].address + PercpuWords.block;
    rightBefore(0, on('wait'), () => {
      const writer = writerOf(real.load(block));
      expect(real.load(writer + Task.thread)).toBe(3);
      real.fetchAndAcquire(block, ~DRAINING);
      upWrite(threads[2]!, locks[2]!.address, writer);
    });
    locks[0].downWrite();
    expect(locks[1].readers).toBe(0);
    locks[0].upWrite();
    (await reader).release();
    void other;
  });
});

test('an urgent synchronous waiter in the place of its thread’s asynchronous one', async () => {
  const { locks, threads, real, before: rightBefore } = stage(3, Mutex);
  locks[0].lock();
  const waiting = [locks[1].lockAsync(), locks[2]!.lockAsync()];
  threads[2]!.setPriority(-10);
  const list = locks[0].address + MutexWords.waiters;
  let first = 0;
  rightBefore(2, on('wait'), () => {
    first = firstWaiter(real, list);
    locks[0].unlock();
  });
  locks[2]!.lock();
  expect(first).toBe(threads[2]!.self);
  locks[2]!.unlock();
  await waiting[0];
  locks[1].unlock();
  await waiting[1];
  locks[2]!.unlock();
});

test('an exclusive waiter of a WaitQueue whose condition throws, and keeps the wake-up', async () => {
  const { locks } = stage(2, WaitQueue);
  let ready = false;
  const poisoned = locks[0].waitAsync(
    () => {
      if (ready) throw new Error('condition failed');
      return false;
    },
    { exclusive: true },
  );
  const second = locks[1].waitAsync(() => ready, { exclusive: true });
  await turn();
  ready = true;
  expect(locks[0].wake(1)).toBe(1);
  await expect(poisoned).rejects.toThrow('condition failed');
  await second;
});

describe('permits', () => {
  test('that reach the number for no bound, by calls that meet', () => {
    const { arenas, before: rightBefore } = stepper(2);
    const semaphore = new Semaphore(arenas[0]!, undefined, { permits: MOST_PERMITS - 1 });
    const other = Semaphore.from(arenas[1]!, semaphore.handle);
    rightBefore(0, on('cmpxchgRelease', semaphore.address + SemaphoreWords.count, 2), () => other.up());
    expect(thrown(() => semaphore.up(1)).code).toBe('EINVAL');
    expect(semaphore.permits).toBe(MOST_PERMITS);
    semaphore.down();
    expect(semaphore.permits).toBe(MOST_PERMITS - 1);
  });

  test('of a Completion that are too many', () => {
    const { arenas } = stepper(1);
    const completion = new Completion(arenas[0]!);
    arenas[0]!.cpu.store(completion.address + SemaphoreWords.count, MOST_PERMITS * 2);
    expect(thrown(() => completion.complete()).message).toContain(`${MOST_PERMITS}`);
    expect(completion.count).toBe(MOST_PERMITS);
  });
});

describe.each([RwSemaphore, PercpuRwSemaphore])('%o', (Kind) => {
  test.each(['Read', 'Write'] as const)('memory that is written to after up%s, when it is another’s', (mode) => {
    for (let n = 1, isOver = false; !isOver; n++) {
      const { locks, before: rightBefore, cancel, real } = stage<RwSemaphore | PercpuRwSemaphore>(2, Kind as never);
      const { address } = locks[0];
      const words = 12;
      locks[0][`down${mode}`]();
      rightBefore(0, step(n), () => {
        try {
          locks[1].destroy();
        } catch {
          return;
        }
        for (let word = 0; word < words; word++) real.store(address + word, -1);
      });
      locks[0][`up${mode}`]();
      isOver = cancel(0);
      if (real.load(address + 4) === -1) for (let w = 0; w < words; w++) expect(real.load(address + w)).toBe(-1);
    }
  });
});

test('PercpuRwSemaphore: a reader that is about to back off counts as one, beside the writer that has the lock', () => {
  const { arenas, before, cancel } = stepper(2);
  const lock = new PercpuRwSemaphore(arenas[0]!);
  const other = PercpuRwSemaphore.from(arenas[1]!, lock.handle);
  lock.downWrite();
  // The reader has counted itself, and looks for a writer next.
  let readers = -1;
  before(1, on('loadAcquire', lock.address + PercpuWords.block), () => {
    readers = lock.readers;
  });
  expect(other.tryDownRead()).toBe(false);
  expect(cancel(1)).toBe(false);
  expect(readers).toBe(0);
  lock.upWrite();
  expect(other.tryDownRead()).toBe(true);
  expect(lock.readers).toBe(1);
});
