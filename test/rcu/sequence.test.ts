import { expect, test } from 'vitest';
import { Rcu } from '../../lib/index.ts';
import { domainAt, Period, RcuWords } from '../../lib/rcu/layout.ts';
import { Hang, on, step, stepper } from '../support/stepper.ts';

/** Threads of one arena, each with its view of the RCU. */
function views(threads: number) {
  const stage = stepper(threads);
  const rcus = stage.arenas.map((arena) => new Rcu(arena)) as [Rcu, Rcu, ...Rcu[]];
  return { ...stage, rcus, domain: domainAt(stage.real, rcus[0].address) };
}

/** The same, and the next period's number is the first behind a wrap of the low word. */
function beforeWrap() {
  const stage = views(2);
  const { real, rcus, domain } = stage;
  for (const word of [Period.low, Period.needed]) real.store(domain.rcu + RcuWords.normal + word, -4);
  const last = rcus[1].getState().normal;
  expect(last).toBe(2 ** 32);
  return { ...stage, last };
}

test('the number of a period goes on when its low word wraps, and says so to who reads meanwhile', () => {
  const stage = views(2);
  const { rcus, domain } = stage;
  const low = domain.rcu + RcuWords.normal + Period.low;
  const start = rcus[0].getState();
  let seen = 0;
  for (let i = 0; i < 299; i++) rcus[0].synchronize();
  const last = rcus[0].getState();
  stage.before(1, on('loadAcquire', low), () => rcus[0].synchronize());
  // Its high word is of before the wrap, its low word of after it.
  const torn = rcus[1].getState();
  expect(torn.normal).toBe(last.normal + 4);
  for (let i = 0; i < 10; i++) {
    const { normal } = rcus[1].getState();
    expect(normal).toBeGreaterThan(seen);
    seen = normal;
    rcus[0].synchronize();
  }
  expect(seen - start.normal).toBe(4 * 309);
  expect(rcus[0].pollState(start)).toBe(true);
});

test('no look at a number while it wraps sees a half of it', () => {
  let steps = 0;
  for (let isOver = false; !isOver; steps++) {
    const { rcus, before, cancel, last } = beforeWrap();
    const look = () => {
      try {
        expect([last, last + 4]).toContain(rcus[1].getState().normal);
      } catch (error) {
        // It waits for the thread that wraps the number, which is stopped here.
        if (!(error instanceof Hang)) throw error;
      }
    };
    before(0, step(steps + 1), look);
    rcus[0].synchronize();
    isOver = cancel(0);
  }
  expect(steps).toBeGreaterThan(10);
});

test('a look at a number that has wrapped takes no latch', () => {
  const { rcus, before, cancel, last, domain } = beforeWrap();
  rcus[0].synchronize();
  before(1, on('cmpxchgAcquire', domain.rcu + RcuWords.latch), () => {});
  expect(rcus[1].getState().normal).toBe(last + 4);
  expect(cancel(1)).toBe(true);
});

test('a number that a thread has left half-wrapped is whole when it is repaired', () => {
  let steps = 0;
  for (; ; steps++) {
    const { rcus, killBefore, reap, last, real, domain } = beforeWrap();
    if (!killBefore(0, step(steps + 1), () => rcus[0].synchronize())) break;
    expect(reap(1)).toBe('done');
    const at = domain.rcu + RcuWords.normal;
    expect(real.load(at + Period.high)).toBe(real.load(at + Period.highAgain));
    expect([last, last + 4]).toContain(rcus[1].getState().normal);
  }
  expect(steps).toBeGreaterThan(10);
});
