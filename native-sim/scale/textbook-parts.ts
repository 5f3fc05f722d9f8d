/** What the locks of the textbooks have in common: what one of them is, and the queue of MCS, which several are made of. */
import type { Cpu } from '../../lib/machine/cpu.ts';

export interface TextbookLock {
  /** `isReader`: of a lock that knows readers. */
  lock(isReader?: boolean): void;
  unlock(isReader?: boolean): void;
}

export interface Place {
  /** Of the lock's own memory; `textbookWords` says how much. */
  base: number;
  me: number;
  threads: number;
  /** Threads that share a cohort: those of one socket. */
  perCohort: number;
  /** Stays away from memory for as long as so many turns of a spin loop take. */
  pause(turns: number): void;
}

export type Maker = (cpu: Cpu, place: Place) => TextbookLock;

export const isZero = (value: number) => value === 0;
export const isNotZero = (value: number) => value !== 0;
export const equals = (value: number, arg: number) => value === arg;
export const isFree = (value: number, mask: number) => (value & mask) === 0;
export const FOREVER = Number.POSITIVE_INFINITY;

/** An MCS queue at `tail`; the node is `next` and `locked`. */
export function mcsLock(cpu: Cpu, tail: number, node: number): void {
  cpu.store(node, 0);
  cpu.store(node + 1, 1);
  const prev = cpu.xchg(tail, node);
  if (prev === 0) return;
  cpu.storeRelease(prev, node);
  cpu.condLoadAcquire(node + 1, isZero, 0, FOREVER);
}

export function mcsUnlock(cpu: Cpu, tail: number, node: number): void {
  let next = cpu.loadAcquire(node);
  if (next === 0) {
    if (cpu.cmpxchgRelease(tail, node, 0) === node) return;
    next = cpu.condLoadAcquire(node, isNotZero, 0, FOREVER);
  }
  cpu.storeRelease(next + 1, 0);
}
