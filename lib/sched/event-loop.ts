/**
 * What the library asks of this thread's event loop, for whatever arena: calls for an abort, a process that stays alive
 * while somebody waits, and the point at which a stretch of synchronous code is over. Slow paths run on it in `drive.ts`.
 *
 * Nothing that runs for a task of an event loop blocks the thread: slow paths take latches by `latched`. What blocks all the
 * same is what the program calls synchronously, on any thread: `unlock`, `release` and `up` of a lock that somebody waits
 * for, `wake`, and what makes or destroys objects. It waits for a latch as long as the latch's holder takes; if that is dead,
 * until a reaper has been there, which a thread that waits calls itself where the system tells it who lives (`onStall`).
 * So does what asynchronous tasks pass on when their thread is about to sleep (`Aside`): it sleeps anyway.
 */
import type { Cpu } from '../machine/cpu.ts';
import { clearInterval, setInterval } from '../machine/host.ts';
import { type Member, Roster } from '../machine/roster.ts';

/** How often a thread with tasks on its event loop looks whether a holder has died, ms. */
const LOOK_MS = 100;

// One listener for each signal: any number of acquisitions may wait with the same one.
const aborts = new WeakMap<AbortSignal, Roster<AbortListener>>();

/** Called inside `abort()` of the signal. */
export interface AbortListener extends Member {
  abort(): void;
}

/** `listener` is told when `signal` aborts, until `offAbort`. */
export function onAbort(signal: AbortSignal, listener: AbortListener): void {
  const listeners = aborts.get(signal);
  if (listeners !== undefined) {
    listeners.add(listener);
    return;
  }
  const all = new Roster<AbortListener>();
  all.add(listener);
  aborts.set(signal, all);
  signal.addEventListener('abort', () => all.values().forEach((each) => void each.abort()), { once: true });
}

/** The signal's abort does not concern that listener any more. */
export function offAbort(signal: AbortSignal, listener: AbortListener): void {
  aborts.get(signal)?.remove(listener);
}

// A pending Atomics.waitAsync does not keep the process alive, so a timer does while anybody waits. It also does for
// tasks on the event loop what `onStall` does for a thread that sleeps: nobody else may find out that a holder has died.
//
// The timer outlives the last of them: whoever waits next finds it there, which is a tenth of the price of a new one.
const sleepers: { readonly cpu: Cpu; count: number }[] = [];
let timer: NodeJS.Timeout | undefined;

/** Keeps the process alive until `releaseEventLoop`. */
export function holdEventLoop(cpu: Cpu): void {
  const sleeper = sleepers.find((each) => each.cpu === cpu);
  if (sleeper !== undefined) {
    sleeper.count++;
    return;
  }
  sleepers.push({ cpu, count: 1 });
  if (sleepers.length > 1) return;
  if (timer === undefined) timer = setInterval(look, LOOK_MS);
  else timer.ref();
}

export function releaseEventLoop(cpu: Cpu): void {
  const place = sleepers.findIndex((each) => each.cpu === cpu);
  const sleeper = sleepers[place] as (typeof sleepers)[number];
  if (--sleeper.count > 0) return;
  sleepers.splice(place, 1);
  if (sleepers.length === 0) timer?.unref();
}

function look(): void {
  if (sleepers.length === 0) {
    clearInterval(timer);
    timer = undefined;
  }
  for (const { cpu } of [...sleepers]) cpu.onStall?.(false);
}

const DONE = Promise.resolve();

/** Calls `end` when the synchronous code that runs now has come to its end: the stack is empty then. */
export function afterStretch(end: () => void): void {
  // Half the price of queueMicrotask.
  void DONE.then(end);
}
