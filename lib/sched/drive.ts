/**
 * Two drivers run slow paths: one blocks the thread, one lives on the event loop. So the synchronous and the asynchronous
 * form of a lock are one algorithm.
 */
import { checkOptionNames, HoldfastError, shown } from '../errors.ts';
import type { Cpu } from '../machine/cpu.ts';
import { Header } from '../memory/header.ts';
import type { Heap } from '../memory/heap.ts';
import { latchFree } from '../memory/latch.ts';
import { ALONE, ASYNC_ALONE, concludeWait, noteRun, noteSleep, takeWait } from './contention.ts';
import { holdEventLoop, offAbort, onAbort, releaseEventLoop } from './event-loop.ts';
import { checkPriority, tellCeiling } from './priority.ts';
import { schedule, scheduleAsync, type Woken } from './schedule.ts';
import type { GaveUp, SlowPath, Waiter } from './slow-path.ts';
import { endWait, finishPark, prepareToPark, Task, unpark } from './task.ts';
import type { Thread } from './thread.ts';
import { findDeadlock, waitsShown } from './waits-for.ts';

/** Options of every blocking call. */
export interface TimeoutOptions {
  /** Give up after this many milliseconds, with ETIMEDOUT; 0 tries once. Default: wait for ever. */
  timeout?: number | undefined;
}

/** Options of every blocking call in its synchronous form. */
export interface WaitOptions extends TimeoutOptions {
  /**
   * Look, before the thread sleeps and every 100 ms while it does, whether who holds the lock waits, directly or by
   * way of others, for this thread; then give up, with EDEADLK and the cycle. Default false. Of two threads that
   * wait for each other both may find out.
   */
  detectDeadlock?: boolean | undefined;
}

/** Options of every blocking call in its asynchronous form. */
export interface AbortableOptions extends TimeoutOptions {
  /**
   * Give up when this signal aborts, rejecting with its reason. When `abort()` returns, the call waits no more: what
   * comes free from then on goes to others. One exception: while another thread has the queue's latch, for longer than a
   * moment only if it is preempted or dead, the call stays in the queue, and may get there what comes free before.
   */
  signal?: AbortSignal | undefined;
}

/** Options of asynchronous calls that wait in line, one before the other. */
export interface AsyncWaitOptions extends AbortableOptions {
  /**
   * Its place in line: lower goes first, and first come first among equals. It counts among those that wait; a lock that is
   * free is anybody's. A 32-bit whole number, default 0. Synchronous calls have that of their thread: `thread.setPriority`.
   */
  priority?: number | undefined;
}

/** What a call asked for, read once: the caller may change its options object while the call waits. */
export interface Limits extends AsyncWaitOptions {
  /** On the clock of `cpu.now()`, ns; Infinity for none. */
  readonly deadline: number;
  readonly detectDeadlock?: boolean | undefined;
}

/** What a call waits for. */
export interface Waitable {
  /** Of an object that can be destroyed. */
  readonly address?: number;
  /** The task waits for that object from here on, and counts among those that do. Throws EINVAL when it is no more. */
  beginWait?(task: number): void;
  /** The ETIMEDOUT of a call that has waited for `timeout` ms. */
  notInTime(timeout: number | undefined): HoldfastError;
}

/** How an asynchronous wait ended that has not been aborted. */
export interface Ended<Outcome> {
  readonly outcome: Outcome;
  readonly task: number;
}

/** How often a thread that asked for it looks for a deadlock while it sleeps, ns. */
const LOOK_INTERVAL = 100e6;

/** The options of every blocking call, by its form. */
export const SYNC_OPTIONS: readonly string[] = ['timeout', 'detectDeadlock'];
export const ABORTABLE_OPTIONS: readonly string[] = ['timeout', 'signal'];
export const ASYNC_OPTIONS: readonly string[] = [...ABORTABLE_OPTIONS, 'priority'];

/** Of a call without options. */
export const NO_LIMITS: Limits = { deadline: Number.POSITIVE_INFINITY };

