/**
 * Task: the schedulable thing (`task_struct`), 32 words in the arena. Each attached thread has a main task for its
 * synchronous calls, and one more for every asynchronous acquisition under way. A task belongs to its thread's slot
 * for good and its memory is never used for anything else, so a late `unpark` of a task that has moved on is no more
 * than a spurious wake-up; every sleeper loops on its own condition.
 *
 * `state` is the only word a task ever sleeps on:
 *
 *   sleeper                              waker
 *   prepareToPark: state := SLEEPING     make the condition true
 *   check the condition                  unpark: state := RUNNING, was it SLEEPING?
 *   park: wait while SLEEPING              then notify
 *
 * Both exchanges are fully ordered, so either the sleeper sees the condition or the waker sees SLEEPING (store
 * buffering with barriers on both sides). The exchange in `unpark` lets one of several wakers notify.
 */
import type { Cpu } from '../machine/cpu.ts';
import { struct } from '../memory/struct.ts';

/** How much of one lock a task holds, where the lock's word cannot say; see `holds.ts`. */
export const Hold = struct({ lock: 1, count: 1 });

export const Task = struct({
  /** RUNNING or SLEEPING. */
  state: 1,
  /** The thread's CPU number plus one. Set once. */
  thread: 1,
  /** MAIN or ASYNC. Set once. */
  mode: 1,
  /** How urgent the task is: lower goes first in every wait list. 0 unless set. */
  priority: 1,
  /** The object that the task waits for, or 0. */
  blockedOn: 1,
  /** The wait list that the task is in, or 0; with rank and ticket its place there. See `wait-list.ts`. */
  list: 1,
  rank: 1,
  ticket: 1,
  next: 1,
  prev: 1,
  /** What the task wants from the object it waits for, and what whoever woke it says: the object's own meaning. */
  want: 1,
  result: 1,
  /** In a node that stands in for a task in a further list: the task; 0 in the task itself. */
  sleeper: 1,
  /** First chunk of nodes that stand in for the task; a chunk starts with the address of the next. See `futex/vector.ts`. */
  vector: 1,
  /** What an asynchronous task holds; a main task's holds are in its slot. */
  hold: Hold.words,
  /** The record that whoever grants the task what it waits for writes to, or 0. */
  holdAt: 1,
  /** The object that has granted the task what it waits for, until the task takes notice; 0 otherwise. */
  grant: 1,
  /** When the task began to wait: us on `cpu.now()`, cut off to 31 bits. */
  since: 1,
  /** With equal priorities the earlier deadline goes first: ms on `cpu.now()`, cut off to 32 bits; 0 for none. */
  due: 1,
  /** The rt-mutex that the task waits for, or 0; with rank, rankDue and ticket its place in the tree. See `priority.ts`. */
  rtMutex: 1,
  rankDue: 1,
  parent: 1,
  /** Links of the tree of what others wait for from one thread. */
  topLeft: 1,
  topRight: 1,
  topParent: 1,
  /** Of the acquire context that the task stands for, or 0; and whether an older one wants what it holds. See `ww-mutex.ts`. */
  stamp: 1,
  wounded: 1,
  /** CTX while the task waits for `rtMutex` with its acquire context, and so ends the wait when it is wounded; else 0. */
  contest: 1,
  /**
   * What the task has lined up for, from then until its call comes back, or 0: `blockedOn` of a task that may have been
   * woken meanwhile, and still looks at the object. Illegal to be 0 while it may, once it is in a list; `destroy` looks
   * here.
   */
  within: 1,
  pad: 2,
});

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

/** Task addresses are multiples of this, so lock words keep flags in the low bits. */
export const TASK_ALIGN = 32;

export type Woken = 'woken' | 'timed-out';

/** `set_current_state(SLEEPING)`: fully ordered before the caller's check of its condition. */
export function prepareToPark(cpu: Cpu, task: number): void {
  cpu.xchg(task + Task.state, SLEEPING);
}

/** Takes prepareToPark back: the condition held. */
export function finishPark(cpu: Cpu, task: number): void {
  cpu.store(task + Task.state, RUNNING);
}

/** `schedule()`: sleeps until `unpark` or until `deadline` (ns on `cpu.now()`). The task is RUNNING afterwards. */
export function park(cpu: Cpu, task: number, deadline: number): Woken {
  const state = task + Task.state;
  while (cpu.load(state) === SLEEPING) {
    if (cpu.wait(state, SLEEPING, deadline) === 'timed-out' && cpu.now() >= deadline) {
      cpu.store(state, RUNNING);
      return 'timed-out';
    }
  }
  return 'woken';
}

/** `park` on an event loop, until a deadline that may be put off meanwhile. */
export async function parkAsync(
  cpu: Cpu,
  waiter: { readonly task: number; readonly deadline: number },
): Promise<Woken> {
  const state = waiter.task + Task.state;
  while (cpu.load(state) === SLEEPING) {
    const outcome = cpu.waitAsync(state, SLEEPING, waiter.deadline);
    if ((typeof outcome === 'string' ? outcome : await outcome) === 'timed-out' && cpu.now() >= waiter.deadline) {
      cpu.store(state, RUNNING);
      return 'timed-out';
    }
  }
  return 'woken';
}

/** `wake_up_process()`. True when the task had been asleep, or about to be. */
export function unpark(cpu: Cpu, task: number): boolean {
  if (cpu.xchg(task + Task.state, RUNNING) !== SLEEPING) return false;
  cpu.wake(task + Task.state, 1);
  return true;
}
