import { getEventListeners } from 'node:events';
import { describe, expect, test } from 'vitest';
import { Arena, Completion, Mutex, Workqueue } from '../../lib/index.ts';
import { allStatistics } from '../../lib/workqueue/statistics.ts';
import { inThread } from '../support/threads.ts';
import { f } from './functions.ts';

const THREADS = new URL('./workqueue.threads.ts', import.meta.url).href;

function newArena(): Arena {
  const arena = Arena.create({ bytes: 8 << 20 });
  Workqueue.configure(arena, { slots: 2 });
  return arena;
}

/** For all tests that leave it as it was: threads take long to start. */
const common = newArena();
let queues = 0;

/** A queue of its own name, in the common arena or another one. */
function queue(options?: ConstructorParameters<typeof Workqueue>[2], arena = common) {
  const name = `test ${queues++}`;
  return { arena, name, wq: new Workqueue(arena, name, options) };
}

function tryAlloc(arena: Arena, words: number): number {
  try {
    return arena.alloc(words);
  } catch {
    return 0;
  }
}

describe('a call', () => {
  test('whose arguments or result come over as something else', async () => {
    const { wq } = queue();
    expect(await wq.run(f.add, 1, 2)).toBe(3);
    const values = [
      undefined,
      null,
      true,
      -1,
      2 ** 31,
      -0,
      1.5,
      Number.NaN,
      12n,
      '',
      'short',
      'häß',
      '∀ wide',
      'l'.repeat(60),
      'L'.repeat(5000),
      'w∀'.repeat(50),
      { a: [1, { b: 'c' }], d: null },
      { u: undefined },
      [],
      new Array(3),
      new Map([[1, new Set([2])]]),
      new Date(5),
      /x/g,
      new Uint8Array([1, 2, 3]),
      new Float64Array([1.5, 2.5]),
      new Uint8Array([1, 2, 3, 4]).subarray(1, 3),
      new Uint8Array([7, 8]).buffer,
      new Uint8Array(1 << 17).fill(9),
      new DataView(new Uint8Array([1, 2]).buffer),
      Object.create(null, { x: { value: 1, enumerable: true } }),
    ];
    for (const value of values) expect(await wq.run(f.echo, value)).toEqual(structuredClone(value));
    expect(await wq.run(f.echo, Buffer.from('bytes'))).toEqual(Buffer.from('bytes'));
    const shared = { x: 1 };
    const [one, other] = (await wq.run(f.echo, [shared, shared])) as object[];
    expect(one).toBe(other);
  });

  test('that leaves memory behind', async () => {
    const arena = Arena.create({ bytes: 8 << 20 });
    // No further worker, which would take memory of its own when it comes.
    Workqueue.configure(arena, { slots: 1, maxWorkers: 1 });
    const { wq } = queue({}, arena);
    await wq.run(f.echo, 'x'.repeat(1000));
    const { used } = arena.use();
    for (let i = 0; i < 300; i++) await wq.run(f.echo, 'x'.repeat(1000 + i));
    expect(arena.use().used).toBe(used);
    expect(arena.fsck()).toEqual([]);
  });

  test('whose error loses its type, its properties or the stack of the worker', async () => {
    const { wq } = queue();
    const error = await wq.run(f.fail, 'bad').catch((reason) => reason);
    expect(error).toBeInstanceOf(TypeError);
    expect(error).toMatchObject({ message: 'bad', code: 'E_MINE' });
    expect(error.stack).toContain('at fail (');
    await expect(wq.run(f.failLater, 'later')).rejects.toThrow(RangeError);
    await expect(wq.run(f.uncloneable)).rejects.toMatchObject({ code: 'EINVAL' });
  });

  test('whose error has no room in the arena, and takes the worker with it', async () => {
    const { arena, wq } = queue({}, newArena());
    await wq.run(f.add, 1, 2);
    const brief: TypeError = await wq.run(f.failAtLength, 8 << 20).then(String, (error) => error);
    expect(brief).toBeInstanceOf(Error);
    expect([brief.name, brief.message]).toEqual(['TypeError', 'm'.repeat(300)]);
    // Full to the last block of that length.
    const blocks: number[] = [];
    for (let words = 1 << 18; words >= 16; words >>= 1) {
      for (let block = tryAlloc(arena, words); block !== 0; block = tryAlloc(arena, words)) blocks.push(block);
    }
    await expect(wq.run(f.failAtLength, 1000)).rejects.toThrow(expect.objectContaining({ code: 'ENOMEM' }));
    for (const block of blocks) arena.free(block);
    await expect(wq.run(f.failAtLength, 1)).rejects.toThrow('m');
    expect(await wq.run(f.add, 1, 2)).toBe(3);
  });

  test('that is queued although it can’t be', async () => {
    const { arena, name, wq } = queue();
    await expect(wq.run((a: number) => a, 1)).rejects.toMatchObject({ code: 'EINVAL' });
    await expect(wq.run(f.echo, () => {})).rejects.toMatchObject({ code: 'EINVAL' });
    await expect(wq.run(f.echo, 'x'.repeat(16 << 20))).rejects.toMatchObject({ code: 'ENOMEM' });
    await expect(wq.runWith({ timeout: -1 }, f.add, 1, 2)).rejects.toMatchObject({ code: 'EINVAL' });
    await expect(wq.runWith({ slot: 1 }, f.add, 1, 2)).rejects.toMatchObject({ code: 'EINVAL' });
    expect(wq.counts).toEqual({ active: 0, inactive: 0, ended: 0 });
    expect(() => new Workqueue(arena, '')).toThrow('EINVAL');
    expect(() => new Workqueue(arena, name, { unbound: false })).toThrow('EINVAL');
    expect(() => new Workqueue(arena, 'x', { maxActive: 1.5 })).toThrow('EINVAL');
    expect(() => new Workqueue(arena, 'x', { ordered: true, maxActive: 2 })).toThrow('EINVAL');
    expect(() => Workqueue.configure(arena, { slots: 3 })).toThrow('EBUSY');
    expect(await wq.run(f.add, 1, 2)).toBe(3);
  });

  test('on a queue that is closed or drained', async () => {
    const { arena, name, wq } = queue();
    const gate = new Completion(arena, `gate of ${name}`);
    const before = wq.run(f.blockAsync, `gate of ${name}`);
    const drained = wq.drain();
    await expect(wq.run(f.add, 1, 2)).rejects.toMatchObject({ code: 'EBUSY' });
    gate.completeAll();
    await before;
    await drained;
    const last = wq.run(f.add, 1, 2);
    const closed = wq.close();
    await expect(wq.run(f.add, 1, 2)).rejects.toMatchObject({ code: 'EINVAL' });
    expect(await last).toBe(3);
    await closed;
    await wq.close();
    expect(await new Workqueue(arena, name).run(f.add, 2, 2)).toBe(4);
  });
});

