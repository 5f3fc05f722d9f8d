/** Asynchronous code: several calls on the event loop of one thread, beside its synchronous ones and those of other threads. */
import { describe, expect, test } from 'vitest';
import { Place } from '../../../lib/arena/place.ts';
import { Mutex } from '../../../lib/locking/mutex.ts';
import { lockSpinning, tryAcquire } from '../../../lib/locking/mutex-core.ts';
import type { Cpu } from '../../../lib/machine/cpu.ts';
import { expectExplored } from '../../../native-sim/explore/expect.ts';
import { explore } from '../../../native-sim/explore/explore.ts';
import type { Program } from '../../../native-sim/explore/program.ts';
import {
  canOnLoop,
  LOOP_ACTS,
  LOOP_LOCKS,
  type LoopAct,
  type LoopLock,
  type OtherAct,
  onEventLoop,
} from './programs/event-loops.ts';
import { makeArenas } from './programs/holdfast.ts';

const forever = Number.POSITIVE_INFINITY;
const random = { maxEvents: 20_000, mode: 'random' } as const;

describe.each(LOOP_LOCKS)('%s', (lock) => {
  const acts = LOOP_ACTS.filter((act) => canOnLoop(lock, act));

  test('every pair of asynchronous calls, beside another thread', async () => {
    for (const [i, first] of acts.entries()) {
      for (const second of acts.slice(i)) {
        await expectExplored({ ...onEventLoop(lock, [first, second], ['take']), ...random, executions: 5 });
      }
    }
  });

  test('a task that is new is seen whole by who finds it in the lock', async () => {
    await expectExplored({
      ...onEventLoop(lock, ['take', 'take'], ['take'], { isFresh: true }),
      ...random,
      executions: 150,
    });
  });

  test('a time limit is over at any look at the clock', async () => {
    const program = onEventLoop(lock, ['take', 'give up'], ['take', 'take'], { clock: [5e6] });
    await expectExplored({ ...program, ...random, executions: 20 });
  });

  test('the thread dies at any step, or the one beside it', async () => {
    for (const second of ['take', ...acts.filter((act) => act === 'abort' || act === 'beside')] as const) {
      const { points } = await expectExplored({
        ...onEventLoop(lock, ['take', second], ['take']),
        ...random,
        executions: 2,
        kill: { walks: 1 },
      });
      expect(points.missed, second).toEqual([]);
      expect(points.reached).toBeGreaterThan(30);
    }
  });
});

test('mutex: a task that is new is seen half made by a thread that finds it in the word, and asks whose it is', async () => {
  await expectExplored({
    words: 4096,
    model: 'armv8',
    maxEvents: 2000,
    setup: (cpu) => new Mutex(makeArenas(cpu, 2, 1).arenas[0]!).address,
    // Each with a view of its own: what a view knows must not outlive an execution.
    threads: [
      (cpu, me, mutex) => {
        const { thread, heap } = new Place(cpu, me, { spins: 1 });
        tryAcquire(cpu, mutex, thread.tryTakeTask(heap)!, 0);
      },
      (cpu, me, mutex) => {
        const { thread } = new Place(cpu, me, { spins: 1 });
        lockSpinning(thread, mutex, thread.self, false, false);
      },
    ],
  });
});

describe('what was given to an event loop, and is taken by a thread that has waited for long enough, two have, or nobody has', () => {
  const given: readonly (readonly [LoopLock, LoopAct, OtherAct])[] = [
    ['mutex', 'take', 'hand over'],
    ['rw-semaphore', 'read', 'hand over'],
    ['rw-semaphore', 'take', 'hand over'],
    ['rw-semaphore', 'take', 'hand over, and read'],
    ['rt-mutex', 'take', 'hand over'],
    ['semaphore', 'take', 'hand over'],
  ];
  test.each(given)('%s: %s, %s', async (lock, act, other) => {
    const program = onEventLoop(lock, [act], [other], { clock: [2e6] });
    await expectExplored({ ...program, ...random, executions: 60 });
    const { points } = await expectExplored({ ...program, ...random, executions: 2, kill: { walks: 1 } });
    expect(points.missed).toEqual([]);
  });
});

