import { describe, expect, test } from 'vitest';
import { Arena, Completion, Workqueue } from '../../lib/index.ts';
import { inThread } from '../support/threads.ts';
import { f } from './functions.ts';

const THREADS = new URL('./workqueue.threads.ts', import.meta.url).href;

describe('a thread that blocks until a queue is through', () => {
  // Threads take long to start.
  const arena = Arena.create({ bytes: 8 << 20 });
  Workqueue.configure(arena, { slots: 2 });
  const wq = new Workqueue(arena, 'flushed');
  const log = arena.alloc(64);
  arena.words[log] = 0;

  test('goes on before what was queued before, or never', async () => {
    await wq.run(f.add, 1, 2);
    const calls = Array.from({ length: 20 }, (_, i) => wq.run(f.note, log, i));
    wq.flushSync();
    expect(arena.words[log]).toBe(20);
    // Their results have not been received yet: that takes the event loop.
    await Promise.all(calls);
    wq.flushSync({ timeout: 0 });
    const bound = new Workqueue(arena, 'bound', { unbound: false });
    for (const slot of [0, 1]) void bound.runWith({ slot }, f.note, log, 30);
    bound.flushSync();
    expect(arena.words[log]).toBe(22);
    expect(() => wq.flushSync({ timeout: -1 })).toThrow('EINVAL');
  });

  test('and gives up, keeps it drained, or loses its flusher', async () => {
    const gate = new Completion(arena, 'gate');
    const blocked = wq.run(f.blockAsync, 'gate');
    expect(() => wq.flushSync({ timeout: 5 })).toThrow('ETIMEDOUT');
    expect(() => wq.drainSync({ timeout: 5 })).toThrow('ETIMEDOUT');
    expect(await wq.run(f.add, 1, 2)).toBe(3);
    gate.completeAll();
    await blocked;
    wq.drainSync();
    expect(await wq.run(f.add, 1, 2)).toBe(3);
    const chain = new Workqueue(arena, 'chain');
    arena.words[log] = 0;
    void chain.run(f.chain, 'chain', log, 20);
    chain.drainSync();
    expect(arena.words[log]).toBe(20);
    chain.closeSync();
    await expect(chain.run(f.add, 1, 2)).rejects.toMatchObject({ code: 'EINVAL' });
    expect(() => chain.drainSync()).toThrow('EINVAL');
  });

  test('is a worker that runs an item of it, or awaits one', async () => {
    expect(await wq.run(f.flushSyncWithin, 'flushed')).toBe('EDEADLK EDEADLK EDEADLK');
    // Of another queue: its slot is another worker's meanwhile.
    const other = new Workqueue(arena, 'other');
    expect(await other.run(f.flushSyncWithin, 'flushed')).toBe('  ');
    await expect(wq.run(f.add, 1, 2)).rejects.toMatchObject({ code: 'EINVAL' });
  });

  test('dies meanwhile', async () => {
    const again = new Workqueue(arena, 'again');
    const blocked = again.run(f.blockAsync, 'second gate');
    await inThread(arena, THREADS, 'flushAndDie', 'again').exited;
    new Completion(arena, 'second gate').completeAll();
    await blocked;
    again.flushSync();
    await again.close();
    expect(again.counts).toMatchObject({ active: 0, inactive: 0 });
    expect(arena.fsck()).toEqual([]);
  });
});
