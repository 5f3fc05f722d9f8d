import { describe, expect, test } from 'vitest';
import { expectExplored } from '../../../native-sim/explore/expect.ts';
import { type XArrayAct, xarray } from './programs/xarray.ts';
import { testsOfWeakOrders } from './weakened.ts';

const MODELS = ['sc', 'x86-tso', 'armv8'] as const;
const maxEvents = 20_000;
const CHANGES: XArrayAct[] = ['store', 'grow', 'erase', 'fill', 'join', 'reuse'];

describe.each(CHANGES)('a reader sees a node too early, too late or half, beside %s', (act) => {
  test.each(MODELS)('on %s', async (model) => {
    const search = { mode: 'random', executions: 200 } as const;
    await expectExplored({ ...xarray(['read', act]), model, maxEvents, ...search });
  });

  test('a writer that dies at any step leaves what others can read and change', async () => {
    const deaths = { mode: 'random', executions: 2, kill: { walks: 1 } } as const;
    const { kills, points } = await expectExplored({ ...xarray(['read', act]), model: 'armv8', maxEvents, ...deaths });
    expect(kills).toBeGreaterThan(20);
    expect(points.missed).toEqual([]);
  });
});

test('two writers and a reader', async () => {
  const search = { mode: 'random', executions: 200 } as const;
  await expectExplored({ ...xarray(['read', 'erase', 'grow']), model: 'armv8', maxEvents, ...search });
});

test('two writers, of which one dies at any step, and leaves the other asleep', async () => {
  const deaths = { mode: 'random', executions: 20, kill: { walks: 4 }, seed: 3 } as const;
  const { points } = await expectExplored({ ...xarray(['store', 'store']), model: 'sc', maxEvents, ...deaths });
  expect(points.missed).toEqual([]);
});

testsOfWeakOrders([
  {
    name: 'the release by which a new node is found',
    make: () => xarray(['read', 'grow']),
    file: 'structures/journal.ts',
    op: 'storeRelease',
  },
  {
    name: 'the dependency of what is read in a node',
    make: () => xarray(['read', 'grow']),
    file: 'structures/xarray/walk.ts',
    op: 'loadAcquire',
  },
]);
