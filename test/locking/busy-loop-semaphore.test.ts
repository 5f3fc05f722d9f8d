/** An event loop that computes, and permits that its tasks were granted: other threads take them after a while. The clock is the test's. */
import { describe, expect, test } from 'vitest';
import { Completion, Semaphore } from '../../lib/index.ts';
import { downSlow, up, upRecorded } from '../../lib/locking/semaphore/core.ts';
import { latchOf, SemaphoreWords } from '../../lib/locking/semaphore/words.ts';
import { findHold } from '../../lib/sched/holds.ts';
import type { SlowPath, Waiter } from '../../lib/sched/slow-path.ts';
import { SLEEPING, Task } from '../../lib/sched/task.ts';
import { on, step, stepper } from '../support/stepper.ts';

interface CallOptions {
  permits?: number;
  guard?: boolean;
  async?: boolean;
  /** The task of an earlier call of the event loop. */
  own?: number;
}

/** Thread 0 has the permits, thread 1 has an event loop; the calls of the others are driven by hand. */
function stage(permits = 1) {
  const { arenas, real, before: interrupt, ...rest } = stepper(5);
  const views = arenas.map((arena) => new Semaphore(arena, 's', { permits }));
  const [giver, loop] = views as [Semaphore, Semaphore];
  const { address } = giver;
  giver.down({ permits });
  /** What the clock says, ms; it stands still. */
  const clock = { now: 0 };
  for (const { cpu } of arenas) cpu.now = () => clock.now * 1e6;
  /** A call of a thread, which is asleep when it has begun. */
  const call = (number: number, { permits = 1, guard = false, async = false, own }: CallOptions = {}) => {
    const { thread, heap } = arenas[number]!;
    const task = async ? (own ?? thread.takeTask(heap)) : thread.self;
    const waiter: Waiter = { thread, task, deadline: Infinity, async, aborted: false };
    const steps: SlowPath<unknown> = downSlow(address, permits, guard, waiter, !async);
    const go = (reason: 'woken' | 'timed-out' = 'woken') => steps.next(reason);
    const give = () => {
      if (guard) upRecorded(thread, address, permits, findHold(thread.cpu, task, address));
      else up(thread, address, permits);
    };
    return { waiter, go, give, sleeps: () => real.load(task + Task.state) === SLEEPING };
  };
  const free = () => views[0]!.permits;
  /** The `n`th step while somebody has the latch. */
  const latchedStep = (n: number) => {
    let seen = 0;
    return () => real.load(latchOf(address)) !== 0 && ++seen === n;
  };
  return { latchedStep, arenas, real, views, giver, loop, address, call, clock, free, interrupt, ...rest };
}

