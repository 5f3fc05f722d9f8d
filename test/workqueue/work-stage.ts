/** Two slots with a pool of one worker each, and works that go to either: thread 0 queues, threads 1 and 2 are the workers, thread 3 reaps. */
import { expect } from 'vitest';
import { expireTimer, isTimerActive, timerFired } from '../../lib/sched/timer.ts';
import { WaitList } from '../../lib/sched/wait-list.ts';
import {
  BUSY,
  DELAYED,
  FREE,
  Item,
  LISTED,
  PHASE,
  Pool,
  Pwq,
  pwqAt,
  RUNNING,
  twinAt,
  WorkerRecord,
  WorkWords,
  Wq,
  workerAt,
} from '../../lib/workqueue/layout.ts';
import { openPool, openWq } from '../../lib/workqueue/objects.ts';
import { WorkerPool } from '../../lib/workqueue/pool.ts';
import { adjust } from '../../lib/workqueue/pool-care.ts';
import { queueWork } from '../../lib/workqueue/pool-works.ts';
import { workOf } from '../../lib/workqueue/twins.ts';
import { cancelWork, delayWork, expireWork, type Queuer, redelayWork } from '../../lib/workqueue/work-core.ts';
import { DelayedWork } from '../../lib/workqueue/work-item.ts';
import { stepper } from '../support/stepper.ts';
import { f } from './functions.ts';

const PHASES = { [FREE]: 'free', [DELAYED]: 'delayed', [LISTED]: 'listed', [RUNNING]: 'running' } as Record<
  number,
  string
>;

