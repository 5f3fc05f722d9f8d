import { describe, expect, test } from 'vitest';
import { McsLock } from '../../../lib/locking/mcs-lock.ts';
import { Mutex } from '../../../lib/locking/mutex.ts';
import { SpinLock } from '../../../lib/locking/spin-lock.ts';
import { TicketLock } from '../../../lib/locking/ticket-lock.ts';
import { expectExplored } from '../../../native-sim/explore/expect.ts';
import type { Program } from '../../../native-sim/explore/program.ts';
import { allocations, exclusion, latchExclusion, namings, osqExclusion, parkUnpark } from './programs/holdfast.ts';

const forever = Number.POSITIVE_INFINITY;
const MODELS = ['sc', 'x86-tso', 'armv8'] as const;

const LOCKS: Record<string, (threads: number, spins: number) => Program> = {
  ticket: (threads, spins) => exclusion(threads, spins, (arena, handle) => new TicketLock(arena, handle)),
  MCS: (threads, spins) => exclusion(threads, spins, (arena, handle) => new McsLock(arena, handle)),
  qspinlock: (threads, spins) => exclusion(threads, spins, (arena, handle) => new SpinLock(arena, handle)),
  osq: osqExclusion,
  mutex: (threads, spins) => exclusion(threads, spins, (arena, handle) => new Mutex(arena, handle)),
  latch: (threads) => latchExclusion(threads),
};

const maxEvents = 4000;

describe.each(Object.entries(LOCKS))('%s', (name, make) => {
  test.each(MODELS)('lets one thread in at a time, and everyone in the end, on %s', async (model) => {
    for (const spins of [forever, 1]) {
      expect(await expectExplored({ ...make(2, spins), model, maxEvents })).toMatchObject({ complete: true });
    }
  });

  test('does so with three threads', async () => {
    const result = await expectExplored({ ...make(3, forever), model: 'armv8', maxEvents });
    if (name === 'MCS') expect(result.executions).toBe(66);
  });

  test('does so with three threads that hardly spin, as far as random search tells', async () => {
    await expectExplored({ ...make(3, 1), model: 'armv8', maxEvents, mode: 'random', executions: 2000 });
  });

  test('strands nobody when a thread dies at any step', async () => {
    const result = await expectExplored({ ...make(2, forever), model: 'armv8', maxEvents, kill: true });
    expect(result.kills).toBeGreaterThan(4);
  });
});

test.each(MODELS)('park loses no unpark on %s', async (model) => {
  await expectExplored({ ...parkUnpark(), model });
});

test('the allocator gives no memory to two, and loses none when a thread dies', async () => {
  await expectExplored({ ...allocations(), model: 'armv8', maxEvents });
  await expectExplored({ ...allocations(), model: 'armv8', maxEvents, kill: true });
});

test('a name leads to one object, and loses none when a thread dies', async () => {
  await expectExplored({ ...namings(), model: 'armv8', maxEvents });
});
