import { describe, expect, test } from 'vitest';
import {
  Arena,
  Futex,
  type HoldfastError,
  Mutex,
  PercpuRwSemaphore,
  PthreadCond,
  PthreadMutex,
  PthreadRwlock,
  RwSemaphore,
  Semaphore,
  WaitQueue,
} from '../../lib/index.ts';
import { ObjectHeader } from '../../lib/memory/objects.ts';
import { asleep, inThread, thrown } from '../support/threads.ts';
import { type Readable, readable, type TakenKind, take } from './waits-for.threads.ts';

const THREADS = new URL('./waits-for.threads.ts', import.meta.url).href;

type Which = readonly [TakenKind, string];

function setup() {
  const arena = Arena.create({ bytes: 1 << 20 });
  return { arena, stage: arena.alloc(1) };
}

const LINK = (thread: number, object: string, holder: number) => ({
  thread,
  async: false,
  object,
  holders: [holder],
});

test.each<[Which, Which]>([
  [
    ['mutex', 'a'],
    ['mutex', 'b'],
  ],
  [
    ['mutex', 'a'],
    ['pthread mutex', 'b'],
  ],
  [
    ['rw-semaphore', 'a'],
    ['rt-mutex', 'b'],
  ],
  [
    ['percpu-rw-semaphore', 'a'],
    ['mutex', 'b'],
  ],
])('two threads that take %o and %o in opposite orders', async (a, b) => {
  const { arena, stage } = setup();
  const options = { detectDeadlock: true };
  const one = inThread<string>(arena, THREADS, 'takeTwo', a, b, stage, 2, options);
  const other = inThread<string>(arena, THREADS, 'takeTwo', b, a, stage, 2, options);
  const outcomes = await Promise.all([one.result, other.result]);
  const errors = outcomes.filter((outcome) => outcome !== 'taken');
  expect(errors.length).toBeGreaterThan(0);
  for (const error of errors) {
    expect(error).toMatch(/^EDEADLK: a deadlock: thread \d waits for the .+, held by thread \d; thread \d waits for/);
  }
});

test('a deadlock that another thread closes is found all the same', async () => {
  const { arena, stage } = setup();
  const wary = inThread<string>(arena, THREADS, 'takeTwo', ['mutex', 'a'], ['mutex', 'b'], stage, 2, {
    detectDeadlock: true,
  });
  const careless = inThread<string>(arena, THREADS, 'takeTwo', ['mutex', 'b'], ['mutex', 'a'], stage, 2);
  expect(await wary.result).toMatch(/^EDEADLK: a deadlock: /);
  expect(await careless.result).toBe('taken');
});

test('a ring of four, one of them a reader among others', async () => {
  const { arena, stage } = setup();
  const ring: Which[] = [
    ['mutex', 'a'],
    ['reader', 'b'],
    ['pthread mutex', 'c'],
    ['rt-mutex', 'd'],
  ];
  const reader = take(arena, ['reader', 'b']);
  const all = ring.map((which, i) => {
    const next = ring[(i + 1) % 4] as Which;
    // A thread that waits for the readers wants to write.
    const second = next[0] === 'reader' ? ['rw-semaphore', 'b'] : next;
    return inThread<string>(arena, THREADS, 'takeTwo', which, second, stage, 4, { detectDeadlock: true });
  });
  const first = await Promise.race(all.map(({ result }) => result));
  reader.release();
  const outcomes = await Promise.all(all.map(({ result }) => result));
  expect([first, ...outcomes].filter((outcome) => outcome.startsWith('EDEADLK')).length).toBeGreaterThan(0);
});

