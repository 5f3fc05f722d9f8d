/** Works and the pools that they are in, their threads stepped. */
import { describe, expect, test } from 'vitest';
import { Slot } from '../../lib/sched/slot.ts';
import { expireTimer, timerFired } from '../../lib/sched/timer.ts';
import { WaitList } from '../../lib/sched/wait-list.ts';
import { CLOSED, DELAYED, DONE, Item, itemAt, PHASE, WorkWords, Wq } from '../../lib/workqueue/layout.ts';
import { makePort, makeSlab } from '../../lib/workqueue/objects.ts';
import { on, step } from '../support/stepper.ts';
import { thrown } from '../support/threads.ts';
import { workStage } from './work-stage.ts';

type Stage = ReturnType<typeof workStage>;

describe('a work', () => {
  test('that runs twice for one queueing, or not again for one while it runs', () => {
    const stage = workStage();
    expect([stage.queue(0), stage.queue(0), stage.queue(0, 1)]).toEqual(['queued', 'pending', 'pending']);
    expect(stage.next(0)).toBe(0);
    expect([stage.queue(0), stage.queue(0)]).toEqual(['queued', 'pending']);
    expect(stage.states(0)).toEqual(['listed', 'running']);
    expect(stage.next(0, 0)).toBe(0);
    expect(stage.next(0, 0)).toBe(-1);
    expect(stage.works[0]!.runs).toBe(2);
    expect(stage.workOff()).toEqual([]);
  });

  test('that runs on two workers at once, or never again, because it is queued elsewhere while it runs', () => {
    const stage = workStage();
    stage.queue(0, 0);
    expect(stage.next(0)).toBe(0);
    expect(stage.queue(0, 1)).toBe('queued');
    stage.queue(1, 1);
    // The other worker passes it by, and takes what is behind it.
    expect(stage.next(1)).toBe(1);
    expect(stage.next(1, 1)).toBe(-1);
    expect(stage.next(0, 0)).toBe(-1); // and wakes the other
    expect(stage.isBusy(1)).toBe(true);
    expect(stage.next(1)).toBe(0);
    expect(stage.next(1, 0)).toBe(-1);
    expect(stage.workOff()).toEqual([]);
  });

  test('that waits for its other run, for which a worker is woken when another work’s is over', () => {
    const stage = workStage();
    stage.queue(0, 0);
    stage.queue(1, 0);
    expect([stage.next(0), stage.next(0)]).toEqual([0, 1]); // both are awaited
    stage.queue(0, 1);
    stage.queue(1, 1);
    expect(stage.next(1)).toBe(-1);
    // The first one's next run is cancelled while its end is told there; the second one's has to wait still.
    stage.before(1, on('cmpxchgAcquire', stage.poolLatch(1)), () => expect(stage.cancel(0)).toBe(true));
    stage.settle(0, 0);
    expect(stage.cancelPlan(1)).toBe(false);
    expect(stage.isBusy(1)).toBe(false);
    stage.settle(0, 1);
    expect(stage.isBusy(1)).toBe(true);
    expect(stage.next(1)).toBe(1);
    expect(stage.next(1, 1)).toBe(-1);
    expect(stage.next(0)).toBe(-1);
    expect(stage.workOff()).toEqual([]);
  });

  test('whose worker awaits it, and runs it again beside that', () => {
    const stage = workStage();
    stage.queue(0);
    expect(stage.next(0)).toBe(0);
    stage.queue(0);
    stage.queue(1);
    expect(stage.next(0)).toBe(1); // the first is awaited still
    expect(stage.next(0, 1)).toBe(-1);
    stage.settle(0, 0);
    expect(stage.isBusy(0)).toBe(true);
    expect(stage.next(0)).toBe(0);
    expect(stage.next(0, 0)).toBe(-1);
    expect(stage.workOff()).toEqual([]);
  });

  test('whose place in a queue that runs one at a time is another’s while it may not run', () => {
    const stage = workStage({ maxActive: 1 });
    stage.queue(0, 0);
    expect(stage.next(0)).toBe(0);
    stage.queue(0, 1);
    stage.queue(1, 1);
    expect(stage.next(1)).toBe(-1);
    expect(stage.next(0, 0)).toBe(-1);
    expect(stage.workOff()).toEqual([0, 1]);
  });

  const cancelled: Record<string, { arrange: (stage: Stage) => void; rest: readonly number[] }> = {
    'on the worklist': {
      arrange(stage) {
        for (const work of [1, 0, 2, 3]) stage.queue(work);
      },
      rest: [1, 2, 3],
    },
    'at the end of the worklist': {
      arrange(stage) {
        for (const work of [1, 0]) stage.queue(work);
      },
      rest: [1],
    },
    'alone on the worklist, where another is inactive': {
      arrange(stage) {
        stage.setMaxActive(1);
        for (const work of [0, 2]) stage.queue(work);
      },
      rest: [2],
    },
    'behind maxActive': {
      arrange(stage) {
        stage.setMaxActive(1);
        for (const work of [1, 0, 2]) stage.queue(work);
      },
      rest: [1, 2],
    },
    'once it has become active': {
      arrange(stage) {
        stage.setMaxActive(1);
        for (const work of [1, 0, 2]) stage.queue(work);
        stage.setMaxActive(3);
      },
      rest: [1, 2],
    },
    'behind its other run': {
      arrange(stage) {
        stage.setMaxActive(1);
        stage.queue(0, 1);
        expect(stage.next(1)).toBe(0);
        for (const work of [0, 2]) stage.queue(work);
        expect(stage.next(0)).toBe(-1);
      },
      rest: [2],
    },
    'before its time has come': {
      arrange(stage) {
        stage.delay(0, 10);
        stage.queue(1);
      },
      rest: [1],
    },
  };

  test.each(Object.entries(cancelled))(
    'that is cancelled %s, and runs, or is counted still',
    (_where, { arrange, rest }) => {
      const stage = workStage({ works: 4 });
      const slab = makeSlab(stage.arenas[0]!, makePort(stage.arenas[0]!), 0, 0);
      arrange(stage);
      const runs = stage.works[0]!.workBusy.running;
      stage.flushQueue(0, itemAt(slab, 0));
      expect(stage.cancel(0)).toBe(true);
      expect(stage.cancel(0)).toBe(false);
      expect(stage.works[0]!.workBusy).toEqual({ pending: false, running: runs });
      if (runs) expect(stage.next(1, 0)).toBe(-1);
      expect(stage.workOff()).toEqual(rest);
      expect(stage.expire(100)).toBe(0);
      expect(stage.real.load(itemAt(slab, 0) + Item.state) & PHASE).toBe(DONE);
      // It can be queued again at once, and comes behind what has come meanwhile.
      stage.queue(1);
      expect(stage.queue(0)).toBe('queued');
      stage.setMaxActive(8);
      expect(stage.workOff()).toEqual([1, 0]);
    },
  );

  test('that can be queued while it is disabled, or not when it has been enabled as often', () => {
    const stage = workStage();
    const [work] = stage.works;
    stage.queue(0);
    expect(work!.disableWork()).toBe(true);
    expect(work!.disableWork()).toBe(false);
    expect([stage.queue(0), stage.delay(0, 10)]).toEqual(['disabled', 'disabled']);
    expect(work!.enableWork()).toBe(false);
    expect(stage.queue(0)).toBe('disabled');
    expect(work!.enableWork()).toBe(true);
    expect(thrown(() => work!.enableWork()).code).toBe('EINVAL');
    expect(stage.queue(0)).toBe('queued');
    expect(stage.workOff()).toEqual([0]);
  });

  test('that is destroyed while it is at something', () => {
    const stage = workStage();
    const [work] = stage.works;
    const busy = () => expect(thrown(() => work!.destroy()).code).toBe('EBUSY');
    stage.queue(0);
    busy();
    stage.next(0);
    busy();
    stage.next(0, 0);
    stage.delay(0, 10);
    busy();
    // Its timer does what it is for, and finds that there is nothing to queue any more.
    const { cpu, thread } = stage.arenas[0]!;
    const timer = expireTimer(cpu, thread.id, 10);
    stage.cancel(0);
    busy();
    timerFired(cpu, thread.id, timer);
    const { used } = stage.arenas[0]!.use();
    work!.destroy();
    expect(stage.arenas[0]!.use().used).toBeLessThan(used);
    expect(stage.arenas[0]!.fsck()).toEqual([]);
  });
});

