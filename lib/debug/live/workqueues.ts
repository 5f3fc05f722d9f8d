import type { Arena } from '../../arena/arena.ts';
import { allStatistics, type WorkqueueStatistics } from '../../workqueue/statistics.ts';

/** What the queues have done, and when that was read. */
export interface WorkqueuesState {
  /** In ISO 8601. */
  readonly time: string;
  readonly workqueues: readonly WorkqueueStatistics[];
}

/** It walks the heap, under its latch for a moment. */
export function workqueuesState(arena: Arena): WorkqueuesState {
  return { time: new Date().toISOString(), workqueues: allStatistics(arena) };
}
