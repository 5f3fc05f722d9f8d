import { inspect } from 'node:util';
import { expect, test } from 'vitest';
import { Arena, PthreadOnce, PthreadSem, SEM_VALUE_MAX } from '../../lib/index.ts';
import { inThread, thrown, until } from '../support/threads.ts';

const THREADS = new URL('./pthread.threads.ts', import.meta.url).href;

function setup() {
  const arena = Arena.create({ bytes: 512 << 10, maxThreads: 8 });
  const stage = arena.alloc(16);
  arena.words.fill(0, stage, stage + 16);
  return { arena, stage };
}

const turn = () => new Promise((resolve) => setImmediate(resolve));

test('sem: more inside than its value, or a post that is lost', async () => {
  const { arena, stage } = setup();
  const sem = new PthreadSem(arena, 's', { value: 2 });
  const threads = Array.from({ length: 4 }, () => inThread<number>(arena, THREADS, 'takeAndPost', 2000, stage));
  for (const { result } of threads) expect(await result).toBeLessThanOrEqual(2);
  expect(sem.value).toBe(2);
});

test('sem: late and aborted waiters, and a value out of range', async () => {
  const { arena } = setup();
  const sem = new PthreadSem(arena);
  expect(sem.tryWait()).toBe(false);
  expect(thrown(() => sem.wait({ timeout: 2 })).code).toBe('ETIMEDOUT');
  const controller = new AbortController();
  const aborted = sem.waitAsync({ signal: controller.signal }).catch((error) => error);
  const behind = sem.waitAsync();
  await turn();
  controller.abort('enough');
  expect(await aborted).toBe('enough');
  sem.post();
  await behind;
  expect(inspect(sem)).toMatch(/^PthreadSem\(\d+, 0\)$/);
  const full = new PthreadSem(arena, 'full', { value: SEM_VALUE_MAX });
  expect(thrown(() => full.post()).code).toBe('EOVERFLOW');
  expect(new PthreadSem(arena, 'full', { value: 3 }).value).toBe(SEM_VALUE_MAX);
  expect(thrown(() => new PthreadSem(arena, 'x', { value: -1 })).code).toBe('EINVAL');
  expect(arena.thread.tasksInUse).toBe(0);
});

test('once: twice, or not yet done when the others go on', async () => {
  const { arena, stage } = setup();
  const threads = Array.from({ length: 4 }, () => inThread<boolean>(arena, THREADS, 'runOnce', stage));
  const ran = await Promise.all(threads.map(({ result }) => result));
  expect(ran.filter(Boolean)).toHaveLength(1);
  expect(arena.words[stage]).toBe(1);
  expect(new PthreadOnce(arena, 'o').isDone).toBe(true);
});

test('once: a routine that throws, calls itself, or waits for its own thread', async () => {
  const { arena } = setup();
  const once = new PthreadOnce(arena);
  expect(thrown(() => once.call(() => void once.call(() => {}))).code).toBe('EDEADLK');
  expect(once.isDone).toBe(false);
  const running = once.callAsync(async () => {
    await turn();
    throw new Error('failed');
  });
  await Promise.resolve();
  expect(thrown(() => once.call(() => {})).code).toBe('EDEADLK');
  const next = once.callAsync(() => {});
  await expect(running).rejects.toThrow('failed');
  expect(await next).toBe(true);
  expect(once.call(() => expect.unreachable())).toBe(false);
  expect(thrown(() => once.call(3 as never)).code).toBe('EINVAL');
  expect(arena.thread.tasksInUse).toBe(0);
});

test('once: a routine whose thread dies inside', async () => {
  const { arena, stage } = setup();
  const once = new PthreadOnce(arena, 'o');
  const doomed = inThread(arena, THREADS, 'holdForEver', 'once', stage);
  await until(arena, stage, 1);
  expect(thrown(() => once.call(() => {}, { timeout: 2 })).code).toBe('ETIMEDOUT');
  const waiting = once.callAsync(() => {});
  await turn();
  await doomed.worker.terminate();
  expect(await waiting).toBe(true);
});
