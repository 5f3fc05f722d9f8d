import { describe, expect, test } from 'vitest';
import { Arena, KmemCache, Rcu, RcuQsbr, Srcu } from '../../lib/index.ts';
import type { Cpu } from '../../lib/machine/cpu.ts';
import { Header } from '../../lib/memory/header.ts';
import { Objects } from '../../lib/memory/object-store.ts';
import { CacheWords, firstSlot, Magazine, magazineOf, objectOf, Slab } from '../../lib/rcu/slab/layout.ts';
import { CACHE_KIND } from '../../lib/rcu/slab/repair.ts';
import { on, step, stepper } from '../support/stepper.ts';
import { inThread, thrown, until } from '../support/threads.ts';

const THREADS = new URL('./kmem-cache.threads.ts', import.meta.url).href;
const FLAVOURS = {
  rcu: (arena: Arena) => new Rcu(arena),
  qsbr: (arena: Arena) => new RcuQsbr(arena),
  srcu: (arena: Arena) => new Srcu(arena, 'mine'),
};

const small = () => Arena.create({ bytes: 1 << 20, maxThreads: 4 });

test('a thread that finds the arena full does not wait for a reader that is about to leave', () => {
  const { arenas, before } = stepper(2);
  const [mine, other] = arenas.map((arena) => new Rcu(arena)) as [Rcu, Rcu];
  const arena = arenas[0]!;
  const words = Math.floor(arena.use().largestFree / 4 / 2);
  other.readLock();
  const block = arena.alloc(words);
  mine.kfree(block);
  before(
    0,
    ({ op }) => op === 'condLoad',
    () => other.readUnlock(),
  );
  expect(arena.alloc(words)).toBe(block);
});

test('a block that another thread gives to kfree in the middle of a call is freed once, and the call says so', async () => {
  const { arenas, before, real } = stepper(2);
  const [mine, other] = arenas.map((arena) => new Rcu(arena)) as [Rcu, Rcu];
  const arena = arenas[0]!;
  // From here on both have objects that name blocks.
  for (const rcu of [mine, other]) rcu.kfree(arena.alloc(1));
  const block = arena.alloc(1);
  before(0, on('cmpxchgAcquire', Header.heapLatch), () => other.kfree(block));
  expect(thrown(() => mine.kfree(block)).code).toBe('EINVAL');
  expect(real.load(Header.heapLatch)).toBe(0);
  await Promise.all([mine.barrierAsync(), other.barrierAsync()]);
  expect(arena.heap.isBlock(block)).toBe(false);
  expect(arena.fsck()).toEqual([]);
});

