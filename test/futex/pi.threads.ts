import { type Arena, FUTEX_WAITERS, PiFutex } from '../../lib/index.ts';
import { arrive, bump, stay } from '../support/stage.ts';

/** As a program does it: the compare-and-exchange, and the call when that fails. */
function lock(arena: Arena, futex: PiFutex, word: number): void {
  if (Atomics.compareExchange(arena.words, word, 0, futex.tid) !== 0) futex.lockPi2(word);
}

function unlock(arena: Arena, futex: PiFutex, word: number): void {
  if (Atomics.compareExchange(arena.words, word, futex.tid, 0) !== futex.tid) futex.unlockPi(word);
}

export function increment(arena: Arena, word: number, record: number, times: number): number {
  const futex = new PiFutex(arena);
  let torn = 0;
  for (let i = 0; i < times; i++) {
    lock(arena, futex, word);
    torn += bump(arena, record);
    unlock(arena, futex, word);
  }
  return torn;
}

export function holdForEver(arena: Arena, word: number, stage: number): Promise<never> {
  lock(arena, new PiFutex(arena), word);
  arrive(arena, stage);
  return stay();
}

/** Holds the word until somebody waits for it, and then until it is as urgent as that one; its priority at the end. */
export function holdUntilBoosted(arena: Arena, word: number, stage: number, priority: number): number {
  const futex = new PiFutex(arena);
  lock(arena, futex, word);
  arrive(arena, stage);
  while (!(Atomics.load(arena.words, word) & FUTEX_WAITERS) || arena.thread.priority !== priority) {
    Atomics.wait(arena.words, stage + 1, 0, 1);
  }
  unlock(arena, futex, word);
  return arena.thread.priority;
}

export function lockWith(arena: Arena, word: number, priority: number): void {
  arena.thread.setPriority(priority);
  const futex = new PiFutex(arena);
  lock(arena, futex, word);
  unlock(arena, futex, word);
}

export function lockSecondThenFirst(arena: Arena, first: number, second: number): void {
  const futex = new PiFutex(arena);
  lock(arena, futex, second);
  lock(arena, futex, first);
  unlock(arena, futex, first);
  unlock(arena, futex, second);
}
