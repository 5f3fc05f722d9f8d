/**
 * What the threads of tests do on their stage, written once: say how far they have come, hold a lock until they are told,
 * count under it, stay until they are killed, or die. `stage` is a word of the arena; `threads.ts` is the test's side.
 */
import type { Arena } from '../../lib/index.ts';

/** A thread that holds says HELD, and holds until it is told to release. */
export const HELD = 1;
export const RELEASE = 2;

export function say({ words }: Arena, stage: number, value: number): void {
  Atomics.store(words, stage, value);
  Atomics.notify(words, stage);
}

/** One more thread has come to `stage`. */
export function arrive({ words }: Arena, stage: number): void {
  Atomics.add(words, stage, 1);
  Atomics.notify(words, stage);
}

/** Blocks until `count` threads have come to `stage`. */
export function awaitArrivals({ words }: Arena, stage: number, count: number): void {
  for (let here = Atomics.load(words, stage); here < count; here = Atomics.load(words, stage)) {
    Atomics.wait(words, stage, here);
  }
}

/** The thread holds a lock: says so, and returns when it is told to release it. */
export function holdUntilTold(arena: Arena, stage: number): void {
  say(arena, stage, HELD);
  while (Atomics.load(arena.words, stage) < RELEASE) Atomics.wait(arena.words, stage, HELD, 1000);
}

/** Keeps the thread, with all that it holds, until it is killed. */
export function stay(): Promise<never> {
  setInterval(() => {}, 1000);
  return new Promise(() => {});
}

/** The same, once it has said so. */
export function sayAndStay(arena: Arena, stage: number): Promise<never> {
  say(arena, stage, HELD);
  return stay();
}

/** How a thread ends while it holds something. */
export type Ending = 'throw' | 'exit' | 'return';

export function end(how: Ending): void {
  if (how === 'throw') throw new Error('crashed on purpose');
  if (how === 'exit') process.exit(3);
}

/** Adds to two words that stay equal as long as one thread at a time does it. Returns 1 if they were not, else 0. */
export function bump({ words }: Arena, record: number): 0 | 1 {
  const value = words[record] as number;
  words[record] = value + 1;
  const isTorn = words[record + 1] !== value;
  words[record + 1] = value + 1;
  return isTorn ? 1 : 0;
}

/** The code of the error that `call` throws, or 'none'. */
export function codeOf(call: () => unknown): string {
  try {
    call();
  } catch (error) {
    return (error as { code: string }).code;
  }
  return 'none';
}
