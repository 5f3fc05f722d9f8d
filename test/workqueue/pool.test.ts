import { describe, expect, test } from 'vitest';
import { SLEEPING, Task, unpark } from '../../lib/sched/task.ts';
import {
  ASLEEP,
  BUSY,
  CANCELLED,
  DONE,
  FREE,
  IDLE,
  Item,
  itemAt,
  LISTED,
  LOST,
  PENDING,
  PHASE,
  Pool,
  Port,
  Pwq,
  pwqAt,
  RUNNING,
  STARTING,
  TIMES,
  WorkerRecord,
  Wq,
  workerAt,
} from '../../lib/workqueue/layout.ts';
import { chainFrom, push } from '../../lib/workqueue/lists.ts';
import { makePort, makeSlab, openPool, openWq } from '../../lib/workqueue/objects.ts';
import { WorkerPool } from '../../lib/workqueue/pool.ts';
import { adjust } from '../../lib/workqueue/pool-care.ts';
import { countTime, readTimes } from '../../lib/workqueue/times.ts';
import { step, stepper } from '../support/stepper.ts';

/** A pool with one slot, or more, whose workers are threads 1, 2, ...; thread 0 submits. */
function pool({ threads = 3, limit = 1, maxActive = 8 } = {}) {
  const stage = stepper(threads);
  const { arenas, real } = stage;
  const root = { address: 0, slots: limit, maxWorkers: threads - 1, maxAwaited: 8 };
  const address = openPool(arenas[0]!, root, -1, false);
  const pwq = pwqAt(openWq(arenas[0]!, 'wq', 0, maxActive, [address]), 0);
  const port = makePort(arenas[0]!);
  const slab = makeSlab(arenas[0]!, port, 0, 0);
  const created: number[] = [];
  const views = arenas.map(
    ({ cpu, thread }) => new WorkerPool(cpu, address, thread.id, (index) => created.push(index)),
  );
  const record = (thread: number) => workerAt(address, thread - 1);
  const tasks = arenas.map(({ thread, heap }) => thread.takeTask(heap));
  const item = (i: number) => itemAt(slab, i);
  const fill = (i: number) => {
    real.write(item(i) + Item.pwq, pwq);
    real.store(item(i) + Item.state, PENDING);
  };
  return {
    ...stage,
    address,
    pwq,
    port,
    created,
    item,
    view: (thread: number) => views[thread]!,
    record,
    join: (thread: number) => views[thread]!.join(record(thread), tasks[thread]!),
    /** Thread 0 queues those items, in one step. */
    queue: (...items: number[]) => {
      items.forEach((i, at) => {
        fill(i);
        if (at > 0) real.write(item(i) + Item.link, item(items[at - 1]!));
      });
      views[0]!.queue(item(items.at(-1)!), item(items[0]!));
    },
    fill,
    /** The number of the item that thread `thread` runs next, or -1. */
    next: (thread: number, finished = -1) => {
      const found = views[thread]!.step(record(thread), finished < 0 ? 0 : item(finished));
      return found === 0 ? -1 : (found - slab - (item(0) - slab)) / Item.words;
    },
    phase: (i: number) => real.load(item(i) + Item.state) & PHASE,
    state: (thread: number) => real.read(record(thread) + WorkerRecord.state),
    isAsleep: (thread: number) => real.load(tasks[thread]! + Task.state) === SLEEPING,
    wake: (thread: number) => unpark(real, tasks[thread]!),
    running: () => real.load(address + Pool.running),
    active: () => real.read(pwq + Pwq.nrActive),
    setMaxActive: (most: number) => real.store(real.read(pwq + Pwq.workqueue) + Wq.savedMaxActive, most),
    /** The numbers of the items that have come back, the first first. */
    received: () => {
      const chain = chainFrom(real, real.xchg(port + Port.completed, 0));
      return chain.reverse().map((at) => (at - item(0)) / Item.words);
    },
    flush: (thread: number, i: number) => {
      real.write(item(i) + Item.pwq, pwq);
      views[thread]!.flush(pwq, item(i));
    },
  };
}

