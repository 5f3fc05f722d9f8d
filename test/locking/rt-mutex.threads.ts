import { type Arena, Mutex, RtMutex } from '../../lib/index.ts';
import { arrive, awaitArrivals, bump, codeOf, holdUntilTold, say, sayAndStay } from '../support/stage.ts';

/** Says 1 at `stage` when it holds the mutex, and keeps it until `stage` is 2. */
export function hold(arena: Arena, name: string, stage: number): number {
  const mutex = new RtMutex(arena, name);
  mutex.lock();
  holdUntilTold(arena, stage);
  const { priority } = arena.thread;
  mutex.unlock();
  return priority;
}

/** Takes the mutex, and never lets go. */
export function holdForEver(arena: Arena, name: string, stage: number): Promise<never> {
  new RtMutex(arena, name).lock();
  return sayAndStay(arena, stage);
}

/** Waits for the mutex; whether an owner had died. */
export function waitFor(arena: Arena, name: string, priority: number): boolean {
  arena.thread.setPriority(priority);
  const held = new RtMutex(arena, name).acquire();
  const { ownerDied } = held;
  if (ownerDied) held.makeConsistent();
  held.release();
  return ownerDied;
}

/** Gives up after `timeout` ms, and tries again until `seen` is not 0; the code of the last error. */
export function giveUp(arena: Arena, name: string, priority: number, timeout: number, seen: number): string {
  arena.thread.setPriority(priority);
  for (;;) {
    const code = codeOf(() => new RtMutex(arena, name).lock({ timeout }));
    if (Atomics.load(arena.words, seen) !== 0) return code;
  }
}

/**
 * Holds the lock `held` of the kind, if any, while it waits for `wanted`, and then notes itself in the log: a count, and
 * behind it who came when. Ends when `all` have: a thread that leaves wakes everybody once, and whoever is quicker than
 * the one who is next gets a lock that is free.
 */
export function pass(
  arena: Arena,
  kind: 'RtMutex' | 'Mutex',
  priority: number,
  held: string | undefined,
  wanted: string,
  log: number,
  stage: number,
  all: number,
): number {
  arena.thread.setPriority(priority);
  const Kind = kind === 'RtMutex' ? RtMutex : Mutex;
  const first = held === undefined ? undefined : new Kind(arena, held);
  first?.lock();
  say(arena, stage, 1);
  const second = wanted === 'queue' ? new Mutex(arena, wanted) : new Kind(arena, wanted);
  second.lock();
  const inherited = arena.thread.priority;
  Atomics.store(arena.words, log + Atomics.add(arena.words, log, 1) + 1, priority);
  second.unlock();
  first?.unlock();
  if (arena.thread.priority !== priority) throw new Error(`priority ${arena.thread.priority} is left over`);
  Atomics.notify(arena.words, log);
  for (let come = 0; (come = Atomics.load(arena.words, log)) < all; ) Atomics.wait(arena.words, log, come);
  return inherited;
}

/** Takes `first`, and when all have theirs, `second`: the error that this throws, if any. */
export function inverted(arena: Arena, first: string, second: string, ready: number, all: number): string {
  const [a, b] = [new RtMutex(arena, first), new RtMutex(arena, second)];
  a.lock();
  arrive(arena, ready);
  awaitArrivals(arena, ready, all);
  try {
    b.lock();
    b.unlock();
    return 'none';
  } catch (error) {
    return (error as Error).message;
  } finally {
    a.unlock();
  }
}

/** Adds to two words that must stay equal, holding the mutex, synchronously or asynchronously by turns. */
export async function count(arena: Arena, name: string, record: number, times: number): Promise<number> {
  const mutex = new RtMutex(arena, name);
  let torn = 0;
  for (let i = 0; i < times; i++) {
    arena.thread.setPriority(i % 5);
    const held = i % 3 === 0 ? await mutex.acquireAsync({ priority: i % 7 }) : mutex.acquire();
    torn += bump(arena, record);
    held.release();
  }
  return torn;
}

export function unlockElsewhere(arena: Arena, name: string): string {
  return codeOf(() => new RtMutex(arena, name).unlock());
}
