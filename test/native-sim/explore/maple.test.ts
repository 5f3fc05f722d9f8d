import { describe, expect, test } from 'vitest';
import { expectExplored } from '../../../native-sim/explore/expect.ts';
import { type MapleAct, maple } from './programs/maple.ts';
import { testsOfWeakOrders } from './weakened.ts';

const MODELS = ['sc', 'x86-tso', 'armv8'] as const;
const maxEvents = 20_000;
const CHANGES: MapleAct[] = ['store', 'split', 'join', 'span', 'append', 'reuse'];

describe.each(CHANGES)('a reader sees a node too early, too late or half, beside %s', (act) => {
  test.each(MODELS)('on %s', async (model) => {
    const search = { mode: 'random', executions: 60 } as const;
    await expectExplored({ ...maple(['read', act]), model, maxEvents, ...search });
  });
});

describe.each(['split', 'join', 'span', 'append'] as const)('%s', (act) => {
  test('a writer that dies at any step leaves what others can read and change', async () => {
    const deaths = { mode: 'random', executions: 1, kill: { walks: 1 } } as const;
    const { kills, points } = await expectExplored({ ...maple(['read', act]), model: 'armv8', maxEvents, ...deaths });
    expect(kills).toBeGreaterThan(20);
    expect(points.missed).toEqual([]);
  });
});

test('two writers and a reader', async () => {
  const search = { mode: 'random', executions: 30 } as const;
  await expectExplored({ ...maple(['read', 'join', 'split']), model: 'armv8', maxEvents, ...search });
});

test('two writers, of which one dies at any step, and leaves the other asleep', async () => {
  const deaths = { mode: 'random', executions: 10, kill: { walks: 2 }, seed: 3 } as const;
  const { points } = await expectExplored({ ...maple(['store', 'store']), model: 'sc', maxEvents, ...deaths });
  expect(points.missed).toEqual([]);
});

testsOfWeakOrders([
  {
    name: 'the release by which a new node is found',
    make: () => maple(['read', 'split']),
    file: 'structures/journal.ts',
    op: 'storeRelease',
  },
  {
    name: 'the release by which slots are added to a leaf',
    make: () => maple(['read', 'append']),
    file: 'structures/maple/append.ts',
    op: 'storeRelease',
  },
  {
    name: 'the dependency of what is read in a node',
    make: () => maple(['read', 'split']),
    file: 'structures/maple/walk.ts',
    op: 'loadAcquire',
  },
]);
