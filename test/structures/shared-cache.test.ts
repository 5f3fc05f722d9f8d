import { describe, expect, test } from 'vitest';
import { Arena, SharedCache, type SharedCacheOptions } from '../../lib/index.ts';
import { exhaust, thrown } from '../support/threads.ts';
import { problemsOf } from './cache-check.ts';
import { randomFrom } from './xarray-model.ts';

/** A cache whose clock the test sets, ms. */
function make<V = unknown>(options?: SharedCacheOptions, bytes = 4 << 20) {
  const arena = Arena.create({ bytes });
  const cache = new SharedCache<unknown, V>(arena, 'cache', options);
  const clock = { ms: 1000 };
  arena.cpu.now = () => clock.ms * 1e6;
  return { arena, cache, clock, problems: () => problemsOf(arena, cache.address) };
}

/** Uses each of the keys, so that its use is seen to. */
function use(cache: SharedCache, ...keys: unknown[]): void {
  for (const key of keys) {
    expect(cache.get(key)).not.toBe(undefined);
    cache.drain();
  }
}

describe('a cache that is no map', () => {
  test('what was set comes back; what was deleted, or never set, does not', () => {
    const { cache, problems } = make();
    cache
      .set('a', 1)
      .set('b', { list: [2] })
      .set(3, undefined);
    expect([cache.get('a'), cache.get('b'), cache.get(3), cache.size]).toEqual([1, { list: [2] }, undefined, 3]);
    expect([cache.has('a'), cache.has(3), cache.has('x')]).toEqual([true, true, false]);
    cache.set('a', 'another');
    expect([cache.get('a'), cache.size]).toEqual(['another', 3]);
    expect([cache.delete('a'), cache.delete('a'), cache.get('a'), cache.size]).toEqual([true, false, undefined, 2]);
    cache.clear();
    expect([cache.has('b'), cache.size]).toEqual([false, 0]);
    expect(problems()).toEqual([]);
  });

  test.each([1, 2, 3])('random calls against a plain Map, seed %i', (seed) => {
    const { arena, cache, clock, problems } = make<string>({ max: 60, maxBytes: 4800 });
    const random = randomFrom(seed);
    const model = new Map<unknown, { value: string; expires: number; pins: number }>();
    const isOver = ({ expires }: { expires: number }) => expires !== 0 && expires <= clock.ms;
    for (let i = 0; i < 4000; i++) {
      clock.ms += random(3);
      const key = random(2) === 0 ? random(150) : `key ${random(40)}`;
      const known = model.get(key);
      const isThere = known !== undefined && !isOver(known) && cache.has(key);
      const call = random(20);
      if (call < 8) {
        const got = cache.get(key);
        expect(got).toBe(isThere ? known?.value : undefined);
      } else if (call < 15) {
        const ttl = random(3) === 0 ? 1 + random(200) : 0;
        const value = 'v'.repeat(random(60)) + i;
        cache.set(key, value, { ttl });
        // A `set` keeps the pins of an entry that was there, too old or not.
        const pins = known?.pins ?? 0;
        model.set(key, { value, expires: ttl === 0 ? 0 : clock.ms + ttl, pins });
        expect(cache.get(key)).toBe(value);
      } else if (call < 17) {
        expect(cache.delete(key)).toBe(isThere);
        model.delete(key);
      } else if (call === 17) {
        if ([...model.values()].filter(({ pins }) => pins > 0).length < 10) {
          expect(cache.pin(key)).toBe(isThere);
          if (isThere && known) known.pins++;
        }
      } else if (call === 18) {
        const pinned = [...model].find(([, { pins }]) => pins > 0);
        if (pinned !== undefined) {
          expect(cache.unpin(pinned[0])).toBe(true);
          pinned[1].pins--;
        }
      } else if (random(40) === 0) {
        cache.clear();
        model.clear();
      }
      expect(cache.size).toBeLessThanOrEqual(60);
      expect(cache.stats().bytes).toBeLessThanOrEqual(4800);
      // What is pinned is there; what was put out is not kept by the model either.
      for (const [each, entry] of model) {
        if (entry.pins > 0) expect(isOver(entry) || cache.has(each), `pinned ${String(each)} at ${i}`).toBe(true);
        else if (!cache.has(each)) model.delete(each);
      }
      if (i % 50 === 0) expect(problems()).toEqual([]);
    }
    expect(problems()).toEqual([]);
    expect(cache.stats().evictions).toBeGreaterThan(300);
    cache.clear();
    const { bytes, free } = cache.use();
    expect(bytes - free).toBeLessThan(bytes / 8);
    cache.destroy();
    expect(arena.fsck()).toEqual([]);
  });

  test('limits are those of whoever made it', () => {
    const arena = Arena.create();
    new SharedCache(arena, 'c', { max: 2 });
    const again = new SharedCache(arena, 'c', { max: 100 });
    for (let i = 0; i < 10; i++) again.set(i, i);
    expect(SharedCache.from(arena, again.handle).size).toBe(2);
  });

  test('options that cannot be are EINVAL', () => {
    const arena = Arena.create();
    const open = (options: object) => thrown(() => new SharedCache(arena, undefined, options)).code;
    for (const options of [
      { max: 0 },
      { max: 1.5 },
      { max: '3' },
      { maxBytes: -1 },
      { ttl: -1 },
      { ttl: Number.NaN },
      { size: 3 },
    ]) {
      expect(open(options), JSON.stringify(options)).toBe('EINVAL');
    }
    const { cache } = make();
    expect(thrown(() => cache.set('k', 1, { ttl: -1 })).code).toBe('EINVAL');
    expect(thrown(() => cache.set('k', () => 1)).code).toBe('EINVAL');
    expect(thrown(() => cache.set('k', 1, { expires: 3 } as never)).message).toMatch(/expires/);
    expect(cache.size).toBe(0);
  });
});

