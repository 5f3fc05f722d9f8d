import { describe, expect, test } from 'vitest';
import { Arena, DelayedWork, Rcu, Workqueue } from '../../lib/index.ts';
import { expireTimer, timerFired } from '../../lib/sched/timer.ts';
import { CLOSED, WorkWords, Wq } from '../../lib/workqueue/layout.ts';
import { awaitReaders } from '../../lib/workqueue/rcu-work.ts';
import { step } from '../support/stepper.ts';
import { inThread, until } from '../support/threads.ts';
import { f } from './functions.ts';
import { workStage } from './work-stage.ts';

const THREADS = new URL('./workqueue.threads.ts', import.meta.url).href;

describe('a work that waits for readers', () => {
  const numberOf = (stage: ReturnType<typeof workStage>, i: number) =>
    stage.real.load(stage.works[i]!.address + WorkWords.number);

  test('is queued by its timer, by who is in a hurry, or by readers that another queueing has waited for', () => {
    const stage = workStage();
    expect(stage.delayForReaders(0)).toBe('queued');
    expect(stage.delayForReaders(0)).toBe('pending');
    const number = numberOf(stage, 0);
    expect(stage.expire(100)).toBe(0);
    expect(stage.expedite(0)).toBe('not');
    expect(stage.readersAreOut(0, number - 1)).toBe('not');
    expect(stage.states(0)).toEqual(['delayed', 'free']);
    expect(stage.readersAreOut(0, number)).toBe('queued');
    expect(stage.readersAreOut(0, number)).toBe('not');
    expect(stage.workOff()).toEqual([0]);
    // Cancelled, and to be queued by time: readers are none of its business.
    stage.delayForReaders(0);
    const cancelled = numberOf(stage, 0);
    expect(stage.cancel(0)).toBe(true);
    expect(stage.delay(0, 10)).toBe('queued');
    expect(stage.readersAreOut(0, cancelled)).toBe('not');
    expect(stage.readersAreOut(0, numberOf(stage, 0))).toBe('not');
    expect(stage.expire(100)).toBe(1);
    expect(stage.workOff()).toEqual([0]);
  });

  test('is flushed as if it were idle, or for ever once it is cancelled or dropped', async () => {
    const stage = workStage();
    const work = stage.workAs(1);
    stage.delayForReaders(0);
    const flushed = work.flushWorkAsync();
    let isOver = false;
    void flushed.then(() => (isOver = true));
    await new Promise((resolve) => setImmediate(resolve));
    expect(isOver).toBe(false);
    expect(stage.cancel(0)).toBe(true);
    expect(await flushed).toBe(true);
    stage.delayForReaders(0);
    const again = work.flushWorkAsync();
    stage.real.store(stage.wq + Wq.state, CLOSED);
    expect(stage.readersAreOut(0, numberOf(stage, 0))).toBe('dropped');
    expect(await again).toBe(true);
    expect(stage.states(0)).toEqual(['free', 'free']);
  });

  test('is queued by nobody, because whoever queued it has died at some step', () => {
    for (let k = 1; ; k++) {
      const stage = workStage();
      if (!stage.killBefore(0, step(k), () => stage.delayForReaders(0))) return expect(k).toBeGreaterThan(10);
      expect(stage.reap(3)).toBe('done');
      const isPending = stage.works[0]!.workBusy.pending;
      // kthreadd hears of it by the timer.
      if (isPending) expect(stage.isTimerActive(0)).toBe(true);
      if (isPending) expect(stage.readersAreOut(0, numberOf(stage, 0), 3)).toBe('queued');
      expect(stage.delayForReaders(0, 0, 3)).toBe(isPending ? 'pending' : 'queued');
    }
  });

  test('is forgotten when kthreadd dies before they are out, or waits for them twice', async () => {
    const stage = workStage();
    stage.delayForReaders(0);
    const [arena, { address }] = [stage.arenas[1]!, stage.works[0]!];
    const timer = stage.real.load(address + WorkWords.timer);
    const numbers: number[] = [];
    for (let i = 0; i < 2; i++) {
      expect(expireTimer(arena.cpu, arena.thread.id, Number.MAX_VALUE)).toBe(timer);
      awaitReaders(arena, address, timer, (number) => numbers.push(number));
      timerFired(arena.cpu, arena.thread.id, timer);
      expect(stage.isTimerActive(0)).toBe(true);
    }
    while (numbers.length === 0) await new Promise((resolve) => setImmediate(resolve));
    await new Rcu(arena).synchronizeAsync();
    expect(numbers).toEqual([numberOf(stage, 0)]);
  });

  test('runs while one of them is inside, or never', async () => {
    const arena = Arena.create({ bytes: 8 << 20 });
    Workqueue.configure(arena, { slots: 1 });
    const wq = new Workqueue(arena, 'behind readers');
    const log = arena.alloc(16);
    arena.words[log] = 0;
    const note = new DelayedWork(arena, 'note', f.note, log, 7);
    const reader = new Rcu(arena).read();
    expect(wq.queueRcuWork(note)).toBe(true);
    expect(wq.queueRcuWork(note)).toBe(false);
    await wq.run(f.add, 1, 2);
    expect(note.workBusy).toEqual({ pending: true, running: false });
    reader.release();
    expect(await note.flushWorkAsync()).toBe(true);
    expect(arena.words[log]).toBe(1);
    // Of a thread that ends at once.
    await inThread(arena, THREADS, 'queueRcuWork', 'behind readers', log).exited;
    await until(arena, log, 2);
  });
});
