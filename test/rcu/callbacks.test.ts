import { expect, test } from 'vitest';
import { Arena, Rcu } from '../../lib/index.ts';

test('a callback that was queued inside a later reader does not run with those of before', async () => {
  const arena = Arena.create({ bytes: 1 << 20, maxThreads: 2 });
  const rcu = new Rcu(arena);
  const ran: string[] = [];
  const first = rcu.read();
  rcu.call(() => ran.push('first'));
  const second = rcu.read();
  rcu.call(() => ran.push('second'));
  await undefined;
  await undefined;
  // The first period has begun, and waits for both; a third reader and a callback of its time come now.
  const third = rcu.read();
  rcu.call(() => ran.push('third'));
  first.release();
  second.release();
  const turn = () => new Promise((go) => setImmediate(go));
  while (ran.length < 2) await turn();
  for (let i = 0; i < 20; i++) await turn();
  expect(ran).toEqual(['first', 'second']);
  third.release();
  await rcu.barrierAsync();
  expect(ran).toEqual(['first', 'second', 'third']);
});

test('a flood of callbacks does not hold the event loop up for longer than a batch', async () => {
  const arena = Arena.create({ bytes: 1 << 20, maxThreads: 2 });
  const rcu = new Rcu(arena);
  let turns = 0;
  let ran = 0;
  const isOver = () => ran === 2000;
  for (let i = 0; i < 2000; i++) rcu.call(() => ran++);
  while (!isOver()) {
    await new Promise((go) => setImmediate(go));
    turns++;
  }
  // 10 to 15 a turn.
  expect(turns).toBeGreaterThan(50);
  await rcu.barrierAsync();
});

test('a callback may queue another, which waits for its own period', async () => {
  const arena = Arena.create({ bytes: 1 << 20, maxThreads: 2 });
  const rcu = new Rcu(arena);
  let depth = 0;
  await new Promise<void>((done) => {
    const again = () => {
      if (++depth === 20) done();
      else rcu.call(again);
    };
    rcu.call(again);
  });
  expect(depth).toBe(20);
});

/** How many callbacks of `count` run at a time, while each look at the clock takes `look` ns. */
async function batchesOf(count: number, look: number): Promise<number[]> {
  const arena = Arena.create({ bytes: 1 << 20, maxThreads: 2 });
  const rcu = new Rcu(arena);
  let now = arena.cpu.now();
  Object.defineProperty(arena.cpu, 'now', { value: () => (now += look) });
  const batches: number[] = [];
  let ran = 0;
  const callback = () => {
    // Callbacks of one batch run in one go: this comes behind them.
    if (ran++ === 0) {
      queueMicrotask(() => {
        batches.push(ran);
        ran = 0;
      });
    }
  };
  for (let i = 0; i < count; i++) rcu.call(callback);
  await rcu.barrierAsync();
  return batches;
}

test('a thread with few callbacks runs a 128th of them in a turn, and 10 at least', async () => {
  const batches = await batchesOf(6400, 0);
  expect(batches.slice(0, 2)).toEqual([50, 49]);
  expect(batches.slice(-2)[0]).toBe(10);
});

test('a thread with more than 10,000 callbacks runs so many in a turn, until few are left', async () => {
  expect(await batchesOf(12_000, 0)).toEqual([10_000, 2000]);
});

test('a batch ends after 3 ms, whatever is left of it', async () => {
  const batches = await batchesOf(12_000, 1e6);
  expect(Math.max(...batches)).toBe(4);
});