describe.each(Object.entries(FLAVOURS))('kfree of %s', (_name, open) => {
  test('frees under a reader', async () => {
    const arena = small();
    const rcu = open(arena);
    const cache = new KmemCache(arena, undefined, { words: 300, rcu });
    const [object, block] = [cache.alloc(), arena.alloc(8)];
    arena.words.fill(7, object, object + 300);
    arena.words.fill(7, block, block + 8);
    const reader = rcu.read();
    rcu.kfree(object);
    rcu.kfree(block);
    const others = [cache.alloc(), cache.alloc(), cache.alloc(), arena.alloc(8)];
    expect(others).not.toContain(object);
    expect(others).not.toContain(block);
    expect(arena.words.subarray(object, object + 300).every((word) => word === 7)).toBe(true);
    expect(arena.words.subarray(block, block + 8).every((word) => word === 7)).toBe(true);
    reader.release();
    await rcu.barrierAsync();
    for (const other of others.slice(0, 3)) cache.free(other as number);
    expect(thrown(() => cache.free(object)).message).toMatch('freed before');
    expect(thrown(() => arena.free(block)).code).toBe('EINVAL');
    cache.destroy();
    arena.free(others[3] as number);
  });

  test('frees too late for a thread that finds the arena full', () => {
    const arena = small();
    const rcu = open(arena);
    const words = Math.floor(arena.use().largestFree / 4 / 3);
    const cache = new KmemCache(arena, undefined, { words: 300, rcu });
    for (let i = 0; i < 20; i++) rcu.kfree(arena.alloc(words));
    for (let i = 0; i < 1000; i++) rcu.kfree(cache.alloc());
    const reader = rcu.read();
    const isFull = () => thrown(() => Array.from({ length: 20 }, () => rcu.kfree(arena.alloc(words))));
    expect([isFull().code, isFull().code]).toEqual(['ENOMEM', 'ENOMEM']);
    reader.release();
    rcu.kfree(arena.alloc(words));
    expect(thrown(() => arena.alloc(1 << 20)).code).toBe('ENOMEM');
  });

  test('frees under a reader when it has so much that it looks', () => {
    const arena = small();
    const rcu = open(arena);
    const cache = new KmemCache(arena, undefined, { words: 8, rcu });
    const objects = Array.from({ length: 700 }, () => cache.alloc());
    const blocks = Array.from({ length: 700 }, () => arena.alloc(8));
    const reader = rcu.read();
    for (const address of [...objects, ...blocks]) rcu.kfree(address);
    const given = new Set([...objects, ...blocks]);
    const others = Array.from({ length: 700 }, () => [cache.alloc(), arena.alloc(8)]);
    expect(others.flat().filter((address) => given.has(address))).toEqual([]);
    reader.release();
    rcu.barrier();
    // All of it is there again: no slab and no line more is needed.
    const { used } = arena.use();
    const again = Array.from({ length: 700 }, () => cache.alloc());
    expect(new Set(again).size).toBe(700);
    expect(arena.use().used).toBe(used);
    expect(blocks.filter((address) => arena.heap.isBlock(address))).toEqual([]);
  });

  test('barrier() without an event loop frees what this thread has to free', () => {
    const arena = small();
    const rcu = open(arena);
    const cache = new KmemCache(arena, undefined, { words: 8, rcu });
    const before = arena.use().used;
    for (let i = 0; i < 1000; i++) {
      rcu.kfree(cache.alloc());
      rcu.kfree(arena.alloc(8));
    }
    rcu.barrier();
    expect(cache.leaks()).toEqual([]);
    cache.destroy();
    // What is left are the library's own objects, which named the blocks.
    expect(arena.use().used - before).toBeLessThan(8 * 4096);
    expect(arena.fsck()).toEqual([]);
  });
});

test('what is freed twice, in whatever way, is an error that changes nothing', async () => {
  const arena = small();
  const rcu = new Rcu(arena);
  const cache = new KmemCache(arena, undefined, { words: 8, rcu });
  const [object, block] = [cache.alloc(), arena.alloc(8)];
  rcu.kfree(object);
  rcu.kfree(block);
  const before = [...arena.words];
  for (const twice of [
    () => rcu.kfree(object),
    () => rcu.kfree(block),
    () => cache.free(object),
    () => arena.free(block),
    () => rcu.kfree(object + 1),
    () => rcu.kfree(block + 1),
    () => rcu.kfree(Number.NaN),
    () => rcu.kfree('1' as never),
  ]) {
    expect(thrown(twice)).toMatchObject({ code: 'EINVAL' });
  }
  expect([...arena.words]).toEqual(before);
  await rcu.barrierAsync();
  expect(thrown(() => rcu.kfree(object))).toMatchObject({ code: 'EINVAL' });
  expect(thrown(() => rcu.kfree(block))).toMatchObject({ code: 'EINVAL' });
  expect(thrown(() => rcu.kfree(rcu.address))).toMatchObject({ code: 'EINVAL' });
});

