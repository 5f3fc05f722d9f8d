/**
 * Wait list: the tasks that sleep for one object, most urgent first and first come first among equals, linked through
 * words of their own. Guarded by its latch.
 *
 * A thread can be killed while it edits the list. So a task says that it is in the list in its own word `list`, and
 * with `priority` and `ticket` where; joining writes these before any link, leaving clears `list` last. From them the
 * reaper makes the list again.
 */
import type { Cpu } from '../machine/cpu.ts';
import { latch, latchOwner, unlatch } from '../memory/latch.ts';
import { listInsert, listNodes, listRemove } from '../memory/list.ts';
import type { Repairer } from '../memory/repairer.ts';
import { struct } from '../memory/struct.ts';
import { everyTask, Slot, slotAddress } from './slot.ts';
import { ASYNC, SLEEPING, Task, waitFor } from './task.ts';

export const WaitList = struct({
  first: 1,
  /** Counts tasks that have joined. */
  ticket: 1,
  latch: 1,
});

/**
 * Puts `task`, which waits for `object`, in the list: behind all that are as urgent, but in front of `mine`, the first
 * asynchronous task of its own thread there (0 for none), which cannot run while it waits. The latch is held.
 */
export function joinList(cpu: Cpu, list: number, object: number, task: number, mine = 0): void {
  const ticket = (cpu.read(list + WaitList.ticket) + 1) | 0;
  cpu.write(list + WaitList.ticket, ticket);
  for (;;) {
    const priority = cpu.load(task + Task.priority);
    if (isAlone(cpu, list, task)) cpu.write(task + Task.rank, priority);
    else if (mine !== 0 && cpu.read(mine + Task.rank) <= priority) joinListBefore(cpu, list, object, task, mine);
    else insert(cpu, list, object, task, ticket, priority, behindEquals(cpu, list, priority));
    // Pairs with the barrier in `reorder`: either it finds the task in the list, or its new priority is found here.
    cpu.mb();
    if (cpu.load(task + Task.priority) === priority) return;
    if (!isAlone(cpu, list, task)) listRemove(cpu, list + WaitList.first, task, Task);
  }
}

/**
 * Moves `task`, whose priority has changed, to its new place in the list it is in, if any; without passing by an
 * asynchronous task of its own thread, which cannot run while it waits. Returns the list if another task is its first
 * now, else 0: which task is first decides who can go on with what is free, so the caller has the object's kind look
 * again (`reordered`). At no time is the list empty: others look at `first` without the latch, and would wake nobody. The
 * caller holds namesLatch, so the list's object stays; `owner` is its CPU number plus one.
 */
export function reorder(cpu: Cpu, task: number, owner: number): number {
  cpu.mb();
  const list = cpu.load(task + Task.list);
  if (list === 0) return 0;
  latch(cpu, list + WaitList.latch, owner);
  const hasChanged = putInPlace(cpu, list, task);
  unlatch(cpu, list + WaitList.latch);
  return hasChanged ? list : 0;
}

/** `reorder` under the latch. Returns whether another task is the list's first now. */
function putInPlace(cpu: Cpu, list: number, task: number): boolean {
  const before = firstWaiter(cpu, list);
  const priority = cpu.load(task + Task.priority);
  if (cpu.load(task + Task.list) === list && cpu.read(task + Task.rank) !== priority) {
    const id = cpu.load(task + Task.thread);
    const mine = waiters(cpu, list).find((other) => other !== task && cpu.load(other + Task.thread) === id);
    if (!isAlone(cpu, list, task)) listRemove(cpu, list + WaitList.first, task, Task);
    joinList(cpu, list, cpu.load(task + Task.blockedOn), task, mine);
  }
  return firstWaiter(cpu, list) !== before;
}

/**
 * After deaths, when all objects are repaired: moves the living whose priority is not that of their place. A repair of
 * rt-mutexes has changed it, or a thread died between that and `reorder`. `repair`: what to do about a list that has
 * another first waiter now. False when it has to be done again later.
 */
export function reorderLiving(repairer: Repairer, repair: (list: number) => boolean): boolean {
  const { cpu, threads, isDead, owner } = repairer;
  let isSettled = true;
  // As in `reorder`.
  cpu.mb();
  for (let number = 0; number < threads; number++) {
    const task = slotAddress(cpu, number) + Slot.mainTask;
    const list = isDead(number + 1) ? 0 : cpu.load(task + Task.list);
    if (list === 0) continue;
    // This thread may be reaping in the middle of what it does to the list.
    const isMine = latchOwner(cpu, list + WaitList.latch) === owner;
    if (isMine || !repairer.latch(list + WaitList.latch, () => {})) {
      isSettled = false;
      continue;
    }
    const hasChanged = putInPlace(cpu, list, task);
    unlatch(cpu, list + WaitList.latch);
    if (hasChanged && !repair(list)) isSettled = false;
  }
  return isSettled;
}

