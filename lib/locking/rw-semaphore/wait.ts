/**
 * How readers and writers wait for an RwSemaphore.
 *
 *   reader                                       writer
 *   stay out while a writer spins
 *   pass a sleeping writer, or spin              try, and spin in the queue of spinners, while readers stay out
 *     | held                                       | held
 *   join the list, and leave WAITERS             join the list, and leave WAITERS
 *     |                                            |
 *   sleep until granted ----> reads              try, or leave WAITERS, and HANDOFF after 4 ms ----> writes
 *     | timeout, abort                             |       ^                          | timeout, abort
 *   leave the list, unless granted: reads          '-> sleep until woken          leave the list
 *
 * A thread that waits synchronously keeps its own asynchronous tasks from running: it goes in front of them in the
 * list, takes back what they were granted and have not picked up, and reads along with those of them that read.
 */

import type { Cpu } from '../../machine/cpu.ts';
import { latch, unlatch } from '../../memory/latch.ts';
import { expectGrant, Grant } from '../../sched/grant.ts';
import { claimHold, holdsOf } from '../../sched/holds.ts';
import { beginWaiting } from '../../sched/offer.ts';
import { type Concluded, latched, type Outcome, type SlowPath, type Waiter } from '../../sched/slow-path.ts';
import { ASYNC, finishPark, prepareToPark, Task, unparkAll } from '../../sched/task.ts';
import type { Thread } from '../../sched/thread.ts';
import { firstAble, joinAhead, leaveList } from '../../sched/wait-list.ts';
import { osqLock, osqUnlock } from '../osq.ts';
import { joinReaders, mayPass, tryDownRead, tryDownWrite } from './core.ts';
import { endRound, isGranted, pendingTasks, pickUp, takeBackOwn, takeFromLoops } from './loops.ts';
import { grantPastWriter, lookers, unlatchAndWake, wakeWaiters } from './wake.ts';
import {
  firstReader,
  HANDOFF,
  HANDOFF_AFTER,
  isFifo,
  isFree,
  isUnrecoverable,
  latchOf,
  listOf,
  MODE,
  mayRead,
  microseconds,
  OWNER_DIED,
  READ,
  RwSemaphoreWords,
  readersOf,
  taskOf,
  WAITERS,
  WRITE,
  WRITER,
  waitMarks,
  wordOf,
} from './words.ts';

/** Reads without sleeping; undefined when that is not possible. */
export function readSpinning(
  thread: Thread,
  semaphore: number,
  task: number,
  async: boolean,
  spins: boolean,
): Concluded | undefined {
  thread.counters.contended++;
  if (!async && spins) stayOut(thread, semaphore);
  // To sleep behind a writer that sleeps would cost everyone more than a few who pass it.
  const passes = !async && mayPass(thread.cpu, semaphore);
  const tried =
    (passes ? tryDownRead(thread, semaphore, task, WAITERS) : undefined) ?? readNow(thread, semaphore, task, async);
  if (tried !== undefined) return tried === 'acquired' ? acquired(thread, semaphore) : tried;
  const refusal = refuse(thread, semaphore, async);
  if (refusal !== undefined || !spins || isFifo(thread.cpu, semaphore)) return refusal;
  // A writer, or one who wants the lock next, may be done sooner than this thread would fall asleep.
  const word = thread.cpu.condLoad(wordOf(semaphore), mayReadNow, 0, thread.spins);
  return mayReadNow(word) ? tryDownRead(thread, semaphore, task, 0) : undefined;
}

const mayReadNow = (word: number) => mayRead(word, 0);
const isOpen = (closing: number) => closing === 0;

/** Until the readers inside have left, if a writer spins for that: but not on a thread that reads already, which it waits for. */
function stayOut(thread: Thread, semaphore: number): void {
  const { cpu, spins } = thread;
  const closing = semaphore + RwSemaphoreWords.closing;
  if (cpu.load(closing) !== 0 && !readsHere(thread, semaphore, true)) cpu.condLoad(closing, isOpen, 0, spins);
}

