/** Faults that comparison with brute force found in the explored machine itself: each with the program that shows it. */
import { describe, expect, test } from 'vitest';
import type { Cpu } from '../../../lib/machine/cpu.ts';
import { explore } from '../../../native-sim/explore/explore.ts';
import type { ExploredCpu } from '../../../native-sim/explore/explored-cpu.ts';
import type { ExploreOptions } from '../../../native-sim/explore/options.ts';
import { futexMutex } from './programs/locks.ts';

const MODELS = ['sc', 'x86-tso', 'armv8'] as const;
const forever = Number.POSITIVE_INFINITY;
const isNotZero = (value: number) => value !== 0;

type Thread = ExploreOptions['threads'][number];

function permutations<T>(list: readonly T[]): T[][] {
  if (list.length === 0) return [[]];
  return list.flatMap((first, i) => permutations(list.filter((_, k) => k !== i)).map((rest) => [first, ...rest]));
}

/** The values that word `at` is left with. */
async function finalValues(options: ExploreOptions, at: number): Promise<number[]> {
  const seen = new Set<number>();
  const result = await explore({ ...options, check: (memory) => void seen.add(memory.read(at)) });
  expect(result.failure).toBeNull();
  return [...seen].sort((a, b) => a - b);
}

describe('executions with wait', () => {
  test.each(MODELS)('none is missed in which the compared word changes behind a wake, on %s', async (model) => {
    const threads: Thread[] = [
      (cpu) => {
        if (cpu.loadAcquire(1) === 1) cpu.xchg(2, 1);
        cpu.wake(0, 1);
      },
      (cpu) => {
        if (cpu.wait(0, 0, 1000) === 'not-equal') cpu.storeRelease(1, 1);
      },
      (cpu) => {
        cpu.xchg(0, 1);
      },
    ];
    for (const order of permutations(threads)) {
      expect(await finalValues({ words: 3, threads: order, model }, 2)).toEqual([0, 1]);
    }
  });

  test('a futex mutex of three threads has as many as brute force finds', async () => {
    const result = await explore({ ...futexMutex(3), model: 'armv8', symmetry: false });
    expect(result).toMatchObject({ verdict: 'ok', executions: 5502 });
  });

  test('a sleeper that has done 4096 operations before is not taken for another', async () => {
    const threads: Thread[] = [
      (cpu) => {
        for (let i = 0; i < 4096; i++) cpu.mb();
        cpu.wait(0, 0, forever);
      },
      (cpu) => void cpu.wait(0, 0, forever),
      (cpu) => cpu.store(1, cpu.wake(0, 1)),
    ];
    const { failure } = await explore({ words: 2, threads, model: 'sc', maxEvents: 5000, executions: 8 });
    expect(failure?.kind).toBe('deadlock');
    // Of two sleepers one is woken, never both.
    expect(failure?.message).toMatch(/thread [01] waits for ever/);
  });
});