describe('a delayed work', () => {
  test('that is queued before its time, twice, or by the deadline that it had before', () => {
    const stage = workStage();
    expect([stage.delay(0, 10), stage.delay(0, 5), stage.queue(0)]).toEqual(['queued', 'pending', 'pending']);
    expect(stage.rings).toEqual([1]);
    expect(stage.expire(9)).toBe(0);
    expect(stage.states(0)).toEqual(['delayed', 'free']);
    expect(stage.expire(10)).toBe(1);
    expect(stage.redelay(0, 30)).toBe(true); // from the worklist
    expect(stage.states(0)).toEqual(['delayed', 'free']);
    expect(stage.redelay(0, 20, 1)).toBe(true); // sooner, and elsewhere
    expect(stage.expire(19)).toBe(0);
    expect(stage.expire(20)).toBe(1);
    expect(stage.expire(100)).toBe(0);
    expect(stage.next(0)).toBe(-1);
    expect(stage.next(1)).toBe(0);
    expect(stage.redelay(0, 40)).toBe(false);
    expect(stage.next(1, 0)).toBe(-1);
    expect(stage.workOff()).toEqual([]);
  });

  test('that is queued by a timer which was started again while it expired', () => {
    const stage = workStage();
    stage.delay(0, 10);
    // Between the expiry and what the timer is for, which begins with a look at the twins.
    stage.before(3, on('cmpxchgAcquire', stage.workLatch(0)), () => expect(stage.redelay(0, 50)).toBe(true));
    expect(stage.expire(10, 3)).toBe(0);
    expect(stage.cancelPlan(3)).toBe(false);
    expect(stage.states(0)).toEqual(['delayed', 'free']);
    expect(stage.expire(50)).toBe(1);
    expect(stage.workOff()).toEqual([0]);
  });

  test.each([
    ['queued', (stage: Stage) => stage.delay(0, 10)],
    [
      'put back from the worklist',
      (stage: Stage) => {
        stage.queue(0);
        stage.redelay(0, 10);
      },
    ],
  ])('whose timer fires before it says that it waits for one, and which stays pending for ever: %s', (_how, act) => {
    const stage = workStage();
    const states = [0, 1].map((twin) => stage.twin(0, twin) + Item.state);
    // The thread that delays it is preempted behind the start of the timer; kthreadd fires that, if nothing keeps it from it.
    stage.before(
      0,
      ({ op, address, args }) => op === 'store' && states.includes(address) && args[1] === DELAYED,
      () => {
        stage.stopBefore(3, on('cmpxchgAcquire', stage.workLatch(0)), () => stage.expire(10, 3));
      },
    );
    act(stage);
    expect(stage.cancelPlan(0)).toBe(false);
    // What another kthreadd makes of it after that one's death, it would have made itself.
    stage.die(3);
    stage.reap(2);
    expect(stage.expire(10, 2)).toBe(1);
    expect(stage.states(0)).toEqual(['free', 'listed']);
  });

  test('that was cancelled and has a timer still, for which it can’t be destroyed', () => {
    const stage = workStage();
    stage.delay(0, 10);
    expect(stage.isTimerActive(0)).toBe(true);
    expect(stage.cancel(0)).toBe(true);
    expect(stage.isTimerActive(0)).toBe(false);
    stage.works[0]!.destroy();
  });

  test('that is queued now, and once more when its time comes', () => {
    const stage = workStage();
    expect(stage.expedite(0)).toBe('not');
    stage.delay(0, 10);
    expect(stage.expedite(0)).toBe('queued');
    expect(stage.expire(10)).toBe(0);
    expect(stage.workOff()).toEqual([0]);
    // Nor does it wait for that time: it can go.
    stage.delay(1, 10);
    stage.expedite(1);
    stage.workOff();
    stage.works[1]!.destroy();
  });

  test('whose queue is closed meanwhile, and which stays pending, or runs', () => {
    const stage = workStage();
    stage.delay(0, 10);
    stage.real.store(stage.wq + Wq.state, CLOSED);
    expect(stage.expire(10)).toBe(0);
    expect(stage.works[0]!.workBusy.pending).toBe(false);
    expect(stage.queue(0)).toBe('refused');
    expect(stage.workOff()).toEqual([]);
  });
});

