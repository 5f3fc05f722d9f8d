/**
 * An asynchronous waiter whose thread sleeps in a synchronous call cannot run. It does not keep what is free from those
 * behind it, however the two meet: it sleeps already when the lock comes free, or it goes to sleep with the wake-up.
 */
import { describe, expect, test, vi } from 'vitest';
import {
  type Arena,
  type AsyncWaitOptions,
  Completion,
  Futex,
  type LockGuard,
  Mutex,
  type ObjectHandle,
  PercpuRwSemaphore,
  PthreadCond,
  PthreadMutex,
  PthreadRwlock,
  PthreadSem,
  RwSemaphore,
  Semaphore,
  WaitQueue,
} from '../../lib/index.ts';
import { HANDOFF, MutexWords } from '../../lib/locking/mutex-core.ts';
import { ownerOf } from '../../lib/locking/owner-word.ts';
import { HANDOFF_AFTER, listOf, HANDOFF as RW_HANDOFF, wordOf } from '../../lib/locking/rw-semaphore/words.ts';
import { schedule } from '../../lib/sched/schedule.ts';
import { prepareToPark, SLEEPING, Task, unpark } from '../../lib/sched/task.ts';
import { firstWaiter } from '../../lib/sched/wait-list.ts';
import { Hang, on, step, stepper } from '../support/stepper.ts';
import { thrown } from '../support/threads.ts';

// What is lost here never comes.
vi.setConfig({ testTimeout: 30_000 });

/** One thread's view of something to wait for. */
interface Wanted {
  readonly handle: unknown;
  take(): void;
  takeAsync(options?: AsyncWaitOptions): Promise<unknown>;
  give(): void;
  /** How the one behind waits, if not with `take`. */
  takeBehind?(): void;
}

type Open = (arena: Arena, handle: never) => Wanted;

