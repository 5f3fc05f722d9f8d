/**
 * When somebody looks after a pool who does not depend on its threads: kthreadd, by the pool's timer. The pool says with
 * `watched` what for.
 *
 *   NOTHING   no work waits, and nobody runs
 *   STUCK     workers run: if work waits then, and none begins for long, that is reported (`wq_watchdog`)
 *   NEEDY     work waits, a slot is free, and there is no worker for it: the rescuer is called if none comes in time (the
 *             kernel's mayday timer), and a thread whose request has died with its asker is asked for again. In a slot's
 *             pool also while a worker runs: it may compute for long (`wq_worker_tick`)
 *
 * The timer is started before `watched` says so, under the pool's latch, and when it fires `watched` is told anew. What a thread that
 * dies has not come to, the repair of the pool does: it starts the timer if work waits, and kthreadd is rung, or made.
 */
import { hash } from '../memory/kinds.ts';

export const NOTHING = 0;
export const STUCK = 1;
export const NEEDY = 2;

/** The kernel's MAYDAY_INITIAL_TIMEOUT and MAYDAY_INTERVAL, ns. The first is also its tick, and `cpu_intensive_thresh_us`. */
export const TICK_NS = 10e6;
export const MAYDAY_NS = 100e6;
/** How often it is looked whether a pool is stuck, ns: half of the kernel's `wq_watchdog_thresh`, 30 s. */
export const WATCH_NS = 15e9;
/** Without an item that begins for so long, a pool is stuck, us. */
export const STUCK_US = 30e6;

/** The name of the timers' action. */
export const POOL_TIMER_ACTION = 'workqueue/pool';
export const POOL_TIMER = hash(POOL_TIMER_ACTION);

/** A worker of a slot's pool, and the item that it runs: when it began, us. */
export interface Running {
  readonly worker: number;
  readonly item: number;
  readonly began: number;
}

/** What kthreadd finds when it looks after a pool. */
export interface Tick {
  /** What the workers of a slot's pool run. */
  readonly running: Running[];
  /** For how long no item has begun while one waits, us; 0 where somebody is about to begin one. */
  readonly stuck: number;
}
