/**
 * The reader-writer semaphore, kernel/locking/rwsem.c: its word. How tasks enter and leave is in `core.ts`, how they wait in
 * `wait.ts`, how those that wait are let in in `wake.ts`, what happens after a death in `repair.ts`.
 *
 * Word: two bits of mode, three flags, and the rest, which the mode explains.
 *
 *   mode        the rest             what it means
 *   COUNTED     number of readers,   free, or held by that many readers
 *               FIRST                `first` is one of them, and has no record
 *   WRITER      a task's address     held by one writer; without a task: not recoverable
 *   ONE_READER  a task's address     held by one reader
 *   FROZEN      as COUNTED           the reaper counts the readers; only the latch holder may change the word
 *
 *                     ,--- read ---> ONE_READER|x --- a second reads ---> COUNTED, n, FIRST --- n leave ---> free
 *   free: COUNTED, 0 -|                   |  ^                             ^  |
 *      ^              '--- write -> WRITER|x '--- x downgrades             |  '-- a reader may have died --> FROZEN
 *      |                        |                                          '------- the living are counted ----'
 *      '---- x leaves, or dies -'
 *
 *   flag        who sets it                        who clears it             what it means
 *   WAITERS     waiter, under the latch            the latch holder          whoever releases the lock wakes
 *   HANDOFF     the first waiter, or who releases  who takes the lock for    only the first waiter may take the lock
 *               the lock, after 4 ms               it; who leaves the list
 *   OWNER_DIED  the reaper                         makeConsistent            a writer died inside
 *
 * With `fifo` HANDOFF is set whenever somebody waits and the lock is free, as if each waiter had waited for long.
 *
 * WAITERS may be clear while somebody waits only if the first waiter is a writer that was woken for the free lock and has
 * not tried since. So illegal to fail to set: when that writer leaves the list, with or without the lock, and others stay;
 * when another waiter comes to stand in front of it; when its thread goes to sleep in a synchronous call, and it is not on
 * its way any more. Legal to set in vain: whoever releases the lock finds nobody, and clears it. HANDOFF: illegal to fail to clear
 * when the waiter that it was set for leaves without the lock, because nobody else may take it; legal to fail to set, for as long as the
 * next release does. OWNER_DIED: illegal to fail to set before the word of a dead writer changes, because the next one must learn of it.
 *
 * "The first waiter" is the first that can run (`isStuck`). A thread releases a word with WAITERS under the latch: the
 * lock may be destroyed as soon as it is free and nobody has the latch.
 *
 *      read, uncontended        0                    -> ONE_READER|me        acquire
 *      read, with others        n                    -> n + 1                full
 *      second reader            ONE_READER|x         -> 1|FIRST, first = x   under the latch
 *      read unlock              ONE_READER|me|flags  -> flags                release
 *                               n|flags              -> n - 1|flags          full
 *                               n|FIRST|flags        -> n - 1|flags          full, by `first`
 *      write, uncontended       0                    -> WRITER|me            acquire
 *      write                    WAITERS              -> WRITER|me|WAITERS    acquire
 *      write unlock             WRITER|me|flags      -> flags                release
 *      downgrade                WRITER|me|flags      -> ONE_READER|me|flags  release
 *      grant to k readers       n|flags              -> n + k|flags          acquire, under the latch
 *      a writer dies            WRITER|x|flags       -> flags|OWNER_DIED
 *
 * The names of readers must stand in shared memory, so that a dead one can be found; yet a free lock should cost its reader one
 * compare-and-exchange. So the first reader's name is in the word itself. When a second one comes, the first one's name
 * moves to `first`, the word counts, and from there on each reader keeps a record of its own (`lib/sched/holds.ts`).
 */

