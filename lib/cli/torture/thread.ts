/**
 * A worker's side of the torture run: takes its seat, runs its acquirers until the director says stop, and leaves. The
 * director is a worker as well; see `direct.ts`.
 */
import type { RecordableHistogram } from 'node:perf_hooks';
import { parentPort } from 'node:worker_threads';
import { expose } from 'comlink/dist/esm/comlink.mjs';
import nodeEndpoint from 'comlink/dist/esm/node-adapter.mjs';
import type { Cpu } from '../../machine/cpu.ts';
import { Arena, type ArenaHandle } from '../../sched/arena.ts';
import type { Thread } from '../../sched/thread.ts';
import { Acquirer } from './actor.ts';
import { Decider } from './decisions.ts';
import type { LockType, View } from './lock-type.ts';
import { lockTypeNamed } from './lock-types.ts';
import type { Outcome, Settings } from './outcome.ts';
import { type Progress, tortureType } from './run.ts';
import { Section, Violation } from './section.ts';
import { ACTORS, Seat, Stage, seatAddress } from './words.ts';

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
  /** Of this seat, ns; shared with the director, so they outlive the thread. */
  readonly waits: RecordableHistogram;
  readonly holds: RecordableHistogram;
}

/** What the others call through Comlink. */
export interface TortureThread {
  /** Resolves when the thread has stopped: to nothing, or to what went wrong. */
  perform(part: Part): Promise<string | undefined>;
  /** Detaches. Not before all have ended: it wakes everybody, also those whom nobody else would have woken. */
  leave(): void;
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

export function runTortureThread(): void {
  if (parentPort === null) throw new Error('this is the entry of a worker thread');
  expose({ perform, leave, direct } satisfies TortureThread, nodeEndpoint(parentPort));
}

let arena: Arena;

async function perform(part: Part): Promise<string | undefined> {
  arena = Arena.attach(part.arena);
  const { cpu } = arena;
  try {
    const type = namedType(part.type);
    const performance = performanceOf(arena, part, type.open(arena, part.lock), type.isRobust);
    const acquirers = Array.from(
      { length: type.isAsync ? ACTORS : 1 },
      (_, i) => new Acquirer(performance, new Decider(part.seed, type, part.seat, part.incarnation, i), i),
    );
    await Promise.all(acquirers.map((acquirer) => acquirer.run()));
    return undefined;
  } catch (error) {
    cpu.store(part.stage + Stage.stop, 1);
    cpu.fetchAdd(part.stage + Stage.violations, 1);
    return error instanceof Violation ? error.message : String((error as Error).stack);
  }
}

function leave(): void {
  arena.detach();
}

function direct(
  type: string,
  settings: Settings,
  source: string,
  onProgress: (progress: Progress) => void,
): Promise<Outcome> {
  return tortureType(namedType(type), settings, source, onProgress);
}

function namedType(name: string): LockType {
  const type = lockTypeNamed(name);
  if (type === undefined) throw new Error(`no lock type ${name}`);
  return type;
}

function performanceOf(arena: Arena, part: Part, view: View, isRobust: boolean): Performance {
  const { cpu, thread } = arena;
  const words = seatAddress(part.stage, part.seat);
  const parksBefore = cpu.load(words + Seat.parks);
  const handoffsBefore = cpu.load(words + Seat.handoffs);
  return {
    arena,
    cpu,
    thread,
    view,
    stage: part.stage,
    seat: part.seat,
    section: new Section(cpu, part.stage, part.seats, part.seat, view, isRobust),
    waits: part.waits,
    holds: part.holds,
    asyncUnderWay: 0,
    publishCounters() {
      cpu.store(words + Seat.parks, parksBefore + thread.counters.parks);
      cpu.store(words + Seat.handoffs, handoffsBefore + thread.counters.handoffs);
    },
  };
}