/** Whether `task` is the only one in the list. */
function isAlone(cpu: Cpu, list: number, task: number): boolean {
  return firstWaiter(cpu, list) === task && cpu.read(task + Task.next) === task;
}

/** A `Waiter`, as far as its place in the list is concerned. */
interface Joining {
  readonly thread: { readonly cpu: Cpu; readonly id: number; readonly tasksInUse: number };
  readonly task: number;
  readonly async: boolean;
}

/**
 * Puts the waiter's task, which waits for `object`, in the list. Illegal to fail to put a synchronous one in front of the
 * asynchronous tasks of its own thread: they can't run while it waits, and so would never make way. The latch is held.
 */
export function joinAhead({ thread, task, async }: Joining, list: number, object: number): void {
  const { cpu, id, tasksInUse } = thread;
  joinList(cpu, list, object, task, async || tasksInUse === 0 ? 0 : firstOfThread(cpu, list, id));
}

/** The first task of the thread with this CPU number plus one in the list, or 0. The latch is held. */
function firstOfThread(cpu: Cpu, list: number, id: number): number {
  let task = firstWaiter(cpu, list);
  while (task !== 0 && cpu.load(task + Task.thread) !== id) task = nextWaiter(cpu, list, task);
  return task;
}

/** Puts `task` in the list right in front of `other`. The latch is held. */
export function joinListBefore(cpu: Cpu, list: number, object: number, task: number, other: number): void {
  const [ticket, priority] = [cpu.read(other + Task.ticket), cpu.read(other + Task.rank)];
  insert(cpu, list, object, task, ticket, priority, other);
}

/**
 * Puts `task`, which is in the list `from`, in the list instead, as `joinList` does. Its word `list` names one of the two
 * at all times, for the reaper; the links lead to it from neither for a moment, so a thread that looks without the latch
 * needs a count (`Bucket.waiting`). Both latches are held.
 */
export function moveToList(cpu: Cpu, from: number, list: number, object: number, task: number, mine = 0): void {
  listRemove(cpu, from + WaitList.first, task, Task);
  joinList(cpu, list, object, task, mine);
}

/** Takes `task` out of the list, and returns whether the list is empty now. The latch is held. */
export function leaveList(cpu: Cpu, list: number, task: number): boolean {
  listRemove(cpu, list + WaitList.first, task, Task);
  cpu.store(task + Task.blockedOn, 0);
  // Pairs with the acquire of a waiter that sees, without the latch, that it was taken out, and joins another list.
  cpu.storeRelease(task + Task.list, 0);
  return cpu.load(list + WaitList.first) === 0;
}

const isFree = (value: number) => value === 0;
/** Loads that `isListBusy` waits for the latch: longer than anybody holds it who is not preempted. */
const LATCH_SPINS = 1000;

/**
 * Whether a task is in the list, or a thread holds its latch: it may have let the last waiters go on, and is about to
 * write to the latch once more. For `isBusy` of a kind, after it has found the object released.
 */
export function isListBusy(cpu: Cpu, list: number): boolean {
  if (firstWaiter(cpu, list) !== 0) return true;
  // Pairs with the release in `unlatch` (memory/latch.ts): what its holder did to the object comes before it is destroyed.
  return cpu.condLoadAcquire(list + WaitList.latch, isFree, 0, LATCH_SPINS) !== 0;
}

/** The first task, or 0. The latch is held. */
export function firstWaiter(cpu: Cpu, list: number): number {
  return cpu.load(list + WaitList.first);
}

/**
 * Whether `task` cannot run for now: it is asynchronous, and its thread sleeps in a synchronous call. Illegal to rely on
 * such a task for the others: what it is given, or woken for, it keeps until that call comes back. Of a thread that goes
 * to sleep later, `Waiter.aside` undoes that; both come under the list's latch, so one of the two sees the other.
 */
export function isStuck(cpu: Cpu, task: number): boolean {
  if (cpu.load(task + Task.mode) !== ASYNC) return false;
  const slot = slotAddress(cpu, cpu.load(task + Task.thread) - 1);
  return cpu.load(slot + Slot.mainTask + Task.state) === SLEEPING;
}

