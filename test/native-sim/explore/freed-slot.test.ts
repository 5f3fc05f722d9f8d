import { describe, test } from 'vitest';
import { expectExplored } from '../../../native-sim/explore/expect.ts';
import { freedSlot } from './programs/freed-slot.ts';
import { testsOfWeakOrders } from './weakened.ts';

const maxEvents = 20_000;

describe('a slot becomes free while an item comes, and nobody wakes a worker for it', () => {
  test.each([
    ['offline', 400],
    ['hog', 400],
    ['intensive', 400],
    ['death', 40],
  ] as const)('%s', async (freeing, executions) => {
    for (const model of ['sc', 'x86-tso', 'armv8'] as const) {
      await expectExplored({ ...freedSlot(freeing), model, maxEvents, mode: 'random', executions });
    }
  });
});

testsOfWeakOrders([
  {
    name: 'the exchange with which a slot that goes offline is free, before the look for items',
    make: () => freedSlot('offline'),
    file: 'workqueue/pool-care.ts',
    op: 'xchg',
    mode: 'random',
  },
  {
    name: 'the barrier behind the slot that a worker gives away because it has computed for long',
    make: () => freedSlot('hog'),
    file: 'workqueue/pool-care.ts',
    op: 'mb',
    mode: 'random',
  },
  {
    name: 'the barrier behind the slot that a worker gives away because it will compute for long',
    make: () => freedSlot('intensive'),
    file: 'workqueue/pool.ts',
    op: 'mb',
    within: 'step',
    mode: 'random',
  },
  {
    name: 'the exchange with which a repair counts the workers, before its look for items',
    make: () => freedSlot('death'),
    file: 'workqueue/repair.ts',
    op: 'xchg',
    within: 'countWorkers',
    mode: 'random',
  },
]);
