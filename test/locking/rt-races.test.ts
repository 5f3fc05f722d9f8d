/** Priorities and waits of the locks on the rt-mutex algorithm, at the moments when another thread dies or wakes. */
import { expect, test } from 'vitest';
import type { Arena } from '../../lib/arena/arena.ts';
import { Mutex, PercpuRwSemaphore, RtMutex, Semaphore, WwClass, WwMutex } from '../../lib/index.ts';
import { DESIGNATED } from '../../lib/locking/semaphore/core.ts';
import { SemaphoreWords } from '../../lib/locking/semaphore/words.ts';
import { Task } from '../../lib/sched/task.ts';
import { waiters } from '../../lib/sched/wait-list.ts';
import { on, step, stepper, type When } from '../support/stepper.ts';
import { thrown } from '../support/threads.ts';

/** Thread 0 owns b, 1 owns a and sleeps for b behind 2, all of priority 0; `urgent` threads are 3 (-10) and 4 (-20). */
function chain() {
  const stage = stepper(6);
  const open = (thread: number, name: string) => new RtMutex(stage.arenas[thread] as Arena, name);
  const sleep = (thread: number, name: string) =>
    expect(stage.stopBefore(thread, on('wait'), () => open(thread, name).lock())).toBe(true);
  open(0, 'b').lock();
  open(1, 'a').lock();
  sleep(2, 'b');
  sleep(1, 'b');
  stage.arenas[3]!.thread.setPriority(-10);
  stage.arenas[4]!.thread.setPriority(-20);
  const rankOf = (thread: number) => stage.real.load(stage.arenas[thread]!.thread.self + Task.rank);
  return { ...stage, open, sleep, rankOf };
}

function giveUp(mutex: RtMutex): void {
  try {
    mutex.lock({ timeout: 0 });
  } catch (error) {
    if ((error as { code?: string }).code !== 'ETIMEDOUT') throw error;
  }
}

test.each([
  ['nobody', 0],
  ['a less urgent one', -10],
])('a priority is lost, or stays, when a waiter dies as it gives up: %s waits besides', (who, left) => {
  let deaths = 0;
  for (let n = 1; ; n++) {
    const { arenas, open, sleep, rankOf, killBefore, reap } = chain();
    if (left !== 0) sleep(3, 'a');
    let isLate = false;
    // From the moment at which the waiter has lent its priority.
    const when: When = () => {
      isLate ||= arenas[0]!.thread.priority === -20;
      return isLate && --steps === 0;
    };
    let steps = n;
    if (!killBefore(4, when, () => giveUp(open(4, 'a')))) break;
    deaths++;
    expect(reap(5), who).toBe('done');
    expect([arenas[1]!.thread.priority, rankOf(1), arenas[0]!.thread.priority], `step ${n}`).toEqual([
      left,
      left,
      left,
    ]);
  }
  expect(deaths).toBeGreaterThan(10);
});

test('a priority that ends with a death leaves its heir in front of those who came before it', () => {
  const { arenas, killBefore, stopBefore, reap, real } = stepper(4);
  const semaphores = arenas.map((arena) => new Semaphore(arena, 's', { permits: 1 }));
  const list = semaphores[0]!.address + SemaphoreWords.waiters;
  const [first, heir] = [arenas[0]!.thread.self, arenas[1]!.thread.self];
  const lock = (thread: number) => new RtMutex(arenas[thread] as Arena, 'm').lock();
  semaphores[3]!.down();
  stopBefore(0, on('wait'), () => semaphores[0]!.down());
  lock(1);
  stopBefore(1, on('wait'), () => semaphores[1]!.down({ permits: 2 }));
  arenas[2]!.thread.setPriority(-5);
  killBefore(2, on('wait'), () => lock(2));
  expect(waiters(real, list)).toEqual([heir, first]);
  semaphores[3]!.up();
  expect(reap(3)).toBe('done');
  expect(arenas[1]!.thread.priority).toBe(0);
  expect(waiters(real, list)).toEqual([first, heir]);
  // The permit was too little for the heir.
  expect([first, heir].map((task) => real.load(task + Task.result) === DESIGNATED)).toEqual([true, false]);
});

