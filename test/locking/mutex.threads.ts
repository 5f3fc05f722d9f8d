import { type Arena, Mutex } from '../../lib/index.ts';
import { bump, codeOf, type Ending, end, holdUntilTold, say, sayAndStay } from '../support/stage.ts';

/** Says 1 at `stage` when it holds the mutex, and keeps it until `stage` is 2. */
export function hold(arena: Arena, name: string, stage: number): void {
  const mutex = new Mutex(arena, name);
  mutex.lock();
  holdUntilTold(arena, stage);
  mutex.unlock();
}

/** Takes the mutex, and never lets go. */
export function holdForEver(arena: Arena, name: string, stage: number): Promise<never> {
  new Mutex(arena, name).lock();
  return sayAndStay(arena, stage);
}

/** Takes the mutex and ends: by an error, by process.exit, or by returning. */
export function holdAndEnd(arena: Arena, name: string, how: Ending): void {
  new Mutex(arena, name).lock();
  end(how);
}

/** Waits for the mutex; `stage` is 1 just before. */
export function waitFor(arena: Arena, name: string, stage: number): boolean {
  const mutex = new Mutex(arena, name);
  say(arena, stage, 1);
  const held = mutex.acquire();
  const { ownerDied } = held;
  if (ownerDied) held.makeConsistent();
  held.release();
  return ownerDied;
}

/** Adds to two words that must stay equal, holding the mutex, synchronously or asynchronously by turns. */
export async function count(arena: Arena, name: string, record: number, times: number): Promise<number> {
  const mutex = new Mutex(arena, name);
  let torn = 0;
  for (let i = 0; i < times; i++) {
    const held = i % 3 === 0 ? await mutex.acquireAsync() : mutex.acquire();
    torn += bump(arena, record);
    held.release();
  }
  return torn;
}

/** The code of the error that unlocking throws here. */
export function unlockElsewhere(arena: Arena, name: string): string {
  return codeOf(() => new Mutex(arena, name).unlock());
}
