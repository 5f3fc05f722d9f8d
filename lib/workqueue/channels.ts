/**
 * Calls of `run` and `runWith` as messages of `holdfast:workqueue:run` in `node:diagnostics_channel`, in the thread that calls. It is a
 * tracing channel, so there are `tracing:holdfast:workqueue:run:start`, `end`, `asyncStart`, `asyncEnd` and `error`. The message is one
 * object for all five of a call. Nothing is made of it while nobody subscribes.
 */
import { type TracingChannel, tracingChannel } from 'node:diagnostics_channel';
import { nameOf, type WorkFunction } from './work.ts';

/** What subscribers of `holdfast:workqueue:run` are told of a call. Behind its end there is `result` or `error` as well. */
export interface WorkqueueRunMessage {
  /** The queue's name. */
  readonly workqueue: string;
  /** The function's name, as `work` has declared it; '' for what is no work. */
  readonly name: string;
  /** The arguments as they were given, not a copy of them. */
  readonly args: readonly unknown[];
}

const runs: TracingChannel<unknown, WorkqueueRunMessage> = tracingChannel('holdfast:workqueue:run');
const { start, end, asyncStart, asyncEnd, error } = runs;

/** Whether anybody hears of calls. `TracingChannel.hasSubscribers` comes with Node 22. */
export function isTraced(): boolean {
  const isBegun = start.hasSubscribers || end.hasSubscribers;
  return isBegun || asyncStart.hasSubscribers || asyncEnd.hasSubscribers || error.hasSubscribers;
}

/** `call`, of which subscribers hear. */
export function traced<Result>(
  workqueue: string,
  run: WorkFunction,
  args: readonly unknown[],
  call: () => Promise<Result>,
): Promise<Result> {
  return runs.tracePromise(call, { workqueue, name: nameOf(run), args });
}
