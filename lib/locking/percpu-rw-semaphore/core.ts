/**
 * The reader-writer semaphore for much reading and little writing, kernel/locking/percpu-rwsem.c: a reader writes only
 * to a record of its own (`lib/sched/holds.ts`), a writer looks through the records of all threads. How tasks wait is in
 * `wait.ts`, what happens after a death in `repair.ts`.
 *
 * Word `block`: the writer's address, or 0, and
 *
 *   flag        who sets it               who clears it            what it means
 *   WAITERS     waiter, under the latch   who hands over, latch    the wait list is not empty
 *   DRAINING    the writer, or who        the writer               the writer waits for readers to leave
 *               made it the writer
 *   OWNER_DIED  the reaper                makeConsistent           a writer died inside
 *   ALONE       who hands over            the writer, or a reader  of a writer that is DRAINING: nobody reads. It comes straight
 *                                         that joins               after another one, and need not look through the records
 *
 *      read          record + 1 (full); block names no writer (acquire)? else record - 1, and wait
 *      read unlock   record - 1, TRANSIT (full); if block is DRAINING, wake the writer; TRANSIT off
 *      write         block: 0 -> me|DRAINING (full); wait until all records are 0 (acquire); me|DRAINING -> me
 *      write unlock  block: me -> 0 (release)
 *                    me|WAITERS: let in the readers in front of the next writer; -> next|DRAINING, or 0; WAITERS stays;
 *                    ALONE, too, if there are none
 *
 * Only those are let in, or made the writer, that can run (`isStuck`). So WAITERS may stay where nobody writes: the others
 * look themselves once they can run, and newcomers need not wait for them.
 *
 * WAITERS: illegal to fail to set before a task sleeps in the list, as a writer without it releases the lock and wakes nobody; legal to
 * set in vain. DRAINING: illegal to fail to set in the step that makes a task the writer, as a reader that leaves wakes only a writer
 * that says so; illegal to clear before all records are 0. OWNER_DIED: as WAITERS, in the step that takes a dead writer's name away.
 *
 * Reader and writer each write their own word and then look at the other's, with a full barrier in between: so at least
 * one of them sees the other (store buffering).
 *
 *      reader, `readWith`               writer, `claimBlock`, `handOver`
 *      xchg     record + 1              cmpxchg  block: 0 -> me|DRAINING
 *      load     block                   load     record, in `isDrained`
 *
 *      reader, `retire`                 writer, `settleBlock`
 *      xchg     record - 1              xchg     state SLEEPING, in `prepareToPark`
 *      load     block: DRAINING?        load     record: 0? else sleep
 *
 * Illegal to leave ALONE set while somebody reads; legal for it to be clear though nobody does. A reader joins beside a writer on the
 * writer's own thread only, or where that thread reads already and so no writer is ALONE. So none comes while the writer looks.
 *
 * A record in TRANSIT is no reader's any more, but its thread is about to look at the block: the lock may not be destroyed
 * yet.
 *
 * A dead reader's record is set to 0 by the reaper; there is nothing else to find. A writer's name is in `block`.
 */

import type { Cpu } from '../../machine/cpu.ts';
import { Header } from '../../memory/header.ts';
import { latch, unlatch } from '../../memory/latch.ts';
import { ObjectHeader } from '../../memory/objects.ts';
import { struct } from '../../memory/struct.ts';
import { Grant } from '../../sched/grant.ts';
import { claimHold, findHeld, findHold, HELD, Hold, isAnyHeld, isHeld, TRANSIT } from '../../sched/holds.ts';
import { findAsyncTask, maxThreads, slotAddress } from '../../sched/slot.ts';
import type { Concluded } from '../../sched/slow-path.ts';
import { ASYNC, Task, unpark } from '../../sched/task.ts';
import type { Thread } from '../../sched/thread.ts';
import {
  firstToCome,
  firstWaiter,
  isListBusy,
  isStuck,
  leaveList,
  nextWaiter,
  WaitList,
} from '../../sched/wait-list.ts';
import { UNRECOVERABLE } from '../owner-word.ts';

