/**
 * The mutex algorithm: kernel/locking/mutex.c, with owners that can die.
 *
 * Word `owner`: as in owner-word.ts, with the flags:
 *
 *   flag        who sets it                  who clears it                    what it means
 *   WAITERS     waiter, before it sleeps     unlock, which wakes the first;   the first waiter is asleep, or about to be:
 *                                            the last waiter, latch           unlock must wake it
 *   HANDOFF     the first waiter, once a     who hands over, or takes the     unlock must give the lock to the first
 *               wake-up was in vain          lock, or the reaper              waiter instead of releasing it
 *   PICKUP      unlock, under the latch      the task named                   the lock is given, not picked up yet
 *   OWNER_DIED  the reaper                   makeConsistent; unlock           an owner died inside
 *
 *      lock, uncontended      0                  -> me                         acquire
 *      lock                   flags              -> me|flags                   acquire
 *      unlock, uncontended    me                 -> 0                          release
 *      unlock, latch          me|WAITERS         -> 0, and wake the first      release
 *      unlock with HANDOFF    me|WAITERS|HANDOFF -> first|PICKUP, latch        release
 *      pick up                me|flags|PICKUP    -> me|flags                   acquire
 *      owner dies             x|flags            -> flags|OWNER_DIED
 *
 *   try, spin in the queue of spinners
 *     | held
 *   join the list
 *     |
 *   try, or leave the marks --- taken, or given up ------------> leave the list
 *     |                  ^                                        ^
 *     | held             '-- woken -- sleep <---.                 |
 *     |                                          | held           |
 *     '--> the first waiter, once it was woken in vain: spin -----'
 *
 * While a woken waiter is on its way, WAITERS is clear: others lock and unlock on the fast path, and wake nobody. It is
 * illegal to fail to set WAITERS when that waiter leaves the list, with or without the lock, and others stay; and when its
 * thread goes to sleep in a synchronous call, because then it is not on its way any more. It is illegal to
 * set either while nobody is in the list: unlock waits for the one that is about to leave it to clear them.
 *
 * "The first waiter" is the first that can run (`isStuck`).
 *
 * A thread that waits synchronously keeps its own asynchronous tasks from running, so it must never wait behind one of
 * them: it goes in front of them in the list, and takes over what has been handed to one. A task of another thread's event loop
 * runs when that gets round to it, so a synchronous waiter does not sleep for it alone (`offer.ts`): the first of them is woken beside it,
 * unless it stands behind more than 16 such tasks, and after a while takes over what the task has not picked up.
 */
import type { Cpu } from '../machine/cpu.ts';
import { latch, unlatch } from '../memory/latch.ts';
import type { Repairer } from '../memory/repairer.ts';
import { struct } from '../memory/struct.ts';
import { ALONE, contend, watching } from '../sched/contention.ts';
import { block, type Limits, type Waitable } from '../sched/drive.ts';
import { beginWaiting, hasWaitedFor, loseOffer, offerTo } from '../sched/offer.ts';
import { type Concluded, latched, type Outcome, type SlowPath, type Waiter } from '../sched/slow-path.ts';
import { ASYNC, finishPark, prepareToPark, Task, unparkAll } from '../sched/task.ts';
import type { Thread } from '../sched/thread.ts';
import {
  firstAble,
  firstBehindLoop,
  firstToCome,
  firstWaiter,
  isStuck,
  joinAhead,
  leaveList,
  rebuildList,
  WaitList,
  waiters,
} from '../sched/wait-list.ts';
import { osqLock, osqUnlock, repairOsq } from './osq.ts';
import { FLAGS, holderOf, isOwned, OWNER, OWNER_DIED, ownerOf, UNRECOVERABLE, WAITERS } from './owner-word.ts';

export const MutexWords = struct({
  header: OWNER,
  owner: 1,
  waiters: WaitList,
  /** Tail of the queue of spinners. */
  osq: 1,
});

