/** What the threads of workqueues need of the system. */
import { setPriority } from 'node:os';
import { osThread } from '../arena/liveness.ts';
import { setImmediate } from '../machine/host.ts';

/** On Linux a thread has a priority of its own. Without the privilege to raise it, it stays as it is. */
export function beNice(nice: number): void {
  const thread = osThread();
  if (nice === 0 || thread === 0) return;
  try {
    setPriority(thread, nice);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ERR_SYSTEM_ERROR') throw error;
  }
}

export function nextTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