export const PercpuWords = struct({
  header: ObjectHeader,
  block: 1,
  waiters: WaitList,
  /**
   * The record of a reader that a writer has seen inside, or 0. As long as it reads, the next writer need not look through all
   * records: thousands may come to be the writer, one after the other, and give up.
   */
  inside: 1,
  /**
   * `Header.round` as it was before that writer looked. Legal to look at the record only while that is the round still: the record may be
   * an asynchronous task's, whose memory goes back to the heap, but not before another round has begun (`sched/rounds.ts`).
   */
  insideSince: 1,
});

export const WAITERS = 1;
export const DRAINING = 2;
export const OWNER_DIED = 4;
export const ALONE = 8;
export const FLAGS = 15;

export const READ = 0;
export const WRITE = 1;

/** In the writer's place of a lock that was destroyed; see UNRECOVERABLE in owner-word.ts. */
export const CLOSED = UNRECOVERABLE;

/** Whether somebody writes, reads, waits or is about to. */
export function isBusy(cpu: Cpu, lock: number): boolean {
  return writerOf(cpu.load(blockOf(lock))) !== 0 || hasRecords(cpu, lock) || isListBusy(cpu, listOf(lock));
}

/** For `Kind.close`. Store buffering with a reader, as a writer does it. */
export function close(cpu: Cpu, lock: number): boolean {
  const block = cpu.load(blockOf(lock));
  if (writerOf(block) !== CLOSED) {
    if ((block & ~OWNER_DIED) !== 0 || cpu.cmpxchg(blockOf(lock), block, block | CLOSED) !== block) return false;
  }
  if (!hasRecords(cpu, lock)) return true;
  cpu.fetchAndRelease(blockOf(lock), ~CLOSED);
  return false;
}

/**
 * `Kind.isOnOffer`: whether a task of an event loop was let in, or made the writer, that need not know yet: it passes that on if it cannot
 * run. A reader in the list that counts is on its way in.
 */
export function isOnOffer(cpu: Cpu, lock: number): boolean {
  const block = cpu.loadAcquire(blockOf(lock));
  if (block & DRAINING && cpu.load(writerOf(block) + Task.mode) === ASYNC) return true;
  const isUnaware = (task: number) => {
    const record = cpu.load(task + Grant.record);
    const isGiven = cpu.loadAcquire(task + Grant.from) === lock || cpu.load(task + Task.list) === listOf(lock);
    return isGiven && record !== 0 && cpu.load(record + Hold.count) >= HELD;
  };
  for (let number = 0; number < maxThreads(cpu); number++) {
    if (findAsyncTask(cpu, slotAddress(cpu, number), isUnaware) !== 0) return true;
  }
  return false;
}

function hasRecords(cpu: Cpu, lock: number): boolean {
  return isAnyHeld(cpu, maxThreads(cpu), lock);
}

export function writerOf(block: number): number {
  return block & ~FLAGS;
}

export const blockOf = (lock: number) => lock + PercpuWords.block;
export const listOf = (lock: number) => lock + PercpuWords.waiters;
export const latchOf = (lock: number) => listOf(lock) + WaitList.latch;

/** Enters as a reader if no writer is there; undefined when one is. With `joins`, even if it waits for readers to leave. */
export function tryDownRead(cpu: Cpu, lock: number, task: number, joins: boolean): Concluded | undefined {
  const record = claimHold(cpu, task, lock);
  if (record === 0) return 'exhausted';
  if (!joins) return readWith(cpu, blockOf(lock), record) ? 'acquired' : undefined;
  // Full, as in `readWith`: a writer that waits for this thread's other readers has to see this one when it sees that those left.
  cpu.xchg(record + Hold.count, cpu.read(record + Hold.count) + HELD);
  cpu.fetchAnd(blockOf(lock), ~ALONE);
  return 'acquired';
}

/** `tryDownRead` with a record of the lock. Whether it reads. */
function readWith(cpu: Cpu, block: number, record: number): boolean {
  const count = cpu.read(record + Hold.count);
  // Store buffering with a writer; see above. The acquire pairs with the releases in `releaseUnwatched` and `handOver`.
  cpu.xchg(record + Hold.count, count + HELD);
  if (writerOf(cpu.loadAcquire(block)) === 0) return true;
  retire(cpu, block, record, count);
  return false;
}

