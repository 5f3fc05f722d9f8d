/**
 * What an asynchronous wait passes on when its thread goes to sleep in a synchronous call (`Aside`): what it has been woken
 * for and has not seen to yet, at any point of its path; and nothing else.
 */
import { describe, expect, test } from 'vitest';
import {
  type Arena,
  Futex,
  PercpuRwSemaphore,
  PthreadBarrier,
  PthreadCond,
  PthreadMutex,
  Semaphore,
  WaitQueue,
} from '../../lib/index.ts';
import { PercpuWords } from '../../lib/locking/percpu-rw-semaphore/core.ts';
import { latch, unlatch } from '../../lib/memory/latch.ts';
import { SLEEPING, Task, unpark } from '../../lib/sched/task.ts';
import { waiters } from '../../lib/sched/wait-list.ts';
import { Hang, on, type Step, stepper } from '../support/stepper.ts';
import { thrown } from '../support/threads.ts';

const turn = () => new Promise<void>((resolve) => setImmediate(resolve));

/** As a latch's word names the thread that is preempted there. */
const PREEMPTED = 5;

function stage() {
  const all = stepper(5);
  const { arenas, real, before, cancel, stopBefore } = all;
  const elsewhere = new Semaphore(arenas[0]!, undefined, { permits: 0 });
  const mainOf = (number: number) => arenas[number]!.thread.self;
  // No call below needs the heap for its task.
  for (const { thread, heap } of arenas) thread.returnTask(thread.takeTask(heap));
  return {
    ...all,
    arenas: arenas as [Arena, Arena, Arena, Arena, Arena],
    /** Thread `number` goes to sleep in a synchronous call, for what never comes; and that comes back all the same. */
    sleepsAndWakes: (number: number) => {
      expect(thrown(() => Semaphore.from(arenas[number]!, elsewhere.handle).down())).toBeInstanceOf(Hang);
      unpark(real, mainOf(number));
    },
    /** Thread `number` sleeps until it is woken in `wait`. */
    sleeps: (number: number, wait: () => void) => expect(stopBefore(number, on('wait'), wait)).toBe(true),
    isAsleep: (number: number) => real.load(mainOf(number) + Task.state) === SLEEPING,
    /** While thread `number` calls, somebody else has the `nth` latch that it tries to take; afterwards it is free again. */
    meetsLatch: (number: number, nth: number, call: () => void) => {
      let seen = 0;
      let taken = 0;
      const isNth = ({ op, address, args }: Step) => {
        if (op !== 'cmpxchgAcquire' || args[1] !== 0 || args[2] !== (number + 1) << 2 || ++seen < nth) return false;
        taken = address;
        return true;
      };
      before(number, isNth, () => latch(real, taken, PREEMPTED));
      call();
      expect(cancel(number)).toBe(false);
      unlatch(real, taken);
    },
  };
}

describe('WaitQueue, exclusive: the condition of a waiter that was woken blocks its thread', () => {
  /** Thread 1 waits, and sleeps in its condition when that runs for the `nth` time; `before`: what happens then, before. */
  function sleepsInCondition(nth: number, before: (queue: WaitQueue, thirdSleeps: () => void) => void) {
    const all = stage();
    const { arenas, sleeps, sleepsAndWakes, isAsleep } = all;
    const [queue, mine, second, third] = arenas.map((arena) => new WaitQueue(arena, 'q')) as [
      WaitQueue,
      WaitQueue,
      WaitQueue,
      WaitQueue,
    ];
    const thirdSleeps = () => sleeps(3, () => third.wait(() => false, { exclusive: true }));
    let calls = 0;
    let wasAsleep: boolean[] | undefined;
    const condition = () => {
      if (++calls !== nth) return false;
      before(queue, thirdSleeps);
      const asleepBefore = isAsleep(3);
      sleepsAndWakes(1);
      sleeps(2, () => second.wait(() => false, { exclusive: true }));
      // The one wake-up is gone.
      sleepsAndWakes(1);
      wasAsleep = [asleepBefore, isAsleep(3), isAsleep(2)];
      return false;
    };
    void mine.waitAsync(condition, { exclusive: true });
    return { ...all, queue, thirdSleeps, asleep: () => wasAsleep };
  }

  // The first call comes before the waiter lines up.
  test('at its first look', () => {
    const { asleep } = sleepsInCondition(2, (queue, thirdSleeps) => {
      thirdSleeps();
      queue.wake();
    });
    expect(asleep()).toEqual([true, false, true]);
  });

  test('at a later look, in line again', async () => {
    const { asleep, queue, thirdSleeps, sleepsAndWakes, isAsleep } = sleepsInCondition(3, () => {});
    thirdSleeps();
    queue.wake();
    while (asleep() === undefined) await turn();
    expect(asleep()).toEqual([true, false, true]);

    // It waits for another, in front of thread 2.
    sleepsAndWakes(1);
    expect(isAsleep(2)).toBe(true);
    queue.wake();
    sleepsAndWakes(1);
    expect(isAsleep(2)).toBe(false);
  });
});

