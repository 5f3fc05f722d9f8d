/**
 * The semaphore algorithm, kernel/locking/semaphore.c, where `up` gives permits straight to who waits, first come first
 * served. What differs is that a semaphore nobody waits for is one word, changed by one compare-and-exchange, that
 * several permits can be taken at once, and that a waiter may be patient. `Completion` is the same with other names.
 *
 * Word `count`: the free permits << 1, and
 *
 *   flag       who sets it        who clears it                        what it means
 *   CONTENDED  the latch holder   the latch holder, if nobody waits    only the latch holder may change the word
 *                                 that can run, or who is next is on
 *                                 its way
 *
 *      down, uncontended   n        -> n - 1              acquire
 *      up, uncontended     n        -> n + 1              release
 *      slow path           n        -> n|CONTENDED        acquire, under the latch
 *      slow path ends      n|CONTENDED -> m, or m|CONTENDED if anybody waits   release
 *
 * With all permits UNBOUNDED, taking and giving changes nothing.
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
 * A grant is `grant` of the waiting task = the semaphore, and the task's leaving the list. A thread may be killed
 * between the words that one step changes: the new count, the record of a guard, the grant. So each step is written to
 * a journal first, which the reaper carries out again when it finds the latch with a dead thread. What a record holds,
 * and a grant that nobody has picked up, the reaper gives back.
 *
 * A thread that waits synchronously keeps its own asynchronous tasks from running: it goes in front of them in the
 * list, and takes back what they were granted and have not picked up.
 */

import type { Cpu } from '../machine/cpu.ts';
import { latch, tryLatchBriefly, unlatch } from '../memory/latch.ts';
import { isPresent, ObjectHeader } from '../memory/objects.ts';
import type { Repairer } from '../memory/repairer.ts';
import { struct } from '../memory/struct.ts';
import { Grant } from '../sched/grant.ts';
import { claimHold, HELD, Hold, holdsOf } from '../sched/holds.ts';
import { asyncTasks, Slot, slotAddress } from '../sched/slot.ts';
import { latched, type SlowPath, type Waiter } from '../sched/slow-path.ts';
import { finishPark, prepareToPark, Task, unparkAll } from '../sched/task.ts';
import type { Thread } from '../sched/thread.ts';
import {
  firstAble,
  firstOfThread,
  firstToCome,
  joinList,
  leaveList,
  rebuildList,
  WaitList,
  waiters,
} from '../sched/wait-list.ts';

export const SemaphoreWords = struct({
  header: ObjectHeader,
  count: 1,
  waiters: WaitList,
  /** The journal, guarded by the latch: whether the rest is valid, */
  armed: 1,
  /** the free permits from now on, */
  permits: 1,
  /** a word that changes with them, or 0, and its value, */
  address: 1,
  value: 1,
  /** and the task that is granted its permits, or 0. */
  granted: 1,
  /** The permits that a semaphore was made with. Set once. */
  made: 1,
});

export const CONTENDED = 1;
/** One permit in `count`. */
export const PERMIT = 2;
export const UNBOUNDED = 2 ** 30 - 1;
/** The most free permits that a semaphore can have. */
export const MOST_PERMITS = UNBOUNDED - 1;

/** `result` of a waiting task: how it gets what it waits for. */
const INSISTS = 0;
const PATIENT = 1;
export const WOKEN = 2;

export type Outcome = 'acquired' | 'timed-out' | 'aborted' | 'full';

/**
 * For `Kind.close`: no permits, and nobody waits, but only the latch holder may change the word. Whoever gets the latch from
 * here on leaves it so (`exit`).
 */
