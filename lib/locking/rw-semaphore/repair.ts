/**
 * What an RwSemaphore needs after deaths. A writer, and a reader whose name is in the word, are found there. How many of
 * a count are dead cannot be seen: a thread may have died between the word and its record. So the reaper freezes the word,
 * which makes everybody's attempts fail, waits until no live record is in TRANSIT, and counts the live ones.
 */

import { unlatch } from '../../memory/latch.ts';
import type { Repairer } from '../../memory/repairer.ts';
import { Grant } from '../../sched/grant.ts';
import { Hold, holdsOf, isSteady } from '../../sched/holds.ts';
import { everyTask } from '../../sched/slot.ts';
import { Task, unparkAll } from '../../sched/task.ts';
import { firstWaiter, leaveList, rebuildList, WaitList, waiters } from '../../sched/wait-list.ts';
import { repairOsq } from '../osq.ts';
import { settleTakenBack } from './loops.ts';
import { lookers, wakeWaiters } from './wake.ts';
import {
  COUNTED,
  FIRST,
  FROZEN,
  firstReader,
  HANDOFF,
  isFree,
  listOf,
  MODE,
  OWNER_DIED,
  READ,
  READER,
  RwSemaphoreWords,
  taskOf,
  WAITERS,
  WRITER,
  waitMarks,
  wordOf,
} from './words.ts';

export function repair(repairer: Repairer, semaphore: number): boolean {
  const { cpu, isDead } = repairer;
  const list = listOf(semaphore);
  // The writer that kept readers out may be dead.
  cpu.store(semaphore + RwSemaphoreWords.closing, 0);
  const hasSpinners = !repairOsq(repairer, semaphore + RwSemaphoreWords.osq);
  if (
    !repairer.latch(list + WaitList.latch, () => {
      // Stays until the readers are counted, by whichever pass and whichever reaper.
      cpu.store(semaphore + RwSemaphoreWords.torn, 1);
      rebuild(repairer, semaphore);
    })
  )
    return false;
  for (const task of waiters(cpu, list)) {
    if (isDead(cpu.load(task + Task.thread))) leaveList(cpu, list, task);
  }
  // What a dead reader was granted is no longer counted below: illegal to leave it for another thread to take back.
  for (const task of everyTask(cpu, repairer.threads, isDead)) {
    if (cpu.load(task + Grant.from) === semaphore) cpu.store(task + Grant.from, 0);
  }
  const address = wordOf(semaphore);
  const marks = firstWaiter(cpu, list) !== 0 ? waitMarks(cpu, semaphore) : 0;
  // Before what the dead hold is free: with `fifo` no thread comes in before those that wait.
  cpu.fetchOr(address, marks);
  evict(repairer, semaphore);
  const isCounted = recount(repairer, semaphore);
  // The waiter that was to be handed the lock may be dead; one that is alive asks again.
  cpu.fetchAnd(address, marks | ~(WAITERS | HANDOFF));
  const woken = [...wakeWaiters(cpu, semaphore), ...lookers(cpu, semaphore)];
  unlatch(cpu, list + WaitList.latch);
  unparkAll(cpu, woken);
  return isCounted && !hasSpinners;
}

/** The latch's holder died: makes the list again, and each waiter either let in or not. */
function rebuild(repairer: Repairer, semaphore: number): void {
  const { cpu } = repairer;
  const list = listOf(semaphore);
  rebuildList(repairer, list);
  settleTakenBack(cpu, semaphore, everyTask(cpu, repairer.threads));
  for (const task of waiters(cpu, list)) {
    if (cpu.load(task + Grant.from) === semaphore) leaveList(cpu, list, task);
    else if (cpu.load(task + Task.want) === READ) cpu.store(cpu.load(task + Grant.record) + Hold.count, 0);
  }
}

/** Takes the lock from a dead task whose name is in the word. */
function evict({ cpu, isDead }: Repairer, semaphore: number): void {
  const address = wordOf(semaphore);
  for (;;) {
    // Acquire: pairs with the barrier in `TaskStore`.
    const word = cpu.loadAcquire(address);
    const task = taskOf(word);
    if (task === 0 || !isDead(cpu.load(task + Task.thread))) return;
    const died = (word & MODE) === WRITER ? OWNER_DIED : word & OWNER_DIED;
    if (cpu.cmpxchg(address, word, (word & (WAITERS | HANDOFF)) | died) === word) return;
  }
}

/** Counts the readers of a counted word again, if dead threads may be among them. False when a live one must move on first. */
function recount({ cpu, isDead, settle, threads }: Repairer, semaphore: number): boolean {
  const address = wordOf(semaphore);
  const tornAt = semaphore + RwSemaphoreWords.torn;
  const first = firstReader(cpu, semaphore, cpu.loadAcquire(address));
  const firstDied = first !== 0 && isDead(cpu.load(first + Task.thread));
  if (cpu.load(tornAt) === 0 && !firstDied && holdsOf(cpu, threads, semaphore, isDead).length === 0) return true;
  for (;;) {
    const word = cpu.load(address);
    const isCounted = (word & MODE) === COUNTED || (word & MODE) === FROZEN;
    if (!isCounted || isFree(word)) {
      cpu.store(tornAt, 0);
      return true;
    }
    // Acquires what the readers whose attempts came before had written; those that come after fail.
    if (cpu.cmpxchg(address, word, word | FROZEN) === word) break;
  }
  const live = () => holdsOf(cpu, threads, semaphore, (id) => !isDead(id));
  if (!live().every((record) => settle(record + Hold.count, isSteady, 0))) {
    cpu.fetchAnd(address, ~MODE);
    return false;
  }
  // A fresh look: a record may be another lock's by now. One in TRANSIT again says what it held before, and will hold.
  const recorded = live().reduce((sum, record) => sum + (cpu.load(record + Hold.count) >> 1), 0);
  const word = cpu.load(address);
  const flags = word & (WAITERS | HANDOFF | OWNER_DIED);
  // `first` may have left before the word was frozen.
  const named = word & FIRST && !firstDied ? READER | FIRST : 0;
  cpu.storeRelease(address, recorded * READER + named + flags);
  cpu.store(tornAt, 0);
  return true;
}
