/**
 * The semaphore algorithm, kernel/locking/semaphore.c, where `up` gives permits straight to who waits, first come first
 * served. What differs is that a semaphore nobody waits for is one word, changed by one compare-and-exchange, that
 * several permits can be taken at once, and that a waiter may be patient. `Completion` is the same with other names.
 * The words and their states are in `words.ts`, what happens after a death in `repair.ts`.
 *
 * A permit that is given to a thread which sleeps lies idle until that wakes up, and so do all permits in turn once there
 * is a queue (a lock convoy). So a patient waiter, who is next and could have its permits, is woken without them, and
 * others may take them on the fast path until it comes. If it comes in vain, it is not patient any more:
 *
 *   result    PATIENT -> WOKEN       by who gives permits      it is on its way; the word is not CONTENDED
 *             WOKEN   -> INSISTS     by itself                 it gets the permits as soon as there are enough
 *
 * Waiters that cannot run (`isStuck`) are passed. If all are, they are woken to look themselves, once they can.
 *
 * Asynchronous waiters insist: what comes before they run again is not known, and those behind them need not wait for it.
 *
 * A thread that waits synchronously keeps its own asynchronous tasks from running: it goes in front of them in the
 * list, and takes back what they were granted and have not picked up.
 */

import type { Cpu } from '../../machine/cpu.ts';
import { latch, tryLatchBriefly, unlatch } from '../../memory/latch.ts';
import { isPresent } from '../../memory/objects.ts';
import { Grant } from '../../sched/grant.ts';
import { claimHold, HELD, Hold } from '../../sched/holds.ts';
import { latched, type SlowPath, type Waiter } from '../../sched/slow-path.ts';
import { finishPark, prepareToPark, Task, unpark, unparkAll } from '../../sched/task.ts';
import type { Thread } from '../../sched/thread.ts';
import { firstAble, firstOfThread, firstToCome, joinList, leaveList, WaitList } from '../../sched/wait-list.ts';
import {
  BY_LATCH,
  CONTENDED,
  commit,
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

/** `result` of a waiting task: how it gets what it waits for. */
const INSISTS = 0;
const PATIENT = 1;
export const WOKEN = 2;

export type Outcome = 'acquired' | 'timed-out' | 'aborted' | 'full';

/** Takes the seat's permit for a guard of `task`, if that is vacant and nobody waits, without the latch. */
export function trySit(cpu: Cpu, semaphore: number, task: number): boolean {
  // Pairs with the release of `rise`.
  return cpu.cmpxchgAcquire(semaphore + SemaphoreWords.seat, VACANT, task) === VACANT;
}

/** Gives back what `trySit` or `tryAcquire` took to the seat. */
export function rise(thread: Thread, semaphore: number, task: number): void {
  const { cpu } = thread;
  const seat = semaphore + SemaphoreWords.seat;
  // Pairs with the acquire of `trySit`, and with the one who takes the permit out of the seat.
  if (cpu.cmpxchgRelease(seat, task, VACANT) === task) return;
  const more = giveBack(enterNow(thread, semaphore), 1);
  commit(cpu, semaphore, more, seat, EMPTY, 0);
  leave(thread, semaphore, more);
}

/** Takes permits if they are free and nobody waits, without the latch. */
export function tryDown(cpu: Cpu, semaphore: number, permits: number): boolean {
  const address = semaphore + SemaphoreWords.count;
  let word = cpu.load(address);
  while (!(word & CONTENDED) && word >> 1 >= permits) {
    // Pairs with the release of `up`, and of the one who granted last.
    const seen = cpu.cmpxchgAcquire(address, word, take(word >> 1, permits) * PERMIT);
    if (seen === word) return true;
    word = seen;
  }
  return false;
}

/** `tryDown` under the latch. */
export function tryDownLatched(thread: Thread, semaphore: number, permits: number): boolean {
  const free = enterNow(thread, semaphore);
  const takes = mayTake(thread.cpu, semaphore, free, permits);
  leave(thread, semaphore, takes ? take(free, permits) : free);
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
  // Whoever destroys the semaphore looks at the latch after the header, and this at the header after the latch.
  if (isPresent(cpu, semaphore) && mayTake(cpu, semaphore, free, permits)) {
    free = take(free, permits);
    const seat = semaphore + SemaphoreWords.seat;
    held = permits === 1 && cpu.load(seat) === EMPTY ? 'seat' : 'record';
    if (held === 'seat') commit(cpu, semaphore, free, seat, task | BY_LATCH, 0);
    else commit(cpu, semaphore, free, record + Hold.count, cpu.read(record + Hold.count) + permits * HELD, 0);
  }
  leave(thread, semaphore, free);
  return held;
}

/** Under the latch: whether so many are free, and nobody who waits is to have them. */
function mayTake(cpu: Cpu, semaphore: number, free: number, permits: number): boolean {
  const first = firstAble(cpu, semaphore + SemaphoreWords.waiters);
  return free >= permits && (first === 0 || cpu.load(first + Task.result) === WOKEN);
}

/** Waits in the list. With `recorded`, the permits are a guard's. Whoever is `patient` lets itself be passed once. */
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
  if (recorded && record === 0) return 'full';
  let free = yield* enter(waiter, semaphore);
  // First of all: those that line up again have to be behind this one.
  if (!async) free = takeBack(thread, semaphore, free);
  enqueue(waiter, semaphore, permits, record, patient);
  if (async) waiter.aside = { of: semaphore, pass: () => standAside(thread, semaphore) };
  prepareToPark(cpu, task);
  leave(thread, semaphore, free);
  let reason = 'woken';
  while (!isGranted(cpu, semaphore, task)) {
    if (waiter.aborted || reason === 'timed-out') {
      if (yield* cancel(waiter, semaphore)) return waiter.aborted ? 'aborted' : 'timed-out';
      break;
    }
    reason = yield;
    prepareToPark(cpu, task);
    if (!isGranted(cpu, semaphore, task)) yield* insist(waiter, semaphore);
  }
  finishPark(cpu, task);
  cpu.store(task + Grant.from, 0);
  return 'acquired';
}

