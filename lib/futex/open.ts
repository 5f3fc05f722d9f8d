/**
 * The futex table as a shared object: how a thread finds it, and how the reaper puts it in order after deaths.
 */

import type { Arena } from '../arena/arena.ts';
import { defineKind } from '../memory/kinds.ts';
import { latchOwner, unlatch } from '../memory/latch.ts';
import type { Repairer } from '../memory/repairer.ts';
import { Task } from '../sched/task.ts';
import { leaveList, rebuildList, WaitList, waiters } from '../sched/wait-list.ts';
import { repairPiStates } from './pi-state.ts';
import { repairRobustLists } from './robust-list.ts';
import { BUCKET_BITS, Bucket, bucketOf, type Futexes, TableWords } from './table.ts';
import { vectorNodes } from './vector.ts';

const KIND = defineKind<Repairer>({
  name: 'futex table',
  words: TableWords.words,
  format: () => {},
  holder: () => 0,
  isBusy: () => true,
  repair,
});

/** The arena's futex table, made if there is none. */
export function openFutexes(arena: Arena): Futexes {
  arena.thread.current();
  return { thread: arena.thread, table: arena.objects.open(KIND, 'holdfast.futex') };
}

/**
 * Dead tasks leave the buckets, and what dead threads held by the robust protocol is marked. The living need nothing
 * more: every sleeper is unparked, and one whose word has changed meanwhile does not sleep on.
 */
function repair(repairer: Repairer, table: number): boolean {
  const { cpu, isDead, owner } = repairer;
  let isSettled = true;
  // Who holds one latch and waits for another waits for a higher one, which a dead thread may have.
  for (let i = (1 << BUCKET_BITS) - 1; i >= 0; i--) {
    const bucket = table + TableWords.buckets + i * Bucket.words;
    // A thread that waits for the second of two latches may be the one that reaps; it has changed nothing yet.
    const isHeld = latchOwner(cpu, bucket + WaitList.latch) === owner;
    if (isHeld) isSettled = false;
    else if (!repairer.latch(bucket + WaitList.latch, () => rebuild(repairer, bucket))) {
      isSettled = false;
      continue;
    }
    for (const node of waiters(cpu, bucket)) {
      // A node that was being moved may be between two words; to wake it is always right.
      const isAstray = bucketOf(table, cpu.load(node + Task.blockedOn)) !== bucket;
      if (isDead(cpu.load(node + Task.thread)) || isAstray) leaveList(cpu, bucket, node);
    }
    if (!repairPiStates(repairer, bucket)) isSettled = false;
    if (!isHeld) unlatch(cpu, bucket + WaitList.latch);
  }
  // Marking a word wakes a waiter, which takes the word's latch.
  if (isSettled) repairRobustLists(repairer, table);
  return isSettled;
}

function rebuild(repairer: Repairer, bucket: number): void {
  rebuildList(repairer, bucket, vectorNodes(repairer));
}
