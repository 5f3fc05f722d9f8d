/** What a program in JavaScript passes that TypeScript would not have let through: it is told. */
import { expect, test } from 'vitest';
import { Arena } from '../../lib/arena/arena.ts';
import {
  Completion,
  Futex,
  Mutex,
  PercpuRef,
  PercpuRwSemaphore,
  PiFutex,
  PthreadBarrier,
  PthreadCond,
  PthreadMutex,
  PthreadOnce,
  PthreadRwlock,
  PthreadSem,
  RtMutex,
  RwSemaphore,
  Semaphore,
  SeqLock,
  SharedCache,
  Srcu,
  WaitQueue,
  WwClass,
  WwMutex,
} from '../../lib/index.ts';
import { thrown } from '../support/threads.ts';

type Call = (options: object) => unknown;

/** Each blocking call of each class, on an object that is free, in its synchronous and its asynchronous form. */
const CALLS: Record<string, (arena: Arena) => readonly [Call, Call]> = {
  Mutex: (arena) => [(o) => new Mutex(arena).lock(o), (o) => new Mutex(arena).lockAsync(o)],
  RtMutex: (arena) => [(o) => new RtMutex(arena).lock(o), (o) => new RtMutex(arena).lockAsync(o)],
  WwMutex(arena) {
    const wwClass = new WwClass(arena);
    const mutex = new WwMutex(wwClass);
    return [(o) => mutex.lock(undefined, o), (o) => mutex.lockAsync(wwClass.beginAsync(), o)];
  },
  'RwSemaphore, reading': (arena) => [
    (o) => new RwSemaphore(arena).downRead(o),
    (o) => new RwSemaphore(arena).downReadAsync(o),
  ],
  'RwSemaphore, writing': (arena) => [
    (o) => new RwSemaphore(arena).downWrite(o),
    (o) => new RwSemaphore(arena).downWriteAsync(o),
  ],
  'PercpuRwSemaphore, reading': (arena) => [
    (o) => new PercpuRwSemaphore(arena).downRead(o),
    (o) => new PercpuRwSemaphore(arena).downReadAsync(o),
  ],
  'PercpuRwSemaphore, writing': (arena) => [
    (o) => new PercpuRwSemaphore(arena).downWrite(o),
    (o) => new PercpuRwSemaphore(arena).downWriteAsync(o),
  ],
  Semaphore: (arena) => [(o) => new Semaphore(arena).down(o), (o) => new Semaphore(arena).downAsync(o)],
  'Semaphore, with a guard': (arena) => [
    (o) => new Semaphore(arena).acquire(o),
    (o) => new Semaphore(arena).acquireAsync(o),
  ],
  Completion(arena) {
    const done = new Completion(arena);
    done.completeAll();
    return [(o) => done.wait(o), (o) => done.waitAsync(o)];
  },
  WaitQueue: (arena) => [
    (o) => new WaitQueue(arena).wait(() => true, o),
    (o) => new WaitQueue(arena).waitAsync(() => true, o),
  ],
  Futex(arena) {
    const word = arena.alloc(1);
    return [(o) => new Futex(arena).wait(word, 1, o), (o) => new Futex(arena).waitAsync(word, 1, o)];
  },
  'Futex with a deadline'(arena) {
    const word = arena.alloc(1);
    return [(o) => new Futex(arena).waitBitset(word, 1, 1, o), (o) => new Futex(arena).waitBitsetAsync(word, 1, 1, o)];
  },
  'Futex, waitv'(arena) {
    const list = [{ word: arena.alloc(1), value: 1 }];
    return [(o) => new Futex(arena).waitv(list, o), (o) => new Futex(arena).waitvAsync(list, o)];
  },
  PiFutex(arena) {
    const word = arena.alloc(1);
    arena.words[word] = 0;
    return [(o) => new PiFutex(arena).lockPi(word, o), (o) => new PiFutex(arena).lockPiAsync(word, o)];
  },
  PthreadMutex: (arena) => [(o) => new PthreadMutex(arena).lock(o), (o) => new PthreadMutex(arena).lockAsync(o)],
  PthreadCond(arena) {
    const mutex = new PthreadMutex(arena);
    mutex.lock();
    return [
      (o) => new PthreadCond(arena).wait(mutex, o),
      async (o) => {
        const other = new PthreadMutex(arena);
        return new PthreadCond(arena).waitAsync(await other.acquireAsync(), o);
      },
    ];
  },
  'PthreadRwlock, reading': (arena) => [
    (o) => new PthreadRwlock(arena).readLock(o),
    (o) => new PthreadRwlock(arena).acquireReadAsync(o),
  ],
  'PthreadRwlock, writing': (arena) => [
    (o) => new PthreadRwlock(arena).writeLock(o),
    (o) => new PthreadRwlock(arena).acquireWriteAsync(o),
  ],
  PthreadSem: (arena) => [(o) => new PthreadSem(arena).wait(o), (o) => new PthreadSem(arena).waitAsync(o)],
  PthreadBarrier: (arena) => [
    (o) => new PthreadBarrier(arena, undefined, { count: 2 }).wait(o),
    (o) => new PthreadBarrier(arena, undefined, { count: 2 }).waitAsync(o),
  ],
  PthreadOnce: (arena) => [
    (o) => new PthreadOnce(arena).call(() => {}, o),
    (o) => new PthreadOnce(arena).callAsync(async () => {}, o),
  ],
  SeqLock(arena) {
    const lock = new SeqLock(arena);
    const at = arena.alloc(1);
    return [(o) => lock.write(at, [1], o), (o) => lock.writeAsync(at, [1], o)];
  },
  'Srcu, a grace period': (arena) => [
    (o) => new Srcu(arena).synchronize(o),
    (o) => new Srcu(arena).synchronizeAsync(o),
  ],
  'Srcu, its callbacks': (arena) => [(o) => new Srcu(arena).barrier(o), (o) => new Srcu(arena).barrierAsync(o)],
  PercpuRef(arena) {
    const ref = new PercpuRef(arena);
    ref.kill();
    return [(o) => ref.drain(o), (o) => ref.drainAsync(o)];
  },
  SharedCache: (arena) => [
    (o) => new SharedCache(arena).getOrComputeSync('key', () => 1, o),
    (o) => new SharedCache(arena).getOrCompute('key', () => 1, o),
  ],
};