describe('loops around relax()', () => {
  const counter: Thread = (cpu) => {
    let changes = 0;
    for (let last = 0; last !== 3; cpu.relax()) {
      const now = cpu.load(0);
      if (now !== last) changes++;
      last = now;
    }
    cpu.store(1, changes);
  };
  const writer: Thread = (cpu) => {
    cpu.store(0, 1);
    cpu.store(0, 2);
    cpu.store(0, 3);
  };

  test.each(MODELS)('may see each of three values, on %s', async (model) => {
    expect(await finalValues({ words: 2, threads: [counter, writer], model }, 1)).toEqual([1, 2, 3]);
    expect(await finalValues({ words: 2, threads: [writer, counter], model }, 1)).toEqual([1, 2, 3]);
  });

  test('with a bound may see the value in any of their turns', async () => {
    const threads: Thread[] = [
      (cpu) => {
        let turn = 0;
        for (; turn < 4 && cpu.load(0) !== 1; turn++) cpu.relax();
        cpu.store(1, turn);
      },
      (cpu) => cpu.store(0, 1),
    ];
    expect(await finalValues({ words: 2, threads }, 1)).toEqual([0, 1, 2, 3, 4]);
  });

  test('with a bound of 5000 turns are no deadlock', async () => {
    const threads: Thread[] = [
      (cpu) => {
        for (let turn = 0; turn < 5000 && cpu.load(0) !== 1; turn++) cpu.relax();
      },
    ];
    expect(await explore({ words: 1, threads })).toMatchObject({ verdict: 'ok', executions: 1 });
  });

  test.each(MODELS)('are not taken for one where two follow each other, on %s', async (model) => {
    const spin = (cpu: Cpu, turns: number): number => {
      for (let turn = 0; turn < turns; turn++) {
        if (cpu.load(0) === 1) return turn;
        cpu.relax();
      }
      return turns;
    };
    const threads: Thread[] = [
      (cpu) => {
        const turns = spin(cpu, 3);
        spin(cpu, forever);
        cpu.store(1, turns);
      },
      (cpu) => cpu.store(0, 1),
    ];
    expect(await finalValues({ words: 2, threads, model }, 1)).toEqual([0, 1, 2, 3]);
  });

  test.each(MODELS)('never see an older value after a newer one, on %s', async (model) => {
    const threads: Thread[] = [
      (cpu) => {
        for (let turn = 0, last = 0; turn < 3; turn++) {
          const first = cpu.load(0);
          if (first < last) throw new Error(`${last}, then ${first}`);
          last = cpu.load(0);
          cpu.relax();
        }
      },
      (cpu) => cpu.store(0, 1),
    ];
    expect((await explore({ words: 1, threads, model })).failure).toBeNull();
  });

  test('until a time has come end, however long that is', async () => {
    const threads: Thread[] = [
      (cpu) => {
        cpu.store(0, 1);
        const until = cpu.now() + 10_000_000;
        while (cpu.now() < until) cpu.relax();
        if (cpu.now() < until) throw new Error('time went back');
      },
    ];
    expect((await explore({ words: 1, threads })).verdict).toBe('ok');
  });
});

describe('memory', () => {
  const store: Thread = (cpu) => cpu.store(0, 5);
  const load: Thread = (cpu) => void cpu.load(0);

  test.each([[[store, load]], [[load, store]]])(
    'uninitialised is found whichever thread comes first',
    async (threads) => {
      const setup = (cpu: Cpu) => (cpu as ExploredCpu).allocate(0, 1);
      expect((await explore({ words: 1, setup, threads })).failure?.kind).toBe('uninitialised');
    },
  );
});

describe('data races', () => {
  test.each(MODELS)('are not invented between a read and an exchange that did not happen, on %s', async (model) => {
    const own: Thread = (cpu) => {
      if (cpu.cmpxchg(0, 0, 1) === 0) cpu.read(0);
    };
    expect((await explore({ words: 1, threads: [own, own], model })).failure).toBeNull();
  });

  test('are not invented where a write goes before one that is there', async () => {
    // The plain read comes after the store of 2, which overwrites what the exchange wrote, or the other way round.
    const threads: Thread[] = [
      (cpu) => {
        cpu.storeRelease(0, 2);
        if (cpu.loadAcquire(1) === 1) cpu.read(0);
      },
      (cpu) => {
        cpu.xchg(0, 1);
        cpu.storeRelease(1, 1);
      },
    ];
    expect((await explore({ words: 2, threads })).failure).toBeNull();
  });
});

test('a clock that one thread has seen at its deadline is not behind it for another', async () => {
  const threads: Thread[] = [
    (cpu) => {
      cpu.wait(0, 0, 1000);
      cpu.storeRelease(1, cpu.now());
    },
    (cpu) => {
      const then = cpu.loadAcquire(1);
      if (cpu.now() < then) throw new Error('time went back');
    },
  ];
  expect((await explore({ words: 2, threads })).verdict).toBe('ok');
});

test('random search finds a value that comes and goes before the thread that waits for it looks', async () => {
  const threads: Thread[] = [
    (cpu) => {
      cpu.store(0, 1);
      cpu.store(0, 0);
    },
    (cpu) => void cpu.condLoad(0, isNotZero, 0, forever),
  ];
  expect((await explore({ words: 1, threads, mode: 'random', executions: 100 })).failure?.kind).toBe('deadlock');
});
