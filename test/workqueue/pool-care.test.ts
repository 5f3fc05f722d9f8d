/** What kthreadd and the rescuer do for a pool, its threads stepped. */
import { describe, expect, test } from 'vitest';
import { Header } from '../../lib/memory/header.ts';
import { SLEEPING, Task } from '../../lib/sched/task.ts';
import { expireTimer, nextExpiry, timerFired } from '../../lib/sched/timer.ts';
import {
  BUSY,
  CPU_BOUND,
  FREE,
  FREE_RECORD,
  IDLE,
  Item,
  itemAt,
  LOST,
  PENDING,
  PHASE,
  Pool,
  Pwq,
  RESCUING,
  Root,
  RUNNING,
  rescuerAt,
  STARTING,
  WorkerRecord,
  workerAt,
} from '../../lib/workqueue/layout.ts';
import { push } from '../../lib/workqueue/lists.ts';
import { lockupReport } from '../../lib/workqueue/lockup.ts';
import { CPU_INTENSIVE, MEM_RECLAIM } from '../../lib/workqueue/options.ts';
import { WorkerPool } from '../../lib/workqueue/pool.ts';
import { attachRescuer, hogs, rescue } from '../../lib/workqueue/pool-care.ts';
import { calls } from '../../lib/workqueue/rescuer.ts';
import { addressOf } from '../../lib/workqueue/work.ts';
import { step, stepper } from '../support/stepper.ts';
import { f } from './functions.ts';
import { makeQueues } from './needy.ts';

const [SUBMITTER, WORKER, OTHER, RESCUER, KTHREADD] = [0, 1, 2, 3, 4] as const;

/**
 * A pool of that slot, -1 for none, with two workers at most; items 0 to 9 are of a queue that has a rescuer, 10 to 19 of one
 * that has none, 20 on of one that computes for long.
 */
function careStage({ slot = -1, limit = 1, maxActive = 8 } = {}) {
  const stage = stepper(5);
  const { arenas, real } = stage;
  const arena = arenas[SUBMITTER]!;
  const made = makeQueues(arena, { slot, slots: limit, maxWorkers: 2, maxActive }, [MEM_RECLAIM, 0, CPU_INTENSIVE]);
  const { root, pool: address, pwqs, slab } = made;
  const created: number[] = [];
  const rings: number[] = [];
  const views = arenas.map(
    ({ cpu, thread: { id } }) =>
      new WorkerPool(
        cpu,
        address,
        id,
        (index) => created.push(index),
        () => rings.push(id),
      ),
  );
  const tasks = arenas.map(({ thread, heap }) => thread.takeTask(heap));
  const fn = addressOf(arena, f.echo);
  const item = (i: number) => itemAt(slab, i);
  const record = (thread: number) => (thread === RESCUER ? rescuerAt(address) : workerAt(address, thread - 1));
  const indexOf = (at: number) => (at === 0 ? -1 : (at - item(0)) / Item.words);
  const here = {
    ...stage,
    address,
    pwqs,
    created,
    rings,
    item,
    record,
    view: (thread: number) => views[thread]!,
    join: (thread: number) => views[thread]!.join(record(thread), tasks[thread]!),
    fill(i: number) {
      real.write(item(i) + Item.pwq, pwqs[Math.floor(i / 10)]!);
      real.write(item(i) + Item.fn, fn);
      real.store(item(i) + Item.state, PENDING);
    },
    queue(...items: number[]) {
      for (const i of items) {
        here.fill(i);
        views[SUBMITTER]!.queue(item(i), item(i));
      }
    },
    next: (thread: number, finished = -1) =>
      indexOf(views[thread]!.step(record(thread), finished < 0 ? 0 : item(finished))),
    rescue: (finished = -1, by: number = RESCUER) =>
      indexOf(rescue(views[by]!, pwqs[0]!, finished < 0 ? 0 : item(finished))),
    /** The rescuer comes, and sleeps. */
    attach() {
      real.store(root + Root.rescuer, tasks[RESCUER]!);
      attachRescuer(views[RESCUER]!, tasks[RESCUER]!);
      here.sleepRescuer();
    },
    sleepRescuer: () => real.store(tasks[RESCUER]! + Task.state, SLEEPING),
    isRescuerAsleep: () => real.load(tasks[RESCUER]! + Task.state) === SLEEPING,
    called: () => calls(real, made.queues).map((pwq) => pwqs.indexOf(pwq)),
    state: (thread: number) => real.read(record(thread) + WorkerRecord.state),
    phase: (i: number) => real.load(item(i) + Item.state) & PHASE,
    running: () => real.load(address + Pool.running),
    of: (queue: number, field: number) => real.read(pwqs[queue]! + field),
    /** In how many ms the pool's timer fires; Infinity when it does not. */
    due: () => (nextExpiry(real, KTHREADD + 1) - arenas[KTHREADD]!.cpu.now()) / 1e6,
    /** The timer that there is fires, whenever it was to, on that thread. */
    fire(by: number = KTHREADD) {
      const { cpu, thread } = arenas[by]!;
      const timer = expireTimer(cpu, thread.id, Number.MAX_VALUE);
      if (timer === 0) return undefined;
      const result = views[by]!.tick();
      timerFired(cpu, thread.id, timer);
      return result;
    },
  };
  return here;
}

