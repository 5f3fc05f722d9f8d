import { inspect } from 'node:util';
import { expect, test } from 'vitest';
import { Arena, Semaphore } from '../../lib/index.ts';
import { HOLDS } from '../../lib/sched/holds.ts';
import { exhaust, inThread, thrown, until } from '../support/threads.ts';

const THREADS = new URL('./semaphore.threads.ts', import.meta.url).href;

function setup(permits = 1) {
  const arena = Arena.create({ bytes: 512 << 10, maxThreads: 12 });
  const semaphore = new Semaphore(arena, 's', { permits });
  const stage = arena.alloc(8);
  arena.words.fill(0, stage, stage + 8);
  return { arena, semaphore, stage };
}

const turn = () => new Promise((resolve) => setImmediate(resolve));

test('more permits out than there are, all ways of taking them mixed over threads', async () => {
  const { arena, semaphore, stage } = setup(3);
  const threads = Array.from({ length: 4 }, () => inThread<number>(arena, THREADS, 'churn', 's', 3, stage, 1500));
  for (const { result } of threads) expect(await result).toBe(0);
  expect(semaphore.permits).toBe(3);
  expect(semaphore.isContended).toBe(false);
});

test('a newcomer that takes the permit of one who waits', async () => {
  const { arena, semaphore } = setup(0);
  const waiting = semaphore.acquireAsync();
  await turn();
  semaphore.up();
  expect(semaphore.tryDown()).toBe(false);
  (await waiting).release();
  expect(semaphore.tryDown()).toBe(true);
  expect(arena.thread.tasksInUse).toBe(0);
});

test('waiters served out of order', async () => {
  const { semaphore } = setup(0);
  const order: number[] = [];
  const waiters = Array.from({ length: 20 }, async (_, i) => {
    await semaphore.downAsync();
    order.push(i);
    semaphore.up();
  });
  await turn();
  semaphore.up();
  await Promise.all(waiters);
  expect(order).toEqual(Array.from({ length: 20 }, (_, i) => i));
});

test('a wake-up for one of several that one up() could serve', async () => {
  const { semaphore, arena } = setup(0);
  const waiters = Array.from({ length: 5 }, () => semaphore.downAsync());
  await turn();
  semaphore.up(7);
  await Promise.all(waiters);
  expect(semaphore.permits).toBe(2);
  expect(arena.thread.tasksInUse).toBe(0);
});

test('one that wants many, starved by those who want few', async () => {
  const { semaphore } = setup(2);
  const small = await semaphore.acquireAsync();
  let isServed = false;
  const large = semaphore.acquireAsync({ permits: 2 }).then((held) => {
    isServed = true;
    return held;
  });
  const behind = semaphore.acquireAsync();
  await turn();
  expect(semaphore.tryDown()).toBe(false);
  small.release();
  const held = await large;
  expect(isServed).toBe(true);
  held.release();
  (await behind).release();
  expect(semaphore.permits).toBe(2);
});

test('those behind a waiter that gives up, left asleep', async () => {
  const { semaphore, arena } = setup(1);
  const controller = new AbortController();
  const large = semaphore.acquireAsync({ permits: 2, signal: controller.signal });
  const behind = semaphore.acquireAsync();
  await turn();
  controller.abort('enough');
  await expect(large).rejects.toBe('enough');
  (await behind).release();
  const late = semaphore.downAsync({ permits: 2, timeout: 5 });
  const next = semaphore.acquireAsync();
  await expect(late).rejects.toMatchObject({ code: 'ETIMEDOUT', message: expect.stringContaining('within 5 ms') });
  (await next).release();
  expect(arena.thread.tasksInUse).toBe(0);
  expect(semaphore.permits).toBe(1);
});

test('a timeout that waits on, or takes the permit with it', async () => {
  const { semaphore, arena, stage } = setup(1);
  const holder = inThread(arena, THREADS, 'hold', 's', 1, stage);
  await until(arena, stage, 1);
  for (const timeout of [0, 5]) {
    expect(thrown(() => semaphore.down({ timeout })).code).toBe('ETIMEDOUT');
    expect(thrown(() => semaphore.acquire({ timeout })).code).toBe('ETIMEDOUT');
    await expect(semaphore.acquireAsync({ timeout })).rejects.toMatchObject({ code: 'ETIMEDOUT' });
  }
  Atomics.store(arena.words, stage, 2);
  Atomics.notify(arena.words, stage);
  await holder.result;
  semaphore.down({ timeout: 10_000 });
  semaphore.up();
  expect(semaphore.permits).toBe(1);
});

test('a guard that gives its permits back twice', async () => {
  const { semaphore } = setup(2);
  const held = semaphore.acquire({ permits: 2 });
  held.release();
  expect(thrown(() => held.release()).code).toBe('EPERM');
  {
    using _one = semaphore.acquire();
    using _two = await semaphore.acquireAsync();
    expect(semaphore.permits).toBe(0);
  }
  expect(semaphore.permits).toBe(2);
});

test('a synchronous call that waits behind its own thread’s asynchronous waiters', async () => {
  const { arena, semaphore, stage } = setup(1);
  const holder = inThread(arena, THREADS, 'hold', 's', 1, stage);
  await until(arena, stage, 1);
  const order: string[] = [];
  const waiting = semaphore.acquireAsync().then((held) => {
    order.push('async');
    held.release();
  });
  await turn();
  // The event loop stands still from here.
  Atomics.store(arena.words, stage, 2);
  Atomics.notify(arena.words, stage);
  semaphore.down();
  order.push('sync');
  semaphore.up();
  await waiting;
  await holder.result;
  expect(order).toEqual(['sync', 'async']);
});

