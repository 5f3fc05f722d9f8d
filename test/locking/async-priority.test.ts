/** `priority` of asynchronous calls: their place among those that wait. */
import { describe, expect, test } from 'vitest';
import {
  Arena,
  type AsyncWaitOptions,
  Completion,
  Futex,
  type HoldfastError,
  Mutex,
  PercpuRwSemaphore,
  PthreadBarrier,
  PthreadCond,
  PthreadMutex,
  PthreadOnce,
  PthreadRwlock,
  PthreadSem,
  Rcu,
  RtMutex,
  RwSemaphore,
  Semaphore,
  SeqLock,
  WaitQueue,
  WwClass,
  WwMutex,
} from '../../lib/index.ts';

/** How calls that wait for an object are made, and let go one after the other. */
interface Line {
  /** Resolves to what lets the next one go. */
  wait(options?: AsyncWaitOptions): Promise<() => void>;
  /** Lets the first one go. */
  begin(): void;
}

interface Guard {
  release(): void;
}

/** Of a lock that is held from the start. */
function lockLine(held: Guard, acquire: (options?: AsyncWaitOptions) => Promise<Guard>): Line {
  return { wait: async (options) => (await acquire(options)).release, begin: () => held.release() };
}

function bound(acquire: (options?: AsyncWaitOptions) => Promise<Guard>) {
  return async (options?: AsyncWaitOptions) => {
    const guard = await acquire(options);
    return { release: () => guard.release() };
  };
}

const LINES: Record<string, (arena: Arena) => Line> = {
  Mutex(arena) {
    const mutex = new Mutex(arena);
    return lockLine(
      mutex.acquire(),
      bound((options) => mutex.acquireAsync(options)),
    );
  },
  'RwSemaphore, writers': (arena) => {
    const semaphore = new RwSemaphore(arena);
    return lockLine(
      semaphore.acquireWrite(),
      bound((options) => semaphore.acquireWriteAsync(options)),
    );
  },
  'PercpuRwSemaphore, writers': (arena) => {
    const semaphore = new PercpuRwSemaphore(arena);
    return lockLine(
      semaphore.acquireWrite(),
      bound((options) => semaphore.acquireWriteAsync(options)),
    );
  },
  Semaphore(arena) {
    const semaphore = new Semaphore(arena, undefined, { permits: 1 });
    return lockLine(
      semaphore.acquire(),
      bound((options) => semaphore.acquireAsync(options)),
    );
  },
  'Semaphore, down': (arena) => {
    const semaphore = new Semaphore(arena, undefined, { permits: 0 });
    const up = () => semaphore.up();
    return { wait: (options) => semaphore.downAsync(options).then(() => up), begin: up };
  },
  Completion(arena) {
    const completion = new Completion(arena);
    const complete = () => completion.complete();
    return { wait: (options) => completion.waitAsync(options).then(() => complete), begin: complete };
  },
  WaitQueue(arena) {
    const queue = new WaitQueue(arena);
    let turns = 0;
    const wake = () => {
      turns++;
      queue.wake(1);
    };
    const wait = async (options?: AsyncWaitOptions) => {
      await queue.waitAsync(() => turns > 0 && turns-- > 0, { ...options, exclusive: true });
      return wake;
    };
    return { wait, begin: wake };
  },
  Futex(arena) {
    const futex = new Futex(arena);
    const word = arena.alloc(1);
    const wake = () => futex.wake(word, 1);
    return { wait: (options) => futex.waitAsync(word, 0, options).then(() => wake), begin: wake };
  },
  PthreadMutex(arena) {
    const mutex = new PthreadMutex(arena);
    return lockLine(
      mutex.acquire(),
      bound((options) => mutex.acquireAsync(options)),
    );
  },
  'PthreadMutex that inherits priorities': (arena) => {
    const mutex = new PthreadMutex(arena, undefined, { protocol: 'inherit' });
    return lockLine(
      mutex.acquire(),
      bound((options) => mutex.acquireAsync(options)),
    );
  },
  PthreadSem(arena) {
    const sem = new PthreadSem(arena);
    const post = () => sem.post();
    return { wait: (options) => sem.waitAsync(options).then(() => post), begin: post };
  },
  'PthreadRwlock, writers': (arena) => {
    const lock = new PthreadRwlock(arena);
    return lockLine(
      lock.acquireWrite(),
      bound((options) => lock.acquireWriteAsync(options)),
    );
  },
};

