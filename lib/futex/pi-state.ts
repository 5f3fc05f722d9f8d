/**
 * The state of a priority-inheriting futex that somebody waits for: an rt-mutex that stands for the word, so that the
 * word's owner inherits from its waiters.
 *
 *   rt     its owner is the word's owner, its waiters are those of the word
 *   key    the word
 *   next   the next state in the bucket
 *   refs   tasks that wait for it, or are about to: those whose `want` is the state while `result` is PI
 *
 * Where a state is:  SparePiState of a slot  ->  the bucket of the first word it was needed for, for good
 *
 * A thread that may have to wait sees to it that its slot has one (the kernel's pi_state_cache), and brings it along
 * when the bucket has none that is idle (refs 0). So a bucket keeps as many as it ever needed at once, nothing is
 * allocated under its latch, and nothing ever freed: a state is in a slot or in a bucket whoever dies when, for a
 * moment in both. The rest is guarded by the bucket's latch; refs, and their sum in the bucket, are counted again.
 *
 * Source: struct futex_pi_state in kernel/futex/.
 */

import type { Arena } from '../arena/arena.ts';
import { repair } from '../locking/rt-mutex/repair.ts';
import { rtKind } from '../locking/rt-mutex/rt-lock.ts';
import { RtWords } from '../locking/rt-mutex/words.ts';
import type { Cpu } from '../machine/cpu.ts';
import type { Repairer } from '../memory/repairer.ts';
import { struct } from '../memory/struct.ts';
import { asyncTasks, everyTask, maxThreads, Slot, slotAddress, slotArea } from '../sched/slot.ts';
import { Task } from '../sched/task.ts';
import type { Thread } from '../sched/thread.ts';
import { WaitList, waiters } from '../sched/wait-list.ts';
import { BUCKET_BITS, Bucket, countWaiting, type Futexes, PI, PLAIN, TableWords } from './table.ts';

export const PiState = struct({ rt: RtWords, key: 1, next: 1, refs: 1 });

/** A state for the next priority-inheriting futex that the thread waits for, or 0. */
const SparePiState = slotArea(
  'piState',
  { address: 1 },
  { keeps: (cpu, slot, block): boolean => cpu.load(slot + SparePiState.address) === block },
);

const KIND = rtKind('futex pi state', PiState);

/** Sees to it that the calling thread has a state to bring along. Throws ENOMEM. */
export function reservePiState({ cpu, objects, thread }: Arena): void {
  const spare = thread.slot + SparePiState.address;
  if (cpu.load(spare) === 0) objects.create(KIND, spare);
}

/** The state of the word, or 0 when nobody waits for it by a priority-inheriting operation. Under the latch. */
export function findPiState(cpu: Cpu, bucket: number, word: number): number {
  return findState(
    cpu,
    bucket,
    (state) => cpu.read(state + PiState.refs) > 0 && cpu.read(state + PiState.key) === word,
  );
}

/**
 * A state that is to be the word's: one of the bucket's, or else the calling thread's spare one; 0 when it has none.
 * Under the latch.
 */
export function attachPiState({ cpu, slot }: Thread, bucket: number, word: number): number {
  const idle = findState(cpu, bucket, (state) => cpu.read(state + PiState.refs) === 0);
  const state = idle || cpu.load(slot + SparePiState.address);
  if (state === 0) return 0;
  cpu.write(state + PiState.key, word);
  if (idle !== 0) return state;
  cpu.write(state + PiState.next, cpu.load(bucket + Bucket.piStates));
  cpu.storeRelease(bucket + Bucket.piStates, state);
  cpu.store(slot + SparePiState.address, 0);
  return state;
}

/** `task` is going to wait. Under the latch. */
export function getPiState(cpu: Cpu, bucket: number, state: number, task: number): void {
  cpu.store(task + Task.want, state);
  cpu.store(task + Task.result, PI);
  countWaiting(cpu, bucket, 1);
  cpu.write(state + PiState.refs, cpu.read(state + PiState.refs) + 1);
}

