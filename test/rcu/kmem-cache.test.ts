import { describe, expect, test } from 'vitest';
import { Arena, KmemCache, Mutex, Rcu, RcuQsbr } from '../../lib/index.ts';
import { BATCH, CacheWords, SLAB_WORDS, Slab } from '../../lib/rcu/slab/layout.ts';
import { step, stepper } from '../support/stepper.ts';
import { inThread, thrown } from '../support/threads.ts';

const THREADS = new URL('./kmem-cache.threads.ts', import.meta.url).href;

const small = () => Arena.create({ bytes: 1 << 20, maxThreads: 4 });

/** Caches of two or more threads whose magazines hold one object, and trade the third. */
function caches(threads: number, words = 300) {
  const stage = stepper(threads, { words: 1 << 15 });
  const first = new KmemCache(stage.arenas[0]!, 'things', { words });
  stage.real.store(first.address + CacheWords.batch, 1);
  return {
    ...stage,
    all: stage.arenas.map((arena) => new KmemCache(arena, 'things', { words })) as [KmemCache, KmemCache],
  };
}

describe('objects', () => {
  test.each([1, 3, 16, 17, 100])('of %i words lie over each other', (words) => {
    const arena = small();
    const before = arena.use().used;
    const cache = new KmemCache(arena, undefined, { words });
    const taken = new Set<number>();
    for (let i = 0; i < 500; i++) {
      const address = cache.alloc();
      expect(words % 16 === 0 ? address % 16 : 0).toBe(0);
      for (let word = address; word < address + words; word++) taken.add(word);
      arena.words.fill(-1, address, address + words);
    }
    expect(taken.size).toBe(500 * words);
    expect(cache.leaks().length).toBe(500);
    for (const { address, thread } of cache.leaks()) {
      expect(thread).toBe(0);
      cache.free(address);
    }
    expect(cache.leaks()).toEqual([]);
    const { used } = arena.use();
    for (let i = 0; i < 500; i++) cache.alloc();
    expect(arena.use().used).toBe(used);
    for (const { address } of cache.leaks()) cache.free(address);
    cache.destroy();
    expect(arena.use().used).toBe(before);
    expect(arena.fsck()).toEqual([]);
  });

  test('whose length nobody has said take a name', () => {
    const { arenas } = stepper(1, { words: 1 << 15 });
    const arena = arenas[0]!;
    const before = arena.use();
    expect(thrown(() => new KmemCache(arena, 'lengths')).message).toContain('there is no kmem-cache "lengths" yet');
    expect(arena.use()).toEqual(before);
    new KmemCache(arena, 'lengths', { words: 5 });
    expect(new KmemCache(arena, 'lengths').words).toBe(5);
  });

  test('that one thread takes and another frees are lost', () => {
    const { all } = caches(2);
    const [first, second] = all;
    for (let round = 0; round < 20; round++) {
      const taken = Array.from({ length: 9 }, () => first.alloc());
      expect(new Set(taken).size).toBe(9);
      for (const address of taken) second.free(address);
    }
    expect(first.leaks()).toEqual([]);
    // Of 9 objects a magazine keeps at most 3.
    expect(first.arena.use().blocks).toBeLessThan(3 + 2 + 4);
  });

  test('are constructed once, and keep what they are while they are free', () => {
    const arena = small();
    const made: number[] = [];
    const construct = (address: number) => {
      arena.words[address] = made.push(address);
    };
    const cache = new KmemCache(arena, 'made', { words: 300, construct });
    const address = cache.alloc();
    const mark = arena.words[address];
    expect(made.length).toBe(3);
    cache.free(address);
    expect(arena.words[cache.alloc()]).toBe(mark);
    expect(made.length).toBe(3);
  });

  test('whose constructor throws are made again', () => {
    const arena = small();
    let calls = 0;
    const construct = () => {
      if (++calls === 2) throw new Error('no');
    };
    const cache = new KmemCache(arena, undefined, { words: 300, construct });
    expect(() => cache.alloc()).toThrow('no');
    const { used } = arena.use();
    cache.alloc();
    expect(calls).toBe(5);
    expect(arena.use().used).toBe(used);
  });

  test('are taken by their own constructor', () => {
    const arena = small();
    const cache: KmemCache = new KmemCache(arena, undefined, { words: 300, construct: () => void cache.alloc() });
    expect(thrown(() => cache.alloc())).toMatchObject({ code: 'EDEADLK' });
  });
});

