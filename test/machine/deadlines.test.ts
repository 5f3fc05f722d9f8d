import { expect, test } from 'vitest';
import { Arena, Mutex } from '../../lib/index.ts';
import { Deadlines } from '../../lib/machine/deadlines.ts';
import { RealCpu } from '../../lib/machine/real.ts';

const HOUR = 3_600_000;

test('deadlines met out of order, or met although they were removed', async () => {
  const deadlines = new Deadlines(() => performance.now() * 1e6);
  const start = performance.now() * 1e6;
  const met: number[] = [];
  const missed = new Set<number>();
  let last = () => {};
  const over = new Promise<void>((resolve) => {
    last = resolve;
  });
  // A permutation of 0 .. 996, so that each is added in the middle of others.
  const entries = Array.from({ length: 997 }, (_, i) => {
    const n = (i * 331) % 997;
    return deadlines.add(start + 1e6 + n * 1e4, () => {
      met.push(n);
      if (n === 996) last();
    });
  });
  entries.forEach((entry, i) => {
    const n = (i * 331) % 997;
    if (i % 3 !== 0 || n === 996) return;
    deadlines.remove(entry);
    deadlines.remove(entry);
    missed.add(n);
  });
  await over;
  expect(met).toEqual(Array.from({ length: 997 }, (_, n) => n).filter((n) => !missed.has(n)));
  expect(deadlines.size).toBe(0);
});

test('a deadline that waits for the timer of a later one', async () => {
  const deadlines = new Deadlines(() => performance.now() * 1e6);
  const far = deadlines.add((performance.now() + HOUR) * 1e6, () => {});
  await new Promise<void>((resolve) => {
    deadlines.add((performance.now() + 1) * 1e6, resolve);
  });
  expect(deadlines.size).toBe(1);
  deadlines.remove(far);
});

test('a sleep that ends before its deadline, and leaves the deadline behind', async () => {
  const arena = Arena.create();
  const { asyncWaits } = arena.cpu as RealCpu;
  const lock = new Mutex(arena);
  lock.lock();
  const waits = Array.from({ length: 200 }, () => lock.lockAsync({ timeout: 24 * HOUR }).then(() => lock.unlock()));
  expect(asyncWaits.timed).toBe(200);
  lock.unlock();
  await Promise.all(waits);
  expect(asyncWaits.timed).toBe(0);
});

test('a sleep until a deadline further off than a timer of the host reaches', async () => {
  const cpu = new RealCpu(new Int32Array(new SharedArrayBuffer(64)));
  const sleep = cpu.waitAsync(0, 0, cpu.now() + 2 ** 33 * 1e6);
  // A delay that overflowed would fire within a millisecond.
  await new Promise((resolve) => setTimeout(resolve, 5));
  expect(cpu.asyncWaits.timed).toBe(1);
  cpu.wake(0, 1);
  expect(await sleep).toBe('ok');
});

test('a sleep that nobody wakes, and that never times out', async () => {
  const cpu = new RealCpu(new Int32Array(new SharedArrayBuffer(64)));
  const keepAlive = setInterval(() => {}, HOUR);
  const deadline = cpu.now() + 2e6;
  expect(await cpu.waitAsync(0, 0, deadline)).toBe('timed-out');
  expect(cpu.now()).toBeGreaterThanOrEqual(deadline);
  clearInterval(keepAlive);
});
