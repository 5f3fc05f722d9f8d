/** `getOrCompute`: one caller computes, in whatever thread, and the others get what it has made. */
import { describe, expect, test } from 'vitest';
import { Arena, Mutex, SharedCache } from '../../lib/index.ts';
import { asleep, exhaust, inThread, thrown, until } from '../support/threads.ts';
import { problemsOf } from './cache-check.ts';

const module = import.meta.resolve('./shared-cache.threads.ts');

function make() {
  const arena = Arena.create({ bytes: 4 << 20 });
  const cache = new SharedCache<string, unknown>(arena, 'cache');
  return { arena, cache, problems: () => problemsOf(arena, cache.address) };
}

/** A promise, and what settles it. */
function deferred<T>() {
  let resolve: (value: T) => void = () => {};
  let reject: (error: Error) => void = () => {};
  const promise = new Promise<T>((yes, no) => {
    resolve = yes;
    reject = no;
  });
  return { promise, resolve, reject };
}

describe('in one thread', () => {
  test('callers that have waited have the value also when it is too old before they run', async () => {
    const { arena, cache, problems } = make();
    // Ten milliseconds between two looks at the clock.
    let ms = 0;
    arena.cpu.now = () => (ms += 10) * 1e6;
    let calls = 0;
    const compute = () => cache.getOrCompute('k', async () => ++calls, { ttl: 5 });
    expect(await Promise.all([compute(), compute(), compute()])).toEqual([1, 1, 1]);
    expect(await compute()).toBe(2);
    expect(problems()).toEqual([]);
  });

  test('the function runs once for all callers, and the value is stored', async () => {
    const { cache, problems } = make();
    let calls = 0;
    const all = Array.from({ length: 20 }, () =>
      cache.getOrCompute('k', async (key) => {
        calls++;
        await new Promise(setImmediate);
        return `${key}!`;
      }),
    );
    expect(new Set(await Promise.all(all))).toEqual(new Set(['k!']));
    expect([calls, cache.get('k'), cache.size]).toEqual([1, 'k!', 1]);
    expect(await cache.getOrCompute('k', () => 'never')).toBe('k!');
    expect(await cache.getOrCompute('other', () => 2)).toBe(2);
    expect(problems()).toEqual([]);
  });

  test('nothing of a computation is seen before it is over', async () => {
    const { cache, problems } = make();
    const { promise, resolve } = deferred<number>();
    const computed = cache.getOrCompute('k', () => promise);
    expect([cache.get('k'), cache.has('k'), cache.size, cache.delete('x')]).toEqual([undefined, false, 0, false]);
    expect(problems()).toEqual([]);
    resolve(5);
    expect([await computed, cache.get('k'), cache.size]).toEqual([5, 5, 1]);
  });

  test('arena.waits() shows the cache and the thread that computes, not a block of the heap that nobody knows', async () => {
    const { arena, cache } = make();
    const { promise, resolve } = deferred<number>();
    const computed = cache.getOrCompute('k', () => promise);
    const waiting = cache.getOrCompute('k', () => -1);
    await new Promise(setImmediate);
    expect(arena.waits()).toMatchObject([
      { thread: 0, async: true, object: 'shared-cache "cache"', name: 'cache', handle: cache.handle, holders: [0] },
    ]);
    expect(arena.list().find(({ name }) => name === 'cache')).toMatchObject({ holders: [], waiters: 1 });
    resolve(5);
    expect(await Promise.all([computed, waiting])).toEqual([5, 5]);
  });

  test('one that throws lets the next compute', async () => {
    const { cache, problems } = make();
    let calls = 0;
    const fail = async () => {
      calls++;
      await new Promise(setImmediate);
      throw new Error('no');
    };
    const results = [cache.getOrCompute('k', fail), cache.getOrCompute('k', () => 7), cache.getOrCompute('k', fail)];
    const [first, second, third] = await Promise.allSettled(results);
    expect(first).toMatchObject({ status: 'rejected', reason: { message: 'no' } });
    expect([second, third]).toEqual([
      { status: 'fulfilled', value: 7 },
      { status: 'fulfilled', value: 7 },
    ]);
    expect(calls).toBe(1);
    expect(
      thrown(() =>
        cache.getOrComputeSync('s', () => {
          throw new Error('sync');
        }),
      ).message,
    ).toBe('sync');
    expect(cache.getOrComputeSync('s', () => 1)).toBe(1);
    expect(problems()).toEqual([]);
  });

  test('what was set or deleted meanwhile is newer than what was computed', async () => {
    const { cache, problems } = make();
    const [one, two, three] = [deferred<number>(), deferred<number>(), deferred<number>()];
    const set = cache.getOrCompute('set', () => one.promise);
    const waits = cache.getOrCompute('set', () => -1);
    const gone = cache.getOrCompute('gone', () => two.promise);
    const cleared = cache.getOrCompute('cleared', () => three.promise);
    cache.set('set', 9);
    cache.delete('gone');
    // The task that waited finds what was set, before the computation is over.
    expect(await waits).toBe(9);
    cache.clear();
    cache.set('set', 9);
    for (const { resolve } of [one, two, three]) resolve(1);
    expect(await Promise.all([set, gone, cleared])).toEqual([1, 1, 1]);
    expect([cache.get('set'), cache.has('gone'), cache.has('cleared')]).toEqual([9, false, false]);
    expect(problems()).toEqual([]);
  });

  test('one that is too old is computed anew', async () => {
    const { arena, cache, problems } = make();
    const clock = { ms: 10 };
    arena.cpu.now = () => clock.ms * 1e6;
    expect(cache.getOrComputeSync('k', () => 1, { ttl: 5 })).toBe(1);
    clock.ms += 4;
    expect(cache.getOrComputeSync('k', () => 2)).toBe(1);
    clock.ms += 1;
    expect(cache.getOrComputeSync('k', () => 2)).toBe(2);
    expect(cache.size).toBe(1);
    expect(problems()).toEqual([]);
  });

  test('a synchronous call for what the thread itself computes is EDEADLK, not the end', async () => {
    const { cache } = make();
    const { promise, resolve } = deferred<number>();
    const computed = cache.getOrCompute('k', () => promise);
    expect(thrown(() => cache.getOrComputeSync('k', () => 1)).code).toBe('EDEADLK');
    expect(thrown(() => cache.getOrComputeSync('a', () => cache.getOrComputeSync('a', () => 1))).code).toBe('EDEADLK');
    resolve(3);
    expect(await computed).toBe(3);
    expect(cache.getOrComputeSync('a', () => cache.getOrComputeSync('b', () => 4))).toBe(4);
  });

  test('a wait ends with its signal', async () => {
    const { cache } = make();
    const { promise, resolve } = deferred<number>();
    const computed = cache.getOrCompute('k', () => promise);
    const controller = new AbortController();
    const waits = cache.getOrCompute('k', () => 1, { signal: controller.signal });
    controller.abort(new Error('enough'));
    await expect(waits).rejects.toThrow('enough');
    await expect(cache.getOrCompute('k', () => 1, { timeout: 0 })).rejects.toMatchObject({
      code: 'ETIMEDOUT',
      message: expect.stringContaining('within 0 ms: another caller computes the value'),
    });
    expect(thrown(() => cache.destroy()).code).toBe('EBUSY');
    resolve(3);
    expect(await computed).toBe(3);
    cache.destroy();
  });

  test('values that cannot be stored', async () => {
    const { arena, cache, problems } = make();
    await expect(cache.getOrCompute('k', () => () => {})).rejects.toMatchObject({ code: 'EINVAL' });
    expect(thrown(() => cache.getOrComputeSync('k', () => Promise.resolve(1))).code).toBe('EINVAL');
    await expect(cache.getOrCompute('k', 3 as never)).rejects.toMatchObject({ code: 'EINVAL' });
    await expect(cache.getOrCompute('k', () => 1, { wait: 3 } as never)).rejects.toMatchObject({ code: 'EINVAL' });
    exhaust(arena);
    const large = 'x'.repeat(100_000);
    expect(cache.getOrComputeSync('k', () => large)).toBe(large);
    expect(await cache.getOrCompute('k', () => large)).toBe(large);
    expect(cache.size).toBe(0);
    expect(problems()).toEqual([]);
  });
});

