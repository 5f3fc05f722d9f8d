/** What goes on in an arena at this moment: its threads, who waits for whom, what was waited for. Plain data. */
import type { Arena, ArenaSummary } from '../../arena/arena.ts';
import type { ThreadState } from '../../arena/thread-state.ts';
import type { WaitsFor } from '../../errors.ts';
import { allDeadlocks } from '../../sched/waits-for.ts';
import type { Pressure } from '../profile/pressure.ts';
import type { ContentionProfile } from '../profile/read.ts';
import type { ProfileSession } from '../profile/session.ts';
import type { Frame } from '../profile/stacks.ts';

/** A thread, and what it waits for. */
export interface ObservedThread extends ThreadState {
  /** Of its synchronous call. */
  readonly waitsFor: string | undefined;
  /** Where that call was made, the innermost frame first, once it has slept for some ms and where a profile is made. */
  readonly stack?: readonly Frame[] | undefined;
}

export interface ArenaState {
  /** In ISO 8601. */
  readonly time: string;
  readonly arena: ArenaSummary;
  readonly threads: readonly ObservedThread[];
  readonly waits: readonly WaitsFor[];
  /** Cycles of threads that sleep in synchronous calls, each waiting for what the next one holds. */
  readonly deadlocks: readonly (readonly WaitsFor[])[];
  /** What was waited for since the profile began; undefined where none is made. */
  readonly profile: ContentionProfile | undefined;
  /** What share of their time threads wait for locks; undefined where no profile is made. */
  readonly pressure: Pressure | undefined;
}

/** It walks the heap and the waits, under latches for a moment: for a look once a second, not for each request. */
export function arenaState(
  arena: Arena,
  profile?: ContentionProfile,
  session?: Pick<ProfileSession, 'pressure' | 'stackOf'>,
): ArenaState {
  const waits = arena.waits();
  return {
    time: new Date().toISOString(),
    arena: arena.toJSON(),
    threads: observed(arena.threads(), waits, (thread) => session?.stackOf(thread)),
    waits,
    deadlocks: allDeadlocks(arena.thread),
    profile,
    pressure: session?.pressure(),
  };
}

function observed(
  threads: readonly ThreadState[],
  waits: readonly WaitsFor[],
  stackOf: (thread: number) => ObservedThread['stack'],
): ObservedThread[] {
  const waitsFor = new Map(waits.filter(({ async }) => !async).map(({ thread, object }) => [thread, object]));
  return threads.map((state) => ({ ...state, waitsFor: waitsFor.get(state.thread), stack: stackOf(state.thread) }));
}
