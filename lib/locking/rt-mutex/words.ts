/** The words of an rt-mutex and of a task that waits for one with an acquire context, and what such a context decides. */
import { struct } from '../../memory/struct.ts';
import { taskArea } from '../../sched/task.ts';
import type { WakeQueue } from '../../sched/wake-queue.ts';
import { OWNER } from '../owner-word.ts';

export const RtWords = struct({
  header: OWNER,
  owner: 1,
  /** Root of the tree of waiters, and a count of those that have joined it. */
  waiters: 1,
  ticket: 1,
});

export const CTX = 4;

/** A task that stands for an acquire context; see `ww-mutex/contest.ts`. */
export const Contestant = taskArea(
  'contest',
  {
    /** The context's stamp, or 0; and whether an older one wants what it holds. */
    stamp: 1,
    wounded: 1,
    /** CTX while the task waits for an rt-mutex with its context, and so ends the wait when it is wounded; else 0. */
    flag: 1,
  },
  {
    vacate(cpu, task) {
      cpu.store(task + Contestant.stamp, 0);
      cpu.store(task + Contestant.wounded, 0);
    },
  },
);

/** The longest chain of locks that is walked (the kernel's max_lock_depth). */
export const CHAIN_LIMIT = 1024;

/** What an acquire context has to say about a wait. Its methods are called under the latch. */
export interface Contest {
  /** CTX when the lock is taken with a context. */
  readonly flag: number;
  /** Whether the waiter holds anything that it could release. */
  readonly holds: boolean;
  /** The waiter's place among the equally urgent. */
  readonly ticket: number;
  /** Whether the waiter has to release what it holds. `owner`: the lock's word. */
  checkKill(owner: number, wakes: WakeQueue): boolean;
  /** The lock is taken; `waiters` are those who go on waiting. */
  checkWaiters(waiters: readonly number[], wakes: WakeQueue): void;
}
