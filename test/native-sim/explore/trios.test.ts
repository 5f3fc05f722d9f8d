/** Three threads with mixed roles, deaths, and the arena looked at in the end. `npm run explore` goes through all of a room's programs. */
import { describe, expect, test } from 'vitest';
import { expectExplored } from '../../../native-sim/explore/expect.ts';
import { inherited, queue, type SpinnerName, supply } from './programs/trios.ts';

const random = { maxEvents: 20_000, mode: 'random' } as const;

describe('found by three threads', () => {
  test('a waiter that the reaper grants for a dead giver waits for nothing any more', async () => {
    const program = supply('completion', ['take', 'soon', 'give'], 1);
    await expectExplored({ ...program, ...random, executions: 8, kill: { threads: [2], walks: 1 }, seed: 4 });
  });

  test('a waiter that a dead waker was taking out of the list is woken', async () => {
    const program = queue(['share', 'alone', 'wake'], 1);
    await expectExplored({ ...program, ...random, executions: 8, kill: { threads: [2], walks: 2 } });
  });

  test.each<SpinnerName>(['mcs', 'ticket'])('%s: the owner is found beside a thread that lines up', async (name) => {
    await expectExplored({ ...inherited(name, 2), maxEvents: 4000 });
  });
});

// The others take more than a moment: they are for the long search.
test.each([
  ['a semaphore', [2], () => supply('semaphore', ['urgent', 'soon', 'give'], 1)],
  ['a wait queue', [1], () => queue(['alone', 'soon', 'wake'], 1)],
])('%s: whoever is left gets on, and leaves nothing', async (_, threads, program) => {
  const { kills } = await expectExplored({ ...program(), ...random, executions: 3, kill: { threads, walks: 1 } });
  expect(kills).toBeGreaterThan(10);
});
