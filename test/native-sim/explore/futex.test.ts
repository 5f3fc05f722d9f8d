import { describe, expect, test } from 'vitest';
import { expectExplored } from '../../../native-sim/explore/expect.ts';
import { explore } from '../../../native-sim/explore/explore.ts';
import {
  piLock,
  requeueAll,
  requeuePiAll,
  requeueUnlessChanged,
  waitForEither,
  wakeByBit,
  wakeNobody,
  wakeOne,
  wakeTwice,
} from './programs/futex.ts';

const MODELS = ['sc', 'x86-tso', 'armv8'] as const;
const random = { maxEvents: 20_000, mode: 'random', executions: 600 } as const;
/** A hundred deaths, a few executions each. */
const deaths = { ...random, kill: true, executions: 150 } as const;

const OPERATIONS = {
  'FUTEX_WAIT and FUTEX_WAKE': () => wakeOne(2, 1),
  'FUTEX_WAIT after FUTEX_WAIT': () => wakeTwice(1),
  FUTEX_WAKE_BITSET: () => wakeByBit(1),
  FUTEX_REQUEUE: () => requeueAll(1),
  FUTEX_CMP_REQUEUE: () => requeueUnlessChanged(1),
  'futex_waitv(2), both words changed': () => waitForEither(2, 1),
  'futex_waitv(2), one word changed': () => waitForEither(1, 1),
};

describe.each(Object.entries(OPERATIONS))('%s', (_name, make) => {
  test.each(MODELS)('loses no wake-up, on %s', async (model) => {
    await expectExplored({ ...make(), model, ...random });
  });

  test('leaves nobody asleep when a thread dies at any step', async () => {
    expect((await expectExplored({ ...make(), ...deaths })).kills).toBeGreaterThan(30);
  });
});

test('two threads and one word, in every way', async () => {
  await expectExplored({ ...wakeOne(1, 1), maxEvents: 20_000 });
});

test('a waker that sees nobody in the bucket does not wait for its latch', async () => {
  await expectExplored(wakeNobody(false));
  expect((await explore(wakeNobody(true))).failure?.kind).toBe('deadlock');
});

describe.each([
  // A seed with which the two meet early.
  ['a priority-inheriting futex', () => piLock(2, 1), 4],
  ['FUTEX_CMP_REQUEUE_PI of one', () => requeuePiAll(1, 1), 1],
  ['FUTEX_CMP_REQUEUE_PI of two', () => requeuePiAll(2, 1), 1],
] as const)('%s', (_name, make, seed) => {
  test.each(MODELS)('lets one in at a time, on %s', async (model) => {
    await expectExplored({ ...make(), model, ...random });
  });

  test('strands nobody and loses no memory when a thread dies at any step', async () => {
    const { kills, points } = await expectExplored({ ...make(), ...deaths, seed });
    // Fewer steps than 300 in the first one, but each of them: the reaper leaves out buckets that were never used.
    expect(points).toEqual({ known: kills, reached: kills, missed: [] });
    expect(kills).toBeGreaterThan(280);
    // The last has about nine hundred steps to die at, and some executions for each: half a minute of two cores.
  }, 300_000);
});
