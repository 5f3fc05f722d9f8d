/** One case for each kind that can be waited for asynchronously. For tests that go through all of them. */
import {
  type Arena,
  type AsyncWaitOptions,
  Completion,
  Futex,
  Mutex,
  PercpuRwSemaphore,
  PthreadBarrier,
  PthreadMutex,
  PthreadOnce,
  PthreadRwlock,
  PthreadSem,
  RtMutex,
  RwSemaphore,
  Semaphore,
  SeqLock,
  WaitQueue,
  WwClass,
  WwMutex,
} from '../../lib/index.ts';

/** A way to wait for an object of a kind asynchronously. */
export interface Waiting {
  wait(options: AsyncWaitOptions): Promise<unknown>;
  /** Lets the waiter have what it waits for, if it still waits. */
  free(): void;
  /** Whether the waiter left what it waited for to others. */
  isLeft?(): boolean;
}

/** Every kind that can be waited for so: how to make one that is not free. */
export const WAITS: Record<string, (arena: Arena) => Waiting | Promise<Waiting>> = {
  Mutex(arena) {
    const lock = new Mutex(arena);
    lock.lock();
    return { wait: (options) => lock.acquireAsync(options), free: () => lock.unlock(), isLeft: () => lock.tryLock() };
  },
  RtMutex(arena) {
    const lock = new RtMutex(arena);
    lock.lock();
    return { wait: (options) => lock.acquireAsync(options), free: () => lock.unlock(), isLeft: () => lock.tryLock() };
  },
  WwMutex(arena) {
    const wwClass = new WwClass(arena);
    const lock = new WwMutex(wwClass);
    lock.lock();
    const context = wwClass.beginAsync();
    return {
      wait: (options) => lock.lockAsync(context, options),
      free: () => lock.unlock(),
      isLeft: () => lock.tryLock(),
    };
  },
  'RwSemaphore, reading'(arena) {
    const lock = new RwSemaphore(arena);
    lock.downWrite();
    return {
      wait: (options) => lock.acquireReadAsync(options),
      free: () => lock.upWrite(),
      isLeft: () => lock.tryDownWrite(),
    };
  },
  'RwSemaphore, writing'(arena) {
    const lock = new RwSemaphore(arena);
    lock.downRead();
    return {
      wait: (options) => lock.acquireWriteAsync(options),
      free: () => lock.upRead(),
      isLeft: () => lock.tryDownWrite(),
    };
  },
  'RwSemaphore, fifo, writing'(arena) {
    const lock = new RwSemaphore(arena, undefined, { fifo: true });
    lock.downRead();
    return {
      wait: (options) => lock.acquireWriteAsync(options),
      free: () => lock.upRead(),
      isLeft: () => lock.tryDownWrite(),
    };
  },
  'PercpuRwSemaphore, reading'(arena) {
    const lock = new PercpuRwSemaphore(arena);
    lock.downWrite();
    return {
      wait: (options) => lock.acquireReadAsync(options),
      free: () => lock.upWrite(),
      isLeft: () => lock.tryDownWrite(),
    };
  },
  'PercpuRwSemaphore, writing'(arena) {
    const lock = new PercpuRwSemaphore(arena);
    lock.downRead();
    return {
      wait: (options) => lock.acquireWriteAsync(options),
      free: () => lock.upRead(),
      isLeft: () => lock.tryDownWrite(),
    };
  },
  'Semaphore, with a guard'(arena) {
    const semaphore = new Semaphore(arena, undefined, { permits: 0 });
    return {
      wait: (options) => semaphore.acquireAsync(options),
      free: () => semaphore.up(),
      isLeft: () => semaphore.tryDown(),
    };
  },
  Semaphore(arena) {
    const semaphore = new Semaphore(arena, undefined, { permits: 0 });
    return {
      wait: (options) => semaphore.downAsync(options),
      free: () => semaphore.up(),
      isLeft: () => semaphore.tryDown(),
    };
  },
  Completion(arena) {
    const completion = new Completion(arena);
    return {
      wait: (options) => completion.waitAsync(options),
      free: () => completion.complete(),
      isLeft: () => completion.tryWait(),
    };
  },
  WaitQueue(arena) {
    const queue = new WaitQueue(arena);
    let isTrue = false;
    return {
      wait: (options) => queue.waitAsync(() => isTrue, options),
      free() {
        isTrue = true;
        queue.wakeAll();
      },
      isLeft: () => queue.waiting === 0,
    };
  },
  SeqLock(arena) {
    const lock = new SeqLock(arena);
    const at = arena.alloc(1);
    Atomics.store(arena.words, at, 0);
    lock.lock();
    return {
      wait: (options) => lock.writeAsync(at, [7], options),
      free: () => lock.unlock(),
      isLeft: () => Atomics.load(arena.words, at) === 0,
    };
  },
  'PthreadMutex, inherit'(arena) {
    const lock = new PthreadMutex(arena, undefined, { protocol: 'inherit' });
    lock.lock();
    return { wait: (options) => lock.acquireAsync(options), free: () => lock.unlock(), isLeft: () => lock.tryLock() };
  },
  PthreadMutex(arena) {
    const lock = new PthreadMutex(arena);
    lock.lock();
    return { wait: (options) => lock.acquireAsync(options), free: () => lock.unlock(), isLeft: () => lock.tryLock() };
  },
  'PthreadRwlock, reading'(arena) {
    const lock = new PthreadRwlock(arena);
    lock.writeLock();
    return {
      wait: (options) => lock.acquireReadAsync(options),
      free: () => lock.unlock(),
      isLeft: () => lock.tryWriteLock(),
    };
  },
  'PthreadRwlock, writing'(arena) {
    const lock = new PthreadRwlock(arena);
    lock.readLock();
    return {
      wait: (options) => lock.acquireWriteAsync(options),
      free: () => lock.unlock(),
      isLeft: () => lock.tryWriteLock(),
    };
  },
  PthreadSem(arena) {
    const semaphore = new PthreadSem(arena);
    return {
      wait: (options) => semaphore.waitAsync(options),
      free: () => semaphore.post(),
      isLeft: () => semaphore.tryWait(),
    };
  },
  PthreadBarrier(arena) {
    const barrier = new PthreadBarrier(arena, undefined, { count: 2 });
    return {
      wait: (options) => barrier.waitAsync(options),
      free: () => {},
      isLeft: () => barrier.waiting === 0,
    };
  },
  async PthreadOnce(arena) {
    const once = new PthreadOnce(arena);
    let end = () => {};
    const running = new Promise<void>((resolve) => {
      end = resolve;
    });
    void once.callAsync(() => running);
    await 0;
    return { wait: (options) => once.callAsync(() => {}, options), free: () => end() };
  },
  'Futex, waitv'(arena) {
    const futex = new Futex(arena);
    const words = [arena.alloc(1), arena.alloc(1)].map((word) => ({ word, value: 0 }));
    for (const { word } of words) Atomics.store(arena.words, word, 0);
    const last = words[1]!.word;
    return {
      wait: ({ timeout, signal }) =>
        futex.waitvAsync(words, { signal, deadline: timeout === undefined ? undefined : futex.now() + timeout }),
      free: () => futex.wake(last),
      isLeft: () => futex.wake(last) === 0,
    };
  },
  Futex(arena) {
    const futex = new Futex(arena);
    const at = arena.alloc(1);
    Atomics.store(arena.words, at, 0);
    return {
      wait: (options) => futex.waitAsync(at, 0, options),
      free: () => futex.wake(at),
      isLeft: () => futex.wake(at) === 0,
    };
  },
};
