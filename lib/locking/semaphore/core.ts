/**
 * The semaphore algorithm, kernel/locking/semaphore.c, where `up` gives permits straight to who waits, first come first
 * served. What differs is that a semaphore nobody waits for is one word, changed by one compare-and-exchange, that
 * several permits can be taken at once, and that a waiter may be patient. `Completion` is the same with other names.
 * The words and their states are in `words.ts`, what happens after a death in `repair.ts`.
 *
 * A permit that is granted to a thread which sleeps lies idle until that thread wakes up. Once there is a queue, that happens
 * to every permit in turn: a lock convoy. So a synchronous waiter that is among the next, and could have its permits, is woken without
 * them the first time, and other threads may take them on the fast path until it comes. nsync calls such a waiter designated.
 * If it comes in vain, nothing of its is stolen again. Word `result` of a task that waits:
 *
 *   STEALABLE   -> DESIGNATED   by the thread that gives permits   the waiter is on its way; the word is not CONTENDED
 *   DESIGNATED  -> NO_STEAL     by the waiter                      it is granted its permits as soon as there are enough
 *
 * Waiters that cannot run (`isStuck`) are passed. If none can, all are woken to look themselves, once they can.
 *
 * Asynchronous waiters are NO_STEAL from the start: nobody knows when they run, and those behind them need not wait for it.
 *
 *   down   enough free, nobody waits ------------------------------------------------------> has its permits
 *            | else                                                                               ^
 *            v                                                                                    |
 *          in the list, asleep --- up, next in line, NO_STEAL: grant --------------------------> picks up
 *            |          ^    \                                                                     ^
 *            |          |     up, next in line, STEALABLE: woken without a grant, DESIGNATED      |
 *            |          +------ too few are left: NO_STEAL ------+------ enough are left ---------+
 *            +--- timeout, abort: out of the list, unless it was granted its permits meanwhile
 *
 * A thread that waits synchronously keeps its own asynchronous tasks from running: it goes in front of them in the
 * list, and takes back what they were granted and have not picked up. What other threads' tasks do not pick up in their time it takes
 * back as well (`loops.ts`).
 */

import type { Cpu } from '../../machine/cpu.ts';
import { latch, tryLatchBriefly, unlatch } from '../../memory/latch.ts';
import { isPresent } from '../../memory/objects.ts';
import { watching } from '../../sched/contention.ts';
import { expectGrant, Grant } from '../../sched/grant.ts';
import { claimHold, HELD, Hold } from '../../sched/holds.ts';
import { beginRound, beginWaiting } from '../../sched/offer.ts';
import { latched, type Outcome, type SlowPath, type Waiter } from '../../sched/slow-path.ts';
import { finishPark, prepareToPark, Task, unpark, unparkAll } from '../../sched/task.ts';
import type { Thread } from '../../sched/thread.ts';
import { firstAble, firstSync, firstToCome, joinAhead, leaveList, nextAble, WaitList } from '../../sched/wait-list.ts';
import { isGranted, isOffered, pickUp, takeBack, takeFromLoops } from './loops.ts';
import {
  BY_LATCH,
  CONTENDED,
  commitGrant,
  commitWord,
  EMPTY,
  freeze,
  give,
  giveBack,
  latchOf,
  PERMIT,
  SemaphoreWords,
  take,
  VACANT,
} from './words.ts';

/**
 * `result` of a waiting task. Illegal to leave a waiter DESIGNATED that has looked in vain: the word is not CONTENDED for it, so
 * nobody would ever grant it anything. Legal to be NO_STEAL at any time: it costs throughput only.
 */
const NO_STEAL = 0;
const STEALABLE = 1;
export const DESIGNATED = 2;

/** Takes the seat's permit for a guard of `task`, if that is vacant and nobody waits, without the latch. */
export function trySit(cpu: Cpu, semaphore: number, task: number): boolean {
  // VACANT -> me. Pairs with the release in `rise`.
  return cpu.cmpxchgAcquire(semaphore + SemaphoreWords.seat, VACANT, task) === VACANT;
}

/** Gives back what `trySit` or `tryAcquire` took to the seat. */
export function rise(thread: Thread, semaphore: number, task: number): void {
  const { cpu } = thread;
  const seat = semaphore + SemaphoreWords.seat;
  // me -> VACANT. Pairs with the acquires in `trySit` and, where the permit leaves the seat, in `freeze` (words.ts).
  if (cpu.cmpxchgRelease(seat, task, VACANT) === task) return;
  const more = giveBack(latchAndFreeze(thread, semaphore), 1);
  commitWord(cpu, semaphore, more, seat, EMPTY);
  grantUnlatchAndWake(thread, semaphore, more);
}