describe('what is put out', () => {
  test('is never what was used twice, while there is something that was not', () => {
    const { cache, problems } = make({ max: 20 });
    for (let i = 0; i < 5; i++) cache.set(`hot ${i}`, i);
    for (let i = 0; i < 5; i++) use(cache, `hot ${i}`, `hot ${i}`);
    expect(cache.stats()).toMatchObject({ active: 5, inactive: 0, activations: 5 });
    for (let i = 0; i < 1000; i++) cache.set(`scan ${i}`, i);
    expect([0, 1, 2, 3, 4].map((i) => cache.has(`hot ${i}`))).toEqual([true, true, true, true, true]);
    expect(cache.size).toBe(20);
    expect(problems()).toEqual([]);
  });

  test('of what was used once or never is the oldest first, but what was used is spared', () => {
    const { cache } = make({ max: 4 });
    for (const key of ['a', 'b', 'c', 'd']) cache.set(key, 1);
    use(cache, 'a');
    cache.set('e', 1);
    expect(['a', 'b', 'c', 'd', 'e'].map((key) => cache.has(key))).toEqual([true, false, true, true, true]);
  });

  test('of what was active is not what was used since', () => {
    const { cache } = make({ max: 8 });
    for (let i = 0; i < 8; i++) cache.set(i, i);
    for (let i = 0; i < 8; i++) use(cache, i, i);
    expect(cache.stats().active).toBe(8);
    // Half of them go to the inactive list, oldest first, and 0 and 1 are the oldest.
    use(cache, 0, 1);
    cache.set('new', 1);
    expect([0, 1, 2].map((i) => cache.has(i))).toEqual([true, true, false]);
  });

  test('and comes again soon is active at once, and the list that it was put out of gets longer', () => {
    const { cache } = make({ max: 8 });
    for (let i = 0; i < 9; i++) cache.set(i, i);
    expect(cache.has(0)).toBe(false);
    cache.set(0, 0);
    expect(cache.stats()).toMatchObject({ refaults: 1, active: 1 });
  });

  test('and comes again late is like a new one', () => {
    const { cache } = make({ max: 64 });
    for (let i = 0; i < 64 + 20 + 70; i++) cache.set(i, i);
    // More than 64 evictions ago.
    for (let i = 0; i < 20; i++) cache.set(i, i);
    expect(cache.stats()).toMatchObject({ refaults: 0, active: 0 });
    // Less.
    for (let i = 60; i < 80; i++) cache.set(i, i);
    expect(cache.stats().refaults).toBeGreaterThan(10);
  });

  test('makes room for so many entries, or so many bytes', () => {
    const { cache, problems } = make({ maxBytes: 8192 });
    for (let i = 0; i < 300; i++) cache.set(i, 'x'.repeat(i));
    expect(cache.stats().bytes).toBeLessThanOrEqual(8192);
    expect(cache.stats().bytes).toBeGreaterThan(8192 - 512);
    expect(thrown(() => cache.set('large', 'x'.repeat(9000))).code).toBe('ENOMEM');
    // Nothing was put out for what can't be.
    expect(cache.has(299)).toBe(true);
    expect(problems()).toEqual([]);
  });

  test('makes room when the arena is full', () => {
    const { arena, cache, problems } = make(undefined, 1 << 20);
    for (let i = 1000; i < 1100; i++) cache.set(i, `value ${i}`);
    exhaust(arena);
    for (let i = 1100; i < 2000; i++) cache.set(i, `value ${i}`);
    expect(cache.get(1999)).toBe('value 1999');
    expect(cache.size).toBeGreaterThan(30);
    expect(problems()).toEqual([]);
    // Nothing of the cache has blocks of that length.
    expect(thrown(() => cache.set('large', 'x'.repeat(50_000))).code).toBe('ENOMEM');
    expect(problems()).toEqual([]);
  });

  test('is what is too old, first', () => {
    const { cache, clock } = make({ max: 4, ttl: 50 });
    cache.set('a', 1).set('b', 1, { ttl: 10 }).set('c', 1, { ttl: 0 });
    use(cache, 'b');
    clock.ms += 9;
    expect(cache.get('b')).toBe(1);
    clock.ms += 1;
    expect([cache.get('b'), cache.has('b'), cache.size]).toEqual([undefined, false, 3]);
    expect(cache.delete('b')).toBe(false);
    clock.ms += 40;
    expect([cache.get('a'), cache.get('c')]).toEqual([undefined, 1]);
    cache.set('d', 1).set('e', 1).set('f', 1);
    expect(cache.stats()).toMatchObject({ entries: 4, expirations: 1, evictions: 0 });
  });
});