describe('whoever waits for a work', () => {
  const sleeps = (stage: Stage, thread = 0) => on('wait', stage.arenas[thread]!.thread.slot + Slot.mainTask);

  test('waits for nothing, or goes on before its end', () => {
    const stage = workStage();
    const work = stage.workAs(0);
    expect(work.flushWork()).toBe(false);
    stage.delay(0, 10);
    expect(work.flushWork()).toBe(false);
    stage.expire(10);
    expect(thrown(() => work.flushWork({ timeout: 5 })).code).toBe('ETIMEDOUT');
    stage.before(0, sleeps(stage), () => {
      expect(stage.next(0)).toBe(0);
      // A later queueing is none of its business.
      stage.queue(0, 0, 3);
      stage.next(0, 0);
    });
    expect(work.flushWork()).toBe(true);
    expect(stage.states(0)).toEqual(['free', 'running']);
    stage.before(0, sleeps(stage), () => stage.next(0, 0));
    expect(work.flushWork()).toBe(true);
    stage.queue(0);
    stage.before(0, sleeps(stage), () => stage.cancel(0, 3));
    expect(work.flushWork()).toBe(true);
    expect(stage.workOff()).toEqual([]);
    work.destroy();
  });

  test('with its cancelling sees it queued again meanwhile, or for ever disabled', () => {
    const stage = workStage();
    const work = stage.workAs(0);
    expect(work.cancelWorkSync()).toBe(false);
    stage.queue(0);
    expect(work.cancelWorkSync()).toBe(true);
    stage.queue(0);
    expect(stage.next(0)).toBe(0);
    stage.queue(0, 1);
    stage.before(0, sleeps(stage), () => {
      expect(stage.queue(0, 0, 3)).toBe('disabled');
      expect(stage.next(0, 0)).toBe(-1);
      expect(stage.queue(0, 0, 3)).toBe('disabled');
    });
    expect(work.cancelWorkSync()).toBe(true);
    expect(stage.queue(0)).toBe('queued');
    expect(stage.next(0)).toBe(0);
    expect(thrown(() => work.cancelWorkSync({ timeout: 1 })).code).toBe('ETIMEDOUT');
    expect(stage.queue(0)).toBe('queued');
    expect(stage.next(0, 0)).toBe(0);
    stage.before(0, sleeps(stage), () => stage.next(0, 0));
    expect(work.disableWorkSync()).toBe(false);
    expect(stage.queue(0)).toBe('disabled');
  });

  test('in the thread that runs it waits for itself', () => {
    const stage = workStage();
    stage.queue(0);
    expect(stage.next(0)).toBe(0);
    const work = stage.workAs(1);
    stage.queue(0);
    for (const call of ['flushWork', 'cancelWorkSync', 'disableWorkSync'] as const) {
      expect(thrown(() => work[call]()).code).toBe('EDEADLK');
    }
    // Nothing has changed: it is pending, and not disabled.
    expect(stage.states(0)).toEqual(['listed', 'running']);
    expect(stage.next(0, 0)).toBe(0);
    expect(stage.queue(0)).toBe('queued');
  });

  test('and is asynchronous blocks its thread, or hears nothing', async () => {
    const stage = workStage();
    const work = stage.workAs(0);
    stage.queue(0);
    expect(stage.next(0)).toBe(0);
    stage.queue(0);
    const flushed = work.flushWorkAsync();
    const cancelled = work.cancelWorkAsync();
    expect(stage.queue(0)).toBe('disabled');
    expect(stage.next(0, 0)).toBe(-1);
    expect(await cancelled).toBe(true);
    expect(await flushed).toBe(true);
    expect(stage.queue(0)).toBe('queued');
    const late = work.flushWorkAsync({ timeout: 1 });
    await expect(late).rejects.toMatchObject({ code: 'ETIMEDOUT' });
    const control = new AbortController();
    const given = work.flushWorkAsync({ signal: control.signal });
    control.abort(new Error('enough'));
    await expect(given).rejects.toThrow('enough');
    expect(stage.workOff()).toEqual([0]);
    work.destroy();
  });
});

