import type { Program } from '../../../native-sim/explore/program.ts';
import { requeueUnlessChanged, waitForEither, wakeByBit, wakeOne, wakeTwice } from './programs/futex.ts';
import { barrier, cond, mutex, once, sem } from './programs/pthread.ts';
import { type Act, type RwLockName, readersAndWriters } from './programs/readers-writers.ts';
import { rtMutex, wwMutexes } from './programs/rt-mutex.ts';
import { completion, permits, seat, waitQueue } from './programs/sleeping-locks.ts';
import { testsOfWeakOrders, type WeakOrder } from './weakened.ts';

type Row = readonly [name: string, make: () => Program, op: WeakOrder['op'], within?: string, to?: WeakOrder['to']];

function inFile(file: string, rows: readonly Row[]): void {
  const orders = rows.map(([name, make, op, within, to]): WeakOrder => {
    return { name, make, file, op, mode: 'random', ...(within && { within }), ...(to && { to }) };
  });
  testsOfWeakOrders(orders);
}

const rw =
  (name: RwLockName, ...acts: Act[]) =>
  () =>
    readersAndWriters(name, acts, 1);
const permit = (guard: boolean) => () => permits([false, guard], 1);
const crossed = [
  [0, 1],
  [1, 0],
];

inFile('rw-semaphore/core.ts', [
  ["rw-semaphore: the reader's acquire", rw('rw-semaphore', 'write', 'read'), 'cmpxchgAcquire', 'tryDownRead'],
  ['rw-semaphore: readers come and go', rw('rw-semaphore', 'write', 'read', 'read'), 'cmpxchg', 'changeCount'],
  ["rw-semaphore: the writer's acquire", rw('rw-semaphore', 'write', 'write'), 'cmpxchgAcquire', 'tryDownWrite'],
  ['rw-semaphore: the downgrade', rw('rw-semaphore', 'downgrade', 'read'), 'cmpxchgRelease', 'downgrade'],
]);

inFile('rw-semaphore.ts', [
  ["rw-semaphore: the reader's release", rw('rw-semaphore', 'downgrade', 'read'), 'cmpxchgRelease', 'upRead'],
  ["rw-semaphore: the writer's release", rw('rw-semaphore', 'write', 'write'), 'cmpxchgRelease', 'upWrite'],
]);

inFile('percpu-rw-semaphore/core.ts', [
  ['percpu: the record before the look at the writer', rw('percpu-rw-semaphore', 'write', 'read'), 'xchg', 'readWith'],
  ["percpu: the reader's acquire", rw('percpu-rw-semaphore', 'write', 'read'), 'loadAcquire', 'readWith'],
  ["percpu: the reader's release", rw('percpu-rw-semaphore', 'write', 'try to read'), 'xchg', 'retire'],
  ["percpu: the writer's release", rw('percpu-rw-semaphore', 'write', 'write'), 'cmpxchgRelease', 'releaseUnwatched'],
]);

// A thread that reads again knows where its record is.
inFile('percpu-rw-semaphore/percpu-rw-semaphore.ts', [
  ['percpu: the known record before the look', rw('percpu-rw-semaphore', 'write', 'read again'), 'xchg', 'downRead'],
  ["percpu: the second reader's acquire", rw('percpu-rw-semaphore', 'write', 'read again'), 'loadAcquire', 'downRead'],
  ["percpu: the second reader's release", rw('percpu-rw-semaphore', 'write', 'read again'), 'xchg', 'upRead'],
]);

inFile('semaphore/core.ts', [
  ['semaphore: taking a free permit', permit(false), 'cmpxchgAcquire', 'tryDown'],
  ['semaphore: opening them', () => seat([1, -1, 0], 1), 'storeRelease', 'grantAndUnlatch'],
  ['completion: taking one', () => completion(2, 1), 'cmpxchgAcquire', 'tryDown'],
  ['completion: completing', () => completion(2, 1), 'cmpxchgRelease', 'up'],
]);

inFile('semaphore/loops.ts', [
  ["completion: the waiter's acquire", () => completion(2, 1), 'loadAcquire', 'isGranted'],
]);

inFile('semaphore/words.ts', [['semaphore: closing the fast paths', permit(true), 'fetchOrAcquire', 'freeze']]);

inFile('wait-queue-core.ts', [['wait queue: the change before the look for waiters', () => waitQueue(2, 1), 'mb']]);
inFile('task.ts', [
  ['wait queue: the change before the look for a sleeper', () => waitQueue(1, 1), 'xchg', 'unpark', 'acquire'],
]);

