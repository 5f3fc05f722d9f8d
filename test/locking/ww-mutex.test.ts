import { inspect } from 'node:util';
import { describe, expect, test, vi } from 'vitest';
import { Arena, WwClass, WwMutex, type WwPolicy } from '../../lib/index.ts';
import { inThread, thrown, until } from '../support/threads.ts';

const THREADS = new URL('./ww-mutex.threads.ts', import.meta.url).href;
const POLICIES: WwPolicy[] = ['wound-wait', 'wait-die'];

function setup(policy?: WwPolicy) {
  const arena = Arena.create({ bytes: 4 << 20, maxThreads: 20 });
  const wwClass = new WwClass(arena, 'ww', { policy });
  const locks = ['a', 'b', 'c'].map((name) => new WwMutex(wwClass, name)) as [WwMutex, WwMutex, WwMutex];
  const stage = arena.alloc(4);
  arena.words.fill(0, stage, stage + 4);
  return { arena, wwClass, locks, stage };
}

const turn = () => new Promise((resolve) => setImmediate(resolve));

interface Tally {
  taken: number;
  backOffs: number;
  torn: number;
}

describe.each(POLICIES)('%s', (policy) => {
  test.each([
    ['4 threads over few locks', 4, 12, 60, 4, false],
    ['with injected deadlocks', 2, 40, 60, 6, true],
    ['16 threads over 2,047 locks', 16, 2047, 6, 40, false],
  ] as const)('a deadlock, a livelock, or two owners: %s', async (_name, threads, locks, rounds, size, inject) => {
    const { arena, wwClass } = setup(policy);
    const handles = Array.from({ length: locks }, () => new WwMutex(wwClass).handle);
    const counters = arena.alloc(2 * locks);
    arena.words.fill(0, counters, counters + 2 * locks);
    const all = Array.from({ length: threads }, (_, i) =>
      inThread<Tally>(arena, THREADS, 'transfer', policy, handles, counters, rounds, size, i + 1, inject),
    );
    const tallies = await Promise.all(all.map(({ result }) => result));
    const sum = (of: (tally: Tally) => number) => tallies.reduce((total, tally) => total + of(tally), 0);
    expect(sum(({ torn }) => torn)).toBe(0);
    expect(sum(({ taken }) => taken)).toBe(threads * 4 * rounds * size);
    let counted = 0;
    for (let i = 0; i < locks; i++) counted += arena.words[counters + 2 * i] as number;
    expect(counted).toBe(threads * 4 * rounds * size);
    if (inject) expect(sum(({ backOffs }) => backOffs)).toBeGreaterThan(threads * 4 * rounds);
    for (const handle of handles) expect(WwMutex.from(wwClass, handle).isLocked).toBe(false);
  });

  test('two contexts that wait for each other', async () => {
    const { arena, stage } = setup(policy);
    const older = inThread<boolean>(arena, THREADS, 'cross', policy, 'a', 'b', stage);
    await until(arena, stage, 1);
    const younger = inThread<boolean>(arena, THREADS, 'cross', policy, 'b', 'a', stage);
    expect(await Promise.all([older.result, younger.result])).toEqual([false, true]);
  });
});

test('wait-die: a younger one that waits while it holds something', async () => {
  const { wwClass, locks } = setup('wait-die');
  const [a, b] = locks;
  using older = wwClass.beginAsync();
  using younger = wwClass.beginAsync();
  await a.lockAsync(older);
  await b.lockAsync(younger);
  await expect(a.lockAsync(younger)).rejects.toMatchObject({ code: 'EDEADLK' });
  const waits = b.lockAsync(older);
  younger.unlockAll();
  await waits;
  const slow = a.lockSlowAsync(younger);
  await turn();
  expect(a.isContended).toBe(true);
  older.unlockAll();
  await slow;
  expect(younger.held).toEqual([a]);
});

test('wound-wait: a wounded one that sleeps on', async () => {
  const { wwClass, locks } = setup('wound-wait');
  const [a, b, c] = locks;
  using older = wwClass.beginAsync();
  using younger = wwClass.beginAsync();
  using third = wwClass.beginAsync();
  await a.lockAsync(younger);
  await b.lockAsync(third);
  await c.lockAsync(older);
  // The younger one waits for a lock that has nothing to do with the older one, which then wants what it holds.
  const asleep = b.lockAsync(younger);
  asleep.catch(() => {});
  await turn();
  const wounds = a.lockAsync(older);
  await expect(asleep).rejects.toMatchObject({ code: 'EDEADLK' });
  younger.unlockAll();
  await wounds;
  third.unlockAll();
  await b.lockSlowAsync(younger);
  expect(older.held).toEqual([c, a]);
});

