import { describe, expect, test } from 'vitest';
import { expectExplored } from '../../../native-sim/explore/expect.ts';
import { boost } from './programs/boost.ts';
import { testsOfWeakOrders } from './weakened.ts';

const MODELS = ['sc', 'x86-tso', 'armv8'] as const;
const maxEvents = 20_000;

describe.each(MODELS)('on %s', (model) => {
  test('a reader that is told to look keeps nothing that was lent', async () => {
    const { complete } = await expectExplored({ ...boost(1, false), model, maxEvents });
    expect(complete).toBe(true);
  });

  test('a task that ends its wait takes back what the reader has not seen', async () => {
    const { complete } = await expectExplored({ ...boost(1, true), model, maxEvents });
    expect(complete).toBe(true);
  });

  test('two lenders leave nothing behind', async () => {
    await expectExplored({ ...boost(2, true), model, maxEvents, mode: 'random', executions: 300 });
  });
});

test('nothing stays lent when the reader, a lender or the reaper dies', async () => {
  for (const lenders of [1, 2]) {
    const deaths = { mode: 'random', executions: 20, kill: { walks: 1 } } as const;
    const { kills, points } = await expectExplored({ ...boost(lenders, true), model: 'armv8', maxEvents, ...deaths });
    expect(kills).toBeGreaterThan(50);
    expect(points.missed).toEqual([]);
  }
});

testsOfWeakOrders([
  { name: 'the barrier between a loan and the second look', make, file: 'rcu/boost.ts', op: 'mb', to: 'relaxed' },
]);

function make() {
  return boost(1, false);
}
