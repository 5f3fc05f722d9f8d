import { inspect } from 'node:util';
import { expect, test } from 'vitest';
import { Arena, Mutex, WaitQueue } from '../../lib/index.ts';
import { on, stepper } from '../support/stepper.ts';
import { inThread, thrown, until } from '../support/threads.ts';

const THREADS = new URL('./wait-queue.threads.ts', import.meta.url).href;

function setup() {
  const arena = Arena.create({ bytes: 512 << 10, maxThreads: 12 });
  const queue = new WaitQueue(arena, 'q');
  const stage = arena.alloc(6);
  arena.words.fill(0, stage, stage + 6);
  return { arena, queue, stage, flag: stage + 5 };
}

const turn = () => new Promise((resolve) => setImmediate(resolve));

test.each([true, false])('a change between the look and the sleep (exclusive: %s)', async (exclusive) => {
  const { arena, queue, flag } = setup();
  const { words } = arena;
  const consumers = Array.from({ length: 3 }, () => inThread<number>(arena, THREADS, 'consume', 'q', flag, exclusive));
  for (let i = 0; i < 3000; i++) {
    Atomics.add(words, flag, 1);
    queue.wake();
    if (i % 50 === 0) await turn();
  }
  await queue.waitAsync(() => Atomics.load(words, flag) === 0, { timeout: 1 }).catch(() => {});
  while (Atomics.load(words, flag) > 0) await turn();
  Atomics.store(words, flag, -1);
  queue.wakeAll();
  let taken = 0;
  for (const { result } of consumers) taken += await result;
  expect(taken).toBe(3000);
});

test('wake() that wakes two exclusive waiters, or not all of the others', async () => {
  const { arena, queue } = setup();
  let isOpen = false;
  const order: string[] = [];
  const wait = async (name: string, exclusive: boolean) => {
    await queue.waitAsync(() => isOpen, { exclusive });
    order.push(name);
  };
  const all = [wait('e1', true), wait('s1', false), wait('e2', true), wait('s2', false), wait('e3', true)];
  await turn();
  isOpen = true;
  expect(queue.wake()).toBe(3);
  while (order.length < 3) await turn();
  await turn();
  expect(order.toSorted()).toEqual(['e1', 's1', 's2']);
  expect(queue.waiting).toBe(2);
  expect(queue.wake(0)).toBe(0);
  expect(queue.wakeAll()).toBe(2);
  await Promise.all(all);
  expect(order.slice(3)).toEqual(['e2', 'e3']);
  expect(queue.wake()).toBe(0);
  expect(arena.thread.tasksInUse).toBe(0);
});

test('an exclusive waiter that is woken, gives up, and keeps the wake-up', async () => {
  const { queue, arena } = setup();
  const controller = new AbortController();
  let isOpen = false;
  const aborted = queue.waitAsync(() => false, { exclusive: true, signal: controller.signal });
  const behind = queue.waitAsync(() => isOpen, { exclusive: true });
  await turn();
  isOpen = true;
  expect(queue.wake()).toBe(1);
  controller.abort('enough');
  await expect(aborted).rejects.toBe('enough');
  await behind;
  expect(queue.waiting).toBe(0);
  expect(arena.thread.tasksInUse).toBe(0);
});

test('a waiter that goes on though its condition does not hold', async () => {
  const { queue } = setup();
  let looks = 0;
  const waiting = queue.waitAsync(() => ++looks === 5);
  while (looks < 5) {
    await turn();
    queue.wake();
  }
  await waiting;
  expect(looks).toBe(5);
  expect(thrown(() => queue.wait(() => false, { timeout: 1 })).code).toBe('ETIMEDOUT');
});

test('a condition that throws, and a waiter that stays in the queue', async () => {
  const { arena, queue } = setup();
  let looks = 0;
  const failing = () => {
    if (++looks === 2) throw new Error('broken');
    return false;
  };
  expect(thrown(() => queue.wait(failing)).message).toBe('broken');
  looks = 0;
  await expect(queue.waitAsync(failing)).rejects.toThrow('broken');
  expect(queue.waiting).toBe(0);
  expect(arena.thread.tasksInUse).toBe(0);
});

test('waiters that die in the queue and take the next wake-up with them', async () => {
  const { arena, queue, stage, flag } = setup();
  const doomed = Array.from({ length: 3 }, () => inThread(arena, THREADS, 'waitFor', 'q', flag, stage, true));
  await until(arena, stage, 3);
  const survivor = inThread(arena, THREADS, 'waitFor', 'q', flag, stage + 2, true);
  await until(arena, stage + 2, 1);
  while (queue.waiting < 4) await turn();
  const deaths = doomed.map(({ worker }) => worker.terminate());
  Atomics.store(arena.words, flag, 1);
  queue.wake();
  await Promise.all(deaths);
  await survivor.result;
  while (queue.waiting > 0) await turn();
  queue.destroy();
});

test('what means nothing', async () => {
  const { queue } = setup();
  expect(thrown(() => queue.wait(true as never)).code).toBe('EINVAL');
  expect(thrown(() => queue.wait(() => true, { timeout: -1 })).code).toBe('EINVAL');
  expect(thrown(() => queue.wake(-1)).code).toBe('EINVAL');
  await expect(queue.waitAsync(() => true, { signal: AbortSignal.abort('no') })).rejects.toBe('no');
  expect(inspect(queue)).toBe('WaitQueue(q, 0 waiting)');
});

test('a condition that waits for a lock, and loses the place of its thread in the queue', () => {
  const { arenas, before } = stepper(2);
  const [mutex, others] = arenas.map((arena) => new Mutex(arena as Arena, 'm')) as [Mutex, Mutex];
  const [queue, waker] = arenas.map((arena) => new WaitQueue(arena as Arena, 'q')) as [WaitQueue, WaitQueue];
  const sleep = on('wait', arenas[0]!.thread.self);
  let [looks, isOpen] = [0, false];
  queue.wait(() => {
    if (++looks === 2) {
      // The thread is in the queue, and finds the lock taken.
      others.lock();
      before(0, sleep, () => {
        isOpen = true;
        expect(waker.wake()).toBe(1);
        others.unlock();
      });
    }
    mutex.lock();
    const holds = isOpen && looks > 2;
    mutex.unlock();
    return holds;
  });
  expect(looks).toBe(3);
  expect([queue.waiting, arenas[0]!.thread.tasksInUse]).toEqual([0, 0]);
  expect(arenas[1]!.fsck()).toEqual([]);
});

test('a condition that waits in another queue, and in its own', () => {
  const { arenas, before } = stepper(2);
  const [queue, waker] = arenas.map((arena) => new WaitQueue(arena as Arena, 'q')) as [WaitQueue, WaitQueue];
  const other = new WaitQueue(arenas[0] as Arena, 'other');
  const wakeUp = (open: () => void) =>
    before(0, on('wait'), () => {
      open();
      waker.wakeAll();
      new WaitQueue(arenas[1] as Arena, 'other').wakeAll();
    });
  let [looks, inner, innermost] = [0, false, false];
  queue.wait(() => {
    if (++looks !== 2) return looks > 2;
    wakeUp(() => {
      inner = true;
    });
    other.wait(() => inner);
    wakeUp(() => {
      innermost = true;
    });
    queue.wait(() => innermost);
    return false;
  });
  expect([queue.waiting, other.waiting, arenas[0]!.thread.tasksInUse]).toEqual([0, 0, 0]);
  expect(arenas[1]!.fsck()).toEqual([]);
});