/** `make`: how to open it, and what is done to it first, so that nobody can have it. */
const KINDS: Record<string, Open> = {
  Mutex: (arena, handle) => {
    const lock = new Mutex(arena, handle);
    return {
      handle: lock.handle,
      take: () => lock.lock(),
      takeAsync: (options) => lock.lockAsync(options),
      give: () => lock.unlock(),
    };
  },
  'RwSemaphore, a writer behind a writer': (arena, handle) => {
    const lock = new RwSemaphore(arena, handle);
    return {
      handle: lock.handle,
      take: () => lock.downWrite(),
      takeAsync: (options) => lock.downWriteAsync(options),
      give: () => lock.upWrite(),
    };
  },
  'RwSemaphore, a writer behind a reader': (arena, handle) => {
    const lock = new RwSemaphore(arena, handle);
    return {
      handle: lock.handle,
      take: () => lock.downWrite(),
      takeAsync: (options) => lock.acquireReadAsync(options),
      give: () => lock.upWrite(),
    };
  },
  'RwSemaphore, a reader behind a writer': (arena, handle) => {
    const lock = new RwSemaphore(arena, handle);
    return {
      handle: lock.handle,
      take: () => lock.downWrite(),
      takeAsync: (options) => lock.downWriteAsync(options),
      give: () => lock.upWrite(),
      takeBehind: () => lock.downRead(),
    };
  },
  'PercpuRwSemaphore, a writer behind a writer': (arena, handle) => {
    const lock = new PercpuRwSemaphore(arena, handle);
    return {
      handle: lock.handle,
      take: () => lock.downWrite(),
      takeAsync: (options) => lock.downWriteAsync(options),
      give: () => lock.upWrite(),
    };
  },
  'PercpuRwSemaphore, a writer behind a reader': (arena, handle) => {
    const lock = new PercpuRwSemaphore(arena, handle);
    return {
      handle: lock.handle,
      take: () => lock.downWrite(),
      takeAsync: (options) => lock.acquireReadAsync(options),
      give: () => lock.upWrite(),
    };
  },
  'PercpuRwSemaphore, a reader behind a writer': (arena, handle) => {
    const lock = new PercpuRwSemaphore(arena, handle);
    return {
      handle: lock.handle,
      take: () => lock.downWrite(),
      takeAsync: (options) => lock.downWriteAsync(options),
      give: () => lock.upWrite(),
      takeBehind: () => lock.downRead(),
    };
  },
  Semaphore: (arena, handle) => {
    const lock = new Semaphore(arena, handle);
    return {
      handle: lock.handle,
      take: () => lock.down(),
      takeAsync: (options) => lock.downAsync(options),
      give: () => lock.up(),
    };
  },
  'Semaphore, with guards': (arena, handle) => {
    const lock = new Semaphore(arena, handle);
    return {
      handle: lock.handle,
      take: () => void lock.acquire(),
      takeAsync: (options) => lock.acquireAsync(options),
      give: () => lock.up(),
    };
  },
  Completion: (arena, handle) => {
    const lock = new Completion(arena, handle);
    if (handle === undefined) lock.complete();
    return {
      handle: lock.handle,
      take: () => lock.wait(),
      takeAsync: (options) => lock.waitAsync(options),
      give: () => lock.complete(),
    };
  },
  'WaitQueue, exclusive': (arena, handle) => {
    const queue = new WaitQueue(arena, (handle as { queue?: never } | undefined)?.queue);
    const word = (handle as { word?: number } | undefined)?.word ?? arena.alloc(16);
    const { cpu } = arena;
    const takes = () => cpu.cmpxchg(word, 0, 1) === 0;
    if (handle === undefined) cpu.store(word, 0);
    return {
      handle: { queue: queue.handle, word },
      take: () => queue.wait(takes, { exclusive: true }),
      takeAsync: (options) => queue.waitAsync(takes, { exclusive: true, ...options }),
      give: () => {
        cpu.store(word, 0);
        queue.wake(1);
      },
    };
  },
  Futex: (arena, handle) => {
    const futex = new Futex(arena);
    const word = (handle as number | undefined) ?? arena.alloc(16);
    const { cpu } = arena;
    if (handle === undefined) cpu.store(word, 0);
    return {
      handle: word,
      take: () => {
        while (cpu.cmpxchg(word, 0, 1) !== 0) futex.wait(word, 1);
      },
      takeAsync: async (options) => {
        while (cpu.cmpxchg(word, 0, 1) !== 0) await futex.waitAsync(word, 1, options);
      },
      give: () => {
        cpu.store(word, 0);
        futex.wake(word, 1);
      },
    };
  },
  PthreadMutex: (arena, handle) => {
    const lock = new PthreadMutex(arena, handle);
    return {
      handle: lock.handle,
      take: () => lock.lock(),
      takeAsync: (options) => lock.acquireAsync(options),
      give: () => lock.unlock(),
    };
  },
  PthreadSem: (arena, handle) => {
    const sem = new PthreadSem(arena, handle, { value: 1 });
    return {
      handle: sem.handle,
      take: () => sem.wait(),
      takeAsync: (options) => sem.waitAsync(options),
      give: () => sem.post(),
    };
  },
  'PthreadRwlock, a writer behind a writer': (arena, handle) => {
    const lock = new PthreadRwlock(arena, handle);
    return {
      handle: lock.handle,
      take: () => lock.writeLock(),
      takeAsync: (options) => lock.acquireWriteAsync(options),
      give: () => lock.unlock(),
    };
  },
  'PthreadRwlock, a reader behind a writer': (arena, handle) => {
    const lock = new PthreadRwlock(arena, handle);
    return {
      handle: lock.handle,
      take: () => lock.writeLock(),
      takeAsync: (options) => lock.acquireWriteAsync(options),
      give: () => lock.unlock(),
      takeBehind: () => lock.readLock(),
    };
  },
  'PthreadRwlock that prefers readers': (arena, handle) => {
    const lock = new PthreadRwlock(arena, handle, { preference: 'readers' });
    return {
      handle: lock.handle,
      take: () => lock.writeLock(),
      takeAsync: (options) => lock.acquireReadAsync(options),
      give: () => lock.unlock(),
    };
  },
};

const turn = () => new Promise((resolve) => setImmediate(resolve));

/** Thread 0 holds it; what threads 1 and 2 sleep for elsewhere never comes. */
function stage(open: Open) {
  const all = stepper(5);
  const { arenas, real, stopBefore, killBefore } = all;
  const [first] = arenas as [Arena];
  const mine = open(first, undefined as never);
  mine.take();
  const elsewhere = new Semaphore(first, undefined, { permits: 0 });
  const mainOf = (number: number) => arenas[number]!.thread.self;
  return {
    ...all,
    wanted: [mine, ...arenas.slice(1).map((arena) => open(arena, mine.handle as never))] as [Wanted, ...Wanted[]],
    /** Thread `number` goes to sleep for good in a synchronous call elsewhere. False if it has to wait for a latch. */
    sleepsElsewhere: (number: number) => {
      const message = thrown(() => Semaphore.from(arenas[number]!, elsewhere.handle).down()).message;
      return message.includes(`word ${mainOf(number) + Task.state},`);
    },
    /** Thread `number`, which was unparked for no reason, sleeps on. */
    sleepsOn: (number: number) => {
      const { cpu, thread } = arenas[number]!;
      prepareToPark(cpu, thread.self);
      expect(thrown(() => schedule(thread, thread.self, Number.POSITIVE_INFINITY))).toBeInstanceOf(Hang);
    },
    /** As `sleepsElsewhere`, but the thread dies before that step. False when it came to sleep. */
    diesOnTheWay: (number: number, n: number) =>
      killBefore(number, step(n), () => {
        try {
          Semaphore.from(arenas[number]!, elsewhere.handle).down();
        } catch (error) {
          if (!(error instanceof Hang)) throw error;
        }
      }),
    /** The call there comes back: the thread's event loop goes on. */
    wakesUp: (number: number) => unpark(real, mainOf(number)),
    /** Thread `number` sleeps until it gets what `take` waits for. */
    sleeps: (number: number, take: () => void) => expect(stopBefore(number, on('wait'), take)).toBe(true),
    isAsleep: (number: number) => real.load(mainOf(number) + Task.state) === SLEEPING,
  };
}

