/** `holdfast wq`: the workqueues of a program that runs, as tools/workqueue/wq_monitor.py of the kernel shows them. */
import type { Command } from 'commander';
import { workqueuesText } from '../debug/reports/workqueues.ts';
import { registerLooks } from './looks.ts';

export function registerWq(program: Command): void {
  const description = 'show the workqueues of a running program: what is in flight, how long items wait and take';
  registerLooks(program, 'wq', description, 'workqueues', workqueuesText);
}