/**
 * What a call with these options asked for. Throws EINVAL for options that are none of the `known` ones or have bad values, and
 * the signal's reason when it has aborted already.
 */
export function limitsOf(
  cpu: Cpu,
  options: (AsyncWaitOptions & WaitOptions) | undefined,
  known: readonly string[] = SYNC_OPTIONS,
): Limits {
  if (options === undefined) return NO_LIMITS;
  if (typeof options !== 'object' || options === null) {
    throw new HoldfastError('EINVAL', `expected options like { timeout: 50 }, received ${shown(options)}`);
  }
  checkOptionNames(options, known);
  const { timeout, signal, priority, detectDeadlock } = options;
  if (detectDeadlock !== undefined && typeof detectDeadlock !== 'boolean') {
    throw new HoldfastError('EINVAL', `detectDeadlock is true or false, received ${shown(detectDeadlock)}`);
  }
  if (priority !== undefined) checkPriority(priority);
  if (signal !== undefined) {
    // Another realm's signal, a test environment's or a polyfill's is no instance of this realm's AbortSignal.
    if (typeof signal?.aborted !== 'boolean' || typeof signal.addEventListener !== 'function') {
      throw new HoldfastError('EINVAL', `signal must be an AbortSignal, received ${shown(signal)}`);
    }
    if (signal.aborted) throw abortReason(signal);
  }
  return { timeout, signal, priority, detectDeadlock, deadline: deadlineOf(cpu, timeout) };
}

/** What a call rejects with when `signal` has aborted. Signals of older polyfills have no reason. */
export function abortReason(signal: AbortSignal | undefined): unknown {
  return signal?.reason === undefined ? new DOMException('This operation was aborted', 'AbortError') : signal.reason;
}

/** Milliseconds from now as a deadline in ns. Throws EINVAL unless `timeout` is a finite number of at least 0. */
function deadlineOf(cpu: Cpu, timeout: number | undefined): number {
  if (timeout === undefined) return Number.POSITIVE_INFINITY;
  if (typeof timeout !== 'number' || !(timeout >= 0 && timeout < Number.POSITIVE_INFINITY)) {
    throw new HoldfastError(
      'EINVAL',
      `a timeout is a finite number of milliseconds, at least 0; received ${shown(timeout)}`,
    );
  }
  return cpu.now() + timeout * 1e6;
}

/**
 * Runs a slow path for the thread's main task, blocking the thread. `what` the call waits for says what it throws when it
 * gives up; without that, it never does.
 */
export function block<Outcome>(
  thread: Thread,
  limits: Limits | undefined,
  path: (waiter: Waiter) => SlowPath<Outcome>,
  what?: Waitable,
): Exclude<Outcome, GaveUp> {
  const { timeout, deadline, detectDeadlock } = limits ?? NO_LIMITS;
  thread.leaveQueue?.();
  const wait = takeWait(thread, ALONE, what?.address);
  const onlyTries = timeout === 0;
  const waiter: Waiter = { thread, task: thread.current(), deadline, async: false, onlyTries, aborted: false, wait };
  tellCeiling(thread);
  what?.beginWait?.(waiter.task);
  let outcome: Outcome;
  try {
    outcome = detectDeadlock ? driveLooking(waiter, path(waiter)) : drive(waiter, path(waiter));
  } catch (error) {
    // Of the path, before it has lined up. What ends a simulated thread goes through without another step.
    if (error instanceof HoldfastError) endWait(thread.cpu, waiter.task);
    throw error;
  }
  if (wait !== undefined) concludeWait(thread, waiter.task, wait, outcome);
  endWait(thread.cpu, waiter.task);
  if (outcome === 'aborted' && waiter.deadlock !== undefined) {
    throw new HoldfastError('EDEADLK', `a deadlock: ${waitsShown(waiter.deadlock)}`, waiter.deadlock);
  }
  if (outcome === 'timed-out' && what !== undefined) throw what.notInTime(timeout);
  return outcome as Exclude<Outcome, GaveUp>;
}