describe('deaths', () => {
  test('of a worker that runs it, which leaves it running, those that wait asleep, or the next run behind it', () => {
    for (const slot of [0, 1]) {
      const stage = workStage();
      stage.queue(0);
      expect(stage.next(0)).toBe(0);
      stage.queue(0, slot);
      if (slot === 1) expect(stage.next(1)).toBe(-1);
      stage.before(0, on('wait', stage.arenas[0]!.thread.slot + Slot.mainTask), () => {
        stage.die(1);
        expect(stage.reap(3)).not.toBe('unknown');
        expect(stage.reap(3)).toBe('done');
        stage.replace(0);
        expect(stage.workOff()).toEqual([0]);
      });
      expect(stage.workAs(0).flushWork()).toBe(true);
      expect([stage.works[0]!.runs, stage.works[0]!.failures]).toEqual([2, 1]);
    }
  });

  test('of a worker whose pool is repaired behind that in which the next run was put back meanwhile', () => {
    const stage = workStage();
    // The later pool's worker runs it; the earlier one comes to it in the middle of the reaper's pass, once it is through there.
    stage.queue(0, 1);
    expect(stage.next(1)).toBe(0);
    stage.queue(0, 0);
    stage.die(2);
    stage.before(3, on('cmpxchgAcquire', stage.poolLatch(1)), () => expect(stage.next(0)).toBe(-1));
    const first = stage.reap(3);
    expect(stage.cancelPlan(3)).toBe(false);
    if (first === 'again') expect(stage.reap(3)).toBe('done');
    stage.replace(1);
    expect(stage.workOff()).toEqual([0]);
  });

  test('of a canceller, after which it is disabled for ever', () => {
    const stage = workStage();
    stage.queue(0);
    expect(stage.next(0)).toBe(0);
    const work = stage.workAs(2);
    expect(stage.killBefore(2, on('wait'), () => work.cancelWorkSync())).toBe(true);
    expect(stage.queue(0)).toBe('disabled');
    expect(stage.reap(3)).toBe('done');
    expect(stage.queue(0)).toBe('queued');
    expect(stage.next(0, 0)).toBe(0);
  });

  const acts: Record<string, { before?: (stage: Stage) => void; act: (stage: Stage) => void }> = {
    queue: { act: (stage) => stage.queue(0) },
    'queue behind maxActive': {
      before: (stage) => {
        stage.setMaxActive(1);
        stage.queue(1);
      },
      act: (stage) => stage.queue(0),
    },
    delay: { act: (stage) => stage.delay(0, 10) },
    'cancel from the worklist': { before: (stage) => stage.queue(0), act: (stage) => stage.cancel(0) },
    'cancel from the timer': { before: (stage) => stage.delay(0, 10), act: (stage) => stage.cancel(0) },
    'delay from the worklist': { before: (stage) => stage.queue(0), act: (stage) => stage.redelay(0, 10, 1) },
    'delay once more': { before: (stage) => stage.delay(0, 10), act: (stage) => stage.redelay(0, 20, 1) },
    expire: { before: (stage) => stage.delay(0, 10), act: (stage) => stage.expire(10) },
    'queue now': { before: (stage) => stage.delay(0, 10), act: (stage) => stage.expedite(0) },
    'disable and enable': {
      before: (stage) => stage.queue(0),
      act(stage) {
        stage.workAs(0).disableWork();
        stage.workAs(0).enableWork();
      },
    },
  };

  test.each(Object.entries(acts))(
    'of a thread at any step, after which it can be had no more: %s',
    (_name, { before, act }) => {
      for (let k = 1; ; k++) {
        const stage = workStage();
        before?.(stage);
        if (!stage.killBefore(0, step(k), () => act(stage))) {
          expect(k).toBeGreaterThan(5);
          return;
        }
        expect(stage.reap(3)).toBe('done');
        const { pending } = stage.workAs(3).workBusy;
        // Whatever came of it is whole: pending, and then it runs once; or not pending, and can be queued.
        stage.expire(100, 3);
        const ran = stage.workOff();
        expect(ran.filter((i) => i === 0)).toHaveLength(pending ? 1 : 0);
        while (stage.workAs(3).disabled > 0) stage.workAs(3).enableWork();
        expect(stage.queue(0, 1, 3)).toBe('queued');
        expect(stage.workOff()).toEqual([0]);
        expect(stage.real.load(stage.works[0]!.address + WorkWords.waiters + WaitList.latch)).toBe(0);
        expect(stage.arenas[3]!.fsck()).toEqual([]);
      }
    },
  );

  test('of a worker at any step, after which a queueing is lost, or runs twice at once', () => {
    for (let k = 1; ; k++) {
      const stage = workStage();
      stage.queue(0);
      stage.queue(1);
      const ran: number[] = [];
      const queued = [1, 1];
      const died = stage.killBefore(1, step(k), () => {
        const first = stage.next(0);
        ran.push(first);
        if (stage.queue(0, 1) === 'queued') queued[0]!++;
        const second = stage.next(1);
        if (second >= 0) ran.push(second);
        const third = stage.next(0, first);
        ran.push(third);
        stage.next(0, third);
      });
      if (!died) {
        expect(k).toBeGreaterThan(30);
        return;
      }
      for (let reaped = stage.reap(3); reaped !== 'done'; reaped = stage.reap(3)) expect(reaped).toBe('again');
      stage.replace(0);
      stage.workOff(ran);
      expect(stage.works.map(({ workBusy }) => workBusy)).toEqual(
        stage.works.map(() => ({ pending: false, running: false })),
      );
      // Each queueing has run once, or is a failure: the dead thread had it in hand.
      for (const [i, work] of stage.works.entries()) {
        const times = ran.filter((other) => other === i).length;
        expect(times).toBeLessThanOrEqual(queued[i]!);
        expect(times + work.failures).toBeGreaterThanOrEqual(queued[i]!);
        expect(work.runs).toBeLessThanOrEqual(queued[i]!);
      }
      expect(stage.arenas[3]!.fsck()).toEqual([]);
    }
  });
});
