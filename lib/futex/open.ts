/**
 * The futex table as a shared object: how a thread finds it, and how the reaper puts it in order after deaths.
 */

import type { Arena } from '../arena/arena.ts';
import type { Cpu } from '../machine/cpu.ts';
import { defineKind } from '../memory/kinds.ts';
import { latchOwner, unlatch } from '../memory/latch.ts';
import type { Repairer } from '../memory/repairer.ts';
import { Task } from '../sched/task.ts';
import { underLatch } from '../sched/under-latch.ts';
import { vectorNodes } from '../sched/vector.ts';
import { leaveList, rebuildList, WaitList, waiters } from '../sched/wait-list.ts';
import { nodesIn, repairPiStates, waitersCounted } from './pi-state.ts';
import { repairRobustLists } from './robust-list.ts';
import { BUCKET_BITS, Bucket, bucketOf, type Futexes, TableWords } from './table.ts';

const KIND = defineKind<Repairer>({
  name: 'futex table',
  words: TableWords,
  format: () => {},
  holder: () => 0,
  isBusy: () => true,
  repair,
  inspect,
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
  // Pairs with `latchBucket`.
  cpu.mb();
  // A thread that holds one latch and waits for another waits for a higher one, which a dead thread may have.
  for (let i = (1 << BUCKET_BITS) - 1; i >= 0; i--) {
    const bucket = table + TableWords.buckets + i * Bucket.words;
    if (cpu.load(bucket + Bucket.used) === 0) continue;
    // This thread may be reaping while it waits for a second latch, in the middle of what it does to this bucket.
    const isMine = latchOwner(cpu, bucket + WaitList.latch) === owner;
    if (isMine || !repairer.latch(bucket + WaitList.latch, () => rebuild(repairer, bucket))) {
      isSettled = false;
      continue;
    }
    for (const node of waiters(cpu, bucket)) {
      // A node that was being moved may be between two words, one that was being taken out has none any more; to wake
      // it is always right.
      const word = cpu.load(node + Task.blockedOn);
      const isMidMove = word === 0 || bucketOf(table, word) !== bucket;
      if (isDead(cpu.load(node + Task.thread)) || isMidMove) leaveList(cpu, bucket, node);
    }
    if (!repairPiStates(repairer, bucket)) isSettled = false;
    unlatch(cpu, bucket + WaitList.latch);
  }
  // Last: until each bucket was seen, a CMP_REQUEUE_PI under way may give a word to one who was not known to be dead.
  if (isSettled) repairRobustLists(repairer);
  return isSettled;
}

/** Buckets whose count, or whose mark, does not say that somebody waits there, and waiters in the wrong one. */
function inspect(cpu: Cpu, table: number, owner: number): string[] {
  const faults: string[] = [];
  for (let i = 0; i < 1 << BUCKET_BITS; i++) {
    const bucket = table + TableWords.buckets + i * Bucket.words;
    faults.push(...underLatch(cpu, bucket + WaitList.latch, owner, () => bucketFaults(cpu, table, bucket, i)));
  }
  return faults;
}

function bucketFaults(cpu: Cpu, table: number, bucket: number, i: number): string[] {
  const faults: string[] = [];
  const counted = cpu.load(bucket + Bucket.waiting);
  const waiting = waitersCounted(cpu, bucket);
  if (waiting !== counted) faults.push(`counts ${counted} waiters in bucket ${i}, where ${waiting} are`);
  if (waiting > 0 && cpu.load(bucket + Bucket.used) === 0) faults.push(`says that nobody has used bucket ${i}`);
  const isElsewhere = (node: number) => bucketOf(table, cpu.read(node + Task.blockedOn)) !== bucket;
  for (const node of nodesIn(cpu, bucket).filter(isElsewhere)) {
    faults.push(`has ${node} in bucket ${i}, which waits for the word ${cpu.read(node + Task.blockedOn)}`);
  }
  return faults;
}

function rebuild(repairer: Repairer, bucket: number): void {
  rebuildList(repairer, bucket, vectorNodes(repairer));
}
