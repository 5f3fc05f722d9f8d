/**
 * Three threads and a death, or two, in the rooms above the locks: the first steps of the programs in `room-trios.ts`. `npm run explore`
 * goes through all of them, and says how far.
 */
import { describe, expect, test } from 'vitest';
import { expectExplored } from '../../../native-sim/explore/expect.ts';
import { callbacks } from './programs/callbacks.ts';
import { type RetiredLock, retired } from './programs/retired.ts';
import { sequence } from './programs/sequences.ts';
import { submitters } from './programs/submitters.ts';

const random = { maxEvents: 20_000, mode: 'random' } as const;

test('a writer that has noted the record of a task, and looks there when its memory is used otherwise', async () => {
  const program = retired('percpu-rw-semaphore, read', ['take']);
  await expectExplored({ ...program, ...random, model: 'armv8', executions: 4, seed: 40 });
});

describe('found by three threads', () => {
  test('a thread that walks the chunks of tasks, while one in the middle leaves the chain', async () => {
    await expectExplored({ ...retired('semaphore', ['take', 'walk']), ...random, model: 'armv8', executions: 3 });
  });

  test('a thread at a retired chunk, while the next thread in the slot has it in its chain again', async () => {
    const kill = { threads: [0], walks: 1 };
    await expectExplored({ ...retired('mutex', ['walk', 'walk']), ...random, executions: 1, seed: 20, kill });
  });

  test.each<RetiredLock>(['rt-mutex', 'pthread mutex', 'percpu-rw-semaphore'])(
    '%s: a reaper that finds a new task in its word',
    async (lock) => {
      const kill = { threads: [0], walks: 1 };
      const program = retired(lock, ['fresh']);
      await expectExplored({ ...program, ...random, model: 'armv8', executions: 1, seed: 2, kill });
    },
  );
});

test.each([
  ['the memory of tasks', [1], 1, () => retired('semaphore', ['take', 'walk'])],
  ['submitters', [1], 1, () => submitters(['work', 'submit', 'flush'], 1)],
  ['callbacks', [0], 1, () => callbacks(['call', 'barrier', 'read'])],
  ['sequences', [0], 1, () => sequence('seq-lock', ['twice', 'write', 'section'], 1, 1)],
  [
    'sequences, a death and that of its reaper',
    [0, 3],
    2,
    () => sequence('seq-lock', ['write', 'write', 'read'], 1, 2),
  ],
])('%s: whoever is left gets on, and leaves nothing', async (_, threads, count, program) => {
  const kill = { threads, count, walks: 1 };
  const { kills } = await expectExplored({ ...program(), ...random, executions: 1, kill });
  expect(kills).toBeGreaterThan(10);
});
