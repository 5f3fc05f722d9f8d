/** How much of their time threads wait, and which threads have not heard that somebody watches. */
import { expect, test } from 'vitest';
import { PressureMeter, waitedFor } from '../../lib/debug/profile/pressure.ts';
import { type Arena, Mutex, startLockdep, startProfile, startTrace } from '../../lib/index.ts';
import { Header } from '../../lib/memory/header.ts';
import { on, stepper } from '../support/stepper.ts';

const S = 1e9;

function stage() {
  const stepped = stepper(2, { words: 1 << 20 });
  return { ...stepped, arena: stepped.arenas[0] as Arena };
}

test('the averages are those of other windows, or go by how often they are asked for', () => {
  const steps = (every: number) => {
    const meter = new PressureMeter(0);
    let last = meter.update(0, 0, 2);
    // Half of the time of two threads, for 60 s.
    for (let at = every; at <= 60; at += every) last = meter.update(at * S, at * S, 2);
    return last;
  };
  for (const { avg10, avg60, avg300, total } of [steps(2), steps(0.5), steps(60)]) {
    expect(avg10).toBeCloseTo(0.5 * (1 - Math.exp(-6)), 6);
    expect(avg60).toBeCloseTo(0.5 * (1 - Math.exp(-1)), 6);
    expect(avg300).toBeCloseTo(0.5 * (1 - Math.exp(-1 / 5)), 6);
    expect(total).toBe(60 * S);
  }
});

test('a total that goes back, or more than there is time for, makes a share that can not be', () => {
  const meter = new PressureMeter(0);
  expect(meter.update(10 * S, 100 * S, 1).avg10).toBeCloseTo(1 - Math.exp(-1), 6);
  const { avg10, total } = meter.update(20 * S, 90 * S, 1);
  expect(avg10).toBeCloseTo((1 - Math.exp(-1)) * Math.exp(-1), 6);
  expect(total).toBe(100 * S);
  // No time has passed.
  expect(meter.update(20 * S, 200 * S, 0).avg10).toBe(avg10);
});

test('a wait that is under way does not count, or one that is over counts twice', () => {
  const { arenas, arena, before } = stage();
  const [mine, theirs] = arenas.map((one) => new Mutex(one, 'm')) as [Mutex, Mutex];
  const { cpu } = arena;
  let now = 1000 * S;
  for (const one of arenas) one.cpu.now = () => now;
  const session = startProfile(arena);
  const profile = cpu.load(Header.profileTables);
  const waited = () => waitedFor(cpu, profile, cpu.load(Header.profile)).total;
  expect(waited()).toBe(0);
  theirs.lock();
  before(0, on('wait'), () => {
    now += 5 * S;
    expect(waited()).toBe(5 * S);
    theirs.unlock();
  });
  mine.lock();
  expect(waited()).toBe(5 * S);
  expect(session.pressure().total).toBe(5 * S);
  mine.unlock();
  session.stop();
});

test('threads that have heard of it are counted as those that have not, or the other way round', () => {
  const { arenas, arena } = stage();
  const second = arenas[1] as Arena;
  const heldBy = (one: Arena) => {
    const mutex = new Mutex(one, 'm');
    mutex.lock();
    return mutex;
  };
  const profile = startProfile(arena);
  const trace = startTrace(arena, { events: 16, threads: 4 });
  const lockdep = startLockdep(arena, { quiet: true });
  const unheard = () => [profile.read().unheard, trace.read().unheard, lockdep.stats().unheard];
  expect(unheard()).toEqual([1, 1, 1]);
  // One that is free is no call that has to wait.
  heldBy(second).unlock();
  expect(unheard()).toEqual([1, 1, 1]);
  const mine = new Mutex(arena, 'm');
  mine.lock();
  expect(() => new Mutex(second, 'm').lock({ timeout: 0 })).toThrow('ETIMEDOUT');
  mine.unlock();
  expect(unheard()).toEqual([0, 0, 0]);
  profile.stop();
  trace.stop();
  lockdep.stop();
  // Of the next ones it has not heard.
  const [again, next] = [startProfile(arena), startTrace(arena, { events: 16, threads: 4 })];
  expect([again.stop().unheard, next.stop().unheard]).toEqual([1, 1]);
});

test('where a call sleeps is not told while it sleeps, is told of a short one, or after it', () => {
  const { arenas, arena, before } = stage();
  const [mine, theirs] = arenas.map((one) => new Mutex(one, 'm')) as [Mutex, Mutex];
  const session = startProfile(arena);
  const names = () => session.stackOf(0)?.map(({ name }) => name);
  theirs.lock();
  before(0, on('wait'), () => {
    expect(names()).toBeUndefined();
    arena.thread.stalled?.();
    expect(names()).toContain('sleepHere');
    theirs.unlock();
  });
  function sleepHere() {
    mine.lock();
  }
  sleepHere();
  expect(names()).toBeUndefined();
  // Nobody sleeps.
  arena.thread.stalled?.();
  expect(names()).toBeUndefined();
  session.stop();
  expect(arena.thread.stalled).toBeUndefined();
});
