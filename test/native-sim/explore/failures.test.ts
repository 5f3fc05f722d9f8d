import { describe, expect, test } from 'vitest';
import type { Cpu } from '../../../lib/machine/cpu.ts';
import { CounterexampleError, expectExplored } from '../../../native-sim/explore/expect.ts';
import { explore } from '../../../native-sim/explore/explore.ts';
import type { ExploredCpu } from '../../../native-sim/explore/explored-cpu.ts';
import type { ExploreOptions } from '../../../native-sim/explore/options.ts';

const isNotZero = (value: number) => value !== 0;
const forever = Number.POSITIVE_INFINITY;

async function failureOf(options: ExploreOptions): Promise<{ kind: string; message: string }> {
  const { failure } = await explore(options);
  return { kind: failure?.kind ?? 'none', message: failure?.message ?? '' };
}

describe('data races', () => {
  const publish = (store: 'store' | 'storeRelease', load: 'load' | 'loadAcquire'): ExploreOptions => ({
    words: 2,
    threads: [
      (cpu) => {
        cpu.write(0, 1);
        cpu[store](1, 1);
      },
      (cpu) => {
        if (cpu[load](1) === 1) cpu.read(0);
      },
    ],
  });

  test.each([
    ['store', 'loadAcquire'],
    ['storeRelease', 'load'],
  ] as const)('data published by %s and found by %s is racy on Armv8 alone', async (store, load) => {
    expect((await failureOf({ ...publish(store, load), model: 'armv8' })).kind).toBe('data-race');
    expect((await failureOf({ ...publish(store, load), model: 'x86-tso' })).kind).toBe('none');
  });

  test('data published by a release and found by an acquire is no race', async () => {
    expect((await failureOf(publish('storeRelease', 'loadAcquire'))).kind).toBe('none');
  });

  test('two plain writes race even under sequential consistency', async () => {
    const write = (cpu: Cpu) => cpu.write(0, 1);
    expect((await failureOf({ words: 1, threads: [write, write], model: 'sc' })).kind).toBe('data-race');
  });

  test('a marked load does not make a plain write safe', async () => {
    const threads = [(cpu: Cpu) => cpu.write(0, 1), (cpu: Cpu) => void cpu.load(0)];
    expect((await failureOf({ words: 1, threads, model: 'sc' })).kind).toBe('data-race');
  });

  describe.each(['exhaustive', 'random'] as const)('in a search that is %s', (mode) => {
    const isAnOrder = (first: number, second: number): ExploreOptions['threads'] => {
      const threads = [
        (cpu: Cpu) => {
          cpu.store(0, 5);
          cpu.mb();
          cpu.read(0);
          cpu.fetchAdd(0, 1);
          cpu.storeRelease(1, 1);
        },
        (cpu: Cpu) => {
          if (cpu.load(1) === 1) cpu.store(0, 7);
        },
      ];
      return [threads[first]!, threads[second]!];
    };
    const kindOf = async (options: ExploreOptions) => (await failureOf({ mode, executions: 100, ...options })).kind;

    test('to be overwritten by a write that the other access follows is an order', async () => {
      // On Armv8 the 7 may come before the 5, though the thread that writes it has seen what comes last.
      for (const threads of [isAnOrder(0, 1), isAnOrder(1, 0)]) {
        expect(await kindOf({ words: 2, threads, model: 'armv8' })).toBe('none');
      }
    });

    const waits = (value: number) => (cpu: Cpu) => void cpu.condLoad(0, (v) => v === value, 0, forever);
    test.each([
      [
        'before the value that it waits for',
        waits(2),
        (cpu: Cpu) => {
          cpu.write(0, 1);
          cpu.storeRelease(0, 2);
        },
      ],
      [
        'between two times that it has this value',
        waits(0),
        (cpu: Cpu) => {
          cpu.store(0, 1);
          cpu.write(0, 2);
          cpu.storeRelease(0, 0);
        },
      ],
    ])('a thread that waits for a value looks at what is written plainly %s', async (_when, waiter, writer) => {
      for (const model of ['sc', 'x86-tso', 'armv8', 'javascript'] as const) {
        for (const threads of [
          [waiter, writer],
          [writer, waiter],
        ]) {
          expect(await kindOf({ words: 1, threads, model }), model).toBe('data-race');
        }
      }
    });

    test('a thread that waits for a value does not look at what was written plainly before it began', async () => {
      const threads = [
        (cpu: Cpu) => {
          cpu.write(0, 1);
          cpu.storeRelease(1, 1);
          cpu.store(0, 2);
        },
        (cpu: Cpu) => {
          if (cpu.loadAcquire(1) === 1) waits(2)(cpu);
        },
      ];
      expect(await kindOf({ words: 2, threads, model: 'armv8' })).toBe('none');
    });
  });

  test('what setup writes is not raced with', async () => {
    const threads = [(cpu: Cpu) => void cpu.read(0), (cpu: Cpu) => void cpu.read(0)];
    expect((await failureOf({ words: 1, setup: (cpu) => cpu.write(0, 7), threads })).kind).toBe('none');
  });
});