export function workStage({ maxActive = 8, works = 2 } = {}) {
  const stage = stepper(4);
  const { arenas, real } = stage;
  const root = { address: 0, slots: 2, maxWorkers: 1, maxAwaited: 8 };
  const pools = [0, 1].map((slot) => openPool(arenas[3]!, root, slot, false));
  const wq = openWq(arenas[3]!, 'wq', 0, maxActive, pools);
  const pwqs = [pwqAt(wq, 0), pwqAt(wq, 1)] as const;
  const all = Array.from({ length: works }, () => new DelayedWork(arenas[3]!, undefined, f.echo, 1));
  const rings: number[] = [];
  const queuers: Queuer[] = arenas.map(({ cpu, thread: { id } }) => ({
    cpu,
    id,
    pool: (address) => new WorkerPool(cpu, address, id, () => {}),
    ring: () => rings.push(id),
  }));
  /** The threads that are the workers, by slot. */
  const workers = [1, 2];
  const poolOf = (slot: number) => queuers[workers[slot]!]!.pool(pools[slot]!);
  const record = (slot: number) => workerAt(pools[slot]!, 0);
  const join = (slot: number) => {
    const { thread, heap } = arenas[workers[slot]!]!;
    poolOf(slot).join(record(slot), thread.takeTask(heap));
  };
  join(0);
  join(1);
  const addressOf = (i: number) => all[i]!.address;
  const states = (i: number) =>
    [0, 1].map((twin) => PHASES[real.load(twinAt(addressOf(i), twin) + Item.state) & PHASE]).sort();
  const here = {
    ...stage,
    pools,
    pwqs,
    wq,
    rings,
    works: all,
    /** Thread 3 is the worker in that slot from now on. */
    replace(slot: number) {
      workers[slot] = 3;
      join(slot);
    },
    /** As thread `by` sees it. */
    workAs: (by: number, i = 0) => new DelayedWork(arenas[by]!, all[i]!.handle),
    queue: (i: number, slot = 0, by = 0) =>
      queueWork(queuers[by]!.pool(pools[slot]!), addressOf(i), pwqs[slot]!, false),
    delay: (i: number, deadline: number, slot = 0, by = 0) =>
      delayWork(queuers[by]!, addressOf(i), pwqs[slot]!, deadline),
    /** Behind readers. */
    delayForReaders: (i: number, slot = 0, by = 0) => delayWork(queuers[by]!, addressOf(i), pwqs[slot]!, 0, true),
    readersAreOut: (i: number, number: number, by = 0) => expireWork(queuers[by]!, addressOf(i), 0, number),
    redelay: (i: number, deadline: number, slot = 0, by = 0) =>
      redelayWork(queuers[by]!, addressOf(i), pwqs[slot]!, deadline),
    /** Of a work, not of a plan. */
    cancel: (i: number, by = 0) => cancelWork(queuers[by]!, addressOf(i)),
    expedite: (i: number, by = 0) => expireWork(queuers[by]!, addressOf(i)),
    /** Timers that have expired by then do what they are for, on thread `by`. Returns how many have queued a work. */
    expire(now: number, by = 0) {
      const { cpu, id } = queuers[by]!;
      let queued = 0;
      for (let timer = expireTimer(cpu, id, now); timer !== 0; timer = expireTimer(cpu, id, now)) {
        const work = all.find(({ address }) => real.load(address + WorkWords.timer) === timer)!;
        if (expireWork(queuers[by]!, work.address, timer) === 'queued') queued++;
        timerFired(cpu, id, timer);
      }
      return queued;
    },
    /** The number of the work that the worker in that slot runs next, or -1. */
    next(slot: number, finished = -1) {
      const before = finished < 0 ? 0 : runningTwin(finished);
      const twin = poolOf(slot).step(record(slot), before);
      return twin === 0 ? -1 : all.findIndex(({ address }) => address === workOf(real, twin));
    },
    /** The awaited work has ended, while the worker in that slot is at something else. */
    settle: (slot: number, finished: number) => poolOf(slot).settle(runningTwin(finished)),
    isBusy: (slot: number) => real.read(record(slot) + WorkerRecord.state) === BUSY,
    twin: (i: number, index: number) => twinAt(addressOf(i), index),
    workLatch: (i: number) => addressOf(i) + WorkWords.waiters + WaitList.latch,
    poolLatch: (slot: number) => pools[slot]! + Pool.latch,
    isTimerActive: (i: number) => isTimerActive(real, real.load(addressOf(i) + WorkWords.timer)),
    cancelPlan: stage.cancel,
    setMaxActive(most: number) {
      real.store(wq + Wq.savedMaxActive, most);
      for (const [slot, pwq] of pwqs.entries()) adjust(queuers[3]!.pool(pools[slot]!), pwq);
    },
    states,
    flushQueue(slot: number, item: number) {
      real.write(item + Item.pwq, pwqs[slot]!);
      queuers[0]!.pool(pools[slot]!).flush(pwqs[slot]!, item);
    },
    /** The threads that are left work off what there is, and nothing is counted any more. */
    workOff(ran: number[] = []) {
      for (const slot of [0, 1]) queuers[3]!.pool(pools[slot]!).kick();
      for (let hasRun = true; hasRun; ) {
        hasRun = false;
        for (const slot of [0, 1]) {
          // It sleeps unless it was woken.
          if (!here.isBusy(slot)) continue;
          for (let i = here.next(slot); i >= 0; i = here.next(slot, i)) {
            ran.push(i);
            hasRun = true;
          }
        }
      }
      for (const pwq of pwqs) {
        for (const field of ['nrActive', 'nrInactive', 'inFlight', 'flushers', 'inactive'] as const) {
          expect([field, real.read(pwq + Pwq[field])]).toEqual([field, 0]);
        }
      }
      for (const pool of pools) {
        for (const field of ['first', 'deferred'] as const)
          expect([field, real.read(pool + Pool[field])]).toEqual([field, 0]);
      }
      return ran;
    },
  };
  function runningTwin(i: number) {
    return [0, 1]
      .map((twin) => twinAt(addressOf(i), twin))
      .find((twin) => (real.load(twin + Item.state) & PHASE) === RUNNING)!;
  }
  return here;
}
