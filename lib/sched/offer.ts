/**
 * Offer: a task of an event loop was handed what it waits for, or is the only one that may take it, and comes for it in a turn of
 * its loop, which may compute for any time first. A synchronous waiter does not sleep for that alone: it is woken beside the task
 * (`firstBehindLoop` of `wait-list.ts`), looks again after a millisecond, and takes what the task has not come for. Each time that
 * befalls a task it has twice as long as before, so one whose event loop is always busy gets its turn, too.
 *
 * An offer is a number that no other one of the same object has, with its TIMES in the low bits: the task's address, or the number
 * of a round in which several were given something.
 */
import type { Cpu } from '../machine/cpu.ts';
import type { Waiter } from './slow-path.ts';
import { ASYNC, Task } from './task.ts';

/** How long a task of an event loop has for a turn of that, where others could have what it was offered, ns. */
const PATIENCE = 1e6;
/** How often that is doubled, at most. */
const MOST_DOUBLINGS = 20;
/** In the low bits of an offer, and of `Task.since`: how often what a task was offered has been taken from it, in this call. */
export const TIMES = 31;
/** Instead of TIMES, in a round's number: none of those that were given something has still to come for it. */
export const NOBODY = 31;

/** The task waits from now on; `since` as in `Task.since`. */
export function beginWaiting(cpu: Cpu, task: number, since = 0): void {
  cpu.store(task + Task.since, since & ~TIMES);
}

/** What `task` is offered alone. */
export function offerTo(cpu: Cpu, task: number): number {
  return task | (cpu.load(task + Task.since) & TIMES);
}

/** What `task` was offered is taken by another thread. */
export function loseOffer(cpu: Cpu, task: number): void {
  const since = cpu.load(task + Task.since);
  if ((since & TIMES) < MOST_DOUBLINGS) cpu.store(task + Task.since, since + 1);
}

/** Under the object's latch: a round in which the event loops' among `tasks` are given something, if any of them is an event loop's. */
export function beginRound(cpu: Cpu, round: number, tasks: readonly number[]): void {
  const theirs = tasks.filter((task) => cpu.load(task + Task.mode) === ASYNC);
  if (theirs.length === 0) return;
  const times = Math.max(...theirs.map((task) => cpu.load(task + Task.since) & TIMES));
  const number = ((cpu.load(round) & ~TIMES) + TIMES + 1) | 0;
  // After 2 ** 27 rounds the numbers begin anew, but not with 0: that is no offer.
  cpu.store(round, (number === 0 ? TIMES + 1 : number) | times);
}

/**
 * Whether the patience with an offer is over, which begins when the waiter first sees it; then and when it is over the waiter looks
 * again. Illegal to count the time of one that was offered something before: each has its own.
 */
export function hasWaitedFor(waiter: Waiter, offer: number): boolean {
  const now = waiter.thread.cpu.now();
  if (waiter.lookAgain === undefined || waiter.offer !== offer) {
    waiter.offer = offer;
    waiter.lookAgain = now + PATIENCE * 2 ** (offer & TIMES);
  }
  return now >= waiter.lookAgain;
}
