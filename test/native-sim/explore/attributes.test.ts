import { describe, test } from 'vitest';
import { expectExplored } from '../../../native-sim/explore/expect.ts';
import { attributes } from './programs/attributes.ts';
import { testsOfWeakOrders } from './weakened.ts';

const maxEvents = 20_000;

describe('attributes are applied while an item comes, which is lost, or somebody comes across half a pwq', () => {
  test.each(['looks', 'freezes'] as const)('and a third thread %s', async (third) => {
    for (const model of ['sc', 'x86-tso', 'armv8'] as const) {
      await expectExplored({ ...attributes(third), model, maxEvents, mode: 'random', executions: 60 });
    }
  });
});

testsOfWeakOrders([
  {
    name: 'the exchange that makes the pwq the one in use',
    make: () => attributes('looks'),
    file: 'workqueue/attributes.ts',
    op: ['xchg', 'mb', 'cmpxchg'],
    mode: 'random',
  },
  {
    name: 'the look at the pwq in use',
    make: () => attributes('looks'),
    file: 'workqueue/pwqs.ts',
    op: 'loadAcquire',
    within: 'currentPwq',
    mode: 'random',
  },
  {
    name: 'the look at the pwqs that were added',
    make: () => attributes('looks'),
    file: 'workqueue/pwqs.ts',
    op: 'loadAcquire',
    within: 'pwqsOf',
    mode: 'random',
  },
  {
    name: 'the exchange that adds the pwq, and the barrier behind it',
    make: () => attributes('freezes'),
    file: 'workqueue/attributes.ts',
    op: ['cmpxchg', 'mb'],
    mode: 'random',
  },
]);