describe('a wait that is over says what kept it waiting', () => {
  test('with the cycle', async () => {
    const { arena, stage } = setup();
    const mine = new Mutex(arena, 'mine').acquire();
    const other = inThread<string>(arena, THREADS, 'takeTwo', ['mutex', 'theirs'], ['mutex', 'mine'], stage, 1);
    await asleep(arena, 1);
    expect(arena.waits()).toMatchObject([{ ...LINK(1, 'mutex "mine"', 0), name: 'mine', mode: undefined }]);
    expect(new Mutex(arena, arena.waits()[0]!.handle).name).toBe('mine');
    const error = thrown(() => new Mutex(arena, 'theirs').lock({ timeout: 20 })) as HoldfastError;
    expect(error.message).toBe(
      'ETIMEDOUT: no mutex "theirs" within 20 ms: held by thread 1; ' +
        'thread 1 waits for the mutex "mine", held by thread 0: they wait for each other',
    );
    expect(error.waitsFor).toMatchObject([LINK(1, 'mutex "mine"', 0)]);
    mine.release();
    expect(await other.result).toBe('taken');
  });

  test('with a chain that leads elsewhere', async () => {
    const { arena, stage } = setup();
    const end = new Semaphore(arena, 'end').acquire();
    const first = inThread<string>(arena, THREADS, 'takeTwo', ['mutex', 'a'], ['semaphore', 'end'], stage, 1);
    await asleep(arena, 1);
    const second = inThread<string>(arena, THREADS, 'takeTwo', ['pthread mutex', 'b'], ['mutex', 'a'], stage, 1);
    await asleep(arena, 2);
    const error = thrown(() => take(arena, ['pthread mutex', 'b'], { timeout: 20 })) as HoldfastError;
    expect(error.message).toContain(
      'thread 2 waits for the mutex "a", held by thread 1; thread 1 waits for the semaphore "end"',
    );
    end.release();
    expect(await Promise.all([first.result, second.result])).toEqual(['taken', 'taken']);
  });

  test('among asynchronous flows of one thread', async () => {
    const { arena } = setup();
    const [a, b] = [new Mutex(arena, 'a'), new Mutex(arena, 'b')];
    const [heldA, heldB] = [await a.acquireAsync(), await b.acquireAsync()];
    const message = ({ message }: HoldfastError) => message;
    const controller = new AbortController();
    const waiting = a.lockAsync({ signal: controller.signal }).catch((reason) => reason);
    expect(await b.lockAsync({ timeout: 20 }).catch(message)).toBe(
      'ETIMEDOUT: no mutex "b" within 20 ms: held by thread 0, async; ' +
        'thread 0, async, waits for the mutex "a", held by thread 0: perhaps they wait for each other',
    );
    expect(arena.waits()).toMatchObject([{ ...LINK(0, 'mutex "a"', 0), async: true }]);
    controller.abort('enough');
    expect(await waiting).toBe('enough');
    expect(await a.lockAsync({ timeout: 5 }).catch(message)).toBe(
      'ETIMEDOUT: no mutex "a" within 5 ms: held by thread 0, async',
    );
    heldA.release();
    heldB.release();
  });
});

test('whoever waits without a cycle gets the lock', async () => {
  const { arena, stage } = setup();
  const end = new Mutex(arena, 'end').acquire();
  const wary = { detectDeadlock: true };
  const first = inThread<string>(arena, THREADS, 'takeTwo', ['mutex', 'a'], ['mutex', 'end'], stage, 1, wary);
  await asleep(arena, 1);
  const second = inThread<string>(arena, THREADS, 'takeTwo', ['mutex', 'b'], ['mutex', 'a'], stage, 1, wary);
  await asleep(arena, 2);
  end.release();
  expect(await Promise.all([first.result, second.result])).toEqual(['taken', 'taken']);
});

test('a semaphore is no link of a deadlock: any thread may give its permits back', async () => {
  const { arena, stage } = setup();
  const semaphore = new Semaphore(arena, 's');
  semaphore.down();
  const other = inThread<string>(arena, THREADS, 'takeTwo', ['mutex', 'm'], ['semaphore', 's'], stage, 1, {
    detectDeadlock: true,
  });
  await asleep(arena, 1);
  expect(thrown(() => new Mutex(arena, 'm').lock({ timeout: 150, detectDeadlock: true })).message).toMatch(
    /^ETIMEDOUT/,
  );
  semaphore.up();
  expect(await other.result).toBe('taken');
});

test('a wait for a condition, which has to have its mutex whatever it finds, and does not look for it all the time', async () => {
  const { arena } = setup();
  const mine = new Mutex(arena, 'mine').acquire();
  const mutex = new PthreadMutex(arena, 'm');
  const cond = new PthreadCond(arena, 'c');
  mutex.lock();
  const other = inThread<string>(arena, THREADS, 'signalAndTake', 'm', 'c', 'mine', { timeout: 300 });
  await asleep(arena, 1, mutex.address + ObjectHeader.words);
  const parks = arena.thread.counters.parks;
  cond.wait(mutex, { detectDeadlock: true });
  // It would be tens of thousands.
  expect(arena.thread.counters.parks - parks).toBeLessThan(1000);
  expect(await other.result).toMatch(/^ETIMEDOUT/);
  mutex.unlock();
  mine.release();
});

test.each<Readable>(['RwSemaphore', 'PercpuRwSemaphore', 'PthreadRwlock'])(
  'an asynchronous reader of a %s that nobody sees: the graph, a search for deadlocks, destroy, a death',
  async (kind) => {
    const { arena } = setup();
    const mine = new Mutex(arena, 'mine').acquire();
    const lock = readable(arena, kind);
    const reader = inThread(arena, THREADS, 'readAndTake', kind, 'mine');
    await asleep(arena, 1, new Mutex(arena, 'mine').address);
    expect([lock.readers, lock.isLocked]).toEqual([1, true]);
    expect(thrown(() => lock.destroy()).code).toBe('EBUSY');
    const options = { detectDeadlock: true };
    const error = thrown(() => (lock instanceof PthreadRwlock ? lock.writeLock(options) : lock.downWrite(options)));
    expect(error.code).toBe('EDEADLK');
    const writing = lock.acquireWriteAsync();
    expect(arena.waits()).toContainEqual(
      expect.objectContaining({ thread: 0, async: true, name: 'read', mode: 'write', holders: [1] }),
    );
    await reader.worker.terminate();
    (await writing).release();
    expect([lock.readers, lock.ownerDied]).toEqual([0, false]);
    lock.destroy();
    mine.release();
  },
);