describe('a mistake is an error that changes nothing', () => {
  test('free of what is none, and free twice', () => {
    const arena = small();
    const [cache, other] = [8, 8].map((words) => new KmemCache(arena, undefined, { words })) as [KmemCache, KmemCache];
    const [object, foreign, block] = [cache.alloc(), other.alloc(), arena.alloc(8)];
    const freed = cache.alloc();
    cache.free(freed);
    const before = [...arena.words];
    for (const address of [
      freed,
      object + 1,
      foreign,
      block,
      0,
      -1,
      Number.NaN,
      1e12,
      object - (object % SLAB_WORDS),
    ]) {
      expect(
        thrown(() => cache.free(address)),
        String(address),
      ).toMatchObject({ code: 'EINVAL' });
    }
    expect(thrown(() => arena.free(object)).code).toBe('EINVAL');
    expect([...arena.words]).toEqual(before);
    expect(thrown(() => cache.free(freed)).message).toMatch('freed before');
  });

  test('a cache of another shape', () => {
    const arena = small();
    const rcu = new Rcu(arena);
    const make = (name: string, options: object) => thrown(() => new KmemCache(arena, name, options));
    new KmemCache(arena, 'things', { words: 8, rcu });
    expect(make('things', { words: 9 }).message).toMatch('objects of 8 words, not 9');
    expect(make('things', { words: 8, construct: () => {} }).message).toMatch('no constructor');
    expect(make('things', { rcu: new RcuQsbr(arena) }).message).toMatch('other readers');
    expect(new KmemCache(arena, 'things').words).toBe(8);
    for (const words of [0, 321, 1.5, '8']) expect(make('others', { words })).toMatchObject({ code: 'EINVAL' });
    expect(make('others', {})).toMatchObject({ code: 'EINVAL' });
    expect(make('others', { words: 8, rcu: {} })).toMatchObject({ code: 'EINVAL' });
    expect(thrown(() => new KmemCache(arena, undefined))).toMatchObject({ code: 'EINVAL' });
    expect(make('things', { word: 8 })).toMatchObject({ code: 'EINVAL' });
  });

  test('destroy with objects in use says which', () => {
    const arena = small();
    const before = arena.use().used;
    const cache = new KmemCache(arena, 'things', { words: 8 });
    const object = cache.alloc();
    expect(thrown(() => cache.destroy())).toMatchObject({
      code: 'EBUSY',
      message: `EBUSY: 1 objects of the kmem-cache "things" are in use: ${object} (taken by thread 0)`,
    });
    cache.free(object);
    cache.destroy();
    expect(arena.use().used).toBe(before);
  });

  test('ENOMEM leaves the cache as it was', () => {
    const arena = Arena.create({ bytes: 200 << 10, maxThreads: 2 });
    const cache = new KmemCache(arena, undefined, { words: 64 });
    const taken: number[] = [];
    const error = thrown(() => {
      for (;;) taken.push(cache.alloc());
    });
    expect(error).toMatchObject({ code: 'ENOMEM' });
    for (const address of taken) cache.free(address);
    expect(cache.alloc()).toBeGreaterThan(0);
    expect(taken.length).toBeGreaterThan(2 * BATCH);
  });
});

