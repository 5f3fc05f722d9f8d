/**
 * Event loops at an RwSemaphore. Their readers are let in, and take notice in a later turn; their writers are woken for a free lock
 * that nobody else may have, and come in a later turn. What lies idle meanwhile a synchronous waiter takes: of its own thread at
 * once, since that has no turn while it waits, of others after a while (`sched/offer.ts`).
 *
 * A grant of a reader is `from` of its task, which two may change: the reader, without the latch, and a thread that takes it back, under
 * the latch. Each does it by a compare-and-exchange, so one of them has it.
 *
 *   let in         from := semaphore; out of the list                                         `grantReaders` in wake.ts
 *   takes notice   semaphore -> 0                                                             `pickUp`
 *   is taken back  semaphore -> -semaphore; in the list; its record := 0; the word counts one less; from := 0   `takeBack`
 *
 * Illegal to take back in another order. A thread that dies in the middle leaves a task with -semaphore: one that is not in the list
 * yet reads still and has its grant again, of one that is in the list the rest is done, and the readers are counted (`repair.ts`).
 *
 * Word `round` (`beginRound`): which grants event loops had last. Illegal to say NOBODY while one of their tasks has a grant.
 */

import type { Cpu } from '../../machine/cpu.ts';
import { Grant } from '../../sched/grant.ts';
import { HELD, Hold } from '../../sched/holds.ts';
import { hasWaitedFor, loseOffer, NOBODY, offerTo, TIMES } from '../../sched/offer.ts';
import { asyncTasks, maxThreads, slotAddress } from '../../sched/slot.ts';
import type { Waiter } from '../../sched/slow-path.ts';
import { ASYNC, Task } from '../../sched/task.ts';
import type { Thread } from '../../sched/thread.ts';
import { firstAble, joinList } from '../../sched/wait-list.ts';
import { removeReader } from './core.ts';
import { HANDOFF, isFifo, isFree, listOf, readersOf, roundOf, WRITE, waitMarks, wordOf } from './words.ts';

/** Whether the reader was let in. The acquires pair with the releases in `grantReaders` (wake.ts). */
export function isGranted(cpu: Cpu, semaphore: number, task: number): boolean {
  return cpu.loadAcquire(task + Grant.from) === semaphore && cpu.loadAcquire(task + Task.list) !== listOf(semaphore);
}

/** The reader takes notice that it was let in, if it was, and nobody has taken that back. */
export function pickUp(cpu: Cpu, semaphore: number, task: number): boolean {
  return isGranted(cpu, semaphore, task) && cpu.cmpxchgRelaxed(task + Grant.from, semaphore, 0) === semaphore;
}

/** This thread's asynchronous tasks that were let in and do not know yet. */
export function pendingTasks({ cpu, waiters }: Thread, semaphore: number): number[] {
  const tasks = waiters.values().map(({ task }) => task);
  return tasks.filter((task) => isGranted(cpu, semaphore, task));
}

/** Under the latch: the thread's own asynchronous readers that were let in and do not know yet line up again. */
export function takeBackOwn(thread: Thread, semaphore: number): void {
  takeBack(thread.cpu, semaphore, pendingTasks(thread, semaphore), false);
}

/** Under the latch: those of `tasks` that were let in and do not know yet line up again. `loses`: another thread takes it from them. */
function takeBack(cpu: Cpu, semaphore: number, tasks: readonly number[], loses: boolean): void {
  for (const task of tasks) {
    if (!isGranted(cpu, semaphore, task)) continue;
    // Before what it holds is free: with `fifo` no thread comes in before those that wait.
    cpu.fetchOr(wordOf(semaphore), waitMarks(cpu, semaphore));
    if (cpu.cmpxchgRelaxed(task + Grant.from, semaphore, -semaphore) !== semaphore) continue;
    if (loses) loseOffer(cpu, task);
    joinList(cpu, listOf(semaphore), semaphore, task);
    cpu.store(cpu.load(task + Grant.record) + Hold.count, 0);
    removeReader(cpu, semaphore);
    cpu.store(task + Grant.from, 0);
  }
}

