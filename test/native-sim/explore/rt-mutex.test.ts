import { describe, expect, test } from 'vitest';
import { expectExplored } from '../../../native-sim/explore/expect.ts';
import { ownPriorities, rtMutex, rtOrder, wwMutexes } from './programs/rt-mutex.ts';

const MODELS = ['sc', 'x86-tso', 'armv8'] as const;
const random = { maxEvents: 6000, mode: 'random', executions: 600 } as const;

test('threads that set priorities sleep for ever when one of them dies under the latch', async () => {
  await expectExplored({
    ...ownPriorities([1, 2]),
    model: 'sc',
    maxEvents: 6000,
    kill: true,
    mode: 'random',
    executions: 400,
  });
});

describe('an rt-mutex', () => {
  test.each(MODELS)('lets one in at a time, and lends and takes back what is more urgent, on %s', async (model) => {
    for (const spins of [Number.POSITIVE_INFINITY, 1]) {
      await expectExplored({ ...rtMutex([0, -1], spins), model, ...random });
      await expectExplored({ ...rtMutex([0, -1, 3], spins), model, ...random });
    }
  });

  test('goes to the more urgent waiter, whoever came first', async () => {
    await expectExplored({ ...rtOrder(1), ...random });
  });

  test('strands nobody, and lends nothing for ever, when a thread dies at any step', async () => {
    const { kills } = await expectExplored({ ...rtMutex([0, -1], 1), ...random, kill: true });
    expect(kills).toBeGreaterThan(50);
  });
});

describe.each(['wound-wait', 'wait-die'] as const)('%s', (policy) => {
  const crossed = [
    [0, 1],
    [1, 0],
  ];
  const round = [
    [0, 1],
    [1, 2],
    [2, 0],
  ];

  test.each(MODELS)('ends every cycle of waits, on %s', async (model) => {
    await expectExplored({ ...wwMutexes(policy, crossed, 1), model, ...random });
    await expectExplored({ ...wwMutexes(policy, round, 1), model, ...random });
  });

  test('does so where its threads have priorities, and one dies at any step', async () => {
    const program = wwMutexes(policy, crossed, 1, [0, -1]);
    const { points } = await expectExplored({ ...program, ...random, executions: 60, kill: { walks: 2 } });
    expect(points.missed).toEqual([]);
    expect(points.reached).toBeGreaterThan(100);
  });

  test('backs off once from a context that takes its locks once', async () => {
    // What the other one lets go of first is what the context has backed off from.
    const last = [
      [0, 1],
      [2, 1, 0],
    ];
    for (const model of MODELS) await expectExplored({ ...wwMutexes(policy, last, 1), model, ...random });
  });

  test('strands nobody when a thread dies at any step', async () => {
    const { kills } = await expectExplored({ ...wwMutexes(policy, crossed, 1), ...random, kill: true });
    expect(kills).toBeGreaterThan(50);
  });
});
