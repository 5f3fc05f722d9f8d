import { describe, expect, test } from 'vitest';
import { expectExplored } from '../../../native-sim/explore/expect.ts';
import { type CacheAct, sharedCache } from './programs/shared-cache.ts';
import { testsOfWeakOrders } from './weakened.ts';

const MODELS = ['sc', 'x86-tso', 'armv8'] as const;
const maxEvents = 20_000;
const BESIDE: CacheAct[] = ['put', 'drain', 'compute'];

describe.each(BESIDE)('a use that is lost, or of an entry that is used again, beside %s', (act) => {
  test.each(MODELS)('on %s', async (model) => {
    await expectExplored({ ...sharedCache(['use', act]), model, maxEvents, mode: 'random', executions: 60 });
  });
});

test.each(['put', 'drain'] as const)(
  'a thread that dies at any step, beside %s, leaves lists that are whole',
  async (act) => {
    const deaths = { mode: 'random', executions: 1, kill: { walks: 1 } } as const;
    const { kills, points } = await expectExplored({
      ...sharedCache(['use', act]),
      model: 'armv8',
      maxEvents,
      ...deaths,
    });
    expect(kills).toBeGreaterThan(20);
    expect(points.missed).toEqual([]);
  },
);

test('two threads that compute for one key', async () => {
  await expectExplored({
    ...sharedCache(['compute', 'compute']),
    model: 'armv8',
    maxEvents,
    mode: 'random',
    executions: 60,
  });
});

testsOfWeakOrders([
  {
    name: 'the uses that a drain sees',
    make: () => sharedCache(['use', 'drain']),
    file: 'structures/cache/batch.ts',
    op: 'storeRelease',
  },
]);