describe('a queue that is drained', () => {
  test('ends before what its own items queue, or refuses that', async () => {
    const { arena, name, wq } = queue();
    const log = arena.alloc(1);
    arena.words[log] = 0;
    const first = wq.run(f.chainLater, name, log, 20, `gate of ${name}`);
    const drained = wq.drain();
    await expect(wq.run(f.chain, name, log, 1)).rejects.toMatchObject({ code: 'EBUSY' });
    new Completion(arena, `gate of ${name}`).completeAll();
    await drained;
    expect(Atomics.load(arena.words, log)).toBe(20);
    await first;
    expect(await wq.run(f.add, 1, 2)).toBe(3);
  });

  test('by a thread that dies, and takes no item ever again', async () => {
    const { arena, name, wq } = queue();
    const blocked = wq.run(f.blockAsync, `gate of ${name}`);
    await inThread(arena, THREADS, 'drainAndDie', name).exited;
    expect(await wq.run(f.add, 1, 2)).toBe(3);
    new Completion(arena, `gate of ${name}`).completeAll();
    await blocked;
  });

  test('by one of its own items, which waits for itself', async () => {
    const { name, wq } = queue();
    for (const how of ['flush', 'drain', 'close'] as const) {
      await expect(wq.run(f.flushWithin, name, how)).rejects.toMatchObject({ code: 'EDEADLK' });
    }
    expect(await wq.run(f.add, 1, 2)).toBe(3);
    const other = queue();
    await wq.run(f.flushWithin, other.name, 'flush');
  });
});

