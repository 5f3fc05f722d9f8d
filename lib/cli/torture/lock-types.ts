import { mcsLockBusted } from './busted/mcs-lock.ts';
import { mutexBusted } from './busted/mutex.ts';
import { mutexAmnesiac } from './busted/mutex-amnesiac.ts';
import { osqLockBusted } from './busted/osq-lock.ts';
import {
  futexMutexBusted,
  piFutexBusted,
  pthreadCondBusted,
  pthreadMutexBusted,
  pthreadRwlockBusted,
} from './busted/pthread.ts';
import { rtMutexBusted, rwLockBusted, seqLockBusted, wwMutexBusted } from './busted/rt-mutex.ts';
import { percpuRwSemaphoreBusted, rwSemaphoreBusted, semaphoreBusted } from './busted/rw-semaphore.ts';
import { spinLockBusted } from './busted/spin-lock.ts';
import { ticketLockBusted } from './busted/ticket-lock.ts';
import type { LockType } from './lock-type.ts';
import { futexMutex, piFutex } from './types/futex-mutex.ts';
import { mcsLock } from './types/mcs-lock.ts';
import { mutex } from './types/mutex.ts';
import { osqLock } from './types/osq-lock.ts';
import { pthreadCond } from './types/pthread-cond.ts';
import { pthreadMutex } from './types/pthread-mutex.ts';
import { pthreadRwlock } from './types/pthread-rwlock.ts';
import { rtMutex } from './types/rt-mutex.ts';
import { rwLock } from './types/rw-lock.ts';
import { percpuRwSemaphore, rwSemaphore } from './types/rw-semaphore.ts';
import { semaphore } from './types/semaphore.ts';
import { seqLock } from './types/seq-lock.ts';
import { spinLock } from './types/spin-lock.ts';
import { ticketLock } from './types/ticket-lock.ts';
import { wwMutex } from './types/ww-mutex.ts';

/** All that `holdfast torture` can be asked for. */
export const LOCK_TYPES: readonly LockType[] = [
  mutex,
  spinLock,
  mcsLock,
  ticketLock,
  osqLock,
  seqLock,
  rwLock,
  rtMutex,
  wwMutex,
  semaphore,
  rwSemaphore,
  percpuRwSemaphore,
  futexMutex,
  piFutex,
  pthreadMutex,
  pthreadCond,
  pthreadRwlock,
  mutexBusted,
  mutexAmnesiac,
  spinLockBusted,
  mcsLockBusted,
  ticketLockBusted,
  osqLockBusted,
  seqLockBusted,
  rwLockBusted,
  rtMutexBusted,
  wwMutexBusted,
  semaphoreBusted,
  rwSemaphoreBusted,
  percpuRwSemaphoreBusted,
  futexMutexBusted,
  piFutexBusted,
  pthreadMutexBusted,
  pthreadCondBusted,
  pthreadRwlockBusted,
];

export function lockTypeNamed(name: string): LockType | undefined {
  return LOCK_TYPES.find((type) => type.name === name);
}
