/**
 * The reader-writer semaphore, kernel/locking/rwsem.c: its word, and every change to it. How tasks wait is in
 * `wait.ts`, what happens after a death in `repair.ts`.
 *
 * Word: two bits of mode, three flags, and the rest, which the mode explains.
 *
 *   mode     the rest             what it means
 *   COUNTED  number of readers,   free, or held by that many readers
 *            FIRST                `first` is one of them, and has no record
 *   WRITER   a task's address     held by one writer; without a task: not recoverable
 *   SOLE     a task's address     held by one reader
 *   SEALED   as COUNTED           the reaper counts the readers; only the latch holder may change the word
 *
 *   flag        who sets it                        who clears it             what it means
 *   WAITERS     waiter, under the latch            the latch holder          who lets go wakes
 *   HANDOFF     the first waiter, or who releases  who takes the lock for    only the first waiter may take the lock
 *               the lock, after 4 ms               it; who leaves the list
 *   OWNER_DIED  the reaper                         makeConsistent            a writer died inside
 *
 * WAITERS may be clear while somebody waits only if the first waiter is a writer that was woken for the free lock and has
 * not tried since. So illegal to fail to set: when that writer leaves the list, with or without the lock, and others stay;
 * when another waiter comes to stand in front of it; when its thread goes to sleep in a synchronous call, and it is not on
 * its way any more. "The first waiter" is the first that can run (`isStuck`). A thread releases a word with WAITERS under the latch: the
 * lock may be destroyed as soon as it is free and nobody has the latch.
 *
 *      read, uncontended        0                  -> SOLE|me              acquire
 *      read, with others        n                  -> n + 1                full
 *      second reader            SOLE|x             -> 1|FIRST, first = x   under the latch
 *      read unlock              SOLE|me|flags      -> flags                release
 *                               n|flags            -> n - 1|flags          full
 *                               n|FIRST|flags      -> n - 1|flags          full, by `first`
 *      write, uncontended       0                  -> WRITER|me            acquire
 *      write                    WAITERS            -> WRITER|me|WAITERS    acquire
 *      write unlock             WRITER|me|flags    -> flags                release
 *      downgrade                WRITER|me|flags    -> SOLE|me|flags        release
 *      grant to k readers       n|flags            -> n + k|flags          acquire, under the latch
 *      a writer dies            WRITER|x|flags     -> flags|OWNER_DIED
 *
 * Who reads must stand in shared memory, so that a dead reader can be found; yet a free lock should cost its reader one
 * compare-and-exchange. So the first reader's name is in the word itself. When a second one comes, the first one's name
 * moves to `first`, the word counts, and from there on each reader keeps a record of its own (`lib/sched/holds.ts`).
 */

import type { Cpu } from '../../machine/cpu.ts';
import { latch, tryLatchBriefly, unlatch } from '../../memory/latch.ts';
import { ObjectHeader } from '../../memory/objects.ts';
import { struct } from '../../memory/struct.ts';
import { watching } from '../../sched/contention.ts';
import { Grant } from '../../sched/grant.ts';
import { claimHold, findHold, HELD, Hold, TRANSIT } from '../../sched/holds.ts';
import type { Outcome } from '../../sched/slow-path.ts';
import { ASYNC, MAIN, Task, unpark, unparkAll } from '../../sched/task.ts';
import type { Thread } from '../../sched/thread.ts';
import { firstAble, firstToCome, firstWaiter, isStuck, leaveList, WaitList, waiters } from '../../sched/wait-list.ts';

export const RwSemaphoreWords = struct({
  header: ObjectHeader,
  word: 1,
  /** The reader that is counted without a record, if the word says FIRST; else it means nothing. Written under the latch. */
  first: 1,
  /** Whether the count may be of readers that were never let in, until the reaper has counted. Guarded by the latch. */
  torn: 1,
  waiters: WaitList,
  /** Tail of the queue of spinners. */
  osq: 1,
  /** A hint: readers held the lock for as long as a writer may spin. The next writer that had to wait takes it back. */
  nonspinnable: 1,
});

export const COUNTED = 0;
export const WRITER = 1;
export const SOLE = 2;
export const SEALED = 3;
export const MODE = 3;
export const WAITERS = 4;
export const HANDOFF = 8;
export const OWNER_DIED = 16;
const FLAGS = WAITERS | HANDOFF | OWNER_DIED;
const UNRECOVERABLE = WRITER | OWNER_DIED;
/** In a counted word: one of the readers is `first`. */
export const FIRST = 32;
/** One reader of a counted word. */
export const READER = 64;
const READER_SHIFT = 6;

/** What a waiter wants. */
export const READ = 0;
export const WRITE = 1;