test('a priority that a thread has raised, and died before it moved who has it, in a list', () => {
  let deaths = 0;
  for (let n = 1; ; n++) {
    const { arenas, killBefore, stopBefore, reap, real } = stepper(5);
    const semaphores = arenas.map((arena) => new Semaphore(arena, 's', { permits: 1 }));
    const list = semaphores[0]!.address + SemaphoreWords.waiters;
    const lock = (thread: number) => new RtMutex(arenas[thread] as Arena, 'm').lock();
    semaphores[4]!.down();
    stopBefore(0, on('wait'), () => semaphores[0]!.down());
    lock(1);
    stopBefore(1, on('wait'), () => semaphores[1]!.down());
    arenas[2]!.thread.setPriority(-5);
    if (!killBefore(2, step(n), () => giveUp(new RtMutex(arenas[2] as Arena, 'm')))) break;
    deaths++;
    expect(reap(3)).toBe('done');
    expect(arenas[1]!.thread.priority, `step ${n}`).toBe(0);
    expect(waiters(real, list), `step ${n}`).toEqual([0, 1].map((thread) => arenas[thread]!.thread.self));
  }
  expect(deaths).toBeGreaterThan(10);
});

/** A context of thread 0, which is older, and one of thread 1, which holds b and sleeps for a. */
function contexts() {
  const stage = stepper(3);
  const [first, second] = stage.arenas as [Arena, Arena];
  const open = (arena: Arena, name: string) => new WwMutex(new WwClass(arena, 'class'), name);
  const [older, younger] = [new WwClass(first, 'class').begin(), new WwClass(second, 'class').begin()];
  open(first, 'a').lock(older);
  open(second, 'b').lock(younger);
  expect(stage.stopBefore(1, on('wait'), () => open(second, 'a').lock(younger))).toBe(true);
  return { ...stage, older, younger, open: (name: string) => open(first, name) };
}

test('a false deadlock: the older context gets EDEADLK while the younger is about to back off', () => {
  const { before, older, younger, open } = contexts();
  before(0, on('wait'), () => younger.unlockAll());
  open('b').lock(older, { detectDeadlock: true });
  expect(older.size).toBe(2);
});

test('a missing deadlock: without a context, by way of a context that waits for an asynchronous one of the caller', async () => {
  const { arenas, stopBefore } = stepper(2);
  const [first, second] = arenas as [Arena, Arena];
  const open = (arena: Arena, name: string) => new WwMutex(new WwClass(arena, 'class'), name);
  const other = new WwClass(second, 'class').begin();
  open(second, 'a').lock(other);
  await open(first, 'b').lockAsync(new WwClass(first, 'class').beginAsync());
  expect(stopBefore(1, on('wait'), () => open(second, 'b').lock(other))).toBe(true);
  expect(thrown(() => open(first, 'a').lock()).code).toBe('EDEADLK');
});

test('a missing deadlock: a context waits for a lock that was taken without one, whose owner waits for the context', () => {
  const { arenas, stopBefore } = stepper(2);
  const [first, second] = arenas as [Arena, Arena];
  const open = (arena: Arena, name: string) => new WwMutex(new WwClass(arena, 'class'), name);
  const context = new WwClass(first, 'class').begin();
  open(first, 'a').lock(context);
  open(second, 'b').lock();
  expect(stopBefore(1, on('wait'), () => open(second, 'a').lock())).toBe(true);
  expect(thrown(() => open(first, 'b').lock(context)).code).toBe('EDEADLK');
  expect(context.backOffs).toBe(1);
});

test('a missing deadlock: a context waits for an asynchronous one, whose thread waits for it without a context', async () => {
  const { arenas, stopBefore } = stepper(2);
  const [first, second] = arenas as [Arena, Arena];
  const open = (arena: Arena, name: string) => new WwMutex(new WwClass(arena, 'class'), name);
  const context = new WwClass(first, 'class').begin();
  open(first, 'a').lock(context);
  await open(second, 'b').lockAsync(new WwClass(second, 'class').beginAsync());
  expect(stopBefore(1, on('wait'), () => open(second, 'a').lock())).toBe(true);
  expect(thrown(() => open(first, 'b').lock(context)).code).toBe('EDEADLK');
});

/** Thread 0 holds x. A free rt-mutex y is kept for an asynchronous task of thread 1, which sleeps for x. */
async function reserved() {
  const stage = stepper(3);
  const [first, second, third] = stage.arenas as [Arena, Arena, Arena];
  new RtMutex(first, 'x').lock();
  const y = new RtMutex(third, 'y');
  y.lock();
  const wait = new RtMutex(second, 'y').lockAsync({ timeout: 10_000 });
  wait.catch(() => {});
  y.unlock();
  expect(stage.stopBefore(1, on('wait'), () => new RtMutex(second, 'x').lock())).toBe(true);
  return { ...stage, y: new RtMutex(first, 'y') };
}