const behind = (wanted: Wanted | undefined) => () => (wanted!.takeBehind ?? wanted!.take).call(wanted);

describe.each(Object.entries(KINDS))('%s: what a waiter that cannot run keeps from those behind it', (_, open) => {
  test('its thread sleeps when it comes free', () => {
    const { wanted, sleepsElsewhere, sleeps, isAsleep } = stage(open);
    void wanted[1]!.takeAsync();
    sleeps(3, behind(wanted[3]));
    sleepsElsewhere(1);
    wanted[0].give();
    expect(isAsleep(3)).toBe(false);
  });

  test('its thread goes to sleep while somebody has it, and wakes the next in vain', () => {
    const { wanted, sleepsElsewhere, sleeps, isAsleep } = stage(open);
    void wanted[1]!.takeAsync();
    sleeps(3, behind(wanted[3]));
    sleepsElsewhere(1);
    expect(isAsleep(3)).toBe(true);
  });

  test('its thread goes to sleep when it has come free, at whichever step', () => {
    for (let n = 1, isOver = false; !isOver; n++) {
      const { wanted, sleepsElsewhere, sleeps, isAsleep, before: rightBefore, cancel } = stage(open);
      void wanted[1]!.takeAsync();
      sleeps(3, behind(wanted[3]));
      // False where thread 0 has to wait for a latch that thread 1 holds.
      let isGiven = false;
      rightBefore(1, step(n), () => {
        try {
          wanted[0].give();
          isGiven = true;
        } catch (error) {
          expect(error).toBeInstanceOf(Hang);
        }
      });
      sleepsElsewhere(1);
      isOver = cancel(1);
      if (isGiven) expect(isAsleep(3), `step ${n}`).toBe(false);
    }
  });

  test('its thread goes to sleep at whichever step of the one that gives', () => {
    for (let n = 1, isOver = false; !isOver; n++) {
      const { wanted, sleepsElsewhere, sleeps, isAsleep, before: rightBefore, cancel } = stage(open);
      void wanted[1]!.takeAsync();
      sleeps(3, behind(wanted[3]));
      // False where thread 1 has to wait for a latch that thread 0 holds.
      let isStuck = false;
      rightBefore(0, step(n), () => {
        isStuck = sleepsElsewhere(1);
      });
      wanted[0].give();
      isOver = cancel(0);
      if (isStuck) expect(isAsleep(3), `step ${n}`).toBe(false);
    }
  });

  test('another takes it first, and its thread goes to sleep after that', () => {
    const { wanted, sleepsElsewhere, sleeps, isAsleep, stopBefore } = stage(open);
    void wanted[1]!.takeAsync();
    sleeps(3, behind(wanted[3]));
    wanted[0].give();
    // Waits where it was given to thread 1 already.
    const isTaken = !stopBefore(2, on('wait'), () => wanted[2]!.take());
    sleepsElsewhere(1);
    if (isTaken) wanted[2]!.give();
    expect(isAsleep(3)).toBe(false);
  });

  test('a newcomer, when nobody waits that can run', () => {
    const { wanted, sleepsElsewhere, stopBefore } = stage(open);
    void wanted[1]!.takeAsync();
    sleepsElsewhere(1);
    wanted[0].give();
    expect(stopBefore(2, on('wait'), () => wanted[2]!.take())).toBe(false);
  });

  test('it is the one that was woken to look, and gives up while its thread still sleeps', async () => {
    const { wanted, arenas, isAsleep } = stage(open);
    const controller = new AbortController();
    const first = wanted[1]!.takeAsync({ signal: controller.signal });
    const waiting = wanted[1]!.takeAsync();
    await turn();
    // The thread counts as asleep while its condition runs, but for the first time, before it has lined up.
    let looks = 0;
    new WaitQueue(arenas[1]!).wait(() => {
      if (looks++ === 0) return false;
      expect(isAsleep(1)).toBe(true);
      wanted[0].give();
      controller.abort();
      return true;
    });
    // It may have taken what was free.
    await first.then(
      (guard) => (guard === undefined ? wanted[1]!.give() : (guard as LockGuard).release()),
      () => {},
    );
    await waiting;
  });

  test('it has it once its thread comes back', async () => {
    const { wanted, sleepsElsewhere, wakesUp } = stage(open);
    const waiting = wanted[1]!.takeAsync();
    await turn();
    sleepsElsewhere(1);
    wanted[0].give();
    wakesUp(1);
    await waiting;
  });

  test('its thread comes back before another, whose waiter was in front', async () => {
    const { wanted, sleepsElsewhere, wakesUp } = stage(open);
    void wanted[1]!.takeAsync();
    const waiting = wanted[2]!.takeAsync();
    await turn();
    sleepsElsewhere(1);
    sleepsElsewhere(2);
    wanted[0].give();
    wakesUp(2);
    await waiting;
  });
});

