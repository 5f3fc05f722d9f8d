/**
 * How tasks enter and leave an RwSemaphore: every change of its word (`words.ts`) but those that a thread makes that wakes
 * waiters (`wake.ts`) or repairs the lock (`repair.ts`).
 */

import type { Cpu } from '../../machine/cpu.ts';
import { latch, tryLatchBriefly, unlatch } from '../../memory/latch.ts';
import { claimHold, findHold, HELD, Hold, TRANSIT } from '../../sched/holds.ts';
import type { Concluded } from '../../sched/slow-path.ts';
import { ASYNC, Task } from '../../sched/task.ts';
import type { Thread } from '../../sched/thread.ts';
import { firstWaiter } from '../../sched/wait-list.ts';
import { countOneReader, hasWaitedLong, type Leaver, releaseAndWake, wake } from './wake.ts';
import {
  FIRST,
  FLAGS,
  FROZEN,
  HANDOFF,
  isFirst,
  isFree,
  isUnrecoverable,
  latchOf,
  listOf,
  MODE,
  mayRead,
  ONE_READER,
  OWNER_DIED,
  READER,
  RwSemaphoreWords,
  readersOf,
  taskOf,
  UNRECOVERABLE,
  WAITERS,
  WRITER,
  wordOf,
} from './words.ts';

/** For `Kind.close`. */
export function close(cpu: Cpu, semaphore: number): boolean {
  for (;;) {
    const word = cpu.load(wordOf(semaphore));
    if (isUnrecoverable(word)) return true;
    if ((word & ~OWNER_DIED) !== 0) return false;
    if (cpu.cmpxchg(wordOf(semaphore), word, UNRECOVERABLE) === word) return true;
  }
}

/**
 * Whether a thread that reads at once may join the readers inside past those who wait: as long as the first of them has
 * not waited too long. Read without the latch: the first may be another meanwhile, and be passed a little longer.
 */
export function mayPass(cpu: Cpu, semaphore: number): boolean {
  const word = cpu.load(wordOf(semaphore));
  if ((word & MODE) === WRITER || word & HANDOFF || !(word & WAITERS)) return false;
  const first = firstWaiter(cpu, listOf(semaphore));
  return first !== 0 && !hasWaitedLong(cpu, semaphore, first);
}

/**
 * Enters as a reader if that can be done without waiting; undefined when it cannot. `ignored` as in `mayRead`: none;
 * WAITERS for one that passes those who wait; both for a thread that reads already, and must not line up behind writers
 * that wait for it to stop.
 */