/** After the death of a latch holder, once the list is made again: what it was taking back is taken back, or granted as before. */
export function settleTakenBack(cpu: Cpu, semaphore: number, tasks: Iterable<number>): void {
  for (const task of tasks) {
    if (cpu.load(task + Grant.from) !== -semaphore) continue;
    const isInList = cpu.load(task + Task.list) === listOf(semaphore);
    // Of one in the list `rebuild` clears the record, and the reaper counts by the records.
    cpu.store(task + Grant.from, isInList ? 0 : semaphore);
  }
}

/** The asynchronous tasks of all threads for which `test` holds. */
function tasksOfLoops(cpu: Cpu, test: (task: number) => boolean): number[] {
  const numbers = Array.from({ length: maxThreads(cpu) }, (_, number) => number);
  return numbers.flatMap((number) => asyncTasks(cpu, slotAddress(cpu, number)).filter(test));
}

/**
 * `Kind.isOnOffer`: whether a reader counts that does not know that it was let in, as its grant is passed on if it can't run. One that
 * is in the list and counts is on its way in or out, by a thread that has the latch.
 */
export function isOnOffer(cpu: Cpu, semaphore: number): boolean {
  if ((cpu.load(roundOf(semaphore)) & TIMES) === NOBODY) return false;
  const isUnaware = (task: number) => {
    const from = cpu.loadAcquire(task + Grant.from);
    if (from === semaphore || from === -semaphore) return true;
    const record = cpu.load(task + Grant.record);
    return cpu.load(task + Task.list) === listOf(semaphore) && record !== 0 && cpu.load(record + Hold.count) >= HELD;
  };
  return tasksOfLoops(cpu, isUnaware).length > 0;
}

/** A writer has the lock: nobody reads. */
export function endRound(cpu: Cpu, semaphore: number): void {
  const round = cpu.load(roundOf(semaphore));
  if ((round & TIMES) !== NOBODY) cpu.store(roundOf(semaphore), round | NOBODY);
}

/**
 * Under the latch, for a synchronous waiter that has not got the lock: takes what event loops have been given and not come for in
 * their time, or sees to it that the waiter looks again. 'readers': some of theirs have lined up again, so the lock may be free.
 * 'place': the lock is free, and the waiter may have it before the writer that it is kept for. Not where the lock is strict: there
 * nobody passes a task that can run.
 */
export function takeFromLoops(waiter: Waiter, semaphore: number): 'readers' | 'place' | undefined {
  const { cpu } = waiter.thread;
  const word = cpu.load(wordOf(semaphore));
  const offer = isFifo(cpu, semaphore) ? 0 : offerIn(cpu, semaphore, word, waiter.task);
  const isKept = !isFree(word) || (word & HANDOFF) !== 0;
  if (offer !== 0 && isKept && !hasWaitedFor(waiter, offer)) return undefined;
  waiter.lookAgain = undefined;
  if (offer === 0) return undefined;
  if (isFree(word)) {
    if (isKept) loseOffer(cpu, firstAble(cpu, listOf(semaphore)));
    return 'place';
  }
  takeBack(
    cpu,
    semaphore,
    tasksOfLoops(cpu, () => true),
    true,
  );
  endRound(cpu, semaphore);
  return 'readers';
}

/** What is offered to event loops, or 0. */
function offerIn(cpu: Cpu, semaphore: number, word: number, task: number): number {
  const round = cpu.load(roundOf(semaphore));
  if (readersOf(word) > 0) return (round & TIMES) === NOBODY ? 0 : round;
  const first = firstAble(cpu, listOf(semaphore));
  if (!isFree(word) || first === 0 || first === task) return 0;
  return cpu.load(first + Task.mode) === ASYNC && cpu.load(first + Task.want) === WRITE ? offerTo(cpu, first) : 0;
}
