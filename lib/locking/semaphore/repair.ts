/** What a death leaves of a semaphore. */

import type { Repairer } from '../../memory/repairer.ts';
import { Grant } from '../../sched/grant.ts';
import { Hold, holdsOf } from '../../sched/holds.ts';
import { everyTask } from '../../sched/slot.ts';
import { Task, unparkAll } from '../../sched/task.ts';
import { leaveList, rebuildList, WaitList, waiters } from '../../sched/wait-list.ts';
import { grantAndUnlatch } from './core.ts';
import { settleTakenBack } from './loops.ts';
import { apply, commitWord, EMPTY, freeze, giveBack, SemaphoreWords, seatedTask } from './words.ts';

/** After deaths: takes dead tasks out of the list, and gives back what they held with a guard or never picked up. */
export function repair(repairer: Repairer, semaphore: number): boolean {
  const { cpu, isDead, threads } = repairer;
  const list = semaphore + SemaphoreWords.waiters;
  let isStale = false;
  if (
    !repairer.latch(list + WaitList.latch, () => {
      if (cpu.load(semaphore + SemaphoreWords.armed) !== 0) {
        const task = cpu.read(semaphore + SemaphoreWords.granted);
        apply(cpu, semaphore);
        if (task !== 0 && cpu.load(task + Task.list) === list) {
          cpu.storeRelease(task + Grant.from, semaphore);
          // As in `leaveList`, without the links: the list is made again.
          cpu.store(task + Task.blockedOn, 0);
          cpu.storeRelease(task + Task.list, 0);
        }
        cpu.store(semaphore + SemaphoreWords.armed, 0);
      }
      rebuildList(repairer, list);
      isStale = true;
    })
  )
    return false;
  let free = freeze(cpu, semaphore);
  if (isStale) free = settleTakenBack(cpu, semaphore, free, everyTask(cpu, threads));
  for (const task of waiters(cpu, list)) {
    if (isDead(cpu.load(task + Task.thread))) leaveList(cpu, list, task);
  }
  const seated = seatedTask(cpu, semaphore);
  if (seated !== 0 && isDead(cpu.load(seated + Task.thread))) {
    free = giveBack(free, 1);
    commitWord(cpu, semaphore, free, semaphore + SemaphoreWords.seat, EMPTY);
  }
  for (const record of holdsOf(cpu, threads, semaphore, isDead)) {
    free = giveBack(free, cpu.read(record + Hold.count) >> 1);
    commitWord(cpu, semaphore, free, record + Hold.count, 0);
  }
  for (const task of everyTask(cpu, threads, isDead)) {
    if (cpu.load(task + Grant.from) !== semaphore) continue;
    if (cpu.load(task + Grant.record) === 0) free = giveBack(free, cpu.load(task + Task.want));
    commitWord(cpu, semaphore, free, task + Grant.from, 0);
  }
  unparkAll(cpu, grantAndUnlatch(cpu, semaphore, free, true));
  return true;
}
