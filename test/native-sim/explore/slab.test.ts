import { describe, expect, test } from 'vitest';
import { expectExplored } from '../../../native-sim/explore/expect.ts';
import { type SlabAct, slab } from './programs/slab.ts';
import { testsOfWeakOrders } from './weakened.ts';

const maxEvents = 20_000;
const CASTS: SlabAct[][] = [
  ['take', 'several'],
  ['doom', 'several'],
  ['doom', 'doom'],
];

describe.each(CASTS)('%s beside %s', (...acts) => {
  test.each(['sc', 'x86-tso', 'armv8'] as const)('no object is two threads at a time, on %s', async (model) => {
    await expectExplored({ ...slab(acts), model, maxEvents, mode: 'random', executions: 100 });
  });

  test('no object is lost or doubled by a death', async () => {
    const deaths = { mode: 'random', executions: 10, kill: { walks: 1 } } as const;
    const { kills } = await expectExplored({ ...slab(acts), model: 'armv8', maxEvents, ...deaths });
    expect(kills).toBeGreaterThan(50);
  });
});

testsOfWeakOrders([
  {
    name: 'the latch by which an object changes threads',
    make: () => slab(['several', 'several']),
    file: 'memory/latch.ts',
    op: ['cmpxchgAcquire', 'xchgRelease'],
    mode: 'random',
  },
]);
