/** What the threads of `session.test.ts` do. */
import { traceProgram } from '../../../lib/debug/trace/program/session.ts';
import { type Arena, Mutex } from '../../../lib/index.ts';

export function lockOften(arena: Arena, name: string, times: number): void {
  const mutex = new Mutex(arena, name);
  for (let i = 0; i < times; i++) mutex.runExclusive(() => {});
}

export function lockForEver(arena: Arena, name: string): void {
  const mutex = new Mutex(arena, name);
  for (;;) mutex.runExclusive(() => {});
}

/** Ends with a program that runs. */
export function startAndLeave(arena: Arena, source: string): void {
  traceProgram(arena, source);
}
