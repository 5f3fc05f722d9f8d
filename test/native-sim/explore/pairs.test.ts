/**
 * Pairs of features: each lock, with two threads that each do one thing to it, on all machines; and with deaths, also that of
 * the reaper. `npm run explore` goes further, and says how far.
 */
import { afterAll, describe, expect, test } from 'vitest';
import { expectExplored } from '../../../native-sim/explore/expect.ts';
import { explore } from '../../../native-sim/explore/explore.ts';
import { can, inheriting, PAIR_LOCKS, pair, pairsOf } from './programs/pairs.ts';

const MODELS = ['sc', 'x86-tso', 'armv8'] as const;
/** The points at which a thread can die, of all locks on all machines. */
const all = { known: 0, reached: 0 };

afterAll(() => {
  console.info(`${all.reached} of ${all.known} points at which a thread can die were reached`);
});

const random = { maxEvents: 20_000, mode: 'random' } as const;

describe.each(PAIR_LOCKS)('%s', (lock) => {
  test('every pair of acts', async () => {
    for (const model of MODELS) {
      for (const acts of pairsOf(lock))
        await expectExplored({ ...pair(lock, acts, 1), ...random, model, executions: 5 });
    }
  });

  test('a thread that takes it dies, or the one beside it', async () => {
    for (const act of (['give up', 'boosted', 'read'] as const).filter((each) => can(lock, each))) {
      for (const model of act === 'boosted' ? MODELS : (['armv8'] as const)) {
        const options = { ...random, model, executions: 4, kill: { walks: 1 } };
        const { points } = await expectExplored({ ...pair(lock, ['take', act], 1), ...options });
        expect(points.missed, `${act}, ${model}`).toEqual([]);
        all.known += points.known;
        all.reached += points.reached;
      }
    }
  });

  test('its queue under priority inheritance, and a thread that dies there', async () => {
    await expectExplored({ ...inheriting(lock, 1), ...random, executions: 20 });
    const { points } = await expectExplored({ ...inheriting(lock, 1), ...random, executions: 2, kill: { walks: 1 } });
    expect(points.missed).toEqual([]);
  });

  test('what is left behind is noticed: a dead holder that nobody reaps', async () => {
    const unreaped = { ...pair(lock, ['take'], 1), reaper: undefined };
    const { failure } = await explore({ ...unreaped, ...random, executions: 1, kill: true });
    expect(failure?.kind).toBe('check');
  });
});

// With a futex the reaper looks at 128 buckets: too long for here.
describe.each(PAIR_LOCKS.filter((lock) => !lock.includes('pthread')))('%s', (lock) => {
  test('a thread dies, and the reaper after it', async () => {
    const kill = { count: 2, threads: [0, 2], walks: 1 };
    const { points } = await expectExplored({
      ...pair(lock, ['take', 'urgent'], 1, 2),
      ...random,
      executions: 2,
      kill,
    });
    expect(points.missed).toEqual([]);
    expect(points.reached).toBeGreaterThan(100);
  });
});
