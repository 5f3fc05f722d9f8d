/**
 * Whether an operating-system thread of this process still exists. A thread that sleeps in a synchronous call cannot
 * receive the `exit` event of a worker; on Linux it can look in /proc instead. Elsewhere nothing is known, and only
 * `arena.watch(worker)` on a thread whose event loop runs finds the dead.
 */
import { existsSync, readlinkSync } from 'node:fs';

const TASKS = '/proc/self/task';

/** The calling thread's number, or 0 where the system does not say. */
export function osThread(): number {
  try {
    // "<process>/task/<thread>"
    return Number(readlinkSync('/proc/thread-self').split('/').at(-1)) || 0;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === undefined) throw error;
    return 0;
  }
}

/** Whether that thread has ended. */
export function isGone(thread: number): boolean {
  return thread !== 0 && !existsSync(`${TASKS}/${thread}`);
}
