/** Items that await something, and what computes for long on the thread where they are. The threads stepped, and real ones. */
import { describe, expect, test } from 'vitest';
import {
  BUSY,
  FunctionWords,
  ID_SHIFT,
  IDLE,
  Item,
  itemAt,
  PENDING,
  Pool,
  Pwq,
  RUNNING,
  WorkerRecord,
  workerAt,
} from '../../lib/workqueue/layout.ts';
import { push } from '../../lib/workqueue/lists.ts';
import { WorkerPool } from '../../lib/workqueue/pool.ts';
import { readTime } from '../../lib/workqueue/times.ts';
import { stepper } from '../support/stepper.ts';
import { makeQueues } from './needy.ts';

const QUICK = 0;
const SLOW = 1;

/** Threads 1 to 3 may be workers of an unbound pool with two slots; items are of a quick or a slow function. */
function suspendedStage() {
  const stepped = stepper(4);
  const { arenas, real } = stepped;
  const { pool, pwqs, slab } = makeQueues(arenas[0]!, { slots: 2, maxWorkers: 4 }, [0]);
  const created: number[] = [];
  const views = arenas.map(({ cpu, thread }) => new WorkerPool(cpu, pool, thread.id, (index) => created.push(index)));
  const functions = [QUICK, SLOW].map((isSlow) => {
    const fn = arenas[0]!.heap.alloc(FunctionWords.words, arenas[0]!.thread.nascent);
    real.store(fn + FunctionWords.slow, 100 * isSlow);
    return fn;
  });
  const record = (thread: number) => workerAt(pool, thread - 1);
  const item = (i: number) => itemAt(slab, i);
  const here = {
    ...stepped,
    created,
    item,
    now: () => arenas[1]!.cpu.now(),
    /** It has come back to its submitter, and runs again, on that worker. */
    recycle(i: number) {
      real.store(item(i) + Item.state, RUNNING | (2 << ID_SHIFT));
      real.write(item(i) + Item.worker, record(1));
    },
    slow: (fn: number) => real.load(functions[fn]! + FunctionWords.slow),
    join: (by: number) => views[by]!.join(record(by), arenas[by]!.thread.takeTask(arenas[by]!.heap)),
    queue(i: number, fn: number) {
      here.push(i, fn);
      views[0]!.kick();
    },
    push(i: number, fn: number) {
      real.write(item(i) + Item.pwq, pwqs[0]!);
      real.write(item(i) + Item.fn, functions[fn]!);
      real.store(item(i) + Item.state, PENDING);
      push(arenas[0]!.cpu, pool + Pool.incoming, item(i), item(i));
    },
    /** The item that the worker runs next, which awaits so many; -1 for none. `now`: ms. */
    next(by: number, { finished = -1, awaits = 0, now = 1 } = {}) {
      const found = views[by]!.step(record(by), finished < 0 ? 0 : item(finished), now * 1e6, awaits);
      return found === 0 ? -1 : (found - item(0)) / Item.words;
    },
    /** What the queue's items have computed, us. */
    computed: () => readTime(real, pwqs[0]! + Pwq.computed),
    look: () => views[0]!.tick(),
    sleep: (by: number) => views[by]!.sleeping(record(by)),
    wakeUp: (by: number) => views[by]!.running(record(by)),
    settle: (by: number, i: number, isComputed = false, awaits = 0) => views[by]!.settle(item(i), isComputed, awaits),
    state: (by: number) => real.read(record(by) + WorkerRecord.state),
  };
  return here;
}

/** Worker 2 awaits an item and is idle; worker 1 awaits none, and has been woken for item 1, which is slow. */
function leftToTheFirst() {
  const stage = suspendedStage();
  for (const by of [1, 2]) stage.join(by);
  stage.queue(0, QUICK);
  expect([stage.next(2), stage.next(1)]).toEqual([0, -1]);
  expect(stage.next(2, { awaits: 1 })).toBe(-1);
  stage.queue(1, SLOW);
  expect([1, 2].map(stage.state)).toEqual([BUSY, IDLE]);
  return stage;
}

