import { expect, test } from 'vitest';
import { Arena, PthreadBarrier } from '../../lib/index.ts';
import { inThread, thrown } from '../support/threads.ts';

const THREADS = new URL('./pthread.threads.ts', import.meta.url).href;

function setup() {
  const arena = Arena.create({ bytes: 512 << 10, maxThreads: 8 });
  const stage = arena.alloc(16);
  arena.words.fill(0, stage, stage + 16);
  return { arena, stage };
}

const turn = () => new Promise((resolve) => setImmediate(resolve));

test('a thread that runs ahead, or a round with no serial thread or two', async () => {
  const { arena, stage } = setup();
  const threads = Array.from({ length: 3 }, () => inThread<number>(arena, THREADS, 'meet', 3, stage, 200));
  const serial = await Promise.all(threads.map(({ result }) => result));
  expect(serial).not.toContain(-1);
  expect(serial.reduce((sum, each) => sum + each)).toBe(200);
});

test('a barrier destroyed under those who have still to leave it', async () => {
  const { arena } = setup();
  const blocks = arena.use().blocks;
  const [one, other] = [
    inThread(arena, THREADS, 'meetAndDestroy', 300, true),
    inThread(arena, THREADS, 'meetAndDestroy', 300, false),
  ];
  await Promise.all([one.result, other.result]);
  // The futex table is all that stays, once somebody has looked what can be freed.
  await Promise.all([one.exited, other.exited]);
  arena.objects.makeRoom();
  expect(arena.use().blocks).toBe(blocks + 1);
});

test('a barrier that counts those who have given up or died', async () => {
  const { arena, stage } = setup();
  const barrier = new PthreadBarrier(arena, 'b', { count: 2 });
  expect(thrown(() => barrier.wait({ timeout: 2 })).code).toBe('ETIMEDOUT');
  const controller = new AbortController();
  const aborted = barrier.waitAsync({ signal: controller.signal }).catch((error) => error);
  await turn();
  expect(barrier.waiting).toBe(1);
  expect(thrown(() => barrier.destroy()).code).toBe('EBUSY');
  controller.abort('enough');
  expect(await aborted).toBe('enough');
  const doomed = inThread(arena, THREADS, 'holdForEver', 'barrier', stage);
  while (barrier.waiting === 0) await turn();
  await doomed.worker.terminate();
  await doomed.reaped();
  expect(barrier.waiting).toBe(0);
  const first = barrier.waitAsync();
  const second = barrier.waitAsync();
  expect([await first, await second].sort()).toEqual([false, true]);
  expect(arena.thread.tasksInUse).toBe(0);
});

test('a barrier for nobody, or for another number', () => {
  const { arena } = setup();
  for (const count of [0, -1, 1.5, 2 ** 21]) {
    expect(thrown(() => new PthreadBarrier(arena, undefined, { count })).code).toBe('EINVAL');
  }
  new PthreadBarrier(arena, 'b', { count: 2 });
  expect(thrown(() => new PthreadBarrier(arena, 'b', { count: 3 })).message).toContain('is for 2 tasks, not for 3');
  const alone = new PthreadBarrier(arena, undefined, { count: 1 });
  expect([alone.wait(), alone.wait()]).toEqual([true, true]);
});
