import { inspect } from 'node:util';
import { expect, test } from 'vitest';
import { Arena, Completion } from '../../lib/index.ts';
import { inThread, thrown, until } from '../support/threads.ts';

const THREADS = new URL('./completion.threads.ts', import.meta.url).href;

function setup() {
  const arena = Arena.create({ bytes: 512 << 10, maxThreads: 12 });
  const completion = new Completion(arena, 'c');
  const stage = arena.alloc(4);
  arena.words.fill(0, stage, stage + 4);
  return { arena, completion, stage };
}

const turn = () => new Promise((resolve) => setImmediate(resolve));

test('a completion before the wait that is lost', async () => {
  const { completion } = setup();
  completion.complete();
  completion.complete();
  completion.wait();
  expect(completion.isDone).toBe(true);
  await completion.waitAsync();
  expect(completion.tryWait()).toBe(false);
});

test('one complete() that lets two go', async () => {
  const { arena, completion, stage } = setup();
  const threads = Array.from({ length: 3 }, () => inThread(arena, THREADS, 'waitFor', 'c', stage));
  await until(arena, stage, 3);
  for (let i = 1; i <= 3; i++) {
    completion.complete();
    await until(arena, stage + 1, i);
    await turn();
    expect(arena.words[stage + 1]).toBe(i);
  }
  await Promise.all(threads.map(({ result }) => result));
});

test('what was written before complete() and not seen after wait()', async () => {
  const { arena, stage } = setup();
  new Completion(arena, 'ping').complete();
  const rallies = [
    inThread<number>(arena, THREADS, 'rally', 'ping', 'pong', stage, 2000),
    inThread<number>(arena, THREADS, 'rally', 'pong', 'ping', stage, 2000),
  ];
  await Promise.all(rallies.map(({ result }) => result));
  expect(arena.words[stage]).toBe(4000);
});

test('completeAll() that leaves somebody behind', async () => {
  const { arena, completion, stage } = setup();
  const threads = Array.from({ length: 2 }, () => inThread(arena, THREADS, 'waitFor', 'c', stage));
  const here = Array.from({ length: 3 }, () => completion.waitAsync());
  await until(arena, stage, 2);
  completion.completeAll();
  completion.complete();
  await Promise.all([...here, ...threads.map(({ result }) => result)]);
  completion.wait();
  expect(completion.count).toBe(Number.POSITIVE_INFINITY);
  expect(inspect(completion)).toBe('Completion(c, complete)');
  completion.reinit();
  expect(completion.tryWait()).toBe(false);
  expect(inspect(completion)).toBe('Completion(c, incomplete)');
  expect(arena.thread.tasksInUse).toBe(0);
});

test('a waiter that gives up, and takes a completion with it', async () => {
  const { completion } = setup();
  const controller = new AbortController();
  const aborted = completion.waitAsync({ signal: controller.signal });
  // Heard of from the beginning: it may end before the next turn.
  const late = expect(completion.waitAsync({ timeout: 5 })).rejects.toMatchObject({ code: 'ETIMEDOUT' });
  const behind = completion.waitAsync();
  await turn();
  controller.abort('enough');
  await expect(aborted).rejects.toBe('enough');
  await late;
  expect(thrown(() => completion.wait({ timeout: 1 })).message).toContain('"c"');
  completion.complete();
  await behind;
  expect(completion.count).toBe(0);
  expect(thrown(() => completion.wait({ timeout: -1 })).code).toBe('EINVAL');
});

test('waiters that die, with a completion or without', async () => {
  const { arena, completion, stage } = setup();
  const doomed = Array.from({ length: 3 }, () => inThread(arena, THREADS, 'waitFor', 'c', stage));
  await until(arena, stage, 3);
  await Promise.all(doomed.map(({ worker }) => worker.terminate()));
  completion.complete();
  completion.wait({ timeout: 10_000 });
  expect(completion.count).toBe(0);
});