export const HANDOFF = 2;
const PICKUP = 4;

/** Whether somebody holds the mutex, spins for it, or is in its list: perhaps on its way to take it, with an empty word. */
export function isBusy(cpu: Cpu, mutex: number): boolean {
  if (holderOf(cpu, mutex) !== 0 || cpu.load(mutex + MutexWords.osq) !== 0) return true;
  return cpu.load(mutex + MutexWords.waiters + WaitList.first) !== 0;
}

/** Whether nobody can have left anything in the mutex: its words are as they were when it was made. */
export function isIdle(cpu: Cpu, mutex: number): boolean {
  const list = mutex + MutexWords.waiters;
  if (cpu.load(mutex + MutexWords.owner) !== 0 || cpu.load(list + WaitList.latch) !== 0) return false;
  return cpu.load(list + WaitList.first) === 0 && cpu.load(mutex + MutexWords.osq) === 0;
}

/** Whether the mutex was handed to a task that has not picked it up: if that cannot, others have it. `Kind.isOnOffer`. */
export function isOnOffer(cpu: Cpu, mutex: number): boolean {
  return (cpu.load(mutex + MutexWords.owner) & PICKUP) !== 0;
}

/**
 * One attempt for `task`. A failure leaves `marks` behind in the word of a lock that is held. One cmpxchg either takes the
 * lock or sets the marks, so no unlock can come between. `__mutex_trylock_common`.
 *
 *   0|flags          -> task|flags          taken
 *   task|PICKUP|flags -> task|flags         what an unlock handed to this task is picked up
 *   owner|flags      -> owner|flags|marks   held
 */
export function tryAcquire(cpu: Cpu, mutex: number, task: number, marks: number): boolean {
  const address = mutex + MutexWords.owner;
  let word = cpu.load(address);
  for (;;) {
    const owner = ownerOf(word);
    const takes = owner === 0 || (owner === task && (word & PICKUP) !== 0);
    const next = takes ? task | (word & FLAGS & ~(HANDOFF | PICKUP)) : word | marks;
    if (next === word) return false;
    // Acquire: pairs with the release in `Mutex.unlock`, or in unlockSlow and releaseToWaiters.
    const seen = cpu.cmpxchgAcquire(address, word, next);
    if (seen === word) return takes;
    word = seen;
  }
}

const ownerChanged = (word: number, owner: number) => ownerOf(word) !== owner;
/** How many owners a spinner lets pass before it sleeps. */
const SPIN_OWNERS = 16;
/**
 * How long a spinner leaves a held lock alone before it looks again, ns. A cache line takes some 250 ns to change cores, as
 * long as a short section: without the pause each section pays for two transfers, with it the owner makes ten turns of its
 * own for each. A waiter who meets a lock that is seldom held pays with at most this.
 *
 * Measured on two and four cores of an idle Xeon, Node 20 and 24, throughput over that without a pause: 2 threads, empty
 * sections 2.3 to 3.3, 50:50 steps 1.1 to 1.4; 4 threads on 4 cores, 50:200 steps 1.4; sections of a microsecond 1.0; p99.9
 * of the waits the same. 0.5 us gains half of that; a pause before each look makes p99.9 ten times as long.
 */
const FIRST_PAUSE = 2200;