/** Kills thread 1 at each step of `act` in turn; afterwards no memory may be missing, and no object be there twice. */
function killedEverywhere(act: (cache: KmemCache) => void): number {
  let kills = 0;
  for (let n = 1; ; n++) {
    const stage = caches(3);
    const { arenas, killBefore, reap } = stage;
    const [mine, killed] = stage.all;
    const [kept, given] = [killed.alloc(), mine.alloc()];
    killed.free(given);
    if (!killBefore(1, step(n), () => act(killed))) return kills;
    kills++;
    expect(reap(2), `step ${n}`).toBe('done');
    expect(arenas[0]?.fsck(), `step ${n}`).toEqual([]);
    // All that is free can be had, once, before another slab is made.
    const inUse = mine.leaks().map(({ address }) => address);
    expect(inUse).toContain(kept);
    const all = objectsIn(stage);
    const free = Array.from({ length: all - inUse.length }, () => mine.alloc());
    expect(new Set([...free, ...inUse]).size, `step ${n}`).toBe(all);
    expect(objectsIn(stage), `step ${n}`).toBe(all);
    // The lists have an end.
    const more = mine.alloc();
    expect([...free, ...inUse], `step ${n}`).not.toContain(more);
    mine.free(more);
    for (const address of [...free, ...inUse]) mine.free(address);
    mine.destroy();
    forgetGone(arenas);
    expect(arenas[0]?.use().used, `step ${n}`).toBe(0);
  }
}

/** Three in each slab; slabs that were not filled count as well, since they are used first. */
function objectsIn({ real, all }: ReturnType<typeof caches>): number {
  let slabs = 0;
  for (const list of [CacheWords.slabs, CacheWords.empty]) {
    for (let slab = real.load(all[0].address + list); slab !== 0; slab = real.load(slab + Slab.next)) slabs++;
  }
  return 3 * slabs;
}

test.each([
  ['takes and frees an object', (cache: KmemCache) => cache.free(cache.alloc())],
  [
    'trades with the depot and makes slabs',
    (cache: KmemCache) => {
      const taken = Array.from({ length: 8 }, () => cache.alloc());
      for (const address of taken) cache.free(address);
      cache.alloc();
    },
  ],
])('a thread that is killed while it %s', (_name, act) => {
  expect(killedEverywhere(act)).toBeGreaterThan(20);
});

/** All threads hear of what was destroyed: its memory is free. */
function forgetGone(arenas: readonly Arena[]): void {
  for (const arena of arenas) arena.objects.makeRoom();
}

test('a thread that dies while it destroys a cache', () => {
  for (let n = 1; ; n++) {
    const { all, arenas, killBefore, reap } = caches(3);
    const [mine, killed] = all;
    for (const address of Array.from({ length: 8 }, () => killed.alloc())) mine.free(address);
    if (!killBefore(1, step(n), () => killed.destroy())) return;
    expect(reap(2), `step ${n}`).toBe('done');
    expect(arenas[0]?.fsck(), `step ${n}`).toEqual([]);
    const rest = new KmemCache(arenas[0]!, 'things', { words: 300 });
    expect(rest.leaks()).toEqual([]);
    rest.destroy();
    forgetGone(arenas);
    expect(arenas[0]?.use().used, `step ${n}`).toBe(0);
  }
});

test('threads that take and free together, one of them killed, share no object', async () => {
  const arena = Arena.create({ bytes: 4 << 20, maxThreads: 8 });
  const mutex = new Mutex(arena, 'start');
  mutex.lock();
  const cache = new KmemCache(arena, 'things', { words: 5 });
  const threads = Array.from({ length: 3 }, (_, i) => inThread<number>(arena, THREADS, 'takeAndFree', i + 1, i > 0));
  mutex.unlock();
  await threads[0]?.result.catch(() => {});
  await threads[0]?.worker.terminate();
  const rest = await Promise.all(threads.slice(1).map(({ result }) => result));
  expect(rest).toEqual([0, 0]);
  // A cache is destroyed, and an arena inspected, when all others have left.
  await Promise.all(threads.map(({ reaped }) => reaped()));
  for (const { address } of cache.leaks()) cache.free(address);
  cache.destroy();
  expect(arena.fsck()).toEqual([]);
});
