/**
 * Task: the schedulable thing (`task_struct`), 32 words in the arena. Each attached thread has a main task for its
 * synchronous calls, and one more for every asynchronous acquisition under way. A task belongs to its thread's slot, and
 * its memory is used for nothing else as long as another thread may have its address (`rounds.ts`); so a late `unpark` of a task
 * that has moved on is no more than a spurious wake-up, and every sleeper loops on its own condition.
 *
 * `state` is the only word a task ever sleeps on:
 *
 *   sleeper                              waker
 *   prepareToPark: state := SLEEPING     make the condition true
 *   check the condition                  unpark: state := RUNNING, was it SLEEPING?
 *   wait while SLEEPING (`schedule.ts`)    then notify
 *
 * Both exchanges are fully ordered, so either the sleeper sees the condition or the waker sees SLEEPING (store
 * buffering with barriers on both sides). The exchange in `unpark` lets one of several wakers notify.
 */
import type { Cpu } from '../machine/cpu.ts';
import { type Length, struct, wordName } from '../memory/struct.ts';
import { Areas, TASK_AREAS, type Upkeep } from './areas.ts';

/** Task addresses are multiples of this, so lock words keep flags in the low bits. */
export const TASK_ALIGN = 32;

export const Task = struct({
  /** RUNNING or SLEEPING. */
  state: 1,
  /** The thread's CPU number plus one. Set once. */
  thread: 1,
  /** MAIN or ASYNC. Set once. */
  mode: 1,
  /** How urgent the task is: lower goes first in every wait list. 0 unless set. */
  priority: 1,
  /** With equal priorities the earlier deadline goes first: ms on `cpu.now()`, cut off to 32 bits; 0 for none. */
  due: 1,
  /** The object that the task waits for, or 0. */
  blockedOn: 1,
  /**
   * What the task has lined up for, from then until its call comes back, or 0: `blockedOn` of a task that may have been
   * woken meanwhile, and still looks at the object. Illegal to be 0 while it may, once it is in a list; `destroy` looks
   * here.
   */
  within: 1,
  /** The wait list that the task is in, or 0; with rank and ticket its place there. See `wait-list.ts`. */
  list: 1,
  rank: 1,
  ticket: 1,
  next: 1,
  prev: 1,
  /** What the task wants from the object it waits for, and what whoever woke it says: the object's own meaning. */
  want: 1,
  result: 1,
  /**
   * When the task began to wait, where that counts: us on `cpu.now()`, cut off to 31 bits, in steps of 32. In the low bits how often
   * what it was offered was taken from it meanwhile (`offer.ts`).
   */
  since: 1,
  areas: TASK_ALIGN - 15,
});

const areas = new Areas(TASK_AREAS, Task.areas, Task.words - Task.areas);

/** Declares the fields of a room's area in every task. What comes back maps each to its offset in the task. */
export function taskArea<const F extends Record<string, Length>>(
  name: keyof typeof TASK_AREAS,
  fields: F,
  upkeep: Upkeep = {},
): { readonly [Field in keyof F]: number } {
  return areas.declare(name, fields, upkeep);
}

/** The name of the word at `offset` of a task. */
export function taskWordName(offset: number): string {
  return areas.wordName(offset) ?? wordName(Task, offset);
}

/** Whether this thread has loaded the rooms of all areas that have been used in the task. */
export function knowsTaskAreas(cpu: Cpu, task: number): boolean {
  return areas.areKnown(cpu, task);
}

/** Whether an area of the task leads to that block of the heap. */
export function keepsInTask(cpu: Cpu, task: number, block: number): boolean {
  return areas.keeps(cpu, task, block);
}

/** For the reaper: leaves a dead thread's task as a new thread expects it. */
export function vacateTask(cpu: Cpu, task: number): void {
  cpu.store(task + Task.state, RUNNING);
  cpu.store(task + Task.blockedOn, 0);
  cpu.store(task + Task.within, 0);
  cpu.store(task + Task.list, 0);
  cpu.store(task + Task.result, 0);
  cpu.store(task + Task.priority, 0);
  cpu.store(task + Task.due, 0);
  areas.vacate(cpu, task);
}

/** The task lines up for `object`. */
export function waitFor(cpu: Cpu, task: number, object: number): void {
  cpu.store(task + Task.blockedOn, object);
  cpu.store(task + Task.within, object);
}

/** The task's call comes back: what it looked at may be destroyed. Pairs with the acquire in `isWaitedFor`. */
export function endWait(cpu: Cpu, task: number): void {
  cpu.storeRelease(task + Task.within, 0);
}

export const RUNNING = 0;
export const SLEEPING = 1;

export const MAIN = 0;
export const ASYNC = 1;

/** `set_current_state(SLEEPING)`: fully ordered before the caller's check of its condition. */
export function prepareToPark(cpu: Cpu, task: number): void {
  cpu.xchg(task + Task.state, SLEEPING);
}

/** Takes prepareToPark back: the condition held. */
export function finishPark(cpu: Cpu, task: number): void {
  cpu.store(task + Task.state, RUNNING);
}

/** `wake_up_process()`. True when the task had been asleep, or about to be. */
export function unpark(cpu: Cpu, task: number): boolean {
  if (cpu.xchg(task + Task.state, RUNNING) !== SLEEPING) return false;
  cpu.onUnpark?.(task);
  cpu.wake(task + Task.state, 1);
  return true;
}

/** `unpark` of each: of tasks that were chosen under a latch, once that is free. */
export function unparkAll(cpu: Cpu, tasks: Iterable<number>): void {
  for (const task of tasks) unpark(cpu, task);
}