/** Both workers sleep in items, and no further one may be had. */
function blockedStage(...items: number[]) {
  const stage = careStage();
  for (const thread of [WORKER, OTHER]) {
    stage.join(thread);
    stage.queue(18 + thread - 1);
    expect(stage.next(thread)).toBe(18 + thread - 1);
    stage.view(thread).sleeping(stage.record(thread));
  }
  stage.queue(...items);
  return stage;
}

describe('a pool without a worker for its items', () => {
  test('whose rescuer is called too late, too often, or to items of queues that have none', () => {
    const stage = blockedStage(10, 0, 1);
    stage.attach();
    expect(stage.due()).toBeGreaterThan(9);
    expect(stage.due()).toBeLessThanOrEqual(10);
    expect(stage.called()).toEqual([]);
    stage.fire();
    expect(stage.called()).toEqual([0]);
    expect(stage.isRescuerAsleep()).toBe(false);
    expect([stage.of(0, Pwq.maydays), stage.of(1, Pwq.maydays)]).toEqual([1, 0]);
    // It comes again as long as there is need, and then every 100 ms.
    expect(stage.due()).toBeGreaterThan(99);
    expect(stage.due()).toBeLessThanOrEqual(100);
    stage.sleepRescuer();
    stage.fire();
    expect(stage.isRescuerAsleep()).toBe(false);
    expect(stage.of(0, Pwq.maydays)).toBe(1);
    expect([stage.rescue(), stage.rescue(0), stage.rescue(1)]).toEqual([0, 1, -1]);
    expect(stage.called()).toEqual([]);
    expect(stage.of(0, Pwq.rescued)).toBe(2);
    expect([stage.running(), stage.state(RESCUER)]).toEqual([0, RESCUING]);
    // The other queue's item has no worker still, and nobody to call.
    stage.sleepRescuer();
    stage.fire();
    expect(stage.isRescuerAsleep()).toBe(true);
    expect(stage.phase(10)).not.toBe(RUNNING);
  });

  test('whose rescuer takes what a worker would, or goes on when there is one again', () => {
    const stage = blockedStage(0, 1, 2);
    stage.attach();
    stage.fire();
    expect(stage.rescue()).toBe(0);
    stage.view(WORKER).running(stage.record(WORKER));
    expect(stage.rescue(0)).toBe(-1);
    expect(stage.called()).toEqual([]);
    expect(stage.next(WORKER, 18)).toBe(1);
    expect(stage.next(WORKER, 1)).toBe(2);
    expect(stage.next(WORKER, 2)).toBe(-1);
  });

  test('whose rescuer starts more at once than maxActive', () => {
    const stage = careStage({ maxActive: 1 });
    stage.attach();
    stage.queue(0, 1);
    stage.fire();
    expect(stage.rescue()).toBe(0);
    expect(stage.rescue()).toBe(-1);
    expect(stage.of(0, Pwq.nrActive)).toBe(1);
    stage.view(RESCUER).settle(stage.item(0));
    stage.fire();
    expect(stage.called()).toEqual([0]);
    expect([stage.rescue(), stage.rescue(1)]).toEqual([1, -1]);
  });

  test('whose worker was asked for by a thread that died then', () => {
    const stage = careStage();
    stage.queue(10);
    expect(stage.created).toEqual([0]);
    expect(stage.state(WORKER)).toBe(STARTING);
    let now = stage.arenas[KTHREADD]!.cpu.now();
    stage.arenas[KTHREADD]!.cpu.now = () => now;
    now += 500e6;
    stage.fire();
    expect(stage.created).toEqual([0]);
    now += 600e6;
    stage.fire();
    expect(stage.created).toEqual([0, 0]);
  });

  test('whose timer goes on when there is nothing to see to, or stops while there is', () => {
    const stage = careStage();
    stage.join(WORKER);
    stage.queue(0);
    expect(stage.due()).toBeGreaterThan(1e3); // it runs: looked after in case that it is stuck
    expect(stage.next(WORKER)).toBe(0);
    expect(stage.next(WORKER, 0)).toBe(-1);
    stage.fire();
    expect(stage.due()).toBe(Number.POSITIVE_INFINITY);
    expect(stage.fire()).toBeUndefined();
  });

  test('the death of whoever queues, at any step, leaves an item for which nobody is asked', () => {
    for (let k = 1; ; k++) {
      const stage = careStage();
      stage.fill(0);
      const died = stage.killBefore(SUBMITTER, step(k), () =>
        stage.view(SUBMITTER).queue(stage.item(0), stage.item(0)),
      );
      if (!died) return expect(k).toBeGreaterThan(30);
      expect(stage.reap(WORKER)).toBe('done');
      if (stage.phase(0) === LOST) continue;
      // Somebody makes kthreadd, which finds the timer.
      expect(stage.real.load(Header.kthreaddWanted)).toBe(1);
      expect(stage.due()).toBeLessThanOrEqual(10);
      stage.fire();
      expect(stage.state(WORKER)).toBe(STARTING);
      stage.attach();
      if (stage.called().length === 0) stage.fire();
      expect(stage.rescue()).toBe(0);
    }
  });

  test('the death of kthreadd, at any step, leaves the rescuer uncalled', () => {
    for (let k = 1; ; k++) {
      const stage = blockedStage(0);
      stage.attach();
      if (!stage.killBefore(KTHREADD, step(k), () => stage.fire())) return expect(k).toBeGreaterThan(30);
      expect(stage.reap(SUBMITTER)).toBe('done');
      expect(stage.due()).toBeLessThanOrEqual(10);
      stage.fire(SUBMITTER);
      expect(stage.called()).toEqual([0]);
      expect(stage.isRescuerAsleep()).toBe(false);
      expect([stage.rescue(), stage.rescue(0)]).toEqual([0, -1]);
    }
  });

  test('the death of the rescuer, at any step, leaves an item in its hands, or its record in the pool', () => {
    for (let k = 1; ; k++) {
      const stage = blockedStage(0, 1);
      stage.fire();
      const died = stage.killBefore(RESCUER, step(k), () => {
        stage.attach();
        stage.rescue();
        stage.rescue(0);
      });
      if (!died) return expect(k).toBeGreaterThan(60);
      expect(stage.reap(SUBMITTER)).toBe('done');
      expect(stage.state(RESCUER)).toBe(FREE_RECORD);
      stage.fire();
      // The next one's thread has another number.
      const ran: number[] = [];
      for (let i = stage.rescue(-1, SUBMITTER); i >= 0; i = stage.rescue(i, SUBMITTER)) ran.push(i);
      for (const i of [0, 1]) expect(ran.includes(i) || stage.phase(i) === LOST || stage.phase(i) === 6).toBe(true);
      expect([stage.of(0, Pwq.nrActive), stage.of(0, Pwq.inFlight)]).toEqual([0, 0]);
      expect(stage.called()).toEqual([]);
    }
  });
});