test('an arena without room for a worker’s record: the call fails, or never comes back when there is room', async () => {
  const arena = newArena();
  // The function and the item have their room; the pool of high priority has no worker yet.
  expect(await new Workqueue(arena, 'normal').run(f.add, 1, 1)).toBe(2);
  const wq = new Workqueue(arena, 'full', { highpri: true });
  const blocks: number[] = [];
  for (let words = 1 << 18; words > 0; ) {
    try {
      blocks.push(arena.alloc(words));
    } catch (error) {
      expect(error).toMatchObject({ code: 'ENOMEM' });
      words >>= 1;
    }
  }
  const call = wq.run(f.add, 1, 2);
  await new Promise((resolve) => setImmediate(resolve));
  for (const block of blocks) arena.free(block);
  expect(await call).toBe(3);
});

describe('giving up', () => {
  test('a call that has not begun, which runs all the same', async () => {
    const { arena, name, wq } = queue({ maxActive: 1 });
    const gate = new Completion(arena, `gate of ${name}`);
    const first = wq.run(f.blockAsync, `gate of ${name}`);
    const log = arena.alloc(8);
    const control = new AbortController();
    const second = wq.runWith({ signal: control.signal }, f.note, log, 2);
    const third = wq.run(f.note, log, 3);
    control.abort(new Error('no more'));
    await expect(second).rejects.toThrow('no more');
    gate.completeAll();
    await Promise.all([first, third]);
    expect([arena.words[log], arena.words[log + 1]]).toEqual([1, 3]);
    expect(getEventListeners(control.signal, 'abort')).toEqual([]);
    await expect(wq.runWith({ signal: control.signal }, f.add, 1, 1)).rejects.toThrow('no more');
  });

  test('a call that runs, whose function never learns of it', async () => {
    const { arena, name, wq } = queue();
    const begun = new Completion(arena, `begun of ${name}`);
    const control = new AbortController();
    const call = wq.runWith({ signal: control.signal }, f.untilAborted, `begun of ${name}`);
    await begun.waitAsync();
    control.abort();
    await expect(call).rejects.toMatchObject({ name: 'AbortError' });
    await wq.flush();
    const [began, over] = [new Completion(arena, `began of ${name}`), new Completion(arena, `over of ${name}`)];
    const other = new AbortController();
    const awaiting = wq.runWith({ signal: other.signal }, f.untilSignal, `began of ${name}`, `over of ${name}`);
    await began.waitAsync();
    other.abort();
    await expect(awaiting).rejects.toMatchObject({ name: 'AbortError' });
    await over.waitAsync();
    await wq.flush();
  });

  test('by a timeout, which ends nothing', async () => {
    const { arena, name, wq } = queue();
    const gate = new Completion(arena, `gate of ${name}`);
    const call = wq.runWith({ timeout: 20 }, f.blockAsync, `gate of ${name}`);
    await expect(call).rejects.toMatchObject({ code: 'ETIMEDOUT' });
    gate.completeAll();
    await wq.flush();
  });
});

describe('a worker’s event loop', () => {
  test('that stands still while there are items: what one of them awaits comes behind the last', async () => {
    const arena = Arena.create({ bytes: 8 << 20 });
    Workqueue.configure(arena, { slots: 1, maxWorkers: 1 });
    const { name, wq } = queue({}, arena);
    const word = arena.alloc(1);
    arena.words[word] = 0;
    const awaiting = wq.run(f.sayFirst, word, 1);
    // Each of them queues the next one before it ends: the worker never finds its pool empty.
    const computing = wq.run(f.computeInTurn, name, word, 2, 100);
    await Promise.all([awaiting, computing]);
    await wq.drain();
    expect(arena.words[word]).toBe(1);
  });

  test('that stands still when there are none, and a lock that was asked for comes to a thread which sleeps', async () => {
    const { arena, name, wq } = queue();
    const mutex = new Mutex(arena, name);
    {
      using _held = mutex.acquire();
      await wq.run(f.lockLater, name);
    }
    // Behind the worker's, if its thread takes and releases the lock at all.
    (await mutex.acquireAsync()).release();
  });

  test('of a worker that awaits as many calls as it may, none of which hears that it is given up', async () => {
    const arena = Arena.create({ bytes: 8 << 20 });
    Workqueue.configure(arena, { slots: 1, maxAwaited: 1, maxWorkers: 1 });
    const { wq } = queue({}, arena);
    const control = new AbortController();
    const call = wq.runWith({ signal: control.signal }, f.untilSignal, 'begun', 'over');
    await new Completion(arena, 'begun').waitAsync();
    control.abort();
    await expect(call).rejects.toMatchObject({ name: 'AbortError' });
    await new Completion(arena, 'over').waitAsync();
    expect(await wq.run(f.add, 1, 2)).toBe(3);
  });
});

