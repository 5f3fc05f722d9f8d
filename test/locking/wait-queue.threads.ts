import { type Arena, WaitQueue } from '../../lib/index.ts';
import { arrive } from '../support/stage.ts';

/** Adds 1 to `stage`, waits until the word `until` is not 0, and adds 1 to `stage + 1`. */
export function waitFor(arena: Arena, name: string, until: number, stage: number, exclusive: boolean): void {
  const queue = new WaitQueue(arena, name);
  arrive(arena, stage);
  queue.wait(() => Atomics.load(arena.words, until) !== 0, { exclusive });
  arrive(arena, stage + 1);
}

/** Takes items off a counter, sleeping while there are none; stops at one that is -1. Returns how many it took. */
export function consume(arena: Arena, name: string, items: number, exclusive: boolean): number {
  const queue = new WaitQueue(arena, name);
  const { words } = arena;
  for (let taken = 0; ; ) {
    let isLast = false;
    queue.wait(
      () => {
        const left = Atomics.load(words, items);
        isLast = left < 0;
        return isLast || (left > 0 && Atomics.compareExchange(words, items, left, left - 1) === left);
      },
      { exclusive },
    );
    if (isLast) return taken;
    taken++;
  }
}
