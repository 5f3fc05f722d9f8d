/** Which events each call has: a row for each point, and for locks that are taken in other ways. */
import { expect, test } from 'vitest';
import { POINTS, Point } from '../../../lib/debug/trace/points.ts';
import {
  Arena,
  Completion,
  Mutex,
  Rcu,
  RwSemaphore,
  Semaphore,
  SpinLock,
  startTrace,
  Workqueue,
} from '../../../lib/index.ts';
import { f } from '../../workqueue/functions.ts';

function traced(bytes = 4 << 20) {
  const arena = Arena.create({ bytes });
  const session = startTrace(arena, { events: 1024, threads: 4 });
  return { arena, session };
}

test('the numbers of the points are not their places, or a wide field is not the last', () => {
  const names = POINTS.map(({ name }) => name);
  expect(new Set(names).size).toBe(names.length);
  expect(Object.values(Point)).toEqual(names.map((_, i) => i));
  for (const { fields } of POINTS) {
    expect(fields.length).toBeLessThanOrEqual(5);
    const wide = fields.findIndex(({ type }) => type === 'u64');
    if (wide >= 0) expect([wide >= 2, wide]).toEqual([true, fields.length - 1]);
  }
});

test('a call that waits on the event loop, in order', async () => {
  const { arena, session } = traced();
  const mutex = new Mutex(arena, 'accounts');
  mutex.lock();
  const waits = mutex.lockAsync();
  // It sleeps by then.
  await new Promise(setImmediate);
  mutex.unlock();
  await waits;
  mutex.unlock();
  const { events } = session.stop();
  const own = events.filter(({ fields }) => fields.task !== arena.thread.self);
  expect(own.map(({ point }) => point)).toEqual([
    'contention_begin',
    'park',
    'unpark',
    'resume',
    'contention_end',
    'acquire',
    'release',
  ]);
  const task = own[0]?.fields.task;
  expect(own.every(({ fields }) => fields.task === task)).toBe(true);
  expect(own[0]?.fields).toMatchObject({ mode: 2, holder: 1, stack: 0 });
});

test.each([
  [{ timeout: 0 }, 2],
  [{ signal: AbortSignal.abort.bind(AbortSignal) }, 3],
])('how a wait ends: %o', async (options, outcome) => {
  const { arena, session } = traced();
  const mutex = new Mutex(arena, 'accounts');
  mutex.lock();
  if ('timeout' in options) await mutex.lockAsync(options).catch(() => {});
  else {
    const controller = new AbortController();
    const waits = mutex.lockAsync({ signal: controller.signal }).catch(() => {});
    await new Promise(setImmediate);
    controller.abort();
    await waits;
  }
  const { events } = session.stop();
  const ends = events.filter(({ point }) => point === 'contention_end');
  expect(ends.map(({ fields }) => fields.outcome)).toEqual([outcome]);
  expect(events.filter(({ point }) => point === 'acquire')).toHaveLength(1);
});

test('locks that are taken in other ways are not traced, or each way has other events', async () => {
  const { arena, session } = traced();
  const [mutex, shared, spin] = [new Mutex(arena, 'm'), new RwSemaphore(arena, 'r'), new SpinLock(arena, 's')];
  for (const options of [undefined, { timeout: 10 }]) {
    mutex.lock(options);
    mutex.unlock();
  }
  mutex.tryLock();
  mutex.unlock();
  (await mutex.acquireAsync()).release();
  shared.downRead();
  shared.upRead();
  shared.downWrite({ timeout: 10 });
  shared.upWrite();
  spin.lock();
  spin.unlock();
  const { events, locks } = session.stop();
  const told = events.map(({ point, fields }) => `${point} ${locks[fields.lock as number]?.name} ${fields.mode}`);
  const pair = (name: string, mode: number) => [`acquire ${name} ${mode}`, `release ${name} ${mode}`];
  expect(told).toEqual([
    ...[...pair('m', 0), ...pair('m', 0), ...pair('m', 0), ...pair('m', 2)],
    ...[...pair('r', 1), ...pair('r', 0), ...pair('s', 0)],
  ]);
});

test('a wait for an event is a contention, and one for permits is none', async () => {
  const { arena, session } = traced();
  const [done, permits] = [new Completion(arena, 'done'), new Semaphore(arena, 'permits', { permits: 0 })];
  const waits = [done.waitAsync(), permits.downAsync()];
  await new Promise(setImmediate);
  done.complete();
  permits.up();
  await Promise.all(waits);
  const { events, locks } = session.stop();
  const of = (name: string) =>
    events.filter(({ fields }) => locks[fields.lock as number]?.name === name).map(({ point }) => point);
  expect(of('done')).toEqual(['park', 'resume']);
  expect(of('permits')).toEqual([
    'contention_begin',
    'park',
    'handoff',
    'release',
    'resume',
    'contention_end',
    'acquire',
  ]);
});

test('a grace period has no begin or no end, and callbacks are not counted', async () => {
  const { arena, session } = traced();
  const rcu = new Rcu(arena);
  rcu.synchronize();
  const ran = new Promise<void>((resolve) => rcu.call(resolve));
  await ran;
  await rcu.barrierAsync();
  const { events } = session.stop();
  const periods = events.filter(({ point }) => point.startsWith('grace_period'));
  expect(periods.length).toBeGreaterThanOrEqual(4);
  for (let i = 0; i < periods.length; i += 2) {
    expect([periods[i]?.point, periods[i + 1]?.point]).toEqual(['grace_period_begin', 'grace_period_end']);
    expect(periods[i]?.fields.number).toBe(periods[i + 1]?.fields.number);
  }
  const callbacks = events.filter(({ point }) => point.startsWith('callback'));
  expect(callbacks.map(({ point, fields }) => [point, fields.pending ?? fields.count]).slice(0, 2)).toEqual([
    ['callback_queue', 0],
    ['callback_batch', 1],
  ]);
});

test('stacks are noted although nobody asked, or not when somebody did', async () => {
  const arena = Arena.create({ bytes: 4 << 20 });
  const mutex = new Mutex(arena, 'accounts');
  const session = startTrace(arena, { events: 64, threads: 4, stacks: true, points: ['contention_begin'] });
  mutex.lock();
  await mutex.lockAsync({ timeout: 0 }).catch(() => {});
  const { events, stacks } = session.stop();
  expect(events).toHaveLength(1);
  expect(stacks[events[0]?.fields.stack as number]?.[0]?.file).toContain('points.test.ts');
});

test('an item of a workqueue is not queued, has no begin or no end', async () => {
  const arena = Arena.create({ bytes: 8 << 20 });
  Workqueue.configure(arena, { slots: 1 });
  const session = startTrace(arena, { events: 256, threads: 8 });
  const mail = new Workqueue(arena, 'mail');
  expect(await mail.run(f.add, 1, 2)).toBe(3);
  const { events, locks } = session.stop();
  const items = events.filter(({ point }) => point.startsWith('workqueue'));
  expect(items.map(({ point }) => point)).toEqual(['workqueue_queue', 'workqueue_start', 'workqueue_end']);
  expect(new Set(items.map(({ fields }) => fields.item)).size).toBe(1);
  expect(locks[items[0]?.fields.lock as number]?.name).toContain('mail');
});
