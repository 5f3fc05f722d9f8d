import {
  type Arena,
  Mutex,
  PthreadBarrier,
  PthreadCond,
  PthreadMutex,
  type PthreadMutexAttributes,
  PthreadOnce,
  PthreadRwlock,
  PthreadSem,
} from '../../lib/index.ts';
import { SLEEPING, Task } from '../../lib/sched/task.ts';
import { arrive, awaitArrivals, bump, codeOf, stay } from '../support/stage.ts';

/** Adds to two words that must stay equal, holding the mutex, synchronously or asynchronously by turns. */
export async function count(
  arena: Arena,
  name: string,
  record: number,
  times: number,
  attributes?: PthreadMutexAttributes,
): Promise<number> {
  const mutex = new PthreadMutex(arena, name, attributes);
  let torn = 0;
  for (let i = 0; i < times; i++) {
    const held = i % 3 === 0 ? await mutex.acquireAsync() : mutex.acquire();
    torn += bump(arena, record);
    held.release();
  }
  return torn;
}

/** As `count`; writes and reads by turns under a rwlock. */
export async function readAndWrite(
  arena: Arena,
  name: string,
  preference: 'readers' | 'writers',
  record: number,
  times: number,
): Promise<number> {
  const lock = new PthreadRwlock(arena, name, { preference });
  let torn = 0;
  for (let i = 0; i < times; i++) {
    const held = i % 5 === 0 ? await lock.acquireWriteAsync() : lock.acquireWrite();
    torn += bump(arena, record);
    held.release();
    const read = i % 7 === 0 ? await lock.acquireReadAsync() : lock.acquireRead();
    if (arena.words[record] !== arena.words[record + 1]) torn++;
    read.release();
  }
  return torn;
}

/** Writes until the task sleeps, and lives on: its end would wake everybody. */
export function writeUntilAsleep(arena: Arena, stage: number, task: number): void {
  const lock = new PthreadRwlock(arena, 'rw');
  lock.writeLock();
  arrive(arena, stage);
  while (Atomics.load(arena.words, task + Task.state) !== SLEEPING) Atomics.wait(arena.words, stage + 1, 0, 1);
  lock.unlock();
  Atomics.wait(arena.words, stage + 1, 0);
}

export function unlockElsewhere(arena: Arena, name: string): string {
  return codeOf(() => new PthreadMutex(arena, name).unlock());
}

/** Takes what `what` says, says so at `stage`, and never lets go. */
export function holdForEver(arena: Arena, what: string, stage: number): Promise<never> {
  const take: Record<string, () => void> = {
    robust: () => new PthreadMutex(arena, what).lock(),
    inherit: () => new PthreadMutex(arena, what, { protocol: 'inherit' }).lock(),
    stalling: () => new PthreadMutex(arena, what, { robust: false }).lock(),
    read: () => new PthreadRwlock(arena, 'rw').readLock(),
    write: () => new PthreadRwlock(arena, 'rw').writeLock(),
    once: () => void new PthreadOnce(arena, 'o').call(() => forEver(arena, stage)),
    barrier: () => {
      arrive(arena, stage);
      new PthreadBarrier(arena, 'b', { count: 2 }).wait();
    },
    cond: () => {
      const mutex = new PthreadMutex(arena, 'm');
      mutex.lock();
      arrive(arena, stage);
      new PthreadCond(arena, 'c').wait(mutex);
    },
  };
  (take[what] as () => void)();
  arrive(arena, stage);
  return stay();
}

function forEver(arena: Arena, stage: number): void {
  arrive(arena, stage);
  for (;;) Atomics.wait(arena.words, stage + 1, 0, 1000);
}

/** Takes items that a producer announces by a condition variable until there are no more; how many it got. */
export function consume(arena: Arena, queue: number): number {
  const mutex = new PthreadMutex(arena, 'm');
  const cond = new PthreadCond(arena, 'c');
  const { words } = arena;
  for (let got = 0; ; got++) {
    mutex.lock();
    while (words[queue] === 0 && words[queue + 1] === 0) cond.wait(mutex);
    if (words[queue] === 0) {
      mutex.unlock();
      return got;
    }
    words[queue] = (words[queue] as number) - 1;
    mutex.unlock();
  }
}