/** Spins, one spinner at a time, while the owner keeps changing. `mutex_optimistic_spin`. */
function spin(thread: Thread, mutex: number, task: number, isFirst: boolean): boolean {
  const { cpu } = thread;
  const address = mutex + MutexWords.owner;
  // One spinner at a time looks at the word. The first waiter does without the queue: the thread in front there stands aside.
  if (!isFirst && !osqLock(thread, mutex + MutexWords.osq)) return false;
  let isMine = tryAcquire(cpu, mutex, task, 0);
  // Not where one look is all there is: on a machine with one core the owner cannot go on meanwhile.
  if (!isMine && !isFirst && thread.spins > 1) cpu.ndelay(FIRST_PAUSE);
  for (let owners = 0; !isMine && owners < SPIN_OWNERS; owners++) {
    const owner = ownerOf(cpu.load(address));
    if (owner === UNRECOVERABLE) break;
    const isTaken = owner !== 0 && owner !== task;
    if (isTaken && ownerOf(cpu.condLoad(address, ownerChanged, owner, thread.spins)) === owner) break;
    isMine = tryAcquire(cpu, mutex, task, 0);
  }
  if (!isFirst) osqUnlock(thread, mutex + MutexWords.osq);
  return isMine;
}

/** What can be done without sleeping; undefined when that is not enough. `spins`: false for a call that only tries. */
export function lockSpinning(
  thread: Thread,
  mutex: number,
  task: number,
  async: boolean,
  spins: boolean,
): Concluded | undefined {
  thread.counters.contended++;
  if (tryAcquire(thread.cpu, mutex, task, 0)) return acquired(thread, mutex);
  const refusal = refuse(thread, mutex, async);
  if (refusal !== undefined) return refusal;
  return !async && spins && spin(thread, mutex, task, false) ? acquired(thread, mutex) : undefined;
}

/** Waits in the list, after lockSpinning. `__mutex_lock_common`. */
export function* lockSlow(mutex: number, waiter: Waiter): SlowPath<Outcome> {
  const { thread, task, async } = waiter;
  const { cpu } = thread;
  const list = mutex + MutexWords.waiters;
  // Get in line.
  yield* latched(waiter, list + WaitList.latch);
  joinAhead(waiter, mutex + MutexWords.waiters, mutex);
  if (async) {
    waiter.aside = { of: mutex, pass: () => standAside(thread, mutex) };
    beginWaiting(cpu, task);
  }
  let outcome: Outcome | undefined;
  let marks = WAITERS;
  for (let reason = 'woken'; ; ) {
    // The task counts as asleep before the marks are set: an unlock that finds them wakes it, whether it sleeps yet or not.
    prepareToPark(cpu, task);
    if (tryAcquire(cpu, mutex, task, marks) || (!async && takeOver(waiter, mutex))) break;
    outcome = giveUp(waiter, mutex, reason);
    if (outcome !== undefined) break;
    // Sleep. A first waiter that was woken in vain spins before: the lock comes to nobody else, so it is not long.
    unlatch(cpu, list + WaitList.latch);
    const spins = (marks & HANDOFF) !== 0 && !async;
    reason = spins && spin(thread, mutex, task, true) ? 'acquired' : yield;
    yield* latched(waiter, list + WaitList.latch);
    if (reason === 'acquired') break;
    // Woken in vain: from now on unlock hands the lock to this task instead of releasing it.
    if (firstAble(cpu, list) === task) marks = WAITERS | HANDOFF;
  }
  // Leave the line, with the lock or without.
  finishPark(cpu, task);
  dequeue(cpu, mutex, task);
  // It may have been the one that looks after a loop.
  const next = outcome === undefined ? [] : firstBehindLoop(cpu, list);
  unlatch(cpu, list + WaitList.latch);
  unparkAll(cpu, next);
  return outcome ?? acquired(thread, mutex);
}

/** Why a waiter that does not get the lock leaves, if it does. */
function giveUp({ thread, async, aborted }: Waiter, mutex: number, reason: string): Outcome | undefined {
  const refusal = refuse(thread, mutex, async);
  if (refusal !== undefined) return refusal;
  if (aborted) return 'aborted';
  return reason === 'timed-out' ? 'timed-out' : undefined;
}

