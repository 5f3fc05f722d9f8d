import { type Arena, Mutex } from '../../lib/index.ts';

/** Waits for all threads, then opens `count` names; returns the addresses. */
export function openAll(arena: Arena, barrier: number, threads: number, count: number): number[] {
  Atomics.add(arena.words, barrier, 1);
  while (Atomics.load(arena.words, barrier) < threads);
  return Array.from({ length: count }, (_, i) => new Mutex(arena, `name ${i}`).address);
}