test('a block that two threads free at once is freed twice', async () => {
  const { arenas, before, cancel } = stepper(2);
  const [mine, theirs] = arenas.map((arena) => new Rcu(arena)) as [Rcu, Rcu];
  const arena = arenas[0]!;
  // Each has what it takes to name a block.
  for (const rcu of [mine, theirs]) rcu.kfree(arena.alloc(8));
  const block = arena.alloc(8);
  // It has found the block in use by then.
  before(0, on('cmpxchgAcquire', Header.heapLatch), () => theirs.kfree(block));
  expect(thrown(() => mine.kfree(block))).toMatchObject({ code: 'EINVAL' });
  expect(cancel(0)).toBe(false);
  await Promise.all([mine.barrierAsync(), theirs.barrierAsync()]);
  expect(arena.fsck()).toEqual([]);
  expect(arena.alloc(8)).not.toBe(arena.alloc(8));
});

test('an object whose readers are another domain is refused', () => {
  const arena = small();
  const rcu = new Rcu(arena);
  const cache = new KmemCache(arena, undefined, { words: 8, rcu });
  const plain = new KmemCache(arena, undefined, { words: 8 });
  const [object, other] = [cache.alloc(), plain.alloc()];
  expect(thrown(() => new RcuQsbr(arena).kfree(object)).message).toMatch('was not made with { rcu } of the rcu-qsbr');
  expect(thrown(() => rcu.kfree(other))).toMatchObject({ code: 'EINVAL' });
  cache.free(object);
  plain.free(other);
});

test('a cache is destroyed while objects of it wait for a grace period', async () => {
  const arena = small();
  const rcu = new Rcu(arena);
  const cache = new KmemCache(arena, 'things', { words: 8, rcu });
  rcu.kfree(cache.alloc());
  expect(thrown(() => cache.destroy())).toMatchObject({ code: 'EBUSY' });
  await rcu.barrierAsync();
  expect(thrown(() => new KmemCache(arena, 'things').destroy()).message).toMatch('open it with { rcu }');
  rcu.readLock();
  expect(thrown(() => cache.destroy())).toMatchObject({ code: 'EDEADLK' });
  rcu.readUnlock();
  cache.destroy();
});

test('a thread that never returns to its loop runs out of memory', () => {
  const arena = small();
  const rcu = new Rcu(arena);
  const cache = new KmemCache(arena, undefined, { words: 64, rcu });
  // 20 MB of objects, and 4 MB of blocks, in an arena of 1 MB.
  for (let i = 0; i < 80_000; i++) {
    rcu.kfree(cache.alloc());
    if (i % 20 === 0) rcu.kfree(arena.alloc(256));
  }
  rcu.barrier();
  cache.destroy();
});

test('a flood from several threads that read as well grows without bound', async () => {
  const arena = Arena.create({ bytes: 8 << 20, maxThreads: 6 });
  // 8 MB in all, more than the arena has.
  const threads = Array.from({ length: 4 }, () => inThread<number>(arena, THREADS, 'flood', 50_000));
  expect(await Promise.all(threads.map(({ result }) => result))).toEqual([50_000, 50_000, 50_000, 50_000]);
  await Promise.all(threads.map(({ exited }) => exited));
});

test('what a killed thread had to free is lost', async () => {
  const arena = small();
  const rcu = new Rcu(arena);
  const cache = new KmemCache(arena, 'things', { words: 300, rcu });
  const [object, block, mine, own] = [cache.alloc(), arena.alloc(8), cache.alloc(), arena.alloc(8)];
  const word = arena.alloc(1);
  arena.cpu.store(word, 0);
  const { worker, reaped } = inThread(arena, THREADS, 'kfreeAndHang', object, block, word);
  await until(arena, word, 1);
  await worker.terminate();
  await reaped();
  expect(thrown(() => cache.free(object)).message).toMatch('freed before');
  expect(thrown(() => arena.free(block)).code).toBe('EINVAL');
  // The next that frees in the same caches does it.
  rcu.kfree(mine);
  rcu.kfree(own);
  rcu.barrier();
  const again = [cache.alloc(), cache.alloc(), cache.alloc()];
  expect(again).toContain(object);
  for (const address of again) cache.free(address);
  cache.destroy();
  expect(Array.from({ length: 50 }, () => arena.alloc(8))).toContain(block);
});

