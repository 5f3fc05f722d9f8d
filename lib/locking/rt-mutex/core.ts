/**
 * The rt-mutex: kernel/locking/rtmutex.c, with owners that can die. Base of `RtMutex` and of `WwMutex`.
 *
 * Word `owner`: as in owner-word.ts, with the flags:
 *
 *   flag        who sets it                      who clears it              what it means
 *   WAITERS     who waits, before it looks       under the latch, when      locking and unlocking go by way of the latch
 *                                                nobody waits
 *   OWNER_DIED  the reaper                       makeConsistent; unlock     an owner died inside
 *   CTX         the owner, with an acquire       unlock                     the owner's stamp holds for this lock
 *               context (`ww-mutex.ts`)
 *
 *      lock, uncontended     0            -> me                     acquire
 *      unlock, uncontended   me           -> 0                      release
 *   and under the latch, with WAITERS set by whoever came first:
 *      lock                  0|flags      -> me|flags               the first waiter, or who is strictly more urgent, or, for a
 *                                                                   task of an event loop that does not come, who waits behind it
 *      unlock                me|WAITERS   -> WAITERS, and wake the first waiter
 *      owner dies            x|flags      -> WAITERS|OWNER_DIED, and wake the first waiter
 *
 * Next owner: the waiter that comes first by (priority, deadline, arrival); see `sched/priority.ts` for the latch,
 * for what the owner inherits, and for who inherits it. `task.rtMutex` says that the task is in the tree: written before
 * any link, cleared after the last. From these words the reaper makes all trees again (`repair.ts`).
 *
 * The first waiter of each lock that a thread holds is in the thread's topWaiters. So whatever changes the first waiter,
 * or the owner, goes: detachTop, change, attachTop, inherit. `inherit` walks the chain from there:
 *
 *   thread's priority changes -> its main task moves in the tree it waits in -> the first there changes -> next thread
 *
 * Source: Documentation/locking/rt-mutex-design.rst.
 */
import type { Cpu } from '../../machine/cpu.ts';
import { Header } from '../../memory/header.ts';
import { beginWaiting, hasWaitedFor, loseOffer, offerTo } from '../../sched/offer.ts';
import {
  adjustPriority,
  isMoreUrgent,
  latchPriorities,
  Priorities,
  RtWait,
  slotOf,
  tellCeiling,
  topTree,
  unlatchPriorities,
  waiterTree,
} from '../../sched/priority.ts';
import { Slot } from '../../sched/slot.ts';
import { latched, type Outcome, type SlowPath, type Waiter } from '../../sched/slow-path.ts';
import { ASYNC, finishPark, prepareToPark, Task, unparkAll, waitFor } from '../../sched/task.ts';
import type { Thread } from '../../sched/thread.ts';
import { putInOrder, type WakeQueue, wakeQueue, wakeQueued } from '../../sched/wake-queue.ts';
import { isOwned, OWNER_DIED, ownerOf, UNRECOVERABLE, WAITERS } from '../owner-word.ts';
import { closesCycle, syncBehind } from './cycle.ts';
import { CHAIN_LIMIT, type Contest, Contestant, CTX, RtWords } from './words.ts';

const isUnowned = (word: number) => ownerOf(word) === 0;

/**
 * Everything beyond the one compare-and-exchange of the fast path. When it ends with 'deadlock', `cycle` says who
 * waits for what: the lock, the thread that has it, the lock that this one waits for, and so on, back to this thread.
 */
