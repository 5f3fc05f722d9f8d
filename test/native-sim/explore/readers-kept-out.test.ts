/** What a writer that spins does to readers: it keeps them out for a moment, or lets them in again when its spins are in vain. */
import { expect, test } from 'vitest';
import { RwSemaphoreWords } from '../../../lib/locking/rw-semaphore/words.ts';
import { expectExplored } from '../../../native-sim/explore/expect.ts';
import type { FinalMemory } from '../../../native-sim/explore/program.ts';
import { type Act, type ReaderWriterLock, readersAndWriters } from './programs/readers-writers.ts';

const LOCKS = ['rw-semaphore', 'percpu-rw-semaphore'] as const;
const random = { maxEvents: 20_000, mode: 'random' } as const;

/** An RwSemaphore that no writer keeps readers out of any more, once all threads are done or dead. */
function open(acts: readonly Act[], spins: number) {
  return {
    ...readersAndWriters('rw-semaphore', acts, spins),
    check(memory: FinalMemory, context: unknown) {
      const { views } = context as { views: readonly [ReaderWriterLock] };
      if (memory.read(views[0].handle.address + RwSemaphoreWords.closing) !== 0) throw new Error('readers stay out');
    },
  };
}

test.each([1, Number.POSITIVE_INFINITY])('rw-semaphore: readers come in again, with %d spins', async (spins) => {
  await expectExplored({ ...open(['write', 'write', 'read'], spins), ...random, executions: 300 });
});

test('rw-semaphore: readers that a writer kept out when it died come in again', async () => {
  const deaths = { kill: { threads: [0] }, executions: 90 } as const;
  const result = await expectExplored({ ...open(['write', 'twice', 'write'], 1), ...random, ...deaths });
  expect(result.kills).toBeGreaterThan(4);
});

test('percpu-rw-semaphore: neither of two threads is stranded when a writer dies', async () => {
  const program = readersAndWriters('percpu-rw-semaphore', ['write', 'read again', 'write'], 1);
  const deaths = { kill: { threads: [0] }, executions: 30, model: 'armv8' } as const;
  expect((await expectExplored({ ...program, ...random, ...deaths })).kills).toBeGreaterThan(4);
});

test('percpu-rw-semaphore: none of those that wait is forgotten by a writer that lets readers in again', async () => {
  const program = readersAndWriters('percpu-rw-semaphore', ['write', 'read again', 'read'], 1);
  await expectExplored({ ...program, ...random, executions: 100, seed: 3 });
});

test.each(LOCKS)('%s: a thread that reads may read again beside a writer that spins', async (name) => {
  // Without an end to their spins the two would wait for each other.
  const program = readersAndWriters(name, ['write', 'twice'], Number.POSITIVE_INFINITY);
  await expectExplored({ ...program, ...random, executions: 100 });
});