export function close(cpu: Cpu, semaphore: number): boolean {
  for (;;) {
    const word = cpu.load(semaphore + SemaphoreWords.count);
    if (word & CONTENDED) return word === CONTENDED;
    if (cpu.cmpxchg(semaphore + SemaphoreWords.count, word, CONTENDED) === word) return true;
  }
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

/**
 * `tryDown` under the latch; with a record of it (0 for none), which makes the permits a guard's. On an event loop it fails
 * where the latch is not free.
 */
export function tryDownLatched(
  thread: Thread,
  semaphore: number,
  permits: number,
  record: number,
  async = false,
): boolean {
  const { cpu, id } = thread;
  if (!async) latch(cpu, latchOf(semaphore), id);
  else if (!tryLatchBriefly(cpu, latchOf(semaphore), id)) return false;
  const free = freeze(cpu, semaphore);
  const first = firstAble(cpu, semaphore + SemaphoreWords.waiters);
  const takes = free >= permits && (first === 0 || cpu.load(first + Task.result) === WOKEN);
  const left = takes ? take(free, permits) : free;
  if (takes && record !== 0) {
    commit(cpu, semaphore, left, record + Hold.count, cpu.read(record + Hold.count) + permits * HELD, 0);
  }
  leave(thread, semaphore, left);
  return takes;
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

/** After deaths: takes dead tasks out of the list, and gives back what they held with a guard or never picked up. */
export function repair(repairer: Repairer, semaphore: number): boolean {
  const { cpu, isDead, threads } = repairer;
  const list = semaphore + SemaphoreWords.waiters;
  if (
    !repairer.latch(list + WaitList.latch, () => {
      if (cpu.load(semaphore + SemaphoreWords.armed) !== 0) {
        const task = cpu.read(semaphore + SemaphoreWords.granted);
        apply(cpu, semaphore);
        if (task !== 0 && cpu.load(task + Task.list) === list) {
          cpu.storeRelease(task + Grant.from, semaphore);
          cpu.store(task + Task.list, 0);
        }
        cpu.store(semaphore + SemaphoreWords.armed, 0);
      }
      rebuildList(repairer, list);
    })
  )
    return false;
  let free = freeze(cpu, semaphore);
  for (const task of waiters(cpu, list)) {
    if (isDead(cpu.load(task + Task.thread))) leaveList(cpu, list, task);
  }
  for (const record of holdsOf(cpu, threads, semaphore, isDead)) {
    free = giveBack(free, cpu.read(record + Hold.count) >> 1);
    commit(cpu, semaphore, free, record + Hold.count, 0, 0);
  }
  for (let number = 0; number < threads; number++) {
    if (!isDead(number + 1)) continue;
    const slot = slotAddress(cpu, number);
    for (const task of [slot + Slot.mainTask, ...asyncTasks(cpu, slot)]) {
      if (cpu.load(task + Grant.from) !== semaphore) continue;
      if (cpu.load(task + Grant.record) === 0) free = giveBack(free, cpu.load(task + Task.want));
      commit(cpu, semaphore, free, task + Grant.from, 0, 0);
    }
  }
  unparkAll(cpu, exit(cpu, semaphore, free));
  return true;
}

function take(free: number, permits: number): number {
  return free === UNBOUNDED ? UNBOUNDED : free - permits;
}

/** The free permits with so many more; undefined when there would be more than MOST_PERMITS, which is no number of them. */
function give(free: number, permits: number): number | undefined {
  if (free === UNBOUNDED || permits === UNBOUNDED) return UNBOUNDED;
  return free + permits > MOST_PERMITS ? undefined : free + permits;
}

/** `give` of permits that were taken before: what others have given meanwhile may leave no room for all of them. */
function giveBack(free: number, permits: number): number {
  return give(free, permits) ?? MOST_PERMITS;
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

function latchOf(semaphore: number): number {
  return semaphore + SemaphoreWords.waiters + WaitList.latch;
}

function freeze(cpu: Cpu, semaphore: number): number {
  // Pairs with the release of `up`: who is granted permits has what came before their return.
  return cpu.fetchOrAcquire(semaphore + SemaphoreWords.count, CONTENDED) >> 1;
}

/** Grants what there is, lets the latch go, and wakes. */
function leave({ cpu, counters }: Thread, semaphore: number, free: number): void {
  const woken = exit(cpu, semaphore, free);
  counters.handoffs += woken.length;
  unparkAll(cpu, woken);
}

/** Returns whom to wake. */
function exit(cpu: Cpu, semaphore: number, permits: number): number[] {
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

/** One step: the free permits, the word at `address` (0 for none), and a grant to `task` (0 for none) change together. */
function commit(cpu: Cpu, semaphore: number, free: number, address: number, value: number, task: number): void {
  cpu.write(semaphore + SemaphoreWords.permits, free);
  cpu.write(semaphore + SemaphoreWords.address, address);
  cpu.write(semaphore + SemaphoreWords.value, value);
  cpu.write(semaphore + SemaphoreWords.granted, task);
  cpu.store(semaphore + SemaphoreWords.armed, 1);
  apply(cpu, semaphore);
  if (task !== 0) {
    // Pairs with the acquire in isGranted. It decides; the waiter goes once it is out of the list too.
    cpu.storeRelease(task + Grant.from, semaphore);
    leaveList(cpu, semaphore + SemaphoreWords.waiters, task);
  }
  cpu.store(semaphore + SemaphoreWords.armed, 0);
}

function apply(cpu: Cpu, semaphore: number): void {
  const address = cpu.read(semaphore + SemaphoreWords.address);
  if (address !== 0) cpu.store(address, cpu.read(semaphore + SemaphoreWords.value));
  cpu.store(semaphore + SemaphoreWords.count, cpu.read(semaphore + SemaphoreWords.permits) * PERMIT + CONTENDED);
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