export function* lockSlow(lock: number, waiter: Waiter, cycle: number[], contest?: Contest): SlowPath<Outcome> {
  const { thread, task } = waiter;
  const { cpu } = thread;
  const address = lock + RtWords.owner;
  thread.counters.contended++;
  // Spin while somebody has it.
  if (!waiter.async && !waiter.onlyTries && isUnowned(cpu.condLoad(address, isUnowned, 0, thread.spins))) {
    // 0 -> me: pairs with the release in unlockDeferred, and in `RtMutex.unlock`.
    if (cpu.cmpxchgAcquire(address, 0, task | (contest?.flag ?? 0)) === 0) return 'acquired';
  }
  let wakes = wakeQueue();
  yield* latched(waiter, Header.priorityLatch);
  // x -> x|WAITERS: from here on nobody locks or unlocks without the latch. The acquire pairs with the last unlock that did.
  cpu.fetchOrAcquire(address, WAITERS);
  let outcome: Outcome | undefined;
  let reason = 'woken';
  for (;;) {
    // Take it, or find out why not to wait.
    if (tryTake(thread, lock, task, !waiter.async, wakes, contest)) break;
    if (contest === undefined && takeFromLoop(waiter, lock, wakes)) break;
    outcome = refuse(waiter, lock, cycle, wakes, contest);
    if (waiter.aborted) outcome ??= 'aborted';
    else if (reason === 'timed-out') outcome ??= 'timed-out';
    if (outcome !== undefined) break;
    // Join the waiters, the first time round; the owner inherits.
    if (cpu.load(task + RtWait.mutex) === 0) {
      enqueue(cpu, lock, task, wakes, contest);
      // An older context comes in front of a waiter that was woken for a free lock, and would not be woken itself.
      if (ownerOf(cpu.load(address)) === 0) continue;
    }
    // Sleep. Under the latch it counts as asleep before an unlock can look for it.
    prepareToPark(cpu, task);
    unlatchPriorities(cpu);
    yield* wakeQueuedIn(waiter, wakes);
    reason = yield;
    wakes = wakeQueue();
    yield* latched(waiter, Header.priorityLatch);
  }
  finishPark(cpu, task);
  // Leave without it: what the owner inherited from this task is undone.
  if (outcome !== undefined) {
    if (cpu.load(task + RtWait.mutex) !== 0) leave(cpu, lock, task, wakes);
    else settleWaiters(cpu, lock);
  }
  const isDead = outcome === undefined && (cpu.load(address) & OWNER_DIED) !== 0;
  unlatchPriorities(cpu);
  yield* wakeQueuedIn(waiter, wakes);
  if (isDead) thread.counters.ownerDeaths++;
  return outcome ?? (isDead ? 'owner-died' : 'acquired');
}

/** `wakeQueued` in a slow path. */
function* wakeQueuedIn(waiter: Waiter, wakes: WakeQueue): SlowPath<void> {
  const { thread } = waiter;
  unparkAll(thread.cpu, wakes.wake);
  if (wakes.reorder.length === 0) return;
  yield* latched(waiter, Header.namesLatch);
  putInOrder(thread, wakes.reorder);
}

/** One attempt that neither waits nor leaves anything behind; takes a free lock from waiters that are less urgent. */
export function tryLock(thread: Thread, lock: number, task: number, contest?: Contest): boolean {
  tellCeiling(thread);
  const wakes = wakeQueue();
  const isTaken = tryLockDeferred(thread, lock, task, wakes, contest);
  wakeQueued(thread, wakes);
  return isTaken;
}

/** `tryLock` under other latches, which leaves the caller something to see to. */
export function tryLockDeferred(
  thread: Thread,
  lock: number,
  task: number,
  wakes: WakeQueue,
  contest?: Contest,
): boolean {
  const { cpu, id } = thread;
  const address = lock + RtWords.owner;
  // 0 -> me: pairs with the release in unlockDeferred, and in `RtMutex.unlock`.
  if (cpu.cmpxchgAcquire(address, 0, task | (contest?.flag ?? 0)) === 0) return true;
  if (ownerOf(cpu.load(address)) !== 0) return false;
  latchPriorities(cpu, id);
  // As in lockSlow.
  cpu.fetchOrAcquire(address, WAITERS);
  const isTaken = tryTake(thread, lock, task, true, wakes, contest);
  if (!isTaken) settleWaiters(cpu, lock);
  unlatchPriorities(cpu);
  return isTaken;
}

