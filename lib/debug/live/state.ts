/** What goes on in an arena at this moment: its threads, who waits for whom, what was waited for. Plain data. */
import type { Arena, ArenaSummary } from '../../arena/arena.ts';
import type { WaitsFor } from '../../errors.ts';
import { maxThreads, phaseOf, Slot, slotAddress, threadOf } from '../../sched/slot.ts';
import { allDeadlocks } from '../../sched/waits-for.ts';
import type { ContentionProfile } from '../profile/read.ts';

/** A thread that is attached to the arena. */
export interface ThreadState {
  /** Its number in the arena, by which waits name it. */
  readonly thread: number;
  /** `threadId` of its Worker, 0 for the main thread. */
  readonly threadId: number;
  /** The operating system's number, as `top -H` shows it; 0 where it is not known. */
  readonly osThread: number;
  /** False once it has ended, and is not repaired yet. */
  readonly isAlive: boolean;
  /** What its synchronous call waits for. */
  readonly waitsFor: string | undefined;
}

export interface ArenaState {
  /** In ISO 8601. */
  readonly time: string;
  readonly arena: ArenaSummary;
  readonly threads: readonly ThreadState[];
  readonly waits: readonly WaitsFor[];
  /** Cycles of threads that sleep in synchronous calls, each waiting for what the next one holds. */
  readonly deadlocks: readonly (readonly WaitsFor[])[];
  /** What was waited for since the profile began; undefined where none is made. */
  readonly profile: ContentionProfile | undefined;
}

/** It walks the heap and the waits, under latches for a moment: for a look once a second, not for each request. */
export function arenaState(arena: Arena, profile?: ContentionProfile): ArenaState {
  const waits = arena.waits();
  return {
    time: new Date().toISOString(),
    arena: arena.toJSON(),
    threads: threadsOf(arena, waits),
    waits,
    deadlocks: allDeadlocks(arena.thread),
    profile,
  };
}

function threadsOf({ cpu }: Arena, waits: readonly WaitsFor[]): ThreadState[] {
  const waitsFor = new Map(waits.filter(({ async }) => !async).map(({ thread, object }) => [thread, object]));
  const threads: ThreadState[] = [];
  for (let thread = 0; thread < maxThreads(cpu); thread++) {
    const slot = slotAddress(cpu, thread);
    const life = cpu.loadAcquire(slot + Slot.life);
    const phase = phaseOf(life);
    if (phase === 'free') continue;
    threads.push({
      thread,
      threadId: threadOf(Math.abs(life)) - 1,
      osThread: cpu.load(slot + Slot.osThread),
      isAlive: phase === 'attached',
      waitsFor: waitsFor.get(thread),
    });
  }
  return threads;
}
