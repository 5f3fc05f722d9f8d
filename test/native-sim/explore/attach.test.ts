/** Threads that attach to an arena at the same time, meet at an object by its name, and leave. */
import { expect, test } from 'vitest';
import { expectExplored } from '../../../native-sim/explore/expect.ts';
import { attach } from './programs/attach.ts';

const random = { maxEvents: 20_000, mode: 'random' } as const;

test.each(['sc', 'x86-tso', 'armv8'] as const)(
  'no place is taken twice, and the object made once, on %s',
  async (model) => {
    await expectExplored({ ...attach(2, 2), ...random, model, executions: 60 });
    // One place too few: the third finds it free again, or none.
    await expectExplored({ ...attach(3, 2), ...random, model, executions: 60 });
  },
);

test('a thread that dies as it attaches, opens, or leaves has its place made free', async () => {
  const { points } = await expectExplored({ ...attach(2, 2), ...random, executions: 4, kill: { walks: 1 } });
  expect(points.missed).toEqual([]);
  expect(points.reached).toBeGreaterThan(300);
});
