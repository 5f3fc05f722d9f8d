/**
 * How readers and writers wait for a PercpuRwSemaphore.
 *
 *   reader                                        writer
 *   record + 1, and look at the block             claim the block: 0 -> me|DRAINING <-- let readers in for 0.1 ms, 10 times
 *     | a writer is there: record - 1               | another writer is there      | claimed              | nobody waits
 *   spin until there is none                      spin until there is none         +--> spin until the readers have left -> writes
 *     |                                             |                              |                      | spun in vain
 *   join the list                                 join the list                    |                      |
 *     |                                             |                              |                      |
 *   sleep until granted ---> reads                sleep until made the writer -----+--> sleep until the readers have left
 *     | timeout, abort                              | timeout, abort                      |                   |
 *   leave the list, unless granted: reads         leave the list           hand over <----' timeout, abort    '--> writes
 *
 * Only synchronous code spins, and lets readers in again.
 *
 * A thread that waits synchronously keeps its own asynchronous tasks from running: it goes in front of them in the list,
 * takes back what they were granted and have not picked up, and takes the place of one that is the writer.
 */

import type { Cpu } from '../../machine/cpu.ts';
import { latch, unlatch } from '../../memory/latch.ts';
import { nap } from '../../sched/drive.ts';
import { expectGrant, Grant } from '../../sched/grant.ts';
import { claimHold, HELD, Hold, holdsOf } from '../../sched/holds.ts';
import { type Concluded, latched, type Outcome, type SlowPath, type Waiter } from '../../sched/slow-path.ts';
import { ASYNC, finishPark, prepareToPark, Task, unparkAll, waitFor } from '../../sched/task.ts';
import type { Thread } from '../../sched/thread.ts';
import { isStuck, joinAhead, joinList, leaveList } from '../../sched/wait-list.ts';
import {
  blockOf,
  CLOSED,
  claimBlock,
  DRAINING,
  FLAGS,
  handOver,
  latchOf,
  listOf,
  OWNER_DIED,
  PercpuWords,
  READ,
  releaseUnwatched,
  retire,
  serve,
  settleBlock,
  tryDownRead,
  tryDownWrite,
  unlatchToNext,
  WAITERS,
  WRITE,
  writerOf,
} from './core.ts';

/**
 * How often, and for how long, ns, a writer whose readers do not leave lets others in. Measured with 4 threads on 2 cores, where readers
 * are preempted inside, throughput over that without: 1.2 at 99.9 % reads, 6 to 7 at 95 %, 2 with sections of 3 us. Naps of 0.5 ms, and
 * 4 ms in all, gain no more; naps of 0 or 0.02 ms gain less.
 */
const NAPS = 10;
const NAP = 100e3;

/**
 * `upWrite` in a slow path: of a writer that stops waiting for readers to leave. False when it is not the writer: its
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

/** Whether the task was let in. The acquire pairs with the release in `grant` (core.ts). */
function isGranted(cpu: Cpu, lock: number, task: number): boolean {
  return cpu.loadAcquire(task + Grant.from) === lock && cpu.loadAcquire(task + Task.list) !== listOf(lock);
}

/** Reads without sleeping; undefined when that is not possible. */
export function readSpinning(
  thread: Thread,
  lock: number,
  task: number,
  async: boolean,
  spins: boolean,
): Concluded | undefined {
  const { cpu, id } = thread;
  // Beside a writer only a back-off would come of it, which that writer may have to wait for.
  const isClosed = !isUnwritten(cpu.load(blockOf(lock)));
  const tried = isClosed ? undefined : tryDownRead(cpu, lock, task, false);
  if (tried !== undefined || async) return tried;
  thread.counters.contended++;
  // Acquire, here and where else a thread looks at the writer: pairs with the barrier in `TaskStore`.
  const block = cpu.loadAcquire(blockOf(lock));
  const isOwn = writerOf(block) !== 0 && cpu.load(writerOf(block) + Task.thread) === id;
  if (isOwn && !(block & DRAINING)) return 'deadlock';
  if (mayJoin(thread, lock)) return tryDownRead(cpu, lock, task, true);
  if (!spins) return undefined;
  // The writer may be done sooner than this thread would fall asleep.
  const seen = cpu.condLoad(blockOf(lock), isUnwritten, 0, thread.spins);
  return isUnwritten(seen) ? tryDownRead(cpu, lock, task, false) : undefined;
}

/** Or never will be: a lock that was destroyed. */
const isUnwritten = (block: number) => writerOf(block) === 0 || writerOf(block) === CLOSED;
const isEmptied = (count: number) => count < HELD;

/** Whether the writer waits for this thread's readers, or cannot run before this thread goes on: not to be waited for. */
function mayJoin(thread: Thread, lock: number): boolean {
  const { cpu, id } = thread;
  const block = cpu.loadAcquire(blockOf(lock));
  const isOwn = (block & DRAINING) !== 0 && cpu.load(writerOf(block) + Task.thread) === id;
  return isOwn || readsHere(thread, lock, true);
}

