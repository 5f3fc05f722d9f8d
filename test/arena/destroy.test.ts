import { describe, expect, test } from 'vitest';
import type { Arena } from '../../lib/arena/arena.ts';
import type { SharedObject } from '../../lib/arena/shared-object.ts';
import {
  Completion,
  McsLock,
  Mutex,
  OsqLock,
  PercpuRwSemaphore,
  PthreadBarrier,
  PthreadCond,
  PthreadMutex,
  PthreadOnce,
  PthreadRwlock,
  PthreadSem,
  RtMutex,
  RwLock,
  RwSemaphore,
  Semaphore,
  SeqLock,
  SpinLock,
  TicketLock,
  WaitQueue,
  WwClass,
  WwMutex,
} from '../../lib/index.ts';
import { on, type Step, stepper } from '../support/stepper.ts';
import { thrown } from '../support/threads.ts';

/** One way to wait for an object of a kind. `block` of a second thread waits until the first calls `release`. */
interface Case<T extends SharedObject = SharedObject> {
  readonly kind: string;
  make(arena: Arena): T;
  /** What makes others wait, if anything does but the object's first state. */
  hold?(object: T, arena: Arena): void;
  block(object: T, arena: Arena): unknown;
  release(object: T): unknown;
}

const define = <T extends SharedObject>(each: Case<T>): Case => each as unknown as Case;

const lockable = <T extends SharedObject & { lock(): unknown; unlock(): void }>(
  kind: string,
  make: (arena: Arena) => T,
): Case =>
  define<T>({
    kind,
    make,
    hold: (lock) => lock.lock(),
    block: (lock) => lock.lock(),
    release: (lock) => lock.unlock(),
  });

const CASES: readonly Case[] = [
  lockable('Mutex', (arena) => new Mutex(arena, 'x')),
  lockable('RtMutex', (arena) => new RtMutex(arena, 'x')),
  lockable('SpinLock', (arena) => new SpinLock(arena, 'x')),
  lockable('TicketLock', (arena) => new TicketLock(arena, 'x')),
  lockable('McsLock', (arena) => new McsLock(arena, 'x')),
  lockable('OsqLock', (arena) => new OsqLock(arena, 'x')),
  lockable('WwMutex', (arena) => new WwMutex(new WwClass(arena, 'class'), 'x')),
  lockable('PthreadMutex', (arena) => new PthreadMutex(arena, 'x')),
  lockable('PthreadMutex, PRIO_INHERIT', (arena) => new PthreadMutex(arena, 'x', { protocol: 'inherit' })),
  define<Semaphore>({
    kind: 'Semaphore',
    make: (arena) => new Semaphore(arena, 'x', { permits: 0 }),
    block: (semaphore) => semaphore.down(),
    release: (semaphore) => semaphore.up(),
  }),
  define<Completion>({
    kind: 'Completion',
    make: (arena) => new Completion(arena, 'x'),
    block: (completion) => completion.wait(),
    release: (completion) => completion.complete(),
  }),
  define<RwSemaphore>({
    kind: 'RwSemaphore',
    make: (arena) => new RwSemaphore(arena, 'x'),
    hold: (lock) => lock.downRead(),
    block: (lock) => lock.downWrite(),
    release: (lock) => lock.upRead(),
  }),
  define<PercpuRwSemaphore>({
    kind: 'PercpuRwSemaphore',
    make: (arena) => new PercpuRwSemaphore(arena, 'x'),
    hold: (lock) => lock.downWrite(),
    block: (lock) => lock.downRead(),
    release: (lock) => lock.upWrite(),
  }),
  define<RwLock>({
    kind: 'RwLock',
    make: (arena) => new RwLock(arena, 'x'),
    hold: (lock) => lock.readLock(),
    block: (lock) => lock.writeLock(),
    release: (lock) => lock.readUnlock(),
  }),
  lockable('SeqLock', (arena) => new SeqLock(arena, 'x')),
  define<WaitQueue>({
    kind: 'WaitQueue',
    make: (arena) => new WaitQueue(arena, 'x'),
    block: (queue) => queue.wait(() => false),
    release: (queue) => queue.wakeAll(),
  }),
  define<PthreadSem>({
    kind: 'PthreadSem',
    make: (arena) => new PthreadSem(arena, 'x', { value: 0 }),
    block: (semaphore) => semaphore.wait(),
    release: (semaphore) => semaphore.post(),
  }),
  define<PthreadRwlock>({
    kind: 'PthreadRwlock, reader',
    make: (arena) => new PthreadRwlock(arena, 'x'),
    hold: (lock) => lock.writeLock(),
    block: (lock) => lock.readLock(),
    release: (lock) => lock.unlock(),
  }),
  define<PthreadRwlock>({
    kind: 'PthreadRwlock, writer',
    make: (arena) => new PthreadRwlock(arena, 'x'),
    hold: (lock) => lock.readLock(),
    block: (lock) => lock.writeLock(),
    release: (lock) => lock.unlock(),
  }),
];

