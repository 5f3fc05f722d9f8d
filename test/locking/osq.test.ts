import { expect, test } from 'vitest';
import { Arena, OsqLock } from '../../lib/index.ts';
import { inThread, thrown, until } from '../support/threads.ts';

const THREADS = new URL('./osq.threads.ts', import.meta.url).href;

function setup() {
  const arena = Arena.create({ bytes: 512 << 10, maxThreads: 8 });
  const stage = arena.alloc(4);
  arena.words.fill(0, stage, stage + 4);
  return { arena, stage, lock: new OsqLock(arena, 'osq') };
}

test('two spinners that both hold the queue, while others leave it', async () => {
  const { arena, stage } = setup();
  const threads = Array.from({ length: 4 }, () =>
    inThread<{ torn: number; taken: number }>(arena, THREADS, 'count', stage, 20_000),
  );
  const results = await Promise.all(threads.map(({ result }) => result));
  expect(results.reduce((sum, { torn }) => sum + torn, 0)).toBe(0);
  expect(arena.words[stage]).toBe(results.reduce((sum, { taken }) => sum + taken, 0));
});

test('a spinner that never gives up', async () => {
  const { arena, stage, lock } = setup();
  const holder = inThread(arena, THREADS, 'holdForEver', stage);
  await until(arena, stage, 1);
  expect(lock.lock()).toBe(false);
  expect(thrown(() => lock.unlock()).code).toBe('EPERM');
  await holder.worker.terminate();
  await holder.exited;
  expect(lock.lock()).toBe(true);
  expect(thrown(() => lock.lock()).code).toBe('EDEADLK');
  lock.unlock();
  lock.destroy();
});
