/** Each waiter is served: no newcomer passes it for ever, and none once it has waited as long as the lock promises. */
import { describe, expect, test } from 'vitest';
import { Arena, Mutex, PercpuRwSemaphore, RtMutex, RwSemaphore, Semaphore } from '../../lib/index.ts';
import { tryDownRead } from '../../lib/locking/rw-semaphore/core.ts';
import { readSlow, writeSlow } from '../../lib/locking/rw-semaphore/wait.ts';
import { HANDOFF, latchOf, RwSemaphoreWords, WAITERS, wordOf } from '../../lib/locking/rw-semaphore/words.ts';
import type { SlowPath, Waiter } from '../../lib/sched/slow-path.ts';
import { Task } from '../../lib/sched/task.ts';
import type { Thread } from '../../lib/sched/thread.ts';
import { Hang, on, step, stepper } from '../support/stepper.ts';
import { thrown } from '../support/threads.ts';

const TURNS = 20_000;
type Taking = () => Promise<{ release(): void }>;

const LOOPS: Record<string, (arena: Arena) => { want: Taking; take: Taking }> = {
  Mutex: (arena) => sameFor(new Mutex(arena), (lock) => lock.acquireAsync()),
  RtMutex: (arena) => sameFor(new RtMutex(arena), (lock) => lock.acquireAsync()),
  Semaphore: (arena) => sameFor(new Semaphore(arena), (lock) => lock.acquireAsync()),
  'RwSemaphore, a writer behind writers': (arena) =>
    sameFor(new RwSemaphore(arena), (lock) => lock.acquireWriteAsync()),
  'RwSemaphore, a writer behind readers': (arena) => {
    const lock = new RwSemaphore(arena);
    return { want: () => lock.acquireWriteAsync(), take: () => lock.acquireReadAsync() };
  },
  'RwSemaphore, a reader behind writers': (arena) => {
    const lock = new RwSemaphore(arena);
    return { want: () => lock.acquireReadAsync(), take: () => lock.acquireWriteAsync() };
  },
  'PercpuRwSemaphore, a writer behind writers': (arena) =>
    sameFor(new PercpuRwSemaphore(arena), (lock) => lock.acquireWriteAsync()),
  'PercpuRwSemaphore, a writer behind readers': (arena) => {
    const lock = new PercpuRwSemaphore(arena);
    return { want: () => lock.acquireWriteAsync(), take: () => lock.acquireReadAsync() };
  },
};

function sameFor<Lock>(lock: Lock, acquire: (lock: Lock) => ReturnType<Taking>) {
  return { want: () => acquire(lock), take: () => acquire(lock) };
}

test.each(Object.entries(LOOPS))('an asynchronous loop starves a waiter of its own thread: %s', async (_, make) => {
  const { want, take } = make(Arena.create());
  let isServed = false;
  const held = await take();
  const waiting = want().then((guard) => {
    isServed = true;
    guard.release();
  });
  held.release();
  let turns = 0;
  for (; turns < TURNS && !isServed; turns++) (await take()).release();
  expect(isServed).toBe(true);
  await waiting;
});

