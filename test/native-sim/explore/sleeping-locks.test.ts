import { describe, expect, test } from 'vitest';
import { expectExplored } from '../../../native-sim/explore/expect.ts';
import { completion, permits, seat, waitQueue } from './programs/sleeping-locks.ts';

const MODELS = ['sc', 'x86-tso', 'armv8'] as const;
const maxEvents = 6000;

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

describe("a semaphore's seat", () => {
  test.each(MODELS)('keeps its permit, and lets one in, on %s', async (model) => {
    for (const guards of [
      [1, 2],
      [2, 0],
    ] as const) {
      await expectExplored({ ...seat(guards, 1), model, maxEvents, mode: 'random', executions: 300 });
    }
  });

  test('keeps it when one dies that has a guard', async () => {
    const options = { model: 'armv8', maxEvents, mode: 'random', executions: 300 } as const;
    for (const [guards, threads] of [
      [
        [1, 2],
        [0, 1],
      ],
      [[2, 0], [0]],
    ] as const) {
      const result = await expectExplored({ ...seat(guards, 1), ...options, kill: { threads: [...threads] } });
      expect(result.kills).toBeGreaterThan(20);
    }
  });
});

describe('a completion', () => {
  test.each(MODELS)('is not missed, on %s', async (model) => {
    await expectExplored({ ...completion(1, 1), model, maxEvents });
    await expectExplored({ ...completion(2, 1), model, maxEvents, mode: 'random', executions: 1500 });
  });

  test('does not die with a waiter, and can be had from another completer', async () => {
    const options = { model: 'armv8', maxEvents, mode: 'random', executions: 3000 } as const;
    for (const victim of [0, 2]) {
      const result = await expectExplored({ ...completion(2, 1), ...options, kill: { threads: [victim] } });
      expect(result.kills).toBeGreaterThan(4);
    }
  });
});

describe('a wait queue', () => {
  test.each(MODELS)('misses no change, on %s', async (model) => {
    await expectExplored({ ...waitQueue(1, 1), model, maxEvents });
    await expectExplored({ ...waitQueue(2, 1), model, maxEvents, mode: 'random', executions: 1500 });
  });

  test('loses no wake-up with a waiter or a waker that dies', async () => {
    const options = { model: 'armv8', maxEvents, kill: true, mode: 'random', executions: 6000 } as const;
    expect((await expectExplored({ ...waitQueue(2, 1), ...options })).kills).toBeGreaterThan(50);
  });
});