/** One attempt to read; a thread whose tasks read already may do so at once, synchronously. */
export function readNow(thread: Thread, semaphore: number, task: number, async: boolean): Concluded | undefined {
  const tried = tryDownRead(thread, semaphore, task, 0);
  if (tried !== undefined || async || !readsHere(thread, semaphore, true)) return tried;
  return tryDownRead(thread, semaphore, task, WAITERS | HANDOFF);
}

/** Waits in the list for a grant, after readSpinning. `rwsem_down_read_slowpath`. */
export function* readSlow(semaphore: number, waiter: Waiter): SlowPath<Outcome> {
  const { thread, task, async } = waiter;
  const { cpu } = thread;
  const record = claimHold(cpu, task, semaphore);
  if (record === 0) return 'exhausted';
  // Join the list.
  yield* latched(waiter, latchOf(semaphore));
  // Readers of this thread, let in since readSpinning looked, cannot leave while it waits; the word counts them.
  if (!async && pendingTasks(thread, semaphore).length > 0) {
    joinReaders(cpu, semaphore, record);
    unlatch(cpu, latchOf(semaphore));
    return acquired(thread, semaphore);
  }
  enqueue(waiter, semaphore, READ, record);
  if (async) waiter.aside = asideOf(thread, semaphore);
  prepareToPark(cpu, task);
  const woken = wakeWaiters(cpu, semaphore);
  if (!async && !isGranted(cpu, semaphore, task)) woken.push(...readPastLoops(waiter, semaphore));
  unlatch(cpu, latchOf(semaphore));
  unparkAll(
    cpu,
    woken.filter((other) => other !== task),
  );
  // Sleep until the grant.
  let reason = 'woken';
  while (!pickUp(cpu, semaphore, task)) {
    const outcome = giveUp(waiter, semaphore, async, reason);
    if (outcome !== undefined) {
      if (yield* cancel(waiter, semaphore)) return outcome;
      break;
    }
    reason = yield;
    prepareToPark(cpu, task);
    if (!isGranted(cpu, semaphore, task)) yield* lookAround(waiter, semaphore);
  }
  finishPark(cpu, task);
  return acquired(thread, semaphore);
}

/** A reader was woken in vain. An asynchronous one may have been passed while it could not run, a synchronous one is to look after event loops. */
function* lookAround(waiter: Waiter, semaphore: number): SlowPath<void> {
  const { thread, async } = waiter;
  const { cpu } = thread;
  yield* latched(waiter, latchOf(semaphore));
  if (async) return unlatchAndWake(thread, semaphore);
  // It may have been let in meanwhile: then it has nothing to take, nor what it waits for.
  const woken = isGranted(cpu, semaphore, waiter.task) ? [] : readPastLoops(waiter, semaphore);
  unlatch(cpu, latchOf(semaphore));
  unparkAll(cpu, woken);
}

/** Under the latch: a synchronous reader in line takes what event loops do not come for. Returns the tasks to wake. */
function readPastLoops(waiter: Waiter, semaphore: number): number[] {
  const { cpu } = waiter.thread;
  // Nobody counts on an event loop's writer to come soon. Before the look at the word: an earlier release is seen by that, a later one
  // wakes this task.
  if (cpu.load(firstAble(cpu, listOf(semaphore)) + Task.mode) === ASYNC) {
    cpu.fetchOr(wordOf(semaphore), waitMarks(cpu, semaphore));
  }
  let taken = takeFromLoops(waiter, semaphore);
  const woken = taken === 'readers' ? wakeWaiters(cpu, semaphore) : [];
  if (taken === 'readers') taken = takeFromLoops(waiter, semaphore);
  return taken === 'place' ? [...woken, ...grantPastWriter(cpu, semaphore)] : woken;
}

/** Writes without sleeping; undefined when that is not possible. */
export function writeSpinning(
  thread: Thread,
  semaphore: number,
  task: number,
  async: boolean,
  spins: boolean,
): Concluded | undefined {
  const { cpu } = thread;
  thread.counters.contended++;
  if (tryDownWrite(cpu, semaphore, task, false)) return writes(thread, semaphore);
  const refusal = refuse(thread, semaphore, async);
  if (refusal !== undefined) return refusal;
  if (async) return undefined;
  if (readsHere(thread, semaphore, false)) return 'deadlock';
  return spins && !isFifo(cpu, semaphore) && spin(thread, semaphore, task) ? writes(thread, semaphore) : undefined;
}

