/**
 * An event loop that computes, and reader-writer locks: what its readers were let in for, and what is kept for its writers, other threads
 * take after a while. The clock is the test's.
 */
import { describe, expect, test } from 'vitest';
import { type HoldfastError, Mutex, RwSemaphore } from '../../lib/index.ts';
import { upRead } from '../../lib/locking/rw-semaphore/core.ts';
import { isOnOffer } from '../../lib/locking/rw-semaphore/loops.ts';
import { readSlow, writeSlow } from '../../lib/locking/rw-semaphore/wait.ts';
import {
  HANDOFF,
  HANDOFF_AFTER,
  latchOf,
  RwSemaphoreWords,
  roundOf,
  WAITERS,
  wordOf,
} from '../../lib/locking/rw-semaphore/words.ts';
import { holdsOf } from '../../lib/sched/holds.ts';
import { loseOffer, NOBODY, offerTo, TIMES } from '../../lib/sched/offer.ts';
import type { SlowPath, Waiter } from '../../lib/sched/slow-path.ts';
import { SLEEPING, Task } from '../../lib/sched/task.ts';
import { on, step, stepper } from '../support/stepper.ts';

/** Thread 0 holds the lock, thread 1 has an event loop; the synchronous calls of the others are driven by hand. */
function stage({ fifo = false, threads = 4, stands = true } = {}) {
  const { arenas, real, before: interrupt, ...rest } = stepper(threads);
  const views = arenas.map((arena) => new RwSemaphore(arena, 'l', { fifo }));
  const [holder, loop] = views as [RwSemaphore, RwSemaphore];
  const { address } = holder;
  holder.downWrite();
  /** What the clock says, ms; it stands still. */
  const clock = { now: 0 };
  if (stands) for (const { cpu } of arenas) cpu.now = () => clock.now * 1e6;
  /** A call of a thread that reads or writes, and is asleep when it has begun; `async`: of its event loop. */
  const call = (number: number, path: typeof readSlow, async = false) => {
    const { thread, heap } = arenas[number]!;
    const task = async ? thread.takeTask(heap) : thread.self;
    const waiter: Waiter = { thread, task, deadline: Infinity, async, aborted: false };
    const steps: SlowPath<unknown> = path(address, waiter);
    const go = (reason: 'woken' | 'timed-out' = 'woken') => steps.next(reason);
    return {
      waiter,
      go,
      sleeps: () => real.load(task + Task.state) === SLEEPING,
      upRead: () => upRead(thread, address, task),
    };
  };
  const mark = (flags: number) => real.fetchOr(wordOf(address), flags);
  const isHeld = () => holder.readers > 0 || holder.owner !== undefined;
  return { arenas, real, views, holder, loop, address, call, clock, mark, isHeld, interrupt, ...rest };
}