/** Thread 1 gives to kfree, and is killed at each step in turn; the memory comes back all the same. */
test.each(['object', 'block'] as const)('a thread that is killed in kfree of an %s loses it', (what) => {
  let kills = 0;
  for (let n = 1; ; n++) {
    const { arenas, killBefore, reap, real } = stepper(3, { words: 1 << 15 });
    const rcus = arenas.map((arena) => new Rcu(arena)) as [Rcu, Rcu];
    const [mine, killed] = arenas.map((arena, i) => new KmemCache(arena, 'things', { words: 300, rcu: rcus[i] })) as [
      KmemCache,
      KmemCache,
    ];
    real.store(mine.address + CacheWords.batch, 1);
    const take = () => (what === 'object' ? killed.alloc() : arenas[1]!.alloc(16));
    const taken = [take(), take(), take()];
    // One period is over, and the second waits.
    rcus[1].kfree(taken[0] as number);
    const act = () => {
      rcus[1].barrier();
      rcus[1].kfree(taken[1] as number);
      rcus[1].kfree(taken[2] as number);
    };
    if (!killBefore(1, step(n), act)) break;
    kills++;
    expect(reap(2), `step ${n}`).toBe('done');
    expect(arenas[0]?.fsck(), `step ${n}`).toEqual([]);
    rcus[0].kfree(mine.alloc());
    rcus[0].kfree(arenas[0]!.alloc(16));
    rcus[0].barrier();
    // At most the call that was under way had no effect; nobody has freed twice.
    if (what === 'object') {
      expect(mine.leaks().length, `step ${n}`).toBeLessThanOrEqual(2);
      for (const { address } of mine.leaks()) mine.free(address);
      mine.destroy();
    } else {
      const states = taken.map((address) => isFreed(arenas[0]!, address as number));
      expect(states[0] || n < 60, `step ${n}`).toBe(true);
    }
    expect(arenas[0]?.fsck(), `step ${n}`).toEqual([]);
  }
  expect(kills).toBeGreaterThan(100);
});

function isFreed(arena: Arena, address: number): boolean {
  try {
    arena.free(address);
    return false;
  } catch {
    return true;
  }
}

/** The slots of the free objects, of all lists: those in the depot, in magazines, and what waits for a period. */
function listed(real: Cpu, cache: number, threads: number): number[] {
  const heads = [CacheWords.depot, CacheWords.doomed].map((word) => cache + word);
  for (let number = 0; number < threads; number++) {
    for (const list of [Magazine.head, Magazine.waiting, Magazine.next]) heads.push(magazineOf(cache, number) + list);
  }
  const found: number[] = [];
  for (const head of heads) {
    for (let slot = real.load(head); slot !== 0; slot = real.load(slot)) {
      found.push(slot);
      if (found.length > 1000) throw new Error(`the list at ${head} has no end`);
    }
  }
  return found.sort((a, b) => a - b);
}

/** The slots of all objects. */
function slots(cpu: Cpu, cache: number): number[] {
  const found: number[] = [];
  for (let slab = cpu.load(cache + CacheWords.slabs); slab !== 0; slab = cpu.load(slab + Slab.next)) {
    const first = firstSlot(slab);
    for (let slot = first; slot < first + cpu.load(slab + Slab.objects); slot++) found.push(slot);
  }
  return found.sort((a, b) => a - b);
}

