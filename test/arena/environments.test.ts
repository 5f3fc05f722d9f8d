/** What test environments do to a program: fake clocks and timers, globals of another realm. */
import { runInNewContext } from 'node:vm';
import { afterEach, expect, test, vi } from 'vitest';
import { relative } from '../../lib/futex/deadline.ts';
import { Arena, Mutex } from '../../lib/index.ts';

const hrtime = process.hrtime.bigint.bind(process.hrtime);

afterEach(() => {
  vi.useRealTimers();
});

test('a synchronous timeout that never ends, because a fake clock stands still', () => {
  const { cpu } = Arena.create();
  vi.useFakeTimers({ toFake: ['performance', 'hrtime', 'Date'] });
  const before = cpu.now();
  const begun = hrtime();
  while (hrtime() - begun < 2_000_000n);
  expect(cpu.now()).toBeGreaterThan(before);
});

test('a wait that leaves a fake timer behind, which runAllTimers runs for ever', async () => {
  const lock = new Mutex(Arena.create());
  lock.lock();
  vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval', 'setTimeout'] });
  const waiting = lock.lockAsync();
  expect(vi.getTimerCount()).toBe(0);
  lock.unlock();
  await waiting;
});

test('a realtime deadline on another clock than the Date.now() that it was made with', () => {
  const { cpu } = Arena.create();
  vi.useFakeTimers({ toFake: ['Date'], now: 1_000_000 });
  expect(relative(cpu, { deadline: 1_000_050, clock: 'realtime' }).timeout).toBe(50);
});

test("a handle whose buffer is another realm's", () => {
  const arena = Arena.create({ bytes: 1 << 17 });
  const buffer = runInNewContext(`new SharedArrayBuffer(${arena.handle.buffer.byteLength})`);
  new Int32Array(buffer).set(arena.words);
  expect(Arena.attach({ type: 'holdfast.arena', buffer })).toBe(arena);
});