describe('RwSemaphore: who is first in line, and has waited 4 ms,', () => {
  const waiterOf = (thread: Thread): Waiter => ({
    thread,
    task: thread.self,
    deadline: Number.POSITIVE_INFINITY,
    async: false,
    aborted: false,
  });

  /** A lock that thread 0 holds, and thread 1 waits for, for `age` ms now, to read or to write. */
  function stage(path: typeof readSlow, age: number, fifo = false) {
    const { arenas, real, before, cancel } = stepper(3);
    const holder = new RwSemaphore(arenas[0]!, undefined, { fifo });
    const newcomer = RwSemaphore.from(arenas[2]!, holder.handle);
    holder.downWrite();
    const { thread } = arenas[1]!;
    const waiting: SlowPath<unknown> = path(holder.address, waiterOf(thread));
    waiting.next();
    const since = thread.self + Task.since;
    real.store(since, (real.load(since) - age * 1000) & 0x7fffffff);
    const late = arenas[2]!.thread;
    return { holder, newcomer, late, real, before, cancel, isServed: () => waiting.next('woken').done === true };
  }

  test.each([
    ['a writer', writeSlow, 5, false],
    ['a reader', readSlow, 5, false],
    ['or whose lock is strict, a writer', writeSlow, 0, true],
    ['or whose lock is strict, a reader', readSlow, 0, true],
  ])('%s, is passed at any step of the release', (_, path, age, fifo) => {
    for (const passes of ['tryDownWrite', 'tryDownRead'] as const) {
      for (let n = 1, isOver = false; !isOver; n++) {
        const { holder, newcomer, before, cancel, isServed } = stage(path, age, fifo);
        let passed = false;
        before(0, step(n), () => {
          passed = newcomer.owner === undefined && newcomer.readers === 0 && newcomer[passes]();
        });
        holder.upWrite();
        isOver = cancel(0);
        expect(passed).toBe(false);
        expect(newcomer.tryDownWrite()).toBe(false);
        expect(isServed()).toBe(true);
      }
    }
  });

  test('is served at once, and one that has waited less must not be passed by any', () => {
    const { holder, newcomer, isServed } = stage(writeSlow, 0);
    holder.upWrite();
    expect(newcomer.tryDownWrite()).toBe(true);
    expect(isServed()).toBe(false);
    newcomer.upWrite();
    expect(isServed()).toBe(true);
  });

  test('is passed by a reader that found no handoff when it looked', () => {
    const { newcomer, late: thread, real } = stage(writeSlow, 0);
    const word = newcomer.address + RwSemaphoreWords.word;
    real.store(word, WAITERS | HANDOFF);
    expect(tryDownRead(thread, newcomer.address, thread.self, WAITERS)).toBeUndefined();
    expect(tryDownRead(thread, newcomer.address, thread.self, WAITERS | HANDOFF)).toBeUndefined();
  });
});

test('RwSemaphore: a writer never spins for readers again, once some have read for long', () => {
  const { arenas, real, before } = stepper(2);
  const reading = new RwSemaphore(arenas[0]!);
  const writing = RwSemaphore.from(arenas[1]!, reading.handle);
  const hint = reading.address + RwSemaphoreWords.nonspinnable;
  reading.downRead();
  before(1, on('wait'), () => reading.upRead());
  writing.downWrite();
  expect(real.load(hint)).toBe(0);
  writing.upWrite();
  reading.downRead();
  before(1, on('store', hint), () => reading.upRead());
  writing.downWrite();
  writing.upWrite();
  expect(real.load(hint)).toBe(0);
});

test('RwSemaphore: a reader is kept out on behalf of a waiter that is dead', () => {
  const { arenas, real, die, reap } = stepper(4);
  const [reading, dying, coming] = arenas.map((arena) => new RwSemaphore(arena, 'lock')) as [
    RwSemaphore,
    RwSemaphore,
    RwSemaphore,
  ];
  const { thread } = arenas[1]!;
  reading.downRead();
  const waiting: SlowPath<unknown> = writeSlow(dying.address, {
    thread,
    task: thread.self,
    deadline: Number.POSITIVE_INFINITY,
    async: false,
    aborted: false,
  });
  waiting.next();
  real.fetchOr(reading.address + RwSemaphoreWords.word, HANDOFF);
  expect(coming.tryDownRead()).toBe(false);
  die(1);
  expect(reap(3)).toBe('done');
  expect(real.load(reading.address + RwSemaphoreWords.word) & (WAITERS | HANDOFF)).toBe(0);
  expect(coming.tryDownRead()).toBe(true);
});

