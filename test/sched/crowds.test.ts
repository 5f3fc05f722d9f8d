/**
 * Thousands that wait for one object: what each of them costs, in loads, must not depend on how many there are. Neither when
 * it lines up, nor when all give up together.
 */
import { describe, expect, test } from 'vitest';
import type { Arena as View } from '../../lib/arena/arena.ts';
import {
  Arena,
  type AsyncWaitOptions,
  Mutex,
  PercpuRwSemaphore,
  PthreadBarrier,
  PthreadCond,
  PthreadMutex,
  PthreadRwlock,
  RtMutex,
  RwSemaphore,
  Semaphore,
} from '../../lib/index.ts';
import type { Cpu } from '../../lib/machine/cpu.ts';
import { on, stepper } from '../support/stepper.ts';
import { WAITS, type Waiting } from '../support/waits.ts';

/** More than a report looks at, of the tasks of a thread; and four times as many, which would make each call four times as dear. */
const [FEW, MANY] = [400, 1600];
const MOST_GROWTH = 1.5;

type Crowd = Pick<Waiting, 'wait'>;

const CROWDS: Record<string, (arena: Arena) => Crowd | Promise<Crowd>> = {
  ...WAITS,
  // Held by an asynchronous task: it is one among those of all that wait.
  async 'Mutex, held by a guard'(arena) {
    const lock = new Mutex(arena);
    await lock.acquireAsync();
    return { wait: (options) => lock.acquireAsync(options) };
  },
  async 'RtMutex, held by a guard'(arena) {
    const lock = new RtMutex(arena);
    await lock.acquireAsync();
    return { wait: (options) => lock.acquireAsync(options) };
  },
  async 'Semaphore, held by a guard'(arena) {
    const lock = new Semaphore(arena, undefined, { permits: 1 });
    await lock.acquireAsync();
    return { wait: (options) => lock.acquireAsync(options) };
  },
  'RwSemaphore, fifo'(arena) {
    const lock = new RwSemaphore(arena, undefined, { fifo: true });
    lock.downWrite();
    return { wait: mixed(lock) };
  },
  ...readBy('RwSemaphore', (arena) => new RwSemaphore(arena)),
  ...readBy('PercpuRwSemaphore', (arena) => new PercpuRwSemaphore(arena)),
  ...readBy('PthreadRwlock', (arena) => new PthreadRwlock(arena)),
  'PthreadRwlock, for readers'(arena) {
    const lock = new PthreadRwlock(arena, undefined, 'readers');
    lock.readLock();
    return { wait: (options) => lock.acquireWriteAsync(options) };
  },
  PthreadBarrier(arena) {
    const barrier = new PthreadBarrier(arena, undefined, { count: 2 * MANY });
    return { wait: (options) => barrier.waitAsync(options) };
  },
  PthreadCond(arena) {
    const cond = new PthreadCond(arena);
    const wait = async (options: AsyncWaitOptions) => {
      // Each has a mutex of its own: it is the condition that they have in common.
      const held = await new PthreadMutex(arena).acquireAsync();
      await cond.waitAsync(held, options).finally(() => held.release());
    };
    return { wait };
  },
};

type Readable = RwSemaphore | PercpuRwSemaphore | PthreadRwlock;

function readBy(name: string, make: (arena: Arena) => Readable): typeof CROWDS {
  return {
    async [`${name}, writing, read by a guard`](arena: Arena) {
      const lock = make(arena);
      await lock.acquireReadAsync();
      return { wait: (options) => lock.acquireWriteAsync(options) };
    },
    async [`${name}, both, read by a guard`](arena: Arena) {
      const lock = make(arena);
      await lock.acquireReadAsync();
      return { wait: mixed(lock) };
    },
  };
}

/** Readers and writers in turns. A reader that has come to the front may be let in before it gives up. */
function mixed(lock: Readable): Crowd['wait'] {
  let calls = 0;
  return async (options) => {
    const guard = calls++ % 2 === 0 ? lock.acquireWriteAsync(options) : lock.acquireReadAsync(options);
    (await guard).release();
  };
}

/** Counts the loads of that machine from now on. */
function counted(cpu: Cpu): { looks: number } {
  const count = { looks: 0 };
  for (const op of ['load', 'loadAcquire', 'loadUnordered', 'loadDependent', 'loadAfterAtomic', 'read'] as const) {
    const look = cpu[op];
    cpu[op] = (address: number) => {
      count.looks++;
      return look.call(cpu, address);
    };
  }
  return count;
}

