/** A timeout of 0 tries once: whoever spins then, or waits a moment, is late for what it does instead. */
import { expect, test } from 'vitest';
import {
  type Arena,
  Mutex,
  PercpuRwSemaphore,
  PthreadMutex,
  PthreadRwlock,
  RtMutex,
  RwSemaphore,
  Semaphore,
} from '../../lib/index.ts';
import type { Cpu } from '../../lib/machine/cpu.ts';
import { type Step, stepper } from '../support/stepper.ts';
import { thrown } from '../support/threads.ts';

const SPINS: readonly (keyof Cpu)[] = ['condLoad', 'condLoadAcquire', 'ndelay', 'relax'];
const ONCE = { timeout: 0 };

/** One thread does `hold` to the object, and another one's `call` of it has to fail. */
function row<View>(open: (arena: Arena) => View, hold: (view: View) => unknown, call: (view: View) => unknown) {
  return (here: Arena, there: Arena) => {
    hold(open(there));
    return () => call(open(here));
  };
}

const mutex = (arena: Arena) => new Mutex(arena, 'x');
const rt = (arena: Arena) => new RtMutex(arena, 'x');
const rw = (arena: Arena) => new RwSemaphore(arena, 'x');
const percpu = (arena: Arena) => new PercpuRwSemaphore(arena, 'x');
const semaphore = (arena: Arena) => new Semaphore(arena, 'x');
const posix = (arena: Arena) => new PthreadMutex(arena, 'x');
const inheriting = (arena: Arena) => new PthreadMutex(arena, 'x', { protocol: 'inherit' });
const protecting = (arena: Arena) => new PthreadMutex(arena, 'x', { protocol: 'protect', prioceiling: -1 });
const rwlock = (arena: Arena) => new PthreadRwlock(arena, 'x');

const CALLS: Record<string, (here: Arena, there: Arena) => () => unknown> = {
  'Mutex.lock': row(
    mutex,
    (lock) => lock.lock(),
    (lock) => lock.lock(ONCE),
  ),
  'RtMutex.lock': row(
    rt,
    (lock) => lock.lock(),
    (lock) => lock.lock(ONCE),
  ),
  'RwSemaphore.downRead': row(
    rw,
    (lock) => lock.downWrite(),
    (lock) => lock.downRead(ONCE),
  ),
  'RwSemaphore.downWrite': row(
    rw,
    (lock) => lock.downWrite(),
    (lock) => lock.downWrite(ONCE),
  ),
  'RwSemaphore.downWrite, behind a reader': row(
    rw,
    (lock) => lock.downRead(),
    (lock) => lock.downWrite(ONCE),
  ),
  'PercpuRwSemaphore.downRead': row(
    percpu,
    (lock) => lock.downWrite(),
    (lock) => lock.downRead(ONCE),
  ),
  'PercpuRwSemaphore.downWrite': row(
    percpu,
    (lock) => lock.downRead(),
    (lock) => lock.downWrite(ONCE),
  ),
  'Semaphore.down': row(
    semaphore,
    (lock) => lock.down(),
    (lock) => lock.down(ONCE),
  ),
  'Semaphore.acquire': row(
    semaphore,
    (lock) => lock.down(),
    (lock) => lock.acquire(ONCE),
  ),
  'PthreadMutex.lock': row(
    posix,
    (lock) => lock.lock(),
    (lock) => lock.lock(ONCE),
  ),
  'PthreadMutex.lock, inherit': row(
    inheriting,
    (lock) => lock.lock(),
    (lock) => lock.lock(ONCE),
  ),
  'PthreadMutex.lock, protect': row(
    protecting,
    (lock) => lock.lock(),
    (lock) => lock.lock(ONCE),
  ),
  'PthreadRwlock.writeLock': row(
    rwlock,
    (lock) => lock.readLock(),
    (lock) => lock.writeLock(ONCE),
  ),
};

test.each(Object.entries(CALLS))('%s spins', (_, open) => {
  const { arenas, before } = stepper(2);
  const call = open(arenas[0]!, arenas[1]!);
  let spins = 0;
  const looks = ({ op }: Step) => {
    if (SPINS.includes(op)) spins++;
    return false;
  };
  before(0, looks, () => {});
  expect(thrown(call).code).toBe('ETIMEDOUT');
  expect(spins).toBe(0);
});
