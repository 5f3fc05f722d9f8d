/** Where two things of lockdep meet: a full table and a lock that comes again, a session that ends and a thread that adds, flows and synchronous locks. */
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { setImmediate } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { nested as nestedIn } from '../../../lib/debug/lockdep/assert.ts';
import { orderAt, Report, Tables } from '../../../lib/debug/lockdep/layout.ts';
import { startLockdep as start } from '../../../lib/debug/lockdep/session.ts';
import {
  Arena,
  assertHeld,
  assertHeldRead,
  assertHeldWrite,
  assertNotHeld,
  Mutex,
  nested,
  PthreadMutex,
  PthreadRwlock,
  Rcu,
  RwLock,
  RwSemaphore,
  SeqLock,
  SpinLock,
  startLockdep,
} from '../../../lib/index.ts';
import { Header } from '../../../lib/memory/header.ts';
import { on, stepper } from '../../support/stepper.ts';
import { thrown } from '../../support/threads.ts';

function watched() {
  const arena = Arena.create({ bytes: 2 << 20 });
  const lockdep = startLockdep(arena, { quiet: true });
  return { arena, lockdep, findings: () => lockdep.reports().map(({ finding }) => finding) };
}

/** Threads that were attached before lockdep began, which thread 0 began. */
function stage(threads = 2) {
  const stepped = stepper(threads, { words: 1 << 18 });
  const { arenas, real } = stepped;
  const lockdep = start(arenas[0]!, { quiet: true });
  return {
    ...stepped,
    lockdep,
    tables: real.load(Header.lockdepTables),
    mutex: (by: number, name: string) => new Mutex(arenas[by]!, name),
    hear: (by: number) => void start(arenas[by]!, { quiet: true }),
    findings: () => lockdep.reports().map(({ finding, classes }) => [finding, ...classes]),
  };
}

function nest(outer: { lock(): void; unlock(): void }, inner: { lock(): void; unlock(): void }): void {
  outer.lock();
  inner.lock();
  inner.unlock();
  outer.unlock();
}

test('locks that found no room for their class, taken once more, write over the classes of others', () => {
  const { arena, lockdep, findings } = watched();
  const [a, b] = [new Mutex(arena, 'a'), new Mutex(arena, 'b')];
  nest(a, b);
  const locks = Array.from({ length: 300 }, () => new SpinLock(arena));
  for (const lock of locks) lock.runExclusive(() => {});
  for (const lock of locks.slice(0, 299)) nest(lock, locks[299]!);
  expect(findings()).toEqual([]);
  // Those that have a class, and were taken in the other order.
  nest(b, a);
  expect(lockdep.reports().map(({ classes }) => classes)).toEqual([['mutex "b"', 'mutex "a"'].reverse()]);
  expect(lockdep.stats()).toMatchObject({ classes: 256, orders: 2 });
});

test('a thread that has heard of no end between two sessions goes by the numbers of the first one', () => {
  const { lockdep, mutex, hear, findings } = stage();
  const [a, b] = [mutex(1, 'a'), mutex(1, 'b')];
  hear(1);
  nest(a, b);
  lockdep.stop();
  hear(0);
  expect(lockdep.stats()).toMatchObject({ classes: 0, orders: 0 });
  nest(b, a);
  expect(findings()).toEqual([]);
  nest(a, b);
  expect(findings()).toEqual([['circular', 'mutex "b"', 'mutex "a"']]);
});

test('tables that are cleared while a living thread adds to them', () => {
  const { lockdep, mutex, hear, before, cancel, tables, findings } = stage();
  const [a, b] = [mutex(1, 'a'), mutex(1, 'b')];
  hear(1);
  const orders: number[] = [];
  const isOrder = ({ op, address }: { op: string; address: number }) =>
    op === 'fetchOr' && address >= orderAt(tables, 0, 0) && address < tables + Tables.stacks;
  before(1, isOrder, () => {
    // That thread does not get on.
    expect(thrown(() => lockdep.reset()).code).toBe('EBUSY');
    orders.push(lockdep.stats().classes);
    lockdep.stop();
    expect(thrown(() => hear(0)).code).toBe('EBUSY');
  });
  nest(a, b);
  expect([cancel(1), orders]).toEqual([false, [2]]);
  // It has come to its end, and none of that is in the tables of the next session.
  hear(0);
  expect(lockdep.stats()).toMatchObject({ classes: 0, orders: 0 });
  hear(1);
  nest(b, a);
  expect(findings()).toEqual([]);
});

