/**
 * A writer of a PercpuRwSemaphore that comes straight after another one need not look for readers: only if there are none. One that
 * spins for them is the writer already: not where its call may throw before it waits.
 */
import { setImmediate as nextTurn } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { Arena, type LockGuard, PercpuRwSemaphore, WaitQueue } from '../../lib/index.ts';
import { stepper } from '../support/stepper.ts';
import { exhaust, thrown } from '../support/threads.ts';

async function isInside(writer: Promise<LockGuard>): Promise<boolean> {
  let isIn = false;
  void writer.then(() => {
    isIn = true;
  });
  for (let turn = 0; turn < 10; turn++) await nextTurn();
  return isIn;
}

test('a writer beside a reader of its thread that joined once it was the next one', async () => {
  const lock = new PercpuRwSemaphore(Arena.create({ bytes: 1 << 20 }));
  lock.downWrite();
  const writer = lock.acquireWriteAsync();
  lock.upWrite();
  lock.downRead();
  expect(await isInside(writer)).toBe(false);
  lock.upRead();
  (await writer).release();
});

test('a writer beside the readers that were let in before it', async () => {
  const lock = new PercpuRwSemaphore(Arena.create({ bytes: 1 << 20 }));
  lock.downWrite();
  const reader = lock.acquireReadAsync();
  const writer = lock.acquireWriteAsync();
  lock.upWrite();
  const held = await reader;
  expect(await isInside(writer)).toBe(false);
  held.release();
  (await writer).release();
});

test('a writer beside a reader for which the one before it has waited in vain', async () => {
  const lock = new PercpuRwSemaphore(Arena.create({ bytes: 1 << 20 }));
  const held = await lock.acquireReadAsync();
  const impatient = new AbortController();
  const first = lock.acquireWriteAsync({ signal: impatient.signal }).catch((reason: unknown) => reason);
  const writer = lock.acquireWriteAsync();
  impatient.abort('gone');
  expect(await first).toBe('gone');
  expect(await isInside(writer)).toBe(false);
  held.release();
  (await writer).release();
});

test('a writer for whose wait, in a condition, there is no memory leaves the lock to others', () => {
  const { arenas } = stepper(2);
  const [first, second] = arenas as [Arena, Arena];
  const queue = new WaitQueue(first, 'q');
  const [writer, reader] = [new PercpuRwSemaphore(first, 'l'), new PercpuRwSemaphore(second, 'l')];
  reader.downRead();
  exhaust(first);
  let looks = 0;
  const condition = () => {
    // At the second look the thread stands in line.
    if (looks++ > 0) writer.downWrite();
    return false;
  };
  expect(thrown(() => queue.wait(condition)).code).toBe('ENOMEM');
  expect(looks).toBe(2);
  reader.upRead();
  expect(reader.tryDownRead()).toBe(true);
});