/** Waits in the list until the lock is free, after writeSpinning. `rwsem_down_write_slowpath`. */
export function* writeSlow(semaphore: number, waiter: Waiter): SlowPath<Outcome> {
  const { thread, task, async } = waiter;
  const { cpu } = thread;
  const list = listOf(semaphore);
  const start = microseconds(cpu);
  // Join the list, in front of this thread's own asynchronous tasks.
  yield* latched(waiter, latchOf(semaphore));
  if (!async) takeBackOwn(thread, semaphore);
  enqueue(waiter, semaphore, WRITE, 0);
  if (async) waiter.aside = asideOf(thread, semaphore);
  const passed = firstAble(cpu, list) === task ? [] : wakeWaiters(cpu, semaphore).filter((other) => other !== task);
  let outcome: Outcome | undefined;
  let reason = 'woken';
  let hasSlept = false;
  for (;;) {
    // Take it, or leave the marks that have the next release wake this task, or keep the lock for it.
    prepareToPark(cpu, task);
    const isFirst = firstAble(cpu, list) === task;
    const hasWaited = isFifo(cpu, semaphore) || ((microseconds(cpu) - start) & 0x7fffffff) >= HANDOFF_AFTER;
    const isLate = isFirst && hasWaited;
    if (tryWriteQueued(cpu, semaphore, task, isFirst, isLate)) break;
    const taken = async ? undefined : takeFromLoops(waiter, semaphore);
    if (taken !== undefined) {
      // Before a reader that has lined up again in front of this task is let in again.
      if (tryDownWrite(cpu, semaphore, task, mayPassFirst(cpu, semaphore, task))) break;
      passed.push(...wakeWaiters(cpu, semaphore));
      continue;
    }
    outcome = giveUp(waiter, semaphore, async, reason);
    if (outcome !== undefined) break;
    // Sleep; with the lock kept for it, or woken in vain, the task spins first.
    unlatch(cpu, latchOf(semaphore));
    unparkAll(cpu, passed.splice(0));
    const isComing = isFirst && (isLate || hasSlept) && !async && awaitFree(thread, semaphore);
    if (!isComing) {
      open(cpu, semaphore);
      reason = yield;
      hasSlept = true;
    }
    yield* latched(waiter, latchOf(semaphore));
  }
  open(cpu, semaphore);
  // Leave the list, with the lock or without it.
  finishPark(cpu, task);
  const woken = dequeue(cpu, semaphore, task, outcome === undefined);
  unlatch(cpu, latchOf(semaphore));
  unparkAll(cpu, [...passed, ...woken]);
  return outcome ?? writes(thread, semaphore);
}

/** Under the latch: whether a free lock that is kept for the first waiter is the task's to take: its own, or an event loop's. */
function mayPassFirst(cpu: Cpu, semaphore: number, task: number): boolean {
  const first = firstAble(cpu, listOf(semaphore));
  return first === task || cpu.load(first + Task.mode) === ASYNC;
}

/** Spins until the lock is free, and keeps readers out. They stay out until the caller has the lock, goes to sleep, or leaves. */
function awaitFree({ cpu, spins }: Thread, semaphore: number): boolean {
  if (!isFifo(cpu, semaphore)) cpu.store(semaphore + RwSemaphoreWords.closing, 1);
  return isFree(cpu.condLoad(wordOf(semaphore), isFree, 0, spins));
}

/** Readers may come again. Another writer may spin as well: it is a hint. */
function open(cpu: Cpu, semaphore: number): void {
  const closing = semaphore + RwSemaphoreWords.closing;
  if (cpu.load(closing) !== 0) cpu.store(closing, 0);
}