describe('concurrency', () => {
  test('of more items than maxActive', async () => {
    const { arena, wq } = queue({ maxActive: 4 });
    const at = arena.alloc(2);
    await Promise.all(Array.from({ length: 200 }, () => wq.run(f.gauge, at)));
    expect(arena.words[at]).toBe(0);
    expect(arena.words[at + 1]).toBeLessThanOrEqual(4);
  });

  test('of an ordered queue whose items overtake each other', async () => {
    const { arena, wq } = queue({ ordered: true });
    const log = arena.alloc(302);
    await Promise.all(Array.from({ length: 300 }, (_, i) => wq.run(f.note, log, i)));
    expect([...arena.words.subarray(log + 1, log + 301)]).toEqual(Array.from({ length: 300 }, (_, i) => i));
  });

  test('that ends when all workers sleep in a lock', async () => {
    const { name, wq } = queue();
    const blocked = Array.from({ length: 4 }, () => wq.run(f.block, `gate of ${name}`));
    // Runs on a fifth worker, beside four that sleep and have two slots.
    await wq.run(f.open, `gate of ${name}`);
    expect(new Set(await Promise.all(blocked)).size).toBe(4);
  });

  test('that takes a thread for each item that is awaited', async () => {
    const { arena, name, wq } = queue();
    const gate = new Completion(arena, `gate of ${name}`);
    const all = Array.from({ length: 200 }, () => wq.run(f.blockAsync, `gate of ${name}`));
    await wq.run(f.add, 1, 2);
    gate.completeAll();
    expect(new Set(await Promise.all(all)).size).toBeLessThanOrEqual(3);
  });

  test('of calls that wait for each other on the workers', async () => {
    const { name, wq } = queue();
    expect(await wq.run(f.nested, name, 40)).toBe(40);
  });

  test('of a bound queue whose items run in another slot', async () => {
    const { wq } = queue({ unbound: false });
    const one = await Promise.all(Array.from({ length: 20 }, () => wq.runWith({ slot: 0 }, f.thread)));
    const other = await Promise.all(Array.from({ length: 20 }, () => wq.runWith({ slot: 1 }, f.thread)));
    expect(one.some((thread) => other.includes(thread))).toBe(false);
    await wq.flush();
    expect(wq.counts).toEqual({ active: 0, inactive: 0, ended: 40 });
  });

  test('of a queue of high priority', async () => {
    const { wq } = queue({ highpri: true });
    expect(await wq.run(f.add, 1, 2)).toBe(3);
  });

  test('that stays as it was when maxActive is changed', async () => {
    const { arena, name, wq } = queue({ maxActive: 2 });
    const blocked = Array.from({ length: 4 }, () => wq.run(f.blockAsync, `gate of ${name}`));
    const last = wq.run(f.open, `gate of ${name}`);
    wq.setMaxActive(5);
    await Promise.all([...blocked, last]);
    expect(wq.maxActive).toBe(5);
    expect(() => new Workqueue(arena, `ordered ${name}`, { ordered: true }).setMaxActive(2)).toThrow('EINVAL');
  });
});

