/** What threads do to a work that goes beyond one pool, or waits: `delayed_work`, `cancel_work`, `flush_work`. */
import type { Cpu } from '../machine/cpu.ts';
import { latch, unlatch } from '../memory/latch.ts';
import { type GaveUp, latched, type SlowPath, type Waiter } from '../sched/slow-path.ts';
import { finishPark, prepareToPark, Task, unpark } from '../sched/task.ts';
import { cancelTimer, isTimerFiring, startTimer } from '../sched/timer.ts';
import { joinList, leaveList, waiters } from '../sched/wait-list.ts';
import { DELAYED, FREE, Item, LISTED, Pwq, WorkWords } from './layout.ts';
import type { WorkerPool } from './pool.ts';
import { expireTwin, unlistTwin } from './pool-works.ts';
import {
  CANCELS,
  FLUSHES,
  isUnderWay,
  latchOf,
  numberTwin,
  obstacle,
  pendingTwin,
  type Queueing,
  twinIn,
} from './twins.ts';

/** What a thread works with. */
export interface Queuer {
  readonly cpu: Cpu;
  /** Its CPU number plus one. */
  readonly id: number;
  /** Its view of a pool. */
  readonly pool: (address: number) => WorkerPool;
  /** Tells kthreadd that another timer is the first to expire. */
  readonly ring: () => void;
}

/**
 * The work is to be queued in `pwq` at `deadline`, ns on `cpu.now()`; with `awaitsReaders`, once all readers of RCU are out which are
 * inside then. `queue_delayed_work`, `queue_rcu_work`.
 */
export function delayWork(
  { cpu, id, ring }: Queuer,
  work: number,
  pwq: number,
  deadline: number,
  awaitsReaders = false,
): Queueing {
  let isFirst = false;
  latch(cpu, latchOf(work), id);
  const outcome = obstacle(cpu, work) ?? 'queued';
  if (outcome === 'queued') {
    const twin = numberTwin(cpu, work);
    cpu.store(work + WorkWords.awaitsReaders, awaitsReaders ? 1 : 0);
    isFirst = delayTwin(cpu, id, work, twin, pwq, deadline);
  }
  unlatch(cpu, latchOf(work));
  if (isFirst) ring();
  return outcome;
}

/**
 * The twin is DELAYED. The timer first: should this thread die in between, one that expires for a twin which is not DELAYED does
 * nothing, where a twin without a timer would wait for ever. The work is latched. Returns whether kthreadd is to be told.
 */
function delayTwin(cpu: Cpu, id: number, work: number, twin: number, pwq: number, deadline: number): boolean {
  const isFirst = startTimer(cpu, id, cpu.load(work + WorkWords.timer), deadline);
  // An item that is LISTED counts in its pwq, and keeps it until it is not; one that is DELAYED has one.
  const isListed = cpu.load(twin + Item.state) === LISTED;
  if (!isListed) cpu.store(twin + Item.pwq, pwq);
  cpu.store(twin + Item.state, DELAYED);
  if (isListed) cpu.store(twin + Item.pwq, pwq);
  return isFirst;
}

/**
 * A pending work is to be queued in `pwq` at `deadline`, wherever and whenever it was to be before: false when it is not
 * pending. `mod_delayed_work`.
 */
export function redelayWork({ cpu, id, pool, ring }: Queuer, work: number, pwq: number, deadline: number): boolean {
  let isFirst = false;
  const isDone = changePending({ cpu, id, pool }, work, (twin) => {
    isFirst = delayTwin(cpu, id, work, twin, pwq, deadline);
  });
  if (isFirst) ring();
  return isDone;
}

/** Takes a pending work out of where it is, so that it does not run: false when it is not pending. `cancel_work`. */
export function cancelWork(queuer: Queuer, work: number): boolean {
  const { cpu, id } = queuer;
  return changePending(queuer, work, (twin, wasDelayed) => {
    cpu.store(twin + Item.state, FREE);
    if (wasDelayed) cancelTimer(cpu, id, cpu.load(work + WorkWords.timer));
  });
}

/**
 * Takes the pending twin from its list, or leaves it DELAYED, and calls `change` with it: with the work latched, and the pool
 * too where it was listed. False when none is pending. `try_to_grab_pending`.
 */
