/**
 * Stall warnings: a period that does not end is reported, with what it waits for, in the kernel's words.
 *
 * There is no tick. The tasks that wait for a period look after it, at least every 100 ms (`wait.ts`), and each look passes
 * by here. For each pace the domain has a record, about one period at a time:
 *
 *   the first look at a period    of := it, since := now, due := now + timeout
 *   a look after half the time    notes what CPU time the threads have used that the period waits for
 *   a look after `due`            due := now + 3 * timeout + 3 ms; a warning
 *   a look long after the one before it (half a timeout, and ten times as long as looks are apart): since and due are put
 *                                 off by that time, in which the process was stopped, or all threads that wait were
 *
 * The record's latch says which thread warns. It is tried, never waited for: a thread that does not get it leaves the look to
 * the one that has it. (The kernel's `jiffies_stall` is claimed by a cmpxchg.) The warning is written after the latch is free.
 *
 * A period can also stall because nobody takes its next step: the thread that has the domain's latch is stopped, or gets no
 * core. That is the kernel's starved grace-period kthread.
 *
 * Source: kernel/rcu/tree_stall.h.
 */
import { channel } from 'node:diagnostics_channel';
import { usageOf } from '../arena/liveness.ts';
import { tell } from '../arena/spawn.ts';
import type { Cpu } from '../machine/cpu.ts';
import { Heap } from '../memory/heap.ts';
import { latchOwner, tryLatch, unlatch } from '../memory/latch.ts';
import { Objects } from '../memory/object-store.ts';
import { Slot, slotAddress } from '../sched/slot.ts';
import type { Thread } from '../sched/thread.ts';
import { AWAITED } from './grace-period.ts';
import {
  type Domain,
  EXPEDITED,
  LANES,
  Line,
  leafAt,
  lineOf,
  type Pace,
  Period,
  RcuWords,
  threadsOf,
} from './layout.ts';
import { mayReport, runningStacks } from './running.ts';
import { IDLE, neededAfter, readSequence, SCANNING, stateOf } from './sequence.ts';
import { readStack } from './stacks.ts';

/** Name of the `node:diagnostics_channel` on which the thread that warns publishes an `RcuStall`. */
export const STALL_CHANNEL = 'holdfast:rcu:stall';
const stalls = channel(STALL_CHANNEL);

/** What a period that does not end waits for. */
export interface RcuStall {
  /** Kind and name of the domain. */
  readonly domain: string;
  readonly isExpedited: boolean;
  /** The period's number, as in a cookie. */
  readonly period: number;
  /** For how long somebody has waited for the period, ms. */
  readonly waited: number;
  /** CPU number of the thread that reports it. */
  readonly detectedBy: number;
  /** The threads whose readers hold the period up; none where they are out. */
  readonly threads: readonly StalledThread[];
  /** CPU number of the thread that is making, or was to make, the period's next step, if there is one. */
  readonly starved: number | undefined;
  /** Periods that were asked for and begin only when this one is over. */
  readonly behind: number;
  /** Callbacks and memory of all threads that wait for periods of the domain. */
  readonly queued: number;
  /** The warning, as it was written to the standard error stream, if that takes anything. */
  readonly message: string;
}

export interface StalledThread {
  /** CPU number. */
  readonly thread: number;
  /** Whether a reader of `readLock` is inside; of `RcuQsbr`: a synchronous stretch with a reader in it is not over. */
  readonly isSync: boolean;
  /** Whether readers with a guard are inside, or of `Srcu`. */
  readonly isGuarded: boolean;
  /** The system's letter for the thread's state: R runs, S sleeps, T stopped; undefined where the system does not say. */
  readonly state: string | undefined;
  /** Where its readers went in, as `Error.stack` has it; '' where the thread's debug mode is off. */
  readonly stack: string;
  /** Where it is, as `Error.stack` has it; '' where the thread that warns has not asked: see `stallStacks`. */
  readonly running: string;
  /** CPU time that the thread has used since half the stall timeout had passed, ms. */
  readonly used: number | undefined;
}

/** The kernel's: three more timeouts, and three ticks, until the next warning about the same period. */
const REPEAT = 3;
const REPEAT_MORE = 3;
/** Looks that are less far apart, ms, are late, as on a busy machine, and the process was not stopped. */
const LATEST_LOOK = 1000;

