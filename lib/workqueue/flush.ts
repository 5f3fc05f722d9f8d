/** A thread that blocks until flushers have ended. */
import type { GaveUp, SlowPath, Waiter } from '../sched/slow-path.ts';
import { finishPark, prepareToPark } from '../sched/task.ts';
import { DONE, Item, LOST, PHASE } from './layout.ts';

/** The flushers are the calling thread's, and wake its task (`Submitter.flusherFor`). */
export function* untilFlushed(waiter: Waiter, flushers: readonly number[]): SlowPath<'over' | GaveUp> {
  const { thread, task } = waiter;
  const { cpu } = thread;
  const hasEnded = (flusher: number) => {
    // Acquire: pairs with the store of `endFlushes`; what the items have done is seen behind it.
    const phase = cpu.loadAcquire(flusher + Item.state) & PHASE;
    return phase === DONE || phase === LOST;
  };
  for (let reason = 'woken'; ; reason = yield) {
    // Pairs with the wake-up in `handOver`, which comes behind the flusher's end; and a death wakes all.
    prepareToPark(cpu, task);
    const isOver = flushers.every(hasEnded);
    if (!isOver && !waiter.aborted && reason !== 'timed-out') continue;
    finishPark(cpu, task);
    if (isOver) return 'over';
    return waiter.aborted ? 'aborted' : 'timed-out';
  }
}
