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

/** How often a thread with tasks on its event loop looks whether a holder has died, ms. */
const LOOK_MS = 100;

// One listener for each signal: any number of acquisitions may wait with the same one.
const aborts = new WeakMap<AbortSignal, Set<() => void>>();

/** `call` is called when `signal` aborts, inside `abort()`. */
export function onAbort(signal: AbortSignal, abort: () => void): void {
  const calls = aborts.get(signal);
  if (calls !== undefined) {
    calls.add(abort);
    return;
  }
  const all = new Set([abort]);
  aborts.set(signal, all);
  signal.addEventListener('abort', () => all.forEach((call) => void call()), { once: true });
}

/** The signal's abort does not concern `call` any more. */
export function offAbort(signal: AbortSignal, call: () => void): void {
  aborts.get(signal)?.delete(call);
}

// A pending Atomics.waitAsync does not keep the process alive, so a timer does while anybody waits. It also does for
// tasks on the event loop what `onStall` does for a thread that sleeps: nobody else may find out that a holder has died.
const sleepers = new Map<Cpu, number>();
let timer: NodeJS.Timeout | undefined;

/** Keeps the process alive until `releaseEventLoop`. */
export function holdEventLoop(cpu: Cpu): void {
  if (sleepers.size === 0) timer = setInterval(lookForDead, LOOK_MS);
  sleepers.set(cpu, (sleepers.get(cpu) ?? 0) + 1);
}

function lookForDead(): void {
  for (const cpu of sleepers.keys()) cpu.onStall?.(false);
}

export function releaseEventLoop(cpu: Cpu): void {
  const count = (sleepers.get(cpu) as number) - 1;
  if (count > 0) sleepers.set(cpu, count);
  else sleepers.delete(cpu);
  if (sleepers.size === 0) clearInterval(timer);
}

const DONE = Promise.resolve();

/** Calls `end` when the synchronous code that runs now has come to its end: the stack is empty then. */
export function afterStretch(end: () => void): void {
  // Half the price of queueMicrotask.
  void DONE.then(end);
}
