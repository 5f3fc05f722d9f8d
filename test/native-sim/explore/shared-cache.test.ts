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

const BESIDE_DEATH: CacheAct[][] = [
  ['use', 'put'],
  ['use', 'drain'],
  ['compute', 'put'],
  ['compute', 'compute'],
];
test.each(BESIDE_DEATH)(
  'a thread that dies at any step of %s, beside %s, leaves a cache that is whole',
  async (...acts) => {
    const deaths = { mode: 'random', executions: 1, kill: { walks: 1 } } as const;
    const { kills, points } = await expectExplored({
      ...sharedCache(acts),
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
