/**
 * What a PercpuRwSemaphore needs after deaths. A writer is found in the block, and a dead reader has left once its record
 * is empty; there is nothing to count.
 */

import { unlatch } from '../../memory/latch.ts';
import type { Repairer } from '../../memory/repairer.ts';
import { Grant } from '../../sched/grant.ts';
import { Hold, holdsOf } from '../../sched/holds.ts';
import { Task, unparkAll } from '../../sched/task.ts';
import { leaveList, rebuildList, waiters } from '../../sched/wait-list.ts';
import {
  blockOf,
  CLOSED,
  DRAINING,
  grant,
  handOver,
  latchOf,
  listOf,
  OWNER_DIED,
  READ,
  WAITERS,
  writerOf,
} from './core.ts';

export function repair(repairer: Repairer, lock: number): boolean {
  const { cpu, isDead, threads } = repairer;
  const list = listOf(lock);
  if (
    !repairer.latch(latchOf(lock), () => {
      rebuildList(repairer, list);
      const writer = writerOf(cpu.load(blockOf(lock)));
      for (const task of waiters(cpu, list)) {
        if (task === writer || cpu.load(task + Grant.from) === lock) grant(cpu, lock, task);
        else if (cpu.load(task + Task.want) === READ) cpu.store(cpu.load(task + Grant.record) + Hold.count, 0);
      }
    })
  )
    return false;
  for (const task of waiters(cpu, list)) {
    if (isDead(cpu.load(task + Task.thread))) leaveList(cpu, list, task);
  }
  for (const record of holdsOf(cpu, threads, lock, isDead)) cpu.storeRelease(record + Hold.count, 0);
  const isWaitedFor = waiters(cpu, list).length > 0;
  // One that died in `handOver` may have made the next writer so, without WAITERS, before it had let in the readers in front of that.
  if (isWaitedFor) cpu.fetchOr(blockOf(lock), WAITERS);
  // Acquire: pairs with the barrier in `TaskStore`.
  const block = cpu.loadAcquire(blockOf(lock));
  const writer = writerOf(block);
  const writerDied = writer !== 0 && isDead(cpu.load(writer + Task.thread));
  const died = writerDied && !(block & DRAINING) ? OWNER_DIED : block & OWNER_DIED;
  const passes = writerDied || (writer === 0 && isWaitedFor);
  const isNobody = writer === 0 || writer === CLOSED;
  const woken = passes ? handOver(cpu, lock, block, died) : isNobody ? [] : [writer];
  unlatch(cpu, latchOf(lock));
  unparkAll(cpu, woken);
  return true;
}
