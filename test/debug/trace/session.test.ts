/** The rings of a trace: what is kept, what is lost, who may trace, and threads that die while they are traced. */
import { expect, test } from 'vitest';
import { Arena, HoldfastError, Mutex, startTrace, type Trace, type TraceEvent } from '../../../lib/index.ts';
import { inThread, thrown, until } from '../../support/threads.ts';

const MODULE = new URL('./trace.threads.ts', import.meta.url).href;
const SMALL = { events: 64, threads: 4 };

function names({ events }: Trace): string[] {
  return events.map(({ point }) => point);
}

test('a lock that is free is not traced, or with other fields', () => {
  const arena = Arena.create({ bytes: 4 << 20 });
  const mutex = new Mutex(arena, 'accounts');
  const session = startTrace(arena, SMALL);
  mutex.lock();
  mutex.unlock();
  const trace = session.stop();
  expect(names(trace)).toEqual(['acquire', 'release']);
  const [acquire, release] = trace.events as [TraceEvent, TraceEvent];
  const lock = acquire.fields.lock as number;
  expect(trace.locks[lock]).toEqual({ kind: 'mutex', name: 'accounts', address: mutex.address });
  const task = arena.thread.self;
  expect(acquire).toMatchObject({ thread: 0, fields: { lock, mode: 0, task, wait: 0 } });
  expect(release).toMatchObject({ thread: 0, fields: { lock, mode: 0, task, hold: release.time - acquire.time } });
  expect(trace.threads).toMatchObject([{ number: 0, isAttached: true, recorded: 2, lost: 0 }]);
  expect(acquire.time).toBeGreaterThanOrEqual(trace.start);
  // The same again, and from here on nothing is recorded.
  mutex.runExclusive(() => {});
  expect(session.stop()).toBe(trace);
  expect(arena.thread.observer).toBeUndefined();
});

test('what is older than a ring is long is kept, or not counted', () => {
  const arena = Arena.create({ bytes: 4 << 20 });
  const mutex = new Mutex(arena, 'accounts');
  using session = startTrace(arena, { ...SMALL, points: ['acquire'] });
  for (let i = 0; i < 200; i++) mutex.runExclusive(() => {});
  const trace = session.stop();
  expect(trace.threads).toMatchObject([{ recorded: 200, lost: 137 }]);
  expect(new Set(names(trace))).toEqual(new Set(['acquire']));
  expect(trace.events).toHaveLength(63);
  const times = trace.events.map(({ time }) => time);
  expect(times).toEqual([...times].sort((a, b) => a - b));
});

test('a lock that was taken before has a hold time, or is released twice', () => {
  const arena = Arena.create({ bytes: 4 << 20 });
  const [early, late] = [new Mutex(arena, 'early'), new Mutex(arena, 'late')];
  early.lock();
  const session = startTrace(arena, SMALL);
  early.unlock();
  late.lock();
  expect(names(session.stop())).toEqual(['acquire']);
  late.unlock();
  const next = startTrace(arena, SMALL);
  late.lock();
  late.unlock();
  expect(names(next.stop())).toEqual(['acquire', 'release']);
});

test('two trace an arena at once', () => {
  const arena = Arena.create({ bytes: 4 << 20 });
  const session = startTrace(arena, SMALL);
  expect(thrown(() => startTrace(arena))).toMatchObject({
    code: 'EBUSY',
    message: expect.stringContaining('thread 0'),
  });
  session.stop();
  startTrace(arena, SMALL).stop();
});

test.each([
  [{ points: ['lock'] }, /no trace point "lock"; there are contention_begin, /],
  [{ points: 'acquire' }, /points are names/],
  [{ events: 100 }, /power of two from 16/],
  [{ events: 2 ** 21 }, /power of two/],
  [{ threads: 0 }, /from 1 to 128/],
  [{ threads: 129 }, /from 1 to 128/],
  [{ stacks: 1 }, /true or false/],
  [{ ring: 1 }, /ring/],
])('the options %j are taken', (options, message) => {
  const arena = Arena.create({ bytes: 4 << 20 });
  const error = thrown(() => startTrace(arena, options as object));
  expect(error).toBeInstanceOf(HoldfastError);
  expect(error).toMatchObject({ code: 'EINVAL', message: expect.stringMatching(message) });
  startTrace(arena, SMALL).stop();
});

test('an arena that has no room for the rings is left busy', () => {
  const arena = Arena.create({ bytes: 2 << 20 });
  expect(thrown(() => startTrace(arena, { events: 2 ** 16, threads: 8 }))).toMatchObject({ code: 'ENOMEM' });
  startTrace(arena, SMALL).stop();
  expect(thrown(() => startTrace(null as never))).toMatchObject({ code: 'EINVAL' });
});

