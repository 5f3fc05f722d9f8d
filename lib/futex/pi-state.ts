/**
 * The state of a priority-inheriting futex that somebody waits for: an rt-mutex that stands for the word, so that the
 * word's owner inherits from its waiters. Made by the first waiter, freed by the last.
 *
 *   rt     its owner is the word's owner, its waiters are those of the word
 *   key    the word
 *   next   the next state in the bucket
 *   refs   tasks that wait for it, or are about to: those whose `want` is the state while `result` is PI
 *
 * `next` and `refs` are guarded by the bucket's latch. Links change by one store each; refs are counted again after
 * deaths. A thread that dies between making a state and linking it in, or out and freeing it, loses its 64 bytes.
 *
 * Source: struct futex_pi_state in kernel/futex/.
 */
import { rtKind } from '../locking/rt-lock.ts';
import { RtWords } from '../locking/rt-mutex-core.ts';
import type { Cpu } from '../machine/cpu.ts';
import { struct } from '../memory/struct.ts';
import type { Arena } from '../sched/arena.ts';
import type { Repairer } from '../sched/reaper.ts';
import { Task } from '../sched/task.ts';
import { asyncTasks, Slot, slotAddress } from '../sched/thread.ts';
import { Bucket } from './table.ts';

export const PiState = struct({ rt: RtWords.words, key: 1, next: 1, refs: 1 });

/** A task's `result`: its `want` is the state that it waits for. */
export const PI = -1;

const KIND = rtKind('futex pi state', PiState.words);

/** A state in no bucket. Throws ENOMEM. */
export function makePiState(arena: Arena): number {
  return arena.objects.create(KIND);
}

/** Frees a state that is in no bucket and has no waiters. */
export function freePiState(arena: Arena, state: number): void {
  arena.cpu.store(state + PiState.rt + RtWords.owner, 0);
  arena.objects.destroy(KIND, state);
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

export function linkPiState(cpu: Cpu, bucket: number, word: number, state: number): void {
  cpu.write(state + PiState.key, word);
  cpu.write(state + PiState.refs, 0);
  cpu.write(state + PiState.next, cpu.load(bucket + Bucket.piStates));
  cpu.storeRelease(bucket + Bucket.piStates, state);
}

export function unlinkPiState(cpu: Cpu, bucket: number, state: number): void {
  const next = cpu.read(state + PiState.next);
  const first = cpu.load(bucket + Bucket.piStates);
  if (first === state) {
    cpu.store(bucket + Bucket.piStates, next);
    return;
  }
  let prev = first;
  while (cpu.read(prev + PiState.next) !== state) prev = cpu.read(prev + PiState.next);
  cpu.write(prev + PiState.next, next);
}

/** For the reaper, under the latch. */
export function recountPiStates({ cpu, threads, isDead }: Repairer, bucket: number): void {
  for (let state = cpu.load(bucket + Bucket.piStates); state !== 0; state = cpu.read(state + PiState.next)) {
    let refs = 0;
    for (let number = 0; number < threads; number++) {
      if (isDead(number + 1)) continue;
      const slot = slotAddress(cpu, number);
      for (const task of [slot + Slot.mainTask, ...asyncTasks(cpu, slot)]) {
        if (cpu.load(task + Task.result) === PI && cpu.load(task + Task.want) === state) refs++;
      }
    }
    cpu.write(state + PiState.refs, refs);
  }
}