test('detectDeadlock is a boolean', () => {
  const { arena } = setup();
  const detectDeadlock = 'yes' as never;
  expect(thrown(() => new Mutex(arena).lock({ detectDeadlock })).message).toMatch(
    /^EINVAL: detectDeadlock is true or false, received "yes"/,
  );
});

test('a report that calls share, about another object or out of date', async () => {
  const { arena } = setup();
  // A clock that moves as the test says: by less than a report is good for, or by more.
  let time = arena.cpu.now();
  arena.cpu.now = () => time;
  const [a, b] = [new Mutex(arena, 'a'), new Mutex(arena, 'b')];
  const [heldA, heldB] = [await a.acquireAsync(), await b.acquireAsync()];
  const giveUp = async (mutex: Mutex) => {
    const call = mutex.acquireAsync({ timeout: 1 }).catch((error: HoldfastError) => error);
    time += 1.1e6;
    return ((await call) as HoldfastError).waitsFor?.map(({ name }) => name);
  };
  expect(await giveUp(a)).toEqual([]);
  const waiting = b.acquireAsync();
  expect(await giveUp(a)).toEqual(['b']);
  const other = a.acquireAsync();
  const calls = [a, b].map((mutex) => mutex.acquireAsync({ timeout: 1 }).catch((error: HoldfastError) => error));
  time += 1.1e6;
  const found = (await Promise.all(calls)) as HoldfastError[];
  expect(found.map(({ waitsFor }) => waitsFor?.map(({ name }) => name))).toEqual([['b'], ['a']]);
  heldA.release();
  heldB.release();
  (await waiting).release();
  (await other).release();
});

test('a report that looks at every task of a thread, once for each of thousands that give up together', async () => {
  const arena = Arena.create({ bytes: 8 << 20 });
  const mutex = new Mutex(arena, 'accounts');
  const other = new Mutex(arena, 'other');
  const [held, heldToo] = [await mutex.acquireAsync(), await other.acquireAsync()];
  const patient = other.acquireAsync();
  let loads = 0;
  const { load } = arena.cpu;
  arena.cpu.load = (address) => {
    loads++;
    return load.call(arena.cpu, address);
  };
  const waits = Array.from({ length: 2000 }, () => mutex.acquireAsync({ timeout: 1 }).catch((error) => error));
  const errors = await Promise.all(waits);
  expect(loads / waits.length).toBeLessThan(1000);
  expect(errors.map(({ code }) => code)).toEqual(waits.map(() => 'ETIMEDOUT'));
  held.release();
  heldToo.release();
  (await patient).release();
});

test('a sleeper of waitv, or of a wait queue, is missing or takes the blocked thread for an asynchronous task', async () => {
  const { arena } = setup();
  const futex = new Futex(arena);
  const words = [arena.alloc(1), arena.alloc(1)];
  for (const word of words) arena.words[word] = 0;
  const waiting = futex.waitvAsync(words.map((word) => ({ word, value: 0 })));
  const queue = new WaitQueue(arena, 'q');
  const before = arena.waits();
  let during: readonly unknown[] = [];
  queue.wait(() => {
    during = arena.waits();
    return during.length > 2;
  });
  expect(before).toEqual(words.map((word) => ({ thread: 0, async: true, object: `word ${word}`, holders: [] })));
  expect(during).toContainEqual(
    expect.objectContaining({ thread: 0, async: false, object: 'wait-queue "q"', holders: [] }),
  );
  futex.wake(words[0] as number);
  await waiting;
  expect(arena.waits()).toEqual([]);
});

test('a report that does not say which object somebody waits for, or what to do with it', async () => {
  const arena = Arena.create();
  const name = 'n'.repeat(250);
  const leaving = new AbortController();
  const options = { signal: leaving.signal };
  const held = [new RwSemaphore(arena, name).acquireWrite(), new PercpuRwSemaphore(arena, 'p').acquireWrite()];
  held.push(new PthreadRwlock(arena, 'posix').acquireWrite());
  const waiting = [new RwSemaphore(arena, name), new PercpuRwSemaphore(arena, 'p'), new PthreadRwlock(arena, 'posix')]
    .flatMap((lock) => [lock.acquireReadAsync(options), lock.acquireWriteAsync(options)])
    .map((call) => call.catch((reason) => reason));
  await new Promise(setImmediate);
  expect(arena.waits().map((wait) => [wait.name, wait.mode, wait.handle?.type])).toEqual([
    [name, 'read', 'holdfast.rw-semaphore'],
    [name, 'write', 'holdfast.rw-semaphore'],
    ['p', 'read', 'holdfast.percpu-rw-semaphore'],
    ['p', 'write', 'holdfast.percpu-rw-semaphore'],
    ['posix', 'read', 'holdfast.pthread rwlock'],
    ['posix', 'write', 'holdfast.pthread rwlock'],
  ]);
  leaving.abort('over');
  expect(await Promise.all(waiting)).toEqual(Array(6).fill('over'));
  for (const guard of held) guard.release();
});
