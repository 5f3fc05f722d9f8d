import { bustedType } from './busted-type.ts';

const isFree = (value: number) => value === 0;

export const osqLockBusted = bustedType(
  'osq-lock-busted',
  'a spinner that gives up takes the holder out of the queue, instead of itself',
  ({ cpu }, word) => ({
    lock() {
      if (cpu.cmpxchgAcquire(word, 0, 1) === 0) return true;
      if (cpu.condLoadAcquire(word, isFree, 0, 1000) === 0) return cpu.cmpxchgAcquire(word, 0, 1) === 0;
      cpu.storeRelease(word, 0);
      return false;
    },
    unlock() {
      cpu.storeRelease(word, 0);
    },
  }),
);