test('a reset that comes to nothing ends the session, or forgets what was known', () => {
  const { lockdep, mutex, hear, before, cancel, findings } = stage();
  const [a, b] = [mutex(1, 'a'), mutex(1, 'b')];
  hear(1);
  before(1, on('fetchOr'), () => expect(thrown(() => lockdep.reset()).code).toBe('EBUSY'));
  nest(a, b);
  expect(cancel(1)).toBe(false);
  nest(b, a);
  expect(findings()).toEqual([['circular', 'mutex "a"', 'mutex "b"']]);
  lockdep.reset();
  expect(lockdep.stats()).toMatchObject({ classes: 0, orders: 0, reports: 0 });
});

test('tables that are cleared while a thread that has died was adding to them', () => {
  const { lockdep, mutex, hear, killBefore } = stage();
  const [a, b] = [mutex(1, 'a'), mutex(1, 'b')];
  hear(1);
  expect(killBefore(1, on('fetchOr'), () => nest(a, b))).toBe(true);
  lockdep.reset();
  expect(lockdep.stats()).toMatchObject({ classes: 0, orders: 0 });
});

test('whoever hears of a report clears the tables, or takes a lock', () => {
  const { arena, lockdep } = watched();
  const [a, b, c] = ['a', 'b', 'c'].map((name) => new Mutex(arena, name)) as [Mutex, Mutex, Mutex];
  const heard: string[] = [];
  const hear = () => {
    c.runExclusive(() => heard.push(...lockdep.reports().map(({ finding }) => finding)));
    lockdep.reset();
  };
  subscribe('holdfast:lockdep', hear);
  nest(a, b);
  nest(b, a);
  unsubscribe('holdfast:lockdep', hear);
  expect(heard).toEqual(['circular']);
  expect(lockdep.stats()).toMatchObject({ classes: 0, orders: 0, reports: 0 });
  nest(a, b);
  expect(lockdep.reports()).toEqual([]);
});

test('a report is read while another thread forgets it', () => {
  const { arenas, lockdep, mutex, before, cancel, tables } = stage();
  const [a, b] = [mutex(0, 'a'), mutex(0, 'b')];
  nest(a, b);
  nest(b, a);
  before(0, on('read', tables + Tables.reports + Report.text + 20), () => start(arenas[1]!, { quiet: true }).reset());
  expect(lockdep.reports()).toEqual([]);
  expect(cancel(0)).toBe(false);
});

test('suppressions that a thread is writing, which dies in the middle of it', () => {
  const { arenas, mutex, killBefore, reap, tables, lockdep, findings } = stage(3);
  start(arenas[0]!, { quiet: true, suppress: 'circular  mutex "a"  mutex "b"' });
  const later = 'recursive  mutex "something else"';
  // Its second word is not written yet, wherever that is.
  const isText = ({ op, address }: { op: string; address: number }) =>
    op === 'write' && address >= tables + Tables.suppressed && address < tables + Tables.droppedClasses;
  let words = 0;
  expect(
    killBefore(
      1,
      (step) => isText(step) && ++words === 2,
      () => start(arenas[1]!, { suppress: later }),
    ),
  ).toBe(true);
  const [a, b] = [mutex(0, 'a'), mutex(0, 'b')];
  nest(a, b);
  nest(b, a);
  expect(findings()).toEqual([]);
  expect(lockdep.stats().suppressed).toBe(1);
  expect(reap(2)).toBe('done');
  start(arenas[2]!, { quiet: true, suppress: later });
  lockdep.reset();
  nest(a, b);
  nest(b, a);
  expect(findings()).toEqual([['circular', 'mutex "a"', 'mutex "b"']]);
});

test('suppressions that are read while they are changed twice', () => {
  const { arenas, mutex, before, cancel, tables, findings } = stage();
  const suppress = 'circular  mutex "a"  mutex "b"';
  start(arenas[0]!, { quiet: true, suppress });
  const isText = ({ op, address }: { op: string; address: number }) =>
    op === 'read' && address > tables + Tables.suppressed + 2 && address < tables + Tables.droppedClasses;
  before(0, isText, () => {
    for (const text of ['* mutex "c"', `# a comment\n${suppress}`]) start(arenas[1]!, { quiet: true, suppress: text });
  });
  nest(mutex(0, 'a'), mutex(0, 'b'));
  nest(mutex(0, 'b'), mutex(0, 'a'));
  expect(cancel(0)).toBe(false);
  expect(findings()).toEqual([]);
});

