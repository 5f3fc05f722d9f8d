/** What the reaper does about rt-mutexes: trees made again from the words of the tasks in them, and locks freed. */
import type { Cpu } from '../../machine/cpu.ts';
import { Header } from '../../memory/header.ts';
import { unlatch } from '../../memory/latch.ts';
import type { Repairer } from '../../memory/repairer.ts';
import { Priorities, RtWait, waiterTree } from '../../sched/priority.ts';
import { everyTask, slotAddress } from '../../sched/slot.ts';
import { Task } from '../../sched/task.ts';
import { isOwned, OWNER_DIED, ownerOf, WAITERS } from '../owner-word.ts';
import { attachTop, detachTop, inherit, rank } from './core.ts';
import { RtWords } from './words.ts';

/**
 * After deaths: takes dead tasks out of the queue of `lock`, and the lock out of a dead owner's hands. What changes in
 * the order of wait lists is seen to when all objects are repaired (`reorderLiving`): their latches may be in dead hands
 * at this point.
 */
export function repair(repairer: Repairer, lock: number): boolean {
  const { cpu, isDead } = repairer;
  let isStale = false;
  if (
    !repairer.latch(Header.priorityLatch, () => {
      isStale = true;
    })
  )
    return false;
  if (isStale || waitingTasks(repairer, isDead).length > 0) rebuild(repairer);
  const root = lock + RtWords.waiters;
  // The dead thread had taken the last waiter out, and not said so at the root.
  const top = cpu.read(root);
  if (top !== 0 && cpu.load(top + RtWait.mutex) !== lock) cpu.write(root, 0);
  const address = lock + RtWords.owner;
  // Acquire: pairs with the barrier in `TaskStore`.
  const word = cpu.loadAcquire(address);
  if (isOwned(word) && isDead(cpu.load(ownerOf(word) + Task.thread))) {
    detachTop(cpu, lock);
    // x|flags -> [WAITERS|]OWNER_DIED. Release: pairs with the acquire of the next owner, in `lockSlow` of core.ts.
    cpu.storeRelease(address, OWNER_DIED | (cpu.read(root) === 0 ? 0 : WAITERS));
  }
  unlatch(cpu, Header.priorityLatch);
  return true;
}

/** Makes all trees again from what tasks say. */
function rebuild(repairer: Repairer): void {
  const { cpu, threads, isDead } = repairer;
  const locks = new Set<number>();
  const waiting = waitingTasks(repairer, () => true);
  for (let number = 0; number < threads; number++) cpu.write(slotAddress(cpu, number) + Priorities.topWaiters, 0);
  for (const task of waiting) {
    const lock = cpu.load(task + RtWait.mutex);
    if (!locks.has(lock)) cpu.write(lock + RtWords.waiters, 0);
    locks.add(lock);
    // x -> x|WAITERS: a dead thread may have said that it waits before it set the flag. Pairs with the last release that was
    // made without the latch.
    cpu.fetchOrAcquire(lock + RtWords.owner, WAITERS);
    if (isDead(cpu.load(task + Task.thread))) {
      forget(cpu, task);
      continue;
    }
    rank(cpu, task);
    waiterTree.insert(cpu, lock + RtWords.waiters, task);
  }
  for (const lock of locks) attachTop(cpu, lock);
  for (let number = 0; number < threads; number++) {
    inherit(cpu, slotAddress(cpu, number), { wake: [], reorder: [] });
  }
}

function forget(cpu: Cpu, task: number): void {
  cpu.store(task + Task.blockedOn, 0);
  cpu.store(task + RtWait.mutex, 0);
}

/** The tasks that wait for any rt-mutex, of the threads for which `include` holds. */
function waitingTasks({ cpu, threads }: Repairer, include: (id: number) => boolean): number[] {
  return [...everyTask(cpu, threads, include)].filter((task) => cpu.load(task + RtWait.mutex) !== 0);
}
