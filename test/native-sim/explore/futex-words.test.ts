/** Futex operations on two words at once, and robust lists. */
import { describe, expect, test } from 'vitest';
import { expectExplored } from '../../../native-sim/explore/expect.ts';
import { oppositeRequeues, robustWords, wakeBoth } from './programs/futex-words.ts';

const random = { maxEvents: 20_000, mode: 'random' } as const;

describe.each([
  ['FUTEX_WAKE_OP', () => wakeBoth(1)],
  ['two opposite FUTEX_REQUEUEs', () => oppositeRequeues(1)],
  ['a robust list of two threads', () => robustWords(2, 1)],
  ['a robust list of three threads', () => robustWords(3, 1)],
])('%s', (_name, make) => {
  test.each(['sc', 'x86-tso', 'armv8'] as const)('loses no wake-up, on %s', async (model) => {
    await expectExplored({ ...make(), ...random, model, executions: 200 });
  });

  test('leaves nobody asleep when a thread dies at any step', async () => {
    const { points } = await expectExplored({ ...make(), ...random, executions: 60, kill: { walks: 2 } });
    expect(points.missed).toEqual([]);
    expect(points.reached).toBeGreaterThan(20);
  });
});
