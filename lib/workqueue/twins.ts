/**
 * A work in shared memory: `struct work_struct`. What it is at, its two twins say, by one store for each step (`layout.ts`).
 * So there is nothing to repair but the list of those that wait for it.
 *
 *   the twins       it                               queue     flush     cancel
 *   FREE FREE       is idle                          yes       at once   false
 *   DELAYED FREE    waits for its timer              pending   at once   true
 *   LISTED FREE     is pending                       pending   waits     true
 *   RUNNING FREE    runs                             yes       waits     false
 *   RUNNING LISTED  runs, and is to run again        pending   waits     true
 *
 * Latches, from outside to inside: the pool's, the work's, that of all timers.
 */
import type { Cpu } from '../machine/cpu.ts';
import type { Heap } from '../memory/heap.ts';
import { latch, unlatch } from '../memory/latch.ts';
import type { Repairer } from '../memory/repairer.ts';
import { Task } from '../sched/task.ts';
import { isTimerActive } from '../sched/timer.ts';
import { isListBusy, leaveList, rebuildList, WaitList, waiters } from '../sched/wait-list.ts';
import { DELAYED, FREE, ID_SHIFT, Item, LISTED, PHASE, RUNNING, twinAt, WorkWords } from './layout.ts';

/** `want` of a task that waits for a work: that what was queued before is over; and that nobody queues it meanwhile. */
export const FLUSHES = 1;
export const CANCELS = 2;

/** What became of an attempt to queue a work. */
export type Queueing = 'queued' | 'pending' | 'disabled' | 'refused';

export function latchOf(work: number): number {
  return work + WorkWords.waiters + WaitList.latch;
}

/** Takes the latch of the twin's work. */
export function latchWork(cpu: Cpu, id: number, twin: number): void {
  latch(cpu, latchOf(workOf(cpu, twin)), id);
}

export function unlatchWork(cpu: Cpu, twin: number): void {
  unlatch(cpu, latchOf(workOf(cpu, twin)));
}

/** Whether the item is a work's, and no submitter's. */
export function isTwin(cpu: Cpu, item: number): boolean {
  return cpu.read(item + Item.port) === 0;
}

/** The work that the item is a twin of. */
export function workOf(cpu: Cpu, twin: number): number {
  return cpu.read(twin + Item.index);
}

/** The work's other twin. */
export function siblingOf(cpu: Cpu, twin: number): number {
  const work = workOf(cpu, twin);
  return twinAt(work, twin === twinAt(work, 0) ? 1 : 0);
}

function phaseOf(cpu: Cpu, twin: number): number {
  // Acquire: pairs with the releases of `listTwin` and `#endTwin`.
  return cpu.loadAcquire(twin + Item.state) & PHASE;
}

/** The twin in that phase, or 0. */
export function twinIn(cpu: Cpu, work: number, phase: number): number {
  const [first, second] = [twinAt(work, 0), twinAt(work, 1)];
  if (phaseOf(cpu, first) === phase) return first;
  return phaseOf(cpu, second) === phase ? second : 0;
}

/** The twin that is LISTED or DELAYED, or 0. */
export function pendingTwin(cpu: Cpu, work: number): number {
  return twinIn(cpu, work, LISTED) || twinIn(cpu, work, DELAYED);
}

/** The thread that runs the work, its CPU number plus one, or 0. */
export function runnerOf(cpu: Cpu, work: number): number {
  const twin = twinIn(cpu, work, RUNNING);
  const state = twin === 0 ? FREE : cpu.load(twin + Item.state);
  return (state & PHASE) === RUNNING ? state >> ID_SHIFT : 0;
}

/** The FREE twin of a work that is not pending, as its next queueing. The work is latched. */
export function numberTwin(cpu: Cpu, work: number): number {
  const twin = twinIn(cpu, work, FREE);
  const number = (cpu.load(work + WorkWords.number) + 1) | 0;
  cpu.store(work + WorkWords.number, number);
  cpu.store(work + WorkWords.numbers + (twin === twinAt(work, 0) ? 0 : 1), number);
  return twin;
}

/** Why the work can't be queued, or undefined. It is latched. */
export function obstacle(cpu: Cpu, work: number): 'pending' | 'disabled' | undefined {
  if (pendingTwin(cpu, work) !== 0) return 'pending';
  return isDisabled(cpu, work) ? 'disabled' : undefined;
}

/** Whether it was disabled, or somebody cancels it and waits for its end. It is latched. */
function isDisabled(cpu: Cpu, work: number): boolean {
  if (cpu.load(work + WorkWords.disabled) > 0) return true;
  return waiters(cpu, work + WorkWords.waiters).some((task) => cpu.load(task + Task.want) === CANCELS);
}

/** Whether the work's pending queueing waits for readers of RCU. */
export function awaitsReaders(cpu: Cpu, work: number): boolean {
  return cpu.load(work + WorkWords.awaitsReaders) === 1;
}

/** Whether one of the work's queueings up to that number waits for a worker or for readers of RCU, or runs. */
export function isUnderWay(cpu: Cpu, work: number, upTo: number): boolean {
  for (let index = 0; index < 2; index++) {
    const phase = phaseOf(cpu, twinAt(work, index));
    const isAfter = ((cpu.load(work + WorkWords.numbers + index) - upTo) | 0) > 0;
    const isDue = phase === LISTED || phase === RUNNING || (phase === DELAYED && awaitsReaders(cpu, work));
    if (isDue && !isAfter) return true;
  }
  return false;
}

/** Whether the work's memory is in use. */
export function isWorkBusy(cpu: Cpu, work: number): boolean {
  const timer = cpu.load(work + WorkWords.timer);
  const isFree = phaseOf(cpu, twinAt(work, 0)) === FREE && phaseOf(cpu, twinAt(work, 1)) === FREE;
  return !isFree || (timer !== 0 && isTimerActive(cpu, timer)) || isListBusy(cpu, work + WorkWords.waiters);
}

/** For `Kind.release`: its timer. */
export function releaseTimer(cpu: Cpu, work: number, heap: Heap, nascent: number): boolean {
  const timer = cpu.load(work + WorkWords.timer);
  if (timer === 0) return true;
  // First: a thread that dies here leaves a block that nobody has, rather than one that is freed twice.
  cpu.store(work + WorkWords.timer, 0);
  cpu.store(nascent, timer);
  heap.free(timer, nascent);
  return true;
}

/** After deaths: the dead wait for nothing. What a dead thread ran, the repair of its pool sees to. */
export function repairWork(repairer: Repairer, work: number): boolean {
  const { cpu, isDead } = repairer;
  const list = work + WorkWords.waiters;
  if (!repairer.latch(latchOf(work), () => rebuildList(repairer, list))) return false;
  for (const task of waiters(cpu, list)) if (isDead(cpu.load(task + Task.thread))) leaveList(cpu, list, task);
  unlatch(cpu, latchOf(work));
  return true;
}