describe('a worker pool', () => {
  test('in which items begin in another order than that in which they were queued, or more than maxActive at once', () => {
    const stage = pool({ limit: 2, maxActive: 2 });
    stage.join(1);
    stage.join(2);
    stage.queue(0, 1, 2);
    stage.queue(3, 4);
    expect(stage.next(1)).toBe(0);
    expect(stage.next(2)).toBe(1);
    expect(stage.active()).toBe(2);
    expect(stage.view(1).step(stage.record(1), 0)).toBe(0); // two are active: the others wait for them
    expect(stage.state(1)).toBe(IDLE);
    expect(stage.next(2, 1)).toBe(2);
    stage.view(1).settle(stage.item(0));
    expect(stage.state(1)).toBe(BUSY); // woken for the one that has become active
    expect(stage.next(1)).toBe(3);
    expect(stage.active()).toBe(2);
    expect(stage.next(1, 3)).toBe(4);
    expect(stage.next(1, 4)).toBe(-1);
    expect(stage.next(2, 2)).toBe(-1);
    expect(stage.active()).toBe(0);
    expect(stage.received()).toEqual([1, 0, 3, 4, 2]);
  });

  test('that sleeps on what is queued at any step of its going to sleep', () => {
    for (let k = 1; ; k++) {
      const stage = pool();
      stage.join(1);
      let seesFreeSlot = false;
      stage.before(1, step(k), () => {
        stage.fill(0);
        push(stage.real, stage.address + Pool.incoming, stage.item(0), stage.item(0));
        seesFreeSlot = stage.running() < 1;
      });
      const found = stage.next(1);
      if (stage.cancel(1)) break;
      // A submitter that sees a free slot gets the latch now, as `queue` goes on.
      if (seesFreeSlot) stage.view(0).kick();
      expect(found === 0 || (stage.state(1) === BUSY && !stage.isAsleep(1))).toBe(true);
      if (found < 0) expect(stage.next(1)).toBe(0);
    }
  });

  test('that wakes more workers than it has slots', () => {
    const stage = pool({ threads: 4 });
    for (const thread of [1, 2, 3]) {
      stage.join(thread);
      expect(stage.next(thread)).toBe(-1);
    }
    stage.queue(0, 1, 2);
    stage.queue(3);
    // Last in, first out; and one at most, although its thread has not run yet.
    expect([1, 2, 3].map(stage.isAsleep)).toEqual([true, true, false]);
    expect(stage.running()).toBe(1);
  });

  test('whose slot lies idle while the worker that has it sleeps', () => {
    const stage = pool();
    stage.join(1);
    stage.join(2);
    expect(stage.next(2)).toBe(-1);
    stage.queue(0, 1);
    expect(stage.next(1)).toBe(0);
    expect(stage.isAsleep(2)).toBe(true);
    stage.view(1).sleeping(stage.record(1));
    expect(stage.state(1)).toBe(ASLEEP);
    expect(stage.isAsleep(2)).toBe(false);
    expect(stage.next(2)).toBe(1);
    stage.view(1).running(stage.record(1));
    expect(stage.running()).toBe(2);
    stage.queue(2);
    // Two run for a moment; the first that is through takes no more, although there is work.
    expect(stage.next(2, 1)).toBe(-1);
    expect(stage.running()).toBe(1);
    expect(stage.isAsleep(2)).toBe(true);
    expect(stage.next(1, 0)).toBe(2);
    expect(stage.next(1, 2)).toBe(-1);
  });

  test('that wakes an idle worker whose continuation sleeps in a lock', () => {
    const stage = pool();
    stage.join(1);
    stage.join(2);
    expect(stage.next(1)).toBe(-1);
    expect(stage.next(2)).toBe(-1);
    stage.view(2).sleeping(stage.record(2));
    stage.queue(0);
    expect([1, 2].map(stage.isAsleep)).toEqual([false, true]);
    expect(stage.next(1)).toBe(0);
    stage.view(2).running(stage.record(2));
    expect(stage.state(2)).toBe(IDLE);
    expect(stage.running()).toBe(1);
  });

  test('without an idle worker in reserve, or with more threads than it may have', () => {
    const stage = pool();
    stage.queue(0);
    expect(stage.created).toEqual([0]);
    expect(stage.state(1)).toBe(STARTING);
    stage.queue(1);
    stage.view(0).kick();
    expect(stage.created).toEqual([0]); // one is on its way
    stage.join(1);
    expect(stage.next(1)).toBe(0);
    expect(stage.created).toEqual([0, 1]);
    stage.join(2);
    expect(stage.next(2)).toBe(-1);
    stage.view(1).sleeping(stage.record(1));
    expect(stage.next(2)).toBe(1);
    stage.view(2).sleeping(stage.record(2));
    stage.queue(2);
    expect(stage.created).toEqual([0, 1]); // both it may have are there
  });

  test('that asks again for a thread that is on its way, or never for one that does not come', () => {
    const stage = pool({ threads: 4 });
    let now = 5e9;
    stage.arenas[0]!.cpu.now = () => now;
    stage.queue(0);
    now += 999e6;
    stage.view(0).look();
    expect(stage.created).toEqual([0]);
    now += 1e6;
    stage.view(0).look();
    expect(stage.created).toEqual([0, 0]);
    stage.view(0).look();
    expect(stage.created).toEqual([0, 0]);
    stage.join(1);
    now += 2e9;
    stage.view(0).look();
    expect(stage.created).toEqual([0, 0, 1]); // one in reserve
  });

  test('whose new worker comes before those that know the functions, or sleeps on what was there before it', () => {
    const stage = pool({ threads: 4 });
    for (const thread of [1, 2]) {
      stage.join(thread);
      expect(stage.next(thread)).toBe(-1);
    }
    stage.join(3);
    stage.view(3).standBy(stage.record(3));
    expect(stage.running()).toBe(0);
    stage.queue(0);
    expect([1, 2, 3].map(stage.isAsleep)).toEqual([true, false, true]);
    expect(stage.next(2)).toBe(0);
    stage.view(2).sleeping(stage.record(2));
    stage.queue(1);
    expect([1, 2, 3].map(stage.isAsleep)).toEqual([false, false, true]);
    expect(stage.next(1)).toBe(1);
    stage.view(1).sleeping(stage.record(1));
    stage.queue(2);
    expect(stage.isAsleep(3)).toBe(false);
    expect(stage.next(3)).toBe(2);
    const other = pool();
    other.queue(0);
    other.join(1);
    other.view(1).standBy(other.record(1));
    expect([other.state(1), other.isAsleep(1)]).toEqual([BUSY, false]);
    expect(other.next(1)).toBe(0);
  });

  test('that keeps idle workers that are too many, or lets the last two go', () => {
    const stage = pool({ threads: 5 });
    for (const thread of [1, 2, 3, 4]) stage.join(thread);
    for (const thread of [1, 2, 3]) stage.next(thread);
    expect(stage.view(1).cull(stage.record(1))).toBe(true);
    expect(stage.view(2).cull(stage.record(2))).toBe(false);
    stage.next(4);
    expect(stage.view(4).cull(stage.record(4))).toBe(true);
    expect(stage.view(3).cull(stage.record(3))).toBe(false);
  });

  test('whose flush ends before what was queued before, or waits for what was queued after', () => {
    const stage = pool({ maxActive: 1 });
    stage.join(1);
    stage.queue(0, 1);
    stage.flush(0, 10);
    stage.queue(2);
    stage.flush(0, 11);
    stage.flush(0, 12);
    stage.queue(3);
    expect(stage.next(1)).toBe(0);
    expect(stage.next(1, 0)).toBe(1);
    expect(stage.received()).toEqual([0]);
    expect(stage.next(1, 1)).toBe(2);
    expect(stage.received()).toEqual([1, 10]); // what a flush has waited for is told first
    expect(stage.next(1, 2)).toBe(3);
    expect(stage.received().sort((a, b) => a - b)).toEqual([2, 11, 12]);
    stage.flush(0, 13);
    expect(stage.received()).toEqual([]);
    expect(stage.next(1, 3)).toBe(-1);
    expect(stage.received().sort((a, b) => a - b)).toEqual([3, 13]);
  });

  test('whose flushes end in another order than that in which they began', () => {
    const stage = pool({ limit: 2 });
    stage.join(1);
    stage.join(2);
    stage.queue(0);
    expect(stage.next(1)).toBe(0);
    stage.flush(0, 10);
    stage.queue(1);
    expect(stage.next(2)).toBe(1);
    stage.flush(0, 11);
    expect(stage.next(2, 1)).toBe(-1);
    expect(stage.received()).toEqual([1]);
    expect(stage.next(1, 0)).toBe(-1);
    expect(stage.received().sort((a, b) => a - b)).toEqual([0, 10, 11]);
  });

  test('that runs an item which was cancelled, or loses count of it', () => {
    const stage = pool({ maxActive: 1 });
    stage.join(1);
    stage.fill(0);
    stage.real.store(stage.item(0) + Item.state, CANCELLED);
    stage.view(0).queue(stage.item(0), stage.item(0));
    stage.queue(1, 2, 3);
    expect(stage.next(1)).toBe(1);
    stage.real.cmpxchg(stage.item(2) + Item.state, LISTED, CANCELLED);
    expect(stage.next(1, 1)).toBe(3);
    expect(stage.active()).toBe(1);
    expect(stage.next(1, 3)).toBe(-1);
    expect(stage.active()).toBe(0);
    expect(stage.received().sort((a, b) => a - b)).toEqual([0, 1, 2, 3]);
    expect(stage.real.read(stage.pwq + Pwq.inFlight)).toBe(0);
  });

  test('whose times are those of another item, or are counted twice', () => {
    const stage = pool();
    stage.join(1);
    const step = (finished: number, us: number) =>
      stage.view(1).step(stage.record(1), finished < 0 ? 0 : stage.item(finished), us * 1e3);
    const counts = (times: number) =>
      Object.entries(readTimes(stage.real, [stage.pwq + times]).counts).filter(([, count]) => count > 0);
    for (const i of [0, 1, 2]) stage.real.write(stage.item(i) + Item.since, 1000 + i);
    stage.queue(0, 2, 1);
    expect(step(-1, 5000)).toBe(stage.item(0));
    // Given up: it neither waits nor runs.
    stage.real.cmpxchg(stage.item(2) + Item.state, LISTED, CANCELLED);
    expect(counts(Pwq.waits)).toEqual([['12', 1]]); // 4,000 us
    expect(counts(Pwq.runs)).toEqual([]);
    expect(step(0, 5003)).toBe(stage.item(1));
    expect(counts(Pwq.runs)).toEqual([['2', 1]]); // 3 us
    // A clock that lags behind, and an item that takes for ever.
    expect(step(1, 5002)).toBe(0);
    expect(counts(Pwq.waits)).toEqual([['12', 2]]);
    expect(counts(Pwq.runs)).toEqual([
      ['0', 1],
      ['2', 1],
    ]);
    countTime(stage.real, stage.pwq + Pwq.runs, 2 ** 31 - 1);
    expect(readTimes(stage.real, [stage.pwq + Pwq.runs])).toMatchObject({ count: 3, p50: 4, p90: 2 ** 25 });
    expect(readTimes(stage.real, [stage.pwq + Pwq.runs, stage.pwq + Pwq.waits])).toMatchObject({ count: 5, p50: 4096 });
    expect(readTimes(stage.real, [])).toMatchObject({ count: 0, p50: 0, p99: 0 });
    // From 36 minutes on the difference of two clocks of 32 bits is below 0, and so it is when they were read in another order.
    const counted = (us: number) => {
      const times = stage.pwq + Pwq.waits;
      stage.real.words.fill(0, times, times + TIMES);
      countTime(stage.real, times, us | 0);
      return readTimes(stage.real, [times]).counts.indexOf(1);
    };
    expect([36 * 60e6, 71 * 60e6, -1, -1000].map(counted)).toEqual([TIMES - 1, TIMES - 1, 0, 0]);
  });

  test('where maxActive is raised and nothing more begins', () => {
    const stage = pool({ maxActive: 1, limit: 2 });
    stage.join(1);
    stage.join(2);
    stage.queue(0, 1, 2);
    expect(stage.next(1)).toBe(0);
    expect(stage.next(2)).toBe(-1);
    stage.setMaxActive(2);
    adjust(stage.view(0), stage.pwq);
    expect(stage.state(2)).toBe(BUSY);
    expect(stage.next(2)).toBe(1);
    expect(stage.active()).toBe(2);
  });

  test('where what comes while maxActive is raised overtakes what waits', () => {
    const stage = pool({ maxActive: 1, limit: 2 });
    stage.join(1);
    stage.join(2);
    stage.queue(0, 1);
    expect(stage.next(1)).toBe(0);
    stage.setMaxActive(3);
    stage.queue(2);
    expect(stage.next(2)).toBe(-1);
    adjust(stage.view(0), stage.pwq);
    expect(stage.next(2)).toBe(1);
    expect(stage.next(2, 1)).toBe(2);
  });
});

