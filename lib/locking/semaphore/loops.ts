/**
 * Event loops at a semaphore. A task of theirs is granted its permits, and takes notice in a later turn. What lies idle meanwhile a
 * synchronous waiter takes back: from its own thread's tasks at once, as they have no turn while it waits, from others' after a while
 * (`sched/offer.ts`). The task lines up again.
 *
 * A grant is `from` of the task, which two may change: the task, without the latch, and a thread that takes it back, under the latch. Each
 * does it by a compare-and-exchange, so one of them has it.
 *
 *   grant          from := semaphore; out of the list                                                    `commit` in words.ts
 *   takes notice   semaphore -> 0                                                                        `pickUp`
 *   is taken back  semaphore -> -semaphore; in the list; the permits are free, and its record is empty   `takeBack`
 *                  or, without a record, from := 0, in one step of the journal; from := 0
 *
 * Illegal to take back in another order. A thread that dies in the middle leaves a task with -semaphore: one that is not in the list yet
 * has its grant again, of one that is the rest is done (`settleTakenBack`).
 *
 * Word `round` (`beginRound`): which grants event loops had last; 0 for a Completion, which is no resource that could lie idle. Illegal to
 * say NOBODY while one of their tasks has a grant.
 */
import type { Cpu } from '../../machine/cpu.ts';
import { Grant } from '../../sched/grant.ts';
import { Hold } from '../../sched/holds.ts';
import { hasWaitedFor, loseOffer, NOBODY, TIMES } from '../../sched/offer.ts';
import { asyncTasks, maxThreads, slotAddress } from '../../sched/slot.ts';
import type { Waiter } from '../../sched/slow-path.ts';
import { ASYNC, Task } from '../../sched/task.ts';
import { firstWaiter, isStuck, joinList, nextWaiter } from '../../sched/wait-list.ts';
import { commitWord, giveBack, SemaphoreWords } from './words.ts';

const listOf = (semaphore: number) => semaphore + SemaphoreWords.waiters;
const roundOf = (semaphore: number) => semaphore + SemaphoreWords.round;

/** Whether event loops may have grants that they do not know of, and that are taken back. */
export function isOffered(cpu: Cpu, semaphore: number): boolean {
  const round = cpu.load(roundOf(semaphore));
  return round !== 0 && (round & TIMES) !== NOBODY;
}

export function isGranted(cpu: Cpu, semaphore: number, task: number): boolean {
  // Both pair with releases in `commit` (words.ts): the grant, then the leaving of the list (`leaveList`).
  return cpu.loadAcquire(task + Grant.from) === semaphore && cpu.loadAcquire(task + Task.list) !== listOf(semaphore);
}

/** The task takes notice of its grant, if it has one, and nobody has taken that back. */
export function pickUp(cpu: Cpu, semaphore: number, task: number): boolean {
  return isGranted(cpu, semaphore, task) && cpu.cmpxchgRelaxed(task + Grant.from, semaphore, 0) === semaphore;
}

/**
 * Under the latch: those of `tasks` that were granted permits and do not know yet line up again. Returns the free permits. `losers`: where
 * another thread takes it from them, gets their threads.
 */
export function takeBack(
  cpu: Cpu,
  semaphore: number,
  permits: number,
  tasks: readonly number[],
  losers?: Set<number>,
): number {
  let free = permits;
  for (const task of tasks) {
    if (!isGranted(cpu, semaphore, task)) continue;
    if (cpu.cmpxchgRelaxed(task + Grant.from, semaphore, -semaphore) !== semaphore) continue;
    if (losers !== undefined) loseOffer(cpu, task);
    losers?.add(cpu.load(task + Task.thread));
    joinList(cpu, listOf(semaphore), semaphore, task);
    free = release(cpu, semaphore, free, task);
  }
  return free;
}

/** What a task in the list was granted is free again. */
function release(cpu: Cpu, semaphore: number, permits: number, task: number): number {
  const record = cpu.load(task + Grant.record);
  const free = giveBack(permits, cpu.load(task + Task.want));
  if (record === 0) {
    commitWord(cpu, semaphore, free, task + Grant.from, 0);
  } else {
    commitWord(cpu, semaphore, free, record + Hold.count, 0);
    cpu.store(task + Grant.from, 0);
  }
  return free;
}

/** After the death of a latch holder: what it was taking back is taken back, or granted as before. Returns the free permits. */
export function settleTakenBack(cpu: Cpu, semaphore: number, permits: number, tasks: Iterable<number>): number {
  let free = permits;
  for (const task of tasks) {
    if (cpu.load(task + Grant.from) !== -semaphore) continue;
    const record = cpu.load(task + Grant.record);
    if (cpu.load(task + Task.list) !== listOf(semaphore)) cpu.store(task + Grant.from, semaphore);
    else if (record !== 0 && cpu.load(record + Hold.count) === 0) cpu.store(task + Grant.from, 0);
    else free = release(cpu, semaphore, free, task);
  }
  return free;
}

/**
 * Under the latch, for a synchronous waiter in line: takes back what event loops were granted and have not come for in their time, or
 * sees to it that the waiter looks again. Returns the free permits, and whether the waiter is to have its own before those in front of it,
 * because they are all tasks of event loops that have just been passed.
 */
export function takeFromLoops(waiter: Waiter, semaphore: number, permits: number): { free: number; isNext: boolean } {
  const { cpu } = waiter.thread;
  const round = cpu.load(roundOf(semaphore));
  if (!isOffered(cpu, semaphore)) {
    waiter.lookAgain = undefined;
    return { free: permits, isNext: false };
  }
  if (!hasWaitedFor(waiter, round)) return { free: permits, isNext: false };
  waiter.lookAgain = undefined;
  const losers = new Set<number>();
  const numbers = Array.from({ length: maxThreads(cpu) }, (_, number) => number);
  const tasks = numbers.flatMap((number) => asyncTasks(cpu, slotAddress(cpu, number)));
  const free = takeBack(cpu, semaphore, permits, tasks, losers);
  cpu.store(roundOf(semaphore), round | NOBODY);
  let task = firstWaiter(cpu, listOf(semaphore));
  const isPassed = () =>
    isStuck(cpu, task) || (cpu.load(task + Task.mode) === ASYNC && losers.has(cpu.load(task + Task.thread)));
  while (task !== waiter.task && isPassed()) task = nextWaiter(cpu, listOf(semaphore), task);
  return { free, isNext: task === waiter.task && free >= cpu.load(task + Task.want) };
}
