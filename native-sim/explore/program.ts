/**
 * What is explored: threads over a flat memory that `setup` fills. Everything here is run many times over, so it must
 * be deterministic given what memory returned; `setup` runs once, and what it returns is handed to every thread.
 */
import type { Cpu } from '../../lib/machine/cpu.ts';

export interface Program<Context = unknown> {
  /** How many words of memory there are; addresses run from 0. */
  words: number;
  /** Fills memory before the threads start; its writes happen before everything they do. */
  setup?: ((cpu: Cpu) => Context) | undefined;
  /** One that is an async function has an event loop: it waits in `cpu.waitAsync`, in several places at once. */
  threads: ((cpu: Cpu, me: number, context: Context) => void | Promise<void>)[];
  /** Looks at memory when all threads have come to rest; throws if it is wrong. */
  check?: ((memory: FinalMemory, context: Context) => void) | undefined;
  /**
   * Runs as one more thread, `me`, once thread `died` is dead, at the same time as the survivors. There is one for each
   * death; they are numbered from `threads.length` on, and may die as well. `inherited`: where `died` was a reaper, the
   * thread that it ran for, and so on.
   */
  reaper?: ((cpu: Cpu, died: number, context: Context, me: number, inherited: readonly number[]) => void) | undefined;
  /**
   * What thread `me` does when it sleeps in `cpu.wait` without a deadline and thread `died` is dead; true when nothing is left
   * to be done. As `onStall` does on the real machine; a reaper may count on that. In random executions only, at any time
   * after the death.
   */
  stalled?: ((cpu: Cpu, died: number, context: Context, me: number) => boolean) | undefined;
  /**
   * Groups of threads that are alike: they do the same, and use their numbers for names only, as `setup` and `check` do.
   * Of executions that differ in the names of these threads one is looked at; not where threads are killed, for reapers
   * go by numbers.
   */
  alike?: readonly (readonly number[])[] | undefined;
  /**
   * Nanoseconds, each of which may have passed whenever a thread looks at its clock, or none of them: so what a deadline or
   * a time limit decides is decided both ways. @default the clock goes on by what times out alone
   */
  clock?: readonly number[] | undefined;
  /** Names of words, for reports. */
  labels?: Readonly<Record<string, number>> | undefined;
}

export interface FinalMemory {
  /** The coherence-latest value of a word. */
  read(address: number): number;
  /** The threads that were killed in this execution. */
  died: readonly number[];
}

/** A thread stops right before its operation number `step`, counted from 0. */
export interface Kill {
  thread: number;
  step: number;
}

export type FailureKind =
  | 'data-race'
  | 'exception'
  | 'check'
  | 'deadlock'
  | 'out-of-range'
  | 'uninitialised'
  | 'use-after-free'
  | 'non-determinism';

/** A limit was met, or the program cannot be explored as it is: an error of the exploration, not a verdict. */
export class ExploreError extends Error {
  override readonly name = 'ExploreError';
}

/** Throws ExploreError for what is no program. */
export function checkProgram(program: Program): void {
  const { words, threads } = program ?? {};
  if (!Number.isSafeInteger(words) || words < 1) {
    throw new ExploreError(`explore: a program has words, a whole number from 1 on; received ${words}`);
  }
  if (!Array.isArray(threads) || threads.length === 0 || threads.some((body) => typeof body !== 'function')) {
    throw new ExploreError('explore: a program has threads, an array of functions (cpu, me, context) => ...');
  }
}