function changePending(
  { cpu, id, pool }: Omit<Queuer, 'ring'>,
  work: number,
  change: (twin: number, wasDelayed: boolean) => void,
): boolean {
  for (let twin = pendingTwin(cpu, work); twin !== 0; twin = pendingTwin(cpu, work)) {
    // It may be at something else by the time that it is latched: then the thread that brought that about has come further.
    if (cpu.loadAcquire(twin + Item.state) === LISTED) {
      if (unlistTwin(pool(cpu.load(twin + Item.home)), twin, () => change(twin, false))) return true;
      continue;
    }
    latch(cpu, latchOf(work), id);
    const isDelayed = cpu.load(twin + Item.state) === DELAYED;
    if (isDelayed) change(twin, true);
    // A task that waits for a work that waits for readers looks at it again.
    const wakees = isDelayed ? waiters(cpu, work + WorkWords.waiters) : [];
    unlatch(cpu, latchOf(work));
    for (const task of wakees) unpark(cpu, task);
    if (isDelayed) return true;
  }
  return false;
}

/**
 * Queues a work that is DELAYED: 'not' when it is not; 'dropped' when its queue was closed. `timer`: the one whose time has come;
 * it does nothing when it was started again meanwhile. Without, the time does not matter. `quiescent`: the number of the queueing
 * that has waited for readers of RCU, who are out; without, one that waits for them is left alone. `delayed_work_timer_fn`.
 */
export function expireWork(
  { cpu, id, pool }: Queuer,
  work: number,
  timer = 0,
  quiescent?: number,
): 'queued' | 'dropped' | 'not' {
  let isOther = false;
  const isTime = () => {
    const awaits = cpu.load(work + WorkWords.awaitsReaders) === 1;
    isOther = quiescent === undefined ? awaits : !awaits || cpu.load(work + WorkWords.number) !== quiescent;
    return !isOther && (timer === 0 || isTimerFiring(cpu, timer));
  };
  // A timer that has fired is over by itself.
  const cancel = () => void (timer === 0 && cancelTimer(cpu, id, cpu.load(work + WorkWords.timer)));
  for (let twin = delayedTwin(cpu, id, work); twin !== 0; twin = delayedTwin(cpu, id, work)) {
    const pwq = cpu.load(twin + Item.pwq);
    const outcome = expireTwin(pool(cpu.read(pwq + Pwq.pool)), twin, pwq, isTime, cancel);
    if (outcome !== 'not' || isOther || (timer !== 0 && !isTimerFiring(cpu, timer))) return outcome;
  }
  return 'not';
}

/**
 * The twin that is DELAYED, or 0. Under the work's latch: a thread that delays the work has started its timer before the twin says
 * so, and the timer may have fired in between.
 */
function delayedTwin(cpu: Cpu, id: number, work: number): number {
  latch(cpu, latchOf(work), id);
  const twin = twinIn(cpu, work, DELAYED);
  unlatch(cpu, latchOf(work));
  return twin;
}

/** How a wait for a work has ended. */
export type WorkOutcome = 'idle' | 'over' | GaveUp;

/**
 * Waits until nothing is under way that was queued before. `cancel`: nobody can queue the work while this waits, and that runs
 * first.
 */
export function* waitForWork(waiter: Waiter, work: number, cancel?: () => void): SlowPath<WorkOutcome> {
  const { thread, task } = waiter;
  const { cpu } = thread;
  const list = work + WorkWords.waiters;
  yield* latched(waiter, latchOf(work));
  const upTo = cpu.load(work + WorkWords.number);
  if (cancel === undefined && !isUnderWay(cpu, work, upTo)) {
    unlatch(cpu, latchOf(work));
    return 'idle';
  }
  cpu.store(task + Task.want, cancel === undefined ? FLUSHES : CANCELS);
  joinList(cpu, list, work, task);
  unlatch(cpu, latchOf(work));
  cancel?.();
  for (let reason = 'woken'; ; reason = yield) {
    prepareToPark(cpu, task);
    const isOver = !isUnderWay(cpu, work, upTo);
    if (!isOver && !waiter.aborted && reason !== 'timed-out') continue;
    finishPark(cpu, task);
    yield* latched(waiter, latchOf(work));
    leaveList(cpu, list, task);
    unlatch(cpu, latchOf(work));
    if (isOver) return 'over';
    return waiter.aborted ? 'aborted' : 'timed-out';
  }
}
