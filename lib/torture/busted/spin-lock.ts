import { pvWait } from '../../sched/schedule.ts';
import { finishPark, prepareToPark, unpark } from '../../sched/task.ts';
import { bustedType, RING } from './busted-type.ts';

const NEXT = 0;
const SERVING = 1;
const SLEEPERS = 2;
const SPINS = 100;
const FORGETFUL_EVERY = 64;

const is = (value: number, ticket: number) => value === ticket;

export const spinLockBusted = bustedType(
  'spin-lock-busted',
  'hands over in order, but forgets to wake who is next once in 64 times',
  ({ cpu, thread }, lock) => ({
    lock() {
      const ticket = cpu.fetchAdd(lock + NEXT, 1);
      if (cpu.condLoadAcquire(lock + SERVING, is, ticket, SPINS) === ticket) return true;
      cpu.store(lock + SLEEPERS + (ticket % RING), thread.self);
      for (;;) {
        prepareToPark(cpu, thread.self);
        if (cpu.loadAcquire(lock + SERVING) === ticket) break;
        pvWait(cpu, thread.self);
      }
      finishPark(cpu, thread.self);
      return true;
    },
    unlock() {
      const next = cpu.fetchAdd(lock + SERVING, 1) + 1;
      const sleeper = cpu.xchg(lock + SLEEPERS + (next % RING), 0);
      if (sleeper !== 0 && next % FORGETFUL_EVERY !== 0) unpark(cpu, sleeper);
    },
  }),
);