/** Where a thread waits. A ticket lock's and a queued lock's waiter has its place in the lock before it sleeps. */
const isWait = (object: SharedObject) => (step: Step) =>
  step.op === 'wait' || (isSpinning(object) && step.op.startsWith('condLoad'));
const isSpinning = (object: SharedObject) => [TicketLock, McsLock, OsqLock].some((kind) => object instanceof kind);

describe('destroyed under a thread that', () => {
  test.each(CASES)('waits, holds it, or was woken and is not back: $kind', ({ make, hold, block, release }) => {
    const { arenas, stopBefore, die, reap } = stepper(2);
    const [first, second] = arenas as [Arena, Arena];
    const object = make(first);
    const other = make(second);
    const refused = () => expect(thrown(() => object.destroy()).code).toBe('EBUSY');
    hold?.(object, first);
    if (hold) refused();
    expect(stopBefore(1, isWait(object), () => block(other, second))).toBe(true);
    refused();
    release(object);
    refused();
    // It never comes back.
    die(1);
    expect(reap(0)).toBe('done');
    object.destroy();
    expect(first.fsck()).toEqual([]);
  });

  test('waits for the routine of a PthreadOnce that has run meanwhile', () => {
    const { arenas, stopBefore } = stepper(2);
    const [first, second] = arenas as [Arena, Arena];
    const once = new PthreadOnce(first, 'x');
    const other = new PthreadOnce(second, 'x');
    once.call(() => {
      expect(stopBefore(1, on('wait'), () => other.call(() => {}))).toBe(true);
      expect(thrown(() => once.destroy()).code).toBe('EBUSY');
    });
    expect(thrown(() => once.destroy()).code).toBe('EBUSY');
  });

  test('waits in a PthreadMutex that is not robust, whose owner has died', () => {
    const { arenas, stopBefore, die, reap } = stepper(3);
    const mutexes = (arenas as Arena[]).map((arena) => new PthreadMutex(arena, 'x'));
    mutexes[0]!.lock();
    expect(stopBefore(1, on('wait'), () => mutexes[1]!.lock())).toBe(true);
    die(0);
    expect(reap(2)).toBe('done');
    expect(thrown(() => mutexes[2]!.destroy()).code).toBe('EBUSY');
  });

  test('waits at a PthreadBarrier; but not one that was released, which touches it no more', () => {
    const { arenas, stopBefore } = stepper(2);
    const [first, second] = arenas as [Arena, Arena];
    const [barrier, other] = [first, second].map((arena) => new PthreadBarrier(arena, 'x', { count: 2 }));
    expect(stopBefore(1, on('wait'), () => other!.wait())).toBe(true);
    expect(thrown(() => barrier!.destroy()).code).toBe('EBUSY');
    barrier!.wait();
    barrier!.destroy();
    expect(first.fsck()).toEqual([]);
  });

  test('waits in a PthreadCond; but not one that was woken, which touches it no more', () => {
    const { arenas, before } = stepper(2);
    const [first, second] = arenas as [Arena, Arena];
    const [cond, other] = [new PthreadCond(first, 'c'), new PthreadCond(second, 'c')];
    const [mutex, theirs] = [new PthreadMutex(first, 'm'), new PthreadMutex(second, 'm')];
    theirs.lock();
    // Woken, it finds the mutex held, and waits for that.
    before(1, on('wait'), () => {
      expect(thrown(() => cond.destroy()).code).toBe('EBUSY');
      mutex.lock();
      cond.signal();
    });
    expect(() => other.wait(theirs)).toThrow('sleeps for ever');
    cond.destroy();
    expect(thrown(() => mutex.destroy()).code).toBe('EBUSY');
  });
});

test('a wait that is over keeps its object from being destroyed', async () => {
  const arena = stepper(1).arenas[0] as Arena;
  const semaphore = new Semaphore(arena, 'x', { permits: 0 });
  expect(thrown(() => semaphore.down({ timeout: 1 })).code).toBe('ETIMEDOUT');
  const waiting = semaphore.downAsync();
  expect(thrown(() => semaphore.destroy()).code).toBe('EBUSY');
  semaphore.up();
  expect(thrown(() => semaphore.destroy()).code).toBe('EBUSY');
  await waiting;
  semaphore.destroy();
});

test('a reader-writer spinlock whose head of the line has died asleep', () => {
  const { arenas, killBefore, reap } = stepper(3);
  const [own, theirs, third] = arenas.map((arena) => new RwLock(arena, 'x')) as [RwLock, RwLock, RwLock];
  own.writeLock();
  expect(killBefore(1, on('wait'), () => theirs.writeLock())).toBe(true);
  expect(reap(2)).toBe('done');
  own.writeUnlock();
  third.destroy();
});