/** Those that come free when their holder dies. */
const ROBUST = Object.entries(KINDS).filter(([name]) => /^(Mutex|RwSemaphore|PercpuRw|PthreadRwlock,)/.test(name));

describe.each(ROBUST)('%s: deaths, with a waiter that cannot run', (_, open) => {
  test('of the one that releases, at whichever step', async () => {
    for (let n = 1, isOver = false; !isOver; n++) {
      const { wanted, arenas, sleepsElsewhere, sleepsOn, killBefore, reap } = stage(open);
      void wanted[1]!.takeAsync();
      const behind = wanted[3]!.takeAsync();
      sleepsElsewhere(1);
      isOver = !killBefore(0, step(n), () => wanted[0].give());
      if (!isOver) expect(reap(4)).toBe('done');
      sleepsOn(1);
      await behind;
      expect(arenas[4]!.fsck()).toEqual([]);
    }
  });

  test('of its thread, at whichever step on the way to its sleep', async () => {
    for (let n = 1, isOver = false; !isOver; n++) {
      const { wanted, arenas, diesOnTheWay, reap } = stage(open);
      void wanted[1]!.takeAsync();
      const behind = wanted[3]!.takeAsync();
      wanted[0].give();
      isOver = !diesOnTheWay(1, n);
      if (!isOver) expect(reap(4)).toBe('done');
      await behind;
      expect(arenas[4]!.fsck()).toEqual([]);
    }
  });
});

test('Mutex: handed over to a waiter whose thread goes to sleep before it picks it up', () => {
  const { arenas, wanted, real, sleeps, sleepsElsewhere, isAsleep } = stage(KINDS.Mutex!);
  const { address } = wanted[0].handle as ObjectHandle;
  void wanted[1]!.takeAsync();
  sleeps(3, () => wanted[3]!.take());
  real.fetchOr(address + MutexWords.owner, HANDOFF);
  wanted[0].give();
  sleepsElsewhere(1);
  expect(isAsleep(3)).toBe(false);
  expect(Mutex.from(arenas[4]!, wanted[0].handle as ObjectHandle).tryLock()).toBe(true);
});

test('Mutex: handed over past a waiter that cannot run, to the next', () => {
  const { arenas, wanted, real, sleeps, sleepsElsewhere, isAsleep } = stage(KINDS.Mutex!);
  const { address } = wanted[0].handle as ObjectHandle;
  void wanted[1]!.takeAsync();
  sleeps(3, () => wanted[3]!.take());
  sleepsElsewhere(1);
  real.fetchOr(address + MutexWords.owner, HANDOFF);
  wanted[0].give();
  expect(isAsleep(3)).toBe(false);
  expect(ownerOf(real.load(address + MutexWords.owner))).toBe(arenas[3]!.thread.self);
});

test.each([true, false])(
  'RwSemaphore: kept for a writer that has waited long and cannot run (it asked: %s)',
  (asks) => {
    const { arenas, wanted, real, sleeps, sleepsElsewhere, isAsleep } = stage(
      KINDS['RwSemaphore, a writer behind a writer']!,
    );
    const { address } = wanted[0].handle as ObjectHandle;
    void wanted[1]!.takeAsync();
    const first = firstWaiter(real, listOf(address));
    real.store(first + Task.since, real.load(first + Task.since) - 2 * HANDOFF_AFTER);
    if (asks) real.fetchOr(wordOf(address), RW_HANDOFF);
    sleepsElsewhere(1);
    wanted[0].give();
    const other = RwSemaphore.from(arenas[2]!, wanted[0].handle as ObjectHandle);
    expect(other.tryDownWrite()).toBe(true);
    sleeps(3, () => wanted[3]!.take());
    other.upWrite();
    expect(isAsleep(3)).toBe(false);
  },
);

