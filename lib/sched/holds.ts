/**
 * Holds: how much of a lock each task holds, for locks that several tasks can hold at once, and whose word therefore
 * cannot name them. An asynchronous task holds one lock and has its record in itself; a thread's synchronous code has a
 * table of records in its slot.
 *
 * `count` of a record: held << 1, and TRANSIT while its task is about to change the lock's word or has just done so. A
 * record is written by its own task, or by who grants the task what it waits for, and read by the reaper.
 *
 *   task                                     reaper
 *   count := held|TRANSIT                    closes the lock's word, fully ordered
 *   cmpxchg of the lock's word, fully ordered
 *   count := held +- 1                       waits until no record is in TRANSIT; their sum is the truth
 *
 * So either the reaper sees TRANSIT and waits for the outcome, or the task's cmpxchg fails.
 */
import type { Cpu } from '../machine/cpu.ts';
import { struct } from '../memory/struct.ts';
import { asyncTasks, Slot, slotAddress, slotArea } from './slot.ts';
import { ASYNC, Task, taskArea } from './task.ts';

export const Hold = struct({ lock: 1, count: 1 });

/** How many locks a thread's synchronous code can have records of at once. */
export const HOLDS = 32;

/** The records of a thread's synchronous code. */
export const HoldTable = slotArea(
  'holds',
  { records: HOLDS * Hold.words },
  { vacate: (cpu, slot) => clear(cpu, slot + HoldTable.records, HOLDS) },
);

/** The record of an asynchronous task. */
const Held = taskArea('holds', { record: Hold.words }, { vacate: (cpu, task) => clear(cpu, task + Held.record, 1) });

export const TRANSIT = 1;
/** One of whatever is held. */
export const HELD = 2;

export const isSteady = (count: number) => (count & TRANSIT) === 0;

/** The record of what `task`, the calling thread's, holds of `lock`; 0 when there is none. */
export function findHold(cpu: Cpu, task: number, lock: number): number {
  if (cpu.load(task + Task.mode) === ASYNC) {
    return cpu.read(task + Held.record + Hold.lock) === lock ? task + Held.record : 0;
  }
  for (let record = firstRecord(task); record < lastRecord(task); record += Hold.words) {
    const held = cpu.read(record + Hold.lock);
    if (held === lock) return record;
    if (held === 0) return 0;
  }
  return 0;
}

/** `findHold`, or else a record that is free, which is then that lock's; 0 when all are in use. */
export function claimHold(cpu: Cpu, task: number, lock: number): number {
  const found = findHold(cpu, task, lock);
  if (found !== 0) return found;
  const isAsync = cpu.load(task + Task.mode) === ASYNC;
  const last = isAsync ? task + Held.record + Hold.words : lastRecord(task);
  for (let record = isAsync ? task + Held.record : firstRecord(task); record < last; record += Hold.words) {
    if (cpu.read(record + Hold.count) !== 0) continue;
    cpu.storeRelease(record + Hold.lock, lock);
    return record;
  }
  return 0;
}

/** How many of `lock` the calling thread's `task` holds. */
export function heldBy(cpu: Cpu, task: number, lock: number): number {
  const record = findHold(cpu, task, lock);
  return record === 0 ? 0 : cpu.read(record + Hold.count) >> 1;
}

/**
 * All records of `lock` with a count of at least `least`, of threads for which `include` holds. A thread's asynchronous tasks come first: its
 * synchronous code may begin to read because one of them reads already, and that one may leave then. Whoever looks in the
 * other order sees neither.
 */
export function holdsOf(
  cpu: Cpu,
  threads: number,
  lock: number,
  include: (id: number) => boolean,
  least = 1,
): number[] {
  const records: number[] = [];
  const look = (record: number) => {
    // The lock is set before the count, a release: whoever sees the count sees whose it is. Both loads acquire: a record
    // that is another lock's by now (the release in claimHold) was given up for this one before.
    if (cpu.loadAcquire(record + Hold.count) >= least && cpu.loadAcquire(record + Hold.lock) === lock)
      records.push(record);
  };
  for (let number = 0; number < threads; number++) {
    if (!include(number + 1)) continue;
    const slot = slotAddress(cpu, number);
    for (const task of asyncTasks(cpu, slot)) look(task + Held.record);
    const table = slot + HoldTable.records;
    for (let i = 0; i < HOLDS && cpu.load(table + i * Hold.words + Hold.lock) !== 0; i++) look(table + i * Hold.words);
  }
  return records;
}

/** A dead thread holds nothing any more. From the last record to the first, so that it may run twice. */
function clear(cpu: Cpu, first: number, records: number): void {
  let record = first;
  while (record < first + records * Hold.words && cpu.load(record + Hold.lock) !== 0) record += Hold.words;
  while (record > first) {
    record -= Hold.words;
    cpu.store(record + Hold.count, 0);
    cpu.store(record + Hold.lock, 0);
  }
}

function firstRecord(mainTask: number): number {
  return mainTask - Slot.mainTask + HoldTable.records;
}

function lastRecord(mainTask: number): number {
  return firstRecord(mainTask) + HOLDS * Hold.words;
}
