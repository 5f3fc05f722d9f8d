import type { Arena } from '../../lib/index.ts';
import { armSeat } from '../../lib/torture/actor.ts';

/** Counts its operations in the word at `counted`, until it dies as `aim` says; the seat is the stage's only one. */
export function countUntilDeath(arena: Arena, stage: number, counted: number, aim: number): void {
  const { cpu, words } = arena;
  process.on('exit', () => Atomics.store(words, counted, -1));
  armSeat(cpu, stage, 0, aim);
  for (let n = 1; ; n++) {
    cpu.load(counted);
    Atomics.store(words, counted, n);
  }
}

/** Goes on about one errand until it dies. */
export function borrowUntilDeath({ cpu, heap, thread }: Arena, stage: number, aim: number): void {
  armSeat(cpu, stage, 0, aim);
  for (;;) heap.free(heap.alloc(100, thread.nascent), thread.nascent);
}
