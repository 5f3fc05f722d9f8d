import { inspect } from 'node:util';
import { expect, test } from 'vitest';
import { Arena, Mutex, SeqCount, SeqCountLatch, SeqLock } from '../../lib/index.ts';
import { ObjectHeader } from '../../lib/memory/objects.ts';
import { Slot, slotAddress } from '../../lib/sched/slot.ts';
import { on, stepper } from '../support/stepper.ts';
import { inThread, thrown, until } from '../support/threads.ts';
import { STOP } from './seqlock.threads.ts';

const THREADS = new URL('./seqlock.threads.ts', import.meta.url).href;
const WORDS = 4;

function setup() {
  const arena = Arena.create({ bytes: 512 << 10, maxThreads: 8 });
  const record = arena.alloc(3 * WORDS);
  const stage = record + 2 * WORDS;
  arena.words.fill(0, record, record + 3 * WORDS);
  return { arena, record, stage, into: new Int32Array(WORDS) };
}

function finish(arena: Arena, stage: number): void {
  Atomics.store(arena.words, stage, STOP);
  Atomics.notify(arena.words, stage);
}

test.each([
  ['SeqLock', SeqLock, 'writeLock', 2],
  ['SeqCount', SeqCount, 'writeCount', 1],
  ['SeqCountLatch', SeqCountLatch, 'writeLatch', 1],
] as const)('%s: a torn read that nobody notices', async (_name, Kind, writer, writers) => {
  const { arena, record, stage, into } = setup();
  const lock = new Kind(arena, 's');
  const threads = Array.from({ length: writers }, () => inThread<number>(arena, THREADS, writer, 's', record, stage));
  await until(arena, stage, writers);
  const seen = new Set<number>();
  let torn = 0;
  for (let i = 0; i < 5000 || seen.size < 3; i++) {
    lock.read(record, into);
    if (into.some((word) => word !== into[0])) torn++;
    seen.add(into[0] as number);
  }
  finish(arena, stage);
  for (const { result } of threads) expect(await result).toBeGreaterThan(0);
  expect(torn).toBe(0);
});

test('a reader that is let in, or waits for ever, after the writer died half-way', async () => {
  const { arena, record, stage, into } = setup();
  const lock = new SeqLock(arena, 's');
  lock.write(record, [1, 1, 1, 1]);
  const writer = inThread(arena, THREADS, 'halfWrite', 's', record, stage);
  await until(arena, stage, 1);
  const reader = inThread<string>(arena, THREADS, 'readOnce', 's', record, stage + 1);
  await until(arena, stage + 1, 1);
  expect(inspect(lock)).toBe('SeqLock(s, thread 1 writes)');
  await writer.worker.terminate();
  expect(await reader.result).toBe('EOWNERDEAD');
  expect(thrown(() => lock.read(record, into)).code).toBe('EOWNERDEAD');
  expect(inspect(lock)).toBe('SeqLock(s, its writer died inside)');
  // A writer that does not make the data whole leaves the readers out.
  expect(lock.tryLock()).toBe(true);
  expect(lock.ownerDied).toBe(true);
  lock.unlock();
  expect(thrown(() => lock.readBegin()).code).toBe('EOWNERDEAD');
  {
    using held = lock.acquire();
    expect(held.ownerDied).toBe(true);
    arena.words.fill(5, record, record + WORDS);
    held.makeConsistent();
    expect(thrown(() => held.makeConsistent()).code).toBe('EINVAL');
  }
  expect([...lock.read(record, into)]).toEqual([5, 5, 5, 5]);
  expect(thrown(() => lock.makeConsistent()).code).toBe('EPERM');
});

test('a SeqCount that is odd for ever after its writer died', async () => {
  const { arena, record, stage, into } = setup();
  const count = new SeqCount(arena, 's');
  const writer = inThread(arena, THREADS, 'halfCount', 's', record, stage);
  await until(arena, stage, 1);
  expect(thrown(() => count.writeBegin())).toMatchObject({
    code: 'EPERM',
    message: expect.stringContaining('thread 1'),
  });
  await writer.worker.terminate();
  await writer.reaped();
  expect(thrown(() => count.read(record, into)).code).toBe('EOWNERDEAD');
  expect(count.writeBegin()).toBe(true);
  arena.words.fill(6, record, record + WORDS);
  count.writeEnd();
  expect([...count.read(record, into)]).toEqual([6, 6, 6, 6]);
  expect(count.writeBegin()).toBe(false);
  count.writeEnd();
});