test.each([RwSemaphore, PercpuRwSemaphore])(
  '%o: a reader that cannot run is let in beside one that can, and the writer behind waits for it',
  (Kind) => {
    const { arenas, sleeps, sleepsElsewhere, isAsleep } = stage(KINDS.Mutex!);
    const [first, second, third, fourth] = arenas.map((arena) => new Kind(arena, 'l')) as [
      RwSemaphore,
      RwSemaphore,
      RwSemaphore,
      RwSemaphore,
    ];
    first.downWrite();
    void second.acquireReadAsync();
    sleeps(2, () => third.downRead());
    sleeps(3, () => fourth.downWrite());
    sleepsElsewhere(1);
    first.upWrite();
    expect(isAsleep(2)).toBe(false);
    third.upRead();
    expect(isAsleep(3)).toBe(false);
  },
);

test.each(['reader', 'writer'])(
  'PercpuRwSemaphore: a %s that comes back, beside a writer that came meanwhile',
  async (kind) => {
    for (let n = 1, isOver = false; !isOver; n++) {
      const stepped = stage(KINDS[`PercpuRwSemaphore, a writer behind a ${kind}`]!);
      const { arenas, wanted, sleepsElsewhere, wakesUp, stopBefore, before: rightBefore, cancel } = stepped;
      const [mine, other] = [1, 2].map((number) =>
        PercpuRwSemaphore.from(arenas[number]!, wanted[0].handle as ObjectHandle),
      ) as [PercpuRwSemaphore, PercpuRwSemaphore];
      const waiting = wanted[1]!.takeAsync();
      await turn();
      sleepsElsewhere(1);
      wanted[0].give();
      let isIn = false;
      let waits = false;
      rightBefore(1, step(n), () => {
        // It waits for the latch to give up its claim, where thread 1 has let its reader in.
        waits = stopBefore(2, on('wait'), () => {
          isIn = other.tryDownWrite();
        });
      });
      wakesUp(1);
      await turn();
      isOver = cancel(1);
      if (isIn) {
        expect([mine.owner?.thread, mine.readers]).toEqual([2, 0]);
        // Whose thread reads already comes in beside a writer that waits for it; nobody does here.
        expect(thrown(() => mine.downRead({ timeout: 0 })).code).toBe('ETIMEDOUT');
        other.upWrite();
      }
      if (!waits) await waiting;
    }
  },
);

test('PthreadCond: a broadcast whose one woken waiter cannot run: the others sleep at a free mutex', async () => {
  for (const sleepsFirst of [true, false]) {
    const { arenas, sleepsElsewhere } = stage(KINDS.Mutex!);
    const [mutex, cond] = [new PthreadMutex(arenas[0]!), new PthreadCond(arenas[0]!)];
    const open = (number: number) =>
      [PthreadMutex.from(arenas[number]!, mutex.handle), PthreadCond.from(arenas[number]!, cond.handle)] as const;
    const waits = async (number: number) => {
      const [own, condition] = open(number);
      await condition.waitAsync(await own.acquireAsync());
    };
    void waits(1);
    await turn();
    const behind = [waits(2), waits(3)];
    void behind[1]!.catch(() => {});
    await turn();
    if (sleepsFirst) sleepsElsewhere(1);
    cond.broadcast();
    if (!sleepsFirst) sleepsElsewhere(1);
    await Promise.race(behind);
  }
});

test('calls that have come back, or were refused, which the next sleep of their thread still sees', async () => {
  const { arenas, wanted } = stage(KINDS.Mutex!);
  const { thread } = arenas[0]!;
  const [mutex, other, cond] = [
    new PthreadMutex(arenas[0]!),
    new PthreadMutex(arenas[0]!),
    new PthreadCond(arenas[0]!),
  ] as const;
  const waiting = cond.waitAsync(await mutex.acquireAsync());
  expect(thread.waiters.size).toBe(1);
  const guard = await other.acquireAsync();
  await expect(cond.waitAsync(guard)).rejects.toMatchObject({ code: 'EINVAL' });
  expect(thread.waiters.size).toBe(1);
  cond.signal();
  await waiting;
  const taking = wanted[0].takeAsync();
  expect(thread.waiters.size).toBe(1);
  wanted[0].give();
  await taking;
  expect(thread.waiters.size).toBe(0);
});
