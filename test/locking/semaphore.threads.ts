import { type Arena, Semaphore } from '../../lib/index.ts';
import { arrive, type Ending, end, holdUntilTold, say, stay } from '../support/stage.ts';

/** Takes `permits`, says 1 at `stage`, and keeps them until `stage` is 2. */
export function hold(arena: Arena, name: string, permits: number, stage: number): void {
  using _held = new Semaphore(arena, name).acquire({ permits });
  holdUntilTold(arena, stage);
}

/** Takes a permit with a guard, on the event loop or not, and ends or waits to be ended. */
export async function holdAndEnd(
  arena: Arena,
  name: string,
  how: Ending | 'wait' | 'async',
  stage: number,
): Promise<void> {
  const semaphore = new Semaphore(arena, name);
  if (how === 'async') await semaphore.acquireAsync();
  else semaphore.acquire();
  say(arena, stage, 1);
  if (how !== 'wait' && how !== 'async') return end(how);
  await stay();
}

/** Waits for permits; adds 1 to `stage` just before, and to `stage + 1` when it has them. Gives nothing back. */
export function waitFor(arena: Arena, name: string, permits: number, stage: number): void {
  const semaphore = new Semaphore(arena, name);
  arrive(arena, stage);
  semaphore.down({ permits });
  arrive(arena, stage + 1);
}

/** Takes one to three permits at a time, in all ways there are; returns how often more were out than there are. */
export async function churn(arena: Arena, name: string, total: number, taken: number, times: number): Promise<number> {
  const semaphore = new Semaphore(arena, name);
  const { words } = arena;
  let excess = 0;
  for (let i = 0; i < times; i++) {
    const permits = 1 + (i % total);
    const enter = () => {
      if (Atomics.add(words, taken, permits) + permits > total) excess++;
    };
    const leave = () => void Atomics.sub(words, taken, permits);
    if (i % 4 === 0) {
      const held = await semaphore.acquireAsync({ permits });
      enter();
      leave();
      held.release();
    } else if (i % 4 === 1) {
      using _held = semaphore.acquire({ permits });
      enter();
      leave();
    } else if (i % 4 === 2) {
      semaphore.down({ permits });
      enter();
      leave();
      semaphore.up(permits);
    } else if (semaphore.tryDown()) {
      if (Atomics.add(words, taken, 1) + 1 > total) excess++;
      Atomics.sub(words, taken, 1);
      semaphore.up();
    }
  }
  return excess;
}

/** Takes and gives a permit with a guard until it is killed, with others waiting. */
export function churnForEver(arena: Arena, name: string, stage: number): void {
  const semaphore = new Semaphore(arena, name);
  say(arena, stage, 1);
  for (;;) {
    const held = semaphore.acquire();
    held.release();
  }
}