describe('memory', () => {
  test('an address outside of it is named', async () => {
    const failure = await failureOf({ words: 4, threads: [(cpu) => cpu.store(4, 1)] });
    expect(failure).toEqual({ kind: 'out-of-range', message: 'thread 0: store of address 4; there are 4 words' });
  });

  test('reading what was allocated and never written is found', async () => {
    const threads = [
      (cpu: Cpu) => {
        (cpu as ExploredCpu).allocate(2, 2);
        cpu.write(2, 1);
        cpu.read(2);
        cpu.read(3);
      },
    ];
    const failure = await failureOf({ words: 4, threads });
    expect(failure).toEqual({ kind: 'uninitialised', message: 'thread 0 reads [3], which was never written' });
  });

  const reader = (order: 'before' | 'after'): ExploreOptions => ({
    words: 4,
    setup: (cpu) => cpu.write(2, 5),
    threads: [
      (cpu) => {
        if (order === 'after') cpu.condLoadAcquire(0, isNotZero, 0, forever);
        (cpu as ExploredCpu).free(2, 1);
      },
      (cpu) => {
        cpu.load(2);
        cpu.storeRelease(0, 1);
      },
    ],
  });

  test('a load that may come after the memory is freed is found', async () => {
    expect((await failureOf(reader('before'))).kind).toBe('use-after-free');
  });

  test('freeing after the last reader has said so is in order', async () => {
    expect((await failureOf(reader('after'))).kind).toBe('none');
  });

  test('a store to freed memory is found', async () => {
    const threads = [
      (cpu: Cpu) => {
        (cpu as ExploredCpu).free(1, 1);
        cpu.store(1, 1);
      },
    ];
    expect((await failureOf({ words: 2, threads })).kind).toBe('use-after-free');
  });
});

