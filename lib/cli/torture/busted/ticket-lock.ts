import { bustedType } from './busted-type.ts';

const NEXT = 0;
const SERVING = 1;

/** Loads between the two steps: at a few instructions, two seldom meet there. */
const GAP = 200;

const isTaken = (next: number, ticket: number) => next !== ticket;
const isReached = (serving: number, ticket: number) => ((serving - ticket) | 0) >= 0;

export const ticketLockBusted = bustedType(
  'ticket-lock-busted',
  'reads the next ticket, and then counts it up: two threads can draw the same',
  ({ cpu }, lock) => ({
    lock() {
      const ticket = cpu.load(lock + NEXT);
      cpu.condLoad(lock + NEXT, isTaken, ticket, GAP);
      cpu.store(lock + NEXT, (ticket + 1) | 0);
      cpu.condLoadAcquire(lock + SERVING, isReached, ticket, Number.POSITIVE_INFINITY);
      return true;
    },
    unlock() {
      cpu.fetchAddRelease(lock + SERVING, 1);
    },
  }),
);