/**
 * `rt_mutex_start_proxy_lock`: `task`, which sleeps elsewhere, waits for this lock from now on. When it wakes it goes on
 * with `lockSlow`. False when it has to find out itself what is wrong: it would close a cycle. For callers under other
 * latches.
 */
export function enqueueSleeper({ cpu, id }: Thread, lock: number, task: number, wakes: WakeQueue): boolean {
  latchPriorities(cpu, id);
  // As in lockSlow.
  cpu.fetchOrAcquire(lock + RtWords.owner, WAITERS);
  const isSound = cpu.load(task + Task.mode) === ASYNC || !closesCycle(cpu, slotOf(cpu, task), lock, [], false);
  if (isSound) enqueue(cpu, lock, task, wakes);
  if (isSound && isUnowned(cpu.load(lock + RtWords.owner))) wakeTop(cpu, lock, wakes);
  settleWaiters(cpu, lock);
  unlatchPriorities(cpu);
  return isSound;
}

/** `try_to_take_rt_mutex`: under the latch, with WAITERS set. */
function tryTake(
  thread: Thread,
  lock: number,
  task: number,
  isSync: boolean,
  wakes: WakeQueue,
  contest?: Contest,
): boolean {
  const { cpu } = thread;
  if (ownerOf(cpu.load(lock + RtWords.owner)) !== 0) return false;
  const top = waiterTree.first(cpu, lock + RtWords.waiters);
  if (top !== 0 && top !== task && !goesFirst(cpu, task, top) && !(isSync && isOwnAsync(thread, top))) return false;
  take(cpu, lock, task, wakes, contest);
  return true;
}

/**
 * A synchronous waiter takes a free lock that is kept for a task of another thread's event loop, which has not come for it in its time
 * (`offer.ts`), or sees to it that it looks again. As `tryTake`. Not with an acquire context: whose turn it is these agree upon.
 */
function takeFromLoop(waiter: Waiter, lock: number, wakes: WakeQueue): boolean {
  const { thread, task, async } = waiter;
  const { cpu } = thread;
  const isFree = !async && ownerOf(cpu.load(lock + RtWords.owner)) === 0;
  const top = isFree ? waiterTree.first(cpu, lock + RtWords.waiters) : 0;
  const isOffered = top !== 0 && cpu.load(top + Task.mode) === ASYNC;
  if (isOffered && !hasWaitedFor(waiter, offerTo(cpu, top))) return false;
  waiter.lookAgain = undefined;
  if (!isOffered) return false;
  loseOffer(cpu, top);
  take(cpu, lock, task, wakes);
  return true;
}

/** Under the latch, with WAITERS set: a free lock. */
function take(cpu: Cpu, lock: number, task: number, wakes: WakeQueue, contest?: Contest): void {
  const address = lock + RtWords.owner;
  const root = lock + RtWords.waiters;
  const word = cpu.load(address);
  if (cpu.load(task + RtWait.mutex) === lock) dequeue(cpu, lock, task);
  const hasWaiters = cpu.read(root) !== 0;
  // 0|flags -> task|flags. Nobody else writes the word: WAITERS is set, and the latch is held, which orders this.
  cpu.store(address, task | (word & OWNER_DIED) | (contest?.flag ?? 0) | (hasWaiters ? WAITERS : 0));
  if (hasWaiters) {
    inherit(cpu, attachTop(cpu, lock), wakes);
    contest?.checkWaiters(waiterTree.nodes(cpu, root), wakes);
  }
}

/** `rt_mutex_steal`: strictly more urgent than the first waiter. */
function goesFirst(cpu: Cpu, task: number, top: number): boolean {
  const [priority, due] = [cpu.load(task + Task.priority), cpu.load(task + Task.due)];
  return isMoreUrgent(priority, due, cpu.read(top + Task.rank), cpu.read(top + RtWait.due));
}