describe('a worker that awaits an item', () => {
  test('takes one that computes for long although another worker is free', () => {
    const stage = suspendedStage();
    stage.join(1);
    stage.join(2);
    expect(stage.next(2)).toBe(-1);
    stage.queue(0, QUICK);
    expect(stage.next(1)).toBe(0);
    stage.queue(1, SLOW);
    // It was woken for that, and comes late.
    expect(stage.state(2)).toBe(BUSY);
    expect(stage.next(2)).toBe(1);
    stage.join(3);
    expect(stage.next(3)).toBe(-1);
    expect(stage.next(2, { finished: 1 })).toBe(-1);
    stage.queue(2, SLOW);
    stage.queue(3, QUICK);
    expect([stage.state(2), stage.state(3)]).toEqual([BUSY, IDLE]);
    expect(stage.next(1, { awaits: 1 })).toBe(-1);
    // It is left to the one on its way, or to the other, which was woken for it as well.
    expect([1, 2, 3].map(stage.state)).toEqual([IDLE, BUSY, BUSY]);
    expect(stage.next(2)).toBe(2);
    expect(stage.next(3)).toBe(3);
  });

  test('takes one that computes for long although another worker is on its way for that', () => {
    const stage = suspendedStage();
    stage.join(1);
    stage.join(2);
    expect(stage.next(2)).toBe(-1);
    stage.queue(0, QUICK);
    stage.queue(1, SLOW);
    // The other was woken for the first.
    expect([stage.next(1), stage.state(2)]).toEqual([0, BUSY]);
    const before = stage.created.length;
    expect(stage.next(1, { awaits: 1 })).toBe(-1);
    expect(stage.next(2)).toBe(1);
    expect(stage.created.slice(before).length).toBeLessThanOrEqual(1);
  });

  test('is not the first to be woken for what is quick, or for what computes for long once it awaits nothing', () => {
    for (const fn of [QUICK, SLOW]) {
      const stage = suspendedStage();
      for (const by of [1, 2]) stage.join(by);
      stage.queue(0, QUICK);
      expect([stage.next(2), stage.next(1)]).toEqual([0, -1]);
      expect(stage.next(2, { awaits: 1 })).toBe(-1);
      if (fn === SLOW) stage.settle(2, 0);
      stage.queue(1, fn);
      expect([1, 2].map(stage.state)).toEqual([IDLE, BUSY]);
      expect(stage.next(2, { awaits: fn === SLOW ? 0 : 1 })).toBe(1);
    }
  });

  test('is not woken for what was left to a worker that has died on its way', () => {
    const stage = leftToTheFirst();
    stage.die(1);
    expect(stage.reap(0)).toBe('done');
    // As kthreadd does, by the timer that the repair starts.
    stage.look();
    expect(stage.state(2)).toBe(BUSY);
    expect(stage.next(2, { awaits: 1 })).toBe(1);
  });

  test('is not woken for what was left to a worker that blocks on its way', () => {
    const stage = leftToTheFirst();
    stage.sleep(1);
    expect(stage.state(2)).toBe(BUSY);
    expect(stage.next(2, { awaits: 1 })).toBe(1);
  });

  test('is woken for what computes for long, while another one is on its way for that', () => {
    const stage = leftToTheFirst();
    stage.queue(2, SLOW);
    expect(stage.state(2)).toBe(IDLE);
    expect(stage.next(1)).toBe(1);
    // Nobody else is there for the other.
    expect(stage.state(2)).toBe(BUSY);
    expect(stage.next(2, { awaits: 1 })).toBe(2);
  });

  test('has a thread made, and forgets that because it wakes the last that is idle as well', () => {
    const stage = suspendedStage();
    stage.join(3);
    stage.queue(0, QUICK);
    expect([stage.next(3), stage.next(3, { awaits: 1 })]).toEqual([0, -1]);
    stage.join(1);
    // Their submitter has not looked yet whether somebody is to be woken.
    for (const i of [1, 2]) stage.push(i, SLOW);
    const before = stage.created.length;
    expect(stage.next(1, { awaits: 1 })).toBe(1);
    expect(stage.state(3)).toBe(BUSY);
    expect(stage.created.slice(before)).toEqual([1]);
  });

  test('is taken for free since another call of it has ended: so what computes for long waits for its next turn', () => {
    const stage = suspendedStage();
    for (const by of [1, 2]) stage.join(by);
    for (const i of [0, 1]) stage.queue(i, QUICK);
    expect([stage.next(1), stage.next(2)]).toEqual([0, 1]);
    expect(stage.next(2, { awaits: 1 })).toBe(-1);
    stage.push(2, QUICK);
    // It awaits one, runs another to its end, and is on its event loop then.
    expect(stage.next(1, { awaits: 1 })).toBe(2);
    stage.settle(1, 2, true, 1);
    stage.queue(3, SLOW);
    expect(stage.state(2)).toBe(BUSY);
  });

  test('leaves what is quick, or what nobody else is there for; and asks for nobody', () => {
    const stage = suspendedStage();
    stage.join(1);
    stage.queue(0, QUICK);
    stage.queue(1, QUICK);
    stage.queue(2, SLOW);
    expect([stage.next(1), stage.next(1, { awaits: 1 })]).toEqual([0, 1]);
    const before = stage.created.length;
    expect(stage.next(1, { awaits: 2 })).toBe(2);
    expect(stage.created.length - before).toBeLessThanOrEqual(1);
    expect(stage.created).toContain(1);
  });

  test('asks for nobody while others that are idle await something as well', () => {
    const stage = suspendedStage();
    stage.join(3);
    stage.queue(0, QUICK);
    expect([stage.next(3), stage.next(3, { awaits: 1 })]).toEqual([0, -1]);
    for (const by of [1, 2]) stage.join(by);
    for (const by of [1, 2]) stage.queue(by, QUICK);
    expect([stage.next(1), stage.next(2)]).toEqual([1, 2]);
    const before = stage.created.length;
    stage.queue(3, SLOW);
    expect(stage.next(1, { awaits: 1 })).toBe(3);
    expect(stage.created.slice(before)).toEqual([3]);
  });

  test('is not the first to be woken for what is quick, or is spared although it awaits nothing any more', () => {
    const stage = suspendedStage();
    for (const by of [1, 2, 3]) stage.join(by);
    stage.queue(0, QUICK);
    stage.queue(1, QUICK);
    expect([stage.next(3), stage.next(1), stage.next(2)]).toEqual([-1, 0, 1]);
    expect(stage.next(2, { awaits: 1 })).toBe(-1);
    expect(stage.next(1, { awaits: 1 })).toBe(-1);
    stage.queue(2, SLOW);
    expect([1, 2, 3].map(stage.state)).toEqual([IDLE, IDLE, BUSY]);
    expect(stage.next(3)).toBe(2);
    stage.settle(1, 0);
    stage.queue(3, SLOW);
    expect([stage.state(1), stage.state(2)]).toEqual([BUSY, IDLE]);
    expect(stage.next(1)).toBe(3);
  });

  test('does not learn of what computes for long, or takes what is quick for it', () => {
    const stage = suspendedStage();
    stage.join(1);
    for (const i of [0, 1]) stage.queue(i, QUICK);
    expect([stage.next(1, { now: 1 }), stage.next(1, { finished: 0, now: 10 })]).toEqual([0, 1]);
    expect(stage.slow(QUICK)).toBe(0);
    stage.next(1, { finished: 1, now: 20 });
    expect(stage.slow(QUICK)).toBeGreaterThan(1);
  });

  test('takes what was slow once for slow for ever', () => {
    const stage = suspendedStage();
    stage.join(1);
    const run = (ms: number) => {
      stage.queue(0, QUICK);
      expect([stage.next(1, { now: 1 }), stage.next(1, { finished: 0, now: 1 + ms })]).toEqual([0, -1]);
    };
    run(10);
    for (let left = stage.slow(QUICK); left > 0; left--) {
      expect(stage.slow(QUICK)).toBe(left);
      run(9);
    }
    run(9);
    expect(stage.slow(QUICK)).toBe(0);
  });

  test('learns from a call that has awaited, or not from one that ended while nothing else ran', () => {
    const stage = suspendedStage();
    stage.join(1);
    for (const isComputed of [false, true]) {
      stage.queue(0, QUICK);
      expect(stage.next(1, { now: stage.now() / 1e6 })).toBe(0);
      for (let i = 0; i < 11e3; i++) stage.now();
      stage.settle(1, 0, isComputed);
      expect(stage.slow(QUICK) > 0).toBe(isComputed);
      expect(stage.next(1)).toBe(-1);
    }
    // Counted once each.
    expect(Math.round(stage.computed() / 1e3)).toBe(22);
  });
});