test('a context that lets go of its first lock first', () => {
  const { wwClass, locks } = setup();
  const order: string[] = [];
  for (const [i, lock] of locks.entries()) {
    const unlock = lock.unlock.bind(lock);
    vi.spyOn(lock, 'unlock').mockImplementation((context) => {
      order.push('abc'[i]!);
      unlock(context);
    });
  }
  const context = wwClass.begin();
  context.acquireAll(locks);
  context.release();
  expect(order).toEqual(['c', 'b', 'a']);
});

test('misuse that goes unnoticed', async () => {
  const { arena, wwClass, locks } = setup();
  const [a, b] = locks;
  const context = wwClass.begin();
  a.lock(context);
  expect(thrown(() => a.lock(context)).code).toBe('EALREADY');
  expect(thrown(() => new WwMutex(wwClass, 'a').tryLock(context)).code).toBe('EALREADY');
  expect(thrown(() => b.lockSlow(context)).code).toBe('EINVAL');
  for (const call of [() => wwClass.begin(), () => wwClass.beginAsync()]) expect(thrown(call).code).toBe('EBUSY');
  expect(thrown(() => a.unlock()).code).toBe('EPERM');
  expect(thrown(() => b.unlock(context)).code).toBe('EPERM');
  expect(thrown(() => context.acquireAll([b])).code).toBe('EINVAL');
  expect(thrown(() => a.lock()).message).toContain('already holds');
  await expect(b.lockAsync(context)).rejects.toMatchObject({ code: 'EINVAL' });
  const other = new WwClass(arena, 'other');
  expect(thrown(() => new WwMutex(other, 'a')).message).toContain('belongs to the class');
  expect(thrown(() => new WwMutex(other).lock(context)).message).toContain('another class');
  expect(thrown(() => new WwClass(arena, 'ww', { policy: 'wait-die' })).code).toBe('EINVAL');
  expect(thrown(() => new WwClass(arena, 'x', { policy: 'first-come' as never })).code).toBe('EINVAL');
  expect(inspect(a)).toBe('WwMutex(a, held by thread 0)');
  expect(inspect(wwClass)).toBe('WwClass(ww, wound-wait)');
  expect(WwClass.from(arena, wwClass.handle).policy).toBe('wound-wait');
  context.release();
  expect(thrown(() => context.release()).code).toBe('EPERM');
  expect(thrown(() => a.lock(context)).code).toBe('EPERM');
  expect(a.tryLock()).toBe(true);
  a.unlock();
  a.destroy();
});

test('two calls of one context at once: its one task stands in two queues, and neither settles', async () => {
  const { wwClass, locks } = setup();
  const [a, b, c] = locks;
  const first = wwClass.beginAsync();
  await first.acquireAllAsync([a, b]);
  using second = wwClass.beginAsync();
  const waiting = a.lockAsync(second);
  const busy = { code: 'EBUSY' };
  await expect(b.lockAsync(second)).rejects.toMatchObject(busy);
  await expect(c.lockAsync(second)).rejects.toMatchObject(busy);
  await expect(b.lockSlowAsync(second)).rejects.toMatchObject(busy);
  await expect(second.acquireAllAsync([b])).rejects.toMatchObject(busy);
  expect(thrown(() => c.tryLock(second)).code).toBe('EBUSY');
  first.release();
  await waiting;
  await b.lockAsync(second);
  expect(second.held).toEqual([a, b]);
});

test('acquireAllAsync with another call of the context between two of its locks', async () => {
  const { wwClass, locks } = setup();
  const [a, b, c] = locks;
  using context = wwClass.beginAsync();
  const all = context.acquireAllAsync([a, b]);
  for (let turns = 0; context.size < 2 && turns < 100; turns++) {
    await expect(c.lockAsync(context)).rejects.toMatchObject({ code: 'EBUSY' });
  }
  await all;
  expect(context.held).toEqual([a, b]);
});

