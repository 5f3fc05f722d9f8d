/**
 * The reader-writer semaphore for much reading and little writing, kernel/locking/percpu-rwsem.c: a reader writes only
 * to a record of its own (`lib/sched/holds.ts`), a writer looks through the records of all threads.
 *
 * Word `block`: the writer's address, or 0, and
 *
 *   flag        who sets it               who clears it            what it means
 *   WAITERS     waiter, under the latch   who hands over, latch    the wait list is not empty
 *   DRAINING    the writer, or who        the writer               the writer waits for readers to leave
 *               made it the writer
 *   OWNER_DIED  the reaper                makeConsistent           a writer died inside
 *
 *      read          record + 1 (full); block names no writer (acquire)? else record - 1, and wait
 *      read unlock   record - 1, TRANSIT (full); if block is DRAINING, wake the writer; TRANSIT off
 *      write         block: 0 -> me|DRAINING (full); wait until all records are 0 (acquire); me|DRAINING -> me
 *      write unlock  block: me -> 0 (release)
 *                    me|WAITERS: let in the readers in front of the next writer; -> next|DRAINING, or 0; WAITERS stays
 *
 * Only those are let in, or made the writer, that can run (`isStuck`). So WAITERS may stay where nobody writes: the others
 * look themselves once they can run, and newcomers need not wait for them.
 *
 * Reader and writer each write their own word and then look at the other's, with a full barrier in between: so at least
 * one of them sees the other (store buffering).
 *
 * A record in TRANSIT is no reader's any more, but its thread is about to look at the block: the lock may not be destroyed
 * yet.
 *
 * A dead reader's record is set to 0 by the reaper; there is nothing else to find. A writer's name is in `block`.
 */

import type { Cpu } from '../machine/cpu.ts';
import { latch, unlatch } from '../memory/latch.ts';
import { ObjectHeader } from '../memory/objects.ts';
import type { Repairer } from '../memory/repairer.ts';
import { struct } from '../memory/struct.ts';
import { expectGrant, Grant } from '../sched/grant.ts';
import { claimHold, findHold, HELD, Hold, holdsOf, isAnyHeld, TRANSIT } from '../sched/holds.ts';
import { maxThreads } from '../sched/slot.ts';
import { latched, type Outcome, type SlowPath, type Waiter } from '../sched/slow-path.ts';
import { ASYNC, finishPark, prepareToPark, Task, unpark, unparkAll, waitFor } from '../sched/task.ts';
import type { Thread } from '../sched/thread.ts';
import {
  firstToCome,
  firstWaiter,
  isListBusy,
  isStuck,
  joinAhead,
  joinList,
  leaveList,
  nextWaiter,
  rebuildList,
  WaitList,
  waiters,
} from '../sched/wait-list.ts';
import { UNRECOVERABLE } from './owner-word.ts';

export const PercpuWords = struct({
  header: ObjectHeader,
  block: 1,
  waiters: WaitList,
});

export const WAITERS = 1;
export const DRAINING = 2;
export const OWNER_DIED = 4;
const FLAGS = 7;

const READ = 0;
const WRITE = 1;

/** In the writer's place of a lock that was destroyed; see UNRECOVERABLE in owner-word.ts. */
const CLOSED = UNRECOVERABLE;

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

function hasRecords(cpu: Cpu, lock: number): boolean {
  return isAnyHeld(cpu, maxThreads(cpu), lock);
}

export function writerOf(block: number): number {
  return block & ~FLAGS;
}

const blockOf = (lock: number) => lock + PercpuWords.block;
const listOf = (lock: number) => lock + PercpuWords.waiters;
const latchOf = (lock: number) => listOf(lock) + WaitList.latch;

/** Enters as a reader if no writer is there; undefined when one is. With `joins`, even if it waits for readers to leave. */
export function tryRead(cpu: Cpu, lock: number, task: number, joins: boolean): Outcome | undefined {
  const record = claimHold(cpu, task, lock);
  return record === 0 ? 'exhausted' : readWith(cpu, lock, record, joins);
}

/** `tryRead` with a record of the lock. */
export function readWith(cpu: Cpu, lock: number, record: number, joins: boolean): Outcome | undefined {
  const count = cpu.read(record + Hold.count);
  // Store buffering with a writer; see above. The acquire pairs with a writer's release of the block.
  cpu.xchg(record + Hold.count, count + HELD);
  if (joins || writerOf(cpu.loadAcquire(blockOf(lock))) === 0) return 'acquired';
  retire(cpu, lock, record, count);
  return undefined;
}

