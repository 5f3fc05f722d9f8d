/**
 * The trace points: what a thread tells of itself while it is traced, each with a name and fields. Everything else about them follows from
 * this table: the length of a record, what a trace program may name, what an export says.
 *
 *   u32    a whole number below 2^32
 *   u64    a whole number below 2^53, in two words of a record; durations are ns
 *   lock   the number of a lock or of another shared object in the trace's table of locks, from 1; 0 for one that is not known
 *   stack  the number of a place of the program in the trace's table of stacks, from 1; 0 for none: stacks were not asked for
 *
 * A task is named by its address, a thread by its CPU number. `mode` is a sum of `Mode`, `outcome` one of `OUTCOMES`.
 *
 * Names are those of the kernel's tracepoints where it has them: include/trace/events/lock.h, sched.h, workqueue.h, rcu.h.
 */
import type { WaitForm } from '../../sched/watch.ts';

export type FieldType = 'u32' | 'u64' | 'stack' | 'lock';

export interface Field {
  readonly name: string;
  readonly type: FieldType;
}

export interface TracePoint {
  readonly name: string;
  readonly fields: readonly Field[];
}

const lock: Field = { name: 'lock', type: 'lock' };
const mode: Field = { name: 'mode', type: 'u32' };
const task: Field = { name: 'task', type: 'u32' };
const thread: Field = { name: 'thread', type: 'u32' };
const u32 = (name: string): Field => ({ name, type: 'u32' });
const u64 = (name: string): Field => ({ name, type: 'u64' });
const stack: Field = { name: 'stack', type: 'stack' };

/** Their numbers are their places here. At most five fields each, of at most six words together. */
export const POINTS: readonly TracePoint[] = [
  /** A call could not have the lock at once. `holder`: the thread that had it then, plus one; 0 for none, or not known. */
  { name: 'contention_begin', fields: [lock, mode, task, u32('holder'), stack] },
  /** That call comes back. `wait`: since its begin. */
  { name: 'contention_end', fields: [lock, mode, task, u32('outcome'), u64('wait')] },
  /** A task has the lock from here on. `wait`: since it asked for it; 0 for a call that does not wait. */
  { name: 'acquire', fields: [lock, mode, task, u64('wait')] },
  /** A task has given the lock back. `hold`: since it has it; 0 if it had it before it was traced. */
  { name: 'release', fields: [lock, mode, task, u64('hold')] },
  /** The lock was given to a task that waits for it, of that thread. */
  { name: 'handoff', fields: [lock, thread, task] },
  /** A task goes to sleep for the lock, which is 0 where it sleeps for something else. */
  { name: 'park', fields: [lock, mode, task] },
  /** It runs again. `sleep`: since `park`. */
  { name: 'resume', fields: [lock, mode, task, u64('sleep')] },
  /** The traced thread wakes a task that sleeps, of that thread. */
  { name: 'unpark', fields: [thread, task] },
  /** A task has got the lock of an owner that died inside. */
  { name: 'owner_death', fields: [lock, mode, task] },
  /** The traced thread has repaired what that thread left when it was killed. */
  { name: 'thread_death', fields: [thread] },
  /** A grace period of the domain begins or ends: `number` is its number, the same at both. `expedited`: 1 or 0. */
  { name: 'grace_period_begin', fields: [lock, u32('expedited'), u64('number')] },
  { name: 'grace_period_end', fields: [lock, u32('expedited'), u64('number')] },
  /** A callback is queued, with `pending` of the thread's before it. */
  { name: 'callback_queue', fields: [lock, u32('pending')] },
  /** So many callbacks have run in one turn of the event loop, in `time`. */
  { name: 'callback_batch', fields: [lock, u32('count'), u64('time')] },
  /** An item is queued. `lock`: its workqueue. */
  { name: 'workqueue_queue', fields: [lock, u32('item')] },
  /** Its function is called. */
  { name: 'workqueue_start', fields: [lock, u32('item')] },
  /** It is done: it has returned, or what it returned has settled. `time`: since its start. */
  { name: 'workqueue_end', fields: [lock, u32('item'), u64('time')] },
];

/** The number of each point. */
export const Point = {
  contentionBegin: 0,
  contentionEnd: 1,
  acquire: 2,
  release: 3,
  handoff: 4,
  park: 5,
  resume: 6,
  unpark: 7,
  ownerDeath: 8,
  threadDeath: 9,
  gracePeriodBegin: 10,
  gracePeriodEnd: 11,
  callbackQueue: 12,
  callbackBatch: 13,
  workQueue: 14,
  workStart: 15,
  workEnd: 16,
} as const;

/** Bits of `mode`: the lock is shared with others; the call is an asynchronous one. */
export const Mode = { shared: 1, async: 2 } as const;

/** What a call came to: `outcome` is the place here. */
export const OUTCOMES = ['acquired', 'owner-died', 'timed-out', 'aborted', 'deadlock', 'failed'] as const;

/** The number of the point of that name; undefined if there is none. */
export function pointNamed(name: string): number | undefined {
  const number = POINTS.findIndex((point) => point.name === name);
  return number < 0 ? undefined : number;
}

const FAILED = OUTCOMES.indexOf('failed');

export function modeOf({ shared, async }: WaitForm): number {
  return (shared ? Mode.shared : 0) | (async ? Mode.async : 0);
}

/** A slow path that comes back with no text, as those of spinning locks, has its lock. */
export function outcomeNumber(outcome: unknown): number {
  if (typeof outcome !== 'string') return 0;
  const number = (OUTCOMES as readonly string[]).indexOf(outcome);
  return number < 0 ? FAILED : number;
}