/** What makes waiting pointless. */
function refuse({ cpu, id }: Thread, mutex: number, async: boolean): Concluded | undefined {
  // Acquire: pairs with the barrier in `TaskStore`, as the owner may be a task that was made a moment ago.
  const word = cpu.loadAcquire(mutex + MutexWords.owner);
  const owner = ownerOf(word);
  if (owner === UNRECOVERABLE) return 'unrecoverable';
  if (!async && owner !== 0 && !(word & PICKUP) && cpu.load(owner + Task.thread) === id) return 'deadlock';
  return undefined;
}

function acquired(thread: Thread, mutex: number): Concluded {
  if (!(thread.cpu.load(mutex + MutexWords.owner) & OWNER_DIED)) return 'acquired';
  thread.counters.ownerDeaths++;
  return 'owner-died';
}

/**
 * Takes `task` out of the list. It may have been the one on its way, for which WAITERS is clear, so WAITERS is set for those
 * that stay. There is no task to wake: this one leaves with the lock, or has just found it held, and the thread that releases
 * it takes the latch next and sees WAITERS.
 */
function dequeue(cpu: Cpu, mutex: number, task: number): void {
  const address = mutex + MutexWords.owner;
  if (leaveList(cpu, mutex + MutexWords.waiters, task)) cpu.fetchAndRelaxed(address, ~(WAITERS | HANDOFF));
  else cpu.fetchOrRelaxed(address, WAITERS);
}

/** The thread's asynchronous tasks in the list, of which one may be on its way or have been handed the lock, cannot run. */
function standAside(thread: Thread, mutex: number): void {
  const { cpu, id } = thread;
  const list = mutex + MutexWords.waiters;
  latch(cpu, list + WaitList.latch, id);
  const word = cpu.fetchOrRelaxed(mutex + MutexWords.owner, WAITERS);
  const isGiven = (word & PICKUP) !== 0 && isStuck(cpu, ownerOf(word));
  const woken = isGiven ? releaseToWaiters(thread, mutex, 0) : ownerOf(word) === 0 ? firstToCome(cpu, list) : [];
  unlatch(cpu, list + WaitList.latch);
  unparkAll(cpu, woken);
}

/**
 * A synchronous waiter takes what was handed to an asynchronous task, which picks it up in a turn of its event loop: at once where
 * that is its own thread's, which has no turn while the thread waits, and after a while where it is another's.
 */
function takeOver(waiter: Waiter, mutex: number): boolean {
  const { cpu, id } = waiter.thread;
  const address = mutex + MutexWords.owner;
  // Acquire: as in `refuse`.
  const word = cpu.loadAcquire(address);
  const owner = ownerOf(word);
  const isGiven = (word & PICKUP) !== 0 && cpu.load(owner + Task.mode) === ASYNC;
  if (!isGiven) {
    waiter.lookAgain = undefined;
    return false;
  }
  const isOther = cpu.load(owner + Task.thread) !== id;
  if (isOther && !hasWaitedFor(waiter, offerTo(cpu, owner))) return false;
  // other|PICKUP|flags -> task|flags. The acquire pairs with the release in releaseToWaiters.
  if (cpu.cmpxchgAcquire(address, word, waiter.task | (word & FLAGS & ~PICKUP)) !== word) return false;
  if (isOther) loseOffer(cpu, owner);
  return true;
}

/**
 * Waits for the lock of `object`, for the thread's synchronous code. Not a part of its callers: what its closures capture,
 * V8 would allocate in each call that finds the lock free.
 */
export function lockContended(
  thread: Thread,
  object: Waitable & { readonly address: number },
  task: number,
  limits: Limits,
): Concluded {
  const mutex = object.address;
  return contend(
    thread,
    mutex,
    ALONE,
    () =>
      lockSpinning(thread, mutex, task, false, limits.timeout !== 0) ??
      block(thread, limits, (waiter) => lockSlow(mutex, waiter), object),
  );
}

/**
 * Unlocks for the owner, when the fast path did not. `__mutex_unlock_slowpath`. The mutex may be destroyed as soon as it
 * is released, by the next owner. So the release is the last access, or it comes under the latch while somebody is in
 * the list, who cannot leave before the latch is free.
 */
