/** What a worker's thread goes by, and what asks for one. */
import { describe, expect, test } from 'vitest';
import { HoldfastError, Mutex } from '../../lib/index.ts';
import { openPool } from '../../lib/workqueue/objects.ts';
import { createWorker } from '../../lib/workqueue/pools.ts';
import { Runner } from '../../lib/workqueue/runner.ts';
import { stepper } from '../support/stepper.ts';

describe('a worker that is about to sleep', () => {
  test('lets its event loop stand still although a function of it has asked for a lock, and left that to come', async () => {
    const { arenas } = stepper(2);
    const [mine, theirs] = arenas.map((arena) => new Mutex(arena, 'm')) as [Mutex, Mutex];
    const worker = arenas[1]!;
    worker.thread.takeTask(worker.heap);
    const runner = new Runner(worker, () => {});
    expect(runner.needsEventLoop).toBe(false);
    mine.lock();
    const asked = theirs.acquireAsync();
    expect(runner.needsEventLoop).toBe(true);
    mine.unlock();
    const held = await asked;
    // Nobody else can release it.
    expect(runner.needsEventLoop).toBe(true);
    held.release();
    expect(runner.needsEventLoop).toBe(false);
  });
});

test('the thread that wants a worker fails where the arena has no room for its record', () => {
  const arena = stepper(1).arenas[0]!;
  const pool = openPool(arena, { address: 0, slots: 1, maxWorkers: 1, maxAwaited: 8 }, -1, false);
  for (let words = 1 << 12; words > 0; ) {
    try {
      arena.alloc(words);
    } catch (error) {
      expect(HoldfastError.from(error)?.code).toBe('ENOMEM');
      words >>= 1;
    }
  }
  expect(() => createWorker(arena, pool, 0)).not.toThrow();
});
