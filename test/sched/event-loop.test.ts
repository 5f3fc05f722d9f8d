/**
 * No task of an event loop blocks its thread for a latch, whoever has it: right before each latch that an asynchronous
 * call takes, another thread takes it, and is preempted or dies. (A thread of the stepper that sleeps for a latch throws
 * `Hang`, so the call rejects.)
 */
import { describe, expect, test } from 'vitest';
import { reservePiState } from '../../lib/futex/pi-state.ts';
import {
  type Arena,
  type AsyncWaitOptions,
  Completion,
  Futex,
  Mutex,
  PercpuRwSemaphore,
  PiFutex,
  PthreadBarrier,
  PthreadCond,
  PthreadMutex,
  PthreadRwlock,
  PthreadSem,
  RtMutex,
  RwSemaphore,
  Semaphore,
  SeqLock,
  WaitQueue,
} from '../../lib/index.ts';
import { Header } from '../../lib/memory/header.ts';
import { latch, tryLatch, unlatch } from '../../lib/memory/latch.ts';
import { ABORTABLE_OPTIONS, blockAsync, limitsOf } from '../../lib/sched/drive.ts';
import { CHUNK_TASKS } from '../../lib/sched/slot.ts';
import type { SlowPath, Waiter } from '../../lib/sched/slow-path.ts';
import { prepareToPark } from '../../lib/sched/task.ts';
import { type Step, stepper } from '../support/stepper.ts';

interface Wanted {
  wait(options?: AsyncWaitOptions): Promise<unknown>;
  /** The other thread lets it be had. */
  free(): void;
}

/** `there` has what `here` waits for. */
const KINDS: Record<string, (here: Arena, there: Arena) => Wanted> = {
  Mutex(here, there) {
    const lock = new Mutex(there);
    lock.lock();
    const mine = new Mutex(here, lock.handle);
    return { wait: (options) => mine.lockAsync(options), free: () => lock.unlock() };
  },
  RtMutex(here, there) {
    const lock = new RtMutex(there);
    lock.lock();
    const mine = new RtMutex(here, lock.handle);
    return { wait: (options) => mine.lockAsync(options), free: () => lock.unlock() };
  },
  'RwSemaphore, reading'(here, there) {
    const lock = new RwSemaphore(there);
    lock.downWrite();
    const mine = new RwSemaphore(here, lock.handle);
    return { wait: (options) => mine.downReadAsync(options), free: () => lock.upWrite() };
  },
  'RwSemaphore, reading along'(here, there) {
    const lock = new RwSemaphore(there);
    lock.downRead();
    const mine = new RwSemaphore(here, lock.handle);
    return { wait: (options) => mine.downReadAsync(options), free: () => lock.upRead() };
  },
  'RwSemaphore, writing'(here, there) {
    const lock = new RwSemaphore(there);
    lock.downRead();
    const mine = new RwSemaphore(here, lock.handle);
    return { wait: (options) => mine.downWriteAsync(options), free: () => lock.upRead() };
  },
  'PercpuRwSemaphore, reading'(here, there) {
    const lock = new PercpuRwSemaphore(there);
    lock.downWrite();
    const mine = new PercpuRwSemaphore(here, lock.handle);
    return { wait: (options) => mine.downReadAsync(options), free: () => lock.upWrite() };
  },
  'PercpuRwSemaphore, writing'(here, there) {
    const lock = new PercpuRwSemaphore(there);
    lock.downRead();
    const mine = new PercpuRwSemaphore(here, lock.handle);
    return { wait: (options) => mine.downWriteAsync(options), free: () => lock.upRead() };
  },
  'PercpuRwSemaphore, writing behind a writer'(here, there) {
    const lock = new PercpuRwSemaphore(there);
    lock.downWrite();
    const mine = new PercpuRwSemaphore(here, lock.handle);
    return { wait: (options) => mine.downWriteAsync(options), free: () => lock.upWrite() };
  },
  Semaphore(here, there) {
    const semaphore = new Semaphore(there, undefined, { permits: 0 });
    const mine = new Semaphore(here, semaphore.handle);
    return { wait: (options) => mine.downAsync(options), free: () => semaphore.up() };
  },
  'Semaphore, with a guard'(here, there) {
    const semaphore = new Semaphore(there, undefined, { permits: 0 });
    const mine = new Semaphore(here, semaphore.handle);
    return { wait: (options) => mine.acquireAsync(options), free: () => semaphore.up() };
  },
  Completion(here, there) {
    const completion = new Completion(there);
    const mine = new Completion(here, completion.handle);
    return { wait: (options) => mine.waitAsync(options), free: () => completion.complete() };
  },
  WaitQueue(here, there) {
    const queue = new WaitQueue(there);
    const mine = new WaitQueue(here, queue.handle);
    let isTrue = false;
    return {
      wait: (options) => mine.waitAsync(() => isTrue, { ...options, exclusive: true }),
      free() {
        isTrue = true;
        queue.wakeAll();
      },
    };
  },
  SeqLock(here, there) {
    const lock = new SeqLock(there);
    const at = there.alloc(1);
    lock.lock();
    const mine = new SeqLock(here, lock.handle);
    return { wait: (options) => mine.writeAsync(at, [7], options), free: () => lock.unlock() };
  },
  PthreadMutex(here, there) {
    const lock = new PthreadMutex(there);
    lock.lock();
    const mine = new PthreadMutex(here, lock.handle);
    return { wait: (options) => mine.lockAsync(options), free: () => lock.unlock() };
  },
  'PthreadMutex that inherits'(here, there) {
    const lock = new PthreadMutex(there, undefined, { protocol: 'inherit' });
    lock.lock();
    const mine = new PthreadMutex(here, lock.handle, { protocol: 'inherit' });
    return { wait: (options) => mine.lockAsync(options), free: () => lock.unlock() };
  },
  'PthreadRwlock, reading'(here, there) {
    const lock = new PthreadRwlock(there);
    lock.writeLock();
    const mine = new PthreadRwlock(here, lock.handle);
    return { wait: (options) => mine.acquireReadAsync(options), free: () => lock.unlock() };
  },
  'PthreadRwlock, writing'(here, there) {
    const lock = new PthreadRwlock(there);
    lock.readLock();
    const mine = new PthreadRwlock(here, lock.handle);
    return { wait: (options) => mine.acquireWriteAsync(options), free: () => lock.unlock() };
  },
  PthreadSem(here, there) {
    const semaphore = new PthreadSem(there);
    const mine = new PthreadSem(here, semaphore.handle);
    return { wait: (options) => mine.waitAsync(options), free: () => semaphore.post() };
  },
  PthreadCond(here, there) {
    const condition = new PthreadCond(there);
    const mine = new PthreadCond(here, condition.handle);
    const mutex = new PthreadMutex(here);
    return {
      async wait(options) {
        const guard = await mutex.acquireAsync();
        try {
          await mine.waitAsync(guard, options);
        } finally {
          guard.release();
        }
      },
      free: () => condition.signal(),
    };
  },
  PthreadBarrier(here, there) {
    const barrier = new PthreadBarrier(there, undefined, { count: 2 });
    const mine = new PthreadBarrier(here, barrier.handle, { count: 2 });
    return {
      wait: (options) => mine.waitAsync(options),
      free: () => void barrier.waitAsync({ timeout: 0 }).catch(() => {}),
    };
  },
  Futex(here, there) {
    const at = there.alloc(1);
    const futex = new Futex(there);
    const mine = new Futex(here);
    there.cpu.store(at, 0);
    return { wait: (options) => mine.waitAsync(at, 0, options), free: () => futex.wake(at) };
  },
  'Futex, several words'(here, there) {
    const at = there.alloc(2);
    const futex = new Futex(there);
    const mine = new Futex(here);
    there.cpu.store(at, 0);
    there.cpu.store(at + 1, 0);
    const words = [
      { word: at, value: 0 },
      { word: at + 1, value: 0 },
    ];
    return { wait: (options) => mine.waitvAsync(words, options), free: () => futex.wake(at + 1) };
  },
  'Futex that inherits'(here, there) {
    const at = there.alloc(1);
    const futex = new PiFutex(there);
    const mine = new PiFutex(here);
    there.cpu.store(at, 0);
    futex.lockPi(at);
    return { wait: (options) => mine.lockPiAsync(at, options), free: () => futex.unlockPi(at) };
  },
};