/**
 * Runs a slow path on the event loop, for `own` or else for a task of its own, which the caller returns when it is done
 * with it. `what`: as for `block`. Where the call gives up, this rejects with ETIMEDOUT or the signal's reason, and the task
 * is returned.
 */
export async function blockAsync<Outcome>(
  thread: Thread,
  heap: Heap,
  limits: Limits | undefined,
  path: (waiter: Waiter) => SlowPath<Outcome>,
  what?: Waitable,
  own?: number,
): Promise<Ended<Exclude<Outcome, GaveUp>>> {
  const wait = takeWait(thread, ASYNC_ALONE, what?.address);
  const { timeout, signal, priority, deadline } = limits ?? NO_LIMITS;
  const task = own ?? thread.tryTakeTask(heap) ?? (await takeTask(thread, heap, signal));
  if (wait !== undefined) wait.task = task;
  const waiter: Waiter = { thread, task, deadline, async: true, aborted: false, wait, priority, place: undefined };
  if (priority !== undefined) thread.cpu.store(task + Task.priority, priority);
  let outcome: Outcome;
  try {
    what?.beginWait?.(task);
    outcome = await driveAsync(waiter, path(waiter), signal);
  } catch (error) {
    if (error instanceof HoldfastError) {
      if (priority !== undefined) thread.cpu.store(task + Task.priority, 0);
      if (own === undefined) thread.returnTask(task);
      endWait(thread.cpu, task);
    }
    throw error;
  }
  if (priority !== undefined) thread.cpu.store(task + Task.priority, 0);
  if (wait !== undefined) concludeWait(thread, task, wait, outcome);
  endWait(thread.cpu, task);
  if (outcome === 'aborted' || (outcome === 'timed-out' && what !== undefined)) {
    if (own === undefined) thread.returnTask(task);
    throw outcome === 'aborted' ? abortReason(signal) : what?.notInTime(timeout);
  }
  return { outcome: outcome as Exclude<Outcome, GaveUp>, task };
}

/** `thread.takeTask` on an event loop, where another thread has the heap. Throws the signal's reason when it has aborted. */
async function takeTask(thread: Thread, heap: Heap, signal: AbortSignal | undefined): Promise<number> {
  const { cpu } = thread;
  // That thread may be dead: somebody has to look.
  holdEventLoop(cpu);
  try {
    for (;;) {
      await latchFree(cpu, Header.heapLatch);
      if (signal?.aborted) throw abortReason(signal);
      const task = thread.tryTakeTask(heap);
      if (task !== undefined) return task;
    }
  } finally {
    releaseEventLoop(cpu);
  }
}

/** Runs a slow path on this thread, which sleeps where the path does. */
function drive<Outcome>(waiter: Waiter, path: SlowPath<Outcome>): Outcome {
  const { thread, task, wait } = waiter;
  let step = path.next();
  while (!step.done) {
    if (wait !== undefined) noteSleep(thread, task, wait);
    const { deadline, lookAgain } = waiter;
    const reason = lookAgain === undefined ? schedule(thread, task, deadline) : sleepUntil(waiter, lookAgain);
    if (wait !== undefined) noteRun(wait);
    step = path.next(reason);
  }
  return step.value;
}

/** Until the waiter is woken, or `until` has come, if that is before its deadline. */
function sleepUntil({ thread, task, deadline }: Waiter, until: number): Woken {
  if (until >= deadline) return schedule(thread, task, deadline);
  schedule(thread, task, until);
  return 'woken';
}

/** Inside a slow path, on its thread: sleeps for `ns`, or until its deadline or somebody wakes the task. */
export function nap({ thread, task, wait, deadline }: Waiter, ns: number): void {
  const { cpu } = thread;
  prepareToPark(cpu, task);
  if (wait !== undefined) noteSleep(thread, task, wait);
  schedule(thread, task, Math.min(deadline, cpu.now() + ns));
  if (wait !== undefined) noteRun(wait);
}