/** Takes permits if they are free and nobody waits, without the latch. */
export function tryDown(cpu: Cpu, semaphore: number, permits: number): boolean {
  const address = semaphore + SemaphoreWords.count;
  let word = cpu.load(address);
  while (!(word & CONTENDED) && word >> 1 >= permits) {
    // n -> n - permits. Pairs with the releases in `up` and `grantAndUnlatch`.
    const seen = cpu.cmpxchgAcquire(address, word, take(word >> 1, permits) * PERMIT);
    if (seen === word) return true;
    word = seen;
  }
  return false;
}

/** `tryDown` under the latch. */
export function tryDownLatched(thread: Thread, semaphore: number, permits: number): boolean {
  const free = latchAndFreeze(thread, semaphore);
  const takes = mayTake(thread.cpu, semaphore, free, permits);
  grantUnlatchAndWake(thread, semaphore, takes ? take(free, permits) : free);
  return takes;
}

/** How a guard holds its permits: in the seat, or in a record of its task. */
export type Held = 'seat' | 'record';

/**
 * `tryDownLatched` for a guard of `task`, which has `record` for the semaphore. On an event loop it fails where the latch is
 * not free.
 */
export function tryAcquire(
  thread: Thread,
  semaphore: number,
  permits: number,
  task: number,
  record: number,
  async = false,
): Held | undefined {
  const { cpu, id } = thread;
  if (!async) latch(cpu, latchOf(semaphore), id);
  else if (!tryLatchBriefly(cpu, latchOf(semaphore), id)) return undefined;
  let free = freeze(cpu, semaphore);
  let held: Held | undefined;
  // The latch was taken before, fully ordered; `destroy` (memory/object-store.ts) changes the header and then looks at the latch.
  // So either this call finds the semaphore destroyed, or `destroy` finds it busy.
  if (isPresent(cpu, semaphore) && mayTake(cpu, semaphore, free, permits)) {
    free = take(free, permits);
    const seat = semaphore + SemaphoreWords.seat;
    held = permits === 1 && cpu.load(seat) === EMPTY ? 'seat' : 'record';
    if (held === 'seat') commitWord(cpu, semaphore, free, seat, task | BY_LATCH);
    else commitWord(cpu, semaphore, free, record + Hold.count, cpu.read(record + Hold.count) + permits * HELD);
  }
  grantUnlatchAndWake(thread, semaphore, free);
  return held;
}

/** Under the latch: whether so many are free, and nobody who waits is to have them. */
function mayTake(cpu: Cpu, semaphore: number, free: number, permits: number): boolean {
  const first = firstAble(cpu, semaphore + SemaphoreWords.waiters);
  return free >= permits && (first === 0 || cpu.load(first + Task.result) === DESIGNATED);
}

/** Waits in the list. `recorded`: the permits are a guard's. `patient`: they may be stolen once while this task wakes up. */
export function* downSlow(
  semaphore: number,
  permits: number,
  recorded: boolean,
  waiter: Waiter,
  patient = false,
): SlowPath<Outcome> {
  const { thread, task, async } = waiter;
  const { cpu } = thread;
  thread.counters.contended++;
  const record = recorded ? claimHold(cpu, task, semaphore) : 0;
  if (recorded && record === 0) return 'exhausted';
  // Close the fast path. From here on every `up` comes under the latch, and finds this task in the list.
  let free = yield* latchAndFreezeIn(waiter, semaphore);
  // Take back what the thread's own asynchronous tasks have not picked up. First: they have to line up behind this task.
  if (!async) free = takeBackOwn(thread, semaphore, free);
  // Line up, and say SLEEPING before the latch is free: whoever grants from then on wakes this task.
  enqueue(waiter, semaphore, permits, record, patient);
  if (async) waiter.aside = { of: semaphore, pass: () => standAside(thread, semaphore) };
  prepareToPark(cpu, task);
  if (!async) free = takePastLoops(waiter, semaphore, free);
  grantUnlatchAndWake(thread, semaphore, free);
  // Sleep until the grant. A wake-up without one means: look whether enough permits are left, and insist on them.
  let reason = 'woken';
  while (!pickUp(cpu, semaphore, task)) {
    if (waiter.aborted || reason === 'timed-out') {
      if (yield* cancel(waiter, semaphore)) return waiter.aborted ? 'aborted' : 'timed-out';
      break;
    }
    reason = yield;
    prepareToPark(cpu, task);
    if (!isGranted(cpu, semaphore, task)) yield* insist(waiter, semaphore);
  }
  finishPark(cpu, task);
  return 'acquired';
}