/** After this long, us, the first waiter is handed the lock. The kernel's RWSEM_WAIT_TIMEOUT. */
export const HANDOFF_AFTER = 4000;
/** The most readers that one wake-up lets in. The kernel's MAX_READERS_WAKEUP. */
const READERS_AT_ONCE = 256;

/** The writer, or the only reader whose name is in the word, or 0. */
export function taskOf(word: number): number {
  const mode = word & MODE;
  return mode === WRITER || mode === SOLE ? word & ~(MODE | FLAGS) : 0;
}

export function isFree(word: number): boolean {
  return (word & ~FLAGS) === 0;
}

/** For `Kind.close`. */
export function close(cpu: Cpu, semaphore: number): boolean {
  for (;;) {
    const word = cpu.load(wordOf(semaphore));
    if (isUnrecoverable(word)) return true;
    if ((word & ~OWNER_DIED) !== 0) return false;
    if (cpu.cmpxchg(wordOf(semaphore), word, UNRECOVERABLE) === word) return true;
  }
}

export function isUnrecoverable(word: number): boolean {
  return (word & ~(WAITERS | HANDOFF)) === UNRECOVERABLE;
}

/** How many readers there are. */
export function readersOf(word: number): number {
  const mode = word & MODE;
  return mode === SOLE ? 1 : mode === WRITER ? 0 : word >> READER_SHIFT;
}

export const wordOf = (semaphore: number) => semaphore + RwSemaphoreWords.word;
export const listOf = (semaphore: number) => semaphore + RwSemaphoreWords.waiters;
export const latchOf = (semaphore: number) => listOf(semaphore) + WaitList.latch;

export const microseconds = (cpu: Cpu) => Math.floor(cpu.now() / 1000) & 0x7fffffff;

/**
 * Whether a reader may enter. A free lock may be taken from those who are still waking up, unless they have waited too
 * long. `ignored`: the flags that do not keep this one from joining readers who are inside.
 */
export function mayRead(word: number, ignored: number): boolean {
  if ((word & MODE) === WRITER) return false;
  return isFree(word) ? !(word & HANDOFF) : !(word & (WAITERS | HANDOFF) & ~ignored);
}

/**
 * Whether a thread that reads at once may join the readers inside past those who wait: as long as the first of them has
 * not waited too long. Read without the latch: the first may be another meanwhile, and be passed a little longer.
 */
export function mayPass(cpu: Cpu, semaphore: number): boolean {
  const word = cpu.load(wordOf(semaphore));
  if ((word & MODE) === WRITER || word & HANDOFF || !(word & WAITERS)) return false;
  const first = firstWaiter(cpu, listOf(semaphore));
  return first !== 0 && !hasWaitedLong(cpu, first);
}

/** Whether `task`, a waiter, is to get the lock next. */
function hasWaitedLong(cpu: Cpu, task: number): boolean {
  return ((microseconds(cpu) - cpu.load(task + Task.since)) & 0x7fffffff) >= HANDOFF_AFTER;
}

/**
 * Enters as a reader if that can be done without waiting; undefined when it cannot. `ignored` as in `mayRead`: none;
 * WAITERS for one that passes those who wait; both for a thread that reads already, and must not line up behind writers
 * that wait for it to stop.
 */
export function tryRead(thread: Thread, semaphore: number, task: number, ignored: number): Outcome | undefined {
  const { cpu } = thread;
  const address = wordOf(semaphore);
  for (;;) {
    const word = cpu.load(address);
    const mode = word & MODE;
    if (!mayRead(word, ignored)) return undefined;
    if (mode === SEALED || mode === SOLE) {
      // Sealed by the reaper, which has the latch until it has counted. An event loop waits for neither: it lines up.
      if (cpu.load(task + Task.mode) !== ASYNC) latch(cpu, latchOf(semaphore), thread.id);
      else if (!tryLatchBriefly(cpu, latchOf(semaphore), thread.id)) return undefined;
      if (mode === SOLE) countSole(cpu, semaphore);
      unlatch(cpu, latchOf(semaphore));
    } else if (isFree(word)) {
      // Pairs with the release of a writer.
      if (cpu.cmpxchgAcquire(address, word, word | task | SOLE) !== word) continue;
      if (word & WAITERS) wake(thread, semaphore);
      return 'acquired';
    } else {
      const record = claimHold(cpu, task, semaphore);
      if (record === 0) return 'exhausted';
      if (changeCount(cpu, address, word, record, 1)) return 'acquired';
    }
  }
}

/**
 * Enters as a reader among readers, with `record`, if nobody waits: a word that counts stays so. Undefined when that
 * cannot be.
 */
