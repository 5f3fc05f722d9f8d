/** How an RwSemaphore wakes those that wait for it: which of them go on, and which threads are kept from coming in between. */

import type { Cpu } from '../../machine/cpu.ts';
import { latch, unlatch } from '../../memory/latch.ts';
import { watching } from '../../sched/contention.ts';
import { Grant } from '../../sched/grant.ts';
import { HELD, Hold } from '../../sched/holds.ts';
import { beginRound, NOBODY, TIMES } from '../../sched/offer.ts';
import { MAIN, Task, unpark, unparkAll } from '../../sched/task.ts';
import type { Thread } from '../../sched/thread.ts';
import {
  firstAble,
  firstBehindLoop,
  firstSync,
  firstToCome,
  firstWaiter,
  isStuck,
  leaveList,
  waiters,
} from '../../sched/wait-list.ts';
import {
  FIRST,
  FLAGS,
  HANDOFF,
  HANDOFF_AFTER,
  isFifo,
  isFree,
  isUnrecoverable,
  latchOf,
  listOf,
  MODE,
  microseconds,
  ONE_READER,
  READ,
  READER,
  READERS_AT_ONCE,
  RwSemaphoreWords,
  roundOf,
  taskOf,
  WAITERS,
  WRITE,
  WRITER,
  waitMarks,
  wordOf,
} from './words.ts';

/** Whether `task`, a waiter, is to get the lock next. */
export function hasWaitedLong(cpu: Cpu, semaphore: number, task: number): boolean {
  return (
    isFifo(cpu, semaphore) ||
    ((microseconds(cpu) - (cpu.load(task + Task.since) & ~TIMES)) & 0x7fffffff) >= HANDOFF_AFTER
  );
}

export type Leaver = (word: number) => boolean;

/** A release of a lock that tasks may wait for, all of it under the latch. False when the word has changed. */
export function releaseAndWake(thread: Thread, semaphore: number, word: number, release: Leaver): boolean {
  const { cpu, id, counters } = thread;
  // A thread that never waits learns here that somebody watches.
  watching(thread);
  latch(cpu, latchOf(semaphore), id);
  const held = setHandoff(cpu, semaphore, word);
  const isDone = held !== undefined && release(held);
  const isLost = isUnrecoverable(cpu.load(wordOf(semaphore)));
  const woken = !isDone ? [] : isLost ? waiters(cpu, listOf(semaphore)) : wakeWaiters(cpu, semaphore);
  unlatch(cpu, latchOf(semaphore));
  counters.handoffs += woken.length;
  for (const task of woken) {
    thread.handsOver?.(semaphore, task);
    unpark(cpu, task);
  }
  return isDone;
}

/** Under the latch: if the word names its only reader, moves the name to `first`. */
export function countOneReader(cpu: Cpu, semaphore: number): void {
  const address = wordOf(semaphore);
  const word = cpu.load(address);
  if ((word & MODE) !== ONE_READER) return;
  cpu.store(semaphore + RwSemaphoreWords.first, taskOf(word));
  // ONE_READER|x|flags -> 1|FIRST|flags. Full: pairs with the acquires in `upRead` (core.ts) and `readsHere` (wait.ts). Until the
  // word says FIRST, `first` means nothing.
  cpu.cmpxchg(address, word, READER | FIRST | (word & FLAGS));
}

/** Another waiter is first: the writer that was on its way may not be, and the new one may be let in. */
export function reordered(cpu: Cpu, semaphore: number, owner: number): void {
  latch(cpu, latchOf(semaphore), owner);
  if (firstWaiter(cpu, listOf(semaphore)) !== 0) cpu.fetchOr(wordOf(semaphore), waitMarks(cpu, semaphore));
  const woken = [...wakeWaiters(cpu, semaphore), ...lookers(cpu, semaphore)];
  unlatch(cpu, latchOf(semaphore));
  unparkAll(cpu, woken);
}

/** `rwsem_wake`. */
export function wake(thread: Thread, semaphore: number): void {
  latch(thread.cpu, latchOf(semaphore), thread.id);
  unlatchAndWake(thread, semaphore);
}

/** The latch is held. */
export function unlatchAndWake(thread: Thread, semaphore: number): void {
  const { cpu, counters } = thread;
  const woken = wakeWaiters(cpu, semaphore);
  unlatch(cpu, latchOf(semaphore));
  counters.handoffs += woken.length;
  for (const task of woken) {
    thread.handsOver?.(semaphore, task);
    unpark(cpu, task);
  }
}

/**
 * Under the latch: the tasks to unpark. A writer in front will try by itself; readers in front, and all others that wait,
 * are let in here, before they wake up. Those that cannot run are passed; if all are, they look themselves once they can.
 * `rwsem_mark_wake`.
 */