/** Gives permits back, or new ones. False when there would be too many, or the semaphore is destroyed or was to be. */
export function up(thread: Thread, semaphore: number, permits: number): boolean {
  const { cpu } = thread;
  const address = semaphore + SemaphoreWords.count;
  for (let word = cpu.load(address); !(word & CONTENDED); ) {
    const more = give(word >> 1, permits);
    if (more === undefined) return false;
    // n -> n + permits. Pairs with the acquires in `tryDown` and `freeze` (words.ts).
    const seen = cpu.cmpxchgRelease(address, word, more * PERMIT);
    if (seen === word) return true;
    word = seen;
  }
  const free = latchAndFreeze(thread, semaphore);
  // A word that fast paths may not change is also that of a semaphore that was destroyed (`close`): the word first, then the
  // header. Pairs with the exchange in `close`.
  cpu.rmb();
  const more = isPresent(cpu, semaphore) ? give(free, permits) : undefined;
  grantUnlatchAndWake(thread, semaphore, more ?? free);
  return more !== undefined;
}

/** Gives back what a guard's record holds. */
export function upRecorded(thread: Thread, semaphore: number, permits: number, record: number): void {
  const { cpu } = thread;
  const more = giveBack(latchAndFreeze(thread, semaphore), permits);
  commitWord(cpu, semaphore, more, record + Hold.count, cpu.read(record + Hold.count) - permits * HELD);
  grantUnlatchAndWake(thread, semaphore, more);
}

/** Another waiter is first: grants it what there is. */
export function reordered(cpu: Cpu, semaphore: number, owner: number): void {
  latch(cpu, latchOf(semaphore), owner);
  unparkAll(cpu, grantAndUnlatch(cpu, semaphore, freeze(cpu, semaphore)));
}

/** Sets the free permits, whatever they were. */
export function reset(thread: Thread, semaphore: number, permits: number): void {
  latchAndFreeze(thread, semaphore);
  grantUnlatchAndWake(thread, semaphore, permits);
}

/** Takes the latch, and closes the fast paths. Returns the free permits. */
function latchAndFreeze({ cpu, id }: Thread, semaphore: number): number {
  latch(cpu, latchOf(semaphore), id);
  return freeze(cpu, semaphore);
}

/** The same in a slow path. */
function* latchAndFreezeIn(waiter: Waiter, semaphore: number): SlowPath<number> {
  yield* latched(waiter, latchOf(semaphore));
  return freeze(waiter.thread.cpu, semaphore);
}

/** Grants what there is, releases the latch, and wakes. `isLooked`: as for `grantAndUnlatch`. */
function grantUnlatchAndWake(thread: Thread, semaphore: number, free: number, isLooked = false): void {
  const { cpu, counters } = thread;
  const woken = grantAndUnlatch(cpu, semaphore, free, isLooked);
  // A thread that never waits learns here that somebody watches.
  if (woken.length > 0) watching(thread);
  counters.handoffs += woken.length;
  for (const task of woken) {
    thread.handsOver?.(semaphore, task);
    unpark(cpu, task);
  }
}

/**
 * Grants `permits` to the waiters that are next, or wakes them, in order and all for which there are enough: `up(6)` wakes six
 * that want one each. Opens the fast paths if none of them has to be kept safe from them, and
 * releases the latch. Returns whom to wake: one to look after event loops as well, where they are granted something, or `isLooked`, because
 * the one that did may be gone.
 */