export function tryDownRead(thread: Thread, semaphore: number, task: number, ignored: number): Concluded | undefined {
  const { cpu } = thread;
  const address = wordOf(semaphore);
  for (;;) {
    const word = cpu.load(address);
    const mode = word & MODE;
    if (!mayRead(word, ignored)) return undefined;
    if (mode === FROZEN || mode === ONE_READER) {
      // Frozen by the reaper, which has the latch until it has counted. An event loop waits for neither: it lines up.
      if (cpu.load(task + Task.mode) !== ASYNC) latch(cpu, latchOf(semaphore), thread.id);
      else if (!tryLatchBriefly(cpu, latchOf(semaphore), thread.id)) return undefined;
      if (mode === ONE_READER) countOneReader(cpu, semaphore);
      unlatch(cpu, latchOf(semaphore));
    } else if (isFree(word)) {
      // flags -> ONE_READER|me|flags. Pairs with the releases in `upWrite` and `downgrade`.
      if (cpu.cmpxchgAcquire(address, word, word | task | ONE_READER) !== word) continue;
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
 * Enters as a reader among readers, with `record`, if nobody waits, and no writer keeps readers out: a word that counts stays so. Undefined when that
 * cannot be.
 */
export function readCounted(cpu: Cpu, semaphore: number, record: number): 'alone' | 'shared' | undefined {
  const address = wordOf(semaphore);
  if (cpu.loadUnordered(semaphore + RwSemaphoreWords.closing) !== 0) return undefined;
  for (;;) {
    // The load may be old: changeCount finds out whether it is.
    const word = cpu.loadUnordered(address);
    if (word & (MODE | WAITERS | HANDOFF)) return undefined;
    if (changeCount(cpu, address, word, record, 1)) return isFree(word) ? 'alone' : 'shared';
  }
}

/** Leaves as a reader that `record` counts, if nobody waits and the word counts. False when that cannot be. */
export function leaveCounted(cpu: Cpu, semaphore: number, record: number): boolean {
  const address = wordOf(semaphore);
  if (cpu.read(record + Hold.count) < HELD) return false;
  for (;;) {
    // As in `readCounted`.
    const word = cpu.loadUnordered(address);
    if (word & (MODE | WAITERS | HANDOFF)) return false;
    if (changeCount(cpu, address, word, record, -1)) return true;
  }
}

/** Leaves as a reader. False when `task` is none. */
export function upRead(thread: Thread, semaphore: number, task: number): boolean {
  const { cpu } = thread;
  for (;;) {
    // Pairs with the full cmpxchg in `countOneReader` (wake.ts): a thread that sees FIRST sees `first`.
    const word = cpu.loadAcquire(wordOf(semaphore));
    if ((word & MODE) === FROZEN) {
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
  if ((word & MODE) === ONE_READER) {
    // ONE_READER|me|flags -> flags. Pairs with the acquire in `tryDownWrite`.
    return taskOf(word) === task ? (seen) => cpu.cmpxchgRelease(address, seen, seen & FLAGS) === seen : undefined;
  }
  const record = findHold(cpu, task, semaphore);
  if (record !== 0 && cpu.read(record + Hold.count) !== 0) return (seen) => changeCount(cpu, address, seen, record, -1);
  if (!isFirst(cpu, semaphore, word, task)) return undefined;
  // n|FIRST|flags -> n - 1|flags, full: pairs as in `changeCount`. Nobody but this task takes FIRST off, and until then nobody
  // writes `first`: one step, whoever dies when.
  return (seen) => cpu.cmpxchg(address, seen, seen - READER - FIRST) === seen;
}

/** One reader more, or less, in the word and in its record. */
function changeCount(cpu: Cpu, address: number, word: number, record: number, by: 1 | -1): boolean {
  const count = cpu.read(record + Hold.count);
  cpu.storeUnordered(record + Hold.count, count | TRANSIT);
  // n|flags -> n + by|flags, full. The release pairs with the acquire in `tryDownWrite`, and hands TRANSIT to the reaper, whose
  // freezing of the word (`recount` in repair.ts) acquires it. The acquire pairs with the releases in `upWrite` and `downgrade`.
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
    // n|flags -> n - 1|flags, under the latch.
    if (cpu.cmpxchg(address, word, word - READER) === word) return word - READER;
  }
}

/** Waits until the reaper, which has the latch, opens the word again. */
function passLatch({ cpu, id }: Thread, semaphore: number): void {
  latch(cpu, latchOf(semaphore), id);
  unlatch(cpu, latchOf(semaphore));
}

/** Takes a free lock for writing; with HANDOFF, only for the first waiter. */
export function tryDownWrite(cpu: Cpu, semaphore: number, task: number, isFirst: boolean): boolean {
  const address = wordOf(semaphore);
  let word = cpu.load(address);
  while (isFree(word) && (isFirst || !(word & HANDOFF))) {
    // flags -> WRITER|me|flags. Pairs with the releases in `leaverOf`, `changeCount`, `upWrite` and `downgrade`.
    const seen = cpu.cmpxchgAcquire(address, word, task | WRITER | (word & ~HANDOFF));
    if (seen === word) return true;
    word = seen;
  }
  return false;
}

/** Releases the lock for the writer. False when `task` is not it. */
export function upWrite(thread: Thread, semaphore: number, task: number): boolean {
  const { cpu } = thread;
  const address = wordOf(semaphore);
  // WRITER|me|flags -> flags, or WRITER|me|OWNER_DIED -> UNRECOVERABLE. Pairs with the acquires in `tryDownRead`, `changeCount`,
  // `tryDownWrite` and `grantReaders` (wake.ts).
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
    // WRITER|me|flags -> ONE_READER|me|flags. Pairs with the acquires in `changeCount` and `grantReaders` (wake.ts).
    const seen = cpu.cmpxchgRelease(address, word, (word & ~MODE) | ONE_READER);
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
