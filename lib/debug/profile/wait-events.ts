/**
 * Waits for locks as events of `node:diagnostics_channel`, while a profile is made: for a service that wants to log long ones, or to see them in
 * its own traces. The thread that has waited publishes them, in a microtask behind the call: whoever listens may take locks, and is in the
 * asynchronous context of the caller.
 */
import { channel, subscribe, unsubscribe } from 'node:diagnostics_channel';
import { checkOptionNames, HoldfastError, shown } from '../../errors.ts';
import type { Cpu } from '../../machine/cpu.ts';
import type { Wait } from '../../sched/watch.ts';
import { Profile, Row } from './layout.ts';
import { isLockKind, kindNameOf, labelsOf, subjectOf } from './rows.ts';

/** A wait for a lock that is over. */
export interface LockWait {
  /** As messages name it: `mutex "accounts"`. */
  readonly lock: string;
  readonly class: string;
  /** CPU numbers: of the thread that has waited, and of the one that held the lock when it went to sleep, if that is known. */
  readonly thread: number;
  readonly holder: number | undefined;
  readonly async: boolean;
  readonly shared: boolean;
  /** When it began: ms, as `Date.now()` has it. */
  readonly start: number;
  /** ns. */
  readonly duration: number;
  /** 'acquired', 'owner-died', 'timed-out', 'aborted', or why else it came to nothing. */
  readonly outcome: string;
}

/** Names of the channels: each wait for a lock; those of `longWait` ms or more; those that got the lock of a thread that had died. */
const WAIT = 'holdfast:wait';
const waits = channel(WAIT);
const longWaits = channel('holdfast:long-wait');
const ownerDeaths = channel('holdfast:owner-died');

/** `row`: of the profile, for what the wait was for. `waited`: ns. */
export function publishWait(
  cpu: Cpu,
  profile: number,
  row: number,
  thread: number,
  wait: Wait,
  waited: number,
  outcome: unknown,
): void {
  const isLong = longWaits.hasSubscribers && waited >= cpu.load(profile + Profile.longWait) * 1e6;
  const isInherited = ownerDeaths.hasSubscribers && outcome === 'owner-died';
  if (!waits.hasSubscribers && !isLong && !isInherited) return;
  const subject = subjectOf(cpu, profile + Profile.rows + row * Row.words);
  if (subject === undefined || !isLockKind(kindNameOf(subject.kind))) return;
  const { label, className } = labelsOf(subject);
  const event: LockWait = {
    lock: label,
    class: className,
    thread,
    holder: wait.holder === 0 ? undefined : wait.holder - 1,
    async: wait.async,
    shared: wait.shared,
    start: performance.timeOrigin + performance.now() - waited / 1e6,
    duration: waited,
    // A slow path that comes back with no text, as those of spinning locks, has its lock.
    outcome: typeof outcome === 'string' ? outcome : 'acquired',
  };
  queueMicrotask(() => {
    waits.publish(event);
    if (isLong) longWaits.publish(event);
    if (isInherited) ownerDeaths.publish(event);
  });
}

/** What is used of the module `@opentelemetry/api`. */
export interface OpenTelemetryApi {
  readonly trace: {
    getTracer(name: string): {
      startSpan(
        name: string,
        options: { startTime: number; attributes: Record<string, string | number | boolean> },
        context: never,
      ): { end(time: number): void };
    };
  };
  readonly context: { active(): unknown };
}

/**
 * From here on each wait of this thread for a lock is a span `holdfast.wait`, a child of the span in which the call was made, while a profile of
 * the arena is made: of `longerThan` ms or more, by default of all. `api`: the module `@opentelemetry/api` of the program. Dispose what
 * comes back to end it. Throws EINVAL for what is none.
 *
 *     import * as api from '@opentelemetry/api';
 *     spansOfWaits(api, { longerThan: 5 });
 */
export function spansOfWaits(api: OpenTelemetryApi, options: { longerThan?: number | undefined } = {}): Disposable {
  checkOptionNames(options, ['longerThan']);
  const { longerThan = 0 } = options;
  if (typeof api?.trace?.getTracer !== 'function' || typeof api.context?.active !== 'function') {
    throw new HoldfastError('EINVAL', `spansOfWaits() expects the module @opentelemetry/api, received ${shown(api)}`);
  }
  if (!(typeof longerThan === 'number' && longerThan >= 0)) {
    throw new HoldfastError('EINVAL', `longerThan is a number of ms, at least 0; received ${shown(longerThan)}`);
  }
  const tracer = api.trace.getTracer('holdfast');
  const listen = (message: unknown) => {
    const wait = message as LockWait;
    if (wait.duration < longerThan * 1e6) return;
    const attributes = {
      'holdfast.lock': wait.lock,
      'holdfast.class': wait.class,
      'holdfast.mode': `${wait.async ? 'async' : 'sync'}${wait.shared ? ', shared' : ''}`,
      'holdfast.outcome': wait.outcome,
      'holdfast.thread': wait.thread,
      ...(wait.holder === undefined ? {} : { 'holdfast.holder': wait.holder }),
    };
    const context = api.context.active() as never;
    tracer
      .startSpan('holdfast.wait', { startTime: wait.start, attributes }, context)
      .end(wait.start + wait.duration / 1e6);
  };
  subscribe(WAIT, listen);
  return { [Symbol.dispose]: () => void unsubscribe(WAIT, listen) };
}