inFile('table.ts', [
  ['FUTEX_WAKE: the change before the look for waiters', () => wakeOne(2, 1), 'mb', 'mayHaveWaiters'],
  ['FUTEX_WAKE_BITSET: the change before the look for waiters', () => wakeByBit(1), 'mb', 'mayHaveWaiters'],
  ['FUTEX_CMP_REQUEUE: the change before the look for waiters', () => requeueUnlessChanged(1), 'mb', 'mayHaveWaiters'],
  ['futex_waitv(2): the change before the look for waiters', () => waitForEither(2, 1), 'mb', 'mayHaveWaiters'],
]);

inFile('pthread/mutex/mutex.ts', [
  ["pthread mutex: the lock's acquire", () => mutex('normal', 2, 1), 'cmpxchgAcquire'],
  ["pthread mutex: unlock's release", () => mutex('normal', 2, 1), 'cmpxchgRelease'],
]);
inFile('pthread/mutex/core.ts', [
  ["pthread mutex: the contended lock's acquire", () => mutex('normal', 2, 1), 'cmpxchgAcquire', 'tryAcquire'],
  ["pthread mutex: the contended unlock's release", () => mutex('normal', 2, 1), 'cmpxchgRelease', 'unlockSlow'],
  ["pthread cond: the waiter's acquire of the mutex", () => cond('broadcast', 2, 1), 'cmpxchgAcquire', 'tryAcquire'],
]);
inFile('table.ts', [
  ['pthread signal: the change before the look for waiters', () => cond('signal', 1, 1), 'mb', 'mayHaveWaiters'],
  ['pthread broadcast: the change before the look for waiters', () => cond('broadcast', 1, 1), 'mb', 'mayHaveWaiters'],
]);
inFile('latch.ts', [
  ["pthread rwlock: its latch's acquire", rw('pthread rwlock', 'write', 'read'), 'cmpxchgAcquire', 'latch'],
  ["pthread rwlock: its latch's release", rw('pthread rwlock', 'write', 'read'), 'xchgRelease', 'unlatch'],
]);
inFile('barrier.ts', [["pthread barrier: the waiter's acquire", () => barrier(2, 1, true), 'loadAcquire', 'pass']]);
inFile('once.ts', [
  ["pthread once: the caller's acquire", () => once(2, 1), 'loadAcquire', 'isDone'],
  ["pthread once: the waiter's acquire", () => once(2, 1), 'loadAcquire', 'begin'],
  ["pthread once: the next runner's acquire", () => once(2, 1), 'cmpxchgAcquire', 'begin'],
  ["pthread once: the routine's release", () => once(2, 1), 'storeRelease'],
]);
inFile('sem.ts', [
  ["pthread sem: the waiter's acquire", () => sem(2, 1), 'cmpxchgAcquire'],
  ["pthread sem: the post's release", () => sem(2, 1), 'cmpxchgRelease'],
]);

inFile('rt-mutex.ts', [
  ["rt-mutex: the lock's acquire", () => rtMutex([0, -1], 1), 'cmpxchgAcquire'],
  ["rt-mutex: unlock's release", () => rtMutex([0, -1], 1), 'cmpxchgRelease'],
]);
inFile('rt-mutex/core.ts', [
  ["rt-mutex: the spinner's acquire", () => rtMutex([0, -1], 1), 'cmpxchgAcquire', 'lockSlow'],
]);
inFile('ww-mutex/context.ts', [
  ['ww-mutex: the stamp before the lock', () => wwMutexes('wait-die', crossed, 1), 'wmb'],
]);
/** The look whether the bucket was ever used: a program that takes each bucket's latch once or twice is full of it. */
const firstUse = (['loadAcquire', 'xchg'] as const).map((op) => ({
  file: 'futex/table.ts',
  op,
  within: 'use',
}));
/** The barrier at the beginning of a call that may wait. */
const begin = { file: 'arena/shared-object.ts', op: 'mb', within: 'beginWait' } as const;
testsOfWeakOrders([
  {
    name: 'ww-mutex: finding who holds it',
    make: () => wwMutexes('wait-die', crossed, 1),
    file: 'rt-mutex/core.ts',
    op: 'fetchOrAcquire',
    within: 'lockSlow',
    also: [begin],
    mode: 'random',
  },
  {
    name: "pthread cond: the wait's release of the mutex",
    make: () => cond('signal', 1, 1),
    file: 'pthread/mutex/mutex.ts',
    op: 'cmpxchgRelease',
    within: 'unlockFor',
    also: [...firstUse, begin],
    mode: 'random',
  },
  {
    name: 'FUTEX_WAIT: finding out that one was woken',
    make: () => wakeTwice(1),
    file: 'futex/table.ts',
    op: 'loadAcquire',
    within: 'latchOwnBucket',
    // The end of the call between the two waits orders them on Armv8, when the next wait takes its latch.
    also: [{ file: 'task.ts', op: 'storeRelease', within: 'endWait' }, ...firstUse],
    mode: 'random',
    seed: 3,
  },
]);