describe('waiting for ever', () => {
  test('two threads that wait for each other are a deadlock', async () => {
    const wait = (mine: number, other: number) => (cpu: Cpu) => {
      cpu.condLoad(other, isNotZero, 0, forever);
      cpu.store(mine, 1);
    };
    const failure = await failureOf({ words: 2, threads: [wait(0, 1), wait(1, 0)] });
    expect(failure).toEqual({
      kind: 'deadlock',
      message: 'thread 0 waits for ever on [1]; thread 1 waits for ever on [0]',
    });
  });

  test('a value that comes and goes may be missed by who waits for it', async () => {
    const threads = [
      (cpu: Cpu) => {
        cpu.store(0, 1);
        cpu.store(0, 0);
      },
      (cpu: Cpu) => void cpu.condLoad(0, isNotZero, 0, forever),
    ];
    expect((await failureOf({ words: 1, threads })).kind).toBe('deadlock');
  });

  test('a loop around relax() that nobody ends is found, and is not unrolled', async () => {
    const threads = [
      (cpu: Cpu) => {
        while (cpu.load(0) !== 2) cpu.relax();
      },
      (cpu: Cpu) => cpu.store(0, 1),
    ];
    expect((await failureOf({ words: 1, threads })).kind).toBe('deadlock');
  });

  test('a loop around relax() that gives up goes on, and one that is served ends', async () => {
    const outcomes = new Set<string>();
    const threads = [
      (cpu: Cpu) => {
        let turns = 0;
        while (cpu.load(0) === 0 && turns < 100) {
          turns++;
          cpu.relax();
        }
        cpu.store(1, turns === 100 ? 2 : 1);
      },
      (cpu: Cpu) => cpu.store(0, 1),
    ];
    const result = await explore({ words: 2, threads, check: (memory) => void outcomes.add(`${memory.read(1)}`) });
    expect(result.verdict).toBe('ok');
    expect([...outcomes].sort()).toEqual(['1', '2']);
  });

  test('a bounded condLoad may succeed, and may give up', async () => {
    const outcomes = new Set<number>();
    const threads = [(cpu: Cpu) => cpu.store(1, cpu.condLoad(0, isNotZero, 0, 3) + 10), (cpu: Cpu) => cpu.store(0, 1)];
    await explore({ words: 2, threads, check: (memory) => void outcomes.add(memory.read(1)) });
    expect([...outcomes].sort()).toEqual([10, 11]);
  });
});

describe('sleeping', () => {
  test('checking before going to sleep, in two steps, loses wake-ups', async () => {
    const threads = [
      (cpu: Cpu) => {
        // The value that wait() compares is read too late: after the flag is set it never changes again.
        if (cpu.load(0) === 0) cpu.wait(1, 0, forever);
      },
      (cpu: Cpu) => {
        cpu.xchg(0, 1);
        cpu.wake(1, 1);
      },
    ];
    expect((await failureOf({ words: 2, threads, model: 'sc' })).kind).toBe('deadlock');
  });

  test('comparison and enqueue are one step: waiting for the word itself loses none', async () => {
    const threads = [
      (cpu: Cpu) => {
        while (cpu.load(0) === 0) cpu.wait(0, 0, forever);
      },
      (cpu: Cpu) => {
        cpu.xchg(0, 1);
        cpu.wake(0, 1);
      },
    ];
    expect((await failureOf({ words: 1, threads })).kind).toBe('none');
  });

  test('waking one of two leaves the other asleep', async () => {
    const sleep = (cpu: Cpu) => void cpu.wait(0, 0, forever);
    const wake = (count: number) => (cpu: Cpu) => {
      cpu.xchg(0, 1);
      cpu.wake(0, count);
    };
    expect((await failureOf({ words: 1, threads: [sleep, sleep, wake(1)] })).message).toMatch(
      /waits for ever on futex/,
    );
    expect((await failureOf({ words: 1, threads: [sleep, sleep, wake(2)] })).kind).toBe('none');
  });

  test('wake says how many it woke', async () => {
    const threads = [
      (cpu: Cpu) => {
        cpu.wait(0, 0, forever);
        cpu.store(1, 1);
      },
      (cpu: Cpu) => {
        // Wakes whoever sleeps; what it returns says how many there were.
        const woken = cpu.wake(0, 1);
        cpu.xchg(0, 1);
        cpu.wake(0, forever);
        cpu.store(2, woken);
      },
    ];
    const seen = new Set<number>();
    const result = await explore({ words: 3, threads, check: (memory) => void seen.add(memory.read(2)) });
    expect(result.verdict).toBe('ok');
    expect([...seen].sort()).toEqual([0, 1]);
  });

  test('a sleep with a deadline may be woken, may time out, and may find the value changed', async () => {
    const seen = new Set<string>();
    const threads = [
      (cpu: Cpu) => {
        const deadline = cpu.now() + 1000;
        const outcome = cpu.wait(0, 0, deadline);
        if ((outcome === 'timed-out') !== cpu.now() >= deadline) throw new Error('the clock disagrees');
        cpu.store(1, ['ok', 'not-equal', 'timed-out'].indexOf(outcome) + 1);
      },
      (cpu: Cpu) => {
        cpu.xchg(0, 1);
        cpu.wake(0, 1);
      },
    ];
    const result = await explore({ words: 2, threads, check: (memory) => void seen.add(`${memory.read(1)}`) });
    expect(result.verdict).toBe('ok');
    expect([...seen].sort()).toEqual(['1', '2', '3']);
  });

  test('who timed out no longer takes wake-ups from others', async () => {
    const threads = [
      (cpu: Cpu) => void cpu.wait(0, 0, 1000),
      (cpu: Cpu) => {
        while (cpu.load(0) === 0) cpu.wait(0, 0, forever);
      },
      (cpu: Cpu) => {
        cpu.xchg(0, 1);
        cpu.wake(0, 2);
      },
    ];
    expect((await failureOf({ words: 1, threads })).kind).toBe('none');
  });
});

