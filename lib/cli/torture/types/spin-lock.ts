import { SpinLock } from '../../../locking/spin-lock.ts';
import { spinningType } from './spinning.ts';

export const spinLock = spinningType(
  'spin-lock',
  'SpinLock: queued spinlock that sleeps when it has spun enough',
  SpinLock,
);
