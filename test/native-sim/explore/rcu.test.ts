import { describe, expect, test } from 'vitest';
import { expectExplored } from '../../../native-sim/explore/expect.ts';
import { type RcuAct, rcu, type Shape, type Waiting } from './programs/rcu.ts';
import { testsOfWeakOrders } from './weakened.ts';

const MODELS = ['sc', 'x86-tso', 'armv8'] as const;
const maxEvents = 20_000;

describe('no element is reclaimed under its reader, in any execution', () => {
  test.each(MODELS)('on %s', async (model) => {
    const { complete } = await expectExplored({ ...rcu(['read', 'poll']), model, maxEvents });
    expect(complete).toBe(true);
  });

  test('with readers that come again, or overlap', async () => {
    for (const reader of ['twice', 'guards'] as const) {
      const search = { mode: 'random', executions: 1000 } as const;
      await expectExplored({ ...rcu([reader, 'poll']), model: 'armv8', maxEvents, ...search });
    }
  });
});

/** Too many executions for all; `npm run explore` goes on for longer. */
const CASTS: [RcuAct[], Shape, Waiting][] = [
  [['read', 'replace', 'look'], 'flat', 'sleeps'],
  [['read', 'hurry', 'replace'], 'deep', 'spins'],
  [['nested', 'hurry', 'replace', 'look'], 'deep', 'sleeps'],
  [['guards', 'poll', 'replace'], 'flat', 'spins'],
];

describe.each(CASTS)('%j in a %s tree, and who waits %s', (acts, shape, waiting) => {
  test.each(MODELS)('reclaims nothing too early and waits for nothing that is over, on %s', async (model) => {
    await expectExplored({ ...rcu(acts, shape, waiting), model, maxEvents, mode: 'random', executions: 100 });
  });

  test('waits for no reader, writer or scan that is dead', async () => {
    const deaths = { mode: 'random', executions: 10, kill: { walks: 1 } } as const;
    const { kills, points } = await expectExplored({
      ...rcu(acts, shape, waiting),
      model: 'armv8',
      maxEvents,
      ...deaths,
    });
    expect(kills).toBeGreaterThan(50);
    expect(points.missed).toEqual([]);
  });
});

/**
 * The orders of the scan, and of the snapshot, are each doubled by those of the latches in between: an Armv8 store-release
 * stays before a later load-acquire.
 */
testsOfWeakOrders([
  { name: 'the full barrier of a reader that goes in', make, file: 'rcu/reader.ts', op: 'xchg' },
  { name: 'the release of a reader that goes out', make, file: 'rcu/reader.ts', op: 'storeRelease' },
]);

function make() {
  return rcu(['read', 'poll']);
}
