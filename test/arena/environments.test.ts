/** What test environments do to a program: fake clocks and timers, globals of another realm. */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { relative } from '../../lib/futex/deadline.ts';
import { Arena, Mutex } from '../../lib/index.ts';
import { Slot, slotAddress } from '../../lib/sched/slot.ts';
import { inThread, thrown, until } from '../support/threads.ts';

const THREADS = new URL('./deaths.threads.ts', import.meta.url).href;

const hrtime = process.hrtime.bigint.bind(process.hrtime);

setFlagsFromString('--expose-gc');
const gc = runInNewContext('gc') as () => void;

afterEach(() => {
  vi.useRealTimers();
});

/** Collects what nobody reaches. Weak references are strong until the turn in which they were made has ended. */
async function collect(): Promise<void> {
  for (let i = 0; i < 5; i++) {
    await new Promise((resume) => setTimeout(resume, 5));
    gc();
  }
}

const alive = (refs: readonly WeakRef<object>[]) => refs.filter((ref) => ref.deref() !== undefined).length;

test('a synchronous timeout that never ends, because a fake clock stands still', () => {
  const { cpu } = Arena.create();
  vi.useFakeTimers({ toFake: ['performance', 'hrtime', 'Date'] });
  const before = cpu.now();
  const begun = hrtime();
  while (hrtime() - begun < 2_000_000n);
  expect(cpu.now()).toBeGreaterThan(before);
});

test('a wait that leaves a fake timer behind, which runAllTimers runs for ever', async () => {
  const lock = new Mutex(Arena.create());
  lock.lock();
  vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval', 'setTimeout'] });
  const waiting = lock.lockAsync();
  expect(vi.getTimerCount()).toBe(0);
  lock.unlock();
  await waiting;
});

test('a realtime deadline on another clock than the Date.now() that it was made with', () => {
  const { cpu } = Arena.create();
  vi.useFakeTimers({ toFake: ['Date'], now: 1_000_000 });
  expect(relative(cpu, { deadline: 1_000_050, clock: 'realtime' }).timeout).toBe(50);
});

test("a handle whose buffer is another realm's", () => {
  const arena = Arena.create({ bytes: 1 << 17 });
  const buffer = runInNewContext(`new SharedArrayBuffer(${arena.handle.buffer.byteLength})`);
  new Int32Array(buffer).set(arena.words);
  expect(Arena.attach({ type: 'holdfast.arena', buffer })).toBe(arena);
});

test('two copies of the package in one thread take two places in an arena', async () => {
  const arena = Arena.create({ maxThreads: 1 });
  const lock = new Mutex(arena, 'm');
  vi.resetModules();
  const copy = await import('../../lib/index.ts');
  expect(copy.Arena).not.toBe(Arena);
  const theirs = new copy.Mutex(copy.Arena.attach(arena.handle), 'm');
  theirs.lock();
  expect(thrown(() => lock.lock()).code).toBe('EDEADLK');
  lock.unlock();
  expect(theirs.isLocked).toBe(false);
});

describe('an arena that nobody can reach', () => {
  const options = { bytes: 1 << 20, maxThreads: 2 };

  test('is kept', async () => {
    const refs = Array.from({ length: 10 }, () => new WeakRef(Arena.create(options)));
    await collect();
    expect(alive(refs)).toBeLessThan(3);
  });

  test('is kept for locks that nobody can reach, used or not', async () => {
    const use = async () => {
      const arena = Arena.create(options);
      const lock = new Mutex(arena, 'm');
      lock.lock();
      const waiting = lock.lockAsync();
      lock.unlock();
      await waiting;
      lock.unlock();
      return new WeakRef(arena);
    };
    const refs = await Promise.all(Array.from({ length: 10 }, use));
    await collect();
    expect(alive(refs)).toBeLessThan(3);
  });

  test('takes the place of the thread with it', async () => {
    const refs: WeakRef<object>[] = [];
    const make = () => {
      const { handle, thread, cpu } = Arena.create(options);
      return { handle, cpu, slot: thread.slot };
    };
    const { handle, cpu, slot } = make();
    const lock = () => {
      const arena = Arena.attach(handle);
      refs.push(new WeakRef(arena));
      new Mutex(arena, 'm').lock();
    };
    lock();
    await collect();
    expect(alive(refs)).toBe(0);
    // The thread has the mutex still, and may come back for it.
    expect(cpu.load(slot + Slot.life)).not.toBe(0);
    const unlock = () => {
      const arena = Arena.attach(handle);
      refs.push(new WeakRef(arena));
      new Mutex(arena, 'm').unlock();
    };
    unlock();
    await collect();
    expect(alive(refs)).toBe(0);
    expect(cpu.load(slot + Slot.life)).toBe(0);
    expect(Arena.attach(handle).fsck()).toEqual([]);
  });

  test('takes the recovery of a watched worker with it', async () => {
    const watch = () => {
      const arena = Arena.create(options);
      const ready = arena.alloc(1);
      arena.words[ready] = 0;
      const { worker } = inThread(arena, THREADS, 'hold', ready);
      return { worker, ref: new WeakRef(arena), handle: arena.handle, isReady: until(arena, ready, 1) };
    };
    const { worker, ref, handle, isReady } = watch();
    await isReady;
    await collect();
    expect(alive([ref])).toBe(0);
    const { cpu } = Arena.attach(handle);
    await worker.terminate();
    const lives = () => [0, 1].map((number) => cpu.load(slotAddress(cpu, number) + Slot.life));
    while (lives()[1] !== 0) await new Promise((resume) => setTimeout(resume, 5));
    expect(new Mutex(Arena.attach(handle), 'm').ownerDied).toBe(true);
  });
});

test('a listener for each arena: Node warns of a leak at eleven', async () => {
  const warnings: string[] = [];
  const onWarning = ({ message }: Error) => warnings.push(message);
  process.on('warning', onWarning);
  const arenas = Array.from({ length: 12 }, () => Arena.create({ bytes: 1 << 18 }));
  const { worker, result } = inThread(arenas[0] as Arena, THREADS, 'attachAll', ...arenas.map(({ handle }) => handle));
  for (const arena of arenas) arena.watch(worker);
  expect(worker.listenerCount('exit')).toBeLessThan(5);
  expect(await result).toBeLessThan(5);
  await new Promise((resume) => setTimeout(resume, 5));
  process.off('warning', onWarning);
  expect(warnings).toEqual([]);
});
