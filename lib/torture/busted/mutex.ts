import { bustedType, GAP } from './busted-type.ts';

const is = (value: number, wanted: number) => value === wanted;

export const mutexBusted = bustedType(
  'mutex-busted',
  'looks whether it is free, and then takes it: two steps',
  ({ cpu }, word) => ({
    lock() {
      while (cpu.condLoadAcquire(word, is, 0, 100) !== 0) cpu.wait(word, 1, Number.POSITIVE_INFINITY);
      cpu.wait(word, 0, cpu.now() + GAP);
      cpu.store(word, 1);
      return true;
    },
    unlock() {
      cpu.storeRelease(word, 0);
      cpu.wake(word, 1);
    },
  }),
);