/** A look at a period that the calling thread waits for, and that is not over. */
export function checkStall(thread: Thread, domain: Domain, pace: Pace): void {
  const { cpu, id } = thread;
  const { rcu } = domain;
  const timeout = cpu.load(rcu + RcuWords.stallTimeout);
  if (timeout === 0) return;
  const sequence = readSequence(thread, rcu, pace);
  // A period that has not begun although nobody is about to begin it was not asked for.
  if (stateOf(sequence) === IDLE && latchOwner(cpu, rcu + RcuWords.latch) === 0) return;
  const record = rcu + pace.period;
  if (!tryLatch(cpu, record + Period.stallLatch, id)) return;
  const waited = look(cpu, domain, pace, { sequence, timeout });
  unlatch(cpu, record + Period.stallLatch);
  if (waited !== undefined) warn(thread, domain, pace, { sequence, waited });
}

/** Under the record's latch. Returns for how long the period has been waited for, ms, if that is to be reported. */
function look(
  cpu: Cpu,
  domain: Domain,
  pace: Pace,
  { sequence, timeout }: { sequence: number; timeout: number },
): number | undefined {
  const record = domain.rcu + pace.period;
  const now = Math.floor(cpu.now() / 1e6) | 0;
  // Of a period that is to begin, and of the same one later. Never 0, which is what a record is formatted with.
  const of = (sequence - stateOf(sequence) + SCANNING) | 0;
  if (cpu.load(record + Period.stallOf) !== of) {
    cpu.store(record + Period.stallSince, now);
    cpu.store(record + Period.stallDue, (now + timeout) | 0);
    cpu.store(record + Period.stallHalf, 0);
    cpu.store(record + Period.stallLooked, now);
    cpu.store(record + Period.stallOf, of);
    return undefined;
  }
  const gap = (now - cpu.load(record + Period.stallLooked)) | 0;
  cpu.store(record + Period.stallLooked, now);
  if (gap >= Math.max(timeout / 2, LATEST_LOOK)) {
    for (const word of [Period.stallSince, Period.stallDue])
      cpu.store(record + word, (cpu.load(record + word) + gap) | 0);
  }
  const waited = (now - cpu.load(record + Period.stallSince)) | 0;
  if (waited >= timeout / 2 && cpu.load(record + Period.stallHalf) === 0) {
    cpu.store(record + Period.stallHalf, 1);
    for (const number of awaitedThreads(cpu, domain, pace)) {
      cpu.store(lineOf(domain, number) + pace.usedAtHalf, usageOf(osThreadOf(cpu, number))?.used ?? 0);
    }
  }
  if (((now - cpu.load(record + Period.stallDue)) | 0) < 0) return undefined;
  cpu.store(record + Period.stallDue, (now + REPEAT * timeout + REPEAT_MORE) | 0);
  return waited;
}

function warn(thread: Thread, domain: Domain, pace: Pace, seen: { sequence: number; waited: number }): void {
  const stall = stallOf(thread, domain, pace, seen);
  // The task that looks is in the domain's queue, so this must not throw.
  tell(stall.message);
  stalls.publish(stall);
}

function stallOf(
  thread: Thread,
  domain: Domain,
  pace: Pace,
  { sequence, waited }: { sequence: number; waited: number },
): RcuStall {
  const { cpu, number: detectedBy } = thread;
  const { rcu } = domain;
  const threads = stalledThreads(thread, domain, pace);
  const holder = latchOwner(cpu, rcu + RcuWords.latch);
  // Last: whoever was inside is in the list, or the period has gone on.
  const later = readSequence(thread, rcu, pace);
  const stall = {
    domain: new Objects(cpu, new Heap(cpu, thread.id), thread.id, thread.nascent).labelOf(rcu),
    isExpedited: pace === EXPEDITED,
    period: sequence - stateOf(sequence),
    waited,
    detectedBy,
    threads,
    starved: threads.length === 0 && holder !== 0 ? holder - 1 : undefined,
    behind: neededAfter(cpu, rcu + pace.period, later),
    queued: queuedIn(cpu, domain),
  };
  return { ...stall, message: messageOf(cpu, domain.rings, stall, later - stateOf(later) > stall.period) };
}

