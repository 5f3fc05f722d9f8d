/** What an unlock does behind the store that releases the lock, when the next owner destroys it at once. */
import { expect, test } from 'vitest';
import type { Arena } from '../../lib/arena/arena.ts';
import type { ObjectHandle } from '../../lib/arena/shared-object.ts';
import { openFutexes } from '../../lib/futex/open.ts';
import { Mutex, PthreadMutex, PthreadRwlock, RtMutex, SeqLock, WwClass, WwMutex } from '../../lib/index.ts';
import { lockSlow as mutexLockSlow } from '../../lib/locking/mutex-core.ts';
import { lockSlow } from '../../lib/locking/rt-mutex/core.ts';
import { lockSlow as pthreadLockSlow } from '../../lib/pthread/mutex/core.ts';
import { READ, takeSlow, WRITE } from '../../lib/pthread/rwlock-core.ts';
import type { SlowPath, Waiter } from '../../lib/sched/slow-path.ts';
import { endWait } from '../../lib/sched/task.ts';
import { Hang, step, stepper } from '../support/stepper.ts';

interface Lock {
  readonly address: number;
  readonly handle: ObjectHandle;
  lock(): void;
  tryLock(): boolean;
  unlock(): void;
  destroy(): void;
}
type Row = readonly [
  string,
  (arena: Arena, handle?: ObjectHandle) => Lock,
  /** How thread 1 waits for it. */
  (lock: number, waiter: Waiter, arena: Arena) => SlowPath<string>,
];

const wwLock = (arena: Arena, handle?: ObjectHandle) => new WwMutex(new WwClass(arena, 'class'), handle);
const attempt = { mark: 0, isChecked: false, cycle: [] };

const LOCKS: readonly Row[] = [
  ['Mutex', (arena, handle) => new Mutex(arena, handle), mutexLockSlow],
  ['SeqLock', (arena, handle) => new SeqLock(arena, handle), mutexLockSlow],
  ['RtMutex', (arena, handle) => new RtMutex(arena, handle), (lock, waiter) => lockSlow(lock, waiter, [])],
  ['WwMutex', wwLock, (lock, waiter) => lockSlow(lock, waiter, [])],
  [
    'PthreadMutex',
    (arena, handle) => new PthreadMutex(arena, handle),
    (lock, waiter, arena) => pthreadLockSlow(openFutexes(arena), lock, waiter, attempt),
  ],
  [
    'PthreadMutex that inherits',
    (arena, handle) => new PthreadMutex(arena, handle, { protocol: 'inherit' }),
    (lock, waiter) => lockSlow(lock, waiter, []),
  ],
  ...(['readers', 'writers'] as const).flatMap((preference) =>
    ([READ, WRITE] as const).map(
      (want): Row => [
        `PthreadRwlock that prefers ${preference}, a ${want === READ ? 'reader' : 'writer'} waiting`,
        (arena, handle) => rwlock(arena, handle, preference),
        (lock, waiter, arena) => takeSlow(openFutexes(arena), lock, waiter, want, preference),
      ],
    ),
  ),
];

function rwlock(arena: Arena, handle: ObjectHandle | undefined, preference: 'readers' | 'writers'): Lock {
  const lock = new PthreadRwlock(arena, handle, { preference });
  return {
    address: lock.address,
    handle: lock.handle,
    lock: () => lock.writeLock(),
    tryLock: () => lock.tryWriteLock(),
    unlock: () => lock.unlock(),
    destroy: () => lock.destroy(),
  };
}

const LINE = 16;

/**
 * Thread 0 unlocks while thread 1 sleeps in the queue. Before the `m`th step of that, thread 1 gives up (or unlocks, if
 * the lock came to it); before the `n`th one from there, thread 2 tries the lock, unlocks and destroys it. Returns
 * whether there were such steps, whether thread 2 came so far, and what thread 0 does to the lock's memory then.
 */
function scene([, open, path]: Row, m: number, n: number) {
  const { arenas, before, cancel } = stepper(3);
  const [first, second, third] = arenas as [Arena, Arena, Arena];
  const lock = open(first);
  const [seconds, thirds] = [open(second, lock.handle), open(third, lock.handle)];
  lock.lock();
  const { thread } = second;
  const deadline = second.cpu.now() + 1e9;
  const wait = path(lock.address, { thread, task: thread.self, deadline, async: false, aborted: false }, second);
  expect(wait.next().done).toBe(false);

  const result = { gaveUp: false, isOver: false, isDestroyed: false, touched: '' };
  const giveUp = () => {
    result.gaveUp = true;
    result.isOver = true;
    const outcome = wait.next('timed-out').value;
    // As the driver does.
    endWait(second.cpu, thread.self);
    if (outcome === 'acquired') seconds.unlock();
    before(0, step(n), destroy);
    result.isOver = false;
  };
  const destroy = () => {
    if (!thirds.tryLock()) return;
    thirds.unlock();
    thirds.destroy();
    result.isDestroyed = true;
    // A wake-up at an address that is somebody else's by then is a spurious one.
    const isTouch = (at: number, op: string) => op !== 'wake' && at >= lock.address && at < lock.address + LINE;
    before(
      0,
      ({ op, address }) => {
        if (isTouch(address, op)) result.touched ||= `${op} of word ${address - lock.address}`;
        return false;
      },
      () => {},
    );
  };
  before(0, step(m), giveUp);
  try {
    lock.unlock();
    result.isOver = cancel(0) && !result.isDestroyed;
    if (result.isOver && result.gaveUp) destroy();
  } catch (error) {
    // A thread that would have to wait for thread 0 is not as far as that, or finds others in the queue.
    if (!(error instanceof Hang) && (error as { code?: string }).code !== 'EBUSY') throw error;
  }
  return result;
}

test.each(LOCKS)('%s: unlock touches the lock after it has released it', (...row) => {
  let destroyed = 0;
  for (let [m, n] = [1, 1]; ; n++) {
    const { gaveUp, isOver, isDestroyed, touched } = scene(row, m, n);
    if (!gaveUp) break;
    if (isOver) [m, n] = [m + 1, 0];
    if (isDestroyed) destroyed++;
    expect(touched, `gives up before step ${m}, destroys ${n} later`).toBe('');
  }
  expect(destroyed).toBeGreaterThan(0);
});
