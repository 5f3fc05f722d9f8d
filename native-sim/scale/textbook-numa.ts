/**
 * Queue locks that keep the lock on a socket for a while: a cohort of MCS locks (Dice, Marathe, Shavit 2012), and the compact
 * one (Dice and Kogan 2019), which needs one word for all sockets.
 */
import { LINE_WORDS } from '../machine/caches.ts';
import { FOREVER, isNotZero, type Maker, mcsLock, mcsUnlock } from './textbook-parts.ts';

/** How often a cohort may pass the lock on among its own. */
const COHORT_BOUND = 64;

/**
 * C-BO-MCS would back off at the global lock; this is C-MCS-MCS. The head of a socket's queue takes the global lock for
 * its socket, and hands both to its successor (`locked` 2) as long as there is one, up to the bound.
 */
export const cohort: Maker = (cpu, { base, me, threads, perCohort }) => {
  const socket = Math.floor(me / perCohort);
  const sockets = Math.ceil(threads / perCohort);
  const line = (number: number) => base + LINE_WORDS * number;
  const node = line(1 + me);
  const tail = line(1 + threads + socket);
  const globalNode = line(1 + threads + sockets + socket);
  const passed = tail + 1;
  return {
    lock() {
      cpu.store(node, 0);
      cpu.store(node + 1, 0);
      const prev = cpu.xchg(tail, node);
      if (prev !== 0) {
        cpu.storeRelease(prev, node);
        if (cpu.condLoadAcquire(node + 1, isNotZero, 0, FOREVER) === 2) return;
      }
      cpu.store(passed, 0);
      mcsLock(cpu, base, globalNode);
    },
    unlock() {
      let next = cpu.loadAcquire(node);
      const turns = cpu.load(passed);
      if (next !== 0 && turns < COHORT_BOUND) {
        cpu.store(passed, turns + 1);
        cpu.storeRelease(next + 1, 2);
        return;
      }
      mcsUnlock(cpu, base, globalNode);
      if (next === 0) {
        if (cpu.cmpxchgRelease(tail, node, 0) === node) return;
        next = cpu.condLoadAcquire(node, isNotZero, 0, FOREVER);
      }
      cpu.storeRelease(next + 1, 1);
    },
  };
};

/** One of so many releases of a thread lets the other sockets go first. */
const CNA_BOUND = 1024;

/**
 * CNA. A node is `next`, `spin`, `socket`, `last` and `turns`. A holder that finds a waiter of its own socket behind others
 * moves those to a second queue, which goes along from holder to holder: `spin` is then its first node, whose `last` is
 * its last one, and 1 where there is none. When nobody of the socket is left, or it had its turns, the second queue goes
 * in front of the first.
 */
export const cna: Maker = (cpu, { base, me, perCohort }) => {
  const node = base + LINE_WORDS * (1 + me);
  const [spin, socket, last, turns] = [1, 2, 3, 4];
  const mySocket = 1 + Math.floor(me / perCohort);
  /** The first waiter of this socket, those in front of it moved to the second queue; 0: there is none. */
  function nextOfSocket(first: number): number {
    let before = 0;
    let waiter = first;
    while (waiter !== 0 && cpu.load(waiter + socket) !== mySocket) {
      before = waiter;
      waiter = cpu.loadAcquire(waiter);
    }
    if (waiter === 0 || before === 0) return waiter;
    const second = cpu.load(node + spin);
    if (second > 1) cpu.store(cpu.load(second + last), first);
    else cpu.store(node + spin, first);
    cpu.store(before, 0);
    cpu.store((second > 1 ? second : first) + last, before);
    return waiter;
  }
  /** Nobody is behind in the first queue. Whether that is settled: the lock is free, or the second queue has it. */
  function leaveEmpty(): boolean {
    const second = cpu.load(node + spin);
    if (second <= 1) return cpu.cmpxchgRelease(base, node, 0) === node;
    if (cpu.cmpxchgRelease(base, node, cpu.load(second + last)) !== node) return false;
    cpu.storeRelease(second + spin, 1);
    return true;
  }
  return {
    lock() {
      cpu.store(node, 0);
      cpu.store(node + spin, 0);
      cpu.store(node + socket, mySocket);
      const prev = cpu.xchg(base, node);
      if (prev === 0) {
        cpu.store(node + spin, 1);
        return;
      }
      cpu.storeRelease(prev, node);
      cpu.condLoadAcquire(node + spin, isNotZero, 0, FOREVER);
    },
    unlock() {
      if (cpu.loadAcquire(node) === 0) {
        if (leaveEmpty()) return;
        cpu.condLoadAcquire(node, isNotZero, 0, FOREVER);
      }
      const first = cpu.load(node);
      const turn = cpu.load(node + turns) + 1;
      cpu.store(node + turns, turn);
      const own = turn % CNA_BOUND === 0 ? 0 : nextOfSocket(first);
      const second = cpu.load(node + spin);
      if (own !== 0) cpu.storeRelease(own + spin, second);
      else if (second > 1) {
        cpu.store(cpu.load(second + last), first);
        cpu.storeRelease(second + spin, 1);
      } else cpu.storeRelease(first + spin, 1);
    },
  };
};