export function wakeWaiters(cpu: Cpu, semaphore: number): number[] {
  const list = listOf(semaphore);
  const first = firstAble(cpu, list);
  if (first === 0) {
    // Kept for nobody: none of those that wait can run.
    cpu.fetchAndRelaxed(wordOf(semaphore), ~HANDOFF);
    return firstToCome(cpu, list);
  }
  if (cpu.load(first + Task.want) === WRITE) {
    if (!wakeWriter(cpu, semaphore, first)) return [];
    return isFifo(cpu, semaphore) ? [first] : [first, ...firstBehindLoop(cpu, list).filter((task) => task !== first)];
  }
  return [...grantReaders(cpu, semaphore), ...lookers(cpu, semaphore)];
}

/** Under the latch: whom to wake to look after readers of event loops that were let in. */
export function lookers(cpu: Cpu, semaphore: number): number[] {
  const isOffered = (cpu.load(roundOf(semaphore)) & TIMES) !== NOBODY && !isFifo(cpu, semaphore);
  return isOffered ? firstSync(cpu, listOf(semaphore)) : [];
}

/** Under the latch: lets in the synchronous readers of a free lock, past the writer that it is kept for. Returns them. */
export function grantPastWriter(cpu: Cpu, semaphore: number): number[] {
  // That writer does not come soon: a release has to wake those that wait.
  cpu.fetchOr(wordOf(semaphore), WAITERS);
  return grantReaders(cpu, semaphore, false);
}

/** Under the latch: lets in the readers whose turn it is, unless a writer has the lock. Returns them. */
function grantReaders(cpu: Cpu, semaphore: number, async = true): number[] {
  const list = listOf(semaphore);
  const address = wordOf(semaphore);
  countOneReader(cpu, semaphore);
  if ((cpu.load(address) & MODE) === WRITER) return [];
  const readers = nextReaders(cpu, semaphore).filter((task) => async || cpu.load(task + Task.mode) === MAIN);
  // 1) Count them, so that no writer comes in between.
  for (;;) {
    const word = cpu.load(address);
    if ((word & MODE) === WRITER) return [];
    if ((word & MODE) === ONE_READER) countOneReader(cpu, semaphore);
    // n|flags -> n + k|flags. Acquire: pairs with the releases in `upWrite` and `downgrade` (core.ts); the readers get it by 2).
    else if (cpu.cmpxchgAcquire(address, word, (word & ~HANDOFF) + readers.length * READER) === word) break;
  }
  // Illegal to say before that they are counted: a writer that comes and goes in between ends the round.
  beginRound(cpu, roundOf(semaphore), readers);
  // 2) Publish the grants.
  for (const task of readers) {
    cpu.store(cpu.load(task + Grant.record) + Hold.count, HELD);
    // Pairs with the acquire in `isGranted` (loops.ts). It decides; the reader goes on once it is out of the list too.
    cpu.storeRelease(task + Grant.from, semaphore);
    if (leaveList(cpu, list, task)) cpu.fetchAndRelaxed(address, ~WAITERS);
  }
  return readers;
}

/**
 * If the lock is free, the writer that is first in line is to be woken; until it comes, nobody else has to do that, and
 * if it has waited long, nobody else takes the lock either.
 */
function wakeWriter(cpu: Cpu, semaphore: number, writer: number): boolean {
  const address = wordOf(semaphore);
  const handoff = hasWaitedLong(cpu, semaphore, writer) ? HANDOFF : 0;
  for (let word = cpu.load(address); isFree(word); ) {
    // WAITERS|flags -> flags, or HANDOFF|flags. Relaxed: the list is guarded by the latch.
    const seen = cpu.cmpxchgRelaxed(address, word, (word & ~(WAITERS | HANDOFF)) | handoff);
    if (seen === word) return true;
    word = seen;
  }
  return false;
}

/**
 * The readers to let in, the first waiter among them; of a strict lock those in front of the first writer. Not an asynchronous
 * one that cannot run, or whose thread is about to wait here to write: it could not leave before its thread comes back.
 */
function nextReaders(cpu: Cpu, semaphore: number): number[] {
  const all = waiters(cpu, listOf(semaphore));
  const wants = (task: number, want: number) => cpu.load(task + Task.want) === want;
  const blocked = new Set(
    all.map((task) => (wants(task, WRITE) && cpu.load(task + Task.mode) === MAIN ? cpu.load(task + Task.thread) : 0)),
  );
  const writer = isFifo(cpu, semaphore) ? all.findIndex((task) => wants(task, WRITE) && !isStuck(cpu, task)) : -1;
  return (writer < 0 ? all : all.slice(0, writer))
    .filter((task) => wants(task, READ) && !blocked.has(cpu.load(task + Task.thread)) && !isStuck(cpu, task))
    .slice(0, READERS_AT_ONCE);
}

/**
 * Under the latch, before a release: if the first waiter has waited long, nobody may come in between. Returns the word
 * then; undefined when it is not `word` any more.
 */
function setHandoff(cpu: Cpu, semaphore: number, word: number): number | undefined {
  const first = firstAble(cpu, listOf(semaphore));
  if (first === 0 || word & HANDOFF || !hasWaitedLong(cpu, semaphore, first)) return word;
  return cpu.cmpxchgRelaxed(wordOf(semaphore), word, word | HANDOFF) === word ? word | HANDOFF : undefined;
}
