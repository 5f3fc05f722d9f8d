/**
 * The two ways in which a pthread mutex keeps its word. In both it is 0 when the mutex is free, and the owning task alone
 * when there is nothing else to say: so the fast paths are the same.
 *
 *   PLAIN     `mutex-core.ts`, over the futex; PTHREAD_PRIO_NONE and PTHREAD_PRIO_PROTECT
 *   INHERIT   the rt-mutex itself, PTHREAD_PRIO_INHERIT. (Where the system has it behind a call, that is LOCK_PI.)
 */

import { FUTEX_OWNER_DIED, FUTEX_TID_MASK } from '../../futex/robust-list.ts';
import type { Futexes } from '../../futex/table.ts';
import { OWNER_CODEC, type OwnerCodec } from '../../locking/owner-word.ts';
import * as rt from '../../locking/rt-mutex/core.ts';
import { Priorities } from '../../sched/priority.ts';
import type { Outcome, SlowPath, Waiter } from '../../sched/slow-path.ts';
import { Task } from '../../sched/task.ts';
import type { Attempt } from './core.ts';
import * as plain from './core.ts';

export interface Protocol extends OwnerCodec {
  /** One attempt for a task of the calling thread. */
  tryAcquire(futexes: Futexes, mutex: number, task: number): boolean;
  /** Everything beyond the one compare-and-exchange of the fast path. */
  lockSlow(futexes: Futexes, mutex: number, waiter: Waiter, attempt: Attempt): SlowPath<Outcome>;
  /** Unlocks for the owner, when the fast path did not. */
  unlockSlow(futexes: Futexes, mutex: number): void;
}

export const PLAIN: Protocol = {
  ownerMask: FUTEX_TID_MASK,
  ownerDied: FUTEX_OWNER_DIED,
  unrecoverable: plain.UNRECOVERABLE,
  tryAcquire: (futexes, mutex, task) => plain.tryAcquire(futexes, mutex, task, 0),
  lockSlow: plain.lockSlow,
  unlockSlow: plain.unlockSlow,
};

export const INHERIT: Protocol = {
  ...OWNER_CODEC,
  tryAcquire: ({ thread }, mutex, task) => rt.tryLock(thread, mutex, task),
  *lockSlow({ thread }, mutex, waiter, { cycle }) {
    const { cpu, slot } = thread;
    // An asynchronous acquisition that was asked for no priority is as urgent as its thread was made.
    if (waiter.async && waiter.priority === undefined) {
      cpu.store(waiter.task + Task.priority, cpu.load(slot + Priorities.own));
      cpu.store(waiter.task + Task.due, cpu.load(slot + Priorities.ownDue));
    }
    const outcome = yield* rt.lockSlow(mutex, waiter, cycle);
    if (waiter.async) {
      cpu.store(waiter.task + Task.priority, 0);
      cpu.store(waiter.task + Task.due, 0);
    }
    // Without an acquire context nobody backs off.
    return outcome as Outcome;
  },
  unlockSlow: ({ thread }, mutex) => rt.unlockSlow(thread, mutex),
};
