/** What `explore` is asked for, and what it answers. */
import type { Alteration, Weakening } from './alter.ts';
import type { KillOptions, Points } from './deaths.ts';
import type { ModelName } from './ppo.ts';
import type { Program } from './program.ts';
import type { Counterexample } from './report.ts';

export interface ExploreOptions<Context = unknown> extends Program<Context> {
  /** @default 'armv8' */
  model?: ModelName;
  /**
   * exhaustive: every execution. bounded: those reached by at most `bound` revisits in a row. random: `executions`
   * of them, with PCT priorities.
   * @default 'exhaustive'
   */
  mode?: 'exhaustive' | 'bounded' | 'random';
  /** @default 3 */
  bound?: number;
  /** At most so many executions. @default 10000 in random mode, else no limit */
  executions?: number;
  /** @default 1 */
  seed?: number;
  /** In random mode, how many ordering decisions a bug may take. @default 3 */
  depth?: number;
  /** Milliseconds, after which the result says how far it got. @default no limit */
  timeLimit?: number;
  /** Also stop threads before each of their operations. In random mode `executions` are those without a death. @default none */
  kill?: boolean | KillOptions;
  /** Whether executions that differ only in the names of `alike` threads are left out. @default true */
  symmetry?: boolean;
  /** More events in one execution are an error. @default 512 */
  maxEvents?: number;
  /** Take the order from some call sites: a seeded bug. */
  weaken?: Weakening;
  /** Change the order of call sites in any way. */
  alter?: Alteration;
  /** Called now and then. */
  onProgress?: (progress: Progress) => void;
}

export interface Progress {
  executions: number;
  /** Executions that end with a thread waiting for what only another execution brings. */
  blocked: number;
  /** The share of the search that is done, 0 to 1. */
  share: number;
  /** How many executions there are, going by that share. */
  estimate: number;
  /** Milliseconds. */
  elapsed: number;
}

export interface ExploreResult extends Progress {
  /** `incomplete`: nothing found, but not everything was looked at. */
  verdict: 'ok' | 'failure' | 'incomplete';
  /** Every execution of the model was visited. */
  complete: boolean;
  model: ModelName;
  /** How many deaths were explored: points that were reached, that is. */
  kills: number;
  /** The points at which threads can die, and how many of them were reached. */
  points: Points;
  failure: Counterexample | null;
  /** What the model allows and the search leaves out: load buffering, where nothing rules it out in this program. */
  notExcluded: readonly string[];
}