export function grantAndUnlatch(cpu: Cpu, semaphore: number, permits: number, isLooked = false): number[] {
  const list = semaphore + SemaphoreWords.waiters;
  const woken: number[] = [];
  let free = permits;
  /** Of those, what is not meant for a waiter that is on its way. */
  let spare = permits;
  let isOpen = false;
  let task = firstAble(cpu, list);
  while (task !== 0 && spare >= cpu.load(task + Task.want)) {
    const want = cpu.load(task + Task.want);
    const how = cpu.load(task + Task.result);
    const next = nextAble(cpu, list, task);
    if (how !== DESIGNATED) woken.push(task);
    if (how === NO_STEAL) {
      free = take(free, want);
      grant(cpu, semaphore, free, task);
    } else {
      cpu.store(task + Task.result, DESIGNATED);
      isOpen = true;
    }
    spare = take(spare, want);
    task = next;
  }
  // What is given from here on is not given under the latch: those that cannot run look themselves, once they can.
  if (task === 0 && !isOpen) woken.push(...firstToCome(cpu, list));
  if ((woken.length > 0 || isLooked) && isOffered(cpu, semaphore)) woken.push(...firstSync(cpu, list));
  const isContended = (task !== 0 && !isOpen) || !isPresent(cpu, semaphore);
  // n|CONTENDED -> m, or m|CONTENDED. Pairs with the acquires in `tryDown` and `freeze` (words.ts).
  cpu.storeRelease(semaphore + SemaphoreWords.count, free * PERMIT + (isContended ? CONTENDED : 0));
  const seat = semaphore + SemaphoreWords.seat;
  if (!isContended && cpu.load(seat) !== EMPTY) cpu.fetchAndRelaxed(seat, ~BY_LATCH);
  unlatch(cpu, list + WaitList.latch);
  return woken;
}

/**
 * A waiter that was woken without its permits takes them, or is passed no more as long as it can run. One that was woken to look after
 * event loops takes what they have not come for.
 */
function* insist(waiter: Waiter, semaphore: number): SlowPath<void> {
  const { thread, task } = waiter;
  const { cpu } = thread;
  let free = yield* latchAndFreezeIn(waiter, semaphore);
  if (cpu.load(task + Task.result) === DESIGNATED) cpu.store(task + Task.result, NO_STEAL);
  if (!waiter.async && !isGranted(cpu, semaphore, task)) free = takePastLoops(waiter, semaphore, free);
  grantUnlatchAndWake(thread, semaphore, free);
}

/** Under the latch, for a synchronous waiter in line: as `takeFromLoops`, and grants the waiter its permits if it is next. */
function takePastLoops(waiter: Waiter, semaphore: number, permits: number): number {
  const { cpu } = waiter.thread;
  const { free, isNext } = takeFromLoops(waiter, semaphore, permits);
  if (!isNext) return free;
  const left = take(free, cpu.load(waiter.task + Task.want));
  grant(cpu, semaphore, left, waiter.task);
  return left;
}

function grant(cpu: Cpu, semaphore: number, free: number, task: number): void {
  const round = semaphore + SemaphoreWords.round;
  if (cpu.load(round) !== 0) beginRound(cpu, round, [task]);
  commitGrant(cpu, semaphore, free, task, cpu.load(task + Grant.record), cpu.load(task + Task.want));
}

function enqueue(waiter: Waiter, semaphore: number, permits: number, record: number, patient: boolean): void {
  const { thread, task } = waiter;
  thread.cpu.store(task + Task.result, patient ? STEALABLE : NO_STEAL);
  expectGrant(thread.cpu, task, permits, record);
  beginWaiting(thread.cpu, task);
  joinAhead(waiter, semaphore + SemaphoreWords.waiters, semaphore);
}

/** Takes `task` out of the list. False when it was granted its permits after all. */
function* cancel(waiter: Waiter, semaphore: number): SlowPath<boolean> {
  const { thread, task } = waiter;
  const { cpu } = thread;
  const list = semaphore + SemaphoreWords.waiters;
  const free = yield* latchAndFreezeIn(waiter, semaphore);
  const isWaiting = cpu.load(task + Task.list) === list;
  if (isWaiting) {
    leaveList(cpu, list, task);
    finishPark(cpu, task);
  } else {
    pickUp(cpu, semaphore, task);
  }
  // Those behind may need less than it did, and it may have been the one that looks after event loops.
  grantUnlatchAndWake(thread, semaphore, free, true);
  return isWaiting;
}

/** The thread's asynchronous tasks, of which some may have been granted permits, cannot run. */
function standAside(thread: Thread, semaphore: number): void {
  grantUnlatchAndWake(thread, semaphore, takeBackOwn(thread, semaphore, latchAndFreeze(thread, semaphore)));
}

/** Takes back what the thread's own asynchronous tasks were granted and have not picked up; they line up again. */
function takeBackOwn({ cpu, waiters: calls }: Thread, semaphore: number, permits: number): number {
  return takeBack(
    cpu,
    semaphore,
    permits,
    calls.values().map(({ task }) => task),
  );
}
