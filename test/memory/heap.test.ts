import { expect, test } from 'vitest';
import { Arena, KmemCache, Mutex, SharedMap } from '../../lib/index.ts';
import { struct } from '../../lib/memory/struct.ts';
import { exhaust, inThread, thrown } from '../support/threads.ts';

const THREADS = new URL('./heap.threads.ts', import.meta.url).href;

const small = () => Arena.create({ bytes: 256 << 10, maxThreads: 4 });

test('a block handed out twice', () => {
  const arena = small();
  const owner = new Int32Array(arena.words.length);
  const blocks: number[] = [];
  let random = 1;
  const next = (below: number) => (random = (Math.imul(random, 1103515245) + 12345) >>> 0) % below;
  for (let step = 0; step < 5000; step++) {
    if (blocks.length > 0 && next(2) === 0) {
      const [block] = blocks.splice(next(blocks.length), 1) as [number];
      for (let i = block; owner[i] === block; i++) owner[i] = 0;
      arena.free(block);
      continue;
    }
    const words = 1 + next(400);
    let block: number;
    try {
      block = arena.alloc(words);
    } catch (error) {
      expect(error).toMatchObject({ code: 'ENOMEM' });
      continue;
    }
    expect(block % 16).toBe(0);
    for (let i = 0; i < words; i++) {
      expect(owner[block + i]).toBe(0);
      owner[block + i] = block;
    }
    blocks.push(block);
  }
  for (const block of blocks) arena.free(block);
  const { used, free, bytes, largestFree } = arena.use();
  expect({ used, free, largestFree }).toEqual({ used: 0, free: bytes, largestFree: bytes });
});

test('a full arena that does not say for what there is no memory, or what to do', async () => {
  const arena = small();
  const map = new SharedMap(arena, 'sessions');
  const mutex = new Mutex(arena, 'accounts');
  const cache = new KmemCache(arena, 'nodes', { words: 8 });
  mutex.lock();
  exhaust(arena);
  const calls: [() => unknown, string][] = [
    [() => new Mutex(arena, 'orders'), 'for the mutex "orders"'],
    [() => new Mutex(arena), 'for a new mutex'],
    [() => map.set('k', 'x'.repeat(10_000)), 'for what the shared-map "sessions" is to hold'],
    [() => cache.alloc(), 'for objects of the kmem-cache "nodes"'],
    [() => arena.alloc(100), 'for alloc()'],
    [() => arena.alloc(100, 'counters'), 'for the memory "counters"'],
  ];
  const refused = await mutex.lockAsync().catch((error: Error) => error.message);
  expect(refused).toContain('for more asynchronous calls that wait');
  for (const message of [...calls.map(([call]) => thrown(call).message), refused]) {
    expect(message).toMatch(/^ENOMEM: no \d+ bytes for .*: 0 of \d+ bytes are free.*Arena\.create\(\{ bytes \}\)/);
  }
  expect(calls.map(([call, what]) => thrown(call).message.includes(what))).toEqual(calls.map(() => true));
});

test('memory that cannot be had again after exhaustion', () => {
  const arena = small();
  const rounds = [1, 40, 16, 700].map((words) => {
    const blocks: number[] = [];
    const error = thrown(() => {
      for (;;) blocks.push(arena.alloc(words));
    });
    expect(error.code).toBe('ENOMEM');
    expect(error.message).toMatch(/\d+ of \d+ bytes are free, the largest block has \d+/);
    for (const block of blocks.sort((a, b) => (a % 7) - (b % 7))) arena.free(block);
    return arena.use().largestFree;
  });
  expect(new Set(rounds).size).toBe(1);
});

test('a double free that corrupts the heap', () => {
  const arena = small();
  const [a, b] = [arena.alloc(10), arena.alloc(100)];
  arena.free(a);
  const before = [...arena.words];
  expect(thrown(() => arena.free(a)).code).toBe('EINVAL');
  expect(thrown(() => arena.free(b + 16)).code).toBe('EINVAL');
  expect(thrown(() => arena.free(-16)).code).toBe('EINVAL');
  expect(thrown(() => arena.free(Number.NaN)).code).toBe('EINVAL');
  expect([...arena.words]).toEqual(before);
});

test('a lock that is freed as if it were memory, while it is held', () => {
  const arena = small();
  const mutex = new Mutex(arena, 'accounts');
  mutex.lock();
  const before = [...arena.words];
  expect(thrown(() => arena.free(mutex.address)).code).toBe('EINVAL');
  expect([...arena.words]).toEqual(before);
  mutex.unlock();
  mutex.destroy();
  expect(thrown(() => arena.free(mutex.address)).code).toBe('EINVAL');
});

test('threads that exhaust one heap and leak or share blocks', async () => {
  const arena = Arena.create({ bytes: 256 << 10, maxThreads: 9 });
  const before = arena.use();
  const threads = Array.from({ length: 8 }, () => inThread<number>(arena, THREADS, 'churn', 20));
  for (const { result, reaped } of threads) {
    expect(await result).toBe(0);
    await reaped();
  }
  expect(arena.use()).toEqual(before);
});

test('a struct whose field named words is taken for its length', () => {
  expect(() => struct({ words: 1, other: 1 } as never)).toThrow('called words');
});
