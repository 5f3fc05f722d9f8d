import { once } from 'node:events';
import type { Worker } from 'node:worker_threads';
import { afterEach, describe, expect, test, vi } from 'vitest';
import type { Arena as View } from '../../lib/arena/arena.ts';
import { spawnWorker } from '../../lib/arena/spawn.ts';
import { Arena, Mutex, SpinLock } from '../../lib/index.ts';
import { Header } from '../../lib/memory/header.ts';
import { latch, unlatch } from '../../lib/memory/latch.ts';
import { Slot, slotAddress } from '../../lib/sched/slot.ts';
import { on, stepper } from '../support/stepper.ts';
import { inThread, thrown, until } from '../support/threads.ts';

const THREADS = new URL('./deaths.threads.ts', import.meta.url).href;
const onLinux = test.runIf(process.platform === 'linux');

/** A worker that holds the mutex "m" and that nobody watches. */
async function unwatched(arena: Arena): Promise<Worker> {
  const ready = arena.alloc(1);
  arena.words[ready] = 0;
  const workerData = { arena: arena.handle, module: THREADS, name: 'hold', args: [ready] };
  const worker = spawnWorker(new URL('../support/thread.ts', import.meta.url), { name: 'unwatched', workerData });
  await until(arena, ready, 1);
  return worker;
}

onLinux("a worker's worker ends with it, and its lock is never recovered", async () => {
  const arena = Arena.create();
  const mutex = new Mutex(arena, 'm');
  const ready = arena.alloc(1);
  arena.words[ready] = 0;
  const parent = inThread(arena, THREADS, 'startHolder', ready);
  await until(arena, ready, 1);
  await parent.worker.terminate();
  const guard = await mutex.acquireAsync();
  expect(guard.ownerDied).toBe(true);
  guard.release();
  expect(arena.fsck()).toEqual([]);
});

onLinux('a worker that has ended already is watched without effect', async () => {
  const arena = Arena.create();
  const mutex = new Mutex(arena, 'm');
  const worker = await unwatched(arena);
  await worker.terminate();
  arena.watch(worker);
  while (!mutex.tryLock()) await new Promise((resume) => setTimeout(resume, 5));
  expect(mutex.ownerDied).toBe(true);
});

onLinux('the holder has ended and nobody watches it: an asynchronous waiter waits for ever', async () => {
  const arena = Arena.create();
  const mutex = new Mutex(arena, 'm');
  const worker = await unwatched(arena);
  const waiting = mutex.acquireAsync();
  await worker.terminate();
  expect((await waiting).ownerDied).toBe(true);
});

onLinux('places of threads that have ended unwatched stay taken', async () => {
  const arena = Arena.create({ bytes: 512 << 10, maxThreads: 1 });
  const { handle } = arena;
  arena.detach();
  // The one place belongs to a thread that is gone.
  const { cpu } = arena;
  const slot = slotAddress(cpu, 0);
  cpu.store(slot + Slot.life, 4711);
  expect(thrown(() => Arena.attach(handle)).code).toBe('EAGAIN');
  cpu.store(slot + Slot.osThread, 2 ** 22 + 1);
  const again = Arena.attach(handle);
  expect(again.thread.number).toBe(0);
  expect(again.fsck()).toEqual([]);
});

test('a death that could not be settled when it was told, and nobody waits for anything', async () => {
  const arena = Arena.create();
  const { cpu } = arena;
  const mutex = new Mutex(arena, 'm');
  const ready = arena.alloc(1);
  arena.words[ready] = 0;
  const { worker, exited } = inThread(arena, THREADS, 'hold', ready);
  await until(arena, ready, 1);
  // A thread that lives, and is preempted with the latch of the names.
  const [number, life] = [5, slotAddress(cpu, 5) + Slot.life];
  cpu.store(life, 4711);
  latch(cpu, Header.namesLatch, number + 1);
  let passes = 0;
  const settle = cpu.condLoadAcquire;
  cpu.condLoadAcquire = (address, ...rest) => {
    if (address === Header.namesLatch) passes++;
    return settle.call(cpu, address, ...rest);
  };
  await worker.terminate();
  await exited;
  // The second is made in any case, for the worker's own workers.
  while (passes < 4) await new Promise((resume) => setTimeout(resume, 5));
  cpu.condLoadAcquire = settle;
  expect(mutex.tryLock()).toBe(false);
  unlatch(cpu, Header.namesLatch);
  while (!mutex.tryLock()) await new Promise((resume) => setTimeout(resume, 5));
  expect(mutex.ownerDied).toBe(true);
  cpu.store(life, 0);
});

