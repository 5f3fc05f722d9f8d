/** How tasks wait for the end of a period, or for callbacks: in the domain's queue, which each end of a period wakes. */
import { type Outcome, SHARED, waitUntil, wakeUp } from '../locking/wait-queue-core.ts';
import { latchOwner } from '../memory/latch.ts';
import { block, type Limits, type Waitable } from '../sched/drive.ts';
import type { SlowPath, Waiter } from '../sched/slow-path.ts';
import type { Thread } from '../sched/thread.ts';
import { BOOST_DELAY, Loans } from './boost.ts';
import { advance, isOver, snapshot, spinOnReaders, tryAdvance } from './grace-period.ts';
import { type Domain, type Pace, RcuWords } from './layout.ts';
import { awaitedThreads, checkStall, isAwaited } from './stall.ts';

/** After how long a task that waits looks again, ns; then twice as long each time, up to the longest. */
const FIRST_LOOK = 1e6;
const LONGEST_LOOK = 100e6;

/** Waits until all readers are out that are inside now, blocking the thread. */
export function synchronize(thread: Thread, domain: Domain, pace: Pace, limits?: Limits, what?: Waitable): void {
  const end = snapshot(thread, domain, pace);
  advance(thread, domain, pace, end);
  if (isOver(thread, domain, pace, end)) return;
  spinOnReaders(thread, domain);
  block(thread, limits, (waiter) => waitForEnd(domain, pace, end, waiter), what);
}

/**
 * Waits for the period that ends with the number `end`. At each wake-up, and now and then without one, the task makes what
 * steps can be made: a thread that was about to make them may be dead, and a reader may have left without being told that
 * somebody waits. After a while it lends the readers its priority.
 */
export function* waitForEnd(domain: Domain, pace: Pace, end: number, waiter: Waiter): SlowPath<Outcome> {
  const { thread, deadline } = waiter;
  const { cpu, isPreemptible } = thread;
  const loans = new Loans(waiter);
  const boostAt = isPreemptible ? cpu.now() + BOOST_DELAY : Number.POSITIVE_INFINITY;
  let interval = FIRST_LOOK;
  let holder = 0;
  const path = waitWhile(domain, waiter, () => {
    if (isOver(thread, domain, pace, end)) return false;
    // Without preemption nobody is kept from making its steps, and nobody looks by itself.
    if (!isPreemptible) advance(thread, domain, pace, end);
    else if (!tryAdvance(thread, domain, pace, end)) {
      // Another thread's steps may be of the other pace, so this task looks again soon; but if that thread is dead, a thread
      // that looks too often never sleeps for as long as it takes to find out (`onStall`).
      const before = holder;
      holder = latchOwner(cpu, domain.rcu + RcuWords.latch);
      if (holder !== before) interval = FIRST_LOOK;
    }
    if (isOver(thread, domain, pace, end)) return false;
    if (!isPreemptible) return true;
    checkStall(thread, domain, pace);
    // A thread that sleeps is out of a `TasksRcu`, so that waits for none that sleeps.
    if (cpu.now() >= boostAt && !domain.rings) {
      loans.lend(awaitedThreads(cpu, domain, pace), (number) => isAwaited(cpu, domain, number));
    }
    return true;
  });
  let step = path.next();
  while (!step.done) {
    if (isPreemptible) waiter.deadline = Math.min(deadline, cpu.now() + interval);
    const reason = yield step.value;
    const isEarly = reason === 'timed-out' && cpu.now() < deadline;
    if (isEarly) interval = Math.min(2 * interval, LONGEST_LOOK);
    step = path.next(isEarly ? 'woken' : reason);
  }
  yield* loans.takeBack();
  return step.value;
}

/** Waits in the domain's queue, and looks again at each wake-up. */
export function waitWhile({ rcu }: Domain, waiter: Waiter, isWaiting: () => boolean): SlowPath<Outcome> {
  return waitUntil(rcu, SHARED, () => !isWaiting(), waiter);
}

/** All that wait in the queue look again. */
export function wakeWaiters(thread: Thread, { rcu }: Domain): void {
  wakeUp(thread, rcu, 0);
}
