import { describe, expect, test } from 'vitest';
import { expectExplored } from '../../../native-sim/explore/expect.ts';
import { type WorkAct, workProgram } from './programs/work.ts';

const maxEvents = 20_000;
const randomly = { maxEvents, mode: 'random' } as const;

const meetings: readonly (readonly [string, readonly (readonly WorkAct[])[], number])[] = [
  ['queue and flush', [['queue 0', 'flush']], 1],
  ['cancel while it begins, and queue again', [['queue 0', 'cancel', 'queue 0']], 1],
  ['cancel and wait while another queues', [['queue 0', 'cancel sync'], ['queue 0']], 1],
  ['queue elsewhere while it runs', [['queue 0', 'queue 1'], ['flush']], 2],
  ['cancel what waits for its other run', [['queue 0', 'queue 1', 'cancel'], ['queue 1']], 2],
];

describe.each(['sc', 'x86-tso', 'armv8'] as const)(
  'on %s, a work is lost, runs twice at once, or is never told of',
  (model) => {
    test.each(meetings)('%s', async (_name, users, slots) => {
      await expectExplored({ ...workProgram(users, slots), ...randomly, model, executions: 60 });
    });
  },
);

describe('a death at any step, after which a work is lost or a waiter is', () => {
  test.each([meetings[2]!, meetings[4]!])('%s', async (_name, users, slots) => {
    const { kills } = await expectExplored({
      ...workProgram(users, slots),
      ...randomly,
      model: 'armv8',
      executions: 1,
      kill: { walks: 1 },
    });
    expect(kills).toBeGreaterThan(100);
  });
});