describe('an item of a slot that computes for long', () => {
  test('keeps the slot from the next, or gives it away twice', () => {
    const stage = careStage({ slot: 0 });
    for (const thread of [WORKER, OTHER]) {
      stage.join(thread);
      expect(stage.next(thread)).toBe(-1);
    }
    stage.queue(10, 11);
    expect(stage.next(OTHER)).toBe(10);
    expect(stage.due()).toBeLessThanOrEqual(10);
    const [running] = stage.fire()!.running;
    expect(running).toMatchObject({ worker: stage.record(OTHER), item: stage.item(10) });
    expect(stage.due()).toBeLessThanOrEqual(10); // comes again while it runs
    expect(stage.state(WORKER)).toBe(IDLE);
    expect(hogs(stage.view(KTHREADD), running!)).toBe(true);
    expect([stage.state(OTHER), stage.state(WORKER), stage.running()]).toEqual([CPU_BOUND, BUSY, 1]);
    expect(stage.of(1, Pwq.hogs)).toBe(1);
    expect(hogs(stage.view(KTHREADD), running!)).toBe(false);
    // Its sleeps are nobody's gain any more.
    stage.view(OTHER).sleeping(stage.record(OTHER));
    stage.view(OTHER).running(stage.record(OTHER));
    expect([stage.state(OTHER), stage.running()]).toEqual([CPU_BOUND, 1]);
    expect(stage.next(WORKER)).toBe(11);
    stage.queue(12);
    // Over: two run for a moment, and the first that is through takes no more.
    expect(stage.next(OTHER, 10)).toBe(-1);
    expect([stage.state(OTHER), stage.running()]).toEqual([IDLE, 1]);
    expect(stage.next(WORKER, 11)).toBe(12);
    expect(stage.next(WORKER, 12)).toBe(-1);
    expect(stage.running()).toBe(0);
  });

  test('is another by now, and gives away the slot of that', () => {
    const stage = careStage({ slot: 0 });
    stage.join(WORKER);
    stage.queue(10, 11);
    expect(stage.next(WORKER)).toBe(10);
    const [running] = stage.fire()!.running;
    expect(stage.next(WORKER, 10)).toBe(11);
    expect(hogs(stage.view(KTHREADD), running!)).toBe(false);
    const [other] = stage.fire()!.running;
    // It has slept since.
    stage.view(WORKER).sleeping(stage.record(WORKER));
    expect(hogs(stage.view(KTHREADD), other!)).toBe(false);
    expect(stage.fire()!.running).toEqual([]);
    stage.view(WORKER).running(stage.record(WORKER));
    // It runs again, but not for so long.
    expect(hogs(stage.view(KTHREADD), other!)).toBe(false);
    const [again] = stage.fire()!.running;
    stage.queue(12);
    // It is awaited.
    expect(stage.next(WORKER)).toBe(12);
    expect(hogs(stage.view(KTHREADD), again!)).toBe(false);
    expect(stage.next(WORKER, 12)).toBe(-1);
    expect(stage.of(1, Pwq.hogs)).toBe(0);
  });

  test('of a queue that says so counts as running', () => {
    const stage = careStage({ slot: 0 });
    for (const thread of [WORKER, OTHER]) {
      stage.join(thread);
      expect(stage.next(thread)).toBe(-1);
    }
    stage.queue(20, 10);
    expect(stage.next(OTHER)).toBe(20);
    expect([stage.state(OTHER), stage.state(WORKER)]).toEqual([CPU_BOUND, BUSY]);
    expect(stage.next(WORKER)).toBe(10);
    expect(stage.next(OTHER, 20)).toBe(-1);
    expect(stage.next(WORKER, 10)).toBe(-1);
    expect(stage.running()).toBe(0);
  });

  test('in an unbound pool, where all that run have a core, gives its slot away', () => {
    const stage = careStage();
    stage.join(WORKER);
    stage.queue(20, 10);
    expect(stage.next(WORKER)).toBe(20);
    expect([stage.state(WORKER), stage.running()]).toEqual([BUSY, 1]);
    expect(stage.fire()!.running).toEqual([]);
  });

  test('whose worker dies at any step, after which the next that computes for long is not seen', () => {
    for (let k = 1; ; k++) {
      const stage = careStage({ slot: 0 });
      stage.join(OTHER);
      expect(stage.next(OTHER)).toBe(-1);
      stage.join(WORKER);
      stage.fill(10);
      push(stage.real, stage.address + Pool.incoming, stage.item(10), stage.item(10));
      if (!stage.killBefore(WORKER, step(k), () => stage.next(WORKER))) return expect(k).toBeGreaterThan(30);
      expect(stage.reap(SUBMITTER)).toBe('done');
      stage.fire();
      stage.queue(11);
      const next = stage.next(OTHER);
      expect([10, 11]).toContain(next);
      expect(stage.due()).toBeLessThanOrEqual(10);
      expect(stage.fire()!.running).toMatchObject([{ worker: stage.record(OTHER), item: stage.item(next) }]);
    }
  });

  test('whose worker dies is counted still', () => {
    const stage = careStage({ slot: 0 });
    stage.join(WORKER);
    stage.queue(20);
    expect(stage.next(WORKER)).toBe(20);
    stage.die(WORKER);
    expect(stage.reap(SUBMITTER)).toBe('done');
    expect([stage.running(), stage.phase(20), stage.state(WORKER)]).toEqual([0, LOST, FREE_RECORD]);
  });
});

