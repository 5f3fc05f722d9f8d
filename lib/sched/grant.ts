/** Grant: a task is given what it waits for by the thread that makes it free, and takes notice of that later. */
import { taskArea } from './task.ts';

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