/** The first task that can run, or 0. The latch is held. */
export function firstAble(cpu: Cpu, list: number): number {
  const first = firstWaiter(cpu, list);
  return first === 0 || !isStuck(cpu, first) ? first : nextAble(cpu, list, first);
}

/** The first task behind `task` that can run, or 0. The latch is held. */
export function nextAble(cpu: Cpu, list: number, task: number): number {
  let next = nextWaiter(cpu, list, task);
  while (next !== 0 && isStuck(cpu, next)) next = nextWaiter(cpu, list, next);
  return next;
}

/**
 * Whom to wake for what the first that comes may take: the first task that can run. If none can, one for each thread,
 * because nobody else wakes them when their thread comes back. The latch is held.
 */
export function firstToCome(cpu: Cpu, list: number): number[] {
  const tasks = new Map<number, number>();
  for (let task = firstWaiter(cpu, list); task !== 0; task = nextWaiter(cpu, list, task)) {
    if (!isStuck(cpu, task)) return [task];
    const thread = cpu.load(task + Task.thread);
    if (!tasks.has(thread)) tasks.set(thread, task);
  }
  return [...tasks.values()];
}

/** How far `firstSync` looks: what it costs must not grow with the list. */
export const MOST_OF_LOOPS = 16;

/**
 * Whom to wake beside an asynchronous task that is the first in line, because its event loop may compute for any time while the lock is
 * free or its own: the first that waits in a synchronous call. The latch is held.
 */
export function firstBehindLoop(cpu: Cpu, list: number): number[] {
  const first = firstWaiter(cpu, list);
  return firstSync(cpu, list).filter((task) => task !== first);
}

/** The first that waits in a synchronous call, with no more than MOST_OF_LOOPS in front of it. The latch is held. */
export function firstSync(cpu: Cpu, list: number): number[] {
  let task = firstWaiter(cpu, list);
  for (let n = 0; n < MOST_OF_LOOPS && task !== 0 && cpu.load(task + Task.mode) === ASYNC; n++) {
    task = nextWaiter(cpu, list, task);
  }
  return task === 0 || cpu.load(task + Task.mode) === ASYNC ? [] : [task];
}

/** The task behind `task` in the list, or 0. The latch is held. */
export function nextWaiter(cpu: Cpu, list: number, task: number): number {
  const next = cpu.read(task + Task.next);
  return next === cpu.load(list + WaitList.first) ? 0 : next;
}

/** All tasks in the list, in order. The latch is held. */
export function waiters(cpu: Cpu, list: number): number[] {
  return listNodes(cpu, list + WaitList.first, Task);
}

/**
 * Makes the list from what its tasks say, after a thread that was editing it has died. `proxies`: nodes that stand in
 * for tasks and may be in the list. The latch is held.
 */
export function rebuildList({ cpu, threads }: Repairer, list: number, proxies: readonly number[] = []): void {
  const tasks = proxies.filter((node) => cpu.load(node + Task.list) === list);
  for (const task of everyTask(cpu, threads)) if (cpu.load(task + Task.list) === list) tasks.push(task);
  // A synchronous waiter that went in front of its thread's own asynchronous one has the same rank and ticket.
  tasks.sort(
    (a, b) =>
      cpu.read(a + Task.rank) - cpu.read(b + Task.rank) ||
      (cpu.read(a + Task.ticket) - cpu.read(b + Task.ticket)) | 0 ||
      cpu.load(a + Task.mode) - cpu.load(b + Task.mode),
  );
  cpu.store(list + WaitList.first, 0);
  for (const task of tasks) listInsert(cpu, list + WaitList.first, task, 0, Task);
}

function insert(
  cpu: Cpu,
  list: number,
  object: number,
  task: number,
  ticket: number,
  rank: number,
  before: number,
): void {
  cpu.write(task + Task.ticket, ticket);
  cpu.write(task + Task.rank, rank);
  waitFor(cpu, task, object);
  cpu.store(task + Task.list, list);
  listInsert(cpu, list + WaitList.first, task, before, Task);
}

/** The first task less urgent than `rank`, or 0; looked for from the end, where it is when all are alike. */
function behindEquals(cpu: Cpu, list: number, rank: number): number {
  const first = cpu.load(list + WaitList.first);
  if (first === 0) return 0;
  let before = 0;
  for (let task = cpu.read(first + Task.prev); cpu.read(task + Task.rank) > rank; task = cpu.read(task + Task.prev)) {
    before = task;
    if (task === first) break;
  }
  return before;
}
