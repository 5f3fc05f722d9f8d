/**
 * Priorities, own and inherited. A thread that holds an rt-mutex is as urgent as the most urgent of those that wait for
 * it (Sha, Rajkumar and Lehoczky 1990; kernel/locking/rtmutex.c, kernel/sched/core.c rt_mutex_setprio).
 *
 *   Priorities.own, ownDue     what the thread asked for
 *   Priorities.ceiling         the most urgent ceiling of the mutexes with one that the thread holds, as of its latest wait
 *   Priorities.lent            what a task that waits for a reader of the thread has lent it (`rcu/boost.ts`)
 *   Priorities.topWaiters      tree of tasks: of each rt-mutex that the thread holds, the most urgent waiter
 *   Task.priority, due         of a main task: the most urgent of its own, the ceiling, what is lent, and the first in topWaiters
 *   Task.rank, RtWait.due      what the two were when the task was put where it waits
 *
 * The thread inherits, by its main task, also when one of its asynchronous tasks holds the lock: an event loop
 * gets nowhere while the thread sleeps in a synchronous call, and that is the only wait to be cut short.
 *
 * Worker threads have no priority with the operating system that could be raised. What is inherited counts where the
 * library chooses: the order of every wait list and of the trees of rt-mutexes.
 *
 * Everything here is guarded by one latch for the whole arena, priorityLatch: a chain of locks is walked in one go, so
 * nothing changes half-way and there is no order among the latches of its locks to keep. Only slow paths take it.
 * Order of latches: namesLatch, then priorityLatch; namesLatch, then a wait list's latch. Nobody who holds
 * priorityLatch takes another: tasks to move in wait lists, and to wake, go to a wake queue (`wake-queue.ts`), which is dealt with when
 * the thread holds no latch any more.
 */
import { HoldfastError, shown } from '../errors.ts';
import type { Cpu } from '../machine/cpu.ts';
import { Header } from '../memory/header.ts';
import { latch, unlatch } from '../memory/latch.ts';
import { Tree } from '../memory/rbtree.ts';
import { Slot, slotAddress, slotArea } from './slot.ts';
import { Task, taskArea } from './task.ts';
import { type CurrentThread, wakeQueued } from './wake-queue.ts';

/** The least urgent priority there is. */
export const NO_CEILING = 0x7fffffff;
/** A loan is over, and the priority about to be changed. It would stand for a loan of the next to least priority, which helps nobody. */
export const ENDING = 1;

export const Priorities = slotArea(
  'priority',
  {
    own: 1,
    ownDue: 1,
    /** XOR of the ceiling and NO_CEILING: 0 for none. */
    ceiling: 1,
    /** XOR of the priority that was lent and NO_CEILING: 0 for none; or ENDING. */
    lent: 1,
    /** Root of the tree. Each rt-mutex sees to it after a death. */
    topWaiters: 1,
  },
  {
    vacate(cpu, slot) {
      cpu.store(slot + Priorities.own, 0);
      cpu.store(slot + Priorities.ownDue, 0);
      cpu.store(slot + Priorities.ceiling, 0);
      cpu.store(slot + Priorities.lent, 0);
    },
  },
);

/** A task's place in the tree of the rt-mutex that it waits for, and in its owner's tree of top waiters. */
export const RtWait = taskArea(
  'rtWait',
  {
    /** The rt-mutex, or 0. */
    mutex: 1,
    /** With Task.rank and Task.ticket the place in the mutex's tree. */
    due: 1,
    parent: 1,
    topLeft: 1,
    topRight: 1,
    topParent: 1,
  },
  { vacate: (cpu, task) => cpu.store(task + RtWait.mutex, 0) },
);

/** The tree of the waiters of one rt-mutex, and that of a thread's topWaiters. */
export const waiterTree = new Tree({ left: Task.next, right: Task.prev, parent: RtWait.parent }, comesBefore);
export const topTree = new Tree(
  { left: RtWait.topLeft, right: RtWait.topRight, parent: RtWait.topParent },
  comesBefore,
);

/** Whether waiter `a` gets the lock before waiter `b`: by priority, then deadline, then arrival. */
function comesBefore(cpu: Cpu, a: number, b: number): boolean {
  const [rank, other] = [cpu.read(a + Task.rank), cpu.read(b + Task.rank)];
  if (rank !== other) return rank < other;
  const [due, otherDue] = [cpu.read(a + RtWait.due), cpu.read(b + RtWait.due)];
  if (due !== otherDue) return isDueBefore(due, otherDue);
  return ((cpu.read(a + Task.ticket) - cpu.read(b + Task.ticket)) | 0) < 0;
}

/** Whether (priority, due) is strictly more urgent than (other, otherDue). */
export function isMoreUrgent(priority: number, due: number, other: number, otherDue: number): boolean {
  return priority !== other ? priority < other : isDueBefore(due, otherDue);
}

