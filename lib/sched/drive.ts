/**
 * Slow paths are generators that `yield` where they would sleep, after prepareToPark; what `yield` gives back says why
 * the task runs again. Two drivers run them: one blocks the thread, one lives on the event loop. So the synchronous
 * and the asynchronous form of a lock are one algorithm.
 */
import { checkOptionNames, HoldfastError, shown, type WaitsFor } from '../errors.ts';
import type { Cpu } from '../machine/cpu.ts';
import { clearInterval, setInterval } from '../machine/host.ts';
import type { Heap } from '../memory/heap.ts';
import { schedule, scheduleAsync, type Woken } from './schedule.ts';
import { endWait, finishPark, Task, unpark } from './task.ts';
import type { Aside, Thread } from './thread.ts';
import { findDeadlock, waitsShown } from './waits-for.ts';

/** Says with what a wait ended, and throws only before it has lined up. */
export type SlowPath<Outcome> = Generator<void, Outcome, Woken>;

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
export interface AsyncWaitOptions extends TimeoutOptions {
  /**
   * Give up when this signal aborts, rejecting with its reason. When `abort()` returns, the call waits no more: what
   * comes free from then on goes to others.
   */
  signal?: AbortSignal | undefined;
}

/** One acquisition under way: which task waits, and until when. */
export interface Waiter {
  readonly thread: Thread;
  readonly task: number;
  /** On the clock of `cpu.now()`, ns; Infinity for none. A path that has to end in order may put it off. */
  deadline: number;
  /** A task on an event loop: it neither spins nor may it be waited for by its own thread. */
  readonly async: boolean;
  aborted: boolean;
  /** Of a wait on an event loop: see `Aside`. */
  aside?: Aside | undefined;
  /** The cycle that the wait would close, once it was found. */
  deadlock?: readonly WaitsFor[] | undefined;
}

/** How an asynchronous wait ended. */
export interface Ended<Outcome> {
  readonly outcome: Outcome;
  readonly task: number;
  /** What the caller asked for: its options object may say something else by now. */
  readonly asked: AsyncWaitOptions;
}

/** How often a thread that asked for it looks for a deadlock while it sleeps, ns. */
const LOOK_INTERVAL = 100e6;

/** The options of every blocking call, by its form. */
export const SYNC_OPTIONS: readonly string[] = ['timeout', 'detectDeadlock'];
export const ASYNC_OPTIONS: readonly string[] = ['timeout', 'signal'];
/** What single classes have besides. They check more strictly before they come here. */
const FURTHER_OPTIONS = ['permits', 'exclusive', 'priority', 'deadline'];
const ALL_SYNC_OPTIONS = [...SYNC_OPTIONS, ...FURTHER_OPTIONS];
const ALL_ASYNC_OPTIONS = [...ASYNC_OPTIONS, ...FURTHER_OPTIONS];

/** Throws EINVAL for options that are none of the `known` ones, and the signal's reason when it has aborted already. */
export function checkOptions(
  options: (AsyncWaitOptions & WaitOptions) | undefined,
  known: readonly string[] = SYNC_OPTIONS,
): void {
  if (options === undefined) return;
  if (typeof options !== 'object' || options === null) {
    throw new HoldfastError('EINVAL', `expected options like { timeout: 50 }, received ${shown(options)}`);
  }
  checkOptionNames(options, known);
  const { signal, detectDeadlock = false } = options;
  if (typeof detectDeadlock !== 'boolean') {
    throw new HoldfastError('EINVAL', `detectDeadlock is true or false, received ${shown(detectDeadlock)}`);
  }
  if (signal === undefined) return;
  // Another realm's signal, a test environment's or a polyfill's is no instance of this realm's AbortSignal.
  if (typeof signal?.aborted !== 'boolean' || typeof signal.addEventListener !== 'function') {
    throw new HoldfastError('EINVAL', `signal must be an AbortSignal, received ${shown(signal)}`);
  }
  if (signal.aborted) throw abortReason(signal);
}

/** What a call rejects with when `signal` has aborted. Signals of older polyfills have no reason. */
export function abortReason(signal: AbortSignal | undefined): unknown {
  return signal?.reason === undefined ? new DOMException('This operation was aborted', 'AbortError') : signal.reason;
}

/** Milliseconds from now as a deadline in ns. Throws EINVAL unless `timeout` is a finite number of at least 0. */
export function deadlineOf(cpu: Cpu, timeout: number | undefined): number {
  if (timeout === undefined) return Number.POSITIVE_INFINITY;
  if (typeof timeout !== 'number' || !(timeout >= 0 && timeout < Number.POSITIVE_INFINITY)) {
    throw new HoldfastError(
      'EINVAL',
      `a timeout is a finite number of milliseconds, at least 0; received ${shown(timeout)}`,
    );
  }
  return cpu.now() + timeout * 1e6;
}