const LOCKS: Record<string, (arena: Arena) => [lock: object, free: () => void]> = {
  'a mutex': (arena) => held(new Mutex(arena, 'x'), 'lock', 'unlock'),
  'a spinlock': (arena) => held(new SpinLock(arena, 'x'), 'lock', 'unlock'),
  'a sequence lock': (arena) => held(new SeqLock(arena, 'x'), 'lock', 'unlock'),
  'a POSIX mutex': (arena) => held(new PthreadMutex(arena, 'x'), 'lock', 'unlock'),
  'a reader': (arena) => held(new RwSemaphore(arena, 'x'), 'downRead', 'upRead'),
  'a writer': (arena) => held(new RwSemaphore(arena, 'x'), 'downWrite', 'upWrite'),
  'a spinning reader': (arena) => held(new RwLock(arena, 'x'), 'readLock', 'readUnlock'),
  'a POSIX reader': (arena) => held(new PthreadRwlock(arena, 'x'), 'readLock', 'unlock'),
  'a reader of RCU': (arena) => held(new Rcu(arena), 'readLock', 'readUnlock'),
};

function held(lock: object, take: string, give: string): [object, () => void] {
  const calls = lock as Record<string, () => void>;
  calls[take]!();
  return [lock, () => calls[give]!()];
}

test.each(Object.entries(LOCKS))('%s that was taken before anybody looked is not held', (_name, take) => {
  const { arena, lockdep, findings } = watched();
  const other = new Mutex(arena, 'another');
  const [lock, free] = take(arena);
  lockdep.reset();
  // From here on the thread knows of the reset.
  other.tryLock();
  assertHeld(lock as Mutex);
  expect(findings()).toEqual([]);
  assertNotHeld(lock as Mutex);
  expect(findings()).toEqual(['not-held']);
  free();
  lockdep.reset();
  assertNotHeld(lock as Mutex);
  expect(findings()).toEqual([]);
  for (const assert of [assertHeld, assertHeldRead, assertHeldWrite]) {
    lockdep.reset();
    assert(lock as Mutex);
    expect(findings()).toEqual(['not-held']);
  }
});

test('behind a recursive reader no order is seen of what was held before it', () => {
  const { arena, findings } = watched();
  const [a, b] = [new Mutex(arena, 'a'), new Mutex(arena, 'b')];
  const rwlock = new PthreadRwlock(arena, 'r');
  a.lock();
  rwlock.readLock();
  b.runExclusive(() => {});
  rwlock.unlock();
  a.unlock();
  nest(b, a);
  expect(findings()).toEqual(['circular']);
});

test('between two readers of one lock that is read recursively', () => {
  const { arena, findings } = watched();
  const [a, b] = [new Mutex(arena, 'a'), new Mutex(arena, 'b')];
  const rwlock = new PthreadRwlock(arena, 'r');
  rwlock.readLock();
  a.lock();
  rwlock.readLock();
  b.runExclusive(() => {});
  rwlock.unlock();
  a.unlock();
  rwlock.unlock();
  nest(b, a);
  expect(findings()).toEqual(['circular']);
});

test('a lock of a class that is held already keeps what is inside from an order to what was held before', () => {
  const { arena, findings } = watched();
  const [one, two, a, b] = ['n 1', 'n 2', 'a', 'b'].map((name) => new Mutex(arena, name)) as Mutex[];
  one!.lock();
  a!.lock();
  two!.lock(); // reported
  b!.runExclusive(() => {});
  two!.unlock();
  a!.unlock();
  one!.unlock();
  nest(b!, a!);
  expect(findings()).toEqual(['recursive', 'circular']);
});

