/**
 * The state of a priority-inheriting futex that somebody waits for: an rt-mutex that stands for the word, so that the
 * word's owner inherits from its waiters. The first waiter brings it along, the last one keeps it for the next time: in
 * the slot's word `piState` (the kernel's pi_state_cache), which stays with the slot.
 *
 *   rt     its owner is the word's owner, its waiters are those of the word
 *   key    the word
 *   next   the next state in the bucket
 *   refs   tasks that wait for it, or are about to: those whose `want` is the state while `result` is PI
 *
 * `next` and `refs` are guarded by the bucket's latch. Links change by one store each, and a state is in the bucket or
 * in a slot's word at all times, for a moment in both: so the reaper knows whose it is. refs are counted again.
 *
 * Source: struct futex_pi_state in kernel/futex/.
 */
import { rtKind } from '../locking/rt-lock.ts';
import { RtWords } from '../locking/rt-mutex-core.ts';
import { repair } from '../locking/rt-mutex-repair.ts';
import type { Cpu } from '../machine/cpu.ts';
import { struct } from '../memory/struct.ts';
import type { Arena } from '../sched/arena.ts';
import type { Repairer } from '../sched/reaper.ts';
import { Task } from '../sched/task.ts';
import { asyncTasks, Slot, slotAddress, type Thread } from '../sched/thread.ts';
import { Bucket } from './table.ts';

export const PiState = struct({ rt: RtWords.words, key: 1, next: 1, refs: 1 });

/** A task's `result`: its `want` is the state that it waits for. */
export const PI = -1;

const KIND = rtKind('futex pi state', PiState.words);

/** Sees to it that the calling thread has a state to bring along. Throws ENOMEM. */
export function reservePiState({ cpu, objects, thread }: Arena): void {
  const spare = thread.slot + Slot.piState;
  if (cpu.load(spare) === 0) cpu.store(spare, objects.create(KIND));
}

/** Frees a state that `retirePiState` could not keep. */
export function freePiState({ objects }: Arena, state: number): void {
  objects.destroy(KIND, state);
}

/** The word's state, or 0. Under the latch. */
export function findPiState(cpu: Cpu, bucket: number, word: number): number {
  let state = cpu.load(bucket + Bucket.piStates);
  while (state !== 0 && cpu.read(state + PiState.key) !== word) state = cpu.read(state + PiState.next);
  return state;
}

/** Whether somebody waits for the word by a priority-inheriting operation. Under the latch. */
export function isPiLocked(cpu: Cpu, bucket: number, word: number): boolean {
  const state = findPiState(cpu, bucket, word);
  return state !== 0 && cpu.read(state + PiState.refs) > 0;
}

/** Makes the calling thread's spare the state of the word; 0 when it has none. Under the latch. */
export function bringPiState({ cpu, slot }: Thread, bucket: number, word: number): number {
  const state = cpu.load(slot + Slot.piState);
  if (state === 0) return 0;
  cpu.write(state + PiState.key, word);
  cpu.write(state + PiState.refs, 0);
  cpu.write(state + PiState.next, cpu.load(bucket + Bucket.piStates));
  cpu.storeRelease(bucket + Bucket.piStates, state);
  cpu.store(slot + Slot.piState, 0);
  return state;
}

/** Takes a state without waiters out of the bucket. Returns it if it is to be freed, 0 if kept. Under the latch. */
export function retirePiState({ cpu, slot }: Thread, bucket: number, state: number): number {
  const keeps = cpu.load(slot + Slot.piState) === 0;
  cpu.store(state + PiState.rt + RtWords.owner, 0);
  if (keeps) cpu.store(slot + Slot.piState, state);
  const next = cpu.read(state + PiState.next);
  const first = cpu.load(bucket + Bucket.piStates);
  if (first === state) cpu.store(bucket + Bucket.piStates, next);
  else {
    let prev = first;
    while (cpu.read(prev + PiState.next) !== state) prev = cpu.read(prev + PiState.next);
    cpu.write(prev + PiState.next, next);
  }
  return keeps ? 0 : state;
}

/**
 * For the reaper, under the latch. A waiter may have named a dead owner after the reaper looked at the state itself, so
 * it looks again.
 */
export function repairPiStates(repairer: Repairer, bucket: number): void {
  const { cpu, threads, isDead } = repairer;
  for (let state = cpu.load(bucket + Bucket.piStates); state !== 0; state = cpu.read(state + PiState.next)) {
    let refs = 0;
    for (let number = 0; number < threads; number++) {
      const slot = slotAddress(cpu, number);
      if (cpu.load(slot + Slot.piState) === state) cpu.store(slot + Slot.piState, 0);
      for (const task of [slot + Slot.mainTask, ...asyncTasks(cpu, slot)]) {
        if (cpu.load(task + Task.result) !== PI || cpu.load(task + Task.want) !== state) continue;
        if (isDead(number + 1)) cpu.store(task + Task.result, 0);
        else refs++;
      }
    }
    cpu.write(state + PiState.refs, refs);
    repair(repairer, state);
  }
}