export function unlockSlow(thread: Thread, mutex: number): void {
  const { cpu, id } = thread;
  const address = mutex + MutexWords.owner;
  const list = mutex + MutexWords.waiters;
  for (;;) {
    const word = cpu.load(address);
    const free = word & OWNER_DIED ? UNRECOVERABLE : 0;
    if (word & (WAITERS | HANDOFF | OWNER_DIED)) {
      // A thread that never waits learns here that somebody watches.
      watching(thread);
      latch(cpu, list + WaitList.latch, id);
      const woken = releaseToWaiters(thread, mutex, free);
      unlatch(cpu, list + WaitList.latch);
      unparkAll(cpu, woken);
      if (woken.length > 0) return;
    }
    // Nobody is in the list, so no flag of theirs is set; a thread that joins meanwhile sets one, and this fails.
    // me -> 0, or me|OWNER_DIED -> UNRECOVERABLE. The release pairs with the acquire in tryAcquire, and in `Mutex.lock`.
    const alone = word & ~(WAITERS | HANDOFF);
    if (cpu.cmpxchgRelease(address, alone, free) === alone) return;
  }
}

/**
 * Releases the mutex if anybody is in the list: me|WAITERS|HANDOFF -> successor|PICKUP, or me|WAITERS -> free. The release pairs
 * with the acquires in tryAcquire and takeOver. Returns the waiters to wake. Under the latch.
 */
function releaseToWaiters(thread: Thread, mutex: number, free: number): number[] {
  const { cpu, counters } = thread;
  const address = mutex + MutexWords.owner;
  const list = mutex + MutexWords.waiters;
  if (firstWaiter(cpu, list) === 0) return [];
  const successor = firstAble(cpu, list);
  // Under the latch nobody but this thread changes the word of a lock that it holds.
  const isHandedOver = free === 0 && successor !== 0 && (cpu.load(address) & HANDOFF) !== 0;
  if (isHandedOver) {
    counters.handoffs++;
    thread.handsOver?.(mutex, successor);
  }
  // me|flags -> successor|PICKUP, or -> free. What it pairs with is said above.
  cpu.storeRelease(address, isHandedOver ? successor | PICKUP : free);
  if (free === UNRECOVERABLE) return waiters(cpu, list);
  const woken = isHandedOver ? [successor] : firstToCome(cpu, list);
  return [...woken, ...firstBehindLoop(cpu, list).filter((task) => task !== woken[0])];
}

/** After deaths: takes dead tasks out of the list, and the lock out of a dead owner's hands. */
export function repair(repairer: Repairer, mutex: number): boolean {
  const { cpu, isDead } = repairer;
  const isSettled = repairOsq(repairer, mutex + MutexWords.osq);
  const list = mutex + MutexWords.waiters;
  if (!repairer.latch(list + WaitList.latch, () => rebuildList(repairer, list))) return false;
  for (const task of waiters(cpu, list)) {
    if (isDead(cpu.load(task + Task.thread))) leaveList(cpu, list, task);
  }
  const address = mutex + MutexWords.owner;
  for (;;) {
    // Acquire: pairs with the barrier in `TaskStore`.
    const word = cpu.loadAcquire(address);
    const ownerDied = isOwned(word) && isDead(cpu.load(ownerOf(word) + Task.thread));
    let next = word & ~(WAITERS | HANDOFF);
    // A lock that was given, but not picked up, had nobody inside.
    if (ownerDied) next = word & PICKUP ? word & OWNER_DIED : OWNER_DIED;
    if (firstWaiter(cpu, list) !== 0) next |= word & HANDOFF && !ownerDied ? WAITERS | HANDOFF : WAITERS;
    if (cpu.cmpxchg(address, word, next) === word) break;
  }
  unlatch(cpu, list + WaitList.latch);
  return isSettled;
}