export function readCounted(cpu: Cpu, semaphore: number, record: number): 'alone' | 'shared' | undefined {
  const address = wordOf(semaphore);
  for (;;) {
    const word = cpu.load(address);
    if (word & (MODE | WAITERS | HANDOFF)) return undefined;
    if (changeCount(cpu, address, word, record, 1)) return isFree(word) ? 'alone' : 'shared';
  }
}

/** Leaves as a reader that `record` counts, if nobody waits and the word counts. False when that cannot be. */
export function leaveCounted(cpu: Cpu, semaphore: number, record: number): boolean {
  const address = wordOf(semaphore);
  if (cpu.read(record + Hold.count) < HELD) return false;
  for (;;) {
    const word = cpu.load(address);
    if (word & (MODE | WAITERS | HANDOFF)) return false;
    if (changeCount(cpu, address, word, record, -1)) return true;
  }
}

/** Leaves as a reader. False when `task` is none. */
export function leaveRead(thread: Thread, semaphore: number, task: number): boolean {
  const { cpu } = thread;
  for (;;) {
    // Pairs with countSole: who sees FIRST sees `first`.
    const word = cpu.loadAcquire(wordOf(semaphore));
    if ((word & MODE) === SEALED) {
      passLatch(thread, semaphore);
      continue;
    }
    const leaver = leaverOf(cpu, semaphore, task, word);
    if (leaver === undefined) return false;
    if (!(word & WAITERS) || readersOf(word) > 1) {
      if (leaver(word)) return true;
    } else if (releaseAndWake(thread, semaphore, word, leaver)) {
      return true;
    }
  }
}

/** How `task` leaves as a reader: a step that fails when the word has changed. Undefined when it is no reader. */
function leaverOf(cpu: Cpu, semaphore: number, task: number, word: number): Leaver | undefined {
  const address = wordOf(semaphore);
  if ((word & MODE) === WRITER) return undefined;
  if ((word & MODE) === SOLE) {
    // Pairs with the acquire of a writer.
    return taskOf(word) === task ? (seen) => cpu.cmpxchgRelease(address, seen, seen & FLAGS) === seen : undefined;
  }
  const record = findHold(cpu, task, semaphore);
  if (record !== 0 && cpu.read(record + Hold.count) !== 0) return (seen) => changeCount(cpu, address, seen, record, -1);
  if (!isFirst(cpu, semaphore, word, task)) return undefined;
  // Nobody but this task takes FIRST off, and until then nobody writes `first`: one step, whoever dies when.
  return (seen) => cpu.cmpxchg(address, seen, seen - READER - FIRST) === seen;
}

type Leaver = (word: number) => boolean;

/** Whether `word`, which was acquired, counts `task` without a record. */
export function isFirst(cpu: Cpu, semaphore: number, word: number, task: number): boolean {
  return (word & MODE) === COUNTED && (word & FIRST) !== 0 && cpu.load(semaphore + RwSemaphoreWords.first) === task;
}

/** The reader that `word`, which was acquired, counts without a record, or 0. */
export function firstReader(cpu: Cpu, semaphore: number, word: number): number {
  return (word & MODE) === COUNTED && word & FIRST ? cpu.load(semaphore + RwSemaphoreWords.first) : 0;
}

