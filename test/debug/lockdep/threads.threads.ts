/** What the threads of `threads.test.ts` do. */
import { type Arena, Mutex, SpinLock } from '../../../lib/index.ts';

/** Takes the two mutexes of these names, one inside the other, so many times. */
export function nest(arena: Arena, outer: string, inner: string, times: number): void {
  const [first, second] = [new Mutex(arena, outer), new Mutex(arena, inner)];
  for (let i = 0; i < times; i++) first.runExclusive(() => second.runExclusive(() => {}));
}

/** Takes pairs of locks whose names nobody else has, and so adds to the tables, until it is killed. */
export function addForEver(arena: Arena, seed: number): void {
  for (let i = 0; ; i++) {
    const names = [`${letters(seed)} ${letters(i)}`, `${letters(seed)} ${letters(i + 1)}`];
    const [first, second] = names.map((name) => new SpinLock(arena, name)) as [SpinLock, SpinLock];
    first.runExclusive(() => second.runExclusive(() => {}));
    first.destroy();
  }
}

/** Digits do not tell classes apart. */
function letters(number: number): string {
  return [...String(number)].map((digit) => 'abcdefghij'[Number(digit)]).join('');
}

/** Ends with a lock in hand. */
export function leaveHeld(arena: Arena): void {
  new Mutex(arena, 'kept').lock();
}