describe('a queue that is watched', () => {
  test('whose statistics are those of another, or of none', async () => {
    const { arena, name, wq } = queue({ maxActive: 3 });
    await Promise.all([wq.run(f.add, 1, 2), wq.run(f.nap, 3), wq.run(f.fail, 'bad').catch(() => {})]);
    const { statistics } = wq;
    expect(statistics).toMatchObject({ name, flags: ['unbound'], maxActive: 3, active: 0, inactive: 0, ended: 3 });
    expect([statistics.wait.count, statistics.run.count]).toEqual([3, 3]);
    expect(allStatistics(arena).find((other) => other.name === name)).toEqual(statistics);
  });

  test('that is ready while it is not, or never again', async () => {
    const { arena, name, wq } = queue({ maxActive: 2 });
    const gate = new Completion(arena, `gate of ${name}`);
    await wq.ready();
    const calls = [wq.run(f.blockAsync, `gate of ${name}`), wq.run(f.blockAsync, `gate of ${name}`)];
    await wq.ready(3);
    let isReady = false;
    const both = [wq.ready(), wq.ready(2)].map((ready) => ready.then(() => (isReady = true)));
    await new Promise((resolve) => setImmediate(resolve));
    expect(isReady).toBe(false);
    gate.complete();
    await Promise.all(both);
    gate.complete();
    await Promise.all(calls);
    await wq.ready(1);
    await expect(wq.ready(0)).rejects.toMatchObject({ code: 'EINVAL' });
  });
});

describe('flush', () => {
  test('that ends before an item of another thread', async () => {
    const { arena, name, wq } = queue();
    const log = arena.alloc(4);
    await inThread(arena, THREADS, 'queueThree', name, log).exited;
    await wq.flush();
    expect(Atomics.load(arena.words, log)).toBe(3);
  });

  test('map that loses values, or their order', async () => {
    const { wq } = queue();
    const values = Array.from({ length: 50 }, (_, i) => i);
    const ordered: number[] = [];
    for await (const value of wq.map(values, f.echo<number>, { ordered: true, concurrency: 5 })) ordered.push(value);
    expect(ordered).toEqual(values);
    const any: number[] = [];
    for await (const value of wq.map(values, f.echo<number>, { concurrency: 5 })) any.push(value);
    expect(any.sort((a, b) => a - b)).toEqual(values);
  });
});

describe('the death of a worker', () => {
  test('whose item never ends, or that takes the rest with it', async () => {
    const { arena, wq } = queue({ maxActive: 3 }, newArena());
    const calls = [wq.run(f.exit), ...Array.from({ length: 20 }, (_, i) => wq.run(f.add, i, 1))];
    const ended = await Promise.allSettled(calls);
    expect(ended[0]).toMatchObject({ status: 'rejected', reason: { code: 'EOWNERDEAD' } });
    // What the same worker had in hand has died with it, and nothing else.
    for (const other of ended.slice(1)) {
      if (other.status === 'rejected') expect(other.reason).toMatchObject({ code: 'EOWNERDEAD' });
    }
    await wq.flush();
    expect(wq.counts.active).toBe(0);
    expect(await Promise.all(Array.from({ length: 20 }, (_, i) => wq.run(f.add, i, 1)))).toHaveLength(20);
    expect(arena.fsck()).toEqual([]);
  });

  test('by an error that nobody catches, which is not replaced', async () => {
    const { wq } = queue();
    for (let i = 0; i < 3; i++) {
      await expect(wq.run(f.throwLater)).rejects.toMatchObject({ code: 'EOWNERDEAD' });
      expect(await wq.run(f.add, i, 1)).toBe(i + 1);
    }
  });

  test('of a view of the arena, after which a call queues with a number that is another’s, or never ends', async () => {
    const { arena, name, wq } = queue({}, newArena());
    const log = arena.alloc(16);
    arena.words.fill(0, log, log + 16);
    await inThread(arena, THREADS, 'queueAndDetach', name, log).exited;
    expect(arena.words[log + 10]).toBe(12);
    expect(await wq.run(f.add, 1, 2)).toBe(3);
    await wq.flush();
    expect(arena.words[log]).toBe(1);
    expect(arena.fsck()).toEqual([]);
  });

  test('of a submitter, whose items nobody can have any more', async () => {
    const { arena, name, wq } = queue({}, newArena());
    const log = arena.alloc(400);
    await inThread(arena, THREADS, 'queueAndDie', name, log).exited;
    await wq.flush();
    const ran = Atomics.load(arena.words, log);
    expect(ran).toBeLessThanOrEqual(100);
    await inThread(arena, THREADS, 'queueThree', name, log).exited;
    await wq.flush();
    expect(Atomics.load(arena.words, log)).toBe(ran + 3);
  });
});