/** A release that somebody may wait for, all of it under the latch. False when the word has changed. */
function releaseAndWake(thread: Thread, semaphore: number, word: number, release: Leaver): boolean {
  const { cpu, id, counters } = thread;
  // A thread that never waits learns here that somebody watches.
  watching(thread);
  latch(cpu, latchOf(semaphore), id);
  const held = demandHandoff(cpu, semaphore, word);
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

/** One reader more, or less, in the word and in its record. */
function changeCount(cpu: Cpu, address: number, word: number, record: number, by: 1 | -1): boolean {
  const count = cpu.read(record + Hold.count);
  cpu.storeUnordered(record + Hold.count, count | TRANSIT);
  // Releases TRANSIT to the reaper, whose sealing of the word acquires it; else it pairs with writers.
  const isDone = cpu.cmpxchg(address, word, word + by * READER) === word;
  cpu.storeUnordered(record + Hold.count, isDone ? count + by * HELD : count);
  return isDone;
}

/** Under the latch: enters a word that counts, whoever waits. */
export function joinReaders(cpu: Cpu, semaphore: number, record: number): void {
  const address = wordOf(semaphore);
  while (!changeCount(cpu, address, cpu.load(address), record, 1));
}

/** Takes one reader off a counted word, under the latch. Returns the new word. */
export function removeReader(cpu: Cpu, semaphore: number): number {
  const address = wordOf(semaphore);
  for (;;) {
    const word = cpu.load(address);
    if (cpu.cmpxchg(address, word, word - READER) === word) return word - READER;
  }
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

/** Waits until the reaper, which has the latch, opens the word again. */
function passLatch({ cpu, id }: Thread, semaphore: number): void {
  latch(cpu, latchOf(semaphore), id);
  unlatch(cpu, latchOf(semaphore));
}

/** Takes a free lock for writing; with HANDOFF, only for the first waiter. */
export function tryWrite(cpu: Cpu, semaphore: number, task: number, isFirst: boolean): boolean {
  const address = wordOf(semaphore);
  let word = cpu.load(address);
  while (isFree(word) && (isFirst || !(word & HANDOFF))) {
    // Pairs with the releases of readers and writers.
    const seen = cpu.cmpxchgAcquire(address, word, task | WRITER | (word & ~HANDOFF));
    if (seen === word) return true;
    word = seen;
  }
  return false;
}

/** Lets go for the writer. False when `task` is not it. */
export function leaveWrite(thread: Thread, semaphore: number, task: number): boolean {
  const { cpu } = thread;
  const address = wordOf(semaphore);
  // Pairs with the acquires of readers and writers.
  const release = (word: number) =>
    cpu.cmpxchgRelease(address, word, word & OWNER_DIED ? UNRECOVERABLE : word & FLAGS) === word;
  for (;;) {
    const word = cpu.load(address);
    if ((word & MODE) !== WRITER || taskOf(word) !== task) return false;
    if (word & (WAITERS | OWNER_DIED) ? releaseAndWake(thread, semaphore, word, release) : release(word)) return true;
  }
}

/** Makes the writer a reader. False when `task` is not the writer. */
export function downgrade(thread: Thread, semaphore: number, task: number): boolean {
  const { cpu } = thread;
  const address = wordOf(semaphore);
  let word = cpu.load(address);
  for (;;) {
    if ((word & MODE) !== WRITER || taskOf(word) !== task) return false;
    // Pairs with the acquires of readers.
    const seen = cpu.cmpxchgRelease(address, word, (word & ~MODE) | SOLE);
    if (seen === word) break;
    word = seen;
  }
  if (word & WAITERS) wake(thread, semaphore);
  return true;
}

/** The writer vouches for what the lock protects. */
export function makeConsistent(cpu: Cpu, semaphore: number): void {
  cpu.fetchAndRelaxed(wordOf(semaphore), ~OWNER_DIED);
}

/** Another waiter is first: the writer that was on its way may not be, and the new one may be let in. */
export function reordered(cpu: Cpu, semaphore: number, owner: number): void {
  latch(cpu, latchOf(semaphore), owner);
  if (firstWaiter(cpu, listOf(semaphore)) !== 0) cpu.fetchOr(wordOf(semaphore), WAITERS);
  const woken = wakeWaiters(cpu, semaphore);
  unlatch(cpu, latchOf(semaphore));
  unparkAll(cpu, woken);
}

/** `rwsem_wake`. */
function wake(thread: Thread, semaphore: number): void {
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
  if (cpu.load(first + Task.want) === WRITE) return callWriter(cpu, address, first) ? [first] : [];
  countSole(cpu, semaphore);
  let word = cpu.load(address);
  if ((word & MODE) === WRITER) return [];
  const readers = nextReaders(cpu, list);
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
function callWriter(cpu: Cpu, address: number, writer: number): boolean {
  const handoff = hasWaitedLong(cpu, writer) ? HANDOFF : 0;
  for (let word = cpu.load(address); isFree(word); ) {
    const seen = cpu.cmpxchgRelaxed(address, word, (word & ~(WAITERS | HANDOFF)) | handoff);
    if (seen === word) return true;
    word = seen;
  }
  return false;
}

/**
 * The readers to let in, the first waiter among them. Not an asynchronous one that cannot run, or whose thread is about to
 * wait here to write: it could not leave before its thread comes back.
 */
function nextReaders(cpu: Cpu, list: number): number[] {
  const all = waiters(cpu, list);
  const wants = (want: number) => all.filter((task) => cpu.load(task + Task.want) === want);
  const blocked = new Set(
    wants(WRITE).map((task) => (cpu.load(task + Task.mode) === MAIN ? cpu.load(task + Task.thread) : 0)),
  );
  return wants(READ)
    .filter((task) => !blocked.has(cpu.load(task + Task.thread)) && !isStuck(cpu, task))
    .slice(0, READERS_AT_ONCE);
}

/**
 * Under the latch, before a release: if the first waiter has waited long, nobody may come in between. Returns the word
 * then; undefined when it is not `word` any more.
 */
function demandHandoff(cpu: Cpu, semaphore: number, word: number): number | undefined {
  const first = firstAble(cpu, listOf(semaphore));
  if (first === 0 || word & HANDOFF || !hasWaitedLong(cpu, first)) return word;
  return cpu.cmpxchgRelaxed(wordOf(semaphore), word, word | HANDOFF) === word ? word | HANDOFF : undefined;
}
