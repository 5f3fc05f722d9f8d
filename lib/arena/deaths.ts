/** Tells those who want to know of threads that were killed. */
import { channel } from 'node:diagnostics_channel';

/** What subscribers of the channel `holdfast:death` are told. */
export interface ThreadDeath {
  /** `arena.id`. */
  readonly arena: number;
  /** The thread's number in the arena, which another thread may have by now. */
  readonly thread: number;
  /** `threadId` of its Worker. */
  readonly threadId: number;
}

const deaths = channel('holdfast:death');

/**
 * The calling thread has repaired what these threads left. Subscribers run later: it may be in the middle of a slow path, of a
 * lock that they would take.
 */
export function tellDeaths(dead: readonly ThreadDeath[]): void {
  if (dead.length === 0 || !deaths.hasSubscribers) return;
  Promise.resolve().then(() => {
    for (const death of dead) deaths.publish(death);
  });
}
