/** What the threads of the tests in this folder do. */
import { type Arena, Mutex } from '../../../lib/index.ts';

/** Takes and releases the mutex of that name until it is killed. */
export function lockForEver(arena: Arena, name: string): void {
  const mutex = new Mutex(arena, name);
  for (;;) mutex.runExclusive(() => {});
}

/** Takes and releases it so many times. */
export function lockTimes(arena: Arena, name: string, times: number): void {
  const mutex = new Mutex(arena, name);
  for (let i = 0; i < times; i++) mutex.runExclusive(() => {});
}

/** Takes it, says at `ready` that it has it, and keeps it until it is told there to go on. */
export function keep(arena: Arena, name: string, ready: number): void {
  const mutex = new Mutex(arena, name);
  mutex.lock();
  Atomics.store(arena.words, ready, 1);
  Atomics.notify(arena.words, ready);
  while (Atomics.load(arena.words, ready) !== 2) Atomics.wait(arena.words, ready, 1);
  mutex.unlock();
}

/** Loops on a mutex of its own until `stop` is set, and says at `turns` how often. */
export function loop(arena: Arena, name: string, stop: number): number {
  const mutex = new Mutex(arena, name);
  let turns = 0;
  for (; Atomics.load(arena.words, stop) === 0; turns++) mutex.runExclusive(() => {});
  return turns;
}
