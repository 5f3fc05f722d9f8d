import { type Arena, McsLock, SpinLock, TicketLock } from '../../lib/index.ts';
import { arrive, bump, say, sayAndStay } from '../support/stage.ts';

export const LOCKS = { McsLock, SpinLock, TicketLock };
export type LockName = keyof typeof LOCKS;

/** Adds to a record that tears if two are inside; returns how often it was torn. */
export function count(arena: Arena, kind: LockName, record: number, times: number): number {
  const lock = new LOCKS[kind](arena, 'lock');
  let torn = 0;
  for (let i = 0; i < times; i++) {
    if (i % 4 !== 0 || !lock.tryLock()) lock.lock();
    torn += bump(arena, record);
    lock.unlock();
  }
  return torn;
}

/** Takes the lock, says so, and never lets go. */
export function holdForEver(arena: Arena, kind: LockName, stage: number): Promise<never> {
  new LOCKS[kind](arena, 'lock').lock();
  return sayAndStay(arena, stage);
}

/** Takes the lock, says so, and calls process.exit() when told. */
export function holdUntilExit(arena: Arena, kind: LockName, stage: number): void {
  new LOCKS[kind](arena, 'lock').lock();
  say(arena, stage, 1);
  Atomics.wait(arena.words, stage, 1);
  process.exit();
}

/** Takes the lock once; whether its owner had died. */
export function take(arena: Arena, kind: LockName, stage: number): boolean {
  const lock = new LOCKS[kind](arena, 'lock');
  arrive(arena, stage);
  const held = lock.acquire();
  const { ownerDied } = held;
  lock.makeConsistent();
  held.release();
  return ownerDied;
}

export function unlockElsewhere(arena: Arena, kind: LockName): string {
  try {
    new LOCKS[kind](arena, 'lock').unlock();
  } catch (error) {
    return (error as Error).message;
  }
  return 'nothing was thrown';
}
