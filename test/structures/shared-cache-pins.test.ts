/** `pinAll`: what is there, what comes in, and what is used. */
import { describe, expect, test } from 'vitest';
import { Arena, SharedCache, type SharedCacheOptions } from '../../lib/index.ts';
import { stepper } from '../support/stepper.ts';
import { thrown } from '../support/threads.ts';
import { problemsOf } from './cache-check.ts';

function make(options?: SharedCacheOptions) {
  const arena = Arena.create({ bytes: 4 << 20 });
  const cache = new SharedCache<unknown, unknown>(arena, 'cache', options);
  const problems = () => problemsOf(arena, cache.address);
  let last = 0;
  /** As many new entries as put out all that can be. */
  const flood = () => {
    for (const end = last + 40; last < end; last++) cache.set(last, 1);
  };
  const areThere = (...keys: unknown[]) => keys.filter((key) => cache.has(key)).join('');
  return { arena, cache, problems, flood, areThere };
}

describe('pins of an entry that is too old', () => {
  function tooOld() {
    const made = make({ max: 4 });
    const clock = { ms: 1000 };
    made.arena.cpu.now = () => clock.ms * 1e6;
    made.cache.set('a', 'old', { ttl: 10 });
    made.cache.pin('a');
    made.cache.pin('a');
    clock.ms += 20;
    return made;
  }

  test('are those of the value that is computed anew, or set meanwhile', () => {
    for (const isSetMeanwhile of [false, true]) {
      const { cache, flood, problems } = tooOld();
      const compute = () => {
        expect(cache.stats()).toMatchObject({ pinned: 0, pinnedBytes: 0 });
        if (isSetMeanwhile) cache.set('a', 'new');
        return 'new';
      };
      expect(cache.getOrComputeSync('a', compute)).toBe('new');
      expect(cache.stats()).toMatchObject({ pinned: 1, pinnedBytes: 64, pins: 2 });
      flood();
      expect([cache.get('a'), cache.unpin('a'), cache.unpin('a')]).toEqual(['new', true, true]);
      expect(thrown(() => cache.unpin('a')).code).toBe('EPERM');
      expect(cache.stats()).toMatchObject({ pinned: 0, culled: 1, rescued: 1 });
      expect(problems()).toEqual([]);
    }
  });

  test('can be undone while it is computed', () => {
    const { cache, problems } = tooOld();
    cache.pinAll();
    const compute = () => {
      expect(cache.unpin('a')).toBe(true);
      cache.unpinAll();
      expect([cache.unpin('a'), cache.unpin('a')]).toEqual([true, false]);
      return 'new';
    };
    expect(cache.getOrComputeSync('a', compute)).toBe('new');
    expect(cache.stats()).toMatchObject({ pinned: 0, pins: 3, unpins: 3 });
    expect(problems()).toEqual([]);
  });

  test('go with the entry when nothing comes of the computation', () => {
    const { cache, problems } = tooOld();
    const fails = () => {
      throw new Error('no');
    };
    expect(thrown(() => cache.getOrComputeSync('a', fails)).message).toBe('no');
    expect([cache.unpin('a'), cache.set('a', 1).stats().pinned]).toEqual([false, 0]);
    expect(problems()).toEqual([]);
  });
});

