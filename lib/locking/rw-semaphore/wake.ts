/** How an RwSemaphore wakes those that wait for it: whose turn it is, and who is kept from coming in between. */

import type { Cpu } from '../../machine/cpu.ts';
import { latch, unlatch } from '../../memory/latch.ts';
import { Grant } from '../../sched/grant.ts';
import { HELD, Hold } from '../../sched/holds.ts';
import { MAIN, Task, unpark, unparkAll } from '../../sched/task.ts';
import type { Thread } from '../../sched/thread.ts';
import { firstAble, firstToCome, firstWaiter, isStuck, leaveList, waiters } from '../../sched/wait-list.ts';
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
  READ,
  READER,
  READERS_AT_ONCE,
  RwSemaphoreWords,
  SOLE,
  taskOf,
  WAITERS,
  WRITE,
  WRITER,
  waitMarks,
  wordOf,
} from './words.ts';

/** Whether `task`, a waiter, is to get the lock next. */
export function hasWaitedLong(cpu: Cpu, semaphore: number, task: number): boolean {
  return isFifo(cpu, semaphore) || ((microseconds(cpu) - cpu.load(task + Task.since)) & 0x7fffffff) >= HANDOFF_AFTER;
}

export type Leaver = (word: number) => boolean;

/** A release that somebody may wait for, all of it under the latch. False when the word has changed. */
export function releaseAndWake(thread: Thread, semaphore: number, word: number, release: Leaver): boolean {
  const { cpu, id, counters, tracer } = thread;
  latch(cpu, latchOf(semaphore), id);
  const held = demandHandoff(cpu, semaphore, word);
  const isDone = held !== undefined && release(held);
  const isLost = isUnrecoverable(cpu.load(wordOf(semaphore)));
  const woken = !isDone ? [] : isLost ? waiters(cpu, listOf(semaphore)) : wakeWaiters(cpu, semaphore);
  unlatch(cpu, latchOf(semaphore));
  counters.handoffs += woken.length;
  for (const task of woken) {
    tracer?.handsOver(semaphore, task);
    unpark(cpu, task);
  }
  return isDone;
}

/** Under the latch: if the word names its only reader, moves the name to `first`. */
export function countSole(cpu: Cpu, semaphore: number): void {
  const address = wordOf(semaphore);
  const word = cpu.load(address);
  if ((word & MODE) !== SOLE) return;
  cpu.store(semaphore + RwSemaphoreWords.first, taskOf(word));
  // Until this says FIRST, `first` means nothing.
  cpu.cmpxchg(address, word, READER | FIRST | (word & FLAGS));
}

/** Another waiter is first: the writer that was on its way may not be, and the new one may be let in. */
export function reordered(cpu: Cpu, semaphore: number, owner: number): void {
  latch(cpu, latchOf(semaphore), owner);
  if (firstWaiter(cpu, listOf(semaphore)) !== 0) cpu.fetchOr(wordOf(semaphore), waitMarks(cpu, semaphore));
  const woken = wakeWaiters(cpu, semaphore);
  unlatch(cpu, latchOf(semaphore));
  unparkAll(cpu, woken);
}

/** `rwsem_wake`. */
export function wake(thread: Thread, semaphore: number): void {
  latch(thread.cpu, latchOf(semaphore), thread.id);
  unlatchAndWake(thread, semaphore);
}

/** The latch is held. */
export function unlatchAndWake({ cpu, counters, tracer }: Thread, semaphore: number): void {
  const woken = wakeWaiters(cpu, semaphore);
  unlatch(cpu, latchOf(semaphore));
  counters.handoffs += woken.length;
  for (const task of woken) {
    tracer?.handsOver(semaphore, task);
    unpark(cpu, task);
  }
}

/**
 * Under the latch: whom to unpark. A writer in front will try by itself; readers in front, and all others that wait,
 * are let in here, before they wake up. Those that cannot run are passed; if all are, they look themselves once they can.
 * `rwsem_mark_wake`.
 */
export function wakeWaiters(cpu: Cpu, semaphore: number): number[] {
  const list = listOf(semaphore);
  const address = wordOf(semaphore);
  const first = firstAble(cpu, list);
  if (first === 0) {
    // Kept for nobody: all that wait cannot run.
    cpu.fetchAndRelaxed(address, ~HANDOFF);
    return firstToCome(cpu, list);
  }
  if (cpu.load(first + Task.want) === WRITE) return callWriter(cpu, semaphore, first) ? [first] : [];
  countSole(cpu, semaphore);
  let word = cpu.load(address);
  if ((word & MODE) === WRITER) return [];
  const readers = nextReaders(cpu, semaphore);
  for (;;) {
    if ((word & MODE) === WRITER) return [];
    if ((word & MODE) === SOLE) {
      countSole(cpu, semaphore);
      word = cpu.load(address);
      continue;
    }
    // Pairs with the release of a writer; readers get it through `grant`.
    const seen = cpu.cmpxchgAcquire(address, word, (word & ~HANDOFF) + readers.length * READER);
    if (seen === word) break;
    word = seen;
  }
  for (const task of readers) {
    cpu.store(cpu.load(task + Grant.record) + Hold.count, HELD);
    // Pairs with the acquire in isGranted. It decides; the reader goes once it is out of the list too.
    cpu.storeRelease(task + Grant.from, semaphore);
    if (leaveList(cpu, list, task)) cpu.fetchAndRelaxed(address, ~WAITERS);
  }
  return readers;
}

/**
 * If the lock is free, the writer that is first in line is to be woken; until it comes, nobody else has to do that, and
 * if it has waited long, nobody else takes the lock either.
 */
function callWriter(cpu: Cpu, semaphore: number, writer: number): boolean {
  const address = wordOf(semaphore);
  const handoff = hasWaitedLong(cpu, semaphore, writer) ? HANDOFF : 0;
  for (let word = cpu.load(address); isFree(word); ) {
    const seen = cpu.cmpxchgRelaxed(address, word, (word & ~(WAITERS | HANDOFF)) | handoff);
    if (seen === word) return true;
    word = seen;
  }
  return false;
}

/**
 * The readers to let in, the first waiter among them; of a strict lock those in front of the first writer. Not an asynchronous one that cannot run, or whose thread is about to
 * wait here to write: it could not leave before its thread comes back.
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
function demandHandoff(cpu: Cpu, semaphore: number, word: number): number | undefined {
  const first = firstAble(cpu, listOf(semaphore));
  if (first === 0 || word & HANDOFF || !hasWaitedLong(cpu, semaphore, first)) return word;
  return cpu.cmpxchgRelaxed(wordOf(semaphore), word, word | HANDOFF) === word ? word | HANDOFF : undefined;
}
