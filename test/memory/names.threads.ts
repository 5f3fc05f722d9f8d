import { type Arena, Mutex } from '../../lib/index.ts';

/** Waits for all threads, then opens `count` names; returns the addresses. */
export function openAll(arena: Arena, barrier: number, threads: number, count: number): number[] {
  Atomics.add(arena.words, barrier, 1);
  Atomics.notify(arena.words, barrier);
  // Asleep: those that wait would take the processors from those that start.
  for (let here = 0; (here = Atomics.load(arena.words, barrier)) < threads; ) Atomics.wait(arena.words, barrier, here);
  return Array.from({ length: count }, (_, i) => new Mutex(arena, `name ${i}`).address);
}
