import type { Cpu } from '../../machine/cpu.ts';
import { kindById } from '../../memory/kinds.ts';
import { ObjectHeader } from '../../memory/objects.ts';
import { RtWait, slotOf, waiterTree } from '../../sched/priority.ts';
import { Slot } from '../../sched/slot.ts';
import { ASYNC, Task } from '../../sched/task.ts';
import { MOST_OF_LOOPS } from '../../sched/wait-list.ts';
import { isOwned, ownerOf } from '../owner-word.ts';
import { CHAIN_LIMIT, Contestant, CTX, RtWords } from './words.ts';

/**
 * Whether the thread with that slot would wait for itself. Contexts solve the cycles that they make among themselves,
 * so for a context a cycle counts only if somebody in it cannot back off: the owner of a lock that was taken without a
 * context, or an asynchronous owner, whose thread sleeps. A wounded thread in the chain is about to back off, unless it
 * waits without its context. A chain longer than the limit counts as a cycle, as in the kernel.
 */
export function closesCycle(cpu: Cpu, slot: number, first: number, cycle: number[], isContest: boolean): boolean {
  cycle.length = 0;
  let lock = first;
  let isStuck = false;
  for (let depth = 0; depth < CHAIN_LIMIT; depth++) {
    const word = cpu.load(lock + RtWords.owner);
    const owner = isOwned(word) ? ownerOf(word) : reservedFor(cpu, lock, word, lock === first);
    if (owner === 0) return false;
    const next = slotOf(cpu, owner);
    cycle.push(lock, cpu.load(owner + Task.thread) - 1);
    isStuck ||= lock === first && next === slot;
    isStuck ||= cpu.load(owner + Task.mode) === ASYNC || (word & CTX) === 0;
    if (next === slot) return isStuck || !isContest;
    const main = next + Slot.mainTask;
    lock = cpu.load(main + RtWait.mutex);
    if (lock === 0) return false;
    if (cpu.load(main + Contestant.flag) !== 0 && cpu.load(main + Contestant.wounded) !== 0) return false;
  }
  return !isContest;
}

/**
 * The asynchronous task that a free lock is kept for, or 0: the others wait for it as for an owner, and it cannot take
 * the lock as long as its thread sleeps. Not where a synchronous waiter looks after it, and takes the lock after a while
 * (`takeFromLoop`): behind more tasks than are looked past, nobody is woken to do that. `looks`: the caller is to wait for
 * this lock, and looks after it. A synchronous waiter that a free lock is kept for is awake, and takes it; so is one of the
 * task's own thread, which `wakeTop` has woken with the task and which takes its place.
 */
function reservedFor(cpu: Cpu, lock: number, word: number, looks: boolean): number {
  const top = ownerOf(word) === 0 ? waiterTree.first(cpu, lock + RtWords.waiters) : 0;
  if (top === 0 || cpu.load(top + Task.mode) !== ASYNC) return 0;
  const isPassed = kindById(cpu.read(lock + ObjectHeader.kind))?.isOnOffer !== undefined;
  if (isPassed && (looks || syncBehind(cpu, top) !== 0)) return 0;
  const main = slotOf(cpu, top) + Slot.mainTask;
  return cpu.load(main + RtWait.mutex) === lock ? 0 : top;
}

/** The first from `top` on that waits in a synchronous call, with no more than MOST_OF_LOOPS in front of it; 0 for none. */
export function syncBehind(cpu: Cpu, top: number): number {
  let task = top;
  for (let n = 0; n < MOST_OF_LOOPS && task !== 0 && cpu.load(task + Task.mode) === ASYNC; n++) {
    task = waiterTree.next(cpu, task);
  }
  return task === 0 || cpu.load(task + Task.mode) === ASYNC ? 0 : task;
}