/** The classes that have an option of their own. */
const OWN: Record<string, RegExp> = { permits: /^Semaphore/, exclusive: /^WaitQueue/, ttl: /^SharedCache/ };

test.each(Object.keys(CALLS))('%s: an option of another name is ignored', async (name) => {
  const arena = Arena.create({ bytes: 1 << 20 });
  const [sync, async] = (CALLS[name] as (typeof CALLS)[string])(arena);
  const code = { code: 'EINVAL', message: expect.stringMatching(/"timout"|deadline/) };
  expect(thrown(() => sync({ timout: 5 }))).toMatchObject(code);
  await expect(async({ timout: 5 })).rejects.toMatchObject(code);
  // A synchronous call could not look at its signal before it is over.
  expect(thrown(() => sync({ signal: new AbortController().signal })).code).toBe('EINVAL');
  // An event loop has other things to do than what it waits for.
  await expect(async({ detectDeadlock: true })).rejects.toMatchObject({ code: 'EINVAL' });
  // Those of other classes.
  const others = { permits: 1, exclusive: true, ttl: 1, batch: 1 };
  for (const [option, value] of Object.entries(others)) {
    if (OWN[option]?.test(name)) continue;
    expect(thrown(() => sync({ [option]: value })).message, option).toContain(`"${option}"`);
    await expect(async({ [option]: value }), option).rejects.toThrow(`"${option}"`);
  }
});

test('an option of another name is ignored where things are made', () => {
  const arena = Arena.create({ bytes: 1 << 20 });
  const { blocks } = arena.use();
  expect(thrown(() => Arena.create({ byts: 1 << 20 } as never)).message).toContain(
    '"byts"; there are bytes, maxThreads',
  );
  expect(thrown(() => new Semaphore(arena, 's', { permit: 2 } as never)).message).toContain('"permit"');
  expect(thrown(() => new PthreadMutex(arena, 'm', { recursive: true } as never)).message).toContain('"recursive"');
  expect(thrown(() => new WwClass(arena).begin({ inject: true } as never)).message).toContain('"inject"');
  expect(thrown(() => Arena.create(null as never)).code).toBe('EINVAL');
  // The class.
  expect(arena.use().blocks).toBe(blocks + 1);
});

test('a semaphore that was made with other permits is opened without a word', () => {
  const arena = Arena.create({ bytes: 1 << 20 });
  const made = new Semaphore(arena, 's', { permits: 2 });
  expect(thrown(() => new Semaphore(arena, 's', { permits: 3 })).message).toContain(
    'the semaphore "s" was made with 2 permits, not 3',
  );
  made.down();
  expect(new Semaphore(arena, 's', { permits: 2 }).permits).toBe(1);
  expect(new Semaphore(arena, 's').permits).toBe(1);
  expect(Semaphore.from(arena, made.handle).permits).toBe(1);
  new Semaphore(arena, 't');
  expect(thrown(() => new Semaphore(arena, 't', { permits: 2 })).message).toContain('was made with 1 permit');
});

test('a handle that went through JSON is "an object"', () => {
  const arena = Arena.create({ bytes: 1 << 20 });
  const copy = JSON.parse(JSON.stringify(arena.handle));
  expect(thrown(() => Arena.attach(copy)).message).toContain('JSON');
  // Those of objects have nothing to lose.
  const mutex = new Mutex(arena);
  expect(Mutex.from(arena, JSON.parse(JSON.stringify(mutex.handle))).address).toBe(mutex.address);
});
