import { mcsLockBusted } from './busted/mcs-lock.ts';
import { mutexBusted } from './busted/mutex.ts';
import { mutexAmnesiac } from './busted/mutex-amnesiac.ts';
import { osqLockBusted } from './busted/osq-lock.ts';
import { spinLockBusted } from './busted/spin-lock.ts';
import { ticketLockBusted } from './busted/ticket-lock.ts';
import type { LockType } from './lock-type.ts';
import { mcsLock } from './types/mcs-lock.ts';
import { mutex } from './types/mutex.ts';
import { osqLock } from './types/osq-lock.ts';
import { spinLock } from './types/spin-lock.ts';
import { ticketLock } from './types/ticket-lock.ts';

/** All that `holdfast torture` can be asked for. */
export const LOCK_TYPES: readonly LockType[] = [
  mutex,
  spinLock,
  mcsLock,
  ticketLock,
  osqLock,
  mutexBusted,
  mutexAmnesiac,
  spinLockBusted,
  mcsLockBusted,
  ticketLockBusted,
  osqLockBusted,
];

export function lockTypeNamed(name: string): LockType | undefined {
  return LOCK_TYPES.find((type) => type.name === name);
}
