/**
 * Holds: how much of a lock each task holds, for locks that several tasks can hold at once, and whose word therefore
 * cannot name them. An asynchronous task holds one lock and has its record in itself; a thread's synchronous code has a
 * table of records in its slot, and more of them in chunks from the heap once that is full. A chunk stays with the slot
 * for good. The records of a slot are used in order: those behind the first without a lock are all unused.
 *
 * `count` of a record: held << 1, and TRANSIT while its task is about to change the lock's word or has just done so. A
 * record is written by its own task, or by the thread that grants the task what it waits for, and read by the reaper.
 *
 *   task                                     reaper
 *   count := held|TRANSIT                    closes the lock's word, fully ordered
 *   cmpxchg of the lock's word, fully ordered
 *   count := held +- 1                       waits until no record is in TRANSIT; their sum is the truth
 *
 * So either the reaper sees TRANSIT and waits for the outcome, or the task's cmpxchg fails. It is store buffering: each side
 * writes one of the two words before it looks at the other one, and the exchange of the lock's word is the barrier on both.
 */
import type { Cpu } from '../machine/cpu.ts';
import { Heap } from '../memory/heap.ts';
import { arrayOf, struct } from '../memory/struct.ts';
import { asyncTasks, findAsyncTask, leadsTo, Slot, slotAddress, slotArea } from './slot.ts';
import { ASYNC, Task, taskArea } from './task.ts';

export const Hold = struct({ lock: 1, count: 1 });

/** How many locks a thread's synchronous code can have records of in its slot, and in each chunk beside it. */
export const HOLDS = 31;

/** A chunk of records; the table in the slot has the same length and the same form. */
const Chunk = struct({ next: 1, pad: 1, records: arrayOf(HOLDS, Hold) });

/** The records of a thread's synchronous code. */
export const HoldTable = slotArea(
  'holds',
  {
    /** The first chunk of further records, or 0. */
    more: 1,
    pad: 1,
    records: arrayOf(HOLDS, Hold),
  },
  {
    vacate: (cpu, slot) => clear(cpu, usedRecords(cpu, slot)),
    keeps: (cpu, slot, block): boolean => leadsTo(cpu, slot + HoldTable.more, block),
  },
);

/** The record of an asynchronous task. */
const Held = taskArea('holds', { record: Hold }, { vacate: (cpu, task) => clear(cpu, [task + Held.record]) });

/**
 * Illegal to fail to set before the lock's word is changed, or to leave set: the reaper would count a hold that is none, or wait
 * for ever. Legal to set where the word is then not changed after all.
 */
export const TRANSIT = 1;
/** One of whatever is held. */
export const HELD = 2;

export const isSteady = (count: number) => (count & TRANSIT) === 0;

/** The record of what `task`, the calling thread's, holds of `lock`; 0 when there is none. */
export function findHold(cpu: Cpu, task: number, lock: number): number {
  if (cpu.load(task + Task.mode) === ASYNC) {
    return cpu.read(task + Held.record + Hold.lock) === lock ? task + Held.record : 0;
  }
  const first = tableOf(task);
  for (let record = first; record < first + HOLDS * Hold.words; record += Hold.words) {
    const held = cpu.read(record + Hold.lock);
    if (held === lock) return record;
    if (held === 0) return 0;
  }
  return chunkRecords(cpu, slotOf(task)).find((record) => cpu.read(record + Hold.lock) === lock) ?? 0;
}

/**
 * `findHold`, or else a record that is free, which is then that lock's; 0 when all are in use and there is no memory for
 * more.
 */
export function claimHold(cpu: Cpu, task: number, lock: number): number {
  const found = findHold(cpu, task, lock);
  if (found !== 0) return found;
  const record = cpu.load(task + Task.mode) === ASYNC ? task + Held.record : freeRecord(cpu, task);
  if (record === 0 || cpu.read(record + Hold.count) !== 0) return 0;
  // Pairs with the acquires of `lock` in `isHeld`, `holdsOf` and `usedRecords`.
  cpu.storeRelease(record + Hold.lock, lock);
  return record;
}