/** Under the latch: takes the lock, or leaves WAITERS in its word, and HANDOFF when `isLate`. */
function tryWriteQueued(cpu: Cpu, semaphore: number, task: number, isFirst: boolean, isLate: boolean): boolean {
  const address = wordOf(semaphore);
  const marks = isLate ? WAITERS | HANDOFF : WAITERS;
  for (;;) {
    if (tryDownWrite(cpu, semaphore, task, isFirst)) return true;
    const word = cpu.load(address);
    if (isFirst && isFree(word)) continue;
    if ((word & marks) === marks || cpu.cmpxchgRelaxed(address, word, word | marks) === word) return false;
  }
}

const writerChanged = (word: number, writer: number) => (word & MODE) !== WRITER || taskOf(word) !== writer;
/** How many writers a spinner lets pass before it sleeps. */
const SPIN_WRITERS = 16;
/** As in the kernel, a writer spins for readers this long, us, and half a us more for each, up to 30 of them. */
const READERS_BASE_US = 10;
const READERS_SPUN_FOR = 30;
/** About what `thread.spins` takes, us. */
const SPINS_US = 8;

/** Spins, one spinner at a time, while writers come and go, or readers are about to leave. `rwsem_optimistic_spin`. */
function spin(thread: Thread, semaphore: number, task: number): boolean {
  const { cpu } = thread;
  const nonspinnable = semaphore + RwSemaphoreWords.nonspinnable;
  if (cpu.load(nonspinnable) !== 0 && readersOf(cpu.load(wordOf(semaphore))) > 0) return false;
  if (!osqLock(thread, semaphore + RwSemaphoreWords.osq)) return false;
  let isMine = tryDownWrite(cpu, semaphore, task, false);
  for (let writers = 0; !isMine && writers < SPIN_WRITERS; writers++) {
    if (spinOnOwner(thread, semaphore) === 'tooLong') break;
    isMine = tryDownWrite(cpu, semaphore, task, false);
  }
  open(cpu, semaphore);
  osqUnlock(thread, semaphore + RwSemaphoreWords.osq);
  return isMine;
}

/** Waits until those that hold the lock have left, or another writer has it. `rwsem_spin_on_owner`. */
function spinOnOwner(thread: Thread, semaphore: number): 'free' | 'changed' | 'tooLong' {
  const { cpu, spins } = thread;
  const address = wordOf(semaphore);
  const word = cpu.load(address);
  if (word & HANDOFF) return 'tooLong';
  if (isFree(word)) return 'free';
  const readers = readersOf(word);
  if (readers === 0) {
    const owner = taskOf(word);
    return writerChanged(cpu.condLoad(address, writerChanged, owner, spins), owner) ? 'changed' : 'tooLong';
  }
  cpu.store(semaphore + RwSemaphoreWords.closing, 1);
  const budget = READERS_BASE_US + Math.min(readers, READERS_SPUN_FOR) / 2;
  if (readersOf(cpu.condLoad(address, hasNoReaders, 0, Math.ceil((spins * budget) / SPINS_US))) === 0) return 'free';
  cpu.store(semaphore + RwSemaphoreWords.nonspinnable, 1);
  return 'tooLong';
}

const hasNoReaders = (word: number) => readersOf(word) === 0;

/** What makes waiting pointless. */
function refuse({ cpu, id }: Thread, semaphore: number, async: boolean): Concluded | undefined {
  // Acquire: pairs with the barrier in `TaskStore`, as the writer may be a task that was made a moment ago.
  const word = cpu.loadAcquire(wordOf(semaphore));
  if (isUnrecoverable(word)) return 'unrecoverable';
  const isOwn = (word & MODE) === WRITER && cpu.load(taskOf(word) + Task.thread) === id;
  return isOwn && !async ? 'deadlock' : undefined;
}

function giveUp(waiter: Waiter, semaphore: number, async: boolean, reason: string): Outcome | undefined {
  const refusal = refuse(waiter.thread, semaphore, async);
  return refusal ?? (waiter.aborted ? 'aborted' : reason === 'timed-out' ? 'timed-out' : undefined);
}

function acquired(thread: Thread, semaphore: number): Concluded {
  const { cpu } = thread;
  if (cpu.load(wordOf(semaphore)) & OWNER_DIED) thread.counters.ownerDeaths++;
  return 'acquired';
}

