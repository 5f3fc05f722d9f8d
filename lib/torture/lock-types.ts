import { mcsLockBusted } from './busted/mcs-lock.ts';
import { mutexBusted } from './busted/mutex.ts';
import { mutexAmnesiac } from './busted/mutex-amnesiac.ts';
import { osqLockBusted } from './busted/osq-lock.ts';
import { spinLockBusted } from './busted/spin-lock.ts';
import { ticketLockBusted } from './busted/ticket-lock.ts';
import { TWINS } from './busted/twins.ts';
import type { LockType } from './lock-type.ts';
import { futexMutex, piFutex } from './types/futex-mutex.ts';
import { mapleTree } from './types/maple-tree.ts';
import { mutex, pthreadMutex, pthreadMutexInherit } from './types/mutex.ts';
import { osqLock } from './types/osq-lock.ts';
import { percpuRef } from './types/percpu-ref.ts';
import { pthreadBarrier } from './types/pthread-barrier.ts';
import { pthreadCond } from './types/pthread-cond.ts';
import { pthreadOnce } from './types/pthread-once.ts';
import { rcu, rcuQsbr, srcu, tasks } from './types/rcu.ts';
import { percpuRwSemaphore, pthreadRwlock, rwLock, rwSemaphore } from './types/reader-writer.ts';
import { rtMutex } from './types/rt-mutex.ts';
import { semaphore } from './types/semaphore.ts';
import { seqCount, seqCountLatch, seqLock } from './types/sequence.ts';
import { sharedCache } from './types/shared-cache.ts';
import { sharedMap } from './types/shared-map.ts';
import { mcsLock, spinLock, ticketLock } from './types/spinning.ts';
import { completion, pthreadSem } from './types/token.ts';
import { vdso } from './types/vdso.ts';
import { waitQueue } from './types/wait-queue.ts';
import { work } from './types/work.ts';
import { workqueue } from './types/workqueue.ts';
import { wwMutex } from './types/ww-mutex.ts';
import { xarray } from './types/xarray.ts';

/** All that `holdfast torture` can be asked for. */
export const LOCK_TYPES: readonly LockType[] = [
  mutex,
  spinLock,
  mcsLock,
  ticketLock,
  osqLock,
  seqLock,
  seqCount,
  seqCountLatch,
  rwLock,
  rtMutex,
  wwMutex,
  semaphore,
  rwSemaphore,
  percpuRwSemaphore,
  completion,
  waitQueue,
  futexMutex,
  piFutex,
  pthreadMutex,
  pthreadMutexInherit,
  pthreadCond,
  pthreadRwlock,
  pthreadSem,
  pthreadBarrier,
  pthreadOnce,
  rcu,
  rcuQsbr,
  srcu,
  tasks,
  percpuRef,
  xarray,
  mapleTree,
  vdso,
  sharedMap,
  sharedCache,
  work,
  workqueue,
  mutexBusted,
  mutexAmnesiac,
  spinLockBusted,
  mcsLockBusted,
  ticketLockBusted,
  osqLockBusted,
  ...TWINS,
];

export function lockTypeNamed(name: string): LockType | undefined {
  return LOCK_TYPES.find((type) => type.name === name);
}