/** After a death: a worker that is alive runs what is left, in order; each item ends once, and nothing is counted still. */
function workOff(stage: ReturnType<typeof pool>, items: readonly number[], ran: number[], flusher: number) {
  const ended: number[] = [...stage.received()];
  if (stage.state(2) === IDLE) stage.view(2).kick();
  for (let found = stage.next(2); found >= 0; found = stage.next(2, found)) ran.push(found);
  ended.push(...stage.received());
  for (const i of [...items, flusher]) {
    const isBack = ended.filter((other) => other === i).length;
    expect(stage.phase(i) === DONE || stage.phase(i) === LOST || stage.phase(i) === FREE).toBe(true);
    expect(isBack).toBeLessThanOrEqual(1);
    if (stage.phase(i) === DONE) expect(isBack).toBe(1);
  }
  expect(ran).toEqual([...ran].sort((a, b) => a - b));
  expect(new Set(ran).size).toBe(ran.length);
  for (const field of [Pwq.nrActive, Pwq.nrInactive, Pwq.inFlight, Pwq.flushers, Pwq.inactive]) {
    expect(stage.real.read(stage.pwq + field)).toBe(0);
  }
  expect(stage.running()).toBe(0);
}

describe('deaths', () => {
  test('of a worker at any step that leaves an item in nobody’s hands', () => {
    for (let k = 1; ; k++) {
      const stage = pool({ maxActive: 2 });
      const items = [0, 1, 2, 3, 4];
      const ran: number[] = [];
      stage.join(2);
      expect(stage.next(2)).toBe(-1);
      // The queue has another colour than items that come to it.
      stage.flush(2, 12);
      expect(stage.received()).toEqual([12]);
      stage.queue(...items);
      stage.real.cmpxchg(stage.item(1) + Item.state, PENDING, CANCELLED);
      const died = stage.killBefore(1, step(k), () => {
        stage.join(1);
        const first = stage.next(1);
        stage.flush(1, 10);
        if (first >= 0) ran.push(first);
        const second = stage.next(1, first);
        if (second >= 0) ran.push(second);
        stage.view(1).sleeping(stage.record(1));
        stage.view(1).running(stage.record(1));
        stage.next(1, second);
      });
      if (!died) break;
      expect(stage.reap(0)).toBe('done');
      expect(stage.real.read(stage.record(1) + WorkerRecord.thread)).toBe(0);
      if (stage.phase(10) !== FREE) expect(stage.real.read(stage.port + Port.rescan)).toBeLessThanOrEqual(1);
      workOff(stage, items, ran, 10);
      // The one that was given up before it was listed is not counted.
      expect([k, stage.real.read(stage.pwq + Pwq.ended) < items.length]).toEqual([k, true]);
      expect(stage.phase(1)).not.toBe(LISTED);
      // What was in the dead thread's hands: one that it ran, and all that it has ended, whether or not it handed them over.
      const lost = items.filter((i) => stage.phase(i) === LOST);
      expect(lost.length).toBeLessThanOrEqual(4);
      if (lost.length > 0) expect(stage.real.read(stage.port + Port.rescan)).toBe(1);
    }
  });

  test('of a worker after which what the others run does not count as active', () => {
    const stage = pool({ limit: 2, maxActive: 2 });
    stage.join(1);
    stage.join(2);
    stage.queue(0, 1, 2, 3);
    expect(stage.next(1)).toBe(0);
    expect(stage.next(2)).toBe(1);
    stage.die(1);
    expect(stage.reap(0)).toBe('done');
    // What died with its worker has ended.
    expect(stage.real.read(stage.pwq + Pwq.ended)).toBe(1);
    expect(stage.active()).toBe(2);
    expect(stage.real.read(stage.pwq + Pwq.nrInactive)).toBe(1);
  });

  test('of a submitter at any step that leave items half-queued', () => {
    for (let k = 1; ; k++) {
      const stage = pool();
      stage.join(2);
      expect(stage.next(2)).toBe(-1);
      stage.fill(0);
      stage.fill(1);
      stage.real.write(stage.item(1) + Item.link, stage.item(0));
      const died = stage.killBefore(0, step(k), () => {
        stage.view(0).queue(stage.item(1), stage.item(0));
        stage.flush(0, 10);
      });
      if (!died) break;
      expect(stage.reap(1)).toBe('done');
      expect(stage.real.load(stage.port + Port.owner)).toBe(-1);
      const ran: number[] = [];
      workOff(stage, [0, 1], ran, 10);
      // All of them, or none.
      expect(ran.length === 2 || [0, 1].every((i) => stage.phase(i) === LOST)).toBe(true);
    }
  });

  test('of a submitter that has cancelled what it never queued, which nobody can have any more', () => {
    const stage = pool();
    stage.fill(0);
    stage.real.store(stage.item(0) + Item.state, CANCELLED);
    stage.die(0);
    expect(stage.reap(1)).toBe('done');
    expect(stage.phase(0)).toBe(LOST);
  });

  test('of a worker whose last item is queued again while the reaper looks at it, and never runs', () => {
    const stage = pool();
    stage.join(1);
    stage.join(2);
    expect(stage.next(2)).toBe(-1);
    stage.queue(0);
    expect(stage.next(1)).toBe(0);
    expect(stage.next(1, 0)).toBe(-1);
    stage.die(1);
    const state = stage.item(0) + Item.state;
    stage.before(
      0,
      ({ op, address }) => address === state && (op === 'store' || op === 'cmpxchg'),
      () => {
        expect(stage.received()).toEqual([0]);
        stage.fill(0);
        push(stage.real, stage.address + Pool.incoming, stage.item(0), stage.item(0));
      },
    );
    expect(stage.reap(0)).toBe('done');
    expect(stage.cancel(0)).toBe(false);
    stage.view(0).kick();
    expect(stage.next(2)).toBe(0);
  });

  test('of a worker that runs an item, which stays RUNNING', () => {
    const stage = pool();
    stage.join(1);
    stage.queue(0);
    expect(stage.next(1)).toBe(0);
    expect(stage.phase(0)).toBe(RUNNING);
    stage.flush(0, 10);
    stage.die(1);
    expect(stage.reap(0)).toBe('done');
    expect([0, 10].map(stage.phase)).toEqual([LOST, LOST]);
    expect(stage.active()).toBe(0);
    expect(stage.running()).toBe(0);
  });
});
