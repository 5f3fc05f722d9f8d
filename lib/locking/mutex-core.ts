/**
 * The mutex algorithm: kernel/locking/mutex.c, with owners that can die.
 *
 * Word `owner`: the owning task's address, and flags in its low bits:
 *
 *   flag        who sets it                  who clears it                    what it means
 *   WAITERS     waiter, under the latch      waiter or reaper, latch          the wait list may not be empty
 *   HANDOFF     the first waiter, once a     who hands over, or takes the     unlock must give the lock to the first
 *               wake-up was in vain          lock, or the reaper              waiter instead of letting it go
 *   PICKUP      unlock, under the latch      the task named                   the lock is given, not picked up yet
 *   OWNER_DIED  the reaper                   makeConsistent; unlock           an owner died inside
 *
 * With owner UNRECOVERABLE the lock is of no use any more: an owner that learned of OWNER_DIED let go without
 * makeConsistent.
 *
 *      lock, uncontended      0                  -> me                         acquire
 *      lock                   flags              -> me|flags                   acquire
 *      unlock, uncontended    me                 -> 0                          release
 *      unlock                 me|WAITERS         -> WAITERS, wake the first    release
 *      unlock with HANDOFF    me|WAITERS|HANDOFF -> first|WAITERS|PICKUP       release
 *      pick up                me|flags|PICKUP    -> me|flags                   acquire
 *      owner dies             x|flags            -> flags|OWNER_DIED
 *
 *   lockSlow:  try -> spin in the osq -> join the list -> [ try -> sleep -> try, or ask for the handoff, or spin ]*
 *
 * A thread that waits synchronously keeps its own asynchronous tasks from running, so it must never wait behind one of
 * them: it goes in front of them in the list, and takes over what has been handed to one.
 */
import type { Cpu } from '../machine/cpu.ts';
import { latch, unlatch } from '../memory/latch.ts';
import { ObjectHeader } from '../memory/objects.ts';
import { struct } from '../memory/struct.ts';
import type { SlowPath, Waiter } from '../sched/drive.ts';
import type { Repairer } from '../sched/reaper.ts';
import { ASYNC, finishPark, prepareToPark, Task, unpark } from '../sched/task.ts';
import type { Thread } from '../sched/thread.ts';
import {
  firstWaiter,
  joinList,
  joinListBefore,
  leaveList,
  rebuildList,
  WaitList,
  waiters,
} from '../sched/wait-list.ts';
import { osqLock, osqUnlock, repairOsq } from './osq.ts';

export const MutexWords = struct({
  header: ObjectHeader.words,
  owner: 1,
  waiters: WaitList.words,
  /** Tail of the queue of spinners. */
  osq: 1,
});

export const WAITERS = 1;
export const HANDOFF = 2;
export const PICKUP = 4;
export const OWNER_DIED = 8;
const FLAGS = 15;
/** No task's address: those are multiples of 32 behind the arena's header. */
export const UNRECOVERABLE = 16;

export type Outcome = 'acquired' | 'owner-died' | 'timed-out' | 'aborted' | 'deadlock' | 'unrecoverable';

/** The task that owns the lock, or 0. */
export function ownerOf(word: number): number {
  return word & ~FLAGS;
}

/**
 * One attempt for `task`. With `handoff` (only for the first waiter), a failure leaves HANDOFF behind, so that the
 * owner gives the lock away when it unlocks. `__mutex_trylock_common`.
 */
export function tryAcquire(cpu: Cpu, mutex: number, task: number, handoff: boolean): boolean {
  const address = mutex + MutexWords.owner;
  let word = cpu.load(address);
  for (;;) {
    const owner = word & ~FLAGS;
    const takes = owner === 0 || (owner === task && (word & PICKUP) !== 0);
    if (!takes && (!handoff || owner === UNRECOVERABLE || word & HANDOFF)) return false;
    const next = takes ? task | (word & FLAGS & ~(HANDOFF | PICKUP)) : word | HANDOFF;
    const seen = cpu.cmpxchgAcquire(address, word, next);
    if (seen === word) return takes;
    word = seen;
  }
}