/** Leaves as a reader. False when `task` is none. */
export function upRead(cpu: Cpu, lock: number, task: number): boolean {
  const record = findHold(cpu, task, lock);
  if (record === 0 || cpu.read(record + Hold.count) === 0) return false;
  retire(cpu, blockOf(lock), record, cpu.read(record + Hold.count) - HELD);
  return true;
}

/** `block`: the address. */
export function retire(cpu: Cpu, block: number, record: number, count: number): void {
  // Store buffering with a writer; see above. The release pairs with the acquire in `isAnyHeld` (sched/holds.ts).
  cpu.xchg(record + Hold.count, count | TRANSIT);
  finishRetiring(cpu, cpu.loadDependent(block), record, count);
}

/** The record is in TRANSIT, and `word` is what the block was after that. */
export function finishRetiring(cpu: Cpu, word: number, record: number, count: number): void {
  // Illegal to clear TRANSIT before, for the thread that destroys the lock looks at it (`isBusy`).
  if (word & DRAINING) unpark(cpu, writerOf(word));
  cpu.storeUnordered(record + Hold.count, count);
}

/** Whether the reader that a writer saw last is inside. */
export function isReadStill(cpu: Cpu, lock: number): boolean {
  // In this order. Pairs with the stores in `isDrained`: it is the round of that record, or an older one, also for a thread that is not the
  // writer. Writers have them in order by the block.
  const since = cpu.loadAcquire(lock + PercpuWords.insideSince);
  const record = cpu.loadAcquire(lock + PercpuWords.inside);
  // A round that begins after this look waits for the calling thread, and so does the memory of the record.
  return record !== 0 && since === cpu.load(Header.round) && isHeld(cpu, record, lock, HELD);
}

/** Whether nobody reads. For the writer alone. */
function isDrained(cpu: Cpu, lock: number): boolean {
  if (isReadStill(cpu, lock)) return false;
  // Before the look. Pairs with `beginRound`: what was unlinked before a round that is known here is not found.
  const round = cpu.loadAcquire(Header.round);
  const record = findHeld(cpu, maxThreads(cpu), lock, HELD);
  if (record === 0) return true;
  // Illegal to have an older record beside a newer round, also where the writer dies in between. Pairs with the acquires in `isReadStill`.
  cpu.store(lock + PercpuWords.inside, 0);
  cpu.storeRelease(lock + PercpuWords.insideSince, round);
  cpu.storeRelease(lock + PercpuWords.inside, record);
  return false;
}

/** Writes if nobody reads, writes or could write. */
export function tryDownWrite(thread: Thread, lock: number, task: number): boolean {
  if (!claimBlock(thread.cpu, lock, task)) return false;
  if (settleBlock(thread.cpu, lock, task)) return true;
  upWrite(thread, lock, task);
  return false;
}

/** Becomes the writer that waits for readers to leave. */
export function claimBlock(cpu: Cpu, lock: number, task: number): boolean {
  const word = cpu.load(blockOf(lock));
  if (writerOf(word) !== 0) return false;
  // flags -> me|DRAINING|flags. Full: store buffering with a reader; the acquire pairs with the releases in `releaseUnwatched` and
  // `handOver`.
  return cpu.cmpxchg(blockOf(lock), word, word | task | DRAINING) === word;
}

/** Whether `task` is the writer and nobody reads any more; it has the lock then. */
export function settleBlock(cpu: Cpu, lock: number, task: number): boolean {
  const block = cpu.loadAcquire(blockOf(lock));
  if (writerOf(block) !== task) return false;
  // An acquire of the grant. The thread that made it the writer may still be taking it out of the list.
  if (cpu.loadAcquire(task + Task.list) === listOf(lock)) return false;
  if (!(block & ALONE) && !isDrained(cpu, lock)) return false;
  // me|DRAINING|flags -> me|flags. What the readers did is acquired by the look at their records, or by the look at the block.
  cpu.fetchAndAcquire(blockOf(lock), ~(DRAINING | ALONE));
  return true;
}

