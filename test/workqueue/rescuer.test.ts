import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { Arena, Completion, DelayedWork, Workqueue } from '../../lib/index.ts';
import { inThread, until } from '../support/threads.ts';
import { f } from './functions.ts';

const THREADS = new URL('./workqueue.threads.ts', import.meta.url).href;

/** With so few threads that two items which block take all of them. */
function scarceArena(): Arena {
  const arena = Arena.create({ bytes: 8 << 20 });
  Workqueue.configure(arena, { slots: 2, maxWorkers: 2, maxAwaited: 4 });
  return arena;
}

describe('every worker blocked, and the limit of threads reached', () => {
  // Threads take long to start.
  const arena = scarceArena();
  const others = new Workqueue(arena, 'others');
  let gates = 0;
  /** Both threads are blocked until the gate is open. Returns what they wait for. */
  const block = () => {
    const gate = `gate ${gates++}`;
    const both = Promise.all([others.run(f.block, gate), others.run(f.block, gate)]);
    return { gate, both };
  };

  test('a memReclaim queue makes no progress', async () => {
    const wq = new Workqueue(arena, 'reclaim', { memReclaim: true, maxActive: 20 });
    const { gate, both } = block();
    const late = others.run(f.open, 'no gate');
    const sums = Array.from({ length: 50 }, (_, i) => wq.run(f.add, i, 1));
    expect(await Promise.all(sums)).toEqual(Array.from({ length: 50 }, (_, i) => i + 1));
    // Awaited ones, and more than the rescuer may hold.
    const before = wq.statistics.rescued;
    const awaited = Array.from({ length: 10 }, () => wq.run(f.blockAsync, 'rescued gate'));
    while (wq.statistics.rescued < before + 4) await sleep(1);
    // Time for those that it must not take.
    await sleep(50);
    expect(wq.statistics.rescued).toBe(before + 4);
    new Completion(arena, 'rescued gate').completeAll();
    expect(new Set(await Promise.all(awaited)).size).toBe(1);
    await expect(wq.run(f.fail, 'bad')).rejects.toThrow('bad');
    expect(wq.statistics.rescued).toBeGreaterThan(0);
    expect(others.statistics.rescued).toBe(0);
    expect(others.counts.ended).toBe(0);
    await wq.run(f.open, gate);
    await Promise.all([both, late]);
    await wq.close();
  });

  test('a work of such a queue never runs, or twice at once', async () => {
    const wq = new Workqueue(arena, 'works', { memReclaim: true, ordered: true });
    const { gate, both } = block();
    const log = arena.alloc(16);
    arena.words[log] = 0;
    const note = new DelayedWork(arena, 'note', f.note, log, 7);
    expect(wq.queueWork(note)).toBe(true);
    await note.flushWorkAsync();
    expect(wq.queueDelayedWork(note, 1)).toBe(true);
    await until(arena, log, 2);
    await wq.run(f.open, gate);
    await both;
    expect(note.runs).toBe(2);
  });

  test('the death of the rescuer takes its queues with it', async () => {
    const wq = new Workqueue(arena, 'deadly', { memReclaim: true });
    const { gate, both } = block();
    const error = await wq.run(f.exit).catch((reason) => reason);
    expect(error).toMatchObject({ code: 'EOWNERDEAD' });
    expect(error.message).toContain('kworker/R died');
    expect(await wq.run(f.add, 1, 2)).toBe(3);
    await wq.run(f.open, gate);
    await both;
    expect(arena.fsck()).toEqual([]);
  });
});

test('a thread that dies as soon as it has queued something, before anybody has asked for a worker', async () => {
  const arena = Arena.create({ bytes: 8 << 20 });
  Workqueue.configure(arena, { slots: 2 });
  const log = arena.alloc(400);
  arena.words[log] = 0;
  new Workqueue(arena, 'reclaim', { memReclaim: true });
  await inThread(arena, THREADS, 'queueUnasked', 'reclaim', log).exited;
  // Nobody waits for it but by looking.
  await until(arena, log, 1);
});

test('what a queue that reclaims is told by its options', () => {
  const arena = scarceArena();
  const wq = new Workqueue(arena, 'reclaim', { memReclaim: true, cpuIntensive: true });
  expect(wq.statistics.flags).toEqual(['unbound', 'memReclaim', 'cpuIntensive']);
  expect(() => new Workqueue(arena, 'reclaim')).toThrow('EINVAL');
  expect(() => new Workqueue(arena, 'x', { memReclaim: 1 as unknown as boolean })).toThrow('EINVAL');
});