describe('hits', () => {
  const MAX = 100;
  /** Hits of a cache that puts out what was used longest ago. */
  function hitsOfLru(keys: readonly number[]): number {
    const lru = new Map<number, true>();
    let hits = 0;
    for (const key of keys) {
      if (lru.delete(key)) hits++;
      lru.set(key, true);
      if (lru.size > MAX) lru.delete(lru.keys().next().value as number);
    }
    return hits;
  }

  function hitsOfCache(keys: readonly number[]) {
    const { cache } = make({ max: MAX });
    for (const key of keys) if (cache.get(key) === undefined) cache.set(key, 1);
    return cache.stats();
  }

  const random = randomFrom(7);
  const uniform = () => random(1 << 20) / (1 << 20);
  /** Key n is asked for about as often as 1 / n. */
  const zipf = Array.from({ length: 20_000 }, () => Math.floor(2000 ** uniform()));
  const scans = zipf.flatMap((key, i) => (i % 400 === 0 ? Array.from({ length: 150 }, (_, n) => 5000 + i + n) : key));
  /** Keys of a window that moves on, the oldest most often. */
  const window = Array.from({ length: 20_000 }, (_, i) => Math.floor(i / 8 + uniform() ** 2 * 90));

  test('are more than those of LRU where few keys are asked for often', () => {
    const { hits, inactive } = hitsOfCache(zipf);
    expect((hits - hitsOfLru(zipf)) / zipf.length).toBeGreaterThan(0.02);
    expect(inactive).toBeLessThan(MAX / 4);
  });

  test('are more still with scans', () => {
    expect((hitsOfCache(scans).hits - hitsOfLru(scans)) / scans.length).toBeGreaterThan(0.03);
  });

  test('are no fewer, or hardly, where what is new is asked for', () => {
    const { hits, inactive } = hitsOfCache(window);
    expect((hits - hitsOfLru(window)) / window.length).toBeGreaterThan(-0.01);
    expect(inactive).toBeGreaterThan(MAX / 2);
  });
});

