/** A thread that dies, is read or is stopped at each step of telling of an event. */
import { expect, test } from 'vitest';
import { startLockdep } from '../../../lib/debug/lockdep/session.ts';
import { Emitting, Ring, ringAt, Tables } from '../../../lib/debug/trace/layout.ts';
import { type TraceProgram, traceProgram } from '../../../lib/debug/trace/program/session.ts';
import { readTrace, type Trace } from '../../../lib/debug/trace/read.ts';
import { openTables, startTrace, type TraceOptions, type TraceSession } from '../../../lib/debug/trace/session.ts';
import { Mutex } from '../../../lib/index.ts';
import { Header } from '../../../lib/memory/header.ts';
import { watching } from '../../../lib/sched/contention.ts';
import { on, step, stepper, type When } from '../../support/stepper.ts';
import { thrown } from '../../support/threads.ts';
import { valuesOf } from '../program/stage.ts';

const OPTIONS = { events: 16, threads: 4 };

function stage(words = 1 << 18) {
  const stepped = stepper(3, { words });
  const { arenas } = stepped;
  const mutexes = arenas.map((arena, i) => new Mutex(arena, `lock ${i}`, { onOwnerDied: () => {} }));
  // It takes some ten thousand steps to make.
  openTables(arenas[0]!);
  const start = (options: TraceOptions = OPTIONS) => startTrace(arenas[0]!, options);
  const tables = () => stepped.real.load(Header.traceTables);
  return { ...stepped, mutexes, start, tables };
}

/** The `n`th operation that changes something: a thread that dies before it looks has died before it changes something next. */
function change(n: number): When {
  let seen = 0;
  return ({ op }) => !/^(load|read|condLoad|now|rmb|mb|wmb)/.test(op) && ++seen === n;
}

const pair = (mutex: Mutex | undefined) => {
  mutex?.lock();
  mutex?.unlock();
};

/** The events of the thread with that number are pairs in order, each as a whole. */
function checkWhole({ events, threads, locks }: Trace, number: number): number {
  const own = events.filter(({ thread }) => threads[thread]?.number === number);
  for (const [i, { point, fields, time }] of own.entries()) {
    expect(locks[fields.lock as number]).toMatchObject({ kind: 'mutex', name: `lock ${number}` });
    const before = own[i - 1];
    if (before !== undefined && own.some((event) => event.point === 'release')) expect(point).not.toBe(before.point);
    if (point === 'release' && before !== undefined) expect(fields.hold).toBe(time - before.time);
  }
  return own.length;
}

function untilTraced(on3: ReturnType<typeof stage>, options: TraceOptions = OPTIONS): TraceSession {
  const session = on3.start(options);
  // It attached before the trace began, and learns of it as in each slow path.
  watching(on3.arenas[1]!.thread);
  return session;
}

test('a thread that dies at a step of an event takes others with it, or keeps those that come later from tracing', () => {
  let steps = 0;
  for (let n = 1; ; n++) {
    const on3 = stage();
    const session = untilTraced(on3);
    for (let i = 0; i < 3; i++) pair(on3.mutexes[1]);
    const before = checkWhole(session.read(), 1);
    const died = on3.killBefore(1, step(n), () => pair(on3.mutexes[1]));
    expect(on3.reap(2)).toBe('done');
    const trace = session.stop();
    const after = checkWhole(trace, 1);
    expect(after).toBeGreaterThanOrEqual(before);
    expect(trace.unfinished).toBe(0);
    if (!died) {
      expect(after).toBe(before + 2);
      break;
    }
    expect(on3.real.load(on3.arenas[1]!.thread.slot + Emitting.mark)).toBe(0);
    // Another one begins with empty rings.
    const next = startTrace(on3.arenas[0]!, OPTIONS);
    pair(on3.mutexes[0]);
    expect(checkWhole(next.stop(), 0)).toBe(2);
    steps++;
  }
  expect(steps).toBeGreaterThan(20);
});

test('what is read at a step of an event that goes over the oldest one has a piece of it', () => {
  const on3 = stage();
  const session = untilTraced(on3);
  for (let i = 0; i < 12; i++) pair(on3.mutexes[1]);
  for (let n = 1; ; n++) {
    let read: Trace | undefined;
    on3.before(1, step(n), () => (read = session.read()));
    pair(on3.mutexes[1]);
    if (on3.cancel(1)) break;
    expect(checkWhole(read!, 1)).toBeGreaterThanOrEqual(15);
  }
  for (let n = 1; ; n++) {
    on3.before(0, step(n), () => pair(on3.mutexes[1]));
    const read = session.read();
    if (on3.cancel(0)) break;
    expect(checkWhole(read, 1)).toBeGreaterThanOrEqual(13);
  }
});

// A ring that hears of both points writes them itself; another one is told of each, as any sink is.
test.each([
  ['of pairs', OPTIONS],
  ['of what is taken', { ...OPTIONS, points: ['acquire'] }],
] as const)('a trace %s that ends at a step of an event has a piece of it, or the next one has', (_, options) => {
  for (let n = 1; ; n++) {
    const on3 = stage();
    const session = untilTraced(on3, options);
    let trace: Trace | undefined;
    let next: TraceSession | undefined;
    let refused = '';
    on3.before(1, step(n), () => {
      trace = session.stop();
      checkWhole(trace, 1);
      // The thread cannot go on meanwhile: where it is in the middle of an event, nobody may clear what it writes to.
      if (trace.unfinished === 0) next = startTrace(on3.arenas[2]!, options);
      else refused = (thrown(() => startTrace(on3.arenas[2]!, options)) as { code?: string }).code ?? '';
    });
    pair(on3.mutexes[1]);
    const isOver = on3.cancel(1);
    if (isOver) {
      session.stop();
      break;
    }
    expect(refused).toBe(trace!.unfinished === 0 ? '' : 'EBUSY');
    pair(on3.mutexes[1]);
    checkWhole((next ?? startTrace(on3.arenas[2]!, options)).stop(), 1);
  }
});