describe('bad input', () => {
  test('code that remembers something between runs is caught by name', async () => {
    let calls = 0;
    const threads = [
      (cpu: Cpu) => void cpu.load(calls++ % 2),
      (cpu: Cpu) => {
        cpu.store(0, 1);
        cpu.store(1, 1);
      },
    ];
    const failure = await failureOf({ words: 2, threads, model: 'sc' });
    expect(failure.kind).toBe('non-determinism');
    expect(failure.message).toBe(
      'thread 0 is not deterministic: its operation 0 was load of [0], and on replay, with the same values from memory, load of [1]',
    );
  });

  test('code that writes another value on replay is caught', async () => {
    let calls = 0;
    const threads = [
      (cpu: Cpu) => {
        cpu.store(0, calls++);
        cpu.load(1);
      },
      (cpu: Cpu) => cpu.store(1, 1),
    ];
    expect((await failureOf({ words: 2, threads })).message).toMatch(
      /was store of \[0\] writing 0, and on replay.* writing 1$/,
    );
  });

  test('a loop without end meets a limit that says where', async () => {
    const threads = [
      (cpu: Cpu) => {
        while (cpu.load(0) === 0);
      },
    ];
    await expect(explore({ words: 1, threads, maxEvents: 50 })).rejects.toThrow(
      /more than 50 events.*failures\.test\.ts/,
    );
  });

  test('too many threads are an error', async () => {
    const threads = Array.from({ length: 17 }, () => () => {});
    await expect(explore({ words: 1, threads })).rejects.toThrow('17 threads (with reapers); the limit is 16');
  });

  test.each(['exhaustive', 'random'] as const)('a program that never uses its Cpu is called ok, %s', async (mode) => {
    const threads = [() => {}, () => {}];
    await expect(explore({ words: 1, threads, mode })).rejects.toThrow('no thread has used its Cpu');
  });

  test('a time limit says how far it got', async () => {
    const add = (cpu: Cpu) => {
      for (let i = 0; i < 6; i++) cpu.fetchAddRelaxed(0, 1);
    };
    const result = await explore({ words: 1, threads: [add, add, add, add], timeLimit: 100 });
    expect(result).toMatchObject({ verdict: 'incomplete', complete: false, failure: null });
    expect(result.share).toBeGreaterThan(0);
    expect(result.share).toBeLessThan(1);
    expect(result.estimate).toBeGreaterThan(result.executions);
  });
});

test('expectExplored throws what a person can follow, with file and line', async () => {
  const threads = [(cpu: Cpu) => cpu.write(0, 1), (cpu: Cpu) => cpu.write(0, 2)];
  const thrown = await expectExplored({ words: 1, threads, labels: { counter: 0 } }).catch((error: unknown) => error);
  expect(thrown).toBeInstanceOf(CounterexampleError);
  const { message } = thrown as Error;
  expect(message).toContain('write by thread 1 and write by thread 0 of counter: nothing orders them');
  expect(message).toMatch(/> A1 {3}write counter = 1 +failures\.test\.ts:\d+/);
  expect(message).toMatch(/> B1 {3}write counter/);
});