describe('RwSemaphore with fifo:', () => {
  test('one that comes later goes before one that came before, whatever they want', async () => {
    const arena = Arena.create();
    const lock = new RwSemaphore(arena, undefined, { fifo: true });
    const order: string[] = [];
    const inside = new Set<string>();
    const enter = async (name: string) => {
      const held = await (name.startsWith('r') ? lock.acquireReadAsync() : lock.acquireWriteAsync());
      order.push(name);
      inside.add(name);
      for (const other of inside) if (other !== name) expect([other[0], name[0]]).toEqual(['r', 'r']);
      await new Promise(setImmediate);
      inside.delete(name);
      held.release();
    };
    const names = ['w1', 'r1', 'r2', 'w2', 'r3', 'w3', 'w4', 'r4', 'r5', 'r6', 'w5'];
    await Promise.all(names.map(enter));
    expect(order).toEqual(names);
    expect(lock.isLocked).toBe(false);
  });

  const waiterOf = (thread: Thread): Waiter => ({
    thread,
    task: thread.self,
    deadline: Number.POSITIVE_INFINITY,
    async: false,
    aborted: false,
  });
  /** Whether somebody comes in who finds the lock free. */
  const comesIn = (newcomer: RwSemaphore, how: 'tryDownWrite' | 'tryDownRead') => {
    if (newcomer.owner !== undefined || newcomer.readers > 0) return false;
    // A reader that has come in waits for the latch, to wake others.
    return how === 'tryDownWrite' ? newcomer.tryDownWrite() : hangs(() => newcomer.tryDownRead());
  };
  const hangs = (body: () => boolean) => {
    try {
      return body();
    } catch (error) {
      if (error instanceof Hang) return true;
      throw error;
    }
  };

  test.each([
    ['a writer died, a writer', 'downWrite', writeSlow],
    ['a writer died, a reader', 'downWrite', readSlow],
    ['a reader died, a writer', 'downRead', writeSlow],
    ['a reader died that was let in, a writer', 'let in', writeSlow],
  ] as const)('when %s that waits is passed at any step of the repair', (_, dead, path) => {
    for (const how of ['tryDownWrite', 'tryDownRead'] as const) {
      for (let n = 1, isOver = false; !isOver; n++) {
        const { arenas, before, cancel, die, reap } = stepper(4);
        const [dying, waits, , reaps] = arenas.map((arena) => new RwSemaphore(arena, 'lock', { fifo: true })) as [
          RwSemaphore,
          RwSemaphore,
          RwSemaphore,
          RwSemaphore,
        ];
        const newcomer = new RwSemaphore(arenas[2]!, 'lock', { fifo: true });
        const waiting: SlowPath<unknown> = path(waits.address, waiterOf(arenas[1]!.thread));
        if (dead === 'let in') {
          reaps.downWrite();
          const granted: SlowPath<unknown> = readSlow(dying.address, waiterOf(arenas[0]!.thread));
          granted.next();
          waiting.next();
          reaps.upWrite();
          expect(granted.next('woken').done).toBe(true);
        } else {
          dying[dead]();
          waiting.next();
        }
        die(0);
        let passed = false;
        before(3, step(n), () => {
          passed = comesIn(newcomer, how);
        });
        expect(reap(3)).toBe('done');
        isOver = cancel(3);
        expect(passed, `${how} before step ${n}`).toBe(false);
        expect(waiting.next('woken').done).toBe(true);
      }
    }
  });

  test('a thread takes back what its asynchronous reader was given, and a writer that waits is passed at any step', () => {
    for (const how of ['tryDownWrite', 'tryDownRead'] as const) {
      for (const call of ['downWrite', 'elsewhere'] as const) {
        for (let n = 1, isOver = false; !isOver; n++) {
          const { arenas, before: stopAt, cancel } = stepper(4);
          const locks = arenas.map((arena) => new RwSemaphore(arena, 'lock', { fifo: true }));
          const [holder, reader, newcomer, waits] = locks as [RwSemaphore, RwSemaphore, RwSemaphore, RwSemaphore];
          const others = new Semaphore(arenas[1]!, 'other', { permits: 0 });
          holder.downWrite();
          void reader.acquireReadAsync();
          const waiting: SlowPath<unknown> = writeSlow(waits.address, waiterOf(arenas[3]!.thread));
          waiting.next();
          holder.upWrite();
          expect(reader.readers).toBe(1);
          let passed = false;
          stopAt(1, step(n), () => {
            passed = comesIn(newcomer, how);
          });
          expect(() => (call === 'downWrite' ? reader.downWrite() : others.down())).toThrow('sleeps for ever');
          isOver = cancel(1);
          expect(passed, `${how} before step ${n} of ${call}`).toBe(false);
          expect(waiting.next('woken').done).toBe(true);
        }
      }
    }
  });

  test('readers behind a writer go in with those in front of it', () => {
    const { arenas } = stepper(1);
    const lock = new RwSemaphore(arenas[0]!, undefined, { fifo: true });
    lock.downWrite();
    void lock.acquireReadAsync();
    void lock.acquireWriteAsync();
    void lock.acquireReadAsync();
    lock.upWrite();
    expect(lock.readers).toBe(1);
  });

  test('a reader that comes while readers are inside, and a writer waits, spins or passes it', () => {
    const { arenas, before: stopAt } = stepper(3);
    const [one, two, three] = arenas.map((arena) => new RwSemaphore(arena, 'lock', { fifo: true })) as [
      RwSemaphore,
      RwSemaphore,
      RwSemaphore,
    ];
    one.downRead();
    stopAt(1, on('wait'), () => {
      // Without fifo it passes a writer that has slept for less than 4 ms.
      stopAt(2, on('wait'), () => one.upRead());
      expect(() => three.downRead()).toThrow('sleeps for ever');
      expect(three.readers).toBe(0);
    });
    two.downWrite();
    expect(two.owner?.thread).toBe(1);
  });

  test.each(['downWrite', 'downRead'] as const)('a newcomer that passes one which has just lined up: %s', (call) => {
    for (let n = 1, isOver = false; !isOver; n++) {
      const { arenas, real, before: stopAt, cancel } = stepper(3);
      const [holder, waiter, newcomer] = arenas.map((arena) => new RwSemaphore(arena, 'lock', { fifo: true })) as [
        RwSemaphore,
        RwSemaphore,
        RwSemaphore,
      ];
      holder.downWrite();
      const { self } = arenas[1]!.thread;
      let passed = false;
      // It comes free as the waiter says that it waits.
      stopAt(1, on('fetchOr', holder.address + RwSemaphoreWords.word), () => {
        holder.upWrite();
        stopAt(1, step(n), () => {
          const isInLine = (real.load(holder.address + RwSemaphoreWords.word) & WAITERS) !== 0;
          passed = isInLine && real.load(self + Task.list) !== 0 && newcomer.tryDownWrite();
        });
      });
      waiter[call]();
      isOver = cancel(1);
      expect(passed).toBe(false);
    }
  });

  test('threads that open one name with and without it, and what its handle says', () => {
    const arena = Arena.create();
    const lock = new RwSemaphore(arena, 'strict', { fifo: true });
    expect(() => new RwSemaphore(arena, 'strict')).toThrow('EINVAL');
    expect(RwSemaphore.from(arena, lock.handle).address).toBe(lock.address);
    expect(() => RwSemaphore.from(arena, lock.handle, { fifo: false })).toThrow('EINVAL');
    expect(() => new RwSemaphore(arena, 'other', { fifo: 1 as never })).toThrow('fifo is true or false');
  });
});