test('a thread that has detached is told of a death, and nobody repairs', async () => {
  const arena = Arena.create();
  const mutex = new Mutex(arena, 'm');
  const ready = arena.alloc(1);
  arena.words[ready] = 0;
  const { worker } = inThread(arena, THREADS, 'hold', ready);
  await until(arena, ready, 1);
  arena.detach();
  const exited = once(worker, 'exit');
  await worker.terminate();
  await exited;
  const again = Arena.attach(arena.handle);
  const other = Mutex.from(again, mutex.handle);
  expect(other.tryLock()).toBe(true);
  expect(other.ownerDied).toBe(true);
});

test.each(['xchg', 'wait'] as const)(
  'a thread that ends spins while a live thread keeps a lock that a dead one queues for: it died before its %s',
  (op) => {
    const { arenas, killBefore, leave, reap, real } = stepper(4);
    const locks = (arenas as View[]).map((arena) => new SpinLock(arena, 's'));
    const mutexes = (arenas as View[]).map((arena) => new Mutex(arena, 'm'));
    locks[0]!.lock();
    mutexes[2]!.lock();
    expect(killBefore(1, on(op), () => locks[1]!.lock())).toBe(true);
    const reaped = leave(2);
    // What it could not settle it leaves to others, and itself among it.
    const life = real.load(arenas[2]!.thread.slot + Slot.life);
    if (reaped === 'done') expect(life).toBe(0);
    else expect(life).toBeLessThan(0);
    locks[0]!.unlock();
    expect(reap(3)).toBe('done');
    expect(mutexes[3]!.tryLock()).toBe(true);
    expect(arenas[3]!.fsck()).toEqual([]);
  },
);

test('a thread that ends waits for ever for a live thread that is not going on', () => {
  const { arenas, die, real, stopBefore, leave, reap } = stepper(4);
  const mutexes = (arenas as View[]).map((arena) => new Mutex(arena, 'm'));
  mutexes[2]!.lock();
  die(3);
  // Preempted with the latch of the names.
  const release = on('xchgRelease', Header.namesLatch);
  expect(stopBefore(0, release, () => new Mutex(arenas[0]!, 'n'))).toBe(true);
  expect(leave(2)).toBe('again');
  expect(real.load(arenas[2]!.thread.slot + Slot.life)).toBeLessThan(0);
  // It goes on.
  unlatch(real, Header.namesLatch);
  expect(reap(1)).toBe('done');
  expect(mutexes[1]!.tryLock()).toBe(true);
  expect(mutexes[1]!.ownerDied).toBe(true);
});

describe('a thread that waits in vain for one that has ended', () => {
  test('is not told that', () => {
    const { arenas, die } = stepper(2);
    const [first, second] = arenas as [View, View];
    const mutex = new Mutex(first, 'm');
    mutex.lock();
    const other = Mutex.from(second, mutex.handle);
    expect(thrown(() => other.lock({ timeout: 5 })).message).not.toContain('has ended');
    die(0);
    expect(thrown(() => other.lock({ timeout: 5 })).message).toContain('thread 0 has ended');
  });
});

describe('/proc', () => {
  afterEach(() => {
    vi.doUnmock('node:fs');
    vi.resetModules();
  });
  const failing = async (failure: (path: string) => string | undefined) => {
    vi.resetModules();
    vi.doMock('node:fs', () => ({
      readlinkSync: () => '1/task/1',
      statSync: (path: string) => {
        const code = failure(path);
        if (code !== undefined) throw Object.assign(new Error(code), { code });
      },
    }));
    return import('../../lib/arena/liveness.ts');
  };

  test.each([
    { name: 'denied', isKnown: false, failure: () => 'ERR_ACCESS_DENIED' },
    {
      name: 'denied for one thread',
      isKnown: false,
      failure: (path: string) => (path.endsWith('/77') ? 'ERR_ACCESS_DENIED' : undefined),
    },
    { name: 'not readable', isKnown: false, failure: () => 'EACCES' },
    { name: 'not there', isKnown: false, failure: () => 'ENOENT' },
    { name: 'there', isKnown: true, failure: (path: string) => (path.endsWith('/77') ? 'ENOENT' : undefined) },
  ])('throws through a slow path, or counts the living as gone: $name', async ({ failure, isKnown }) => {
    const { isGone } = await failing(failure);
    expect(isGone(77)).toBe(isKnown);
    expect(isGone(0)).toBe(false);
  });
});
