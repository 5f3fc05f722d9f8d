/**
 * Rounds: grace periods over what threads do between two turns of their event loops, or between two voluntary sleeps. A
 * thread that takes the address of another thread's task from a list, a lock's word or a chain of chunks drops it before
 * such a point; so a chunk of tasks that nothing leads to any more may be freed after a round.
 *
 *   the thread that retires a chunk              any other thread
 *   unlink the chunk                             use what it has found
 *   begin a round: Header.round + 1              between two turns: read Header.round,
 *   free the chunk, once no thread that            and tell it in the slot
 *     is attached has told less
 *
 * Threads pay nothing for it until one of them retires a chunk: that rings them (`arena/task-care.ts`). A thread that
 * computes, and neither sleeps nor returns to its event loop, holds rounds up: then the memory stays where it is.
 *
 * A dead thread takes no further step, so no round waits for one. Source: kernel/rcu/tasks.h; `TasksRcu` is the same for
 * programs, in a room above this one.
 */
import type { Cpu } from '../machine/cpu.ts';
import { Header } from '../memory/header.ts';
import { maxThreads, Slot, slotAddress } from './slot.ts';

/** Begins a round, for what the caller has unlinked before. Returns its number. */
export function beginRound(cpu: Cpu): number {
  // Full. Pairs with the acquire in `tellRound`: a thread that reads the new number finds nothing unlinked from there on.
  return (cpu.fetchAdd(Header.round, 1) + 1) | 0;
}

/** The thread of the slot is between two turns: it has no address of another thread's task. */
export function tellRound(cpu: Cpu, slot: number): void {
  const round = cpu.loadAcquire(Header.round);
  // Release: pairs with the acquire in `isRoundOver`. What the thread did with what it had found came before.
  if (cpu.loadUnordered(slot + Slot.round) !== round) cpu.storeRelease(slot + Slot.round, round);
}

/** Whether no thread but the caller, CPU number plus one, can have what was unlinked before the round began. */
export function isRoundOver(cpu: Cpu, round: number, caller: number): boolean {
  for (let number = 0; number < maxThreads(cpu); number++) if (isBehind(cpu, number, round, caller)) return false;
  return true;
}

/** Rings the threads that have not told the round. `ring`: what wakes a thread, by its slot. */
export function ringForRound(cpu: Cpu, round: number, caller: number, ring: (slot: number) => void): void {
  for (let number = 0; number < maxThreads(cpu); number++) {
    if (isBehind(cpu, number, round, caller)) ring(slotAddress(cpu, number));
  }
}

function isBehind(cpu: Cpu, number: number, round: number, caller: number): boolean {
  const slot = slotAddress(cpu, number);
  // Acquire: pairs with the releases by which a thread says that it has left, or is dead. A thread that attaches after this look
  // finds what it finds after the round began.
  if (number === caller - 1 || cpu.loadAcquire(slot + Slot.life) <= 0) return false;
  return ((cpu.loadAcquire(slot + Slot.round) - round) | 0) < 0;
}
