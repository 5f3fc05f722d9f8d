import { describe, expect, test } from 'vitest';
import { explore } from '../../../native-sim/explore/explore.ts';
import { futexMutex, mcs, qspinlock, ticket, ttas } from './programs/locks.ts';
import { dekker, semaphore, waitQueue, wakeAfterStore } from './programs/sleepers.ts';
import { michaelScott, seqlock, treiber } from './programs/structures.ts';

// The numbers of GenMC (RC11), where it counts the same program.
const REFERENCE = [
  { name: 'ticket, 2 threads', make: () => ticket(2), executions: 2 },
  { name: 'TTAS, 2 threads', make: () => ttas(2), executions: 4 },
  { name: 'MCS, 2 threads', make: () => mcs(2), executions: 6 },
  { name: 'MCS, 3 threads', make: () => mcs(3), executions: 66 },
  { name: 'MCS, 4 threads', make: () => mcs(4), executions: 1080 },
  // GenMC: 330; it can exchange the tail's half of the word, where this retries on the whole word.
  { name: 'qspinlock, 3 threads', make: () => qspinlock(3), executions: 552 },
  { name: 'futex mutex, 2 threads', make: () => futexMutex(2), executions: 12 },
];

describe('a correct program', () => {
  test.each(REFERENCE)('no execution of $name is missed or visited twice', async ({ make, executions }) => {
    const result = await explore({ ...make(), model: 'armv8', symmetry: false });
    expect(result).toMatchObject({ verdict: 'ok', complete: true, executions });
  });

  const OTHERS = {
    dekker,
    waitQueue,
    semaphore,
    wakeAfterStore,
    seqlock,
    treiber,
    michaelScott,
    mutex3: () => futexMutex(3),
  };
  describe.each(['sc', 'x86-tso', 'armv8'] as const)('on %s', (model) => {
    test.each(Object.entries(OTHERS))('is not accused of anything: %s', async (_name, make) => {
      const result = await explore({ ...make(), model });
      expect(result.failure).toBeNull();
      expect(result).toMatchObject({ verdict: 'ok', complete: true });
    });
  });
});