function messageOf(cpu: Cpu, rings: boolean, stall: Omit<RcuStall, 'message'>, hasEnded: boolean): string {
  const { domain, isExpedited, period, waited, detectedBy, threads, starved, behind, queued } = stall;
  const isSelf = threads.some(({ thread }) => thread === detectedBy);
  const kind = isExpedited ? 'expedited stall' : 'stall';
  const lines = [
    isSelf
      ? `rcu: INFO: ${domain} self-detected ${kind} on thread ${detectedBy}`
      : `rcu: INFO: ${domain} detected ${kind}s on threads:`,
    ...threads.flatMap((one) => [
      `rcu: \t${one.thread}: ${behind} GPs behind, ${rings ? 'has not slept since' : shownReaders(one)}${shownUsage(one)}`,
      ...indented(one.stack),
      ...(one.running === '' ? [] : [`rcu: \t${one.thread} is now`, ...indented(one.running)]),
    ]),
    `rcu: \t(detected by thread ${detectedBy}, t=${waited} ms, g=${period}, q=${queued})`,
  ];
  if (threads.length === 0 && hasEnded) lines.push('rcu: INFO: Stall ended before state dump');
  else if (threads.length === 0) lines.push('rcu: All QSes seen: no reader holds the period up any more');
  if (starved !== undefined && !hasEnded) {
    const state = usageOf(osThreadOf(cpu, starved))?.state;
    lines.push(
      `rcu: the period's next step is starved: thread ${starved} is making it${state === undefined ? '' : `, and its state is ${state}`}`,
    );
  }
  return lines.join('\n');
}

function indented(stack: string): string[] {
  return stack === '' ? [] : stack.split('\n').map((line) => `rcu: \t${line}`);
}

function shownReaders({ isSync, isGuarded }: StalledThread): string {
  if (isSync && isGuarded) return 'inside readLock() and inside readers with a guard';
  return isSync ? 'inside readLock()' : 'inside readers with a guard';
}

function shownUsage({ state, used }: StalledThread): string {
  return state === undefined ? '' : `; its state is ${state}, CPU time since half time ${used} ms`;
}

/** CPU numbers of the threads whose readers the pace's current period waits for. Out of date as soon as they are listed. */
export function awaitedThreads(cpu: Cpu, domain: Domain, pace: Pace): number[] {
  const threads: number[] = [];
  for (let index = 0; index < domain.leaves; index++) {
    const mask = cpu.load(leafAt(domain, index) + pace.mask);
    for (let child = 0; child < domain.leafThreads; child++) {
      const number = index * domain.leafThreads + child;
      if (mask & (1 << child) && isAwaited(cpu, domain, number)) threads.push(number);
    }
  }
  return threads;
}

/** Whether a period waits for a reader of the thread with that CPU number. */
export function isAwaited(cpu: Cpu, domain: Domain, number: number): boolean {
  return lanesAwaited(cpu, domain, number).includes(true);
}

function lanesAwaited(cpu: Cpu, domain: Domain, number: number): boolean[] {
  const lanes = lineOf(domain, number) + Line.lanes;
  return Array.from({ length: LANES }, (_, lane) => cpu.load(lanes + lane) === AWAITED);
}

function stalledThreads(thread: Thread, domain: Domain, pace: Pace): StalledThread[] {
  const { cpu } = thread;
  const threads = awaitedThreads(cpu, domain, pace).map((number) => stalledThread(cpu, domain, pace, number));
  if (threads.length === 0 || !mayReport(thread)) return threads;
  const numbers = threads.map(({ thread: number }) => number);
  const running = runningStacks(cpu, numbers);
  return threads.map((one) => ({ ...one, running: running.get(one.thread) ?? '' }));
}

function stalledThread(cpu: Cpu, domain: Domain, pace: Pace, number: number): StalledThread {
  const [isSync = false, ...guarded] = lanesAwaited(cpu, domain, number);
  const usage = usageOf(osThreadOf(cpu, number));
  const used = usage && usage.used - cpu.load(lineOf(domain, number) + pace.usedAtHalf);
  const stacks = [isSync, ...guarded].map((is, lane) => (is ? readStack(cpu, domain.rcu, { number, lane }) : ''));
  const stack = stacks.filter((text) => text !== '').join('\n');
  return { thread: number, isSync, isGuarded: guarded.includes(true), state: usage?.state, stack, running: '', used };
}

function queuedIn(cpu: Cpu, domain: Domain): number {
  const threads = threadsOf(cpu, domain.rcu);
  let queued = 0;
  for (let number = 0; number < threads; number++) {
    const line = lineOf(domain, number);
    queued += (cpu.load(line + Line.queued) - cpu.load(line + Line.done)) | 0;
    queued += (cpu.load(line + Line.kfreed) - cpu.load(line + Line.reclaimed)) | 0;
  }
  return queued;
}

function osThreadOf(cpu: Cpu, number: number): number {
  return cpu.load(slotAddress(cpu, number) + Slot.osThread);
}