test('a missing deadlock: the wounded context waits for a lock without contexts, which nothing makes it give up', () => {
  const { arenas, stopBefore } = stepper(2);
  const [first, second] = arenas as [Arena, Arena];
  const contested = (arena: Arena) => new WwMutex(new WwClass(arena, 'class'), 'b');
  const [older, younger] = [new WwClass(first, 'class').begin(), new WwClass(second, 'class').begin()];
  const plain = new RtMutex(first, 'plain');
  plain.lock();
  contested(second).lock(younger);
  stopBefore(1, on('wait'), () => new RtMutex(second, 'plain').lock());
  expect(thrown(() => contested(first).lock(older)).code).toBe('EDEADLK');
});

test('a false deadlock: a wounded context that is about to back off waits for a lock that was taken without one', () => {
  const { arenas, stopBefore } = stepper(2);
  const [first, second] = arenas as [Arena, Arena];
  const open = (arena: Arena, name: string) => new WwMutex(new WwClass(arena, 'class'), name);
  const [older, younger] = [new WwClass(first, 'class').begin(), new WwClass(second, 'class').begin()];
  open(first, 'a').lock();
  open(second, 'b').lock(younger);
  stopBefore(1, on('wait'), () => open(second, 'a').lock(younger));
  expect(thrown(() => open(first, 'b').lock(older, { timeout: 5 })).code).toBe('ETIMEDOUT');
});

test.each([undefined, { detectDeadlock: true }])(
  'a false deadlock: a free lock is kept for an asynchronous task whose thread sleeps, and taken after a while (%o)',
  async (options) => {
    const { y } = await reserved();
    y.lock(options);
    expect(y.owner?.thread).toBe(0);
  },
);

test('a false deadlock: a free lock is kept for an asynchronous task whose thread waits for it synchronously, too', async () => {
  const { arenas, stopBefore } = stepper(3);
  const [first, second, third] = (arenas as [Arena, Arena, Arena]).map((arena) => new RtMutex(arena, 'y')) as [
    RtMutex,
    RtMutex,
    RtMutex,
  ];
  third.lock();
  const wait = second.lockAsync({ timeout: 10_000 });
  wait.catch(() => {});
  expect(stopBefore(1, on('wait'), () => second.lock())).toBe(true);
  third.unlock();
  // The synchronous call was woken with the task, and takes its place.
  expect(thrown(() => first.lock({ timeout: 0 })).code).toBe('ETIMEDOUT');
});

test('a thread that was woken for a free lock counts as stuck', () => {
  const { arenas, before, stopBefore } = stepper(2);
  const [first, second] = arenas as [Arena, Arena];
  const [a, b] = [new RtMutex(first, 'a'), new RtMutex(second, 'b')];
  a.lock();
  b.lock();
  expect(stopBefore(1, on('wait'), () => new RtMutex(second, 'a').lock())).toBe(true);
  a.unlock();
  before(0, on('wait'), () => b.unlock());
  new RtMutex(first, 'b').lock({ detectDeadlock: true });
  expect(thrown(() => a.lock({ detectDeadlock: true, timeout: 1000 })).code).toBe('ETIMEDOUT');
});

test('a missing deadlock: the writer of a PercpuRwSemaphore waits for a reader that waits for it', () => {
  const { arenas, stopBefore } = stepper(2);
  const [first, second] = arenas as [Arena, Arena];
  const open = (arena: Arena) => [new Mutex(arena, 'm'), new PercpuRwSemaphore(arena, 's')] as const;
  const [mutex, semaphore] = open(first);
  const [others, readers] = open(second);
  readers.downRead();
  mutex.lock();
  expect(stopBefore(1, on('wait'), () => others.lock())).toBe(true);
  expect(thrown(() => semaphore.downWrite({ detectDeadlock: true, timeout: 1000 })).code).toBe('EDEADLK');
  mutex.unlock();
});

test('a missing deadlock: a reader waits for a mutex whose owner is a writer that waits for it', () => {
  const { arenas, stopBefore } = stepper(2);
  const [first, second] = arenas as [Arena, Arena];
  const semaphore = new PercpuRwSemaphore(first, 's');
  new PercpuRwSemaphore(second, 's').downRead();
  new Mutex(first, 'm').lock();
  // It has stood back from the lock a few times, for a moment each.
  const sleeps: When = ({ op, args }) => op === 'wait' && args[2] === Number.POSITIVE_INFINITY;
  expect(stopBefore(0, sleeps, () => semaphore.downWrite())).toBe(true);
  expect(thrown(() => new Mutex(second, 'm').lock({ detectDeadlock: true, timeout: 1000 })).code).toBe('EDEADLK');
});