describe('RwSemaphore: what readers of an event loop were let in for', () => {
  test('is taken by a writer after a while, and theirs when that has left', async () => {
    const { views, holder, loop, call, clock } = stage();
    const reading = [loop.acquireReadAsync(), loop.acquireReadAsync()];
    const writer = call(2, writeSlow);
    writer.go();
    holder.upWrite();
    // Woken beside them.
    expect([holder.readers, writer.sleeps()]).toEqual([2, false]);
    expect(writer.go().done).toBe(false);
    clock.now = 0.9;
    expect(writer.go().done).toBe(false);
    clock.now = 1;
    expect(writer.go().value).toBe('acquired');
    expect([holder.readers, holder.owner?.thread]).toEqual([0, 2]);
    views[2]!.upWrite();
    expect(holder.readers).toBe(2);
    for (const each of reading) (await each).release();
    expect(holder.readers).toBe(0);
  });

  test('stays theirs, once they know', async () => {
    const { real, holder, loop, address, call, clock } = stage();
    const reading = loop.acquireReadAsync();
    const writer = call(2, writeSlow);
    writer.go();
    holder.upWrite();
    writer.go();
    const held = await reading;
    clock.now = 5;
    expect(writer.go().done).toBe(false);
    expect([holder.readers, writer.waiter.lookAgain]).toEqual([1, undefined]);
    held.release();
    expect(writer.go().value).toBe('acquired');
    // Nobody has to look after them any more.
    expect(real.load(roundOf(address)) & TIMES).toBe(NOBODY);
  });

  test('is taken in the time of the second, that followed upon a first', async () => {
    const { views, holder, loop, call, clock } = stage();
    const reading = loop.acquireReadAsync();
    const writer = call(2, writeSlow);
    writer.go();
    holder.upWrite();
    writer.go();
    (await reading).release();
    expect(views[3]!.tryDownWrite()).toBe(true);
    const second = loop.acquireReadAsync({ priority: -1 });
    views[3]!.upWrite();
    clock.now = 0.9;
    writer.go();
    clock.now = 1.8;
    expect(writer.go().done).toBe(false);
    clock.now = 2;
    // It is the first in line, and has no claim to the lock.
    expect(writer.go().value).toBe('acquired');
    views[2]!.upWrite();
    (await second).release();
  });

  test('is taken when the numbers of rounds begin anew', async () => {
    const { real, views, holder, loop, address, call, clock } = stage();
    real.store(roundOf(address), -1);
    const reading = loop.acquireReadAsync();
    const writer = call(2, writeSlow);
    writer.go();
    holder.upWrite();
    writer.go();
    clock.now = 1;
    expect(writer.go().value).toBe('acquired');
    views[2]!.upWrite();
    (await reading).release();
  });

  test('is kept from others while their own thread takes it back, where the lock is strict', () => {
    for (let n = 1, isOver = false; !isOver; n++) {
      const { holder, views, loop, call, interrupt, cancel } = stage({ fifo: true });
      loop.acquireReadAsync().catch(() => {});
      holder.upWrite();
      interrupt(1, step(n), () => expect(views[3]!.tryDownWrite(), `step ${n}`).toBe(false));
      expect(call(1, writeSlow).go().value).toBe('acquired');
      isOver = cancel(1);
    }
  });

  test('counts as on offer from when they hold it until it is taken, at any step', () => {
    for (const giver of [0, 2]) {
      for (let n = 1, stops = true; stops; n++) {
        const { real, holder, address, call, clock, stopBefore } = stage();
        // Driven by hand: on an event loop they would wait for a latch for ever that a stopped thread has, on a clock that stands still.
        for (let i = 0; i < 2; i++) call(1, readSlow, true).go();
        const writer = call(2, writeSlow);
        writer.go();
        if (giver === 2) {
          holder.upWrite();
          writer.go();
          clock.now = 1;
        }
        stops = stopBefore(giver, step(n), () => (giver === 2 ? writer.go() : holder.upWrite()));
        const isHeld = holdsOf(real, 4, address, (id) => id === 2).length > 0;
        if (isHeld) expect(isOnOffer(real, address), `step ${n} of thread ${giver}`).toBe(true);
      }
    }
  });

  test('stays that of one whose time is over as it is let in', () => {
    const { holder, address, call, clock, interrupt, cancel } = stage();
    const reader = call(1, readSlow, true);
    const writer = call(2, writeSlow);
    reader.go();
    writer.go();
    interrupt(1, on('cmpxchgAcquire', latchOf(address)), () => holder.upWrite());
    expect(reader.go('timed-out').value).toBe('acquired');
    expect(cancel(1)).toBe(false);
    writer.go();
    clock.now = 1;
    expect(writer.go().done).toBe(false);
    expect(holder.readers).toBe(1);
    reader.upRead();
    expect(writer.go().value).toBe('acquired');
  });

  test('is taken for the first in line, where the lock is kept for that', () => {
    const { holder, loop, call, clock, mark } = stage();
    loop.acquireReadAsync().catch(() => {});
    const [first, taker] = [call(2, writeSlow), call(3, writeSlow)];
    first.go();
    taker.go();
    holder.upWrite();
    taker.go();
    clock.now = 0.5;
    first.go();
    mark(HANDOFF | WAITERS);
    clock.now = 9;
    expect(first.sleeps()).toBe(true);
    expect(taker.go().done).toBe(false);
    expect(first.sleeps()).toBe(false);
    expect(first.go().value).toBe('acquired');
  });

  test('is taken by a reader, and the writer of another event loop is woken that has waited for long', () => {
    const { holder, loop, call, clock } = stage({ threads: 5 });
    loop.acquireReadAsync().catch(() => {});
    const [writer, reader] = [call(4, writeSlow, true), call(2, readSlow)];
    writer.go();
    holder.upWrite();
    reader.go();
    clock.now = 9;
    expect(writer.sleeps()).toBe(true);
    expect(reader.go().done).toBe(false);
    expect(writer.sleeps()).toBe(false);
    expect(writer.go().value).toBe('acquired');
  });

  test('is left to all of them for as long as to the one that was passed most', async () => {
    const { views, holder, loop, call, clock } = stage();
    const reading = [loop.acquireReadAsync()];
    const writer = call(2, writeSlow);
    writer.go();
    holder.upWrite();
    writer.go();
    clock.now = 1;
    writer.go();
    reading.push(loop.acquireReadAsync());
    const next = call(3, writeSlow);
    next.go();
    views[2]!.upWrite();
    expect(holder.readers).toBe(2);
    next.go();
    clock.now = 2.9;
    expect(next.go().done).toBe(false);
    for (const each of reading) (await each).release();
    expect(next.go().value).toBe('acquired');
  });

  test('stays theirs, when the thread that looks after them is let in beside them as it looks', async () => {
    const { views, holder, loop, address, call, clock, interrupt, cancel } = stage({ threads: 5 });
    const reading = loop.acquireReadAsync();
    const [reader, writer, next] = [call(2, readSlow), call(3, writeSlow), call(4, writeSlow)];
    writer.go();
    holder.upWrite();
    reader.go();
    next.go();
    clock.now = 0.5;
    writer.go();
    clock.now = 1;
    interrupt(2, on('cmpxchgAcquire', latchOf(address)), () => writer.go('timed-out'));
    expect(reader.go().value).toBe('acquired');
    expect(cancel(2)).toBe(false);
    expect(holder.readers).toBe(2);
    views[2]!.upRead();
    (await reading).release();
    expect(next.go().value).toBe('acquired');
  });

  test('is left to them for twice the time, when it was taken before', async () => {
    const { views, holder, loop, call, clock } = stage();
    const reading = loop.acquireReadAsync();
    const writer = call(2, writeSlow);
    writer.go();
    holder.upWrite();
    writer.go();
    clock.now = 1;
    writer.go();
    const next = call(3, writeSlow);
    next.go();
    // The reader is behind nobody but the one inside.
    views[2]!.upWrite();
    expect(holder.readers).toBe(1);
    next.go();
    clock.now = 2.9;
    expect(next.go().done).toBe(false);
    clock.now = 3;
    expect(next.go().value).toBe('acquired');
    views[3]!.upWrite();
    (await reading).release();
  });

  test('is taken for a reader that is behind a writer of an event loop', async () => {
    const { views, holder, loop, call, clock } = stage({ threads: 5 });
    const reading = loop.acquireReadAsync();
    const writing = views[4]!.acquireWriteAsync();
    holder.upWrite();
    const [reader, next] = [call(2, readSlow), call(3, writeSlow)];
    expect(reader.go().done).toBe(false);
    next.go();
    clock.now = 1;
    expect(reader.go().value).toBe('acquired');
    expect(holder.readers).toBe(1);
    views[2]!.upRead();
    expect(next.sleeps()).toBe(false);
    expect(next.go().value).toBe('acquired');
    views[3]!.upWrite();
    (await writing).release();
    (await reading).release();
  });

  test('is looked after by the next, when one gives up', () => {
    const { holder, loop, call } = stage();
    void loop.acquireReadAsync();
    const [writer, next] = [call(2, writeSlow), call(3, writeSlow)];
    writer.go();
    next.go();
    holder.upWrite();
    expect(next.sleeps()).toBe(true);
    writer.go();
    expect(writer.go('timed-out').value).toBe('timed-out');
    expect(next.sleeps()).toBe(false);
    next.go();
    expect(next.waiter.lookAgain).toBeDefined();
  });

  test('is taken by nobody, where the lock is strict', async () => {
    const { holder, loop, call, clock } = stage({ fifo: true });
    const reading = loop.acquireReadAsync();
    const writer = call(2, writeSlow);
    writer.go();
    holder.upWrite();
    writer.go();
    clock.now = 5;
    expect(writer.go().done).toBe(false);
    expect(holder.readers).toBe(1);
    (await reading).release();
    expect(writer.go().value).toBe('acquired');
  });

  test('is lost with a thread that dies as it takes it', async () => {
    for (let n = 1, dies = true; dies; n++) {
      const { views, holder, loop, call, clock, killBefore, reap, isHeld } = stage();
      const reading = [loop.acquireReadAsync(), loop.acquireReadAsync()];
      const [writer, next] = [call(2, writeSlow), call(3, writeSlow)];
      writer.go();
      next.go();
      holder.upWrite();
      writer.go();
      clock.now = 1;
      dies = killBefore(2, step(n), () => writer.go());
      if (dies) expect(reap(0), `step ${n}`).toBe('done');
      else views[2]!.upWrite();
      for (const now of [2, 4]) {
        clock.now = now;
        if (next.go().done) break;
        expect(now, `step ${n}`).toBe(2);
      }
      expect([holder.readers, holder.owner?.thread]).toEqual([0, 3]);
      if (views[3]!.ownerDied) views[3]!.makeConsistent();
      views[3]!.upWrite();
      for (const each of reading) (await each).release();
      expect(isHeld(), `step ${n}`).toBe(false);
    }
  });

  test.each([
    ['is taken back as they take notice of it', 1],
    ['they take notice of as it is taken back', 2],
  ])('%s, at any step', (_, outer) => {
    for (let n = 1, isOver = false; !isOver; n++) {
      const { views, holder, call, clock, interrupt, cancel, isHeld } = stage();
      const [reader, other, writer] = [call(1, readSlow, true), call(1, readSlow, true), call(2, writeSlow)];
      for (const each of [reader, other, writer]) each.go();
      holder.upWrite();
      writer.go();
      clock.now = 1;
      const ends = [false, false];
      const goOn = (which: number) => {
        ends[which - 1] = (which === 1 ? reader : writer).go().done === true;
      };
      interrupt(outer, step(n), () => goOn(3 - outer));
      goOn(outer);
      isOver = cancel(outer);
      // One of them: the other reader, which comes late, has lost what it was given in any case where the writer looked.
      expect(ends.filter(Boolean).length, `step ${n}`).toBeLessThan(2);
      if (ends[0]) expect(holder.readers, `step ${n}`).toBeGreaterThan(0);
      if (ends[0]) reader.upRead();
      clock.now = 5;
      while (!ends[1]) goOn(2);
      expect([holder.readers, holder.owner?.thread], `step ${n}`).toEqual([0, 2]);
      views[2]!.upWrite();
      for (const each of ends[0] ? [other] : [reader, other]) {
        while (!each.go().done);
        each.upRead();
      }
      expect(isHeld(), `step ${n}`).toBe(false);
    }
  });

  test('is taken from one that is dead, at any step of the reaper', () => {
    for (let n = 1, dies = true; dies; n++) {
      const { real, views, holder, loop, call, clock, die, reap, killBefore, isHeld } = stage({ threads: 5 });
      const [, living] = [loop.acquireReadAsync(), call(4, readSlow)];
      const writer = call(2, writeSlow);
      living.go();
      writer.go();
      holder.upWrite();
      expect(living.go().value).toBe('acquired');
      writer.go();
      die(1);
      dies = killBefore(3, step(n), () => reap(3));
      clock.now = 1;
      // Where the reaper has died with the latch, the thread waits for that.
      const isLatched = real.load(latchOf(holder.address)) !== 0;
      if (!isLatched) expect(writer.go().done, `step ${n}`).toBe(false);
      expect(reap(0)).toBe('done');
      expect(holder.readers, `step ${n}`).toBe(1);
      views[4]!.upRead();
      expect(writer.go().value, `step ${n}`).toBe('acquired');
      views[2]!.upWrite();
      expect(isHeld()).toBe(false);
    }
  });

  test('is counted by a reaper, after it was taken', () => {
    const { holder, call, clock, die, reap } = stage({ threads: 5 });
    const reader = call(1, readSlow, true);
    const [writer, dead, living] = [call(2, writeSlow), call(3, readSlow), call(4, readSlow)];
    for (const each of [reader, writer, dead, living]) each.go();
    holder.upWrite();
    for (const each of [writer, dead, living]) each.go();
    clock.now = 1;
    writer.go();
    expect(holder.readers).toBe(2);
    die(3);
    expect(reap(0)).toBe('done');
    expect(holder.readers).toBe(1);
    living.upRead();
    expect(writer.go().value).toBe('acquired');
  });

  test('is taken from them, and they are dead', () => {
    for (const reaps of [false, true]) {
      const { views, holder, loop, call, clock, die, reap } = stage();
      void loop.acquireReadAsync();
      const writer = call(2, writeSlow);
      writer.go();
      holder.upWrite();
      writer.go();
      die(1);
      if (reaps) expect(reap(3)).toBe('done');
      clock.now = 1;
      expect(writer.go().value).toBe('acquired');
      if (!reaps) expect(reap(3)).toBe('done');
      expect([holder.readers, holder.owner?.thread]).toEqual([0, 2]);
      views[2]!.upWrite();
      expect(views[3]!.tryDownWrite()).toBe(true);
    }
  });

  test('is taken while their thread looks whether it reads', () => {
    for (let n = 1, isOver = false; !isOver; n++) {
      const { real, holder, loop, address, call, clock, interrupt, cancel } = stage();
      loop.acquireReadAsync().catch(() => {});
      const writer = call(2, writeSlow);
      writer.go();
      holder.upWrite();
      writer.go();
      clock.now = 1;
      interrupt(1, step(n), () => {
        // Or that thread has the latch.
        if (real.load(latchOf(address)) === 0) writer.go();
      });
      // Not EDEADLK: what it was let in for it takes back.
      let code = 'none';
      try {
        loop.downWrite({ timeout: 0 });
      } catch (error) {
        code = (error as HoldfastError).code;
      }
      isOver = cancel(1);
      expect(['none', 'ETIMEDOUT'], `step ${n}`).toContain(code);
    }
  });

  test('makes a deadlock of a thread that would pass it on before it sleeps', () => {
    const { arenas, holder, loop, address, views, stopBefore } = stage({ stands: false });
    const others = arenas.map((arena) => new Mutex(arena, 'n'));
    others[2]!.lock();
    void loop.acquireReadAsync();
    holder.upWrite();
    expect(holder.readers).toBe(1);
    expect(stopBefore(1, on('cmpxchgAcquire', latchOf(address)), () => others[1]!.lock())).toBe(true);
    views[2]!.downWrite({ detectDeadlock: true });
    expect(views[2]!.owner?.thread).toBe(2);
  });
});