/** Leaves as a reader. False when `task` is none. */
export function leaveRead(cpu: Cpu, lock: number, task: number): boolean {
  const record = findHold(cpu, task, lock);
  return record !== 0 && leaveWith(cpu, lock, record);
}

/** `leaveRead` with a record of the lock. */
export function leaveWith(cpu: Cpu, lock: number, record: number): boolean {
  const count = cpu.read(record + Hold.count);
  if (count === 0) return false;
  retire(cpu, lock, record, count - HELD);
  return true;
}

function retire(cpu: Cpu, lock: number, record: number, count: number): void {
  // Store buffering with a writer, and a release that pairs with the acquire in isDrained.
  cpu.xchg(record + Hold.count, count | TRANSIT);
  // Acquire: illegal to clear TRANSIT earlier, for who destroys the lock looks at it (`isBusy`).
  const block = cpu.loadAcquire(blockOf(lock));
  if (block & DRAINING) unpark(cpu, writerOf(block));
  cpu.storeUnordered(record + Hold.count, count);
}

/** Whether nobody reads. */
function isDrained(cpu: Cpu, lock: number): boolean {
  return !isAnyHeld(cpu, maxThreads(cpu), lock, HELD);
}

/** Writes if nobody reads, writes or could write. */
export function tryWrite(thread: Thread, lock: number, task: number): boolean {
  if (!claimBlock(thread.cpu, lock, task)) return false;
  if (settleBlock(thread.cpu, lock, task)) return true;
  leaveWrite(thread, lock, task);
  return false;
}

/** Becomes the writer that waits for readers to leave. */
function claimBlock(cpu: Cpu, lock: number, task: number): boolean {
  const word = cpu.load(blockOf(lock));
  if (writerOf(word) !== 0) return false;
  return cpu.cmpxchg(blockOf(lock), word, word | task | DRAINING) === word;
}

/** Whether `task` is the writer and nobody reads any more; it has the lock then. */
function settleBlock(cpu: Cpu, lock: number, task: number): boolean {
  if (writerOf(cpu.loadAcquire(blockOf(lock))) !== task) return false;
  // Who made it the writer may still be taking it out of the list.
  if (cpu.loadAcquire(task + Task.list) === listOf(lock) || !isDrained(cpu, lock)) return false;
  cpu.fetchAndAcquire(blockOf(lock), ~DRAINING);
  return true;
}

/** Lets go for the writer, drained or not. */
export function leaveWrite(thread: Thread, lock: number, task: number): void {
  const { cpu, id } = thread;
  if (releaseUnwatched(cpu, lock)) return;
  latch(cpu, latchOf(lock), id);
  unlatchToNext(thread, lock, task);
}

/**
 * `leaveWrite` in a slow path: of a writer that stops waiting for readers to leave. False when it is not the writer: its
 * thread slept meanwhile, and it is in the list again.
 */
function* stopDraining(waiter: Waiter, lock: number): SlowPath<boolean> {
  const { thread, task } = waiter;
  const { cpu } = thread;
  if (releaseUnwatched(cpu, lock)) return true;
  yield* latched(waiter, latchOf(lock));
  const isWriter = writerOf(cpu.load(blockOf(lock))) === task;
  unlatchToNext(thread, lock, task);
  return isWriter;
}

/** The writer releases a lock that nobody waits for. False when somebody does. */
function releaseUnwatched(cpu: Cpu, lock: number): boolean {
  const word = cpu.load(blockOf(lock));
  // Pairs with the acquires of readers and writers.
  return !(word & WAITERS) && cpu.cmpxchgRelease(blockOf(lock), word, word & OWNER_DIED) === word;
}

/** The writer `task` hands over to those that wait. The latch is held, and free afterwards. */
function unlatchToNext(thread: Thread, lock: number, task: number): void {
  const { cpu } = thread;
  const block = cpu.load(blockOf(lock));
  const woken = writerOf(block) === task ? handOver(cpu, lock, block, block & OWNER_DIED) : [];
  unlatch(cpu, latchOf(lock));
  thread.counters.handoffs += woken.length;
  for (const sleeper of woken) {
    thread.tracer?.handsOver(lock, sleeper);
    unpark(cpu, sleeper);
  }
}