/** A record of the main task's that holds nothing, or 0 when there is no memory for more. */
function freeRecord(cpu: Cpu, task: number): number {
  const first = tableOf(task);
  for (let record = first; record < first + HOLDS * Hold.words; record += Hold.words) {
    if (cpu.read(record + Hold.count) === 0) return record;
  }
  const slot = slotOf(task);
  const free = chunkRecords(cpu, slot).find((record) => cpu.read(record + Hold.count) === 0);
  return free ?? addChunk(cpu, slot, cpu.load(task + Task.thread));
}

/** Another chunk of records for the calling thread. Returns its first, or 0 when there is no memory. */
function addChunk(cpu: Cpu, slot: number, id: number): number {
  const chunk = new Heap(cpu, id).tryAlloc(Chunk.words, slot + Slot.nascent);
  if (chunk === 0) return 0;
  for (let word = 0; word < Chunk.words; word++) cpu.write(chunk + word, 0);
  let link = slot + HoldTable.more;
  while (cpu.read(link) !== 0) link = cpu.read(link);
  // Pairs with the acquires in `chunkRecords`.
  cpu.storeRelease(link, chunk);
  cpu.store(slot + Slot.nascent, 0);
  return chunk + Chunk.records;
}

/**
 * Whether `record`, of the calling thread's synchronous code, is that of `lock` still: a view remembers where it was, and
 * saves the search. Another lock may have it once it is empty. A thread has one record of a lock at most.
 */
export function isRecordOf(cpu: Cpu, record: number, lock: number): boolean {
  return record !== 0 && cpu.read(record + Hold.lock) === lock;
}

/** How many of `lock` the calling thread's `task` holds. */
export function heldBy(cpu: Cpu, task: number, lock: number): number {
  const record = findHold(cpu, task, lock);
  return record === 0 ? 0 : cpu.read(record + Hold.count) >> 1;
}

/**
 * All records of `lock` that are not empty, of threads for which `include` holds. A thread's asynchronous tasks come first:
 * its synchronous code may begin to read because one of them reads already, and that task may leave then. A look in the other
 * order may see neither.
 */
export function holdsOf(cpu: Cpu, threads: number, lock: number, include: (id: number) => boolean): number[] {
  const records: number[] = [];
  // Without a list of each slot's records in between: a writer of a PercpuRwSemaphore looks at all slots, most of them empty.
  for (let id = 1, slot = slotAddress(cpu, 0); id <= threads; id++, slot += Slot.words) {
    if (!include(id)) continue;
    if (cpu.loadAcquire(slot + Slot.chunks) !== 0) {
      for (const task of asyncTasks(cpu, slot))
        if (isHeld(cpu, task + Held.record, lock, 1)) records.push(task + Held.record);
    }
    let record = slot + HoldTable.records;
    const end = record + HOLDS * Hold.words;
    for (; record < end && cpu.loadAcquire(record + Hold.lock) !== 0; record += Hold.words) {
      if (isHeld(cpu, record, lock, 1)) records.push(record);
    }
    if (record < end) continue;
    for (const further of chunkRecords(cpu, slot)) if (isHeld(cpu, further, lock, 1)) records.push(further);
  }
  return records;
}

/** Whether `holdsOf` would find any, of all threads. */
export function isAnyHeld(cpu: Cpu, threads: number, lock: number): boolean {
  return findHeld(cpu, threads, lock, 1) !== 0;
}

/**
 * One of the records that `holdsOf` would find, of all threads, with a count of at least `least`; 0 when there is none.
 * Synchronous code is looked at first, and again last: a record of its that holds the lock is an answer at once, however many
 * asynchronous tasks there are. That none does is no answer; see `holdsOf`.
 */
