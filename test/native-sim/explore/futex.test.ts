import { describe, expect, test } from 'vitest';
import { expectExplored } from '../../../native-sim/explore/expect.ts';
import { piLock } from './programs/futex.ts';

const MODELS = ['sc', 'x86-tso', 'armv8'] as const;
const maxEvents = 20_000;

describe('a priority-inheriting futex', () => {
  test.each(MODELS)('lets one in at a time, on %s', async (model) => {
    await expectExplored({ ...piLock(2, 1), model, maxEvents, mode: 'random', executions: 1000 });
  });

  test('strands nobody and loses no memory when a thread dies at any step', async () => {
    const options = { model: 'armv8', maxEvents, kill: true, mode: 'random', executions: 1000 } as const;
    expect((await expectExplored({ ...piLock(2, 1), ...options })).kills).toBeGreaterThan(50);
  });
});
