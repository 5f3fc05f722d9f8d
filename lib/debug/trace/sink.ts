/**
 * Sinks: what hears the events of a traced thread. The rings are one, trace programs are another; a thread has at most one of each.
 *
 * `Header.trace` says whether anybody traces the arena: the users that there are, a bit each, and above them a number that grows
 * whenever that changes. A thread that reads another number than it has seen asks each room that has declared a sink for the one that the
 * thread is to have from then on. So a room writes down in shared memory what is to be done, calls `setTraced`, and each thread comes to
 * `open` by itself: when it attaches, in its next slow path, or, if it is traced already, at its next event.
 */
import type { Thread } from '../../sched/thread.ts';
import type { Hold } from './holds.ts';

/** Users of an arena's trace points: bits of `Header.trace`. */
export const TraceUser = { rings: 1, programs: 2 } as const;

export type TraceUser = (typeof TraceUser)[keyof typeof TraceUser];

/** Hears the events of one thread. Illegal to call anything of the library's that can wait, and to throw. */
export interface TraceSink {
  /** The points that it hears of: bit `1 << number`. */
  readonly points: number;
  /** `time`: ns on `cpu.now()`. What the point's fields are, in their order; 0 for those that it does not have. */
  emit(point: number, time: number, a: number, b: number, c: number, d: number, e: number): void;
  /**
   * For the one sink of a thread that hears of each lock, all of an `acquire`, which sets `hold.since`, or with a `wait` of -1 of a `release`:
   * reads the clock, sets the thread's `mark`, and records `hold`, unless `Header.trace` is not `session` any more. Then it leaves the
   * mark, and returns false.
   *
   * One function, because V8 makes none of an event that goes through this whole room, and each call costs 3 to 5 ns: a pair of a free lock
   * takes a fifth less than with `emit`.
   */
  lockEvent?(mark: number, session: number, hold: Hold, wait: number): boolean;
}

/** What a sink may ask about the thread that it hears of, and about the numbers that it hears. */
export interface Traced {
  readonly thread: Thread;
  /** Of a `lock` field: the kind of the lock, and its name; undefined for 0, and for one that found no room in the table. */
  lockOf(number: number): { readonly kind: string; readonly name: string | undefined } | undefined;
  /** The number of the place where the program is now, for a `stack` field; 0 when there is no room. It takes some microseconds. */
  stackHere(): number;
}

/** The sink that the thread is to have from now on; undefined for none. */
export type OpenSink = (traced: Traced) => TraceSink | undefined;

const openers: OpenSink[] = [];

/** Declares a sink: once for each room that has one, when it is loaded. */
export function defineSink(open: OpenSink): void {
  openers.push(open);
}

/** The sinks of a thread, as they are now. */
export function openSinks(traced: Traced): TraceSink[] {
  return openers.flatMap((open) => open(traced) ?? []);
}