/** `task` does not wait any more. Without anybody else the state is idle. Under the latch. */
export function putPiState(cpu: Cpu, bucket: number, state: number, task: number): void {
  cpu.write(state + PiState.refs, cpu.read(state + PiState.refs) - 1);
  cpu.store(task + Task.result, PLAIN);
  countWaiting(cpu, bucket, -1);
}

/** Ends the state's part in the word: who owned it, owns the word alone. Under the latch. */
export function clearPiOwner(cpu: Cpu, state: number): void {
  cpu.store(state + PiState.rt + RtWords.owner, 0);
}

function findState(cpu: Cpu, bucket: number, isRight: (state: number) => boolean): number {
  let state = cpu.load(bucket + Bucket.piStates);
  while (state !== 0 && !isRight(state)) state = cpu.read(state + PiState.next);
  return state;
}

/**
 * For the reaper, under the latch. A waiter may have named a dead owner after the reaper looked at the state itself, so
 * it looks again. Counts the bucket's waiters, too. False when it must come again.
 */
export function repairPiStates(repairer: Repairer, bucket: number): boolean {
  const { cpu, threads, isDead } = repairer;
  let isSettled = true;
  let waiting = waiters(cpu, bucket).length;
  for (let state = cpu.load(bucket + Bucket.piStates); state !== 0; state = cpu.read(state + PiState.next)) {
    let refs = 0;
    for (let number = 0; number < threads; number++) {
      const slot = slotAddress(cpu, number);
      if (cpu.load(slot + SparePiState.address) === state) cpu.store(slot + SparePiState.address, 0);
      for (const task of [slot + Slot.mainTask, ...asyncTasks(cpu, slot)]) {
        if (cpu.load(task + Task.result) !== PI || cpu.load(task + Task.want) !== state) continue;
        if (isDead(number + 1)) cpu.store(task + Task.result, PLAIN);
        else refs++;
      }
    }
    cpu.write(state + PiState.refs, refs);
    waiting += refs;
    if (!repair(repairer, state)) isSettled = false;
    else if (refs === 0) clearPiOwner(cpu, state);
  }
  cpu.store(bucket + Bucket.waiting, waiting);
  return isSettled;
}

/** Whether the list goes on there. One that leads out of the memory does not. */
const isLink = (at: number | undefined) => at !== undefined && at !== 0;

/** For `fsck`: the nodes in the bucket's list, in order. It comes to an end whatever the links are. */
export function nodesIn(cpu: Cpu, bucket: number): number[] {
  const nodes = new Set<number>();
  let node = cpu.load(bucket + WaitList.first);
  for (; isLink(node) && !nodes.has(node); node = cpu.read(node + Task.next)) nodes.add(node);
  return [...nodes];
}

/** For `fsck`: how many wait in the bucket by the words of those themselves, or by its list. */
export function waitersCounted(cpu: Cpu, bucket: number): number {
  const states = new Set<number>();
  let state = cpu.load(bucket + Bucket.piStates);
  for (; isLink(state) && !states.has(state); state = cpu.read(state + PiState.next)) states.add(state);
  if (states.size === 0) return nodesIn(cpu, bucket).length;
  const tasks = [...everyTask(cpu, maxThreads(cpu))].filter((task) => cpu.load(task + Task.result) === PI);
  return nodesIn(cpu, bucket).length + tasks.filter((task) => states.has(cpu.load(task + Task.want))).length;
}

/** How many blocks of the heap the table's states take up. For the torture run, when everybody has left. */
export function countPiStates({ thread, table }: Futexes): number {
  const { cpu } = thread;
  let count = 0;
  for (let number = 0; number < maxThreads(cpu); number++) {
    if (cpu.load(slotAddress(cpu, number) + SparePiState.address) !== 0) count++;
  }
  for (let i = 0; i < 1 << BUCKET_BITS; i++) {
    const first = table + TableWords.buckets + i * Bucket.words + Bucket.piStates;
    for (let state = cpu.load(first); state !== 0; state = cpu.read(state + PiState.next)) count++;
  }
  return count;
}
