/**
 * Who hears that a thread waits: the contention profile, which is a room above. While nobody watches the arena, a slow path
 * pays for that with one load, and a fast path with nothing.
 *
 *   contend       a call that may spin before it sleeps, and knows its lock: from its first step to its last
 *   takeWait      `block` and `blockAsync`: the wait that `contend` has begun, or one of their own
 *   noteSleep     the path sleeps; what the task has lined up for is known by then
 *   concludeWait  the call comes back. What it waited for is not destroyed before (`Task.within`), and can be named
 *
 * The word `Header.profile` says whether somebody watches. A thread that reads another number there than that of the watch
 * it has asks for a new one, so a profile reaches all threads by one store, and a thread learns of it in its next slow path.
 */
import { Header } from '../memory/header.ts';
import { lookForObserver } from './lock-observer.ts';
import { Task } from './task.ts';
import type { Thread } from './thread.ts';
import type { Wait, WaitForm, Watch } from './watch.ts';

export const ALONE: WaitForm = { async: false, shared: false };
export const SHARED: WaitForm = { async: false, shared: true };
export const ASYNC_ALONE: WaitForm = { async: true, shared: false };
export const ASYNC_SHARED: WaitForm = { async: true, shared: true };

type OpenWatch = (thread: Thread, session: number) => Watch;

let openWatch: OpenWatch | undefined;

/** Declares how a thread watches itself: once, when the room that does so is loaded. A thread without it tells nothing. */
export function defineWatch(open: OpenWatch): void {
  if (openWatch !== undefined) throw new Error('a watch is defined once');
  openWatch = open;
}

/** The thread's watch, or undefined while nobody watches the arena. It also learns here that somebody observes it. */
function watching(thread: Thread): Watch | undefined {
  lookForObserver(thread);
  if (openWatch === undefined) return undefined;
  // Pairs with the exchange in `startSession`: what the profile writes to is ready.
  const session = thread.cpu.loadAcquire(Header.profile);
  if (session === 0) return undefined;
  if (thread.watch?.session !== session) thread.watch = openWatch(thread, session);
  return thread.watch;
}

/** Runs the slow path `acquire` of a synchronous call for `object`, which spins, and may go on to `block`. */
export function contend<Outcome>(thread: Thread, object: number, form: WaitForm, acquire: () => Outcome): Outcome {
  const wait = watching(thread)?.begin(object, form);
  if (wait === undefined) return acquire();
  thread.wait = wait;
  let isOver = false;
  let outcome: Outcome;
  try {
    outcome = acquire();
  } finally {
    // Illegal to leave it when the call throws: the thread's next one would take it for its own.
    isOver = thread.wait === wait;
    if (isOver) thread.wait = undefined;
  }
  if (isOver) wait.watch.end(wait, outcome);
  return outcome;
}

/** The next `blockAsync` of this thread, in this step, is for `object`. */
export function announce(thread: Thread, object: number, form: WaitForm): void {
  thread.wait = watching(thread)?.begin(object, form);
}

/** The wait of a call that begins to block, which calls `concludeWait` when it is over; undefined while nobody watches. */
export function takeWait(thread: Thread, form: WaitForm): Wait | undefined {
  const begun = thread.wait;
  if (begun === undefined) return watching(thread)?.begin(0, form);
  // What runs in the middle of this call, such as a condition, waits in its own name.
  thread.wait = undefined;
  return begun;
}

/** The call's task is about to sleep. */
export function noteSleep({ cpu }: Thread, task: number, wait: Wait): void {
  if (wait.slept) return;
  wait.slept = true;
  if (wait.object === 0) wait.object = cpu.load(task + Task.within);
  wait.watch.sleeps(wait);
}

/** The call's path has come to its end; its task has not said yet that it is done with the object. */
export function concludeWait({ cpu }: Thread, task: number, wait: Wait, outcome: unknown): void {
  if (wait.object === 0) wait.object = cpu.load(task + Task.within);
  wait.watch.end(wait, outcome);
}
