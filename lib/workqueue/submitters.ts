/** The submitter that each thread has in an arena. */
import type { Arena } from '../arena/arena.ts';
import { Submitter } from './submitter.ts';

const submitters = new WeakMap<Arena, Submitter>();

/** Whether the calling thread has calls under way in that arena. */
export function hasOutstanding(arena: Arena): boolean {
  return (submitters.get(arena)?.outstanding ?? 0) > 0;
}

/** Queues now what functions on this thread have queued in that arena, and what waits for the end of the microtask. */
export function publishHere(arena: Arena): void {
  submitters.get(arena)?.publish();
}

/** The calling thread's submitter in that arena. */
export function submitterOf(arena: Arena): Submitter {
  let submitter = submitters.get(arena);
  if (submitter === undefined) {
    submitter = new Submitter(arena);
    submitters.set(arena, submitter);
  }
  return submitter;
}
