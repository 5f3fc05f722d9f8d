/** PTHREAD_PRIO_PROTECT: a thread is at least as urgent as the most urgent ceiling of the mutexes that it holds. */
import { NO_CEILING, setCeiling } from '../../sched/priority.ts';
import type { Thread } from '../../sched/thread.ts';
import { ThreadLocal } from '../../sched/thread-local.ts';

/** The ceilings of the mutexes that the thread holds, by the mutex's address. */
const ceilings = new ThreadLocal(() => new Map<number, number>());

/** The thread has `mutex`, and is at least as urgent as `ceiling` until `dropCeiling`. */
export function raiseToCeiling(thread: Thread, mutex: number, ceiling: number): void {
  const held = ceilings.of(thread).set(mutex, ceiling);
  setCeiling(thread, Math.min(...held.values()));
}

export function dropCeiling(thread: Thread, mutex: number): void {
  const held = ceilings.of(thread);
  held.delete(mutex);
  setCeiling(thread, Math.min(NO_CEILING, ...held.values()));
}
