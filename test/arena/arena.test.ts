import { Worker } from 'node:worker_threads';
import { expect, test } from 'vitest';
import { Arena, Mutex, SpinLock } from '../../lib/index.ts';
import { inThread, thrown, until } from '../support/threads.ts';

const THREADS = new URL('./arena.threads.ts', import.meta.url).href;

test('bad sizes that make an arena', () => {
  for (const bytes of [-1, 0, 1.5, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 32, 1000, '1' as never]) {
    expect(thrown(() => Arena.create({ bytes })).code).toBe('EINVAL');
  }
  expect(thrown(() => Arena.create({ bytes: 1000 })).message).toMatch(
    /1000 bytes is too small: 64 threads need at least \d+ bytes/,
  );
  for (const maxThreads of [0, -1, 1023, 2.5, Number.NaN]) {
    expect(thrown(() => Arena.create({ maxThreads })).code).toBe('EINVAL');
  }
});

test('the largest size that the message allows is refused, with the bytes of a negative length', () => {
  const arena = Arena.create({ bytes: 2 ** 31, maxThreads: 2 });
  expect(arena.use().bytes).toBeGreaterThan(2e9);
  const mutex = new Mutex(arena, 'm');
  mutex.lock();
  expect(Mutex.from(Arena.attach(arena.handle), mutex.handle).isLocked).toBe(true);
  mutex.unlock();
  expect(thrown(() => Arena.create({ bytes: 2 ** 31 + 4 })).message).toContain(`at most ${2 ** 31} bytes`);
});

test('attaching to what is no arena', () => {
  const buffer = new SharedArrayBuffer(1 << 16);
  const attach = (handle: unknown) => thrown(() => Arena.attach(handle as never));
  for (const handle of [
    undefined,
    null,
    3,
    {},
    buffer,
    { type: 'holdfast.arena' },
    { type: 'holdfast.arena', buffer: new ArrayBuffer(64) },
  ]) {
    expect(attach(handle).code).toBe('EINVAL');
  }
  expect(attach({ type: 'holdfast.arena', buffer }).message).toContain('no holdfast arena');
  expect(attach({ type: 'holdfast.arena', buffer: new SharedArrayBuffer(8) }).message).toContain('no holdfast arena');
  expect(new Int32Array(buffer).every((word) => word === 0)).toBe(true);
});

test('attaching to an arena of another layout version', () => {
  const arena = Arena.create();
  arena.detach();
  arena.words[1] = 999;
  const error = thrown(() => Arena.attach(arena.handle));
  expect(error.code).toBe('EINVAL');
  expect(error.message).toContain('layout version 999');
});

test('a thread that gets a second place by attaching twice', () => {
  const arena = Arena.create({ maxThreads: 1 });
  expect(Arena.attach(arena.handle)).toBe(arena);
  expect(Arena.attach(structuredClone(arena.handle))).toBe(arena);
});

test('more threads than the arena holds', async () => {
  const arena = Arena.create({ maxThreads: 2 });
  const first = inThread(arena, THREADS, 'cpuNumber');
  expect(await first.result).toBe(1);
  await first.exited;
  // The place is free again.
  const ready = arena.alloc(1);
  arena.words[ready] = 0;
  const second = inThread(arena, THREADS, 'holdPlace', ready);
  await until(arena, ready, 1);
  await expect(inThread(arena, THREADS, 'cpuNumber').result).rejects.toMatchObject({ code: 'EAGAIN' });
  await second.worker.terminate();
  await second.exited;
  expect(await inThread(arena, THREADS, 'cpuNumber').result).toBe(1);
});

test('use after detach', async () => {
  const arena = Arena.create({ bytes: 256 << 10, maxThreads: 4 });
  const mutex = new Mutex(arena, 'm');
  const spin = new SpinLock(arena, 's');
  mutex.lock();
  expect(thrown(() => arena.detach()).message).toContain('still holds the mutex "m"');
  mutex.unlock();
  const guard = await mutex.acquireAsync();
  expect(thrown(() => arena.detach()).code).toBe('EBUSY');
  guard.release();
  arena.detach();
  const before = [...arena.words];
  const calls = [
    () => mutex.lock(),
    () => mutex.tryLock(),
    () => mutex.unlock(),
    () => mutex.acquire(),
    () => spin.lock(),
    () => spin.tryLock(),
    () => spin.unlock(),
    () => arena.alloc(1),
    () => arena.free(0),
    () => arena.detach(),
    () => arena.watch(new Worker('', { eval: true })),
    () => new Mutex(arena),
    () => new Mutex(arena, 'm'),
    () => mutex.destroy(),
  ];
  for (const call of calls)
    expect(thrown(call)).toMatchObject({ code: 'EINVAL', message: expect.stringContaining('detached') });
  await expect(mutex.lockAsync()).rejects.toMatchObject({ code: 'EINVAL' });
  await expect(mutex.acquireAsync()).rejects.toMatchObject({ code: 'EINVAL' });
  expect([...arena.words]).toEqual(before);
});

test('handles of another kind or another arena', () => {
  const [arena, other] = [Arena.create(), Arena.create()];
  const mutex = new Mutex(arena);
  expect(Mutex.from(arena, structuredClone(mutex.handle)).address).toBe(mutex.address);
  expect(thrown(() => SpinLock.from(arena, mutex.handle)).message).toContain(
    'handle of a spin-lock, received "holdfast.mutex"',
  );
  expect(thrown(() => Mutex.from(other, mutex.handle)).message).toContain('not in this one');
  expect(thrown(() => Mutex.from(arena, { ...mutex.handle, address: mutex.address + 16 })).code).toBe('EINVAL');
  for (const handle of [null, {}, 'nonsense-name-is-fine']) {
    if (typeof handle !== 'string') expect(thrown(() => Mutex.from(arena, handle as never)).code).toBe('EINVAL');
  }
  expect(thrown(() => new Mutex({} as never)).message).toContain('lives in an Arena');
  expect(thrown(() => arena.watch({} as never)).code).toBe('EINVAL');
});