/** Runs a slow path for the thread's main task, blocking the thread. */
export function block<Outcome>(
  thread: Thread,
  options: WaitOptions | undefined,
  path: (waiter: Waiter) => SlowPath<Outcome>,
): Outcome {
  checkOptions(options, ALL_SYNC_OPTIONS);
  const deadline = deadlineOf(thread.cpu, options?.timeout);
  thread.leaveQueue?.();
  const waiter: Waiter = { thread, task: thread.current(), deadline, async: false, aborted: false };
  const outcome = options?.detectDeadlock ? driveLooking(waiter, path(waiter)) : drive(waiter, path(waiter));
  endWait(thread.cpu, waiter.task);
  if (outcome === 'aborted' && waiter.deadlock !== undefined) {
    throw new HoldfastError('EDEADLK', `a deadlock: ${waitsShown(waiter.deadlock)}`, waiter.deadlock);
  }
  return outcome;
}

/**
 * Runs a slow path on the event loop, for `own` or else for a task of its own, which the caller returns when it is done
 * with it.
 */
export async function blockAsync<Outcome>(
  thread: Thread,
  heap: Heap,
  options: AsyncWaitOptions | undefined,
  path: (waiter: Waiter) => SlowPath<Outcome>,
  own?: number,
): Promise<Ended<Outcome>> {
  checkOptions(options, ALL_ASYNC_OPTIONS);
  const asked = { timeout: options?.timeout, signal: options?.signal };
  const deadline = deadlineOf(thread.cpu, asked.timeout);
  const task = own ?? thread.takeTask(heap);
  const waiter: Waiter = { thread, task, deadline, async: true, aborted: false };
  const outcome = await driveAsync(waiter, path(waiter), asked.signal);
  endWait(thread.cpu, task);
  return { outcome, task, asked };
}

/** Runs a slow path on this thread, which sleeps where the path does. */
function drive<Outcome>(waiter: Waiter, path: SlowPath<Outcome>): Outcome {
  let step = path.next();
  while (!step.done) step = path.next(schedule(waiter.thread, waiter.task, waiter.deadline));
  return step.value;
}

/** `drive` that ends the wait as an abort does, once it finds that nobody else can. */
function driveLooking<Outcome>(waiter: Waiter, path: SlowPath<Outcome>): Outcome {
  const { thread, task } = waiter;
  const { cpu } = thread;
  let step = path.next();
  while (!step.done) {
    // The task says already what it waits for and that it sleeps: of two that close a cycle, the later one sees it.
    if (waiter.deadlock === undefined) {
      waiter.deadlock = findDeadlock(thread);
      waiter.aborted = waiter.deadlock !== undefined;
      if (waiter.aborted) unpark(cpu, task);
    }
    const reason = schedule(thread, task, Math.min(waiter.deadline, cpu.now() + LOOK_INTERVAL));
    step = path.next(cpu.now() < waiter.deadline ? 'woken' : reason);
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
  const advance = (reason: Woken): IteratorResult<void, Outcome> => {
    const wasAborted = waiter.aborted;
    isRunning = true;
    let step = path.next(reason);
    // Its condition has aborted the wait, in the middle of the step.
    if (!step.done && waiter.aborted && !wasAborted) step = path.next('woken');
    isRunning = false;
    if (step.done) waiters.delete(waiter);
    return step;
  };
  let step = advance('woken');
  if (step.done) return step.value;
  waiters.add(waiter);
  const abort = () => {
    waiter.aborted = true;
    if (isRunning || step.done) return;
    // Ends the sleep below, in this turn: also one that another thread has ended, whose news would come in a later one.
    // What the path takes now would lie about until then. It says SLEEPING again if it has to go on waiting.
    finishPark(cpu, waiter.task);
    cpu.wake(waiter.task + Task.state, 1);
    step = advance('woken');
  };
  if (signal !== undefined) onAbort(signal, abort);
  if (signal?.aborted) abort();
  holdEventLoop(cpu);
  try {
    while (!step.done) {
      const reason = await scheduleAsync(waiter.thread, waiter);
      if (!step.done) step = advance(reason);
    }
    return step.value;
  } finally {
    releaseEventLoop(cpu);
    if (signal !== undefined) aborts.get(signal)?.delete(abort);
  }
}

// One listener for each signal: any number of acquisitions may wait with the same one.
const aborts = new WeakMap<AbortSignal, Set<() => void>>();

function onAbort(signal: AbortSignal, abort: () => void): void {
  const calls = aborts.get(signal);
  if (calls !== undefined) {
    calls.add(abort);
    return;
  }
  const all = new Set([abort]);
  aborts.set(signal, all);
  signal.addEventListener('abort', () => all.forEach((call) => void call()), { once: true });
}

// A pending Atomics.waitAsync does not keep the process alive, so a timer does while anybody waits. It also does for
// tasks on the event loop what `onStall` does for a thread that sleeps: nobody else may find out that a holder has died.
const sleepers = new Map<Cpu, number>();
let timer: NodeJS.Timeout | undefined;

function holdEventLoop(cpu: Cpu): void {
  if (sleepers.size === 0) timer = setInterval(lookForDead, LOOK_INTERVAL / 1e6);
  sleepers.set(cpu, (sleepers.get(cpu) ?? 0) + 1);
}

function lookForDead(): void {
  for (const cpu of sleepers.keys()) cpu.onStall?.(false);
}

function releaseEventLoop(cpu: Cpu): void {
  const count = (sleepers.get(cpu) as number) - 1;
  if (count > 0) sleepers.set(cpu, count);
  else sleepers.delete(cpu);
  if (sleepers.size === 0) clearInterval(timer);
}