test('a larger trace, and then a smaller one, have the memory of the one before', () => {
  const arena = Arena.create({ bytes: 4 << 20 });
  const mutex = new Mutex(arena, 'accounts');
  for (const events of [64, 1024, 64]) {
    const session = startTrace(arena, { events, threads: 4 });
    for (let i = 0; i < 600; i++) mutex.runExclusive(() => {});
    expect(session.stop().events).toHaveLength(Math.min(1200, events - 1));
  }
  const { used } = arena.use();
  startTrace(arena, SMALL).stop();
  expect(arena.use().used).toBe(used);
  expect(arena.fsck()).toEqual([]);
});

test('threads that come while it runs are not traced, or more of them than there are rings are not counted', async () => {
  const arena = Arena.create({ bytes: 4 << 20 });
  const session = startTrace(arena, { events: 64, threads: 2 });
  new Mutex(arena, 'own').runExclusive(() => {});
  await inThread(arena, MODULE, 'lockTimes', 'first', 5).result;
  await inThread(arena, MODULE, 'lockTimes', 'second', 5).result;
  const trace = session.stop();
  expect(trace.threads.map(({ recorded }) => recorded)).toEqual([2, 10]);
  expect(trace.unrecorded).toBe(10);
});

test('a thread that is there already learns of it when it has to wait', async () => {
  const arena = Arena.create({ bytes: 4 << 20 });
  const word = arena.alloc(16);
  const { result } = inThread(arena, MODULE, 'keep', 'kept', word);
  await until(arena, word, 1);
  const mutex = new Mutex(arena, 'kept');
  const session = startTrace(arena, SMALL);
  const waits = mutex.lockAsync();
  Atomics.store(arena.words, word, 2);
  Atomics.notify(arena.words, word);
  await waits;
  mutex.unlock();
  await result;
  const trace = session.stop();
  const own = trace.events.filter(({ thread }) => trace.threads[thread]?.number === 0);
  expect(own.map(({ point }) => point).filter((point) => point !== 'park' && point !== 'resume')).toEqual([
    'contention_begin',
    'contention_end',
    'acquire',
    'release',
  ]);
  const [begin, end, acquire] = own.filter(({ point }) => point !== 'park' && point !== 'resume') as TraceEvent[];
  // Held by thread 1: a CPU number plus one.
  expect(begin?.fields.holder).toBe(2);
  expect(end?.fields).toMatchObject({ outcome: 0, wait: acquire?.fields.wait, task: begin?.fields.task });
});

test('a worker that is killed while it is traced takes its events with it, or a thread in its place writes over them', async () => {
  const arena = Arena.create({ bytes: 4 << 20, maxThreads: 3 });
  const session = startTrace(arena, { events: 256, threads: 8 });
  for (let round = 0; round < 3; round++) {
    const { worker, reaped } = inThread(arena, MODULE, 'lockForEver', `lock of round ${round}`);
    while ((session.read().threads[round + 1]?.recorded ?? 0) < 1000) await new Promise((turn) => setTimeout(turn, 1));
    await worker.terminate();
    await reaped();
  }
  const trace = session.stop();
  expect(trace.unfinished).toBe(0);
  const killed = trace.threads.filter(({ recorded }) => recorded >= 1000);
  expect(killed.map(({ isAttached }) => isAttached)).toEqual([false, false, false]);
  for (const [thread, { threadId }] of trace.threads.entries()) {
    const own = trace.events.filter((event) => event.thread === thread && event.fields.lock !== undefined);
    const locks = new Set(own.map(({ fields }) => trace.locks[fields.lock as number]?.name));
    if (threadId === 0) continue;
    expect([...locks]).toHaveLength(1);
    checkAlternates(own);
  }
  expect(arena.fsck()).toEqual([]);
});

/** A thread's events of one lock are whole, and in order. */
function checkAlternates(events: readonly TraceEvent[]): void {
  const own = events.filter(({ point }) => point === 'acquire' || point === 'release');
  for (let i = 1; i < own.length; i++) {
    const [before, event] = [own[i - 1] as TraceEvent, own[i] as TraceEvent];
    expect(event.point).not.toBe(before.point);
    if (event.point === 'release') expect(event.fields.hold).toBe(event.time - before.time);
  }
}

test('what a thread reads while another one writes is in pieces', async () => {
  const arena = Arena.create({ bytes: 4 << 20 });
  const session = startTrace(arena, { events: 16, threads: 4 });
  const { worker, reaped } = inThread(arena, MODULE, 'lockForEver', 'busy');
  let seen = 0;
  while (seen < 2000) {
    const { events } = session.read();
    checkAlternates(events);
    seen += Math.max(events.length, 1);
    if (events.length === 0) await new Promise((turn) => setTimeout(turn, 1));
  }
  await worker.terminate();
  await reaped();
  session.stop();
});

test('the thread that traces ends: another one can trace', async () => {
  const arena = Arena.create({ bytes: 4 << 20 });
  const second = Arena.attach(arena.handle);
  expect(second.thread.number).toBe(0);
  const session = startTrace(arena, SMALL);
  new Mutex(arena, 'accounts').runExclusive(() => {});
  const { events } = session.read();
  arena.detach();
  expect(session.stop().events).toEqual(events);
});