test('RwSemaphore: a writer that was woken in vain, and spins, lets readers come again once it has the lock', () => {
  const { arenas, before } = stepper(3);
  const [first, second, writer] = arenas.map((arena) => new RwSemaphore(arena, 'rw')) as [
    RwSemaphore,
    RwSemaphore,
    RwSemaphore,
  ];
  const { cpu } = arenas[0]!;
  const closing = () => cpu.load(writer.address + RwSemaphoreWords.closing);
  const seen: number[] = [];
  first.downRead();
  before(2, on('wait'), () => {
    // The writer is woken, and another reader comes before it.
    first.upRead();
    second.downRead();
    before(2, on('condLoad', wordOf(writer.address)), () => {
      seen.push(closing());
      second.upRead();
    });
  });
  writer.downWrite();
  expect([...seen, closing()]).toEqual([1, 0]);
  writer.upWrite();
});

test('RwSemaphore: a writer that was passed once more lets readers come again while it sleeps', () => {
  const { arenas, before, stopBefore } = stepper(4);
  const [first, second, writer, urgent] = arenas.map((arena) => new RwSemaphore(arena, 'rw')) as [
    RwSemaphore,
    RwSemaphore,
    RwSemaphore,
    RwSemaphore,
  ];
  const { cpu } = arenas[0]!;
  const seen: number[] = [];
  const look = () => seen.push(cpu.load(writer.address + RwSemaphoreWords.closing));
  arenas[3]!.thread.setPriority(-1);
  first.downRead();
  before(2, on('wait'), () => {
    first.upRead();
    second.downRead();
    before(2, on('condLoad', wordOf(writer.address)), () => {
      second.upRead();
      // The writer has spun until the lock was free. Another one takes it, and a reader comes to stand in front.
      before(2, on('', latchOf(writer.address)), () => {
        look();
        first.downWrite();
        stopBefore(3, on('wait'), () => urgent.downRead());
        before(2, on('wait'), look);
      });
    });
  });
  expect(thrown(() => writer.downWrite({ timeout: 5 })).code).toBe('ETIMEDOUT');
  expect(seen).toEqual([1, 0]);
});
