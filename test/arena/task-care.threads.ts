import { type Arena, type ObjectHandle, Semaphore } from '../../lib/index.ts';
import { HELD, RELEASE, say, sayAndStay } from '../support/stage.ts';

/** A thread that nothing in it leads to its arena any more leaves that. */
export const attached: Arena[] = [];

/** Is in its event loop. */
export function idle(arena: Arena, ready: number): Promise<never> {
  attached.push(arena);
  return sayAndStay(arena, ready);
}

/** Sleeps in a synchronous call until there is a permit. */
export function sleep(arena: Arena, ready: number, handle: ObjectHandle): void {
  const semaphore = Semaphore.from(arena, handle);
  say(arena, ready, HELD);
  semaphore.down();
}

/** Neither sleeps nor comes back to its event loop until it is told to. */
export function compute(arena: Arena, ready: number): Promise<never> {
  attached.push(arena);
  say(arena, ready, HELD);
  while (Atomics.load(arena.words, ready) !== RELEASE);
  return sayAndStay(arena, ready);
}
