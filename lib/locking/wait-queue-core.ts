/**
 * The wait queue, kernel/sched/wait.c: tasks that sleep until a condition of their own holds, and wakers that make it
 * hold and then wake some.
 *
 *   sleeper                              waker
 *   joins the list, waiting + 1          makes the condition true
 *   state := SLEEPING (full)             full barrier
 *   looks at the condition               looks at `waiting`; takes waiters out of the list and wakes them
 *
 * So either the sleeper sees the condition or the waker sees the sleeper.
 *
 * The list: waiters that share a wake-up first, then exclusive ones in order of arrival. A waker takes out all of the
 * first kind and as many of the second as it was told to wake; `grant` of a task says that it was taken out. An
 * exclusive waiter that was taken out, and then gives up, finds that its condition throws, or cannot run because its thread
 * sleeps (`isStuck`), passes the wake-up on. One that cannot run already is taken out besides.
 *
 * A dead waiter leaves the list. Whatever wake-up died with it, or with a waker, every sleeper of the arena looks at its
 * condition again after a death.
 */

import type { Cpu } from '../machine/cpu.ts';
import { Heap } from '../memory/heap.ts';
import { latch, unlatch } from '../memory/latch.ts';
import { ObjectHeader } from '../memory/objects.ts';
import type { Repairer } from '../memory/repairer.ts';
import { struct } from '../memory/struct.ts';
import { Grant } from '../sched/grant.ts';
import { latched, type SlowPath, type Waiter } from '../sched/slow-path.ts';
import { endWait, finishPark, prepareToPark, Task, unparkAll } from '../sched/task.ts';
import type { Thread } from '../sched/thread.ts';
import { returnStandIn, takeStandIn } from '../sched/vector.ts';
import {
  firstWaiter,
  isStuck,
  joinList,
  joinListBefore,
  leaveList,
  nextWaiter,
  rebuildList,
  reorder,
  WaitList,
  waiters,
} from '../sched/wait-list.ts';

export const WaitQueueWords = struct({
  header: ObjectHeader,
  /** How many wait. Written under the latch. */
  waiting: 1,
  waiters: WaitList,
});

/** What a waiter wants: to be woken with all others, or alone. */
export const SHARED = 0;
export const EXCLUSIVE = 1;

export type Outcome = 'done' | 'timed-out' | 'aborted' | 'failed';

/** What a waiter owes to those behind it: the wake-up that it has had, unless its condition holds. */
interface Owed {
  wakeUp: boolean;
}

/** Sleeps until `condition` holds, or says 'failed'. `___wait_event`. */
export function* waitUntil(
  queue: number,
  want: number,
  condition: () => boolean | 'failed',
  waiter: Waiter,
): SlowPath<Outcome> {
  const { thread, task } = waiter;
  const { cpu } = thread;
  const owed: Owed = { wakeUp: false };
  let reason = 'woken';
  for (let isFirstLook = true; ; isFirstLook = false) {
    const givesUp = waiter.aborted || reason === 'timed-out';
    // A waiter that has to join again was taken out, so it has had a wake-up; that is spent once it sleeps again.
    owed.wakeUp = !givesUp && (yield* prepareToWait(waiter, queue, want, owed)) && !isFirstLook;
    const place = new Place(waiter, queue);
    const state = place.look(condition);
    if (state !== false || givesUp) {
      finishPark(cpu, task);
      yield* leave(waiter, queue, place.task, state === true, owed);
      place.end();
      if (state === 'failed') return 'failed';
      return state ? 'done' : waiter.aborted ? 'aborted' : 'timed-out';
    }
    place.takeBack();
    owed.wakeUp = false;
    reason = yield;
  }
}

/**
 * A waiter's place in the list while its condition runs. A synchronous condition may wait for something itself, a lock
 * for instance. That is the main task's to do, and it is in one list at most: so from then on another task of the
 * thread stands in its place, until the condition has come to its end. `wait_woken` is the kernel's answer.
 */
class Place {
  readonly #waiter: Waiter;
  readonly #queue: number;
  /** The task that is in the list, or was taken out of it. */
  task: number;

  constructor(waiter: Waiter, queue: number) {
    this.#waiter = waiter;
    this.#queue = queue;
    this.task = waiter.task;
  }