const ownerChanged = (word: number, owner: number) => ownerOf(word) !== owner;
/** How many owners a spinner lets pass before it sleeps. */
const SPIN_OWNERS = 16;

/** Spins, one spinner at a time, while the owner keeps changing. `mutex_optimistic_spin`. */
function spin(thread: Thread, mutex: number, task: number, isFirst: boolean): boolean {
  const { cpu } = thread;
  const address = mutex + MutexWords.owner;
  // The first waiter does without the queue: those in it have to stand aside.
  if (!isFirst && !osqLock(thread, mutex + MutexWords.osq)) return false;
  let isMine = tryAcquire(cpu, mutex, task, false);
  for (let owners = 0; !isMine && owners < SPIN_OWNERS; owners++) {
    const owner = ownerOf(cpu.load(address));
    if (owner !== 0 && ownerOf(cpu.condLoad(address, ownerChanged, owner, thread.spins)) === owner) break;
    isMine = tryAcquire(cpu, mutex, task, false);
  }
  if (!isFirst) osqUnlock(thread, mutex + MutexWords.osq);
  return isMine;
}

/** Everything beyond the one compare-and-exchange of the fast path. */
export function* lockSlow(mutex: number, waiter: Waiter): SlowPath<Outcome> {
  const { thread, task } = waiter;
  const { cpu, id } = thread;
  thread.counters.contended++;
  if (tryAcquire(cpu, mutex, task, false)) return acquired(thread, mutex);
  const refusal = refuse(waiter, mutex);
  if (refusal !== undefined) return refusal;
  if (!waiter.async && spin(thread, mutex, task, false)) return acquired(thread, mutex);

  const list = mutex + MutexWords.waiters;
  const waitLock = list + WaitList.latch;
  latch(cpu, waitLock, id);
  enqueue(waiter, mutex);
  prepareToPark(cpu, task);
  let outcome: Outcome | undefined;
  let isFirst = false;
  let reason = 'woken';
  for (;;) {
    if (tryAcquire(cpu, mutex, task, isFirst) || (!waiter.async && takeOver(waiter, mutex))) break;
    outcome = refuse(waiter, mutex) ?? (waiter.aborted ? 'aborted' : reason === 'timed-out' ? 'timed-out' : undefined);
    if (outcome !== undefined) break;
    unlatch(cpu, waitLock);
    if (isFirst && !waiter.async && spin(thread, mutex, task, true)) {
      latch(cpu, waitLock, id);
      break;
    }
    reason = yield;
    latch(cpu, waitLock, id);
    isFirst = firstWaiter(cpu, list) === task;
    prepareToPark(cpu, task);
  }
  finishPark(cpu, task);
  dequeue(cpu, mutex, task);
  unlatch(cpu, waitLock);
  return outcome ?? acquired(thread, mutex);
}

/** What makes waiting pointless. */
function refuse({ thread, async }: Waiter, mutex: number): Outcome | undefined {
  const { cpu, id } = thread;
  const word = cpu.load(mutex + MutexWords.owner);
  const owner = ownerOf(word);
  if (owner === UNRECOVERABLE) return 'unrecoverable';
  if (!async && owner !== 0 && !(word & PICKUP) && cpu.load(owner + Task.thread) === id) return 'deadlock';
  return undefined;
}

function acquired(thread: Thread, mutex: number): Outcome {
  if (!(thread.cpu.load(mutex + MutexWords.owner) & OWNER_DIED)) return 'acquired';
  thread.counters.ownerDeaths++;
  return 'owner-died';
}

function enqueue({ thread, task, async }: Waiter, mutex: number): void {
  const { cpu, id } = thread;
  const list = mutex + MutexWords.waiters;
  const mine = async ? undefined : waiters(cpu, list).find((other) => cpu.load(other + Task.thread) === id);
  if (mine === undefined) joinList(cpu, list, mutex, task);
  else joinListBefore(cpu, list, mutex, task, mine);
  cpu.fetchOrRelaxed(mutex + MutexWords.owner, WAITERS);
}

function dequeue(cpu: Cpu, mutex: number, task: number): void {
  const isEmpty = leaveList(cpu, mutex + MutexWords.waiters, task);
  if (isEmpty) cpu.fetchAndRelaxed(mutex + MutexWords.owner, ~(WAITERS | HANDOFF));
}