test('the thread that traces dies at a step of its start or its end: nobody can trace any more', () => {
  for (let n = 1; ; n++) {
    const on3 = stage();
    const died = on3.killBefore(0, change(n), () => startTrace(on3.arenas[0]!, OPTIONS).stop());
    expect(on3.reap(2)).toBe('done');
    const session = startTrace(on3.arenas[2]!, OPTIONS);
    pair(on3.mutexes[2]);
    expect(checkWhole(session.stop(), 2)).toBe(2);
    expect(on3.arenas[2]!.fsck()).toEqual([]);
    if (!died) break;
  }
});

test('a thread comes to a trace that has ended, and takes a ring of the next one under the name of the last', () => {
  const on3 = stage();
  const first = on3.start();
  const taken = on3.tables() + Tables.ringsTaken;
  // Right before it takes one, the trace ends, and another one would begin.
  on3.before(1, on('fetchAddRelaxed', taken), () => {
    expect(first.stop().unfinished).toBe(1);
    expect(thrown(() => startTrace(on3.arenas[2]!, OPTIONS))).toMatchObject({ code: 'EBUSY' });
  });
  watching(on3.arenas[1]!.thread);
  const second = startTrace(on3.arenas[2]!, OPTIONS);
  pair(on3.mutexes[2]);
  const trace = second.stop();
  expect(trace.threads.map(({ number }) => number)).toEqual([2]);
  expect(on3.real.load(ringAt(on3.tables(), 1) + Ring.life)).toBe(0);
});

test.each([
  ['pairs', OPTIONS, 2],
  ['what is taken', { ...OPTIONS, points: ['acquire'] }, 1],
] as const)(
  'a thread that has heard of no end between two traces of %s writes to the ring that it had in the first',
  (_, options, of) => {
    const on3 = stage();
    const first = untilTraced(on3, options);
    pair(on3.mutexes[1]);
    first.stop();
    const second = on3.start(options);
    watching(on3.arenas[2]!.thread);
    pair(on3.mutexes[2]);
    // By the first event, which goes untold, it learns.
    for (let i = 0; i < 3; i++) pair(on3.mutexes[1]);
    const trace = second.stop();
    expect(trace.threads.map(({ number }) => number)).toEqual([0, 2, 1]);
    expect([checkWhole(trace, 1), checkWhole(trace, 2)]).toEqual([2 * of, of]);
  },
);

test('a lock that is taken while a program comes to the trace is held for as long as the one before', () => {
  const on3 = stage(1 << 19);
  const session = untilTraced(on3);
  const [arena, other] = on3.arenas;
  const mutex = on3.mutexes[1]!;
  pair(mutex);
  let program: TraceProgram | undefined;
  on3.before(1, on('xchg', other!.thread.slot + Emitting.mark), () => {
    program = traceProgram(arena!, 'mutex:release { @held = max(hold) }');
  });
  // That goes untold.
  mutex.lock();
  mutex.unlock();
  const { events } = session.stop();
  const own = events.filter(({ thread }) => thread === 1);
  expect(own.map(({ point }) => point)).toEqual(['acquire', 'release', 'release']);
  const [, before, release] = own;
  expect(release!.fields.hold).toBeLessThan(release!.time - before!.time);
  expect(valuesOf(program!.stop(), '@held')).toEqual({ '': release!.fields.hold });
});

test('lockdep and a trace of one thread hear less than each alone, or go on when the other one ends', () => {
  const on3 = stage();
  const [arena] = on3.arenas;
  const [, , mutex] = on3.mutexes.map((_, i) => new Mutex(arena!, `lock ${i}`));
  const lockdep = startLockdep(arena!, { quiet: true });
  const session = startTrace(arena!, OPTIONS);
  mutex!.lock();
  expect(thrown(() => mutex!.lock())).toMatchObject({ code: 'EDEADLK' });
  const trace = session.stop();
  mutex!.unlock();
  pair(mutex);
  expect(lockdep.reports().map(({ finding }) => finding)).toEqual(['recursive']);
  expect(trace.events.map(({ point }) => point)).toEqual(['acquire', 'contention_begin', 'contention_end']);
  expect(trace.events.at(-1)?.fields.outcome).toBe(4);
  const next = startTrace(arena!, OPTIONS);
  lockdep.stop();
  pair(mutex);
  pair(mutex);
  expect(next.stop().events).toHaveLength(4);
  pair(mutex);
  expect(arena!.thread.observer).toBeUndefined();
});

test('rings of more than 2^32 events', () => {
  const on3 = stage();
  const session = untilTraced(on3);
  const { real } = on3;
  pair(on3.mutexes[1]);
  real.store(ringAt(on3.tables(), 1) + Ring.turns, 1);
  const trace = readTrace(real, on3.tables(), { startedAt: '', start: 0, duration: 0, unfinished: 0 });
  const { recorded, lost } = trace.threads[1]!;
  expect(recorded).toBeGreaterThan(2 ** 32);
  expect(lost).toBe(recorded - 15);
  session.stop();
});