describe('a pool in which nothing goes on', () => {
  test('is not told from one that is idle, busy, or has just got work', () => {
    const stage = careStage();
    let now = stage.arenas[KTHREADD]!.cpu.now();
    for (const thread of [SUBMITTER, WORKER, OTHER, KTHREADD]) stage.arenas[thread]!.cpu.now = () => now;
    const queueNow = (i: number) => {
      stage.real.write(stage.item(i) + Item.since, Math.floor(now / 1e3) | 0);
      stage.queue(i);
    };
    for (const thread of [OTHER, WORKER]) {
      stage.join(thread);
      expect(stage.next(thread)).toBe(-1);
    }
    now += 100e9;
    queueNow(10);
    // It has been woken, and takes long to come.
    now += 40e9;
    expect(stage.fire()!.stuck).toBe(0);
    expect(stage.fire()!.stuck).toBe(0);
    expect(stage.next(WORKER)).toBe(10);
    now += 100e9;
    queueNow(11);
    queueNow(12);
    now += 31e9;
    expect(stage.fire()!.stuck).toBe(31e6);
    expect(stage.next(WORKER, 10)).toBe(11);
    expect(stage.fire()!.stuck).toBe(0);
    expect(stage.next(WORKER, 11)).toBe(12);
    expect(stage.next(WORKER, 12)).toBe(-1);
    expect(stage.fire()).toBeDefined();
    expect(stage.fire()).toBeUndefined();
  });

  test('is told from one whose first thread takes long to start', () => {
    const stage = careStage();
    let now = stage.arenas[KTHREADD]!.cpu.now();
    stage.arenas[KTHREADD]!.cpu.now = () => now;
    stage.real.write(stage.item(10) + Item.since, Math.floor(now / 1e3) | 0);
    stage.queue(10);
    now += 40e9;
    expect(stage.fire()!.stuck).toBe(0);
  });

  test('is reported in other words than the kernel’s, or without what it holds', () => {
    const stage = careStage({ maxActive: 2 });
    stage.join(WORKER);
    stage.queue(10, 11, 12, 13, 0);
    expect(stage.next(WORKER)).toBe(10);
    stage.view(WORKER).sleeping(stage.record(WORKER));
    stage.real.store(stage.item(13) + Item.state, FREE);
    expect(lockupReport(stage.arenas[KTHREADD]!, stage.address, 31.5e6)).toEqual([
      'BUG: workqueue lockup - pool cpus=0 node=0 flags=0x4 nice=0 stuck for 31s!',
      'Showing busy workqueues and worker pools:',
      'workqueue wq 0: flags=0x8',
      '  pwq 0: cpus=0 node=0 flags=0x4 nice=0 active=1/2',
      '    pending: echo',
      'workqueue wq 1: flags=0x0',
      '  pwq 0: cpus=0 node=0 flags=0x4 nice=0 active=2/2',
      '    in-flight: kworker/u1:0:echo',
      '    pending: echo',
      '    inactive: echo',
      'pool cpus=0 node=0 flags=0x4 nice=0 hung=31s workers=2 manager: kworker/u1:1',
    ]);
  });
});