/**
 * Under the latch, for a writer that is done, or while there is none: lets in the readers in front of the next writer, and
 * makes that the writer. Passes those that cannot run. `from`: the block's word, in which the caller has seen that. Returns
 * whom to wake.
 */
function handOver(cpu: Cpu, lock: number, from: number, died: number): number[] {
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
  const to = (next === 0 ? 0 : next | DRAINING) | (isOneLeft ? WAITERS : 0) | died;
  // Full: the next writer's look at the records comes after. Its release pairs with the acquires of all who come next.
  if (cpu.cmpxchg(blockOf(lock), from, to) !== from) {
    // There was no writer, and one came that does not wait for those that could not run: it hands over in its turn.
    for (const task of readers) retire(cpu, lock, cpu.load(task + Grant.record), 0);
    return [];
  }
  const woken = next === 0 ? readers : [...readers, next];
  for (const task of woken) grant(cpu, lock, task);
  // Without a writer that hands over in its turn, those that were passed look themselves.
  return next === 0 ? [...woken, ...firstToCome(cpu, list)] : woken;
}

function grant(cpu: Cpu, lock: number, task: number): void {
  // Pairs with the acquire in isGranted. It decides; the task goes once it is out of the list too.
  cpu.storeRelease(task + Grant.from, lock);
  leaveList(cpu, listOf(lock), task);
}

function isGranted(cpu: Cpu, lock: number, task: number): boolean {
  return cpu.loadAcquire(task + Grant.from) === lock && cpu.loadAcquire(task + Task.list) !== listOf(lock);
}

/** Reads without sleeping; undefined when that is not possible. */
export function readAwake(thread: Thread, lock: number, task: number, async: boolean): Outcome | undefined {
  const { cpu, id } = thread;
  const tried = tryRead(cpu, lock, task, false);
  if (tried !== undefined || async) return tried;
  thread.counters.contended++;
  // Acquire, here and where else a thread looks at the writer: pairs with the barrier in `Thread.takeTask`.
  const block = cpu.loadAcquire(blockOf(lock));
  const isOwn = writerOf(block) !== 0 && cpu.load(writerOf(block) + Task.thread) === id;
  if (isOwn && !(block & DRAINING)) return 'deadlock';
  return mayJoin(thread, lock) ? tryRead(cpu, lock, task, true) : undefined;
}

/** Whether the writer waits for this thread's readers, or cannot run before this thread goes on: not to be waited for. */
function mayJoin(thread: Thread, lock: number): boolean {
  const { cpu, id } = thread;
  const block = cpu.loadAcquire(blockOf(lock));
  const isOwn = (block & DRAINING) !== 0 && cpu.load(writerOf(block) + Task.thread) === id;
  return isOwn || readsHere(thread, lock, true);
}

/** Waits in the list for a grant, after readAwake. */
export function* readAsleep(lock: number, waiter: Waiter): SlowPath<Outcome> {
  const { thread, task, async } = waiter;
  const { cpu } = thread;
  const record = claimHold(cpu, task, lock);
  if (record === 0) return 'exhausted';
  for (;;) {
    yield* latched(waiter, latchOf(lock));
    // The thread's own asynchronous tasks may have been granted something since readAwake looked.
    const joins = !async && mayJoin(thread, lock);
    const isWaiting = !joins && enqueue(waiter, lock, READ, record);
    unlatch(cpu, latchOf(lock));
    if (isWaiting) {
      if (async) waiter.aside = asideOf(thread, lock);
      break;
    }
    const tried = tryRead(cpu, lock, task, joins);
    if (tried !== undefined) return tried;
  }
  let reason = 'woken';
  for (;;) {
    prepareToPark(cpu, task);
    if (isGranted(cpu, lock, task)) break;
    if (waiter.aborted || reason === 'timed-out') {
      if (yield* cancel(waiter, lock)) return waiter.aborted ? 'aborted' : 'timed-out';
      break;
    }
    reason = yield;
    yield* serveFree(waiter, lock);
  }
  finishPark(cpu, task);
  cpu.store(task + Grant.from, 0);
  return 'acquired';
}

const asideOf = (thread: Thread, lock: number) => ({ of: lock, pass: () => standAside(thread, lock) });

/**
 * The thread's asynchronous tasks, of which some may have been let in, and one made the writer that waits for readers to
 * leave, cannot run.
 */