test('a writer that is refused because the one before it is dead, but not reaped', () => {
  const { arena } = setup();
  const { cpu } = arena;
  const count = new SeqCount(arena);
  const life = slotAddress(cpu, 1) + Slot.life;
  // Thread 1 died inside, and what keeps writers apart has been taken from it already.
  count.writeBegin();
  expect(cpu.load(count.address + ObjectHeader.words + 1)).toBe(1);
  cpu.store(count.address + ObjectHeader.words + 1, 2);
  cpu.store(life, 99);
  expect(thrown(() => count.writeBegin()).code).toBe('EPERM');
  cpu.store(life, -99);
  expect(count.writeBegin()).toBe(true);
  cpu.store(life, 0);
  count.writeEnd();
  expect(count.writeBegin()).toBe(false);
});

/** Threads 0 to 2 and their views of a count; thread 0 is in a write section, with the mutex that keeps writers apart. */
function writing() {
  const stage = stepper(3);
  const mutexes = stage.arenas.map((arena) => new Mutex(arena, 'm'));
  const counts = stage.arenas.map((arena) => new SeqCount(arena, 'c'));
  mutexes[0]!.lock();
  counts[0]!.writeBegin();
  return { ...stage, mutex: mutexes[1]!, count: counts[1]!, writer: counts[1]!.address + ObjectHeader.words + 1 };
}

test('a writer that is refused because the one before it leaves, and has not repaired the count yet', () => {
  const { before, cancel, leave, mutex, count, writer } = writing();
  before(0, on('load', writer), () => {
    expect(mutex.tryLock()).toBe(true);
    expect(count.writeBegin()).toBe(true);
    count.writeEnd();
  });
  expect(leave(0)).toBe('done');
  expect(cancel(0)).toBe(false);
  expect(count.writeBegin()).toBe(false);
});

test.each(['dies', 'leaves'] as const)(
  'a writer that is refused when the one before it %s between two loads',
  (how) => {
    const { before, cancel, leave, die, reap, arenas, count } = writing();
    const { thread } = arenas[0]!;
    before(1, on('loadAcquire', thread.slot + Slot.life), () => {
      if (how === 'dies') die(0);
      expect(how === 'dies' ? reap(2) : leave(0)).toBe('done');
    });
    expect(count.writeBegin()).toBe(true);
    expect(cancel(1)).toBe(false);
  },
);

test('a SeqCountLatch whose readers see what a dead writer left', async () => {
  const { arena, record, stage, into } = setup();
  const latch = new SeqCountLatch(arena, 's');
  latch.write(record, [1, 2, 3, 4]);
  const writer = inThread(arena, THREADS, 'halfLatch', 's', record, stage);
  await until(arena, stage, 1);
  expect([...latch.read(record, into)]).toEqual([1, 2, 3, 4]);
  await writer.worker.terminate();
  await writer.reaped();
  expect([...latch.read(record, into)]).toEqual([1, 2, 3, 4]);
  latch.write(record, [5, 6, 7, 8]);
  expect([...latch.read(record, into)]).toEqual([5, 6, 7, 8]);
  expect(inspect(latch)).toBe('SeqCountLatch(s, copy 0)');
});

test('reading and writing inside one’s own write section', () => {
  const { arena, record, into } = setup();
  const lock = new SeqLock(arena);
  lock.lock();
  expect(thrown(() => lock.read(record, into)).code).toBe('EDEADLK');
  expect(thrown(() => lock.lock()).code).toBe('EDEADLK');
  expect(lock.tryLock()).toBe(false);
  lock.unlock();
  expect(thrown(() => lock.unlock()).code).toBe('EPERM');
  const count = new SeqCount(arena);
  expect(thrown(() => count.writeEnd()).message).toContain('nobody writes');
  count.writeBegin();
  expect(thrown(() => count.read(record, into)).code).toBe('EDEADLK');
  expect(thrown(() => count.writeBegin()).code).toBe('EPERM');
  count.writeEnd();
  expect(count.readRetry(count.readBegin())).toBe(false);
});