/** Gives permits back, or new ones. False when there would be too many, or the semaphore is destroyed or was to be. */
export function up(thread: Thread, semaphore: number, permits: number): boolean {
  const { cpu } = thread;
  const address = semaphore + SemaphoreWords.count;
  for (let word = cpu.load(address); !(word & CONTENDED); ) {
    const more = give(word >> 1, permits);
    if (more === undefined) return false;
    // Pairs with the acquire of `tryDown`.
    const seen = cpu.cmpxchgRelease(address, word, more * PERMIT);
    if (seen === word) return true;
    word = seen;
  }
  const free = enterNow(thread, semaphore);
  // A word that fast paths may not change is also that of a semaphore that was destroyed (`close`): the word first, then the
  // header. Pairs with the exchange in `close`.
  cpu.rmb();
  const more = isPresent(cpu, semaphore) ? give(free, permits) : undefined;
  leave(thread, semaphore, more ?? free);
  return more !== undefined;
}

/** Gives back what a guard's record holds. */
export function upRecorded(thread: Thread, semaphore: number, permits: number, record: number): void {
  const { cpu } = thread;
  const more = giveBack(enterNow(thread, semaphore), permits);
  commit(cpu, semaphore, more, record + Hold.count, cpu.read(record + Hold.count) - permits * HELD, 0);
  leave(thread, semaphore, more);
}

/** Another waiter is first: grants it what there is. */
export function reordered(cpu: Cpu, semaphore: number, owner: number): void {
  latch(cpu, latchOf(semaphore), owner);
  unparkAll(cpu, exit(cpu, semaphore, freeze(cpu, semaphore)));
}

/** Sets the free permits, whatever they were. */
export function reset(thread: Thread, semaphore: number, permits: number): void {
  enterNow(thread, semaphore);
  leave(thread, semaphore, permits);
}

/** Takes the latch, and the word away from the fast paths. Returns the free permits. */
function enterNow({ cpu, id }: Thread, semaphore: number): number {
  latch(cpu, latchOf(semaphore), id);
  return freeze(cpu, semaphore);
}

/** The same in a slow path. */
function* enter(waiter: Waiter, semaphore: number): SlowPath<number> {
  yield* latched(waiter, latchOf(semaphore));
  return freeze(waiter.thread.cpu, semaphore);
}

/** Grants what there is, lets the latch go, and wakes. */
function leave({ cpu, counters, tracer }: Thread, semaphore: number, free: number): void {
  const woken = exit(cpu, semaphore, free);
  counters.handoffs += woken.length;
  for (const task of woken) {
    tracer?.handsOver(semaphore, task);
    unpark(cpu, task);
  }
}

