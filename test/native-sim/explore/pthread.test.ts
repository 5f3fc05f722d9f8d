import { describe, expect, test } from 'vitest';
import { expectExplored } from '../../../native-sim/explore/expect.ts';
import { barrier, cond, mutex, once, sem } from './programs/pthread.ts';

const MODELS = ['sc', 'x86-tso', 'armv8'] as const;
const random = { maxEvents: 20_000, mode: 'random', executions: 600 } as const;
/** After a death the reaper looks at 128 buckets: a hundred deaths, a few executions each. */
const deaths = { ...random, kill: true, executions: 150 } as const;

describe('a mutex', () => {
  test.each(MODELS)('lets one in at a time, and everyone in the end, on %s', async (model) => {
    await expectExplored({ ...mutex('normal', 2, 1), model, ...random });
    await expectExplored({ ...mutex('normal', 3, 1), model, ...random });
    await expectExplored({ ...mutex('recursive', 2, 1), model, ...random });
  });

  test.each(['normal', 'recursive'] as const)('strands nobody when a thread dies at any step: %s', async (type) => {
    expect((await expectExplored({ ...mutex(type, 2, 1), ...deaths })).kills).toBeGreaterThan(40);
  });
});

describe.each(['signal', 'broadcast'] as const)('%s', (how) => {
  test.each(MODELS)('is not missed, on %s', async (model) => {
    await expectExplored({ ...cond(how, 1, 1), model, ...random });
    await expectExplored({ ...cond(how, 2, 1), model, ...random });
  });

  test('is not lost with a thread that dies at any step', async () => {
    expect((await expectExplored({ ...cond(how, 2, 1), ...deaths })).kills).toBeGreaterThan(50);
  });
});

describe('a barrier', () => {
  test.each(MODELS)('may be destroyed by whoever passes it first, on %s', async (model) => {
    await expectExplored({ ...barrier(2, 1, true), model, ...random });
    await expectExplored({ ...barrier(3, 1, true), model, ...random });
  });

  test('lets the living pass when another comes in place of the dead', async () => {
    expect((await expectExplored({ ...barrier(2, 1, false), ...deaths })).kills).toBeGreaterThan(20);
  });
});

describe('once', () => {
  test.each(MODELS)('is done when the call returns, on %s', async (model) => {
    await expectExplored({ ...once(2, 1), model, ...random });
    await expectExplored({ ...once(3, 1), model, ...random });
  });

  test('is done by another when its thread dies', async () => {
    expect((await expectExplored({ ...once(2, 1), ...deaths })).kills).toBeGreaterThan(40);
  });
});

describe('a semaphore', () => {
  test.each(MODELS)('misses no post, on %s', async (model) => {
    await expectExplored({ ...sem(1, 1), model, ...random });
    await expectExplored({ ...sem(2, 1), model, ...random });
  });

  test.each([0, 2])('keeps what a waiter that died had not taken, and what was posted: thread %i', async (victim) => {
    const result = await expectExplored({ ...sem(2, 1), ...deaths, kill: { threads: [victim] } });
    expect(result.kills).toBeGreaterThan(10);
  });
});