/** Waits for one broadcast; adds one to `stage` when it waits, and to the next word afterwards. */
export function waitForBroadcast(arena: Arena, stage: number): void {
  const mutex = new PthreadMutex(arena, 'm');
  const cond = new PthreadCond(arena, 'c');
  mutex.lock();
  arrive(arena, stage);
  while (arena.words[stage + 2] === 0) cond.wait(mutex);
  mutex.unlock();
  arrive(arena, stage + 1);
}

/** Meets the others `rounds` times; how often it was the serial thread, or -1 when one ran ahead. */
export function meet(arena: Arena, count: number, stage: number, rounds: number): number {
  const barrier = new PthreadBarrier(arena, 'b', { count });
  let serial = 0;
  for (let round = 1; round <= rounds; round++) {
    Atomics.add(arena.words, stage, 1);
    if (barrier.wait()) serial++;
    if (Atomics.load(arena.words, stage) < count * round) return -1;
  }
  return serial;
}

/** Makes, meets at and destroys one barrier after another, of the same name. */
export function meetAndDestroy(arena: Arena, rounds: number, isDestroyer: boolean): number {
  for (let round = 0; round < rounds; round++) {
    const barrier = new PthreadBarrier(arena, `b${round}`, { count: 2 });
    barrier.wait();
    if (isDestroyer) barrier.destroy();
  }
  return arena.use().blocks;
}

export function runOnce(arena: Arena, word: number): boolean {
  return new PthreadOnce(arena, 'o').call(() => {
    const value = arena.words[word] as number;
    Atomics.wait(arena.words, word + 1, 0, 5);
    arena.words[word] = value + 1;
  });
}

export function takeAndPost(arena: Arena, times: number, word: number): number {
  const sem = new PthreadSem(arena, 's', { value: 2 });
  let most = 0;
  for (let i = 0; i < times; i++) {
    sem.wait();
    most = Math.max(most, Atomics.add(arena.words, word, 1) + 1);
    Atomics.sub(arena.words, word, 1);
    sem.post();
  }
  return most;
}

/** Holds the mutex from stage 1 to stage 2; the thread's priority when the other one waits, and when it has let go. */
export function priorities(arena: Arena, name: string, stage: number): number[] {
  const mutex = new PthreadMutex(arena, name, { protocol: 'inherit' });
  arena.thread.setPriority(5);
  mutex.lock();
  arrive(arena, stage);
  while (arena.thread.priority === 5) Atomics.wait(arena.words, stage, 1, 1);
  const inherited = arena.thread.priority;
  mutex.unlock();
  return [inherited, arena.thread.priority];
}

/** Holds `first`, says so at `stage` until all have, and goes for `second`; the code of the error, if any. */
export function lockBoth(arena: Arena, first: string, second: string, stage: number, threads: number): string {
  const [one, other] = [first, second].map((name) => new PthreadMutex(arena, name, { protocol: 'inherit' })) as [
    PthreadMutex,
    PthreadMutex,
  ];
  one.lock();
  arrive(arena, stage);
  awaitArrivals(arena, stage, threads);
  const code = codeOf(() => {
    other.lock();
    other.unlock();
  });
  one.unlock();
  return code;
}

/** Waits for the condition, with a mutex that inherits priorities, and notes who was let go when. */
export function waitInOrder(arena: Arena, priority: number, stage: number, log: number): void {
  const mutex = new PthreadMutex(arena, 'm', { protocol: 'inherit' });
  const cond = new PthreadCond(arena, 'c');
  arena.thread.setPriority(priority);
  mutex.lock();
  arrive(arena, stage);
  cond.wait(mutex);
  arena.words[log + Atomics.add(arena.words, log, 1) + 1] = priority;
  mutex.unlock();
}

/** Waits for the mutex 'queue', holding a mutex with that ceiling if one is given, and notes the ceiling. */
export function passQueue(arena: Arena, ceiling: number | undefined, stage: number, log: number): void {
  const attributes = { protocol: 'protect', prioceiling: ceiling ?? 0 } as const;
  const mutex = new PthreadMutex(arena, undefined, attributes);
  if (ceiling !== undefined) mutex.lock();
  arrive(arena, stage);
  const held = new Mutex(arena, 'queue').acquire();
  arena.words[log + Atomics.add(arena.words, log, 1) + 1] = ceiling ?? 0;
  held.release();
  if (ceiling !== undefined) mutex.unlock();
}
