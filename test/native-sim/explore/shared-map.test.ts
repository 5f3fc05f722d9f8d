import { describe, expect, test } from 'vitest';
import { expectExplored } from '../../../native-sim/explore/expect.ts';
import { type MapAct, sharedMap } from './programs/shared-map.ts';
import { testsOfWeakOrders } from './weakened.ts';

const MODELS = ['sc', 'x86-tso', 'armv8'] as const;
const maxEvents = 20_000;
const CHANGES: MapAct[] = ['set', 'grow', 'regrow', 'swap', 'await'];

describe.each(CHANGES)('a reader loses a key, or finds an entry that is used again, beside %s', (act) => {
  test.each(MODELS)('on %s', async (model) => {
    await expectExplored({ ...sharedMap(['read', act]), model, maxEvents, mode: 'random', executions: 150 });
  });

  test('a writer that dies at any step leaves what others can read and change', async () => {
    const deaths = { mode: 'random', executions: 2, kill: { walks: 1 } } as const;
    const { kills, points } = await expectExplored({
      ...sharedMap(['read', act]),
      model: 'armv8',
      maxEvents,
      ...deaths,
    });
    expect(kills).toBeGreaterThan(20);
    expect(points.missed).toEqual([]);
  });
});

test('two writers, of which one dies at any step, and leaves the other asleep', async () => {
  const deaths = { mode: 'random', executions: 20, kill: { walks: 4 }, seed: 3 } as const;
  const { points } = await expectExplored({ ...sharedMap(['set', 'set']), model: 'sc', maxEvents, ...deaths });
  expect(points.missed).toEqual([]);
});

testsOfWeakOrders([
  {
    name: 'the dependency of what is read in an entry',
    make: () => sharedMap(['read', 'set']),
    file: 'structures/map/table.ts',
    op: 'loadAcquire',
  },
]);