/** `acquired` by a writer: the readers that took too long have left, and the next ones may be quick. */
function writes(thread: Thread, semaphore: number): Concluded {
  endRound(thread.cpu, semaphore);
  const nonspinnable = semaphore + RwSemaphoreWords.nonspinnable;
  if (thread.cpu.load(nonspinnable) !== 0) thread.cpu.store(nonspinnable, 0);
  return acquired(thread, semaphore);
}

/** Whether a task of this thread reads; `pending` counts asynchronous ones that were let in and do not know yet. */
export function readsHere(thread: Thread, semaphore: number, pending: boolean): boolean {
  const { cpu, id } = thread;
  // Pairs with the full cmpxchg in `countOneReader` (wake.ts).
  const word = cpu.loadAcquire(wordOf(semaphore));
  if (readersOf(word) === 0) return false;
  const isOurs = (task: number) => task !== 0 && cpu.load(task + Task.thread) === id;
  if (isOurs(taskOf(word)) || isOurs(firstReader(cpu, semaphore, word))) return true;
  const records = holdsOf(cpu, id, semaphore, (other) => other === id);
  if (pending) return records.length > 0;
  // Of all that wait, for what one was granted another thread may be taking back.
  const unaware = thread.waiters.values().map(({ task }) => cpu.load(task + Grant.record));
  return records.some((record) => !unaware.includes(record));
}

const asideOf = (thread: Thread, semaphore: number) => ({ of: semaphore, pass: () => standAside(thread, semaphore) });

/** The thread's asynchronous tasks, of which one may be on its way or have been let in, cannot run. */
function standAside(thread: Thread, semaphore: number): void {
  const { cpu, id } = thread;
  latch(cpu, latchOf(semaphore), id);
  takeBackOwn(thread, semaphore);
  cpu.fetchOr(wordOf(semaphore), waitMarks(cpu, semaphore));
  const woken = wakeWaiters(cpu, semaphore);
  unlatch(cpu, latchOf(semaphore));
  unparkAll(cpu, woken);
}

function enqueue(waiter: Waiter, semaphore: number, want: number, record: number): void {
  const { cpu } = waiter.thread;
  expectGrant(cpu, waiter.task, want, record);
  beginWaiting(cpu, waiter.task, microseconds(cpu));
  joinAhead(waiter, listOf(semaphore), semaphore);
  // Fully ordered: a later release sees WAITERS, and an earlier one is seen by the next load of the word. Pairs with the releases
  // in `upRead`, `upWrite` and `downgrade` (core.ts).
  cpu.fetchOr(wordOf(semaphore), waitMarks(cpu, semaphore));
}

/** Under the latch: takes `task` out of the list. Returns the tasks to wake, when it leaves without the lock. */
function dequeue(cpu: Cpu, semaphore: number, task: number, isOwner: boolean): number[] {
  const list = listOf(semaphore);
  const wasFirst = firstAble(cpu, list) === task;
  if (leaveList(cpu, list, task)) {
    cpu.fetchAndRelaxed(wordOf(semaphore), ~(WAITERS | HANDOFF));
    return [];
  }
  // It may have been the writer on its way for which WAITERS is clear, also if it is not first any more.
  cpu.fetchOr(wordOf(semaphore), waitMarks(cpu, semaphore));
  if (isOwner) return [];
  if (wasFirst && !isFifo(cpu, semaphore)) cpu.fetchAndRelaxed(wordOf(semaphore), ~HANDOFF);
  // It may have been the one that looks after event loops.
  return [...wakeWaiters(cpu, semaphore), ...lookers(cpu, semaphore)];
}

/** A reader stops waiting. False when it was let in after all, and has taken notice. */
function* cancel(waiter: Waiter, semaphore: number): SlowPath<boolean> {
  const { cpu } = waiter.thread;
  const { task } = waiter;
  yield* latched(waiter, latchOf(semaphore));
  const isWaiting = cpu.load(task + Task.list) === listOf(semaphore);
  const woken = isWaiting ? dequeue(cpu, semaphore, task, false) : [];
  if (isWaiting) finishPark(cpu, task);
  else pickUp(cpu, semaphore, task);
  unlatch(cpu, latchOf(semaphore));
  unparkAll(cpu, woken);
  return isWaiting;
}