import type { Cpu } from '../../machine/cpu.ts';
import { ObjectHeader } from '../../memory/objects.ts';
import { struct } from '../../memory/struct.ts';
import { WaitList } from '../../sched/wait-list.ts';

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
  /**
   * A hint: a writer spins until the readers inside have left, and those that come stay out until it is clear, but spin no longer than
   * they would for a writer inside. Without it short sections follow each other so closely that the writer hardly finds the lock free.
   * Legal to be wrong, except for ever: the writer clears it when it stops, and the reaper.
   */
  closing: 1,
  /** Whether the lock goes to its waiters strictly in their order. Written before anybody can open it. */
  fifo: 1,
  /** The last grants to readers of event loops; see `loops.ts`. Guarded by the latch, or by writing. */
  round: 1,
});

export const COUNTED = 0;
export const WRITER = 1;
export const ONE_READER = 2;
export const FROZEN = 3;
export const MODE = 3;
export const WAITERS = 4;
export const HANDOFF = 8;
export const OWNER_DIED = 16;
export const FLAGS = WAITERS | HANDOFF | OWNER_DIED;
export const UNRECOVERABLE = WRITER | OWNER_DIED;
/** In a counted word: one of the readers is `first`. */
export const FIRST = 32;
/** One reader of a counted word. */
export const READER = 64;
export const READER_SHIFT = 6;

/** What a waiter wants. */
export const READ = 0;
export const WRITE = 1;

/** After this long, us, the first waiter is handed the lock. The kernel's RWSEM_WAIT_TIMEOUT. */
export const HANDOFF_AFTER = 4000;
/** The most readers that one wake-up lets in. The kernel's MAX_READERS_WAKEUP. */
export const READERS_AT_ONCE = 256;

/** The writer, or the only reader whose name is in the word, or 0. */
export function taskOf(word: number): number {
  const mode = word & MODE;
  return mode === WRITER || mode === ONE_READER ? word & ~(MODE | FLAGS) : 0;
}

export function isFree(word: number): boolean {
  return (word & ~FLAGS) === 0;
}

export function isUnrecoverable(word: number): boolean {
  return (word & ~(WAITERS | HANDOFF)) === UNRECOVERABLE;
}

/** How many readers there are. */
export function readersOf(word: number): number {
  const mode = word & MODE;
  return mode === ONE_READER ? 1 : mode === WRITER ? 0 : word >> READER_SHIFT;
}

export const wordOf = (semaphore: number) => semaphore + RwSemaphoreWords.word;
export const listOf = (semaphore: number) => semaphore + RwSemaphoreWords.waiters;
export const roundOf = (semaphore: number) => semaphore + RwSemaphoreWords.round;
export const latchOf = (semaphore: number) => listOf(semaphore) + WaitList.latch;

export const isFifo = (cpu: Cpu, semaphore: number) => cpu.load(semaphore + RwSemaphoreWords.fifo) !== 0;
/** What the word says while somebody waits. */
export const waitMarks = (cpu: Cpu, semaphore: number) => (isFifo(cpu, semaphore) ? WAITERS | HANDOFF : WAITERS);

export const microseconds = (cpu: Cpu) => Math.floor(cpu.now() / 1000) & 0x7fffffff;

/**
 * Whether a reader may enter. A free lock may be taken from those who are still waking up, unless they have waited too
 * long. `ignored`: the flags that do not keep this one from joining readers who are inside.
 */
export function mayRead(word: number, ignored: number): boolean {
  if ((word & MODE) === WRITER) return false;
  return isFree(word) ? !(word & HANDOFF) : !(word & (WAITERS | HANDOFF) & ~ignored);
}

/** Whether `word`, which was acquired, counts `task` without a record. */
export function isFirst(cpu: Cpu, semaphore: number, word: number, task: number): boolean {
  return (word & MODE) === COUNTED && (word & FIRST) !== 0 && cpu.load(semaphore + RwSemaphoreWords.first) === task;
}

/** The reader that `word`, which was acquired, counts without a record, or 0. It reads also while the reaper has the word frozen. */
export function firstReader(cpu: Cpu, semaphore: number, word: number): number {
  const isCounted = (word & MODE) === COUNTED || (word & MODE) === FROZEN;
  return isCounted && word & FIRST ? cpu.load(semaphore + RwSemaphoreWords.first) : 0;
}