/** Returns whom to wake. */
export function exit(cpu: Cpu, semaphore: number, permits: number): number[] {
  const list = semaphore + SemaphoreWords.waiters;
  const woken: number[] = [];
  let free = permits;
  let isOpen = false;
  let task = firstAble(cpu, list);
  for (; task !== 0 && free >= cpu.load(task + Task.want); task = firstAble(cpu, list)) {
    const how = cpu.load(task + Task.result);
    if (how !== WOKEN) woken.push(task);
    if (how !== INSISTS) {
      cpu.store(task + Task.result, WOKEN);
      isOpen = true;
      break;
    }
    free = take(free, cpu.load(task + Task.want));
    grant(cpu, semaphore, free, task);
  }
  // What is given from here on is not given under the latch: those that cannot run look themselves, once they can.
  if (task === 0) woken.push(...firstToCome(cpu, list));
  const isContended = (task !== 0 && !isOpen) || !isPresent(cpu, semaphore);
  // Pairs with the acquire of `tryDown`.
  cpu.storeRelease(semaphore + SemaphoreWords.count, free * PERMIT + (isContended ? CONTENDED : 0));
  const seat = semaphore + SemaphoreWords.seat;
  if (!isContended && cpu.load(seat) !== EMPTY) cpu.fetchAndRelaxed(seat, ~BY_LATCH);
  unlatch(cpu, list + WaitList.latch);
  return woken;
}

/** A waiter that was woken without its permits: takes them, or is not passed by any more while it can run. */
function* insist(waiter: Waiter, semaphore: number): SlowPath<void> {
  const { thread, task } = waiter;
  const free = yield* enter(waiter, semaphore);
  thread.cpu.store(task + Task.result, INSISTS);
  leave(thread, semaphore, free);
}

function grant(cpu: Cpu, semaphore: number, free: number, task: number): void {
  const record = cpu.load(task + Grant.record);
  const held = cpu.load(task + Task.want) * HELD;
  if (record === 0) commit(cpu, semaphore, free, 0, 0, task);
  else commit(cpu, semaphore, free, record + Hold.count, cpu.load(record + Hold.count) + held, task);
}

function isGranted(cpu: Cpu, semaphore: number, task: number): boolean {
  const list = semaphore + SemaphoreWords.waiters;
  return cpu.loadAcquire(task + Grant.from) === semaphore && cpu.loadAcquire(task + Task.list) !== list;
}

function enqueue(
  { thread, task, async }: Waiter,
  semaphore: number,
  permits: number,
  record: number,
  patient: boolean,
): void {
  const { cpu, id } = thread;
  const list = semaphore + SemaphoreWords.waiters;
  cpu.store(task + Task.result, patient ? PATIENT : INSISTS);
  cpu.store(task + Grant.from, 0);
  cpu.store(task + Task.want, permits);
  cpu.store(task + Grant.record, record);
  joinList(cpu, list, semaphore, task, async ? 0 : firstOfThread(cpu, list, id));
}

/** Takes `task` out of the list. False when it was granted its permits after all. */
function* cancel(waiter: Waiter, semaphore: number): SlowPath<boolean> {
  const { thread, task } = waiter;
  const { cpu } = thread;
  const list = semaphore + SemaphoreWords.waiters;
  const free = yield* enter(waiter, semaphore);
  const isWaiting = cpu.load(task + Task.list) === list;
  if (isWaiting) {
    leaveList(cpu, list, task);
    finishPark(cpu, task);
  }
  // Those behind may need less than it did.
  leave(thread, semaphore, free);
  return isWaiting;
}

/** The thread's asynchronous tasks, of which some may have been granted permits, cannot run. */
function standAside(thread: Thread, semaphore: number): void {
  leave(thread, semaphore, takeBack(thread, semaphore, enterNow(thread, semaphore)));
}

/** Takes back what the thread's own asynchronous tasks were granted and have not picked up; they line up again. */
function takeBack({ cpu, waiters: calls }: Thread, semaphore: number, permits: number): number {
  const list = semaphore + SemaphoreWords.waiters;
  let free = permits;
  for (const { task } of calls.values()) {
    if (cpu.load(task + Grant.from) !== semaphore || cpu.load(task + Task.list) === list) continue;
    const record = cpu.load(task + Grant.record);
    free = giveBack(free, cpu.load(task + Task.want));
    if (record === 0) {
      commit(cpu, semaphore, free, task + Grant.from, 0, 0);
    } else {
      commit(cpu, semaphore, free, record + Hold.count, 0, 0);
      cpu.store(task + Grant.from, 0);
    }
    joinList(cpu, list, semaphore, task);
  }
  return free;
}