describe('what items have computed', () => {
  test('is counted twice, or never, or with what the worker did in between', () => {
    const stage = suspendedStage();
    stage.join(1);
    for (const i of [0, 1, 2]) stage.queue(i, QUICK);
    stage.next(1, { now: 1000 });
    stage.next(1, { finished: 0, now: 1003 });
    expect(stage.computed()).toBe(3000);
    expect(stage.next(1, { finished: 1, now: 3503.5 })).toBe(2);
    expect(stage.computed()).toBe(2_503_500);
    expect(stage.next(1, { finished: 2, now: 3503.5 })).toBe(-1);
  });

  test('is counted while the item sleeps, or goes on when it is over', () => {
    const stage = suspendedStage();
    stage.join(1);
    for (const i of [0, 1]) stage.queue(i, QUICK);
    // By the stepped clock, a microsecond a look, from here on.
    stage.next(1, { now: stage.now() / 1e6 });
    stage.sleep(1);
    for (let i = 0; i < 5000; i++) stage.now();
    stage.wakeUp(1);
    expect(stage.next(1, { finished: 0, now: stage.now() / 1e6 })).toBe(1);
    // It is awaited, and over before the worker looks for the next.
    stage.settle(1, 1);
    for (let i = 0; i < 5000; i++) stage.now();
    stage.recycle(1);
    expect(stage.next(1, { now: stage.now() / 1e6 })).toBe(-1);
    expect(stage.computed()).toBeGreaterThan(0);
    expect(stage.computed()).toBeLessThan(1000);
  });
});