describe.each(Object.keys(LINES))('%s', (name) => {
  const setup = () => LINES[name]!(Arena.create({ bytes: 1 << 20 }));
  const inOrder = async (line: Line, waits: readonly (readonly [string, AsyncWaitOptions?])[]) => {
    const order: string[] = [];
    const all = waits.map(async ([label, options]) => {
      const next = await line.wait(options);
      order.push(label);
      next();
    });
    return { order, all };
  };

  test('lower goes first, and first come first among equals', async () => {
    const line = setup();
    const { order, all } = await inOrder(line, [
      ['0'],
      ['7', { priority: 7 }],
      ['-3', { priority: -3 }],
      ['0, later', { priority: 0 }],
      ['-3, later', { priority: -3 }],
    ]);
    line.begin();
    await Promise.all(all);
    expect(order).toEqual(['-3', '-3, later', '0', '0, later', '7']);
  });

  test('a call that was given up leaves its task without a priority', async () => {
    const line = setup();
    const controller = new AbortController();
    const urgent = { priority: -9 };
    const given = [
      line.wait({ ...urgent, signal: controller.signal }),
      line.wait({ ...urgent, timeout: 0 }),
      line.wait({ ...urgent, timeout: 1 }),
    ].map((call) => call.catch(() => {}));
    controller.abort();
    await Promise.all(given);
    const { order, all } = await inOrder(line, [['0'], ['-1', { priority: -1 }], ['0, later']]);
    line.begin();
    await Promise.all(all);
    expect(order).toEqual(['-1', '0', '0, later']);
  });

  test.each([1.5, 2 ** 31, '1', null, Number.NaN])('refuses %s', async (priority) => {
    const line = setup();
    const error = (await line.wait({ priority: priority as number }).catch((error) => error)) as HoldfastError;
    expect(error.message).toMatch(/^EINVAL: a priority is a whole number of 32 bits/);
  });
});

const UNRANKED: Record<string, (arena: Arena, options: object) => Promise<unknown>> = {
  'PthreadCond.waitAsync': async (arena, options) =>
    new PthreadCond(arena).waitAsync(await new PthreadMutex(arena).acquireAsync(), options),
  'PthreadBarrier.waitAsync': (arena, options) => new PthreadBarrier(arena, undefined, { count: 2 }).waitAsync(options),
  'PthreadOnce.callAsync': (arena, options) => new PthreadOnce(arena).callAsync(() => {}, options),
  'Rcu.synchronizeAsync': (arena, options) => new Rcu(arena).synchronizeAsync(options),
  'WwMutex.lockAsync': (arena, options) => {
    const wwClass = new WwClass(arena, 'ww');
    return new WwMutex(wwClass).lockAsync(wwClass.beginAsync(), options);
  },
};

test.each(Object.keys(UNRANKED))('%s has no line, and refuses a priority', async (name) => {
  const call = UNRANKED[name]!(Arena.create({ bytes: 1 << 20 }), { priority: 1 });
  await expect(call).rejects.toMatchObject({ code: 'EINVAL', message: expect.stringContaining('priority') });
});

test('a reader of SeqLock sees what the most urgent writer wrote last', async () => {
  const arena = Arena.create({ bytes: 1 << 20 });
  const lock = new SeqLock(arena);
  const word = arena.alloc(1);
  const seen: number[] = [];
  lock.lock();
  const writes = [1, 2, 3].map((value) =>
    lock.writeAsync(word, [value], { priority: -value }).then(() => seen.push(value)),
  );
  lock.unlock();
  await Promise.all(writes);
  expect(seen).toEqual([3, 2, 1]);
  expect(arena.words[word]).toBe(1);
});

// The task of such a call is the next one's.
test.each([9, -9])(
  'a call of RtMutex with priority %s that gives up, and leaves it to the calls after it',
  async (priority) => {
    const arena = Arena.create();
    const urgent = new RtMutex(arena);
    const mutex = new Mutex(arena);
    urgent.lock();
    const abort = new AbortController();
    const aborted = expect(urgent.acquireAsync({ priority, signal: abort.signal })).rejects.toThrow('aborted');
    abort.abort();
    await aborted;
    await expect(urgent.acquireAsync({ priority, timeout: 0 })).rejects.toMatchObject({ code: 'ETIMEDOUT' });
    const held = mutex.acquire();
    const order: number[] = [];
    const calls = [0, 1].map(async (n) => {
      const guard = await mutex.acquireAsync();
      order.push(n);
      guard.release();
    });
    held.release();
    await Promise.all(calls);
    expect(order).toEqual([0, 1]);
    urgent.unlock();
  },
);