export function findHeld(cpu: Cpu, threads: number, lock: number, least: number): number {
  let hasTasks = false;
  for (let id = 1, slot = slotAddress(cpu, 0); id <= threads; id++, slot += Slot.words) {
    hasTasks = cpu.loadAcquire(slot + Slot.chunks) !== 0 || hasTasks;
    const record = findHeldBySync(cpu, slot, lock, least);
    if (record !== 0) return record;
  }
  if (!hasTasks) return 0;
  const isTheirs = (task: number) => isHeld(cpu, task + Held.record, lock, least);
  for (let id = 1, slot = slotAddress(cpu, 0); id <= threads; id++, slot += Slot.words) {
    const task = findAsyncTask(cpu, slot, isTheirs);
    if (task !== 0) return task + Held.record;
    const record = findHeldBySync(cpu, slot, lock, least);
    if (record !== 0) return record;
  }
  return 0;
}

function findHeldBySync(cpu: Cpu, slot: number, lock: number, least: number): number {
  let record = slot + HoldTable.records;
  const end = record + HOLDS * Hold.words;
  for (; record < end && cpu.loadAcquire(record + Hold.lock) !== 0; record += Hold.words) {
    if (isHeld(cpu, record, lock, least)) return record;
  }
  if (record < end) return 0;
  return chunkRecords(cpu, slot).find((further) => isHeld(cpu, further, lock, least)) ?? 0;
}

/**
 * `lock` is set before `count`, by the release in `claimHold`: a thread that sees the count sees whose it is. Both loads acquire,
 * because a record that is another lock's by now was given up for this one before.
 */
export function isHeld(cpu: Cpu, record: number, lock: number, least: number): boolean {
  return cpu.loadAcquire(record + Hold.count) >= least && cpu.loadAcquire(record + Hold.lock) === lock;
}

/** A dead thread holds nothing any more. From the last record to the first, so that it may run twice. */
function clear(cpu: Cpu, records: number[]): void {
  for (const record of records.reverse()) {
    // Both pair with the acquires in `holdsOf` and `usedRecords`.
    cpu.storeRelease(record + Hold.count, 0);
    cpu.storeRelease(record + Hold.lock, 0);
  }
}

/**
 * The records of a slot that are, or have been, some lock's. The loads acquire: records that end here may have been
 * cleared by the reaper, after their thread had read.
 */
function usedRecords(cpu: Cpu, slot: number): number[] {
  const used: number[] = [];
  const table = slot + HoldTable.records;
  for (let i = 0; i < HOLDS; i++) {
    if (cpu.loadAcquire(table + i * Hold.words + Hold.lock) === 0) return used;
    used.push(table + i * Hold.words);
  }
  for (const record of chunkRecords(cpu, slot)) {
    if (cpu.loadAcquire(record + Hold.lock) === 0) return used;
    used.push(record);
  }
  return used;
}

/** For `fsck`: what does not hold in the slot's records. `isLock`: whether a shared object is at an address. */
export function holdFaults(cpu: Cpu, slot: number, isLock: (address: number) => boolean): string[] {
  const faults: string[] = [];
  const isFree = () => cpu.loadAcquire(slot + Slot.life) === 0;
  const wasFree = isFree();
  const records = [...usedRecords(cpu, slot), ...asyncTasks(cpu, slot).map((task) => task + Held.record)];
  for (const record of records) {
    const [lock, count] = [cpu.load(record + Hold.lock), cpu.load(record + Hold.count)];
    if (count === 0) continue;
    // A thread that has taken the slot meanwhile may hold it.
    if (wasFree && isFree()) faults.push(`is free, and holds the object at ${lock}`);
    else if (count < 0 || !isSteady(count))
      faults.push(`has a record of ${lock} that was left in the middle of a change`);
    else if (!isLock(lock)) faults.push(`has a record that it holds ${lock}, which is no object`);
  }
  return faults;
}

/** The records of a slot that are not in its table. */
function chunkRecords(cpu: Cpu, slot: number): number[] {
  const records: number[] = [];
  for (let chunk = cpu.loadAcquire(slot + HoldTable.more); chunk !== 0; chunk = cpu.loadAcquire(chunk)) {
    for (let i = 0; i < HOLDS; i++) records.push(chunk + Chunk.records + i * Hold.words);
  }
  return records;
}

function tableOf(mainTask: number): number {
  return slotOf(mainTask) + HoldTable.records;
}

function slotOf(mainTask: number): number {
  return mainTask - Slot.mainTask;
}
