import { setImmediate as turn } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { expect, test } from 'vitest';
import { RealCpu } from '../../lib/machine/real.ts';

const WORD = 3;

function setup() {
  const cpu = new RealCpu(new Int32Array(new SharedArrayBuffer(64)));
  /** What the wait ended with, as soon as this thread could know. */
  const wait = (deadline = Number.POSITIVE_INFINITY) => {
    const seen: { outcome?: string } = {};
    const told = (outcome: string) => {
      seen.outcome = outcome;
    };
    void Promise.resolve(cpu.waitAsync(WORD, 0, deadline)).then(told);
    return seen;
  };
  return { cpu, wait, notify: () => Atomics.notify(cpu.words, WORD) };
}

const hops = async () => {
  for (let hop = 0; hop < 5; hop++) await null;
};

test('a wait that its own thread ended, told of in a later turn', async () => {
  const { cpu, wait } = setup();
  const young = wait();
  expect(cpu.wake(WORD, 1)).toBe(1);
  await hops();
  expect(young).toEqual({ outcome: 'ok' });
  const known = wait();
  await turn();
  expect(cpu.wake(WORD, 1)).toBe(1);
  await hops();
  expect(known).toEqual({ outcome: 'ok' });
});

test('waits that are over in their turn, kept by the engine', async () => {
  const { cpu, wait, notify } = setup();
  for (let i = 0; i < 100; i++) {
    wait();
    expect(notify()).toBe(0);
    cpu.wake(WORD, 1);
    await null;
  }
  await turn();
  expect(notify()).toBe(0);
});

test('a loop in one turn that keeps all its waits', async () => {
  setFlagsFromString('--expose-gc');
  const gc: () => void = runInNewContext('gc');
  const { cpu, wait } = setup();
  const used = () => {
    gc();
    return process.memoryUsage().heapUsed;
  };
  const before = used();
  for (let i = 0; i < 50_000; i++) {
    wait();
    cpu.wake(WORD, 1);
    await null;
  }
  // 150 bytes each otherwise.
  expect(used() - before).toBeLessThan(2e6);
});

test('a wake-up by another thread that comes before the engine knows of the wait', async () => {
  const { cpu, wait, notify } = setup();
  const seen = wait();
  cpu.store(WORD, 1);
  expect(notify()).toBe(0);
  await hops();
  expect(seen).toEqual({});
  await turn();
  await hops();
  expect(seen).toEqual({ outcome: 'not-equal' });
});

test('a wake-up by another thread that the event loop does not hear of', async () => {
  const { wait, notify } = setup();
  const seen = wait();
  await turn();
  expect(notify()).toBe(1);
  while (seen.outcome === undefined) await turn();
  expect(seen).toEqual({ outcome: 'ok' });
});

test('a wait that nobody can end any more, because another one at its word met its deadline', async () => {
  const { cpu, wait, notify } = setup();
  const keepAlive = setInterval(() => {}, 3_600_000);
  const [short, long] = [wait(cpu.now() + 1e5), wait()];
  while (short.outcome === undefined) await turn();
  expect(short).toEqual({ outcome: 'timed-out' });
  cpu.wake(WORD, 1);
  await hops();
  expect(long).toEqual({ outcome: 'ok' });
  // The engine keeps nothing of a wait that its deadline has ended.
  const alone = wait(cpu.now() + 5e6);
  await turn();
  while (alone.outcome === undefined) await turn();
  expect(alone).toEqual({ outcome: 'timed-out' });
  expect(notify()).toBe(0);
  clearInterval(keepAlive);
});

test('a word that holds another value, or a deadline that has passed', async () => {
  const { cpu, notify } = setup();
  expect(cpu.waitAsync(WORD, 1, Number.POSITIVE_INFINITY)).toBe('not-equal');
  expect(cpu.waitAsync(WORD, 1, 0)).toBe('not-equal');
  expect(cpu.waitAsync(WORD, 0, 0)).toBe('timed-out');
  await turn();
  expect(notify()).toBe(0);
});
