import { describe, expect, test } from 'vitest';
import { expectExplored } from '../../../native-sim/explore/expect.ts';
import { type TasksAct, tasksRcu } from './programs/tasks-rcu.ts';
import { testsOfWeakOrders } from './weakened.ts';

const MODELS = ['sc', 'x86-tso', 'armv8'] as const;
const maxEvents = 20_000;

describe('nothing is reclaimed while a thread uses it without saying so, in any execution', () => {
  test.each(MODELS)('on %s', async (model) => {
    const { complete } = await expectExplored({ ...tasksRcu(['use', 'poll']), model, maxEvents });
    expect(complete).toBe(true);
  });

  test.each(['nap', 'late'] as const)('by one that does this: %s', async (act) => {
    const { complete } = await expectExplored({ ...tasksRcu([act, 'poll']), model: 'armv8', maxEvents });
    expect(complete).toBe(true);
  });
});

/** Too many executions for all; `npm run explore` goes on for longer. */
const CASTS: TasksAct[][] = [
  ['idle', 'replace', 'look'],
  ['nap', 'replace', 'look'],
  ['use', 'idle', 'hurry', 'look'],
  ['late', 'use', 'replace', 'look'],
];

describe.each(CASTS.map((acts) => [acts] as const))('%j', (acts) => {
  test.each(MODELS)('reclaims nothing too early, and waits for nobody who sleeps or is gone, on %s', async (model) => {
    await expectExplored({ ...tasksRcu(acts), model, maxEvents, mode: 'random', executions: 100 });
  });

  test('waits for no thread that is dead', async () => {
    const deaths = { mode: 'random', executions: 10, kill: { walks: 1 } } as const;
    const { kills, points } = await expectExplored({ ...tasksRcu(acts), model: 'armv8', maxEvents, ...deaths });
    expect(kills).toBeGreaterThan(50);
    expect(points.missed).toEqual([]);
  });
});

testsOfWeakOrders([
  {
    name: 'the full barrier of a thread that goes on',
    make: () => tasksRcu(['nap', 'poll']),
    file: 'rcu/reader.ts',
    op: 'xchg',
  },
  {
    name: 'the release of a thread that sleeps',
    make: () => tasksRcu(['use', 'poll']),
    file: 'rcu/reader.ts',
    op: 'storeRelease',
  },
]);