  look(condition: () => boolean | 'failed'): boolean | 'failed' {
    const { thread, async } = this.#waiter;
    if (async) return condition();
    const { leaveQueue } = thread;
    thread.leaveQueue = () => {
      thread.leaveQueue = leaveQueue;
      this.#passTo(takeStandIn(thread, new Heap(thread.cpu, thread.id)));
    };
    try {
      return condition();
    } finally {
      thread.leaveQueue = leaveQueue;
    }
  }

  /** The waiter is in its place again and SLEEPING; or, when that was woken meanwhile, RUNNING: then it looks again. */
  takeBack(): void {
    const { task } = this.#waiter;
    const standIn = this.task;
    if (standIn === task) return;
    this.#passTo(task);
    this.#giveBack(standIn);
    // It has the stand-in's place, and may have inherited a priority since that took it. The queue stays: the task is within it.
    const { cpu, id } = this.#waiter.thread;
    reorder(cpu, task, id);
  }

  /** The waiter has left the list. */
  end(): void {
    if (this.task !== this.#waiter.task) this.#giveBack(this.task);
  }

  /** `task` takes the place of whoever has it now, if that was not taken out. */
  #passTo(task: number): void {
    const { cpu, id } = this.#waiter.thread;
    const list = this.#queue + WaitQueueWords.waiters;
    const before = this.task;
    // Illegal to be 0 for both at any time: the queue might be destroyed.
    cpu.store(task + Task.within, this.#queue);
    cpu.store(task + Task.want, cpu.load(before + Task.want));
    latch(cpu, list + WaitList.latch, id);
    if (cpu.load(before + Task.list) === list) {
      cpu.store(task + Grant.from, 0);
      joinListBefore(cpu, list, this.#queue, task, before);
      leaveList(cpu, list, before);
      prepareToPark(cpu, task);
    }
    unlatch(cpu, list + WaitList.latch);
    this.task = task;
  }

  #giveBack(standIn: number): void {
    const { thread } = this.#waiter;
    endWait(thread.cpu, standIn);
    returnStandIn(thread, standIn);
  }
}

/** Wakes all that share, and up to `count` of the exclusive ones. Returns how many it woke. `__wake_up`. */
export function wakeUp(thread: Thread, queue: number, count: number): number {
  const { cpu, id } = thread;
  // Pairs with the exchange in prepareToPark: the condition before, the waiters after.
  cpu.mb();
  if (cpu.load(queue + WaitQueueWords.waiting) === 0) return 0;
  latch(cpu, queue + WaitQueueWords.waiters + WaitList.latch, id);
  return unlatchAndWake(cpu, queue, count);
}

/** `wakeUp` in a slow path. */
function* wakeUpIn(waiter: Waiter, queue: number, count: number): SlowPath<void> {
  const { cpu } = waiter.thread;
  // Pairs as in `wakeUp`.
  cpu.mb();
  if (cpu.load(queue + WaitQueueWords.waiting) === 0) return;
  yield* latched(waiter, queue + WaitQueueWords.waiters + WaitList.latch);
  unlatchAndWake(cpu, queue, count);
}

/** The latch is held, and free afterwards. */
function unlatchAndWake(cpu: Cpu, queue: number, count: number): number {
  const list = queue + WaitQueueWords.waiters;
  const chosen: number[] = [];
  let exclusive = 0;
  for (const task of waiters(cpu, list)) {
    if (cpu.load(task + Task.want) === EXCLUSIVE) {
      if (exclusive >= count) continue;
      if (!isStuck(cpu, task)) exclusive++;
    }
    chosen.push(task);
    takeOut(cpu, queue, task);
  }
  unlatch(cpu, list + WaitList.latch);
  unparkAll(cpu, chosen);
  return chosen.length;
}

/**
 * The task, an exclusive waiter, cannot run: if it has been woken, another is woken in its place. Once for each wake-up: it
 * may be woken again before it runs.
 */
function standAside({ thread, task }: Waiter, queue: number, owed: Owed): void {
  const { cpu, id } = thread;
  const latchAt = queue + WaitQueueWords.waiters + WaitList.latch;
  // Under the latch: whoever takes it out later finds that it cannot run.
  latch(cpu, latchAt, id);
  const isWoken = owed.wakeUp || cpu.load(task + Grant.from) === queue;
  cpu.store(task + Grant.from, 0);
  unlatch(cpu, latchAt);
  owed.wakeUp = false;
  if (isWoken) wakeUp(thread, queue, 1);
}

export function repair(repairer: Repairer, queue: number): boolean {
  const { cpu, isDead } = repairer;
  const list = queue + WaitQueueWords.waiters;
  if (!repairer.latch(list + WaitList.latch, () => rebuildList(repairer, list))) return false;
  for (const task of waiters(cpu, list)) {
    // One that a dead waker was taking out may say no more what it waits for: it is woken, as it was to be.
    const isTakenOut = cpu.load(task + Grant.from) === queue;
    if (isTakenOut || isDead(cpu.load(task + Task.thread))) leaveList(cpu, list, task);
  }
  cpu.store(queue + WaitQueueWords.waiting, waiters(cpu, list).length);
  unlatch(cpu, list + WaitList.latch);
  return true;
}

/** Under the latch. */
function takeOut(cpu: Cpu, queue: number, task: number): void {
  cpu.store(task + Grant.from, queue);
  leaveList(cpu, queue + WaitQueueWords.waiters, task);
  cpu.store(queue + WaitQueueWords.waiting, cpu.load(queue + WaitQueueWords.waiting) - 1);
}

/**
 * Puts the task in the list, unless it is there. Who is in the list is SLEEPING, or has been woken: one that said so only
 * afterwards could be taken out in between, find that the condition does not hold after all, and sleep in no list.
 * Returns whether it was not there.
 * `prepare_to_wait_event`.
 */
function* prepareToWait(waiter: Waiter, queue: number, want: number, owed: Owed): SlowPath<boolean> {
  const { thread, task, async } = waiter;
  const { cpu, id } = thread;
  const list = queue + WaitQueueWords.waiters;
  yield* latched(waiter, list + WaitList.latch);
  const joins = cpu.load(task + Task.list) !== list;
  if (joins) {
    cpu.store(task + Grant.from, 0);
    cpu.store(task + Task.want, want);
    const before = behindWhom(cpu, list, want, async ? 0 : id);
    if (want === SHARED && before !== 0) joinListBefore(cpu, list, queue, task, before);
    else joinList(cpu, list, queue, task, before);
    cpu.store(queue + WaitQueueWords.waiting, cpu.load(queue + WaitQueueWords.waiting) + 1);
    if (async && want === EXCLUSIVE) waiter.aside = { of: task, pass: () => standAside(waiter, queue, owed) };
  }
  prepareToPark(cpu, task);
  unlatch(cpu, list + WaitList.latch);
  return joins;
}

/**
 * The waiter in front of whom another one joins, or 0: for one that shares, the first exclusive one; for an exclusive one of
 * the synchronous code of the thread `id` (0 for none), the first of its own thread. Where those that share stand does not
 * matter to wakers: where the last waiter shares, and so nearly always all do, nobody looks further.
 */
function behindWhom(cpu: Cpu, list: number, want: number, id: number): number {
  const first = firstWaiter(cpu, list);
  if (first === 0 || (want === EXCLUSIVE && id === 0)) return 0;
  if (want === SHARED && cpu.load(cpu.read(first + Task.prev) + Task.want) === SHARED) return 0;
  let task = first;
  const isBehind = () =>
    cpu.load(task + Task.want) === EXCLUSIVE && (want === SHARED || cpu.load(task + Task.thread) === id);
  while (task !== 0 && !isBehind()) task = nextWaiter(cpu, list, task);
  return task;
}

/** Takes the task out of the list; without what it waited for, it passes on the wake-up that it may have had. */
function* leave(waiter: Waiter, queue: number, task: number, isDone: boolean, owed: Owed): SlowPath<void> {
  const { cpu } = waiter.thread;
  const list = queue + WaitQueueWords.waiters;
  yield* latched(waiter, list + WaitList.latch);
  const isWaiting = cpu.load(task + Task.list) === list;
  if (isWaiting) takeOut(cpu, queue, task);
  cpu.store(task + Grant.from, 0);
  unlatch(cpu, list + WaitList.latch);
  owed.wakeUp ||= !isWaiting;
  if (owed.wakeUp && !isDone && cpu.load(task + Task.want) === EXCLUSIVE) yield* wakeUpIn(waiter, queue, 1);
}
