import type { Aimed } from './aim.ts';

/** What a run of one lock type showed; `--json` prints these. Times in ns. */
export interface Settings {
  readonly threads: number;
  /** For each type. */
  readonly seconds: number;
  readonly kill: boolean;
  readonly seed: number;
}

export interface Times {
  readonly p50: number;
  readonly p99: number;
  readonly max: number;
}

export interface ThreadOutcome {
  readonly acquisitions: number;
  /** Of all acquisitions of the run, 0 to 1. */
  readonly share: number;
  readonly timeouts: number;
  readonly aborts: number;
  /** Refusals with EDEADLK, of a synchronous acquirer whose thread's asynchronous code had the lock. */
  readonly deadlocks: number;
  /** Attempts that found the lock taken, or gave up by themselves. */
  readonly busy: number;
  readonly deaths: number;
  /** A hash of the first decisions of the synchronous acquirer: the same seed, the same hash. */
  readonly decisions: string;
}

/** Acquisitions of each thread, as they were counted at `at`, s. */
export interface Sample {
  readonly at: number;
  readonly acquisitions: readonly number[];
  readonly kills: number;
  /** The threads that were not at work: killed, and their next workers not up yet. */
  readonly absent: readonly number[];
}

export interface Outcome {
  readonly type: string;
  readonly isBusted: boolean;
  readonly verdict: 'ok' | 'violation';
  readonly violations: readonly string[];
  readonly seconds: number;
  readonly acquisitions: number;
  readonly perSecond: number;
  readonly leastShare: number;
  readonly mostShare: number;
  readonly wait: Times;
  readonly hold: Times;
  /** Share of the acquisitions that found the lock taken, 0 to 1. */
  readonly contended: number;
  readonly parks: number;
  readonly handoffs: number;
  readonly kills: number;
  /** Of these, the workers that died before an operation of their own, by what they were at. */
  readonly aimed: Aimed;
  readonly recoveries: number;
  readonly threads: readonly ThreadOutcome[];
  /** Pairs of a waiting time and the share of waits that were longer. */
  readonly waitCurve: readonly (readonly [number, number])[];
  readonly samples: readonly Sample[];
  /** What the type has measured beside times, for people. */
  readonly notes: readonly string[];
}

/** How far a run has come. */
export interface Progress {
  /** s */
  readonly elapsed: number;
  readonly acquisitions: number;
  readonly kills: number;
  readonly recoveries: number;
}