/** `drive` that ends the wait as an abort does, once it finds that nobody else can. */
function driveLooking<Outcome>(waiter: Waiter, path: SlowPath<Outcome>): Outcome {
  const { thread, task, wait } = waiter;
  const { cpu } = thread;
  let step = path.next();
  while (!step.done) {
    if (wait !== undefined) noteSleep(thread, task, wait);
    // The task says already what it waits for and that it sleeps: of two that close a cycle, the later one sees it.
    if (waiter.deadlock === undefined) {
      waiter.deadlock = findDeadlock(thread);
      waiter.aborted = waiter.deadlock !== undefined;
      if (waiter.aborted) unpark(cpu, task);
    }
    const reason = sleepUntil(waiter, Math.min(waiter.lookAgain ?? waiter.deadline, cpu.now() + LOOK_INTERVAL));
    if (wait !== undefined) noteRun(wait);
    step = path.next(reason);
  }
  return step.value;
}

/**
 * Runs a slow path on the event loop. When `signal` aborts, the path goes on at once with `waiter.aborted` set, inside
 * `abort()`: the task leaves its queue before anybody can hand it something.
 */
async function driveAsync<Outcome>(
  waiter: Waiter,
  path: SlowPath<Outcome>,
  signal: AbortSignal | undefined,
): Promise<Outcome> {
  const { cpu, waiters } = waiter.thread;
  let isRunning = false;
  const advance = (reason: Woken): IteratorResult<number | undefined, Outcome> => {
    const wasAborted = waiter.aborted;
    let isOver = true;
    isRunning = true;
    try {
      let step = path.next(reason);
      // Its condition has aborted the wait, in the middle of the step.
      if (!step.done && waiter.aborted && !wasAborted) step = path.next('woken');
      isOver = step.done === true;
      return step;
    } finally {
      isRunning = false;
      if (isOver) waiters.remove(waiter);
    }
  };
  // From the first step on: its condition may run in that, and block the thread.
  waiters.add(waiter);
  let step = advance('woken');
  if (step.done) return step.value;
  let thrown: { readonly error: unknown } | undefined;
  let endLatchWait = () => {};
  const abort = () => {
    waiter.aborted = true;
    if (isRunning || step.done || thrown !== undefined) return;
    // Ends the sleep below, in this turn: also one that another thread has ended, whose news would come in a later one.
    // What the path takes now would lie about until then. It says SLEEPING again if it has to go on waiting.
    finishPark(cpu, waiter.task);
    cpu.wake(waiter.task + Task.state, 1);
    try {
      step = advance('woken');
      // It waits for a latch, and may say SLEEPING already: the sleep below must be over for the loop to see that.
      if (step.value !== undefined && !step.done) finishPark(cpu, waiter.task);
    } catch (error) {
      // It had not lined up yet. The call throws that, not `abort()`.
      thrown = { error };
    }
    endLatchWait();
  };
  const listener = { abort, place: undefined };
  if (signal !== undefined) onAbort(signal, listener);
  if (signal?.aborted) abort();
  holdEventLoop(cpu);
  try {
    while (!step.done && thrown === undefined) {
      let reason: Woken = 'woken';
      if (step.value === undefined) {
        if (waiter.wait !== undefined) noteSleep(waiter.thread, waiter.task, waiter.wait);
        reason = await scheduleAsync(waiter.thread, waiter);
        if (waiter.wait !== undefined) noteRun(waiter.wait);
      } else await Promise.race([latchFree(cpu, step.value), new Promise<void>((end) => (endLatchWait = end))]);
      if (!step.done && thrown === undefined) step = advance(reason);
    }
    if (thrown !== undefined) throw thrown.error;
    return step.value as Outcome;
  } finally {
    releaseEventLoop(cpu);
    if (signal !== undefined) offAbort(signal, listener);
  }
}
