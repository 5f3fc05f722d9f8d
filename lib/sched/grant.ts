/** Grant: a task is given what it waits for by the thread that makes it free, and takes notice of that later. */
import type { Cpu } from '../machine/cpu.ts';
import { Task, taskArea } from './task.ts';

export const Grant = taskArea(
  'grant',
  {
    /** The object that has granted the task what it waits for, until the task takes notice; 0 otherwise. */
    from: 1,
    /** The record that the thread that grants writes to, or 0. See `holds.ts`. */
    record: 1,
  },
  { vacate: (cpu, task) => cpu.store(task + Grant.from, 0) },
);

/**
 * `task` is about to line up for `want` of an object's permits, or in the mode `want`; what it is granted goes to `record`,
 * 0 for none. Illegal to fail to do before it joins the list: the thread that grants reads these words under the latch.
 */
export function expectGrant(cpu: Cpu, task: number, want: number, record: number): void {
  cpu.store(task + Grant.from, 0);
  cpu.store(task + Task.want, want);
  cpu.store(task + Grant.record, record);
}