describe('Semaphore: a permit that a task of an event loop was granted', () => {
  test.each([true, false])(
    'is taken by the first thread behind it, which is woken beside it (guard: %s)',
    async (guard) => {
      const { giver, loop, call, clock, free } = stage();
      const mine = guard ? loop.acquireAsync() : loop.downAsync();
      const [taker, next] = [call(2), call(3)];
      taker.go();
      next.go();
      giver.up();
      expect([taker.sleeps(), next.sleeps()]).toEqual([false, true]);
      expect(taker.go().done).toBe(false);
      clock.now = 0.9;
      expect(taker.go().done).toBe(false);
      clock.now = 1;
      expect(taker.go().value).toBe('acquired');
      // The next thread has come before the task, which has lined up again.
      taker.give();
      expect(next.go().value).toBe('acquired');
      next.give();
      const held = await mine;
      expect(free()).toBe(0);
      if (held === undefined) giver.up();
      else held.release();
      expect(free()).toBe(1);
    },
  );

  test('stays its own, when the thread that looks after it is granted one as it looks', () => {
    const { giver, address, call, clock, interrupt, cancel } = stage(2);
    const [mine, taker] = [call(1, { async: true }), call(2)];
    for (const each of [mine, taker]) each.go();
    giver.up();
    taker.go();
    clock.now = 1;
    interrupt(2, on('cmpxchgAcquire', latchOf(address)), () => giver.up());
    expect(taker.go().value).toBe('acquired');
    expect(cancel(2)).toBe(false);
    expect(mine.go().value).toBe('acquired');
  });

  test('stays that of one whose time is over as it is granted', () => {
    const { giver, address, call, clock, interrupt, cancel, free } = stage();
    const [mine, taker] = [call(1, { async: true }), call(2)];
    for (const each of [mine, taker]) each.go();
    interrupt(1, on('cmpxchgAcquire', latchOf(address)), () => giver.up());
    expect(mine.go('timed-out').value).toBe('acquired');
    expect(cancel(1)).toBe(false);
    taker.go();
    clock.now = 1;
    expect(taker.go().done).toBe(false);
    mine.give();
    expect(taker.go().value).toBe('acquired');
    expect(free()).toBe(0);
  });

  test('is left to it by the tasks of other event loops', () => {
    const { giver, call, clock } = stage();
    const [mine, other] = [call(1, { async: true }), call(2, { async: true })];
    for (const each of [mine, other]) each.go();
    giver.up();
    other.go();
    clock.now = 5;
    expect(other.go().done).toBe(false);
    expect(mine.go().value).toBe('acquired');
  });

  test('is taken when the numbers of rounds begin anew', async () => {
    const { real, giver, loop, address, call, clock } = stage();
    real.store(address + SemaphoreWords.round, -1);
    const mine = loop.downAsync();
    const taker = call(2);
    taker.go();
    giver.up();
    taker.go();
    clock.now = 1;
    expect(taker.go().value).toBe('acquired');
    taker.give();
    await mine;
  });

  test('is taken by a thread that comes later', () => {
    const { giver, call, clock } = stage();
    call(1, { async: true }).go();
    giver.up();
    const taker = call(2);
    taker.go();
    expect(taker.waiter.lookAgain).toBe(1e6);
    clock.now = 1;
    expect(taker.go().value).toBe('acquired');
  });

  test('stays its own, once it knows', () => {
    const { giver, call, clock } = stage();
    const [reader, taker] = [call(1, { async: true }), call(2)];
    reader.go();
    taker.go();
    giver.up();
    taker.go();
    expect(reader.go().value).toBe('acquired');
    clock.now = 5;
    expect(taker.go().done).toBe(false);
    expect(taker.waiter.lookAgain).toBe(undefined);
    reader.give();
    expect(taker.go().value).toBe('acquired');
  });

  test('is left to it for twice the time, when it was taken before, and for no longer in its next call', () => {
    const { giver, call, clock } = stage();
    const mine = call(1, { async: true });
    const [taker, next] = [call(2), call(3)];
    for (const each of [mine, taker]) each.go();
    giver.up();
    taker.go();
    clock.now = 1;
    taker.go();
    next.go();
    // In front again.
    expect(next.go('timed-out').value).toBe('timed-out');
    const later = call(3);
    later.go();
    taker.give();
    later.go();
    clock.now = 2.9;
    expect(later.go().done).toBe(false);
    clock.now = 3;
    expect(later.go().value).toBe('acquired');
    later.give();
    expect(mine.go().value).toBe('acquired');
    mine.give();
    giver.down();
    const [again, last] = [call(1, { async: true, own: mine.waiter.task }), call(4)];
    again.go();
    last.go();
    giver.up();
    last.go();
    clock.now = 4;
    expect(last.go().value).toBe('acquired');
  });

  test('is granted to the next in line, if that is no task of the same thread', () => {
    for (const number of [1, 4]) {
      const { giver, call, clock } = stage();
      const [mine, other] = [call(1, { async: true }), call(number, { async: true })];
      const taker = call(2);
      for (const each of [mine, other, taker]) each.go();
      giver.up();
      taker.go();
      clock.now = 1;
      expect(taker.go().done).toBe(number === 1);
      if (number === 1) continue;
      expect(other.go().value).toBe('acquired');
      other.give();
    }
  });

  test('is granted to a thread that wants more than there are, or to one behind it', () => {
    const { giver, call, clock, free } = stage(2);
    const mine = call(1, { async: true });
    const [taker, next] = [call(2, { permits: 2 }), call(3)];
    for (const each of [mine, taker, next]) each.go();
    giver.up();
    taker.go();
    clock.now = 1;
    expect(taker.go().done).toBe(false);
    expect(free()).toBe(1);
    // It has nothing to look after any more.
    taker.go();
    expect(taker.waiter.lookAgain).toBe(undefined);
    giver.up();
    expect(taker.go().value).toBe('acquired');
  });

  test('is looked after by the next, when one gives up', () => {
    const { giver, call } = stage();
    const [mine, taker, next] = [call(1, { async: true }), call(2), call(3)];
    for (const each of [mine, taker, next]) each.go();
    giver.up();
    expect(next.sleeps()).toBe(true);
    taker.go();
    expect(taker.go('timed-out').value).toBe('timed-out');
    expect(next.sleeps()).toBe(false);
    next.go();
    expect(next.waiter.lookAgain).toBe(1e6);
  });

  test('costs the thread that looks after it no permit that others may have first', () => {
    const { views, giver, call } = stage();
    const [mine, taker] = [call(1, { async: true }), call(2)];
    for (const each of [mine, taker]) each.go();
    giver.up();
    taker.go();
    expect(mine.go().value).toBe('acquired');
    // It was woken for the look: it may still be passed once.
    mine.give();
    expect(views[3]!.tryDown()).toBe(true);
    views[3]!.up();
  });

  test.each([
    ['is taken back as it takes notice of it', 1],
    ['it takes notice of as it is taken back', 2],
  ])('%s, at any step', (_, outer) => {
    for (const guard of [false, true]) {
      for (let n = 1, isOver = false; !isOver; n++) {
        const { giver, call, clock, interrupt, cancel, free } = stage();
        const [mine, taker] = [call(1, { async: true, guard }), call(2)];
        for (const each of [mine, taker]) each.go();
        giver.up();
        taker.go();
        clock.now = 1;
        const ends = [false, false];
        const goOn = (which: number) => {
          ends[which - 1] = (which === 1 ? mine : taker).go().done === true;
        };
        interrupt(outer, step(n), () => goOn(3 - outer));
        goOn(outer);
        isOver = cancel(outer);
        expect(ends.filter(Boolean).length, `step ${n}`).toBe(1);
        expect(free(), `step ${n}`).toBe(0);
        const order = ends[0] ? [mine, taker] : [taker, mine];
        order[0]!.give();
        for (let looks = 0; !order[1]!.go().done; looks++) expect(looks, `step ${n}`).toBeLessThan(5);
        order[1]!.give();
        expect(free(), `step ${n}`).toBe(1);
      }
    }
  });

  test('is lost, or there twice, after the death of a thread that takes it, at any step', () => {
    for (const guard of [false, true]) {
      for (let n = 1, dies = true; dies; n++) {
        const { giver, call, clock, killBefore, reap, free } = stage();
        const [mine, taker, next] = [call(1, { async: true, guard }), call(2, { guard: true }), call(3)];
        for (const each of [mine, taker, next]) each.go();
        giver.up();
        taker.go();
        clock.now = 1;
        dies = killBefore(2, step(n), () => taker.go());
        if (dies) expect(reap(0), `step ${n}`).toBe('done');
        else taker.give();
        for (const now of [2, 4]) {
          clock.now = now;
          for (let looks = 0; looks < 3 && !next.go().done; looks++);
        }
        expect(free(), `step ${n}`).toBe(0);
        next.give();
        for (let looks = 0; !mine.go().done; looks++) expect(looks, `step ${n}`).toBeLessThan(5);
        mine.give();
        expect(free(), `step ${n}`).toBe(1);
      }
    }
  });

  test('is lost, or there twice, after the death of its thread, and of a reaper at any step', () => {
    for (const guard of [false, true]) {
      for (let n = 1, dies = true; dies; n++) {
        const { latchedStep, real, address, giver, call, clock, die, killBefore, reap, free } = stage();
        const [mine, taker] = [call(1, { async: true, guard }), call(2)];
        for (const each of [mine, taker]) each.go();
        giver.up();
        taker.go();
        die(1);
        dies = killBefore(3, latchedStep(n), () => reap(3));
        clock.now = 1;
        let isDone = false;
        const goOn = () => {
          for (let looks = 0; looks < 3 && !isDone; looks++) isDone = taker.go().done === true;
        };
        if (real.load(latchOf(address)) === 0) goOn();
        expect(reap(0), `step ${n}`).toBe('done');
        goOn();
        expect([isDone, free()], `step ${n}`).toEqual([true, 0]);
        taker.give();
        expect(free(), `step ${n}`).toBe(1);
      }
    }
  });

  test('is taken by a reaper and by the next, where one that takes it dies with the first reaper', () => {
    for (let n = 1, dies = true; dies; n++) {
      const { latchedStep, giver, call, clock, killBefore, reap, free, real, address } = stage();
      const [mine, taker] = [call(1, { async: true, guard: true }), call(2)];
      for (const each of [mine, taker]) each.go();
      giver.up();
      taker.go();
      clock.now = 1;
      expect(real.load(mine.waiter.task + Task.list)).toBe(0);
      // With the task in line, and its permit not given back.
      const armed = address + SemaphoreWords.armed;
      expect(
        killBefore(
          2,
          ({ op, address: at, args }) => op === 'store' && at === armed && args[1] === 1,
          () => taker.go(),
        ),
      ).toBe(true);
      dies = killBefore(3, latchedStep(n), () => reap(3));
      expect(reap(0), `step ${n}`).toBe('done');
      for (let looks = 0; !mine.go().done; looks++) expect(looks, `step ${n}`).toBeLessThan(5);
      expect(free(), `step ${n}`).toBe(0);
      mine.give();
      expect(free(), `step ${n}`).toBe(1);
    }
  });

  test('is taken from nobody that was told of a Completion', () => {
    const { arenas } = stepper(3);
    const [first, second, third] = arenas.map((arena) => new Completion(arena, 'c')) as [
      Completion,
      Completion,
      Completion,
    ];
    void second.waitAsync();
    first.complete();
    expect(() => third.wait({ timeout: 20 })).toThrow('ETIMEDOUT');
  });
});