/** Releases the lock for the writer, whether the readers had left or not. */
export function upWrite(thread: Thread, lock: number, task: number): void {
  const { cpu, id } = thread;
  if (releaseUnwatched(cpu, lock)) return;
  latch(cpu, latchOf(lock), id);
  unlatchToNext(thread, lock, task);
}

/** The writer releases a lock that nobody waits for. False when somebody does. */
export function releaseUnwatched(cpu: Cpu, lock: number): boolean {
  const word = cpu.load(blockOf(lock));
  // me|flags -> OWNER_DIED, or 0. Pairs with the acquires in `readWith` and `claimBlock`.
  return !(word & WAITERS) && cpu.cmpxchgRelease(blockOf(lock), word, word & OWNER_DIED) === word;
}

/** The writer `task` hands over to those that wait. The latch is held, and free afterwards. */
export function unlatchToNext(thread: Thread, lock: number, task: number): void {
  const { cpu } = thread;
  const block = cpu.load(blockOf(lock));
  const woken = writerOf(block) === task ? handOver(cpu, lock, block, block & OWNER_DIED) : [];
  unlatch(cpu, latchOf(lock));
  thread.counters.handoffs += woken.length;
  for (const sleeper of woken) {
    thread.handsOver?.(lock, sleeper);
    unpark(cpu, sleeper);
  }
}

/**
 * Under the latch, for a writer that is done, or while there is none: lets in the readers in front of the next writer, and
 * makes that the writer. Passes those that cannot run. `from`: the block's word, in which the caller has seen that. Returns
 * the tasks to wake.
 */
export function handOver(cpu: Cpu, lock: number, from: number, died: number): number[] {
  const list = listOf(lock);
  const readers: number[] = [];
  let next = 0;
  let isOneLeft = false;
  // No farther than to the one behind the next writer: thousands may wait behind it, and each that gives up may come here.
  for (let task = firstWaiter(cpu, list); task !== 0; task = nextWaiter(cpu, list, task)) {
    if (next !== 0) {
      isOneLeft = true;
      break;
    }
    if (isStuck(cpu, task)) isOneLeft = true;
    else if (cpu.load(task + Task.want) === WRITE) next = task;
    else readers.push(task);
  }
  for (const task of readers) cpu.store(cpu.load(task + Grant.record) + Hold.count, HELD);
  // One that drains knows by ALONE that nobody reads, one that is inside by being there.
  const isAlone = readers.length === 0 && writerOf(from) !== 0 && (from & (DRAINING | ALONE)) !== DRAINING;
  const to = (next === 0 ? 0 : next | DRAINING | (isAlone ? ALONE : 0)) | (isOneLeft ? WAITERS : 0) | died;
  // me|flags -> next|DRAINING|flags, or flags. Full: store buffering with a reader, for the next writer. The release pairs with the
  // acquires in `readWith`, `claimBlock` and `settleBlock`.
  if (cpu.cmpxchg(blockOf(lock), from, to) !== from) {
    // There was no writer, and one came that does not wait for those that could not run: it hands over in its turn.
    for (const task of readers) retire(cpu, blockOf(lock), cpu.load(task + Grant.record), 0);
    return [];
  }
  const woken = next === 0 ? readers : [...readers, next];
  for (const task of woken) grant(cpu, lock, task);
  // Without a writer that hands over in its turn, those that were passed look themselves.
  return next === 0 ? [...woken, ...firstToCome(cpu, list)] : woken;
}

export function grant(cpu: Cpu, lock: number, task: number): void {
  // Pairs with the acquires in `isGranted` (wait.ts) and `settleBlock`. It decides; the task goes on once it is out of the list too.
  cpu.storeRelease(task + Grant.from, lock);
  leaveList(cpu, listOf(lock), task);
}

/** `handOver` if there is no writer, and somebody waits. Under the latch. */
export function serve(cpu: Cpu, lock: number): number[] {
  const block = cpu.load(blockOf(lock));
  return writerOf(block) === 0 && block & WAITERS ? handOver(cpu, lock, block, block & OWNER_DIED) : [];
}

/** The writer vouches for what the lock protects. */
export function makeConsistent(cpu: Cpu, lock: number): void {
  cpu.fetchAndRelaxed(blockOf(lock), ~OWNER_DIED);
}
