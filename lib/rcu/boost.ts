/**
 * Priority boosting: a reader that a period waits for is as urgent as the task that waits for the period.
 *
 * A thread that sleeps inside a reader, in a list whose order is that of priorities, may be overtaken for as long as more
 * urgent threads come, and nothing is freed meanwhile. So a task that has waited for half a second lends its priority to the
 * threads whose readers it waits for: they move forward where they sleep, and hand the priority on along chains of
 * rt-mutexes (`inherit` of rt-mutex/core.ts).
 *
 * `Priorities.lent` of a slot, guarded by priorityLatch:
 *
 *   none -> p      the task that waits, at each look, while a lane of the thread is AWAITED; or p is more urgent than before
 *   p -> ENDING    the reader as it leaves the lane (`report` of grace-period.ts); the task as it ends its wait; the reaper
 *   ENDING -> none the same thread, when the priority has changed; if it dies before, the reaper
 *
 * The lender stores the word and then looks at the lanes once more; the reader leaves its lane and then looks at the word.
 * Both have a full barrier in between, so one of the two sees the other. A reader that has left without being told that it is
 * waited for does not look: its lender ends its wait soon. A loan may be taken back although another task waits, which
 * lends again at its next look.
 *
 * It is the thread that gets the priority, by its main task. Which of its asynchronous acquisitions belongs to a reader
 * with a guard is not known, so these get none.
 *
 * Source: CONFIG_RCU_BOOST, kernel/rcu/tree_plugin.h.
 */
import { inherit } from '../locking/rt-mutex/core.ts';
import type { Cpu } from '../machine/cpu.ts';
import { Header } from '../memory/header.ts';
import { latchOwner, tryLatchBriefly, unlatch } from '../memory/latch.ts';
import type { Repairer } from '../memory/repairer.ts';
import { ENDING, latchPriorities, lentTo, NO_CEILING, Priorities, unlatchPriorities } from '../sched/priority.ts';
import { Slot, slotAddress } from '../sched/slot.ts';
import { latched, type SlowPath, type Waiter } from '../sched/slow-path.ts';
import { Task, unparkAll } from '../sched/task.ts';
import type { Thread } from '../sched/thread.ts';
import { putInOrder, type WakeQueue, wakeQueue, wakeQueued } from '../sched/wake-queue.ts';

/** For how long a task waits before it lends, ns: the kernel's CONFIG_RCU_BOOST_DELAY. */
export const BOOST_DELAY = 500e6;

/** What one waiting task has lent. */
export class Loans {
  readonly #waiter: Waiter;
  readonly #threads = new Set<number>();

  constructor(waiter: Waiter) {
    this.#waiter = waiter;
  }

  /**
   * Lends the waiter's priority to those of the `threads` (CPU numbers) that are less urgent. It takes no part in a queue for
   * latches: where one is not free, the next look does it.
   */
  lend(threads: readonly number[], isAwaited: (thread: number) => boolean): void {
    const { thread, task } = this.#waiter;
    const { cpu, id } = thread;
    const priority = cpu.load(task + Task.priority);
    const lazier = threads.filter((number) => cpu.load(mainTaskOf(cpu, number) + Task.priority) > priority);
    if (lazier.length === 0 || !tryLatchBriefly(cpu, Header.namesLatch, id)) return;
    const wakes = wakeQueue();
    if (tryLatchBriefly(cpu, Header.priorityLatch, id)) {
      for (const number of lazier) this.#lendTo(number, priority, isAwaited, wakes);
      unlatchPriorities(cpu);
    }
    unparkAll(cpu, wakes.wake);
    putInOrder(thread, wakes.reorder);
  }

  #lendTo(number: number, priority: number, isAwaited: (thread: number) => boolean, wakes: WakeQueue): void {
    const { cpu } = this.#waiter.thread;
    const slot = slotAddress(cpu, number);
    const before = cpu.load(slot + Priorities.lent);
    if (lentTo(cpu, slot) <= priority) return;
    this.#threads.add(number);
    cpu.store(slot + Priorities.lent, priority ^ NO_CEILING);
    // Pairs with the barrier in `report` of grace-period.ts.
    cpu.mb();
    if (isAwaited(number)) inherit(cpu, slot, wakes);
    // It is out. It may leave the arena without having seen the loan, so its priority is not touched.
    else cpu.store(slot + Priorities.lent, before);
  }

  /** The waiter waits no more. */
  *takeBack(): SlowPath<void> {
    if (this.#threads.size === 0) return;
    const waiter = this.#waiter;
    const { cpu } = waiter.thread;
    const wakes = wakeQueue();
    yield* latched(waiter, Header.priorityLatch);
    for (const number of this.#threads) endLoan(cpu, slotAddress(cpu, number), wakes);
    unlatchPriorities(cpu);
    this.#threads.clear();
    unparkAll(cpu, wakes.wake);
    if (wakes.reorder.length === 0) return;
    yield* latched(waiter, Header.namesLatch);
    putInOrder(waiter.thread, wakes.reorder);
  }
}

/**
 * The thread has left the reader for which it was lent a priority. It may be about to sleep: a reader of `RcuQsbr` is left then
 * at the latest. So its main task may be in a list, or in the tree of an rt-mutex whose owner inherits.
 */
export function returnLent(thread: Thread): void {
  const { cpu, id, slot, self } = thread;
  if (lentTo(cpu, slot) === NO_CEILING) return;
  const { wake, reorder } = wakeQueue();
  latchPriorities(cpu, id);
  endLoan(cpu, slot, { wake, reorder });
  unlatchPriorities(cpu);
  // A thread that goes on is in no list.
  wakeQueued(thread, { wake, reorder: reorder.filter((task) => task !== self || cpu.load(task + Task.list) !== 0) });
}

/**
 * For the reaper: lenders may be dead, so all loans are over. Where tasks sleep is put in order when all objects are repaired
 * (`reorderLiving`). False when it has to be done again later.
 */
export function endLoans(repairer: Repairer): boolean {
  const { cpu, threads, isDead } = repairer;
  const slots = Array.from({ length: threads }, (_, number) => slotAddress(cpu, number));
  if (slots.every((slot) => cpu.load(slot + Priorities.lent) === 0)) {
    // A thread that lends looks at the lanes before it touches a priority; one that ends a loan clears the word behind it.
    cpu.rmb();
    return true;
  }
  // A thread that takes the latch from a dead one has to make the trees of rt-mutexes again, which is their repair's to do.
  if (isDead(latchOwner(cpu, Header.priorityLatch))) return false;
  if (!repairer.latch(Header.priorityLatch, () => {})) return false;
  const wakes = wakeQueue();
  for (const slot of slots) endLoan(cpu, slot, wakes);
  unlatch(cpu, Header.priorityLatch);
  return true;
}

/** Under priorityLatch. With a loan, no thread leaves the slot before it has had the latch as well (`endLoans`). */
function endLoan(cpu: Cpu, slot: number, wakes: WakeQueue): void {
  if (cpu.load(slot + Priorities.lent) === 0) return;
  cpu.store(slot + Priorities.lent, ENDING);
  inherit(cpu, slot, wakes);
  // Release: pairs with the barrier in `endLoans`.
  cpu.storeRelease(slot + Priorities.lent, 0);
}

function mainTaskOf(cpu: Cpu, number: number): number {
  return slotAddress(cpu, number) + Slot.mainTask;
}
