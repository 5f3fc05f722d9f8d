import type { Arena } from '../../lib/index.ts';

export const cpuNumber = (arena: Arena) => arena.thread.number;

/** Says that it is attached, and stays. */
export function holdPlace(arena: Arena, ready: number): Promise<never> {
  Atomics.store(arena.words, ready, 1);
  Atomics.notify(arena.words, ready);
  setInterval(() => {}, 1000);
  return new Promise(() => {});
}
