import { expect, test } from 'vitest';
import { Arena, PercpuCounter } from '../../lib/index.ts';
import { step, stepper } from '../support/stepper.ts';
import { thrown } from '../support/threads.ts';

test('a batch is not told, or twice', () => {
  const { arenas } = stepper(2);
  const [first, second] = arenas.map((arena) => new PercpuCounter(arena, 'n', { batch: 10 })) as [
    PercpuCounter,
    PercpuCounter,
  ];
  for (let i = 0; i < 9; i++) first.inc();
  second.add(-3);
  expect([first.read(), first.sum()]).toEqual([0, 6]);
  first.inc();
  expect([second.read(), second.sum()]).toEqual([10, 7]);
  second.add(-10);
  expect([second.read(), second.sum()]).toEqual([-3, -3]);
  expect([first.compare(-3), first.compare(-4), first.compare(5), first.compare(1e6), first.compare(-1e6)]).toEqual([
    0, 1, -1, -1, 1,
  ]);
  second.add(5);
  expect([first.read(), first.compare(2), first.compare(0)]).toEqual([-3, 0, 1]);
});

test('a count of more than 32 bits wraps', () => {
  const counter = new PercpuCounter(Arena.create({ bytes: 1 << 20, maxThreads: 2 }), 'n');
  for (let i = 0; i < 40; i++) counter.add(2 ** 29);
  expect(counter.sum()).toBe(40 * 2 ** 29);
  for (let i = 0; i < 41; i++) counter.add(-(2 ** 29));
  expect(counter.sum()).toBe(-(2 ** 29));
});

test('what is no such number, or no batch', () => {
  const arena = Arena.create({ bytes: 1 << 20, maxThreads: 2 });
  const counter = new PercpuCounter(arena, 'n');
  for (const value of [0.5, 2 ** 30, Number.NaN, '1' as never]) {
    expect(thrown(() => counter.add(value))).toMatchObject({ code: 'EINVAL' });
  }
  for (const batch of [0, 1.5, 2 ** 30]) {
    expect(thrown(() => new PercpuCounter(arena, 'm', { batch }))).toMatchObject({ code: 'EINVAL' });
  }
  expect(counter.sum()).toBe(0);
});

test('what a killed thread has added is lost, or counted twice', () => {
  for (let n = 1; ; n++) {
    const { arenas, killBefore, reap } = stepper(3);
    const [mine, killed] = arenas.map((arena) => new PercpuCounter(arena, 'n', { batch: 4 })) as [
      PercpuCounter,
      PercpuCounter,
    ];
    mine.add(100);
    mine.add(2);
    killed.add(3);
    if (!killBefore(1, step(n), () => killed.add(2 ** 20))) break;
    expect(reap(2), `step ${n}`).toBe('done');
    expect([105, 105 + 2 ** 20], `step ${n}`).toContain(mine.sum());
    // What the dead thread had is told to all.
    expect(mine.read(), `step ${n}`).toBe(mine.sum() - 2);
  }
});
