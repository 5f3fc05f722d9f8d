import { mcsLockBusted } from './busted/mcs-lock.ts';
import { mutexBusted } from './busted/mutex.ts';
import { mutexAmnesiac } from './busted/mutex-amnesiac.ts';
import { osqLockBusted } from './busted/osq-lock.ts';
import { futexMutexBusted, pthreadCondBusted, pthreadMutexBusted, pthreadRwlockBusted } from './busted/pthread.ts';
import { spinLockBusted } from './busted/spin-lock.ts';
import { ticketLockBusted } from './busted/ticket-lock.ts';
import type { LockType } from './lock-type.ts';
import { futexMutex } from './types/futex-mutex.ts';
import { mcsLock } from './types/mcs-lock.ts';
import { mutex } from './types/mutex.ts';
import { osqLock } from './types/osq-lock.ts';
import { pthreadCond } from './types/pthread-cond.ts';
import { pthreadMutex } from './types/pthread-mutex.ts';
import { pthreadRwlock } from './types/pthread-rwlock.ts';
import { spinLock } from './types/spin-lock.ts';
import { ticketLock } from './types/ticket-lock.ts';

/** All that `holdfast torture` can be asked for. */
export const LOCK_TYPES: readonly LockType[] = [
  mutex,
  spinLock,
  mcsLock,
  ticketLock,
  osqLock,
  futexMutex,
  pthreadMutex,
  pthreadCond,
  pthreadRwlock,
  mutexBusted,
  mutexAmnesiac,
  spinLockBusted,
  mcsLockBusted,
  ticketLockBusted,
  osqLockBusted,
  futexMutexBusted,
  pthreadMutexBusted,
  pthreadCondBusted,
  pthreadRwlockBusted,
];

export function lockTypeNamed(name: string): LockType | undefined {
  return LOCK_TYPES.find((type) => type.name === name);
}