test('PthreadCond: a waiter that has not lined up yet passes on a wake-up that it has not had', async () => {
  const { arenas, sleeps, sleepsAndWakes, isAsleep, meetsLatch } = stage();
  const [, mine, , third] = arenas.map((arena) => ({
    mutex: new PthreadMutex(arena, 'm'),
    cond: new PthreadCond(arena, 'c'),
  }));
  sleeps(3, () => {
    third!.mutex.lock();
    third!.cond.wait(third!.mutex);
  });
  const guard = await mine!.mutex.acquireAsync();
  meetsLatch(1, 1, () => void mine!.cond.waitAsync(guard));
  sleepsAndWakes(1);
  expect(isAsleep(3)).toBe(true);
});

test('waitv: each word that was woken passes one wake-up on, and no other word does', () => {
  const { arenas, sleeps, sleepsAndWakes, isAsleep } = stage();
  const words = [arenas[0].alloc(1), arenas[0].alloc(1)] as const;
  for (const word of words) arenas[0].cpu.store(word, 0);
  const [waker, mine, ...others] = arenas.map((arena) => new Futex(arena));
  void mine!.waitvAsync(words.map((word) => ({ word, value: 0 })));
  sleeps(2, () => others[0]!.wait(words[0], 0));
  sleeps(3, () => others[1]!.wait(words[1], 0));
  waker!.wake(words[0]);
  sleepsAndWakes(1);
  expect([isAsleep(2), isAsleep(3)]).toEqual([false, true]);
  sleeps(4, () => others[2]!.wait(words[0], 0));
  waker!.wake(words[1]);
  sleepsAndWakes(1);
  expect([isAsleep(3), isAsleep(4)]).toEqual([false, true]);
});

test('PthreadBarrier: the last to come waits for a latch, and its thread for what the others do next', async () => {
  const { arenas, sleeps, sleepsAndWakes, isAsleep, meetsLatch } = stage();
  const first = new PthreadBarrier(arenas[0], undefined, { count: 3 });
  const [mine, second, third] = [1, 2, 3].map(
    (number) => new PthreadBarrier(arenas[number]!, first.handle, { count: 3 }),
  );
  sleeps(2, () => second!.wait());
  sleeps(3, () => third!.wait());
  let last: Promise<boolean> | undefined;
  // The first is the barrier's own.
  meetsLatch(1, 2, () => {
    last = mine!.waitAsync();
  });
  expect([isAsleep(2), isAsleep(3)]).toEqual([true, true]);
  sleepsAndWakes(1);
  expect([isAsleep(2), isAsleep(3)]).toEqual([false, false]);
  expect(await last).toBe(true);
});

test('PercpuRwSemaphore: a writer that gives up has been passed over meanwhile, and stays in the list', async () => {
  const { arenas, real, sleeps, sleepsAndWakes, isAsleep, meetsLatch } = stage();
  const [reader, mine, other, third] = arenas.map((arena) => new PercpuRwSemaphore(arena, 'l'));
  reader!.downRead();
  const controller = new AbortController();
  const waiting = mine!.downWriteAsync({ signal: controller.signal });
  await turn();
  sleeps(3, () => third!.downRead());
  // The first is taken to leave the list, the second to hand over.
  meetsLatch(1, 2, () => controller.abort('given up'));
  sleepsAndWakes(1);
  expect(isAsleep(3)).toBe(false);
  await expect(waiting).rejects.toBe('given up');
  expect(waiters(real, mine!.address + PercpuWords.waiters)).toEqual([]);
  third!.upRead();
  reader!.upRead();
  expect(other!.tryDownWrite()).toBe(true);
});
