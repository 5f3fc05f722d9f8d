/** What is given to a waiter that does not know yet, or waits for readers, when its thread dies or calls again. */
import { inspect } from 'node:util';
import { expect, test } from 'vitest';
import type { Arena } from '../../lib/arena/arena.ts';
import { Mutex, PercpuRwSemaphore, Semaphore } from '../../lib/index.ts';
import { HANDOFF, MutexWords } from '../../lib/locking/mutex-core.ts';
import { WAITERS } from '../../lib/locking/owner-word.ts';
import { firstWaiter } from '../../lib/sched/wait-list.ts';
import { on, stepper } from '../support/stepper.ts';
import { thrown } from '../support/threads.ts';

/** Thread 0 has handed the mutex to an asynchronous call of thread 1, which does not know yet. */
function handedOver() {
  const all = stepper(3);
  const locks = (all.arenas as [Arena, Arena, Arena]).map((arena) => new Mutex(arena, 'm')) as [Mutex, Mutex, Mutex];
  locks[0].lock();
  const waiting = locks[1].lockAsync();
  all.real.fetchOr(locks[0].address + MutexWords.owner, HANDOFF);
  locks[0].unlock();
  expect(locks[2].owner).toEqual({ thread: 1, async: true });
  return { ...all, locks, waiting };
}

test('a lock that was handed over, and not picked up, has an owner that died inside', () => {
  const { locks, die, reap } = handedOver();
  die(1);
  expect(reap(2)).toBe('done');
  expect(locks[2].tryLock()).toBe(true);
  expect(locks[2].ownerDied).toBe(false);
});

test('a false deadlock: a synchronous call waits for what was handed to an asynchronous one of its thread', async () => {
  const { locks, waiting } = handedOver();
  locks[1].lock({ detectDeadlock: true });
  locks[1].unlock();
  await waiting;
});

test('a synchronous call sleeps for what was handed to a task of its own thread, or of an event loop that computes', async () => {
  const own = handedOver();
  const { counters } = own.arenas[1]!.thread;
  const { parks } = counters;
  own.locks[1].lock();
  expect(counters.parks).toBe(parks);
  own.locks[1].unlock();
  await own.waiting;
  // It would throw `Hang` where nothing but that task's turn ends its sleep.
  const { locks, waiting } = handedOver();
  locks[2].lock();
  locks[2].unlock();
  await waiting;
});

test('PercpuRwSemaphore: a writer that dies while it waits for readers was inside', () => {
  const { arenas, killBefore, reap } = stepper(3);
  const [reader, writer, other] = arenas.map((arena) => new PercpuRwSemaphore(arena, 'l')) as [
    PercpuRwSemaphore,
    PercpuRwSemaphore,
    PercpuRwSemaphore,
  ];
  reader.downRead();
  expect(killBefore(1, on('wait'), () => writer.downWrite())).toBe(true);
  expect(reap(2)).toBe('done');
  reader.upRead();
  expect(other.tryDownWrite()).toBe(true);
  expect(other.ownerDied).toBe(false);
});

test('Semaphore: a permit dies with a thread that was given it, and did not know', () => {
  const { arenas, die, reap } = stepper(3);
  const [first, second] = arenas.map((arena) => new Semaphore(arena, 's')) as [Semaphore, Semaphore];
  first.down();
  void second.downAsync();
  first.up();
  expect(first.permits).toBe(0);
  die(1);
  expect(reap(2)).toBe('done');
  expect(first.permits).toBe(1);
});

test('Mutex: a waiter that dies asleep is out of the list when it was reaped', () => {
  const { arenas, killBefore, reap } = stepper(3);
  const [holder, waiter] = arenas.map((arena) => new Mutex(arena, 'lock')) as [Mutex, Mutex];
  holder.lock();
  expect(killBefore(1, on('wait'), () => waiter.lock())).toBe(true);
  const { cpu } = arenas[0]!;
  const list = holder.address + MutexWords.waiters;
  expect(firstWaiter(cpu, list)).toBe(arenas[1]!.thread.self);
  expect(reap(2)).toBe('done');
  expect(firstWaiter(cpu, list)).toBe(0);
  expect(cpu.load(holder.address + MutexWords.owner) & WAITERS).toBe(0);
});

test('Mutex: a spinner leaves a held lock alone for a moment, once; where it may look once only it does not', () => {
  for (const [spins, pauses] of [
    [4, 1],
    [1, 0],
  ] as const) {
    const { arenas, before } = stepper(2, { spins });
    const [holder, spinner] = arenas.map((arena) => new Mutex(arena, 'm')) as [Mutex, Mutex];
    holder.lock();
    let paused = 0;
    const count = () => {
      paused++;
      before(1, on('ndelay'), count);
      // Others come between: the spinner has to look again.
      holder.unlock();
      holder.lock();
    };
    before(1, on('ndelay'), count);
    expect(() => spinner.lock({ timeout: 1 })).toThrow(expect.objectContaining({ code: 'ETIMEDOUT' }));
    expect(paused, `${spins} spins`).toBe(pauses);
  }
});

test('Mutex: a spinner takes what comes free in its pause, and does not sleep', () => {
  const { arenas, before } = stepper(2);
  const [holder, spinner] = arenas.map((arena) => new Mutex(arena, 'm')) as [Mutex, Mutex];
  holder.lock();
  before(1, on('ndelay'), () => {
    holder.unlock();
    before(1, on('wait'), () => expect.unreachable('it slept'));
  });
  spinner.lock();
  expect(spinner.owner).toEqual({ thread: 1, async: false });
});

test.each([0, 5])(
  'PercpuRwSemaphore: calls itself free while it is the next writer’s, which has had no turn yet (priority %i)',
  async (priority) => {
    const { arenas } = stepper(3);
    const [first, second, third] = arenas.map((arena) => new PercpuRwSemaphore(arena, 'l')) as [
      PercpuRwSemaphore,
      PercpuRwSemaphore,
      PercpuRwSemaphore,
    ];
    arenas[0]!.thread.setPriority(priority);
    second.downWrite();
    const reading = first.acquireReadAsync();
    const writing = third.downWriteAsync();
    second.upWrite();
    // Thread 2 is to write once the reader is out, which it is at once; its event loop has no turn yet.
    expect(thrown(() => first.downWrite({ timeout: 1 })).message).toBe(
      'ETIMEDOUT: no percpu-rw-semaphore "l" within 1 ms: about to be written by thread 2',
    );
    await writing;
    expect(inspect(first)).toBe('PercpuRwSemaphore(l, written by thread 2)');
    third.upWrite();
    (await reading).release();
    expect(inspect(first)).toBe('PercpuRwSemaphore(l, free)');
  },
);
