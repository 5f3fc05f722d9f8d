/** `holdfast trace -e`: a trace program in place of a record of all events, or beside one. */
import { InvalidArgumentError } from 'commander';
import { prepare } from '../debug/trace/program/prepare.ts';

/** The text of a program that may run. */
export function traceProgram(source: string): string {
  try {
    prepare(source);
  } catch (error) {
    throw new InvalidArgumentError((error as Error).message);
  }
  return source;
}

/** What the application's environment has to have. `isAlone`: no events are recorded. */
export function programEnvironment(source: string, isAlone: boolean): NodeJS.ProcessEnv {
  return { HOLDFAST_TRACE_PROGRAM: source, ...(isAlone ? { HOLDFAST_TRACE: '' } : {}) };
}
