import { describe, expect, test } from 'vitest';
import { expectExplored } from '../../../native-sim/explore/expect.ts';
import { type Act, RW_LOCK_NAMES, readerOfTwo, readersAndWriters } from './programs/readers-writers.ts';

const MODELS = ['sc', 'x86-tso', 'armv8'] as const;
const random = { maxEvents: 20_000, mode: 'random', executions: 600 } as const;

describe.each(RW_LOCK_NAMES)('%s', (name) => {
  const isPthread = name.includes('pthread');
  const cast: Act[][] = [
    ['write', 'write'],
    ['write', 'read'],
    ['read', 'read'],
  ];
  if (name !== 'rw-lock') cast.push(['write', 'twice']);
  // From its second time on a reader knows where its record is.
  if (name === 'percpu-rw-semaphore' || name === 'pthread rwlock') cast.push(['write', 'read again']);
  if (name.endsWith('rw-semaphore') && !name.startsWith('percpu'))
    cast.push(['downgrade', 'read'], ['downgrade', 'write']);

  test.each(MODELS)('lets a writer in alone, and everyone in the end, on %s', async (model) => {
    for (const acts of cast) await expectExplored({ ...readersAndWriters(name, acts, 1), model, ...random });
  });

  // After a death the reaper looks at 128 buckets, if there is a futex.
  test.each(cast.map((acts) => [acts]))('strands nobody when a thread dies at any step: %s', async (acts) => {
    const deaths = { ...random, kill: true, executions: isPthread ? 120 : 600 };
    expect((await expectExplored({ ...readersAndWriters(name, acts, 1), ...deaths })).kills).toBeGreaterThan(4);
  });

  test('keeps three threads apart, as far as random search tells', async () => {
    for (const acts of [
      ['write', 'read', 'read'],
      ['write', 'write', 'read'],
    ] as Act[][]) {
      for (const spins of [Number.POSITIVE_INFINITY, 1]) {
        await expectExplored({ ...readersAndWriters(name, acts, spins), ...random });
      }
    }
  });
});

test('a writer before what a reader had read, because its record is another lock’s by now', async () => {
  await expectExplored({ ...readerOfTwo(1), ...random, executions: 2000, seed: 4, model: 'armv8' });
});

test('a writer beside a dead reader whose records are cleared', async () => {
  const program = readersAndWriters('percpu-rw-semaphore', ['write', 'twice'], 1);
  await expectExplored({ ...program, ...random, kill: true, seed: 3 });
});

test('a reader in front of the next writer, when the thread dies that lets them in', async () => {
  const program = readersAndWriters('percpu-rw-semaphore', ['write', 'read', 'write'], 1);
  await expectExplored({ ...program, ...random, kill: true, seed: 4 });
});

test('the first reader, when it leaves while the reaper counts the readers', async () => {
  const program = readersAndWriters('rw-semaphore', ['read', 'read', 'write'], 1);
  for (const seed of [1, 20, 23]) await expectExplored({ ...program, ...random, kill: { threads: [1] }, seed });
});
