import { describe, expect, test } from 'vitest';
import type { Cpu } from '../../../lib/machine/cpu.ts';
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

describe('a thread that waits', () => {
  test.each(REFERENCE)('is not left waiting for what is there already: $name', async ({ make }) => {
    expect((await explore({ ...make(), model: 'armv8' })).blocked).toBe(0);
  });

  const isOne = (word: number) => word === 1;
  const awaits = (cpu: Cpu) => void cpu.condLoad(0, isOne, 0, Number.POSITIVE_INFINITY);
  const sets = (cpu: Cpu) => cpu.store(0, 1);

  test('may miss a value that is no longer the last', async () => {
    const threads = [
      (cpu: Cpu) => {
        sets(cpu);
        cpu.store(0, 2);
      },
      awaits,
    ];
    expect((await explore({ words: 1, threads })).failure?.message).toContain('thread 1 waits for ever');
  });

  test('may miss a value because another one was quicker', async () => {
    const threads = [
      sets,
      awaits,
      (cpu: Cpu) => {
        awaits(cpu);
        cpu.store(0, 2);
      },
    ];
    expect((await explore({ words: 1, threads })).failure?.message).toContain('thread 1 waits for ever');
  });

  test('among others is not visited once more for each of them', async () => {
    const threads = [
      sets,
      awaits,
      (cpu: Cpu) => {
        awaits(cpu);
        cpu.store(1, 1);
      },
      (cpu: Cpu) => void cpu.load(1),
    ];
    expect(await explore({ words: 2, threads })).toMatchObject({ verdict: 'ok', executions: 2 });
  });
});