function isDueBefore(due: number, other: number): boolean {
  if (due === 0 || other === 0) return due !== 0 && other === 0;
  return ((due - other) | 0) < 0;
}

export function latchPriorities(cpu: Cpu, owner: number): void {
  latch(cpu, Header.priorityLatch, owner);
}

export function unlatchPriorities(cpu: Cpu): void {
  unlatch(cpu, Header.priorityLatch);
}

/** Gives a thread's main task the priority that is its due. Returns whether it is another. Under priorityLatch. */
export function adjustPriority(cpu: Cpu, slot: number): boolean {
  const main = slot + Slot.mainTask;
  let priority = cpu.load(slot + Priorities.own);
  let due = cpu.load(slot + Priorities.ownDue);
  const floor = Math.min(cpu.load(slot + Priorities.ceiling) ^ NO_CEILING, lentTo(cpu, slot));
  if (floor < priority) {
    priority = floor;
    due = 0;
  }
  const top = topTree.first(cpu, slot + Priorities.topWaiters);
  if (top !== 0 && isMoreUrgent(cpu.read(top + Task.rank), cpu.read(top + RtWait.due), priority, due)) {
    priority = cpu.read(top + Task.rank);
    due = cpu.read(top + RtWait.due);
  }
  if (cpu.load(main + Task.priority) === priority && cpu.load(main + Task.due) === due) return false;
  cpu.store(main + Task.priority, priority);
  cpu.store(main + Task.due, due);
  return true;
}

/** The priority that was lent to the thread, or NO_CEILING. */
export function lentTo(cpu: Cpu, slot: number): number {
  const word = cpu.load(slot + Priorities.lent);
  return word === ENDING ? NO_CEILING : word ^ NO_CEILING;
}

/** The slot of the thread that a task belongs to. */
export function slotOf(cpu: Cpu, task: number): number {
  return slotAddress(cpu, cpu.load(task + Task.thread) - 1);
}

// For a thread's own use: its main task runs, so it waits for no rt-mutex.

interface WithCeiling extends CurrentThread {
  ceiling: number;
}

export function setOwnPriority(thread: CurrentThread, priority: number, due: number): void {
  const { cpu, id, slot } = thread;
  latchPriorities(cpu, id);
  cpu.store(slot + Priorities.own, priority);
  cpu.store(slot + Priorities.ownDue, due);
  adjustOwn(thread);
}

/**
 * The thread is at least as urgent as `ceiling`. Told to the others when it counts: at once while the main task is in a list, as
 * in a condition's wait, else before its next wait. A ceiling that comes and goes between two waits costs nothing.
 */
export function setCeiling(thread: WithCeiling, ceiling: number): void {
  thread.ceiling = ceiling;
  // Its own word: only its own thread puts the main task in a list.
  if (thread.cpu.loadUnordered(thread.slot + Slot.mainTask + Task.list) !== 0) tellCeiling(thread);
}

/** For a thread that is about to wait, or to look at its priority. */
export function tellCeiling(thread: WithCeiling): void {
  const { cpu, id, slot } = thread;
  const word = thread.ceiling ^ NO_CEILING;
  if (cpu.read(slot + Priorities.ceiling) === word) return;
  latchPriorities(cpu, id);
  cpu.store(slot + Priorities.ceiling, word);
  adjustOwn(thread);
}

/** `adjustPriority` under the latch, which is free afterwards. In a condition the main task runs and is in a wait list. */
function adjustOwn(thread: CurrentThread): void {
  const { cpu, slot } = thread;
  const main = slot + Slot.mainTask;
  const isOther = adjustPriority(cpu, slot);
  unlatchPriorities(cpu);
  if (isOther && cpu.load(main + Task.list) !== 0) wakeQueued(thread, { wake: [], reorder: [main] });
}

/** Throws EINVAL unless `priority` fits a word. */
export function checkPriority(priority: number): number {
  if ((priority | 0) !== priority) {
    throw new HoldfastError(
      'EINVAL',
      `a priority is a whole number of 32 bits, lower is more urgent; received ${shown(priority)}`,
    );
  }
  return priority;
}

/** The word for a deadline `ms` from now, 0 for none. Deadlines are compared within 24 days. */
export function dueIn(cpu: Cpu, ms: number | undefined): number {
  if (ms === undefined) return 0;
  if (typeof ms !== 'number' || !(Math.abs(ms) < 2 ** 30)) {
    throw new HoldfastError(
      'EINVAL',
      `due is a number of milliseconds from now, less than ${2 ** 30}; received ${shown(ms)}`,
    );
  }
  return Math.floor(cpu.now() / 1e6 + ms) | 0 || 1;
}
