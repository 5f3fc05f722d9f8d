import { expect, test } from 'vitest';
import { Arena, Mutex, Rcu, RtMutex } from '../../lib/index.ts';
import { maxThreads, Slot, slotAddress } from '../../lib/sched/slot.ts';
import { Task } from '../../lib/sched/task.ts';
import { asleep, inThread } from '../support/threads.ts';
import type { Flavour, Kind } from './boost.threads.ts';

const THREADS = new URL('./boost.threads.ts', import.meta.url).href;

const LAZY = 10;
const MIDDLE = 5;
const URGENT = 1;

function setup(kind: Kind) {
  const arena = Arena.create({ bytes: 512 << 10, maxThreads: 8 });
  const queue = kind === 'Mutex' ? new Mutex(arena, 'queue') : new RtMutex(arena, 'queue');
  const log = arena.alloc(8);
  arena.words.fill(0, log, log + 8);
  // Readers that this thread's periods wait for.
  const rcu = new Rcu(arena);
  return { arena, queue, log, over: log + 7, rcu };
}

const turn = () => new Promise((resolve) => setImmediate(resolve));

/** Until a task that waits for the object at `address` has its place there by that priority. */
async function moved(arena: Arena, address: number, priority: number): Promise<void> {
  const { cpu } = arena;
  const tasks = Array.from({ length: maxThreads(cpu) }, (_, number) => slotAddress(cpu, number) + Slot.mainTask);
  const isThere = (task: number) =>
    cpu.load(task + Task.blockedOn) === address && cpu.load(task + Task.rank) === priority;
  while (!tasks.some(isThere)) await turn();
}

const CASES: [Flavour, Kind][] = [
  ['Rcu', 'Mutex'],
  ['Rcu', 'RtMutex'],
  ['RcuQsbr', 'Mutex'],
];

test.each(CASES)(
  'a reader of %s that sleeps for a %s behind a thread that is less urgent than the task that waits for it',
  async (flavour, kind) => {
    const { arena, queue, log, over } = setup(kind);
    queue.lock();
    const middle = inThread<number>(arena, THREADS, 'pass', kind, undefined, log, MIDDLE, over, 2);
    await asleep(arena, 1, queue.address);
    const reader = inThread<[number, number]>(arena, THREADS, 'read', flavour, kind, 'queue', log, LAZY, over, 2);
    await asleep(arena, 2, queue.address);
    const waiting = inThread<number>(arena, THREADS, 'synchronize', flavour, URGENT);
    await moved(arena, queue.address, URGENT);
    queue.unlock();
    expect(await reader.result).toEqual([URGENT, LAZY]);
    expect(await middle.result).toBe(MIDDLE);
    expect(await waiting.result).toBe(URGENT);
    expect([...arena.words.subarray(log, log + 3)]).toEqual([2, LAZY, MIDDLE]);
  },
);

test('the owner of what a reader sleeps for, behind a thread that is less urgent than the task that waits', async () => {
  const { arena, queue, log, over } = setup('Mutex');
  queue.lock();
  const all = [inThread<number>(arena, THREADS, 'pass', 'Mutex', undefined, log, MIDDLE, over, 3)];
  await asleep(arena, 1, queue.address);
  all.push(inThread<number>(arena, THREADS, 'pass', 'Mutex', 'held', log, LAZY + 1, over, 3));
  await asleep(arena, 2, queue.address);
  const held = new RtMutex(arena, 'held');
  const reader = inThread<[number, number]>(arena, THREADS, 'read', 'Rcu', 'RtMutex', 'held', log, LAZY, over, 3);
  await asleep(arena, 1, held.address);
  const waiting = inThread<number>(arena, THREADS, 'synchronize', 'Rcu', URGENT);
  await moved(arena, queue.address, URGENT);
  queue.unlock();
  expect(await reader.result).toEqual([URGENT, LAZY]);
  expect(await Promise.all(all.map(({ result }) => result))).toEqual([MIDDLE, LAZY + 1]);
  await waiting.result;
  expect(arena.words[log + 1]).toBe(LAZY + 1);
});

test('a task that gives up takes back what it has lent', async () => {
  const { arena, queue, log, over, rcu } = setup('Mutex');
  queue.lock();
  const reader = inThread<[number, number]>(arena, THREADS, 'read', 'Rcu', 'Mutex', 'queue', log, LAZY, over, 1);
  await asleep(arena, 1, queue.address);
  const controller = new AbortController();
  const waiting = rcu.synchronizeAsync({ signal: controller.signal });
  waiting.catch(() => {});
  // An asynchronous wait has no priority of its own.
  await moved(arena, queue.address, 0);
  controller.abort('enough');
  await expect(waiting).rejects.toBe('enough');
  await moved(arena, queue.address, LAZY);
  queue.unlock();
  expect(await reader.result).toEqual([LAZY, LAZY]);
});

test('what a thread has lent ends with it', async () => {
  const { arena, queue, log, over } = setup('Mutex');
  queue.lock();
  const reader = inThread<[number, number]>(arena, THREADS, 'read', 'Rcu', 'Mutex', 'queue', log, LAZY, over, 1);
  await asleep(arena, 1, queue.address);
  const doomed = inThread(arena, THREADS, 'synchronize', 'Rcu', URGENT);
  await moved(arena, queue.address, URGENT);
  await doomed.worker.terminate();
  await doomed.reaped();
  await moved(arena, queue.address, LAZY);
  queue.unlock();
  expect(await reader.result).toEqual([LAZY, LAZY]);
});
