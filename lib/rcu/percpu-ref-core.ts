/**
 * The words and phases of a `PercpuRef`: references that threads take and give back without a shared write, until the object
 * is to go. Kernel lib/percpu-refcount.c.
 *
 *   state (generation, phase), taken | a line for each thread: the references that it holds
 *
 *   phase       what a thread does to its own line
 *   LIVE        plain stores, in a reader of QSBR in which it has seen LIVE
 *   SWITCHING   atomics, and `taken` grows with each reference, in a reader of QSBR; some thread may still be in one of LIVE
 *   ATOMIC      the same; none is
 *   KILLED      atomics; some thread may still be in such a reader
 *   CONFIRMED   atomics; none is. A line that is 0 stays 0, so the references are gone for good when all lines are 0
 *   CLOSED      nothing: destroyed
 *
 *   switchToAtomic  LIVE -> SWITCHING; a grace period that began after that, then SWITCHING -> ATOMIC, by whoever waited for one
 *   switchToPercpu  SWITCHING, ATOMIC -> LIVE of the next generation
 *   kill            LIVE, SWITCHING, ATOMIC -> KILLED
 *   confirm         a grace period that began after that, then KILLED -> CONFIRMED, by whichever thread waited for one
 *   reinit          CONFIRMED -> LIVE of the next generation, when all lines are 0
 *   destroy         CONFIRMED -> CLOSED, when all lines are 0
 *
 * In ATOMIC `isZero` looks at all lines between two looks at `taken`. A reference counts from when `taken` has grown by it, which
 * comes after its line: if `taken` has not changed, no reference began in between, and a line that was 0 in between stood for
 * none at the second look. So if all were, nobody had any at that moment.
 *
 * A confirmer of an older generation finds another state than the one that it waited for. A waiter that finds another
 * generation is done: its own was drained, and `reinit` came before the waiter had woken up. In the phases after LIVE the last
 * reference of a thread is given back by a full atomic, and then the queue is looked at; a waiter joins the queue, and then
 * looks at the lines.
 *
 * Death: a line is one word, and belongs to one thread. The reaper sets it to 0, and all waiters look again.
 */
import { repair as repairQueue, WaitQueueWords } from '../locking/wait-queue-core.ts';
import type { Cpu } from '../machine/cpu.ts';
import { defineKind } from '../memory/kinds.ts';
import type { Repairer } from '../memory/repairer.ts';
import { inLines, LINE_WORDS, struct } from '../memory/struct.ts';
import { maxThreads } from '../sched/slot.ts';

const HEAD = struct({ queue: WaitQueueWords, state: 1, taken: 1 });
export const Words = struct({ queue: WaitQueueWords, state: 1, taken: 1, pad: inLines(HEAD.words) - HEAD.words });

/** Phases, in the last three bits of the state. */
export const LIVE = 0;
export const KILLED = 1;
export const CONFIRMED = 2;
const CLOSED = 3;
export const SWITCHING = 4;
export const ATOMIC = 5;
export const PHASE = 7;
export const GENERATION = 8;

/** Whether references can be taken. */
export function isLiveIn(state: number): boolean {
  const phase = state & PHASE;
  return phase === LIVE || phase === SWITCHING || phase === ATOMIC;
}

export function withPhase(state: number, phase: number): number {
  return (state & ~PHASE) | phase;
}

export function lineOf(ref: number, number: number): number {
  return ref + Words.words + number * LINE_WORDS;
}

export function areAllBack(cpu: Cpu, ref: number): boolean {
  // Acquire: pairs with the `fetchSub` in `put`. A thread that finds no reference left has seen all uses end.
  for (let number = 0; number < maxThreads(cpu); number++) {
    if (cpu.loadAcquire(lineOf(ref, number)) !== 0) return false;
  }
  return true;
}

/** In SWITCHING and ATOMIC, for the thread whose line it is: references taken, or given back with less than 0. */
export function addAtomically(cpu: Cpu, { line, taken }: { line: number; taken: number }, difference: number): void {
  cpu.fetchAdd(line, difference);
  // Fully ordered, and last: pairs with the loads in `wereNone`.
  if (difference > 0) cpu.fetchAdd(taken, difference);
}

/** In ATOMIC: whether there was a moment during this call at which all `lines` were 0. */
export function wereNone(cpu: Cpu, taken: number, lines: readonly number[]): boolean {
  // Acquire: pairs with the `fetchAdd`s in `addAtomically`. The thread that finds no reference has seen all uses end.
  const before = cpu.loadAcquire(taken);
  if (!lines.every((line) => cpu.loadAcquire(line) === 0)) return false;
  return cpu.loadAcquire(taken) === before;
}

export const KIND = defineKind<Repairer>({
  name: 'percpu-ref',
  words: Words,
  trailing: (cpu) => maxThreads(cpu) * LINE_WORDS,
  format: () => {},
  holder: () => 0,
  isHeldBy: (cpu, ref, id) => cpu.load(lineOf(ref, id - 1)) > 0,
  isBusy: (cpu, ref) => !areAllBack(cpu, ref),
  close(cpu, ref) {
    const state = cpu.load(ref + Words.state);
    if ((state & PHASE) === CLOSED) return true;
    // While they are live a thread may have a reference that is in no line yet.
    if ((state & PHASE) !== CONFIRMED || !areAllBack(cpu, ref)) return false;
    return cpu.cmpxchg(ref + Words.state, state, withPhase(state, CLOSED)) === state;
  },
  repair(repairer, ref) {
    const { cpu, threads, isDead } = repairer;
    if (!repairQueue(repairer, ref)) return false;
    for (let number = 0; number < threads; number++) if (isDead(number + 1)) cpu.store(lineOf(ref, number), 0);
    return true;
  },
});