test.each([true, false])(
  'a synchronous call that waits for what its own async task was given (guard: %s)',
  async (guard) => {
    const { semaphore } = setup(0);
    const waiting = guard
      ? semaphore.acquireAsync().then((held) => held.release())
      : semaphore.downAsync().then(() => semaphore.up());
    await turn();
    semaphore.up();
    expect(semaphore.permits).toBe(0);
    semaphore.down({ timeout: 10_000 });
    expect(semaphore.permits).toBe(0);
    semaphore.up();
    await waiting;
    expect(semaphore.permits).toBe(1);
  },
);

test('permits of a guard that die with their thread', async () => {
  const { arena, semaphore, stage } = setup(1);
  for (const how of ['throw', 'exit', 'return'] as const) {
    await inThread(arena, THREADS, 'holdAndEnd', 's', how, stage).exited;
    (await semaphore.acquireAsync({ timeout: 10_000 })).release();
  }
  for (const how of ['wait', 'async'] as const) {
    Atomics.store(arena.words, stage, 0);
    const holder = inThread(arena, THREADS, 'holdAndEnd', 's', how, stage);
    await until(arena, stage, 1);
    const waiting = semaphore.acquireAsync({ timeout: 10_000 });
    await holder.worker.terminate();
    (await waiting).release();
  }
  expect(semaphore.permits).toBe(1);
});

test('waiters that die in line, and take what they were given with them', async () => {
  const { arena, semaphore, stage } = setup(0);
  const doomed = Array.from({ length: 3 }, () => inThread(arena, THREADS, 'waitFor', 's', 1, stage));
  await until(arena, stage, 3);
  const survivor = inThread(arena, THREADS, 'waitFor', 's', 2, stage + 2);
  await until(arena, stage + 2, 1);
  await Promise.all(doomed.map(({ worker }) => worker.terminate()));
  semaphore.up(2);
  await survivor.result;
  expect(semaphore.permits).toBe(0);
  expect(semaphore.isContended).toBe(false);
});

test('permits lost or made by a thread that is killed anywhere', async () => {
  const { arena, semaphore, stage } = setup(2);
  for (let round = 0; round < 6; round++) {
    Atomics.store(arena.words, stage, 0);
    const others = Array.from({ length: 2 }, () => inThread<number>(arena, THREADS, 'churn', 's', 2, stage + 1, 300));
    const victim = inThread(arena, THREADS, 'churnForEver', 's', stage);
    await until(arena, stage, 1);
    await new Promise((resolve) => setTimeout(resolve, round));
    await victim.worker.terminate();
    for (const { result } of others) expect(await result).toBe(0);
    const all = await semaphore.acquireAsync({ permits: 2, timeout: 10_000 });
    expect(semaphore.permits).toBe(0);
    all.release();
  }
});

test('misuse that changes memory first', async () => {
  const { arena, semaphore } = setup(1);
  const before = [...arena.words];
  for (const permits of [0, -1, 1.5, Number.NaN, 2 ** 30, '1' as never]) {
    expect(thrown(() => semaphore.down({ permits })).code).toBe('EINVAL');
    expect(thrown(() => semaphore.up(permits)).code).toBe('EINVAL');
    expect(thrown(() => semaphore.tryDown(permits)).code).toBe('EINVAL');
    expect(thrown(() => semaphore.acquire({ permits })).code).toBe('EINVAL');
    await expect(semaphore.acquireAsync({ permits })).rejects.toMatchObject({ code: 'EINVAL' });
  }
  expect(thrown(() => semaphore.up(2 ** 30 - 2)).message).toContain('more than');
  expect(thrown(() => semaphore.down({ timeout: -1 })).code).toBe('EINVAL');
  await expect(semaphore.downAsync({ signal: AbortSignal.abort('no') })).rejects.toBe('no');
  expect([...arena.words]).toEqual(before);
});

test('a semaphore that is destroyed, or left, while a guard is out', () => {
  const { arena, semaphore } = setup(2);
  const held = semaphore.acquire();
  expect(thrown(() => semaphore.destroy()).code).toBe('EBUSY');
  expect(thrown(() => arena.detach()).message).toContain('semaphore "s"');
  held.release();
  semaphore.destroy();
});

test('a guard that there is no memory to note, and a permit is lost', () => {
  const { arena } = setup();
  // One permit may need no record, two do.
  const pair = () => new Semaphore(arena, undefined, { permits: 2 });
  const guards = Array.from({ length: HOLDS }, () => pair().acquire({ permits: 2 }));
  const last = pair();
  const filler = exhaust(arena);
  expect(thrown(() => last.acquire({ permits: 2 })).code).toBe('ENOMEM');
  expect(last.permits).toBe(2);
  for (const block of filler) arena.free(block);
  last.acquire({ permits: 2 }).release();
  for (const guard of guards) guard.release();
});

test('what a person sees', () => {
  const { arena, semaphore } = setup(2);
  expect(inspect(semaphore)).toBe('Semaphore(s, 2 permits)');
  expect(inspect(new Semaphore(arena))).toMatch(/^Semaphore\(\d+, 1 permit\)$/);
});
