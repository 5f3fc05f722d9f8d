/**
 * Tells the contention profile and the trace, rooms above, that a thread waits. While nobody watches the arena, a slow path
 * pays for that with a load for each of them, and a fast path with nothing.
 *
 *   contend       a call that may spin before it sleeps, and knows its lock: from its first step to its last
 *   takeWait      `block` and `blockAsync`: the wait that `contend` has begun, or one of their own
 *   noteSleep     the path sleeps; what the task has lined up for is known by then
 *   concludeWait  the call comes back. What it waited for is not destroyed before (`Task.within`), and can be named
 *
 * A call that finds its lock free is no wait: one whose fast path was not asked, because somebody observes the thread, asks that first.
 *
 * A word of the header says whether a room watches. A thread that reads another number there than that of the watch
 * it has asks for a new one, so a profile reaches all threads by one store, and a thread learns of it in its next slow path.
 */
import { lookForObserver } from './lock-observer.ts';
import { Task } from './task.ts';
import type { Thread } from './thread.ts';
import type { Wait, WaitForm, Watch } from './watch.ts';

export const ALONE: WaitForm = { async: false, shared: false };
export const SHARED: WaitForm = { async: false, shared: true };
export const ASYNC_ALONE: WaitForm = { async: true, shared: false };
export const ASYNC_SHARED: WaitForm = { async: true, shared: true };

type OpenWatch = (thread: Thread, session: number) => Watch;

const rooms: { readonly word: number; readonly open: OpenWatch }[] = [];

/**
 * Declares how a thread watches itself while `word` of the header is not 0: once for each room, when it is loaded. A thread without it
 * tells nothing.
 */
export function defineWatch(word: number, open: OpenWatch): void {
  if (rooms.some((other) => other.word === word)) throw new Error('a watch is defined once');
  rooms.push({ word, open });
}

/** The thread's watches; it learns here that somebody watches, observes or traces it. */
export function watching(thread: Thread): readonly Watch[] {
  for (const { word, open } of rooms) {
    // Pairs with the exchange by which a session starts, in `startSession`, `setTraced`: what the watch writes to is ready.
    const session = thread.cpu.loadAcquire(word);
    if (session === 0 && thread.watches.length === 0) continue;
    const known = thread.watches.find((watch) => watch.word === word);
    if ((known?.session ?? 0) === session) continue;
    known?.close?.();
    const others = thread.watches.filter((watch) => watch !== known);
    thread.watches = session === 0 ? others : [...others, open(thread, session)];
  }
  // Behind them: a watch that closes may end an observer, of which there is another one now.
  lookForObserver(thread);
  return thread.watches;
}

/** A wait that somebody watches, or undefined. */
function beginWait(thread: Thread, object: number, { async, shared }: WaitForm): Wait | undefined {
  const watches = watching(thread);
  if (watches.length === 0) return undefined;
  const task = async ? 0 : thread.self;
  const start = thread.cpu.now();
  const wait: Wait = { watches, async, shared, start, trace: undefined, task, object, holder: 0, slept: false };
  for (const watch of watches) watch.begin(wait);
  return wait;
}

function endWatched(wait: Wait, outcome: unknown): void {
  for (const watch of wait.watches) watch.end(wait, outcome);
}

/** Runs the slow path `acquire` of a synchronous call for `object`, which spins, and may go on to `block`. */
export function contend<Outcome>(thread: Thread, object: number, form: WaitForm, acquire: () => Outcome): Outcome {
  const wait = beginWait(thread, object, form);
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
  if (isOver) endWatched(wait, outcome);
  return outcome;
}

/** The next `blockAsync` of this thread, in this step, is for `object`. */
export function announce(thread: Thread, object: number, form: WaitForm): void {
  thread.wait = beginWait(thread, object, form);
}

/**
 * The wait of a call that begins to block, for `object` where it knows that, and calls `concludeWait` when it is over; undefined while
 * nobody watches.
 */
export function takeWait(thread: Thread, form: WaitForm, object = 0): Wait | undefined {
  const begun = thread.wait;
  if (begun === undefined) return beginWait(thread, object, form);
  // What runs in the middle of this call, such as a condition, waits in its own name.
  thread.wait = undefined;
  return begun;
}

/** The call's task is about to sleep. */
export function noteSleep({ cpu }: Thread, task: number, wait: Wait): void {
  if (!wait.slept) {
    wait.slept = true;
    if (wait.object === 0) wait.object = cpu.load(task + Task.within);
    for (const watch of wait.watches) watch.sleeps(wait);
  }
  for (const watch of wait.watches) watch.parks?.(wait);
}

/** It runs again. */
export function noteRun(wait: Wait): void {
  for (const watch of wait.watches) watch.resumes?.(wait);
}

/** The call's path has come to its end; its task has not said yet that it is done with the object. */
export function concludeWait({ cpu }: Thread, task: number, wait: Wait, outcome: unknown): void {
  if (wait.object === 0) wait.object = cpu.load(task + Task.within);
  endWatched(wait, outcome);
}