describe('RwSemaphore: a free lock that is kept for a writer of an event loop', () => {
  /** The lock as it is then. */
  function keptStage(options?: { fifo: boolean }) {
    const it = stage(options);
    const writing = it.loop.acquireWriteAsync();
    const keep = () => {
      it.mark(HANDOFF | WAITERS);
      // As if it had waited for long.
      const first = it.real.load(it.address + RwSemaphoreWords.waiters);
      it.real.store(first + Task.since, (it.real.load(first + Task.since) - 2 * HANDOFF_AFTER) & 0x7fffffff);
      it.holder.upWrite();
    };
    return { ...it, writing, keep };
  }

  test.each([
    ['a writer', writeSlow],
    ['readers', readSlow],
  ])('is taken by %s after a while', async (_, path) => {
    const { keep, writing, call, clock, views, isHeld } = keptStage();
    const waiting = call(2, path);
    waiting.go();
    const other = call(3, readSlow);
    other.go();
    keep();
    expect(waiting.sleeps()).toBe(false);
    expect(waiting.go().done).toBe(false);
    expect(isHeld()).toBe(false);
    clock.now = 1;
    expect(waiting.go().value).toBe('acquired');
    if (path === writeSlow) {
      expect(other.sleeps()).toBe(true);
      views[2]!.upWrite();
    } else {
      // All who read synchronously go in together.
      expect(other.go().value).toBe('acquired');
      views[3]!.upRead();
      views[2]!.upRead();
    }
    (await writing).release();
  });

  test.each([
    ['a writer', writeSlow],
    ['readers', readSlow],
  ])('is left to it, if %s come in time, or the lock is strict', async (_, path) => {
    for (const fifo of [false, true]) {
      const { keep, writing, call, clock } = keptStage({ fifo });
      const waiting = call(2, path);
      waiting.go();
      keep();
      clock.now = fifo ? 9 : 0.9;
      waiting.go();
      (await writing).release();
      clock.now = 9;
      expect(waiting.go().value).toBe('acquired');
    }
  });

  test('is left to it for twice the time, when it was taken before', async () => {
    const { keep, writing, call, clock, views } = keptStage();
    const [taker, next] = [call(2, writeSlow), call(3, writeSlow)];
    taker.go();
    next.go();
    keep();
    taker.go();
    clock.now = 1;
    expect(taker.go().value).toBe('acquired');
    views[2]!.upWrite();
    next.go();
    clock.now = 2.9;
    expect(next.go().done).toBe(false);
    clock.now = 3;
    expect(next.go().value).toBe('acquired');
    views[3]!.upWrite();
    (await writing).release();
  });

  test('that comes late wakes the reader behind it that has found another writer there', async () => {
    const { loop, holder, call, views } = stage();
    const first = loop.acquireWriteAsync();
    const reader = call(2, readSlow);
    reader.go();
    holder.upWrite();
    expect(views[3]!.tryDownWrite()).toBe(true);
    expect(reader.go().done).toBe(false);
    expect(reader.sleeps()).toBe(true);
    views[3]!.upWrite();
    expect(reader.sleeps()).toBe(false);
    expect(reader.go().value).toBe('acquired');
    views[2]!.upRead();
    (await first).release();
  });

  test('that has not waited for long is taken at once by the first thread behind it', async () => {
    for (const path of [writeSlow, readSlow]) {
      const { loop, holder, call, views } = stage();
      const first = loop.acquireWriteAsync();
      const waiting = call(2, path);
      waiting.go();
      holder.upWrite();
      expect(waiting.sleeps()).toBe(false);
      expect(waiting.go().value).toBe('acquired');
      if (path === writeSlow) views[2]!.upWrite();
      else views[2]!.upRead();
      (await first).release();
    }
  });

  test('is lost with a thread that dies as it takes it', async () => {
    for (const path of [writeSlow, readSlow]) {
      for (let n = 1, dies = true; dies; n++) {
        const { keep, writing, call, clock, views, killBefore, reap, isHeld } = keptStage();
        const [taker, next] = [call(2, path), call(3, writeSlow)];
        taker.go();
        next.go();
        keep();
        taker.go();
        clock.now = 1;
        dies = killBefore(2, step(n), () => taker.go());
        if (dies) expect(reap(0), `step ${n}`).toBe('done');
        else if (path === writeSlow) views[2]!.upWrite();
        else views[2]!.upRead();
        for (const now of [2, 5]) {
          clock.now = now;
          if (next.go().done) break;
          expect(now, `step ${n}`).toBe(2);
        }
        expect(views[3]!.owner?.thread).toBe(3);
        if (views[3]!.ownerDied) views[3]!.makeConsistent();
        views[3]!.upWrite();
        (await writing).release();
        expect(isHeld(), `step ${n}`).toBe(false);
      }
    }
  });
});

test('an offer that was taken often is not taken for that of nobody', () => {
  const { real, arenas } = stepper(1);
  const task = arenas[0]!.thread.self;
  for (let i = 0; i < 2 * TIMES; i++) loseOffer(real, task);
  expect(offerTo(real, task) - task).toBeLessThan(NOBODY);
});
