import { describe, expect, test } from 'vitest';
import { PercpuRwSemaphore } from '../../../lib/locking/percpu-rw-semaphore.ts';
import { RwSemaphore } from '../../../lib/locking/rw-semaphore.ts';
import { expectExplored } from '../../../native-sim/explore/expect.ts';
import { type Act, completion, permits, readersAndWriters, waitQueue } from './programs/sleeping-locks.ts';

const MODELS = ['sc', 'x86-tso', 'armv8'] as const;
const maxEvents = 6000;
const forever = Number.POSITIVE_INFINITY;

const CAST: Act[][] = [
  ['write', 'write'],
  ['write', 'read'],
  ['read', 'read'],
  ['write', 'twice'],
];

describe.each([RwSemaphore, PercpuRwSemaphore])('%o', (Lock) => {
  const cast = Lock === RwSemaphore ? [...CAST, ['downgrade', 'read'] as Act[], ['downgrade', 'write'] as Act[]] : CAST;

  test.each(MODELS)('lets a writer in alone, and everyone in the end, on %s', async (model) => {
    for (const acts of cast) {
      await expectExplored({ ...readersAndWriters(Lock, acts, 1), model, maxEvents, mode: 'random', executions: 1500 });
    }
  });

  test.each(cast.map((acts) => [acts]))('strands nobody when a thread dies at any step: %s', async (acts) => {
    const options = { model: 'armv8', maxEvents, kill: true, mode: 'random', executions: 1500 } as const;
    expect((await expectExplored({ ...readersAndWriters(Lock, acts, 1), ...options })).kills).toBeGreaterThan(4);
  });

  test('keeps three threads apart, as far as random search tells', async () => {
    const options = { model: 'armv8', maxEvents, mode: 'random', executions: 1500 } as const;
    for (const acts of [
      ['write', 'read', 'read'],
      ['write', 'write', 'read'],
    ] as Act[][]) {
      await expectExplored({ ...readersAndWriters(Lock, acts, forever), ...options });
    }
  });
});

describe('semaphore', () => {
  test.each(MODELS)('lets one in with one permit, on %s', async (model) => {
    for (const guards of [
      [false, false],
      [true, false],
      [true, true],
    ]) {
      await expectExplored({ ...permits(guards, 1), model, maxEvents, mode: 'random', executions: 1500 });
    }
  });

  test('gives back the permit of a dead guard', async () => {
    await expectExplored({
      ...permits([true, true], 1),
      model: 'armv8',
      maxEvents,
      kill: true,
      mode: 'random',
      executions: 1500,
    });
  });
});

test.each(MODELS)('a completion is not missed, on %s', async (model) => {
  await expectExplored({ ...completion(1), model, maxEvents });
});

test.each(MODELS)('a wait queue misses no change, on %s', async (model) => {
  await expectExplored({ ...waitQueue(1), model, maxEvents });
});