/** Two periods of objects, of which one is over; the depot has some, and the magazine one, or more than it keeps. */
function periods(inMagazine: number) {
  const stage = stepper(3, { words: 1 << 15 });
  const rcus = stage.arenas.map((arena) => new Rcu(arena)) as [Rcu, Rcu, Rcu];
  const all = stage.arenas.map((arena, i) => new KmemCache(arena, 'things', { words: 300, rcu: rcus[i] }));
  const [, killed] = all as [KmemCache, KmemCache, KmemCache];
  stage.real.store(killed.address + CacheWords.batch, 1);
  const taken = Array.from({ length: 9 }, () => killed.alloc());
  for (const address of taken.splice(0, 3 + inMagazine)) killed.free(address);
  while (stage.real.load(magazineOf(killed.address, 1) + Magazine.count) > inMagazine) taken.push(killed.alloc());
  return { ...stage, rcus, cache: killed.address, taken };
}

test.each([0, 1, 2])(
  'a thread that dies while it frees what has waited, with %i in its magazine, doubles it',
  (count) => {
    for (let n = 1; ; n++) {
      const { arenas, killBefore, reap, real, rcus, cache, taken } = periods(count);
      const act = () => {
        for (const address of taken.slice(0, 2)) rcus[1].kfree(address);
        rcus[1].barrier();
      };
      if (!killBefore(1, step(n), act)) return expect(n).toBeGreaterThan(50);
      expect(reap(2), `step ${n}`).toBe('done');
      const free = listed(real, cache, 3);
      expect(new Set(free).size, `step ${n}`).toBe(free.length);
      expect(free, `step ${n}`).toEqual(slots(real, cache).filter((slot) => real.load(slot) >= 0));
      expect(arenas[0]?.fsck(), `step ${n}`).toEqual([]);
    }
  },
);

test('what is in a magazine is lost behind what has waited for a period', () => {
  const { arenas, real } = stepper(1);
  const rcu = new Rcu(arenas[0]!);
  const cache = new KmemCache(arenas[0]!, 'things', { words: 300, rcu });
  const all = Array.from({ length: 3 }, () => cache.alloc());
  for (const address of all.slice(0, 2)) rcu.kfree(address);
  cache.free(all[2]!);
  const magazine = magazineOf(cache.address, 0);
  expect(real.load(magazine + Magazine.head)).not.toBe(0);
  rcu.barrier();
  expect(real.load(magazine + Magazine.waiting)).toBe(0);
  expect(listed(real, cache.address, 1)).toEqual(slots(real, cache.address));
});

test('a block that a thread is freeing as it dies is lost, or named by what may free it for somebody else', () => {
  for (let n = 1; ; n++) {
    const { arenas, killBefore, reap, real } = stepper(3, { words: 1 << 14 });
    const [mine, killed] = arenas.map((arena) => new Rcu(arena)) as [Rcu, Rcu];
    const [{ heap }] = arenas as [Arena];
    const blocks = Array.from({ length: 3 }, () => arenas[1]!.alloc(16));
    // The library's own objects are there already.
    killed.kfree(arenas[1]!.alloc(16));
    killed.barrier();
    const act = () => {
      for (const block of blocks) killed.kfree(block);
      killed.barrier();
    };
    if (!killBefore(1, step(n), act)) return expect(n).toBeGreaterThan(100);
    expect(reap(2), `step ${n}`).toBe('done');
    const names = new Objects(real, heap, 1, 0).open(CACHE_KIND, `holdfast.kfree.${mine.address}`);
    const named = slots(real, names)
      .map((slot) => real.load(objectOf(real, slot)))
      .filter((block) => block !== 0);
    expect(new Set(named).size, `step ${n}`).toBe(named.length);
    for (const block of named) {
      expect(heap.isBlock(block), `step ${n}`).toBe(true);
      expect(heap.isPlain(block), `step ${n}`).toBe(false);
    }
    // What was not given yet is the program's.
    for (const block of blocks) if (heap.isPlain(block)) mine.kfree(block);
    mine.kfree(arenas[0]!.alloc(16));
    mine.barrier();
    expect(
      blocks.filter((block) => heap.isBlock(block)),
      `step ${n}`,
    ).toEqual([]);
    expect(arenas[0]?.fsck(), `step ${n}`).toEqual([]);
  }
});
