import { expect, test } from 'vitest';
import { expectExplored } from '../../../native-sim/explore/expect.ts';
import { percpuRef } from './programs/percpu-ref.ts';
import { testsOfWeakOrders } from './weakened.ts';

const MODELS = ['sc', 'x86-tso', 'armv8'] as const;

test.each(MODELS)('no moment without references is seen that there was not, on %s', async (model) => {
  const { complete } = await expectExplored({ ...percpuRef(2), model, maxEvents: 1000 });
  expect(complete).toBe(true);
});

testsOfWeakOrders([
  {
    name: 'the order of a reference and of the count of those taken',
    make: () => percpuRef(1),
    file: 'rcu/percpu-ref-core.ts',
    op: 'fetchAdd',
    within: 'addAtomically',
  },
]);
