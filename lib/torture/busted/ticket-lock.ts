import { bustedType, GAP } from './busted-type.ts';

const NEXT = 0;
const SERVING = 1;

const isReached = (serving: number, ticket: number) => ((serving - ticket) | 0) >= 0;

export const ticketLockBusted = bustedType(
  'ticket-lock-busted',
  'reads the next ticket, and then counts it up: two threads can draw the same',
  ({ cpu }, lock) => ({
    lock() {
      const ticket = cpu.load(lock + NEXT);
      cpu.wait(lock + NEXT, ticket, cpu.now() + GAP);
      cpu.store(lock + NEXT, (ticket + 1) | 0);
      cpu.condLoadAcquire(lock + SERVING, isReached, ticket, Number.POSITIVE_INFINITY);
      return true;
    },
    unlock() {
      cpu.fetchAddRelease(lock + SERVING, 1);
    },
  }),
);
