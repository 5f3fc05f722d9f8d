import { type Arena, Mutex } from '../../lib/index.ts';
import { say } from '../support/stage.ts';

function told(arena: Arena, stage: number, value: number): void {
  for (;;) {
    const seen = Atomics.load(arena.words, stage);
    if (seen === value) return;
    Atomics.wait(arena.words, stage, seen);
  }
}

/** Holds the mutex from 1 at `stage` to 2. */
export function hold(arena: Arena, name: string, stage: number): void {
  const mutex = new Mutex(arena, name);
  mutex.lock();
  say(arena, stage, 1);
  told(arena, stage, 2);
  mutex.unlock();
}

/** Says 1 at `stage` when it has had the mutex. */
export function take(arena: Arena, name: string, stage: number): void {
  const mutex = new Mutex(arena, name);
  mutex.lock();
  mutex.unlock();
  say(arena, stage, 1);
}

/** Releases the mutex twice, and takes it again at once: after 2 at `stage`, and after 4. Says 1, 3 and 5. */
export function holdThrice(arena: Arena, name: string, stage: number): void {
  const mutex = new Mutex(arena, name);
  for (const turn of [1, 3, 5]) {
    mutex.lock();
    say(arena, stage, turn);
    if (turn < 5) told(arena, stage, turn + 1);
    mutex.unlock();
  }
}