function standAside(thread: Thread, lock: number): void {
  const { cpu, id } = thread;
  latch(cpu, latchOf(lock), id);
  takeBack(thread, lock);
  const block = cpu.load(blockOf(lock));
  const writer = writerOf(block);
  const isOwn = (block & DRAINING) !== 0 && isStuck(cpu, writer) && cpu.load(writer + Task.thread) === id;
  if (isOwn) {
    cpu.store(writer + Grant.from, 0);
    lineUpAgain(cpu, lock, writer);
  }
  const woken = isOwn ? handOver(cpu, lock, cpu.load(blockOf(lock)), block & OWNER_DIED) : serve(cpu, lock);
  unlatch(cpu, latchOf(lock));
  unparkAll(cpu, woken);
}

/** A waiter that was passed while it could not run looks whether those in line may go on. */
function* serveFree(waiter: Waiter, lock: number): SlowPath<void> {
  const { cpu } = waiter.thread;
  if (writerOf(cpu.load(blockOf(lock))) !== 0) return;
  yield* latched(waiter, latchOf(lock));
  const woken = serve(cpu, lock);
  unlatch(cpu, latchOf(lock));
  unparkAll(cpu, woken);
}

/** `handOver` if there is no writer, and somebody waits. Under the latch. */
function serve(cpu: Cpu, lock: number): number[] {
  const block = cpu.load(blockOf(lock));
  return writerOf(block) === 0 && block & WAITERS ? handOver(cpu, lock, block, block & OWNER_DIED) : [];
}

/** Writes without sleeping; undefined when that is not possible. */
export function writeAwake(thread: Thread, lock: number, task: number, async: boolean): Outcome | undefined {
  const { cpu, id } = thread;
  thread.counters.contended++;
  if (!async) {
    const block = cpu.loadAcquire(blockOf(lock));
    const isOwn = writerOf(block) !== 0 && cpu.load(writerOf(block) + Task.thread) === id;
    if ((isOwn && !(block & DRAINING)) || readsHere(thread, lock, false)) return 'deadlock';
  }
  return tryWrite(thread, lock, task) ? 'acquired' : undefined;
}

/** Waits to be the writer, and then for readers to leave. */
export function* writeAsleep(lock: number, waiter: Waiter): SlowPath<Outcome> {
  const { thread, task, async } = waiter;
  const { cpu } = thread;
  yield* latched(waiter, latchOf(lock));
  if (async || !takeBlock(thread, lock, task)) {
    while (!enqueue(waiter, lock, WRITE, 0) && !claimBlock(cpu, lock, task));
  }
  // With this one in the list, enqueue has seen to it.
  if (async) waiter.aside = asideOf(thread, lock);
  else takeBack(thread, lock);
  unlatch(cpu, latchOf(lock));
  let reason = 'woken';
  for (;;) {
    prepareToPark(cpu, task);
    if (settleBlock(cpu, lock, task)) break;
    if (waiter.aborted || reason === 'timed-out') {
      finishPark(cpu, task);
      cpu.store(task + Task.blockedOn, 0);
      while (!(yield* cancel(waiter, lock)) && !(yield* stopDraining(waiter, lock)));
      cpu.store(task + Grant.from, 0);
      return waiter.aborted ? 'aborted' : 'timed-out';
    }
    // The list says so as well, until the task is the writer; from then on it waits for the readers to leave.
    waitFor(cpu, task, lock);
    reason = yield;
    yield* serveFree(waiter, lock);
  }
  finishPark(cpu, task);
  cpu.store(task + Task.blockedOn, 0);
  cpu.store(task + Grant.from, 0);
  return 'acquired';
}

/** The writer vouches for what the lock protects. */
export function makeConsistent(cpu: Cpu, lock: number): void {
  cpu.fetchAndRelaxed(blockOf(lock), ~OWNER_DIED);
}