describe('pinAll', () => {
  test('keeps what is there, and nothing that comes later', () => {
    const { cache, problems, flood, areThere } = make({ max: 6 });
    cache.set('a', 1).set('b', 2);
    cache.pinAll();
    cache.set('c', 3);
    flood();
    expect(areThere('a', 'b', 'c')).toBe('ab');
    expect(cache.stats()).toMatchObject({ pinned: 2, pins: 2, unpins: 0, culled: 2, rescued: 0 });
    cache.unpinAll();
    flood();
    expect(areThere('a', 'b')).toBe('');
    expect(cache.stats()).toMatchObject({ pinned: 0, pinnedBytes: 0, pins: 2, unpins: 2, culled: 2, rescued: 2 });
    expect(problems()).toEqual([]);
  });

  test('of what comes later keeps that, until it is said otherwise, and not what was there', () => {
    const { cache, problems, flood, areThere } = make({ max: 6 });
    cache.set('a', 1);
    cache.pinAll({ current: false, future: true });
    cache.set('b', 2).set('a', 3);
    expect(cache.getOrComputeSync('c', () => 4)).toBe(4);
    cache.pinAll({ current: true, future: false });
    expect(thrown(() => cache.unpin('b')).code).toBe('EPERM');
    expect(cache.stats()).toMatchObject({ pinned: 3, pins: 3, culled: 3 });
    flood();
    expect(areThere('a', 'b', 'c')).toBe('abc');
    cache.unpinAll();
    expect(cache.stats()).toMatchObject({ pinned: 0, rescued: 3 });
    expect(cache.set('d', 1).stats().pinned).toBe(0);
    expect(problems()).toEqual([]);
  });

  test('on first use keeps what is used, of what is there and of what comes in', () => {
    const { cache, problems, flood, areThere } = make({ max: 6 });
    cache.set('a', 1).set('b', 2);
    cache.pinAll({ current: true, future: true, onFirstUse: true });
    cache.set('c', 3).set('d', 4);
    expect(cache.stats().pinned).toBe(0);
    expect([cache.get('a'), cache.get('c'), cache.has('b')]).toEqual([1, 3, true]);
    expect(cache.stats()).toMatchObject({ pinned: 2, pins: 2, culled: 2 });
    flood();
    expect(areThere('a', 'b', 'c', 'd')).toBe('ac');
    cache.set('e', 5).unpinAll();
    expect([cache.get('e'), cache.set('f', 6).get('f')]).toEqual([5, 6]);
    expect(cache.stats()).toMatchObject({ pinned: 0, pins: 2, unpins: 2, rescued: 2 });
    expect(problems()).toEqual([]);
  });

  test('on first use keeps what is active, and what has become so since', () => {
    const { cache, problems } = make({ max: 6 });
    for (const key of ['a', 'b', 'c']) cache.set(key, 1);
    for (let i = 0; i < 3; i++) {
      cache.get('a');
      cache.drain();
    }
    for (const key of ['b', 'c', 'b']) cache.get(key);
    cache.pinAll({ onFirstUse: true });
    cache.drain();
    expect(cache.stats()).toMatchObject({ active: 2, pinned: 0 });
    for (const key of ['a', 'b']) cache.get(key);
    expect(cache.stats()).toMatchObject({ active: 0, inactive: 1, pinned: 2 });
    expect(problems()).toEqual([]);
  });

  test('leaves the pins of pin() alone, and they leave its', () => {
    const { cache, problems, flood, areThere } = make({ max: 6 });
    cache.set('a', 1).set('b', 2);
    cache.pin('a');
    cache.pinAll();
    expect(cache.stats()).toMatchObject({ pinned: 2, pins: 3, culled: 2 });
    cache.unpin('a');
    flood();
    expect(areThere('a', 'b')).toBe('ab');
    cache.pin('b');
    cache.unpinAll();
    flood();
    expect(areThere('a', 'b')).toBe('b');
    expect(problems()).toEqual([]);
  });

  test('beyond maxPinnedBytes is ENOMEM and changes nothing; what comes in then is refused, what is used is not pinned', () => {
    const { cache, problems } = make({ max: 6, maxPinnedBytes: 128 });
    for (const key of ['a', 'b', 'c']) cache.set(key, 1);
    expect(thrown(() => cache.pinAll({ future: true })).code).toBe('ENOMEM');
    expect(cache.set('d', 1).stats()).toMatchObject({ pinned: 0, pins: 0, entries: 4 });
    cache.pinAll({ onFirstUse: true });
    for (let i = 0; i < 2; i++) for (const key of ['a', 'b', 'c', 'd']) expect(cache.get(key)).toBe(1);
    expect(cache.stats()).toMatchObject({ pinned: 2, pinnedBytes: 128 });
    cache.pinAll({ current: false, future: true });
    expect(thrown(() => cache.set('e', 1)).code).toBe('ENOMEM');
    // It is computed, and not stored.
    expect([cache.getOrComputeSync('f', () => 7), cache.has('e'), cache.has('f')]).toEqual([7, false, false]);
    expect(cache.set('a', 2).get('a')).toBe(2);
    expect(problems()).toEqual([]);
  });

  test('says what it does not take', () => {
    const { cache } = make();
    const refused = (options: object) => thrown(() => cache.pinAll(options)).message;
    expect(refused({ current: false })).toMatch(/neither/);
    expect(refused({ future: 1 })).toMatch(/future is true or false, received 1/);
    expect(refused({ onFault: true })).toMatch(/onFault/);
  });

  test('does not wait, at a use, for a thread that writes: the next use pins', () => {
    const { arenas, before } = stepper(2);
    const [cache, other] = arenas.map((arena) => new SharedCache<string, number>(arena, 'cache', { max: 4 }));
    cache?.set('a', 1).pinAll({ onFirstUse: true });
    let seen: number | undefined;
    // In the middle of the other thread's change.
    before(
      1,
      ({ op }) => op === 'storeReleaseLight',
      () => (seen = cache?.get('a')),
    );
    other?.set('b', 2);
    expect([seen, cache?.stats().pinned]).toEqual([1, 0]);
    expect([cache?.get('a'), cache?.stats().pinned]).toEqual([1, 1]);
    expect(problemsOf(arenas[0] as Arena, cache?.address as number)).toEqual([]);
  });
});