describe('pins', () => {
  test('nest, and keep an entry', () => {
    const { cache, problems } = make({ max: 3 });
    cache.set('a', 1);
    expect([cache.pin('a'), cache.pin('a'), cache.pin('x')]).toEqual([true, true, false]);
    let last = 0;
    const fill = () => {
      for (const end = last + 10; last < end; last++) cache.set(last, 1);
    };
    fill();
    expect(cache.stats()).toMatchObject({ pinned: 1, pinnedBytes: 64 });
    cache.unpin('a');
    cache.set('a', 'longer than before'.repeat(4));
    fill();
    expect(cache.has('a')).toBe(true);
    expect(cache.stats()).toMatchObject({ pinned: 1, pinnedBytes: 128 });
    expect([cache.unpin('a'), cache.unpin('x')]).toEqual([true, false]);
    expect(thrown(() => cache.unpin('a')).code).toBe('EPERM');
    expect(cache.stats()).toMatchObject({ pinned: 0, pinnedBytes: 0 });
    cache.set('b', 1).pin('b');
    cache.unpin('b');
    fill();
    expect(cache.has('b')).toBe(false);
    expect(problems()).toEqual([]);
  });

  test('beyond the limit, or of all entries, are ENOMEM, and change nothing', () => {
    const { cache, problems } = make({ max: 3, maxPinnedBytes: 128 });
    for (const key of ['a', 'b', 'c']) cache.set(key, 1);
    cache.pin('a');
    cache.pin('b');
    expect(thrown(() => cache.pin('c')).code).toBe('ENOMEM');
    expect(thrown(() => cache.set('a', 'x'.repeat(100))).code).toBe('ENOMEM');
    expect([cache.get('a'), cache.stats().pinned]).toEqual([1, 2]);
    const all = make({ max: 2 });
    for (const key of ['a', 'b']) all.cache.set(key, 1).pin(key);
    expect(thrown(() => all.cache.set('c', 1)).code).toBe('ENOMEM');
    expect([all.cache.size, all.cache.has('c')]).toEqual([2, false]);
    expect([...problems(), ...all.problems()]).toEqual([]);
  });
});

describe('what is counted', () => {
  test('hits and misses, of all views', () => {
    const { arena, cache } = make();
    const other = new SharedCache<unknown, unknown>(arena, 'cache');
    cache.set('a', 1);
    for (let i = 0; i < 40; i++) (i % 2 ? cache : other).get('a');
    other.get('x');
    expect(cache.stats()).toMatchObject({ hits: 40, misses: 1, entries: 1, bytes: 64 });
  });

  test('uses, also of those that two views have noted in turns, and of keys that are gone', () => {
    const { arena, cache, problems } = make();
    const other = new SharedCache<unknown, unknown>(arena, 'cache');
    for (let i = 0; i < 60; i++) cache.set(i, i);
    for (let i = 0; i < 60; i++) {
      cache.get(i);
      other.get(i);
      if (i % 7 === 0) cache.delete(i);
    }
    cache.drain();
    expect(cache.stats()).toMatchObject({ active: cache.size, activations: cache.size });
    expect(problems()).toEqual([]);
  });
});