const turn = () => new Promise<void>((resolve) => setImmediate(resolve));

/** How many turns of the loop a call may need between two things that happen to it. */
const TURNS = 8;

async function turns(): Promise<void> {
  for (let i = 0; i < TURNS; i++) await turn();
}

/** CPU numbers plus one, as a latch's word has them. */
const WAITER = 1;
const INTRUDER = 2;

/** Before the waiting thread tries its nth latch, a free one. */
function beforeLatch(n: number): (step: Step) => boolean {
  let seen = 0;
  return ({ op, args }) => op === 'cmpxchgAcquire' && args[1] === 0 && args[2] === WAITER << 2 && ++seen === n;
}

type Threads = ReturnType<typeof stepper>;

/**
 * Runs `story` once for each latch that thread 0 takes in it: right before, thread 1 takes it. `letGo`: it is free again;
 * false when nobody had it. Returns how many latches there were.
 */
async function atEachLatch(
  make: (here: Arena, there: Arena) => Wanted,
  release: (threads: Threads, latch: number) => void,
  story: (wanted: Wanted, letGo: () => boolean) => Promise<void>,
): Promise<number> {
  for (let n = 1; ; n++) {
    const threads = stepper(3);
    const { arenas, real, before, cancel } = threads;
    const [here, , there] = arenas as [Arena, Arena, Arena];
    // Memory for the first tasks, and for a state of a priority-inheriting futex: objects are made by calls that block.
    here.thread.returnTask(here.thread.takeTask(here.heap));
    reservePiState(here);
    const wanted = make(here, there);
    const isNext = beforeLatch(n);
    let taken = 0;
    const find = (step: Step) => {
      if (!isNext(step)) return false;
      taken = step.address;
      return true;
    };
    before(0, find, () => expect(tryLatch(real, taken, INTRUDER)).toBe(true));
    await story(wanted, () => {
      if (taken === 0) return false;
      release(threads, taken);
      taken = 0;
      return true;
    });
    if (cancel(0)) return n - 1;
  }
}