export function repair(repairer: Repairer, lock: number): boolean {
  const { cpu, isDead, threads } = repairer;
  const list = listOf(lock);
  if (
    !repairer.latch(latchOf(lock), () => {
      rebuildList(repairer, list);
      const writer = writerOf(cpu.load(blockOf(lock)));
      for (const task of waiters(cpu, list)) {
        if (task === writer || cpu.load(task + Grant.from) === lock) grant(cpu, lock, task);
        else if (cpu.load(task + Task.want) === READ) cpu.store(cpu.load(task + Grant.record) + Hold.count, 0);
      }
    })
  )
    return false;
  for (const task of waiters(cpu, list)) {
    if (isDead(cpu.load(task + Task.thread))) leaveList(cpu, list, task);
  }
  for (const record of holdsOf(cpu, threads, lock, isDead)) cpu.storeRelease(record + Hold.count, 0);
  const block = cpu.load(blockOf(lock));
  const writer = writerOf(block);
  const writerDied = writer !== 0 && isDead(cpu.load(writer + Task.thread));
  const died = writerDied && !(block & DRAINING) ? OWNER_DIED : block & OWNER_DIED;
  const passes = writerDied || (writer === 0 && waiters(cpu, list).length > 0);
  const isNobody = writer === 0 || writer === CLOSED;
  const woken = passes ? handOver(cpu, lock, block, died) : isNobody ? [] : [writer];
  unlatch(cpu, latchOf(lock));
  unparkAll(cpu, woken);
  return true;
}

/** Whether a task of this thread reads; `pending` counts asynchronous ones that were let in and do not know yet. */
function readsHere(thread: Thread, lock: number, pending: boolean): boolean {
  const { cpu, id } = thread;
  const records = holdsOf(cpu, id, lock, (other) => other === id);
  if (pending) return records.length > 0;
  const unaware = pendingTasks(thread, lock).map((task) => cpu.load(task + Grant.record));
  return records.some((record) => !unaware.includes(record));
}

function pendingTasks({ cpu, waiters }: Thread, lock: number): number[] {
  const tasks = waiters.values().map(({ task }) => task);
  return tasks.filter((task) => isGranted(cpu, lock, task) && cpu.load(task + Task.want) === READ);
}

/** Under the latch: the thread's own asynchronous readers that were let in and do not know yet line up again. */
function takeBack(thread: Thread, lock: number): void {
  const { cpu } = thread;
  for (const reader of pendingTasks(thread, lock)) {
    retire(cpu, lock, cpu.load(reader + Grant.record), 0);
    cpu.store(reader + Grant.from, 0);
    lineUpAgain(cpu, lock, reader);
  }
}

/** Under the latch: `task` goes on for an asynchronous writer of its own thread that waits for readers to leave. */
function takeBlock({ cpu, id }: Thread, lock: number, task: number): boolean {
  const block = cpu.load(blockOf(lock));
  const writer = writerOf(block);
  if (!(block & DRAINING) || cpu.load(writer + Task.thread) !== id || cpu.load(writer + Task.mode) !== ASYNC)
    return false;
  cpu.store(writer + Grant.from, 0);
  // Nobody else changes the block now: its writer cannot run, and waiters need the latch.
  cpu.xchg(blockOf(lock), (block & FLAGS) | task);
  lineUpAgain(cpu, lock, writer);
  return true;
}

function lineUpAgain(cpu: Cpu, lock: number, task: number): void {
  joinList(cpu, listOf(lock), lock, task);
  cpu.fetchOr(blockOf(lock), WAITERS);
}

/** Under the latch: puts the task in the list behind a writer. False when there is none. */
function enqueue(waiter: Waiter, lock: number, want: number, record: number): boolean {
  const { thread, task, async } = waiter;
  const { cpu } = thread;
  // Also for a writer that need not wait yet: a synchronous one of its thread may send it back to the list.
  expectGrant(cpu, task, want, record);
  for (;;) {
    const word = cpu.load(blockOf(lock));
    if (writerOf(word) === 0) return false;
    if (cpu.cmpxchg(blockOf(lock), word, word | WAITERS) === word) break;
  }
  // First of all: those that line up again have to be behind this one.
  if (!async && want === WRITE) takeBack(thread, lock);
  joinAhead(waiter, listOf(lock), lock);
  return true;
}

/** Takes the task out of the list. False when it is not there: it was granted what it waits for. */
function* cancel(waiter: Waiter, lock: number): SlowPath<boolean> {
  const { task } = waiter;
  const { cpu } = waiter.thread;
  const list = listOf(lock);
  yield* latched(waiter, latchOf(lock));
  const isWaiting = cpu.load(task + Task.list) === list;
  if (isWaiting && leaveList(cpu, list, task)) cpu.fetchAnd(blockOf(lock), ~WAITERS);
  if (isWaiting) finishPark(cpu, task);
  // It may have been the one that was woken to look.
  const woken = isWaiting ? serve(cpu, lock) : [];
  unlatch(cpu, latchOf(lock));
  unparkAll(cpu, woken);
  return isWaiting;
}
