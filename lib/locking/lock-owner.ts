import type { Cpu } from '../machine/cpu.ts';
import { ASYNC, Task } from '../sched/task.ts';

/** The holder of a lock; of a reader-writer lock, the writer. */
export interface LockOwner {
  /** CPU number of the thread. */
  readonly thread: number;
  /** Whether the thread's asynchronous code holds it, rather than a synchronous call. */
  readonly async: boolean;
}

/** `task` holds the lock. */
export function lockOwnerOf(cpu: Cpu, task: number): LockOwner {
  return { thread: cpu.load(task + Task.thread) - 1, async: cpu.load(task + Task.mode) === ASYNC };
}
