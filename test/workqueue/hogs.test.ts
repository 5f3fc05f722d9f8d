import { expect, test } from 'vitest';
import { Arena, Workqueue } from '../../lib/index.ts';
import { isWarnedOf } from '../../lib/workqueue/pool-timer.ts';
import { f } from './functions.ts';

test('an item that computes in a slot, for what the next one of that slot does: it computes for ever', async () => {
  const arena = Arena.create({ bytes: 8 << 20 });
  Workqueue.configure(arena, { slots: 1 });
  const wq = new Workqueue(arena, 'bound', { unbound: false });
  const log = arena.alloc(16);
  arena.words[log] = 0;
  const spins = wq.run(f.spinUntil, log);
  await wq.run(f.note, log, 1);
  await spins;
  expect(wq.statistics.hogs).toBe(1);
  // One that says so from the start gives no slot away later.
  const declared = new Workqueue(arena, 'declared', { unbound: false, cpuIntensive: true });
  arena.words[log] = 0;
  const other = declared.run(f.spinUntil, log);
  await wq.run(f.note, log, 2);
  await other;
  expect(declared.statistics.hogs).toBe(0);
  await wq.close();
});

test('a function that computes for long is warned of the first time, or every time', () => {
  const times = Array.from({ length: 20 }, (_, i) => i + 1);
  expect(times.filter(isWarnedOf)).toEqual([4, 5, 7, 11, 19]);
});
