import { describe, expect, test } from 'vitest';
import { expectExplored } from '../../../native-sim/explore/expect.ts';
import { workqueue } from './programs/workqueue.ts';
import { testsOfWeakOrders } from './weakened.ts';

/** The worker of a slot takes it away, and computes until another has run an item that comes meanwhile. */
function offline() {
  return workqueue({ items: ['offline', 'open'], workers: 2, isBound: true });
}

const MODELS = ['sc', 'x86-tso', 'armv8'] as const;
const maxEvents = 20_000;

describe.each(MODELS)('on %s', (model) => {
  const randomly = { model, maxEvents, mode: 'random' } as const;

  test('an item is not seen by a worker that goes to sleep, or its submitter not woken', async () => {
    await expectExplored({ ...workqueue({ items: ['run'], workers: 1 }), ...randomly, executions: 200 });
  });

  test('a worker that sleeps in an item keeps its slot, and the other never runs what ends the sleep', async () => {
    await expectExplored({ ...workqueue({ items: ['sleep', 'open'], workers: 2 }), ...randomly, executions: 100 });
    const together = workqueue({ items: ['sleep', 'open', 'run'], workers: 2, together: true });
    await expectExplored({ ...together, ...randomly, executions: 50 });
  });

  test('a slot that goes offline while an item comes leaves that to the worker that computes there', async () => {
    await expectExplored({ ...offline(), ...randomly, executions: 100 });
  });

  test('items beyond maxActive are never activated, or run twice', async () => {
    const bounded = workqueue({ items: ['run', 'run', 'run'], workers: 2, maxActive: 1 });
    await expectExplored({ ...bounded, ...randomly, executions: 80 });
  });
});

describe('a death at any step, after which an item is nobody’s, runs twice, or is never told to its submitter', () => {
  test.each([
    ['two items in one step, one worker', workqueue({ items: ['run', 'run'], workers: 1, together: true })],
    ['two items and maxActive 1', workqueue({ items: ['run', 'run'], workers: 1, maxActive: 1 })],
  ])('%s', async (_name, program) => {
    const { kills, points } = await expectExplored({
      ...program,
      model: 'armv8',
      maxEvents,
      mode: 'random',
      executions: 1,
      kill: { walks: 1 },
    });
    expect(kills).toBeGreaterThan(100);
    expect(points.missed).toEqual([]);
  });
});

const one = () => workqueue({ items: ['run'], workers: 1 });
const sleeper = () => workqueue({ items: ['sleep', 'open'], workers: 2 });

testsOfWeakOrders([
  {
    name: 'the full exchange of a push, which the look whether a worker is missing comes behind',
    make: one,
    file: 'workqueue/lists.ts',
    op: 'cmpxchg',
    within: 'push',
    mode: 'random',
  },
  {
    name: 'the exchange with which a worker says that it sleeps, before it looks for items',
    make: one,
    file: 'sched/task.ts',
    op: 'xchg',
    within: 'prepareToPark',
    mode: 'random',
  },
  {
    name: 'the barrier of a worker that goes to sleep in an item',
    make: sleeper,
    file: 'workqueue/pool.ts',
    op: 'mb',
    within: 'sleeping',
    mode: 'random',
  },
  {
    name: 'the exchange with which a submitter says that it waits, before it looks for what has ended',
    make: one,
    file: 'workqueue/lists.ts',
    op: 'xchg',
    within: 'armPort',
    mode: 'random',
  },
]);
