import { type Arena, Mutex } from '../../lib/index.ts';

/** Says 1 at `stage` when it holds the mutex, and keeps it until `stage` is 2. */
export function hold(arena: Arena, name: string, stage: number): void {
  const mutex = new Mutex(arena, name);
  mutex.lock();
  say(arena, stage, 1);
  while (Atomics.load(arena.words, stage) < 2) Atomics.wait(arena.words, stage, 1, 1000);
  mutex.unlock();
}

/** Takes the mutex, and never lets go. */
export function holdForEver(arena: Arena, name: string, stage: number): Promise<never> {
  new Mutex(arena, name).lock();
  say(arena, stage, 1);
  setInterval(() => {}, 1000);
  return new Promise(() => {});
}

/** Takes the mutex and ends: by an error, by process.exit, or by returning. */
export function holdAndEnd(arena: Arena, name: string, how: 'throw' | 'exit' | 'return'): void {
  new Mutex(arena, name).lock();
  if (how === 'throw') throw new Error('crashed on purpose');
  if (how === 'exit') process.exit(3);
}

/** Waits for the mutex; `stage` is 1 just before. */
export function waitFor(arena: Arena, name: string, stage: number): boolean {
  const mutex = new Mutex(arena, name);
  say(arena, stage, 1);
  const held = mutex.acquire();
  const { ownerDied } = held;
  if (ownerDied) held.makeConsistent();
  held.release();
  return ownerDied;
}

/** Adds to two words that must stay equal, holding the mutex, synchronously or asynchronously by turns. */
export async function count(arena: Arena, name: string, record: number, times: number): Promise<number> {
  const mutex = new Mutex(arena, name);
  const { words } = arena;
  let torn = 0;
  for (let i = 0; i < times; i++) {
    const held = i % 3 === 0 ? await mutex.acquireAsync() : mutex.acquire();
    const value = words[record] as number;
    if (words[record + 1] !== value) torn++;
    words[record] = value + 1;
    words[record + 1] = value + 1;
    held.release();
  }
  return torn;
}

/** The code of the error that unlocking throws here. */
export function unlockElsewhere(arena: Arena, name: string): string {
  try {
    new Mutex(arena, name).unlock();
  } catch (error) {
    return (error as { code: string }).code;
  }
  return 'none';
}

function say(arena: Arena, stage: number, value: number): void {
  Atomics.store(arena.words, stage, value);
  Atomics.notify(arena.words, stage);
}
