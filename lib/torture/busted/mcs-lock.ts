import { bustedType } from './busted-type.ts';

const isFree = (value: number) => value === 0;

export const mcsLockBusted = bustedType(
  'mcs-lock-busted',
  'a waiter that has waited long takes it that it has been granted the lock',
  ({ cpu }, word) => ({
    lock() {
      for (let attempts = 0; attempts < 50; attempts++) {
        cpu.condLoad(word, isFree, 0, 100);
        if (cpu.cmpxchgAcquire(word, 0, 1) === 0) break;
      }
      return true;
    },
    unlock() {
      cpu.storeRelease(word, 0);
    },
  }),
);
