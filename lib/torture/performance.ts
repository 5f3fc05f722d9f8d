/** What a worker of the torture run is asked for, and what its acquirers have in common. */
import type { RecordableHistogram } from 'node:perf_hooks';
import type { Arena, ArenaHandle } from '../arena/arena.ts';
import type { Cpu } from '../machine/cpu.ts';
import type { Thread } from '../sched/thread.ts';
import type { View } from './lock-type.ts';
import type { Outcome, Progress, Settings } from './outcome.ts';
import type { Section } from './section.ts';

export interface Part {
  readonly arena: ArenaHandle;
  readonly type: string;
  readonly lock: unknown;
  /** Address of the stage. */
  readonly stage: number;
  readonly seats: number;
  readonly seat: number;
  readonly incarnation: number;
  readonly seed: number;
  /** Where the worker is to die before it performs, or 0; see `aim.ts`. */
  readonly aim: number;
  /** Of this seat, ns; shared with the director, so they outlive the thread. */
  readonly waits: RecordableHistogram;
  readonly holds: RecordableHistogram;
}

/** What the others call through Comlink. */
export interface TortureThread {
  /** Resolves when the thread has stopped: to nothing, or to what went wrong. */
  perform(part: Part): Promise<string | undefined>;
  /** Detaches, or dies as it does, if `aim` says so. Not before all have ended: it wakes everybody, also those whom nobody else would have woken. */
  leave(aim: number): void;
  /** Runs the torture of a type, with threads started from `source`, and reports on the way. */
  direct(type: string, settings: Settings, source: string, onProgress: (progress: Progress) => void): Promise<Outcome>;
}

/** What the acquirers of one thread have in common. */
export interface Performance {
  readonly arena: Arena;
  readonly cpu: Cpu;
  readonly thread: Thread;
  readonly stage: number;
  readonly seat: number;
  readonly view: View;
  readonly section: Section;
  readonly waits: RecordableHistogram;
  readonly holds: RecordableHistogram;
  /** Asynchronous acquisitions that wait or hold. */
  asyncUnderWay: number;
  publishCounters(): void;
}
