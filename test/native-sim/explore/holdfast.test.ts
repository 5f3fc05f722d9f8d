import { describe, expect, test } from 'vitest';
import { expectExplored } from '../../../native-sim/explore/expect.ts';
import { explore } from '../../../native-sim/explore/explore.ts';
import { allocations, LOCK_NAMES, lock, namings, parkUnpark } from './programs/holdfast.ts';

const forever = Number.POSITIVE_INFINITY;
const MODELS = ['sc', 'x86-tso', 'armv8'] as const;

const maxEvents = 4000;

describe.each(LOCK_NAMES)('%s', (name) => {
  test.each(MODELS)('lets one thread in at a time, and everyone in the end, on %s', async (model) => {
    for (const spins of [forever, 1]) {
      expect(await expectExplored({ ...lock(name, 2, spins), model, maxEvents })).toMatchObject({ complete: true });
    }
  });

  test('does so with three threads', async () => {
    const options = { model: 'armv8', maxEvents, symmetry: false } as const;
    const result = await expectExplored({ ...lock(name, 3, forever), ...options });
    if (name === 'mcs') expect(result.executions).toBe(66);
    // Optimal exploration of the kernel's qspinlock takes 330.
    if (name === 'qspinlock') expect(result.executions).toBeLessThanOrEqual(660);
  });

  test('does so with three threads that hardly spin, as far as random search tells', async () => {
    await expectExplored({ ...lock(name, 3, 1), model: 'armv8', maxEvents, mode: 'random', executions: 2000 });
  });
});

test.each(LOCK_NAMES)('%s strands nobody when a thread dies', async (name) => {
  const result = await expectExplored({ ...lock(name, 2, forever), model: 'armv8', maxEvents, kill: true });
  expect(result.kills).toBeGreaterThan(4);
});

test('a waiter that is evicted and lines up again is granted out of turn, or left behind, when a third thread dies', async () => {
  // All executions are too many; some dozens for each step at which a thread can die have found both.
  const result = await explore({ ...lock('mcs', 3, forever), model: 'sc', maxEvents, kill: true, executions: 6000 });
  expect(result.failure).toBe(null);
  expect(result.points.missed).toEqual([]);
  expect(result.points.known).toBeGreaterThan(80);
  expect(result.executions).toBeGreaterThan(30 * result.points.known);
});

test.each(MODELS)('park loses no unpark on %s', async (model) => {
  await expectExplored({ ...parkUnpark(), model });
});

test('the allocator gives no memory to two, and loses none when a thread dies', async () => {
  await expectExplored({ ...allocations(), model: 'armv8', maxEvents });
  // Exhaustively in `npm run explore`: each of the 80 deaths has 16,000 executions.
  await expectExplored({ ...allocations(), model: 'armv8', maxEvents, kill: true, mode: 'random', executions: 300 });
});

test('a name leads to one object, and loses none when a thread dies', async () => {
  await expectExplored({ ...namings(), model: 'armv8', maxEvents });
  await expectExplored({ ...namings(), model: 'armv8', maxEvents, kill: true, mode: 'random', executions: 300 });
});
