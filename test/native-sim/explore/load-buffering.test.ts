/** What the search leaves out is named where the model allows it: reads that see a write which comes about because of them. */
import { describe, expect, test } from 'vitest';
import type { Cpu } from '../../../lib/machine/cpu.ts';
import { explore } from '../../../native-sim/explore/explore.ts';
import { LOCK_NAMES, lock } from './programs/holdfast.ts';

const forever = Number.POSITIVE_INFINITY;
const isFree = (value: number) => value === 0;
const [X, Y, LOCK] = [0, 1, 2];

type Body = (cpu: Cpu) => void;

/** Thread 0 reads X, then writes Y as `first` does; thread 1 reads Y as `read` does, then writes X. */
async function namesOf(
  first: Body,
  read: (cpu: Cpu) => number = (cpu) => cpu.loadAcquire(Y),
): Promise<readonly string[]> {
  const second: Body = (cpu) => {
    read(cpu);
    cpu.store(X, 1);
  };
  const { verdict, notExcluded } = await explore({ words: 3, threads: [first, second] });
  expect(verdict).toBe('ok');
  return notExcluded;
}

const buffered = /^load buffering: load of \[0\] \(thread 0, operation 0\) sees what thread 1 writes there later$/;

describe('a read', () => {
  test('may see what its thread makes others write, where nothing orders the two', async () => {
    const names = await namesOf((cpu) => {
      cpu.load(X);
      cpu.store(Y, 1);
    });
    expect(names).toEqual([expect.stringMatching(buffered)]);
  });

  test('may, where what is written depends on it in words only', async () => {
    const names = await namesOf((cpu) => {
      if (cpu.load(X) === 0) cpu.store(Y, 1);
      else cpu.store(Y, 1);
    });
    expect(names).toEqual([expect.stringMatching(buffered)]);
  });

  test.each<[string, Body]>([
    ['the value that is written', (cpu: Cpu) => cpu.store(Y, 1 - cpu.load(X))],
    ['whether anything is written', (cpu: Cpu) => void (cpu.load(X) === 0 && cpu.store(Y, 1))],
    ['where it is written', (cpu: Cpu) => cpu.store(cpu.load(X) === 0 ? Y : LOCK, 1)],
  ])('may not where it decides %s', async (_what, first) => {
    expect(await namesOf(first)).toEqual([]);
  });

  test.each<[string, Body]>([
    ['an acquire', (cpu: Cpu) => void cpu.loadAcquire(X)],
    [
      'a fence',
      (cpu: Cpu) => {
        cpu.load(X);
        cpu.rmb();
      },
    ],
  ])('may not where it is ordered by %s', async (_what, load) => {
    const names = await namesOf((cpu) => {
      load(cpu);
      cpu.store(Y, 1);
    });
    expect(names).toEqual([]);
  });

  test('may not where what it would see comes after another write, too, that is ordered behind it', async () => {
    const first: Body = (cpu) => {
      cpu.load(X);
      cpu.storeRelease(Y, 1);
      // Nothing orders this one behind the load.
      cpu.store(LOCK, 1);
    };
    const second: Body = (cpu) => {
      if (cpu.loadAcquire(Y) + cpu.loadAcquire(LOCK) === 2) cpu.store(X, 1);
    };
    expect((await explore({ words: 3, threads: [first, second] })).notExcluded).toEqual([]);
  });

  test('may not where a release orders the write, or on a machine that keeps reads in front of writes', async () => {
    const release = (cpu: Cpu) => {
      cpu.load(X);
      cpu.storeRelease(Y, 1);
    };
    expect(await namesOf(release)).toEqual([]);
    const relaxed = (from: number, to: number) => (cpu: Cpu) => {
      cpu.load(from);
      cpu.store(to, 1);
    };
    const both = [relaxed(X, Y), relaxed(Y, X)];
    expect((await explore({ words: 2, model: 'x86-tso', threads: both })).notExcluded).toEqual([]);
    expect((await explore({ words: 2, threads: both })).notExcluded).toHaveLength(2);
  });
});

test('an unlock that is no release lets a read out of its section', async () => {
  const section = (unlock: (cpu: Cpu) => void) => (cpu: Cpu) => {
    while (cpu.cmpxchgAcquire(LOCK, 0, 1) !== 0) cpu.condLoad(LOCK, isFree, 0, forever);
    cpu.load(X);
    unlock(cpu);
    cpu.store(X, 1);
  };
  const relaxed = section((cpu) => cpu.store(LOCK, 0));
  expect((await explore({ words: 3, threads: [relaxed, relaxed] })).notExcluded).not.toEqual([]);
  const right = section((cpu) => cpu.storeRelease(LOCK, 0));
  expect((await explore({ words: 3, threads: [right, right] })).notExcluded).toEqual([]);
});

test.each(LOCK_NAMES)('%s lets no read see too early', async (name) => {
  const { verdict, notExcluded } = await explore({ ...lock(name, 2, forever), maxEvents: 2000 });
  expect({ verdict, notExcluded }).toEqual({ verdict: 'ok', notExcluded: [] });
});