test('what one flow has taken synchronously, and holds while it awaits, is in the hands of others', async () => {
  const { arena, lockdep, findings } = watched();
  const [a, b, c] = ['a', 'b', 'c'].map((name) => new Mutex(arena, name)) as [Mutex, Mutex, Mutex];
  let go = () => {};
  const gate = new Promise<void>((resolve) => (go = resolve));
  const holder = async () => {
    await setImmediate();
    a.lock();
    await gate;
    (await c.acquireAsync()).release();
    a.unlock();
  };
  const other = async () => {
    await setImmediate();
    await setImmediate();
    const held = await b.acquireAsync();
    await setImmediate();
    held.release();
    go();
  };
  await Promise.all([holder(), other()]);
  // From `a` to `c`, and none to `b`.
  expect(lockdep.stats().orders).toBe(1);
  nest(b, a);
  expect(findings()).toEqual([]);
  nest(c, a);
  expect(findings()).toEqual(['circular']);
});

test('what a flow had before it took something synchronously, or tried to, it has still', async () => {
  const { arena, lockdep } = watched();
  const [a, b, c, d] = ['a', 'b', 'c', 'd'].map((name) => new Mutex(arena, name)) as Mutex[];
  const held = await a!.acquireAsync();
  await setImmediate();
  b!.lock();
  expect(c!.tryLock()).toBe(true);
  await setImmediate();
  const other = await d!.acquireAsync();
  // From `a` to `b`, and from `a`, `b` and `c` to `d`.
  expect(lockdep.stats().orders).toBe(4);
  other.release();
  c!.unlock();
  b!.unlock();
  held.release();
});

test('a pair of classes that is met again and again takes the places of other reports', () => {
  const { arena, lockdep } = watched();
  const [a, b, c] = ['a', 'b', 'c'].map((name) => new Mutex(arena, name)) as Mutex[];
  for (let i = 0; i < 50; i++) expect(() => c!.unlock()).toThrow('EPERM');
  nest(a!, b!);
  nest(b!, a!);
  expect(lockdep.reports().map(({ finding }) => finding)).toEqual(['balance', 'circular']);
});

test('a spinlock that one flow holds while it awaits makes what others wait for a wrong context', async () => {
  const { arena, findings } = watched();
  const [spin, b] = [new SpinLock(arena, 's'), new Mutex(arena, 'b')];
  const holder = async () => {
    await setImmediate();
    spin.lock();
    for (let i = 0; i < 4; i++) await setImmediate();
    spin.unlock();
  };
  const other = async () => {
    await setImmediate();
    await setImmediate();
    (await b.acquireAsync()).release();
  };
  await Promise.all([holder(), other()]);
  expect(findings()).toEqual([]);
});

test('a thread that has not heard of lockdep yet says of which subclass a lock is', () => {
  const { arenas, mutex, lockdep, findings } = stage();
  const [child, other] = [mutex(1, 'node 1'), mutex(1, 'other')];
  nestedIn(arenas[1]!, 1, () => child.lock());
  other.lock();
  other.unlock();
  child.unlock();
  expect(lockdep.stats()).toMatchObject({ classes: 2, orders: 1 });
  nest(mutex(0, 'other'), mutex(0, 'node 1'));
  expect(findings()).toEqual([]);
});

test('a subclass goes to a lock that is given back, or looked at, and not to the one that is taken', () => {
  const { arena, findings } = watched();
  const [parent, child, other] = ['node 1', 'node 2', 'other'].map((name) => new Mutex(arena, name)) as Mutex[];
  parent!.lock();
  nested(arena, 1, () => {
    expect(() => other!.unlock()).toThrow('EPERM');
    assertHeld(other!);
    child!.lock();
  });
  expect(findings()).toEqual(['balance', 'not-held']);
});

test('a thread that begins to be observed while lockdep ends is observed for ever', () => {
  const { arenas, lockdep, mutex, hear, before, cancel } = stage();
  const lock = mutex(1, 'a');
  lockdep.stop();
  hear(0);
  before(1, on('load', Header.lockdepTables), () => lockdep.stop());
  nestedIn(arenas[1]!, 0, () => {});
  expect(cancel(1)).toBe(false);
  lock.lock();
  lock.unlock();
  expect(arenas[1]!.thread.observer).toBeUndefined();
  expect(arenas[1]!.thread.free).toBe(0);
});

test('a thread that has left the arena is observed', () => {
  const arena = Arena.create({ bytes: 2 << 20 });
  const lock = new Mutex(arena, 'a');
  startLockdep(arena, { quiet: true });
  arena.detach();
  expect(() => nested(arena, 1, () => {})).not.toThrow();
  expect(() => assertHeld({ ...lock, arena, address: 0, name: undefined } as unknown as Mutex)).not.toThrow();
  expect(arena.thread.observer).toBeUndefined();
});
