/** What threads do to works in a pool: `__queue_work`, `delayed_work_timer_fn`, `try_to_grab_pending`. */
import { latch, unlatch } from '../memory/latch.ts';
import { CLOSED, DELAYED, FREE, Item, isDraining, LISTED, OPEN, Pwq, Wq } from './layout.ts';
import type { WorkerPool } from './pool.ts';
import { latchOf, latchWork, numberTwin, obstacle, type Queueing, unlatchWork } from './twins.ts';

/** Queues a work in `pwq`. A queue that is drained takes it if it is `isChained`. `__queue_work`. */
export function queueWork(pool: WorkerPool, work: number, pwq: number, isChained: boolean): Queueing {
  const { cpu, id } = pool;
  return pool.locked((items) => {
    // What was published before comes before it.
    items.drain();
    // Here, where `close` has the latch to flush behind its store: what it lets in is flushed.
    const state = cpu.load(cpu.read(pwq + Pwq.workqueue) + Wq.state);
    if (state !== OPEN && !(isChained && isDraining(state))) return 'refused';
    latch(cpu, latchOf(work), id);
    const outcome = obstacle(cpu, work) ?? 'queued';
    if (outcome === 'queued') items.listTwin(numberTwin(cpu, work), pwq);
    unlatch(cpu, latchOf(work));
    return outcome;
  }, true);
}

/**
 * A twin that is DELAYED, and is to be queued in `pwq`, is LISTED, if `isTime`. Not in a queue that was closed: then it is FREE. `cancel`
 * its timer behind that: a thread that dies in between leaves a timer without a twin, and no twin without a timer.
 */
export function expireTwin(
  pool: WorkerPool,
  twin: number,
  pwq: number,
  isTime: () => boolean,
  cancel: () => void,
): 'queued' | 'dropped' | 'not' {
  const { cpu, id } = pool;
  return pool.locked((items) => {
    items.drain();
    latchWork(cpu, id, twin);
    const isDelayed = cpu.load(twin + Item.state) === DELAYED && cpu.load(twin + Item.pwq) === pwq && isTime();
    const isClosed = cpu.load(cpu.read(pwq + Pwq.workqueue) + Wq.state) === CLOSED;
    if (isDelayed && isClosed) {
      cpu.store(twin + Item.state, FREE);
      items.tellWaiters(twin);
    } else if (isDelayed) {
      items.listTwin(twin, pwq);
    }
    if (isDelayed) cancel();
    unlatchWork(cpu, twin);
    if (!isDelayed) return 'not';
    return isClosed ? 'dropped' : 'queued';
  });
}

/** Takes a twin that is LISTED here from its list; `change` sees to its state, with pool and work latched. */
export function unlistTwin(pool: WorkerPool, twin: number, change: () => void): boolean {
  const { cpu, id } = pool;
  return pool.locked((items) => {
    latchWork(cpu, id, twin);
    const isHere = cpu.load(twin + Item.state) === LISTED && cpu.load(twin + Item.home) === pool.address;
    if (isHere) {
      items.unlist(twin);
      change();
      items.tellWaiters(twin);
    }
    unlatchWork(cpu, twin);
    return isHere;
  });
}

/** Whether no item of `pwq` is queued or runs. */
export function isDrained(pool: WorkerPool, pwq: number): boolean {
  const { cpu } = pool;
  return pool.locked((items) => {
    items.drain();
    return cpu.read(pwq + Pwq.nrActive) === 0 && cpu.read(pwq + Pwq.inactive) === 0;
  });
}