describe('in several threads', () => {
  test('the function runs once', async () => {
    const { arena, cache, problems } = make();
    const counter = arena.alloc(1);
    const threads = [1, 2, 3].map(() => inThread<number>(arena, module, 'computeMany', counter));
    const sums = await Promise.all(threads.map(({ result }) => result));
    expect(new Set(sums).size).toBe(1);
    expect(Atomics.load(arena.words, counter)).toBe(50);
    expect(cache.size).toBe(50);
    await Promise.all(threads.map(({ reaped }) => reaped()));
    expect(problems()).toEqual([]);
  });

  test('a value that is computed on an event loop: a wait for it is shown, and is no proof of a deadlock', async () => {
    const { arena, cache } = make();
    const { promise, resolve } = deferred<number>();
    const computed = cache.getOrCompute('k', () => promise);
    const { result, reaped } = inThread<number>(arena, module, 'waitHolding');
    await asleep(arena, 1);
    const late = thrown(() => new Mutex(arena, 'held').lock({ timeout: 10, detectDeadlock: true }));
    expect(late.code).toBe('ETIMEDOUT');
    expect(late.message).toContain('thread 1 waits for the shared-cache "cache", held by thread 0');
    resolve(5);
    expect(await Promise.all([computed, result])).toEqual([5, 5]);
    await reaped();
  });

  test('a thread that dies while it computes leaves that to one that waits', async () => {
    const { arena, cache, problems } = make();
    const started = arena.alloc(1);
    const { worker, reaped } = inThread(arena, module, 'computeForever', started);
    await until(arena, started, 1);
    let calls = 0;
    const compute = () => cache.getOrCompute('k', () => ++calls);
    const waits = [compute(), compute()];
    await worker.terminate();
    await reaped();
    expect(await Promise.all(waits)).toEqual([1, 1]);
    expect(problems()).toEqual([]);
  });
});
