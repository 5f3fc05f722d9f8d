/**
 * Deaths where they hurt: a thread stops for good before one of its own operations on shared memory, counted from a moment on. So
 * it dies in the middle of what it is at, also where that takes a microsecond once a second: in the heap, in the table of names, as
 * it attaches, as it reaps, anywhere in a lock.
 */
import { RealCpu } from '../machine/real.ts';
import { Header } from '../memory/header.ts';

/** What the thread is at when it dies. */
export const ERRANDS = ['lock', 'heap', 'names', 'reaper', 'attach', 'detach'] as const;
export type Errand = (typeof ERRANDS)[number];

/** How often a run's threads have died so. */
export type Aimed = Readonly<Record<Errand, number>>;

export function noneAimed(): Record<Errand, number> {
  return Object.fromEntries(ERRANDS.map((errand) => [errand, 0])) as Record<Errand, number>;
}

/** The most operations that it makes before: more than any errand but the reaper's has. */
const MOST: Readonly<Record<Errand, number>> = {
  lock: 60,
  heap: 76,
  names: 240,
  reaper: 1500,
  attach: 80,
  detach: 450,
};

/** Those that are no access to memory. */
const OTHERS = ['constructor', 'now', 'relax', 'ndelay'];

/** How an aim is kept in one word: never 0. */
export function aimAt(errand: Errand, draw: number): number {
  return (ERRANDS.indexOf(errand) + 1) | ((draw % MOST[errand]) << 3);
}

export function errandOf(aim: number): Errand {
  return ERRANDS[(aim & 7) - 1] as Errand;
}

/**
 * From here on the thread makes as many operations as `aim` says, or, as a reaper, as many from its first step on. `dying` is called
 * before the next one, which never comes: it must not return, and may use the machine itself.
 */
export function armFor(aim: number, dying: () => never): void {
  let left = aim >> 3;
  let counts = errandOf(aim) !== 'reaper';
  const operations = RealCpu.prototype as unknown as Record<string, (...args: unknown[]) => unknown>;
  for (const name of Object.getOwnPropertyNames(operations)) {
    const operation = operations[name];
    if (OTHERS.includes(name) || typeof operation !== 'function') continue;
    operations[name] = function (this: RealCpu, ...args) {
      if (counts && left-- === 0) dying();
      const result = operation.apply(this, args);
      counts ||= args[0] === Header.reaperLatch && name === 'cmpxchgAcquire' && result === 0;
      return result;
    };
  }
}