describe('an event loop', () => {
  /** Two tasks that each wait for a word, and note in which order they went on. */
  const twoWaits = (seen: { add(order: string): void }, ...wakers: Program['threads']): Program => ({
    words: 3,
    threads: [
      async (cpu) => {
        const order: number[] = [];
        let waits = 0;
        const task = async (word: number) => {
          for (let isFirst = true; cpu.loadAcquire(word) === 0; isFirst = false) {
            if (isFirst) waits++;
            await cpu.waitAsync(word, 0, forever);
          }
          order.push(word);
        };
        await Promise.all([task(0), task(1)]);
        if (waits === 2) seen.add(order.join());
      },
      ...wakers,
    ],
  });
  const wake = (word: number) => (cpu: Cpu) => {
    cpu.storeRelease(word, 1);
    cpu.wake(word, 1);
  };

  test.each(['exhaustive', 'random'] as const)(
    'goes on with whichever wait is over, in a search that is %s',
    async (mode) => {
      const seen = new Set<string>();
      await expectExplored({ ...twoWaits(seen, wake(0), wake(1)), mode, executions: 500, maxEvents: 1000 });
      expect([...seen].sort()).toEqual(['0,1', '1,0']);
    },
  );

  test('goes on with either of two waits that are over, and not with the one that was over first, in a random search', async () => {
    const seen: string[] = [];
    const inOrder = (cpu: Cpu) => {
      wake(0)(cpu);
      wake(1)(cpu);
    };
    const orders = { add: (order: string) => void seen.push(order) };
    await expectExplored({ ...twoWaits(orders, inOrder), mode: 'random', executions: 200, maxEvents: 1000 });
    // It comes about as well where the second wait is looked at before the first one's end is seen, but seldom.
    expect(seen.filter((order) => order === '1,0').length).toBeGreaterThan(seen.length / 4);
  });

  test.each(['exhaustive', 'random'] as const)(
    'waits for ever when nobody wakes it, in a search that is %s',
    async (mode) => {
      const { failure } = await explore({ ...twoWaits(new Set(), wake(0)), mode, executions: 50 });
      expect(failure?.kind).toBe('deadlock');
    },
  );

  test.each(['exhaustive', 'random'] as const)(
    'may be woken before it lines up, and is then not asleep for ever, in a search that is %s',
    async (mode) => {
      const forgetful = (cpu: Cpu) => {
        cpu.storeRelease(0, 1);
        cpu.wake(0, 1);
        cpu.storeRelease(0, 0);
      };
      const program: Program = {
        words: 1,
        threads: [async (cpu) => void (await cpu.waitAsync(0, 0, forever)), forgetful],
      };
      // The word changed, and changed back: a wait that looked at it before, and lined up afterwards, sleeps on.
      expect((await explore({ ...program, mode, executions: 200 })).failure?.kind).toBe('deadlock');
    },
  );

  test('has its own waits end when its thread wakes them', async () => {
    const program: Program = {
      words: 1,
      threads: [
        async (cpu) => {
          await Promise.all([
            cpu.waitAsync(0, 0, forever),
            (async () => {
              await Promise.resolve();
              if (cpu.wake(0, 1) !== 1) throw new Error('nobody was woken');
            })(),
          ]);
        },
      ],
    };
    await expectExplored(program);
  });

  test('may let a wait time out, or be woken before', async () => {
    const seen = new Set<string>();
    const program: Program = {
      words: 1,
      threads: [
        async (cpu) => {
          const outcome = await cpu.waitAsync(0, 0, 1000);
          seen.add(`${outcome} ${outcome === 'timed-out' && cpu.now() >= 1000}`);
        },
        wake(0),
      ],
    };
    await expectExplored(program);
    expect([...seen].sort()).toEqual(['not-equal false', 'ok false', 'timed-out true']);
  });

  test.each(['exhaustive', 'random'] as const)(
    'polls without end, and is no deadlock for that, in a search that is %s',
    async (mode) => {
      const program: Program = {
        words: 1,
        threads: [
          async (cpu) => {
            while (cpu.loadAcquire(0) === 0) await cpu.waitAsync(0, 0, cpu.now() + 1000);
          },
          // It says so, and wakes nobody.
          (cpu) => cpu.storeRelease(0, 1),
        ],
      };
      const { failure, executions } = await explore({ ...program, mode, executions: 200 });
      expect(failure).toBeNull();
      expect(executions).toBeGreaterThan(2);
    },
  );

  test.each(['exhaustive', 'random'] as const)(
    'stands in no queue once its thread is dead, in a search that is %s',
    async (mode) => {
      const sleeper = async (cpu: Cpu) => {
        while (cpu.loadAcquire(0) === 0) await cpu.waitAsync(0, 0, forever);
      };
      const deaths = new Set<number>();
      const { failure, points } = await explore({
        words: 1,
        threads: [
          async (cpu) => {
            await Promise.all([sleeper(cpu), sleeper(cpu)]);
          },
          (cpu) => {
            cpu.storeRelease(0, 1);
            cpu.wake(0, forever);
          },
        ],
        reaper: (cpu) => {
          if (cpu.wake(0, forever) > 0) throw new Error('a dead thread was woken');
        },
        check: ({ died }) => {
          for (const thread of died) deaths.add(thread);
        },
        ...{ mode, kill: { threads: [0], walks: 20 } },
        ...(mode === 'random' ? { executions: 100 } : {}),
      });
      expect(failure).toBeNull();
      expect([...deaths]).toEqual([0]);
      expect(points.missed).toEqual([]);
    },
  );

  test.each(['exhaustive', 'random'] as const)(
    'dies in the middle of a wait that nobody has ended, in a search that is %s',
    async (mode) => {
      const seen = new Set<number>();
      let waits = false;
      const { failure } = await explore({
        words: 1,
        threads: [
          async (cpu) => {
            waits = false;
            while (cpu.loadAcquire(0) === 0) {
              const wait = cpu.waitAsync(0, 0, forever);
              // It has lined up.
              waits = true;
              await wait;
              waits = false;
            }
          },
          wake(0),
        ],
        reaper: (cpu) => {
          if (waits) seen.add(cpu.loadAcquire(0));
        },
        ...{ mode, kill: { threads: [0], walks: 10 } },
        ...(mode === 'random' ? { executions: 50 } : {}),
      });
      expect(failure).toBeNull();
      expect(seen.has(0)).toBe(true);
    },
  );

  test('rejects as its function does', async () => {
    const { failure } = await explore({
      words: 1,
      threads: [
        async (cpu) => {
          cpu.load(0);
          await Promise.resolve();
          throw new RangeError('too far');
        },
      ],
    });
    expect(failure).toMatchObject({ kind: 'exception', message: 'thread 0 threw RangeError: too far' });
  });

  test('is told from a function that returns a promise, and from one that waits for nothing', async () => {
    const plain = { words: 1, threads: [(cpu: Cpu) => Promise.resolve(void cpu.load(0))] };
    await expect(explore(plain)).rejects.toThrow('thread 0 returned a promise');
    const idle: Program = {
      words: 1,
      threads: [
        async (cpu) => {
          cpu.load(0);
          await new Promise(() => {});
        },
      ],
    };
    expect((await explore(idle)).failure?.message).toBe('thread 0 has nothing to wait for, and does not end');
  });

  test('is stopped where its execution is too long, whoever catches that', async () => {
    const program: Program = {
      words: 1,
      threads: [
        async (cpu) => {
          await (async () => {
            for (;;) cpu.load(0);
          })().catch(() => {});
        },
      ],
    };
    await expect(explore({ ...program, maxEvents: 50 })).rejects.toThrow('more than 50 events');
  });
});

describe('the clock', () => {
  const patient = (seen: Set<string>): Program => ({
    words: 1,
    clock: [10, 1000],
    threads: [
      (cpu) => {
        const start = cpu.now();
        cpu.load(0);
        const end = cpu.now();
        seen.add(`${start} ${end}`);
        if (end < start) throw new Error('it went back');
      },
    ],
  });

  test('goes on at any look at it, or does not', async () => {
    const seen = new Set<string>();
    const { executions } = await expectExplored(patient(seen));
    expect(executions).toBe(9);
    expect([...seen].sort()).toEqual(
      ['0 0', '0 10', '0 1000', '10 10', '10 20', '10 1010', '1000 1000', '1000 1010', '1000 2000'].sort(),
    );
    const random = new Set<string>();
    await expectExplored({ ...patient(random), mode: 'random', executions: 500 });
    expect(random).toEqual(seen);
  });

  test('is looked at by a loop that waits for it, without end', async () => {
    const program: Program = {
      words: 1,
      clock: [1000],
      threads: [
        (cpu) => {
          while (cpu.now() < 3000) {
            cpu.load(0);
            cpu.relax();
          }
        },
        (cpu) => cpu.store(0, 1),
      ],
    };
    await expectExplored(program);
  });
});