/** A synchronous call does not wait behind a task of its own thread, which cannot run meanwhile. */
function isOwnAsync({ cpu, id }: Thread, task: number): boolean {
  return cpu.load(task + Task.thread) === id && cpu.load(task + Task.mode) === ASYNC;
}

/** What makes waiting pointless. */
function refuse(
  waiter: Waiter,
  lock: number,
  cycle: number[],
  wakes: WakeQueue,
  contest?: Contest,
): Outcome | undefined {
  const { cpu } = waiter.thread;
  const word = cpu.load(lock + RtWords.owner);
  if (ownerOf(word) === UNRECOVERABLE) return 'unrecoverable';
  if (contest?.checkKill(word, wakes)) return 'back-off';
  const isContest = contest?.flag === CTX;
  if (waiter.async || !closesCycle(cpu, waiter.thread.slot, lock, cycle, isContest)) return undefined;
  return isContest && contest.holds && cycle.length > 2 ? 'back-off' : 'deadlock';
}

/** `task_blocks_on_rt_mutex`. */
function enqueue(cpu: Cpu, lock: number, task: number, wakes: WakeQueue, contest?: Contest): void {
  const ticket = (cpu.read(lock + RtWords.ticket) + 1) | 0;
  cpu.write(lock + RtWords.ticket, ticket);
  detachTop(cpu, lock);
  cpu.write(task + Task.ticket, contest?.ticket ?? ticket);
  rank(cpu, task);
  cpu.store(task + Contestant.flag, contest?.flag ?? 0);
  beginWaiting(cpu, task);
  waitFor(cpu, task, lock);
  cpu.store(task + RtWait.mutex, lock);
  waiterTree.insert(cpu, lock + RtWords.waiters, task);
  inherit(cpu, attachTop(cpu, lock), wakes);
}

/**
 * The task's place in the tree follows its priority. Illegal to fail to do before each insertion: a thread that dies
 * between the store of a priority and the store of the rank leaves a rank that nothing stands for.
 */
export function rank(cpu: Cpu, task: number): void {
  cpu.write(task + Task.rank, cpu.load(task + Task.priority));
  cpu.write(task + RtWait.due, cpu.load(task + Task.due));
}

function dequeue(cpu: Cpu, lock: number, task: number): void {
  waiterTree.remove(cpu, lock + RtWords.waiters, task);
  cpu.store(task + Task.blockedOn, 0);
  cpu.store(task + RtWait.mutex, 0);
}

/** `remove_waiter`: the task goes without the lock. What its owner had inherited from it is undone. */
function leave(cpu: Cpu, lock: number, task: number, wakes: WakeQueue): void {
  detachTop(cpu, lock);
  dequeue(cpu, lock, task);
  inherit(cpu, attachTop(cpu, lock), wakes);
  // It may have been woken because the lock was free.
  if (ownerOf(cpu.load(lock + RtWords.owner)) === 0) wakeTop(cpu, lock, wakes);
  settleWaiters(cpu, lock);
}

/** `fixup_rt_mutex_waiters`. */
function settleWaiters(cpu: Cpu, lock: number): void {
  // x|WAITERS -> x. Release: pairs with the acquire of a fast path, which the latch does not order.
  if (cpu.read(lock + RtWords.waiters) === 0) cpu.fetchAndRelease(lock + RtWords.owner, ~WAITERS);
}

/** Takes the lock's first waiter out of its owner's topWaiters. */
export function detachTop(cpu: Cpu, lock: number): void {
  const word = cpu.load(lock + RtWords.owner);
  const top = waiterTree.first(cpu, lock + RtWords.waiters);
  if (isOwned(word) && top !== 0) topTree.remove(cpu, slotOf(cpu, ownerOf(word)) + Priorities.topWaiters, top);
}