const RELEASES: Record<string, (threads: Threads, latch: number) => void> = {
  'is preempted': ({ real }, latch) => unlatch(real, latch),
  dies({ die, reap }) {
    die(INTRUDER - 1);
    expect(reap(2)).toBe('done');
  },
};

describe.each(Object.entries(RELEASES))('a thread that has a latch %s', (_name, release) => {
  test.each(Object.entries(KINDS))('%s: the event loop turns, and the call goes on', async (name, make) => {
    const latches = await atEachLatch(make, release, async ({ wait, free }, letGo) => {
      // What the barrier waits for gives up at once.
      const call = name === 'PthreadBarrier' ? wait().catch(() => {}) : wait();
      await turns();
      letGo();
      await turns();
      free();
      await turns();
      letGo();
      await call;
    });
    expect(latches).toBeGreaterThan(0);
  });

  const waits = Object.entries(KINDS).filter(([name]) => name !== 'RwSemaphore, reading along');
  test.each(waits)('%s: the event loop turns, and an abort goes on', async (_kind, make) => {
    const latches = await atEachLatch(make, release, async ({ wait }, letGo) => {
      const controller = new AbortController();
      const call = wait({ signal: controller.signal });
      const ended = expect(call).rejects.toBe('given up');
      await turns();
      letGo();
      await turns();
      controller.abort('given up');
      await turns();
      letGo();
      await ended;
    });
    expect(latches).toBeGreaterThan(0);
  });
});

/** As with `abort()` and a wake-up that another thread sent: see `cancellation.test.ts`. */
test.each(Object.entries(KINDS).filter(([name]) => name !== 'RwSemaphore, reading along'))(
  '%s: what a call took inside abort() waits for news of a latch',
  async (_kind, make) => {
    const silently = ({ real }: Threads, latch: number) => real.store(latch, 0);
    await atEachLatch(make, silently, async ({ wait }, letGo) => {
      const controller = new AbortController();
      let isSettled = false;
      const settle = () => {
        isSettled = true;
      };
      const call = wait({ signal: controller.signal }).then(settle, settle);
      await turns();
      const wasTaken = letGo();
      controller.abort('given up');
      for (let hop = 0; hop < 40; hop++) await null;
      if (wasTaken) expect(isSettled).toBe(true);
      letGo();
      await call;
    });
  },
);

describe('a thread has the heap that a call needs for its task', () => {
  /** Thread 0 has no task left. */
  function stage() {
    const threads = stepper(3);
    const { arenas, real } = threads;
    const [here] = arenas as [Arena];
    const lock = new Mutex(here);
    const { thread, heap } = here;
    const spare = thread.takeTask(heap);
    while (thread.tasksInUse % CHUNK_TASKS !== 0) thread.takeTask(heap);
    latch(real, Header.heapLatch, INTRUDER);
    return { ...threads, here, lock, spare };
  }

  test('and is dead: nobody looks, because the call does not keep the event loop alive', async () => {
    const { here, lock, die, reap } = stage();
    die(INTRUDER - 1);
    here.cpu.onStall = () => void reap(2);
    await lock.lockAsync();
    here.cpu.onStall = undefined;
    expect(lock.isLocked).toBe(true);
  }, 20_000);

  test('and does not go on: an abort has no effect', async () => {
    const { lock, here } = stage();
    const controller = new AbortController();
    const waiting = lock.lockAsync({ signal: controller.signal });
    controller.abort('given up');
    await expect(waiting).rejects.toBe('given up');
    expect(lock.isLocked).toBe(false);
    expect(here.thread.waiters.size).toBe(0);
  }, 20_000);
});

describe('a path that throws', () => {
  const failure = new Error('no memory');
  const start = (path: (waiter: Waiter) => SlowPath<string>, signal?: AbortSignal) => {
    const { arenas } = stepper(1);
    const [{ thread, heap }] = arenas as [Arena];
    const call = blockAsync(thread, heap, limitsOf(thread.cpu, { signal }, ABORTABLE_OPTIONS), path);
    return { thread, call };
  };

  test('in its first step: the next sleep of its thread still sees it', async () => {
    let size = 0;
    const { thread, call } = start(function* ({ thread: { waiters } }) {
      size = waiters.size;
      if (size > 0) throw failure;
      yield;
      return 'unseen';
    });
    await expect(call).rejects.toBe(failure);
    expect([size, thread.waiters.size]).toEqual([1, 0]);
  });

  test('inside abort(): abort() throws, and the call comes to nothing', async () => {
    const controller = new AbortController();
    const { thread, call } = start(function* (waiter) {
      prepareToPark(waiter.thread.cpu, waiter.task);
      yield;
      if (waiter.aborted) throw failure;
      return 'woken';
    }, controller.signal);
    controller.abort();
    await expect(call).rejects.toBe(failure);
    expect(thread.waiters.size).toBe(0);
  });
});
