/** `holdfast top`: what goes on in an arena, of a program that has an observer or has mounted the handler. */
import type { Command } from 'commander';
import { topText } from '../debug/reports/top.ts';
import { registerLooks } from './looks.ts';

export function registerTop(program: Command): void {
  const description = 'show the locks of a running program: the hottest, who waits for whom, deadlocks';
  registerLooks(program, 'top', description, 'state', topText);
}