/** Puts it there again. Returns the slot of the owner's thread, or 0. */
export function attachTop(cpu: Cpu, lock: number): number {
  const word = cpu.load(lock + RtWords.owner);
  if (!isOwned(word)) return 0;
  const slot = slotOf(cpu, ownerOf(word));
  const top = waiterTree.first(cpu, lock + RtWords.waiters);
  if (top !== 0) topTree.insert(cpu, slot + Priorities.topWaiters, top);
  return slot;
}

/** `rt_mutex_adjust_prio_chain`: the topWaiters of the thread with slot `first` (or 0) have changed. */
export function inherit(cpu: Cpu, first: number, wakes: WakeQueue): void {
  let slot = first;
  for (let depth = 0; slot !== 0 && depth < CHAIN_LIMIT && adjustPriority(cpu, slot); depth++) {
    const main = slot + Slot.mainTask;
    const lock = cpu.load(main + RtWait.mutex);
    if (lock === 0) {
      wakes.reorder.push(main);
      return;
    }
    const before = waiterTree.first(cpu, lock + RtWords.waiters);
    detachTop(cpu, lock);
    waiterTree.remove(cpu, lock + RtWords.waiters, main);
    rank(cpu, main);
    waiterTree.insert(cpu, lock + RtWords.waiters, main);
    slot = attachTop(cpu, lock);
    // The lock is free, and its old first waiter was woken. Another waiter is first now: wake it too.
    if (slot === 0 && waiterTree.first(cpu, lock + RtWords.waiters) !== before) wakeTop(cpu, lock, wakes);
  }
}

/**
 * Wakes the first waiter; and, if that is asynchronous, a synchronous one of its thread, which would take its place, and the first
 * synchronous one behind it, which looks after its event loop.
 */
function wakeTop(cpu: Cpu, lock: number, wakes: WakeQueue): void {
  const top = waiterTree.first(cpu, lock + RtWords.waiters);
  if (top === 0) return;
  wakes.wake.push(top);
  const main = slotOf(cpu, top) + Slot.mainTask;
  if (main !== top && cpu.load(main + RtWait.mutex) === lock) wakes.wake.push(main);
  const next = syncBehind(cpu, top);
  if (next !== top && next !== 0) wakes.wake.push(next);
}

/**
 * Unlocks for the owner, when the fast path did not. `rt_mutex_slowunlock`. What an earlier owner left in disorder makes
 * the lock useless, or with `isPassedOn` is for the next owner to learn.
 */
export function unlockSlow(thread: Thread, lock: number, isPassedOn = false): void {
  const wakes = wakeQueue();
  unlockDeferred(thread, lock, wakes, isPassedOn);
  wakeQueued(thread, wakes);
}

/**
 * `unlockSlow` under other latches, which leaves the caller something to see to. The store that releases is the last
 * access to the lock: its next owner may destroy it, and needs no latch for that when nobody waits.
 */
export function unlockDeferred({ cpu, id, slot }: Thread, lock: number, wakes: WakeQueue, isPassedOn = false): void {
  const address = lock + RtWords.owner;
  latchPriorities(cpu, id);
  const word = cpu.load(address);
  const flag = cpu.read(lock + RtWords.waiters) === 0 ? 0 : WAITERS;
  const isLost = (word & OWNER_DIED) !== 0 && !isPassedOn;
  detachTop(cpu, lock);
  inherit(cpu, slot, wakes);
  if (isLost) wakes.wake.push(...waiterTree.nodes(cpu, lock + RtWords.waiters));
  else wakeTop(cpu, lock, wakes);
  // me|WAITERS -> WAITERS, or me|OWNER_DIED -> UNRECOVERABLE. Release: pairs with the acquire of the next owner's fast path.
  cpu.storeRelease(address, isLost ? UNRECOVERABLE | flag : (word & OWNER_DIED) | flag);
  unlatchPriorities(cpu);
}