/** A synchronous waiter takes what was handed to a task of its own thread, which cannot run while the thread waits. */
function takeOver({ thread, task }: Waiter, mutex: number): boolean {
  const { cpu, id } = thread;
  const address = mutex + MutexWords.owner;
  const word = cpu.load(address);
  const owner = ownerOf(word);
  if (!(word & PICKUP) || cpu.load(owner + Task.thread) !== id || cpu.load(owner + Task.mode) !== ASYNC) return false;
  return cpu.cmpxchgAcquire(address, word, task | (word & FLAGS & ~PICKUP)) === word;
}

/** Unlocks for the owner, when the fast path did not. `__mutex_unlock_slowpath`. */
export function unlockSlow(thread: Thread, mutex: number): void {
  const { cpu, id } = thread;
  const address = mutex + MutexWords.owner;
  let word = cpu.load(address);
  while (!(word & HANDOFF)) {
    const next = word & OWNER_DIED ? UNRECOVERABLE | (word & WAITERS) : word & FLAGS;
    const seen = cpu.cmpxchgRelease(address, word, next);
    if (seen === word) {
      if (word & WAITERS) break;
      return;
    }
    word = seen;
  }
  const list = mutex + MutexWords.waiters;
  latch(cpu, list + WaitList.latch, id);
  const first = firstWaiter(cpu, list);
  let wake = first === 0 ? [] : [first];
  if (word & OWNER_DIED) {
    if (word & HANDOFF) releaseUnrecoverable(cpu, address);
    wake = waiters(cpu, list);
  } else if (word & HANDOFF) {
    thread.counters.handoffs++;
    handOff(cpu, address, first);
  }
  unlatch(cpu, list + WaitList.latch);
  for (const sleeper of wake) unpark(cpu, sleeper);
}

/** Gives the lock to `heir`, or lets it go when the waiter that asked is gone. Under the latch. */
function handOff(cpu: Cpu, address: number, heir: number): void {
  let word = cpu.load(address);
  for (;;) {
    const next = heir === 0 ? 0 : heir | PICKUP | (word & WAITERS);
    const seen = cpu.cmpxchgRelease(address, word, next);
    if (seen === word) return;
    word = seen;
  }
}

function releaseUnrecoverable(cpu: Cpu, address: number): void {
  for (;;) {
    const word = cpu.load(address);
    if (cpu.cmpxchgRelease(address, word, UNRECOVERABLE | (word & WAITERS)) === word) return;
  }
}

/** The owner vouches for what the lock protects. */
export function makeConsistent(cpu: Cpu, mutex: number): void {
  cpu.fetchAndRelaxed(mutex + MutexWords.owner, ~OWNER_DIED);
}

/** After deaths: takes dead tasks out of the list, and the lock out of a dead owner's hands. */
export function repair(repairer: Repairer, mutex: number): boolean {
  const { cpu, isDead } = repairer;
  const isSettled = repairOsq(repairer, mutex + MutexWords.osq);
  const list = mutex + MutexWords.waiters;
  repairer.latch(list + WaitList.latch, () => rebuildList(repairer, list));
  for (const task of waiters(cpu, list)) {
    if (isDead(cpu.load(task + Task.thread))) dequeue(cpu, mutex, task);
  }
  const address = mutex + MutexWords.owner;
  for (;;) {
    const word = cpu.load(address);
    const owner = ownerOf(word);
    const ownerDied = owner !== 0 && owner !== UNRECOVERABLE && isDead(cpu.load(owner + Task.thread));
    let next = word & ~(WAITERS | HANDOFF);
    // A lock that was given, but not picked up, had nobody inside.
    if (ownerDied) next = word & PICKUP ? word & OWNER_DIED : OWNER_DIED;
    if (firstWaiter(cpu, list) !== 0) next |= word & HANDOFF && !ownerDied ? WAITERS | HANDOFF : WAITERS;
    if (cpu.cmpxchg(address, word, next) === word) break;
  }
  unlatch(cpu, list + WaitList.latch);
  return isSettled;
}