test('a context that ends while a call of it waits: the lock comes to nobody, and stays locked', async () => {
  const { wwClass, locks } = setup();
  const [a, b] = locks;
  const first = wwClass.beginAsync();
  await b.lockAsync(first);
  const second = wwClass.beginAsync();
  await a.lockAsync(second);
  const waiting = b.lockAsync(second);
  expect(thrown(() => second.release()).code).toBe('EBUSY');
  expect(thrown(() => second.unlockAll()).code).toBe('EBUSY');
  expect(second.held).toEqual([a]);
  first.release();
  await waiting;
  second.release();
  expect([a.isLocked, b.isLocked]).toEqual([false, false]);
});

test('a call that has failed keeps its context busy', async () => {
  const { arena, wwClass, locks } = setup();
  const [a] = locks;
  using first = wwClass.beginAsync();
  await a.lockAsync(first);
  using second = wwClass.beginAsync();
  await expect(a.lockAsync(second, { timeout: 1 })).rejects.toMatchObject({ code: 'ETIMEDOUT' });
  await expect(a.lockAsync(second, { timeout: -1 })).rejects.toMatchObject({ code: 'EINVAL' });
  const other = new WwMutex(new WwClass(arena, 'other'));
  await expect(second.acquireAllAsync([other])).rejects.toMatchObject({ code: 'EINVAL' });
  second.unlockAll();
});

test('unlock with a context that has ended, whose task is another context of the thread', async () => {
  const { wwClass, locks } = setup();
  const [a] = locks;
  const ended = wwClass.beginAsync();
  ended.release();
  using next = wwClass.beginAsync();
  expect(next.task).toBe(ended.task);
  await a.lockAsync(next);
  expect(thrown(() => a.unlock(ended)).code).toBe('EPERM');
  expect(next.held).toEqual([a]);
  expect(a.isLocked).toBe(true);
});

test('a timeout or an abort that takes the lock with it', async () => {
  const { arena, wwClass, locks } = setup();
  const [a] = locks;
  const holder = wwClass.beginAsync();
  await a.lockAsync(holder);
  expect(thrown(() => wwClass.begin()).code).toBe('EBUSY');
  const context = wwClass.beginAsync();
  await expect(a.lockAsync(context, { timeout: 2 })).rejects.toMatchObject({ code: 'ETIMEDOUT' });
  const controller = new AbortController();
  const aborted = a.lockAsync(context, { signal: controller.signal });
  controller.abort('enough');
  await expect(aborted).rejects.toBe('enough');
  holder.release();
  expect(a.isLocked).toBe(false);
  await a.lockAsync(context);
  context.release();
  expect(arena.thread.tasksInUse).toBe(0);
});

test('locks of a context that dies with its thread', async () => {
  const { arena, wwClass, locks, stage } = setup();
  const holder = inThread(arena, THREADS, 'holdForEver', ['a', 'b'], stage);
  await until(arena, stage, 1);
  using context = wwClass.beginAsync();
  const waits = context.acquireAllAsync(locks);
  await turn();
  await holder.worker.terminate();
  await waits;
  expect(locks.map((lock) => lock.ownerDied)).toEqual([true, true, false]);
  for (const lock of context.held) if (lock.ownerDied) lock.makeConsistent();
  context.unlockAll();
  // The dead thread's place is taken by another, which is in no context.
  const next = inThread(arena, THREADS, 'holdForEver', ['c'], stage + 1);
  await until(arena, stage + 1, 1);
  expect(locks[2].owner).toEqual({ thread: 1, async: false });
  await next.worker.terminate();
});

test('a lock for a context that ends while the options are read', () => {
  const { wwClass, locks } = setup();
  const context = wwClass.begin();
  const options = {
    get timeout() {
      context.release();
      return 1;
    },
  };
  expect(thrown(() => locks[0].lock(context, options))).toMatchObject({ code: 'EPERM' });
  expect(locks[0].isLocked).toBe(false);
});

test('a context that nobody has, because its options threw as they were read', () => {
  const { wwClass } = setup();
  const options = {
    get injectDeadlocks(): boolean {
      throw new RangeError('no');
    },
  };
  expect(() => wwClass.begin(options)).toThrow(RangeError);
  expect(() => wwClass.beginAsync(options)).toThrow(RangeError);
  wwClass.begin().release();
});
