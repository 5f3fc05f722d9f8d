import { inspect } from 'node:util';
import { expect, test } from 'vitest';
import { Arena, RwSemaphore } from '../../lib/index.ts';
import { inThread, thrown, until } from '../support/threads.ts';

const THREADS = new URL('./reader-writer.threads.ts', import.meta.url).href;

function setup() {
  const arena = Arena.create({ bytes: 512 << 10, maxThreads: 12 });
  const lock = new RwSemaphore(arena, 'RwSemaphore');
  const stage = arena.alloc(8);
  arena.words.fill(0, stage, stage + 8);
  return { arena, lock, stage };
}

const turn = () => new Promise((resolve) => setImmediate(resolve));

test('readers let in one at a time', async () => {
  const { arena, lock } = setup();
  const writing = await lock.acquireWriteAsync();
  let most = 0;
  let inside = 0;
  const readers = Array.from({ length: 10 }, async () => {
    using _held = await lock.acquireReadAsync();
    most = Math.max(most, ++inside);
    await turn();
    inside--;
  });
  await turn();
  writing.release();
  await Promise.all(readers);
  expect(most).toBe(10);
  expect(arena.thread.tasksInUse).toBe(0);
});

test('a new reader that passes a waiting writer', async () => {
  const { lock } = setup();
  const reading = await lock.acquireReadAsync();
  const order: string[] = [];
  const writer = lock.acquireWriteAsync().then((held) => {
    order.push('writer');
    held.release();
  });
  await turn();
  const reader = lock.acquireReadAsync().then((held) => {
    order.push('reader');
    held.release();
  });
  await turn();
  reading.release();
  await Promise.all([writer, reader]);
  expect(order).toEqual(['writer', 'reader']);
});

test('a writer between writing and reading', async () => {
  const { arena, lock, stage } = setup();
  const held = lock.acquireWrite();
  const writer = inThread(arena, THREADS, 'waitFor', 'RwSemaphore', 'write', stage);
  const reader = inThread(arena, THREADS, 'waitFor', 'RwSemaphore', 'read', stage + 2);
  await until(arena, stage, 1);
  await until(arena, stage + 2, 1);
  while (!lock.isContended) await turn();
  held.downgrade();
  expect(held.mode).toBe('read');
  expect(thrown(() => held.downgrade()).code).toBe('EPERM');
  expect(arena.words[stage + 1]).toBe(0);
  held.release();
  await Promise.all([writer.result, reader.result]);
  lock.downWrite();
  lock.downgradeWrite();
  expect(lock.readers).toBe(1);
  lock.upRead();
});

test('a lock that is used on after nobody repaired what it protects', async () => {
  const { arena, lock, stage } = setup();
  await inThread(arena, THREADS, 'holdAndEnd', 'RwSemaphore', 'write', 'throw', stage).exited;
  lock.downWrite();
  const waiting = [lock.acquireReadAsync(), lock.acquireWriteAsync()];
  await turn();
  lock.upWrite();
  for (const waiter of waiting) await expect(waiter).rejects.toMatchObject({ code: 'ENOTRECOVERABLE' });
  const calls = [
    () => lock.downRead(),
    () => lock.downWrite(),
    () => lock.tryDownRead(),
    () => lock.tryDownWrite(),
    () => lock.acquireRead({ timeout: 5 }),
  ];
  for (const call of calls) expect(thrown(call).code).toBe('ENOTRECOVERABLE');
  expect(inspect(lock)).toBe('RwSemaphore(RwSemaphore, not recoverable)');
  lock.destroy();
});
