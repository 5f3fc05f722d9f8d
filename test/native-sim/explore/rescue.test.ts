import { describe, expect, test } from 'vitest';
import { expectExplored } from '../../../native-sim/explore/expect.ts';
import { rescue } from './programs/rescue.ts';
import { testsOfWeakOrders } from './weakened.ts';

const maxEvents = 20_000;
const randomly = { maxEvents, mode: 'random' } as const;

test.each(['sc', 'x86-tso', 'armv8'] as const)(
  'on %s, an item that needs the rescuer is forgotten, runs twice, or meets the worker that comes back',
  async (model) => {
    await expectExplored({ ...rescue(1), ...randomly, model, executions: 100 });
    await expectExplored({ ...rescue(3), ...randomly, model, executions: 50 });
  },
);

describe('a death at any step, of kthreadd, the worker or the rescuer, after which an item is nobody’s', () => {
  test.each([1, 2])('%s items', async (items) => {
    const { kills } = await expectExplored({
      ...rescue(items),
      ...randomly,
      model: 'armv8',
      executions: 1,
      kill: { walks: 1 },
    });
    expect(kills).toBeGreaterThan(100);
  });
});

testsOfWeakOrders([
  {
    name: 'the exchange with which the rescuer says that it sleeps, before it looks who calls it',
    make: () => rescue(1),
    file: 'sched/task.ts',
    op: 'xchg',
    within: 'prepareToPark',
    mode: 'random',
  },
]);
