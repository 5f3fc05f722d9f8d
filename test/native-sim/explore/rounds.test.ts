import { describe, expect, test } from 'vitest';
import { expectExplored } from '../../../native-sim/explore/expect.ts';
import { explore } from '../../../native-sim/explore/explore.ts';
import { rounds } from './programs/rounds.ts';
import { testsOfWeakOrders } from './weakened.ts';

const maxEvents = 20_000;

describe.each(['wake', 'again', 'walk'] as const)('a thread that does this: %s', (act) => {
  test.each(['sc', 'x86-tso', 'armv8'] as const)('never meets freed memory, on %s', async (model) => {
    const { complete } = await expectExplored({ ...rounds(act), model, maxEvents });
    expect(complete).toBe(true);
  });

  test('may die at any step, and so may the owner of the memory', async () => {
    const deaths = { mode: 'random', executions: 10, kill: { walks: 1 } } as const;
    const { kills, points } = await expectExplored({ ...rounds(act), model: 'armv8', maxEvents, ...deaths });
    expect(kills).toBeGreaterThan(30);
    expect(points.missed).toEqual([]);
  });
});

test('a thread that tells the round before it has woken the task is found', async () => {
  const { failure } = await explore({ ...rounds('early'), model: 'sc', maxEvents });
  expect(failure?.kind).toBe('data-race');
});

testsOfWeakOrders([
  {
    name: 'the release of a thread that tells the round',
    make: () => rounds('walk'),
    file: 'sched/rounds.ts',
    op: 'storeRelease',
  },
  {
    name: 'the acquire of the look what threads have told',
    make: () => rounds('wake'),
    file: 'sched/rounds.ts',
    op: 'loadAcquire',
    within: 'isBehind',
  },
  {
    name: 'the barrier that begins a round',
    make: () => rounds('walk'),
    file: 'sched/rounds.ts',
    op: 'fetchAdd',
  },
]);