test('a write that waits past its timeout, or its abort', async () => {
  const { arena, record, stage, into } = setup();
  const lock = new SeqLock(arena, 's');
  const writer = inThread(arena, THREADS, 'halfWrite', 's', record, stage);
  await until(arena, stage, 1);
  expect(thrown(() => lock.lock({ timeout: 1 }))).toMatchObject({
    code: 'ETIMEDOUT',
    message: expect.stringContaining('thread 1 writes'),
  });
  await expect(lock.writeAsync(record, [1], { timeout: 1 })).rejects.toMatchObject({ code: 'ETIMEDOUT' });
  const controller = new AbortController();
  const aborted = lock.writeAsync(record, [1], { signal: controller.signal });
  controller.abort('enough');
  await expect(aborted).rejects.toBe('enough');
  expect(thrown(() => lock.lock({ timeout: -1 })).code).toBe('EINVAL');
  await writer.worker.terminate();
  await lock.writeAsync(record, [3, 3, 3, 3]);
  expect(thrown(() => lock.read(record, into)).code).toBe('EOWNERDEAD');
  lock.lock();
  lock.makeConsistent();
  lock.unlock();
  await lock.writeAsync(record, [4, 4, 4, 4]);
  expect([...lock.read(record, into)]).toEqual([4, 4, 4, 4]);
  expect(arena.thread.tasksInUse).toBe(0);
  lock.destroy();
});

const WRONG: Record<string, ArrayLike<number>> = {
  'no values': undefined as never,
  'a BigInt among them': [1, 2n as never, 3],
  'a getter that throws': {
    length: 1,
    get 0(): number {
      throw new Error('no');
    },
  },
};

test.each(Object.entries(WRONG))(
  'a write section that throws half-way, and stays locked: %s',
  async (_name, values) => {
    const { arena, record, into } = setup();
    const [lock, count, latch] = [new SeqLock(arena), new SeqCount(arena), new SeqCountLatch(arena)];
    lock.write(record, [1, 2, 3, 4]);
    thrown(() => lock.write(record, values));
    await expect(lock.writeAsync(record, values)).rejects.toThrow();
    expect(lock.owner).toBeUndefined();
    thrown(() => count.write(record, values));
    count.writeBegin();
    count.writeEnd();
    const begun = latch.readBegin();
    thrown(() => latch.write(record, values));
    expect(latch.readRetry(begun)).toBe(false);
    expect([...lock.read(record, into)]).toEqual([1, 2, 3, 4]);
  },
);

test("a write to words that are not the program's, before it is refused", async () => {
  const { arena, record } = setup();
  const [lock, count, latch] = [new SeqLock(arena), new SeqCount(arena), new SeqCountLatch(arena)];
  const before = [...arena.words];
  for (const address of [arena.words.length - 1, arena.words.length, 0, -1, 1.5, Number.NaN, String(record) as never]) {
    for (const object of [lock, count, latch]) {
      expect(thrown(() => object.write(address, [7, 8])).code).toBe('EINVAL');
    }
    await expect(lock.writeAsync(address, [7, 8])).rejects.toMatchObject({ code: 'EINVAL' });
  }
  expect([...arena.words]).toEqual(before);
});

test('a list of words that grows, shrinks or changes after it was looked at', async () => {
  const { arena } = setup();
  const guarded = arena.alloc(256);
  const behind = arena.words.subarray(guarded + 2, guarded + 256).fill(0);
  const lock = new SeqLock(arena, 's');
  const Growing = SharedArrayBuffer as unknown as new (
    bytes: number,
    options: object,
  ) => SharedArrayBuffer & { grow(bytes: number): void };
  const list = () => {
    const buffer = new Growing(8, { maxByteLength: 1024 });
    return { buffer, words: new Int32Array(buffer).fill(7) };
  };
  const into = new Int32Array(2);

  const held = await lock.acquire();
  const growing = list();
  const written = lock.writeAsync(guarded, growing.words);
  growing.buffer.grow(1024);
  growing.words.fill(9);
  held.release();
  await written;
  expect(behind.every((word) => word === 0)).toBe(true);
  // The values are those of the call.
  expect([...lock.read(guarded, into)]).toEqual([7, 7]);

  const late = list();
  lock.write(guarded, late.words, {
    get timeout() {
      late.buffer.grow(1024);
      late.words.fill(9);
      return 5;
    },
  });
  expect(behind.every((word) => word === 0)).toBe(true);
  expect([...lock.read(guarded, into)]).toEqual([7, 7]);
});

test('words behind the block, when another thread makes the list longer between two looks at it', () => {
  const { arena } = setup();
  const guarded = arena.alloc(32);
  /** Has two words when it is first asked, then 16. */
  class Growing extends Int32Array {
    looks = 0;
    override get length(): number {
      return this.looks++ === 0 ? 2 : 16;
    }
  }
  for (const lock of [new SeqLock(arena), new SeqCount(arena), new SeqCountLatch(arena)]) {
    arena.words.fill(0, guarded, guarded + 32);
    lock.write(guarded, new Growing(16).fill(3));
    const written = [...arena.words.subarray(guarded, guarded + 32)].filter((word) => word === 3);
    expect(written.length).toBe(2);
  }
});
