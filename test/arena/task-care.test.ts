/** The memory of tasks that were waiting at once comes back to the heap, whatever the other threads are about. */
import { expect, test } from 'vitest';
import { Arena, Semaphore, Workqueue } from '../../lib/index.ts';
import { HELD, RELEASE, say } from '../support/stage.ts';
import { asleep, inThread, until } from '../support/threads.ts';
import { f } from '../workqueue/functions.ts';

const THREADS = new URL('./task-care.threads.ts', import.meta.url).href;
const CROWD = 500;

/** Many wait at once. Returns how much of the heap was in use before, one of them having waited, and at the end. */
async function crowd(arena: Arena): Promise<{ before: number; most: number }> {
  const semaphore = new Semaphore(arena, undefined, { permits: 0 });
  const waitAtOnce = async (count: number) => {
    const waits = Array.from({ length: count }, () => semaphore.downAsync());
    semaphore.up(count);
    await Promise.all(waits);
  };
  await waitAtOnce(1);
  const before = arena.use().used;
  await waitAtOnce(CROWD);
  return { before, most: arena.use().used };
}

/** Returns once no more than `least` bytes of the heap are in use. */
async function shrunkTo(arena: Arena, least: number): Promise<void> {
  while (arena.use().used > least) await new Promise((resolve) => setTimeout(resolve, 5));
}

test('with no other thread', async () => {
  const arena = Arena.create();
  const { before, most } = await crowd(arena);
  expect(most).toBeGreaterThan(10 * before);
  await shrunkTo(arena, before);
});

test('beside threads that are idle, or sleep in a synchronous call', async () => {
  const arena = Arena.create();
  const gate = new Semaphore(arena, undefined, { permits: 0 });
  const [idle, sleeping] = [arena.alloc(1, 'idle'), arena.alloc(1, 'sleeping')];
  const threads = [inThread(arena, THREADS, 'idle', idle), inThread(arena, THREADS, 'sleep', sleeping, gate.handle)];
  await until(arena, idle, HELD);
  await asleep(arena, 1, gate.address);
  for (let round = 0; round < 2; round++) {
    const { before, most } = await crowd(arena);
    await shrunkTo(arena, before + (most - before) / 4);
  }
  // Not because they have ended.
  expect(arena.threads()).toHaveLength(3);
  await Promise.all(threads.map(({ worker }) => worker.terminate()));
});

test('beside workers of a workqueue that have nothing to do', async () => {
  const arena = Arena.create({ bytes: 8 << 20 });
  Workqueue.configure(arena, { slots: 2 });
  expect(await new Workqueue(arena, 'idle').run(f.add, 1, 2)).toBe(3);
  // They look for more for a moment, and then sleep.
  await new Promise((resolve) => setTimeout(resolve, 200));
  const { before, most } = await crowd(arena);
  // A worker that starts late has memory of its own.
  await shrunkTo(arena, before + (most - before) / 4);
});

test('not while a thread computes that may be in the middle of a wake-up', async () => {
  const arena = Arena.create();
  const word = arena.alloc(1, 'word');
  const { worker } = inThread(arena, THREADS, 'compute', word);
  await until(arena, word, HELD);
  const { before, most } = await crowd(arena);
  // Its looks go on meanwhile.
  await new Promise((resolve) => setTimeout(resolve, 400));
  expect(arena.use().used).toBe(most);
  say(arena, word, RELEASE);
  await shrunkTo(arena, before);
  await worker.terminate();
});

test('beside a thread that is killed meanwhile', async () => {
  const arena = Arena.create();
  const word = arena.alloc(1, 'word');
  const { worker } = inThread(arena, THREADS, 'compute', word);
  await until(arena, word, HELD);
  const { before } = await crowd(arena);
  await worker.terminate();
  await shrunkTo(arena, before);
});