/** Loads for each of `n` calls, from its begin until it sleeps, and from then until it has given up. */
async function costOf(make: (arena: Arena) => Crowd | Promise<Crowd>, n: number) {
  const arena = Arena.create({ bytes: 16 << 20, maxThreads: 4 });
  const { wait } = await make(arena);
  // A clock that nobody but this test moves: how often a report is made anew does not depend on how busy the machine is.
  let time = arena.cpu.now();
  arena.cpu.now = () => {
    time += 100;
    return time;
  };
  const count = counted(arena.cpu);
  const calls = Array.from({ length: n }, () => wait({ timeout: 20 }).catch((error) => error));
  // One that first takes something else lines up in later steps.
  for (let turn = 0; turn < 10; turn++) await new Promise((resolve) => setImmediate(resolve));
  const linedUp = count.looks / n;
  time += 1e9;
  await Promise.all(calls);
  return { linedUp, gaveUp: count.looks / n - linedUp };
}

describe.each(Object.entries(CROWDS))('%s', (_name, make) => {
  test('a call that costs the more, the more wait, as it lines up or as all give up', async () => {
    const few = await costOf(make, FEW);
    const many = await costOf(make, MANY);
    expect(many.linedUp / few.linedUp).toBeLessThan(MOST_GROWTH);
    expect(many.gaveUp / few.gaveUp).toBeLessThan(MOST_GROWTH);
  });
});

/** A synchronous call of a thread that only blocks. */
const BLOCKING: Record<string, (arena: View) => { wait(): unknown; block(): unknown }> = {
  Mutex(arena) {
    const lock = new Mutex(arena, 'x');
    return { wait: () => lock.acquireAsync(), block: () => lock.lock() };
  },
  RtMutex(arena) {
    const lock = new RtMutex(arena, 'x');
    return { wait: () => lock.acquireAsync(), block: () => lock.lock() };
  },
  RwSemaphore(arena) {
    const lock = new RwSemaphore(arena, 'x');
    return { wait: () => lock.acquireWriteAsync(), block: () => lock.downWrite() };
  },
  PercpuRwSemaphore(arena) {
    const lock = new PercpuRwSemaphore(arena, 'x');
    return { wait: () => lock.acquireWriteAsync(), block: () => lock.downWrite() };
  },
  Semaphore(arena) {
    const lock = new Semaphore(arena, 'x', { permits: 1 });
    return { wait: () => lock.acquireAsync(), block: () => lock.down() };
  },
  PthreadMutex(arena) {
    const lock = new PthreadMutex(arena, 'x');
    return { wait: () => lock.acquireAsync(), block: () => lock.lock() };
  },
  PthreadRwlock(arena) {
    const lock = new PthreadRwlock(arena, 'x');
    return { wait: () => lock.acquireWriteAsync(), block: () => lock.writeLock() };
  },
};

test.each(Object.entries(BLOCKING))('%s: a thread that blocks, and looks at all that wait before it', (_name, make) => {
  const costs = [FEW, MANY].map((n) => {
    const { arenas, real, stopBefore } = stepper(2, { words: 1 << 20 });
    const crowd = make(arenas[0] as View);
    // The first has it.
    for (let call = 0; call <= n; call++) void crowd.wait();
    const { block } = make(arenas[1] as View);
    const count = counted(real);
    expect(stopBefore(1, on('wait'), block)).toBe(true);
    return count.looks;
  });
  expect((costs[1] as number) / (costs[0] as number)).toBeLessThan(MOST_GROWTH);
});

test('PercpuRwSemaphore: a writer that comes after another one, and looks at all that wait', async () => {
  const costs: number[] = [];
  for (const n of [FEW, MANY]) {
    const arena = Arena.create({ bytes: 16 << 20, maxThreads: 4 });
    const lock = new PercpuRwSemaphore(arena);
    lock.downWrite();
    const calls = Array.from({ length: n }, () => lock.runExclusiveAsync(() => {}));
    const count = counted(arena.cpu);
    lock.upWrite();
    await Promise.all(calls);
    costs.push(count.looks / n);
  }
  expect((costs[1] as number) / (costs[0] as number)).toBeLessThan(MOST_GROWTH);
});