/** Waits in the list for a grant, after readSpinning. */
export function* readSlow(lock: number, waiter: Waiter): SlowPath<Outcome> {
  const { thread, task, async } = waiter;
  const { cpu } = thread;
  const record = claimHold(cpu, task, lock);
  if (record === 0) return 'exhausted';
  for (;;) {
    yield* latched(waiter, latchOf(lock));
    // Join the list, unless the writer has left; or read along, where the thread's own tasks were granted something meanwhile.
    const joins = !async && mayJoin(thread, lock);
    const isWaiting = !joins && enqueue(waiter, lock, READ, record);
    unlatch(cpu, latchOf(lock));
    if (isWaiting) {
      if (async) waiter.aside = asideOf(thread, lock);
      break;
    }
    const tried = tryDownRead(cpu, lock, task, joins);
    if (tried !== undefined) return tried;
  }
  // Sleep until the grant.
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

/** Writes without sleeping; undefined when that is not possible. */
export function writeSpinning(
  thread: Thread,
  lock: number,
  task: number,
  async: boolean,
  spins: boolean,
): Concluded | undefined {
  const { cpu, id } = thread;
  thread.counters.contended++;
  if (async) return tryDownWrite(thread, lock, task) ? 'acquired' : undefined;
  const block = cpu.loadAcquire(blockOf(lock));
  const isOwn = writerOf(block) !== 0 && cpu.load(writerOf(block) + Task.thread) === id;
  if ((isOwn && !(block & DRAINING)) || readsHere(thread, lock, false)) return 'deadlock';
  // In a condition `block` may throw, for want of a task to stand in line meanwhile: illegal to be the writer then.
  const mayFail = thread.leaveQueue !== undefined;
  if (!spins || isOwn || mayFail) return tryDownWrite(thread, lock, task) ? 'acquired' : undefined;
  return claimSpinning(thread, lock, task) && drain(thread, lock, task) ? 'acquired' : undefined;
}

/** Becomes the writer, or spins first for another one, which may be done sooner than this thread would fall asleep. */
function claimSpinning({ cpu, spins }: Thread, lock: number, task: number): boolean {
  if (claimBlock(cpu, lock, task)) return true;
  return isUnwritten(cpu.condLoad(blockOf(lock), isUnwritten, 0, spins)) && claimBlock(cpu, lock, task);
}

/** The writer spins until the readers have left, as long as they do one after the other. It stays the writer if they do not. */
function drain(thread: Thread, lock: number, task: number): boolean {
  const { cpu } = thread;
  while (!settleBlock(cpu, lock, task)) {
    if (pendingTasks(thread, lock).length > 0) return false;
    // `settleBlock` has seen it in this very turn, so that its memory is not freed.
    const record = cpu.load(lock + PercpuWords.inside);
    if (!isEmptied(cpu.condLoad(record + Hold.count, isEmptied, 0, thread.spins))) return false;
  }
  return true;
}

/**
 * A writer that has spun in vain lets readers in again, unless somebody waits for it, and comes back a moment later: the reader that it
 * waits for may be preempted, and would keep out all others until it runs again. Another writer that comes in that moment goes first, and
 * this one lines up if that is still there: so it is passed NAPS times at most. Whether it has the lock then.
 */
function standBack(waiter: Waiter, lock: number): boolean {
  const { thread, task, deadline } = waiter;
  const { cpu } = thread;
  for (let naps = 0; naps < NAPS && writerOf(cpu.load(blockOf(lock))) === task; naps++) {
    if (!releaseUnwatched(cpu, lock)) return false;
    nap(waiter, NAP);
    if (deadline !== Number.POSITIVE_INFINITY && cpu.now() >= deadline) return false;
    if (claimSpinning(thread, lock, task) && drain(thread, lock, task)) return true;
  }
  return false;
}

/** Waits to be the writer, and then for readers to leave. */
export function* writeSlow(lock: number, waiter: Waiter): SlowPath<Outcome> {
  const { thread, task, async } = waiter;
  const { cpu } = thread;
  if (!async && !waiter.onlyTries && standBack(waiter, lock)) return 'acquired';
  // Become the writer, or join the list to be made it.
  yield* latched(waiter, latchOf(lock));
  expectGrant(cpu, task, WRITE, 0);
  // It may be the writer already, and have spun in vain.
  if (writerOf(cpu.load(blockOf(lock))) !== task && (async || !takeBlock(thread, lock, task))) {
    while (!enqueue(waiter, lock, WRITE, 0) && !claimBlock(cpu, lock, task));
  }
  // With this one in the list, enqueue has seen to it.
  if (async) waiter.aside = asideOf(thread, lock);
  else takeBack(thread, lock);
  unlatch(cpu, latchOf(lock));
  // Sleep until it is, and the readers have left. Store buffering with a reader in `retire`: see core.ts.
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
    retire(cpu, blockOf(lock), cpu.load(reader + Grant.record), 0);
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
  // writer|DRAINING|flags -> me|DRAINING|flags. Full, as `claimBlock`: store buffering with a reader. Nobody else changes the block
  // now: its writer cannot run, and waiters need the latch.
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
    // writer|flags -> writer|WAITERS|flags, or this fails: the writer has left. Pairs with the release in `releaseUnwatched`.
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
