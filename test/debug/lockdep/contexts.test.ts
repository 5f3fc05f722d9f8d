/** What has no counterpart in the kernel, or another one: asynchronous sections, threads that end, what the program expects. */
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { setImmediate } from 'node:timers/promises';
import { runInThisContext } from 'node:vm';
import { expect, test } from 'vitest';
import {
  Arena,
  assertHeld,
  assertHeldRead,
  assertHeldWrite,
  assertNotHeld,
  type LockdepOptions,
  type LockdepReport,
  Mutex,
  nested,
  PthreadCond,
  PthreadMutex,
  Rcu,
  RwSemaphore,
  SpinLock,
  Srcu,
  setLockClass,
  startLockdep,
} from '../../../lib/index.ts';

function watched(options: LockdepOptions = {}) {
  const arena = Arena.create({ bytes: 2 << 20 });
  const lockdep = startLockdep(arena, { quiet: true, ...options });
  return { arena, lockdep, findings: () => lockdep.reports().map(({ finding }) => finding) };
}

function mutexes(arena: Arena, ...names: string[]): Mutex[] {
  return names.map((name) => new Mutex(arena, name));
}

async function inside(outer: Mutex, inner: Mutex): Promise<void> {
  const held = await outer.acquireAsync();
  await setImmediate();
  const other = await inner.acquireAsync();
  other.release();
  held.release();
}

test('the order of two asynchronous flows', async () => {
  const { arena, findings } = watched();
  const [a, b] = mutexes(arena, 'a', 'b') as [Mutex, Mutex];
  await inside(a, b);
  await inside(a, b);
  expect(findings()).toEqual([]);
  await inside(b, a);
  expect(findings()).toEqual(['circular']);
});

test('flows that begin in one go, or run beside each other, hold what they hold apart', async () => {
  const { arena, findings, lockdep } = watched();
  const [a, b, c, d] = mutexes(arena, 'a', 'b', 'c', 'd') as [Mutex, Mutex, Mutex, Mutex];
  await Promise.all([inside(a, b), inside(c, d)]);
  await Promise.all([inside(c, d), inside(a, b)]);
  expect(lockdep.stats().orders).toBe(2);
  await Promise.all([a.runExclusiveAsync(() => setImmediate()), b.runExclusiveAsync(() => setImmediate())]);
  await Promise.all([b.runExclusiveAsync(() => setImmediate()), a.runExclusiveAsync(() => setImmediate())]);
  expect(findings()).toEqual([]);
});

test('a section that is asynchronous: its locks are held in it, and not after it', async () => {
  const { arena, lockdep, findings } = watched();
  const [a, b] = mutexes(arena, 'a', 'b') as [Mutex, Mutex];
  await a.runExclusiveAsync(async () => {
    await setImmediate();
    await b.runExclusiveAsync(() => {});
  });
  expect(lockdep.stats().orders).toBe(1);
  await b.runExclusiveAsync(() => setImmediate());
  await a.runExclusiveAsync(() => setImmediate());
  expect(findings()).toEqual([]);
});

test('a call that comes to nothing holds nothing', async () => {
  const { arena, lockdep } = watched();
  const [a, b] = mutexes(arena, 'a', 'b') as [Mutex, Mutex];
  const held = await a.acquireAsync();
  const flow = async () => {
    await expect(a.acquireAsync({ timeout: 1 })).rejects.toThrow('ETIMEDOUT');
    await b.runExclusiveAsync(() => {});
  };
  held.release();
  a.lock();
  await flow();
  a.unlock();
  // From `a`, which synchronous code holds, to `b`, and no other.
  expect(lockdep.stats().orders).toBe(1);
  expect(() => a.lock({ timeout: 0 })).not.toThrow();
});

test('a synchronous lock while an asynchronous section of the thread is open', async () => {
  const { arena, findings } = watched();
  const [a, b] = mutexes(arena, 'a', 'b') as [Mutex, Mutex];
  const held = await a.acquireAsync();
  // Another flow, which knows nothing of `a`: but `a` is not released while the thread waits here.
  await new Promise<void>((resolve) => {
    queueMicrotask(() => {
      b.runExclusive(() => {});
      resolve();
    });
  });
  held.release();
  b.runExclusive(() => a.runExclusive(() => {}));
  expect(findings()).toEqual(['circular']);
});

test('a synchronous lock of the class that an asynchronous section of the thread has', async () => {
  const { arena, findings } = watched();
  const [one, other] = mutexes(arena, 'a 1', 'a 2') as [Mutex, Mutex];
  const held = await one.acquireAsync();
  other.runExclusive(() => {});
  held.release();
  expect(findings()).toEqual(['recursive']);
});

test('an asynchronous call waits with what its code holds when it awaits, and not with what it has given back by then', async () => {
  const { arena, findings, lockdep } = watched();
  const [a, b, c] = mutexes(arena, 'a', 'b', 'c') as [Mutex, Mutex, Mutex];
  const queued = async (outer: Mutex, inner: Mutex) => {
    outer.lock();
    const waiting = inner.lockAsync();
    outer.unlock();
    await waiting;
    inner.unlock();
  };
  // In line for the lock that it holds, as whoever hands something over.
  await queued(a, a);
  await queued(a, b);
  const held = await c.acquireAsync();
  const waiting = b.acquireAsync();
  held.release();
  (await waiting).release();
  expect(lockdep.stats()).toMatchObject({ orders: 0, reports: 0 });
  // It awaits with the lock in hand.
  a.lock();
  const guard = await b.acquireAsync();
  a.unlock();
  guard.release();
  expect(lockdep.stats().orders).toBe(1);
  b.runExclusive(() => a.runExclusive(() => {}));
  expect(findings()).toEqual(['circular']);
});

test('what is taken between an asynchronous call and the end of its stretch of code is not held while that waits', async () => {
  const { arena, findings, lockdep } = watched();
  const [a, b, c] = mutexes(arena, 'a', 'b', 'c') as [Mutex, Mutex, Mutex];
  const waiting = a.acquireAsync();
  expect([b.tryLock(), c.tryLock()]).toEqual([true, true]);
  c.unlock();
  const guard = await waiting;
  b.unlock();
  guard.release();
  expect(lockdep.stats()).toMatchObject({ orders: 1, reports: 0 });
  a.runExclusive(() => b.runExclusive(() => {}));
  expect(findings()).toEqual(['circular']);
});

test('an asynchronous lock inside a spinlock', async () => {
  const { arena, findings } = watched();
  const spin = new SpinLock(arena, 'spin');
  spin.lock();
  (await new Mutex(arena, 'a').acquireAsync()).release();
  spin.unlock();
  expect(findings()).toEqual(['context']);
});

test('a reader with a guard may sleep, one without may not', async () => {
  const { arena, findings } = watched();
  const rcu = new Rcu(arena);
  const srcu = new Srcu(arena, 'srcu');
  const mutex = new Mutex(arena, 'a');
  const [reader, other] = [rcu.read(), srcu.read()];
  mutex.runExclusive(() => {});
  reader.release();
  other.release();
  expect(findings()).toEqual([]);
  rcu.readLock();
  mutex.runExclusive(() => {});
  rcu.readUnlock();
  expect(findings()).toEqual(['context']);
});

test('whoever waits for readers with a lock that a reader takes', () => {
  const { arena, findings } = watched();
  const srcu = new Srcu(arena, 'srcu');
  const mutex = new Mutex(arena, 'a');
  const index = srcu.readLock();
  mutex.runExclusive(() => {});
  srcu.readUnlock(index);
  mutex.runExclusive(() => srcu.synchronize());
  expect(findings()).toEqual(['circular']);
});

test('a lock that is held across an await: from the limit on', async () => {
  const { arena, findings } = watched({ awaitLimit: 0 });
  const [a, b, c] = mutexes(arena, 'a', 'b', 'c') as [Mutex, Mutex, Mutex];
  a.runExclusive(() => {});
  expect(findings()).toEqual([]);
  await b.runExclusiveAsync(() => setImmediate());
  expect(findings()).toEqual(['await']);
  c.lock();
  await setImmediate();
  c.unlock();
  expect(findings()).toEqual(['await', 'await']);
  await c.runExclusiveAsync(() => setImmediate());
  expect(findings()).toEqual(['await', 'await']);
});

test('a lock that is held across an await for less than the limit', async () => {
  const { arena, findings } = watched({ awaitLimit: 2 ** 31 - 1 });
  await new Mutex(arena, 'a').runExclusiveAsync(() => setImmediate());
  expect(findings()).toEqual([]);
});

test.each([true, false])(
  'locks that are released in another order than they were taken: releaseOrder %s',
  (releaseOrder) => {
    const { arena, findings } = watched({ releaseOrder });
    const [a, b] = mutexes(arena, 'a', 'b') as [Mutex, Mutex];
    a.lock();
    b.lock();
    b.unlock();
    a.unlock();
    expect(findings()).toEqual([]);
    a.lock();
    b.lock();
    a.unlock();
    b.unlock();
    expect(findings()).toEqual(releaseOrder ? ['release-order'] : []);
  },
);

test('a lock that is tried closes no cycle, and what is taken inside may', () => {
  const { arena, findings } = watched();
  const [a, b] = mutexes(arena, 'a', 'b') as [Mutex, Mutex];
  a.runExclusive(() => b.runExclusive(() => {}));
  b.lock();
  expect(a.tryLock()).toBe(true);
  a.unlock();
  a.lock({ timeout: 0 });
  a.unlock();
  b.unlock();
  expect(findings()).toEqual([]);
  expect(b.tryLock()).toBe(true);
  a.runExclusive(() => {});
  b.unlock();
  expect(findings()).toEqual(['circular']);
});

test('what was held before a lock that was tried', () => {
  const { arena, findings } = watched();
  const [a, b, c] = mutexes(arena, 'a', 'b', 'c') as [Mutex, Mutex, Mutex];
  a.lock();
  b.tryLock();
  c.runExclusive(() => {});
  b.unlock();
  a.unlock();
  c.runExclusive(() => a.runExclusive(() => {}));
  expect(findings()).toEqual(['circular']);
});

test('a condition variable gives its mutex back while it waits', () => {
  const { arena, lockdep, findings } = watched();
  const mutex = new PthreadMutex(arena, 'a');
  const cond = new PthreadCond(arena, 'c');
  mutex.lock();
  expect(() => cond.wait(mutex, { timeout: 1 })).toThrow('ETIMEDOUT');
  assertHeld(mutex);
  mutex.unlock();
  expect(findings()).toEqual([]);
  expect(lockdep.stats().orders).toBe(0);
});

test('downgraded, it is read', () => {
  const { arena, findings } = watched();
  const lock = new RwSemaphore(arena, 'a');
  lock.downWrite();
  assertHeldWrite(lock);
  lock.downgradeWrite();
  assertHeldRead(lock);
  expect(findings()).toEqual([]);
  assertHeldWrite(lock);
  expect(findings()).toEqual(['not-held']);
  lock.upRead();
});

test.each([
  ['held', assertHeld, false],
  ['held for reading', assertHeldRead, false],
  ['held for writing', assertHeldWrite, false],
  ['not held', assertNotHeld, true],
] as const)('the program expects that a lock is %s', (_name, assert, isTaken) => {
  const { arena, findings } = watched();
  const lock = new RwSemaphore(arena, 'a');
  if (isTaken) lock.downWrite();
  assert(lock);
  assert(lock);
  expect(findings()).toEqual(['not-held']);
  if (isTaken) lock.upWrite();
});

test('what the program expects is not looked at where lockdep does not run', () => {
  const arena = Arena.create({ bytes: 1 << 20 });
  expect(() => assertHeld(new Mutex(arena, 'a'))).not.toThrow();
  expect(() => assertHeld({} as Mutex)).toThrow('EINVAL');
});

test('two locks of one class, and the program says in which order it takes them', () => {
  const { arena, findings } = watched();
  const [parent, child] = mutexes(arena, 'node 1', 'node 2') as [Mutex, Mutex];
  parent.runExclusive(() => nested(arena, 1, () => child.lock()));
  child.unlock();
  expect(findings()).toEqual([]);
  nested(arena, 1, () => child.lock());
  parent.runExclusive(() => {});
  child.unlock();
  expect(findings()).toEqual(['circular']);
  expect(() => nested(arena, 8, () => {})).toThrow('EINVAL');
});

test('a flow holds what it has asked for and not got', async () => {
  const { arena, lockdep } = watched();
  const [a, b] = mutexes(arena, 'a', 'b') as [Mutex, Mutex];
  const over = new AbortController();
  const holder = (async () => {
    await setImmediate();
    const held = await a.acquireAsync();
    while (!over.signal.aborted) await setImmediate();
    held.release();
  })();
  while (!a.isLocked) await setImmediate();
  await expect(a.acquireAsync({ timeout: 1 })).rejects.toThrow('ETIMEDOUT');
  await b.runExclusiveAsync(() => {});
  over.abort();
  await holder;
  expect(lockdep.stats()).toMatchObject({ classes: 2, orders: 0 });
});

test('a subclass is that of one lock', () => {
  const { arena, lockdep, findings } = watched();
  const [one, two, three] = mutexes(arena, 'node 1', 'node 2', 'node 3') as [Mutex, Mutex, Mutex];
  one.lock();
  nested(arena, 1, () => {
    two.lock();
    three.lock();
  });
  expect(findings()).toEqual(['recursive']);
  expect(lockdep.reports()[0]?.classes).toEqual(['mutex "node #"']);
});

test('a class that the program gives', () => {
  const { arena, lockdep, findings } = watched();
  const [a, b, c] = mutexes(arena, 'a', 'b', 'c') as [Mutex, Mutex, Mutex];
  b.runExclusive(() => {});
  for (const lock of [a, b]) setLockClass(lock, 'letters');
  a.runExclusive(() => c.runExclusive(() => {}));
  c.runExclusive(() => b.runExclusive(() => {}));
  expect(findings()).toEqual(['circular']);
  expect(lockdep.reports()[0]?.classes).toEqual(['mutex "letters"', 'mutex "c"']);
  expect(() => setLockClass(a, '')).toThrow('EINVAL');
});

test('locks without a name are classes of their own, also where one has the address of another', () => {
  const { arena, findings } = watched();
  const a = new Mutex(arena, 'a');
  const first = new Mutex(arena);
  const { address } = first;
  a.runExclusive(() => first.runExclusive(() => {}));
  first.destroy();
  // Its memory comes back when the thread has made other objects.
  let second = new Mutex(arena);
  for (let i = 0; i < 100 && second.address !== address; i++) second = new Mutex(arena);
  expect(second.address).toBe(address);
  second.runExclusive(() => a.runExclusive(() => {}));
  expect(findings()).toEqual([]);
});

test('a pair of classes is reported once, and the program goes on', () => {
  const { arena, lockdep, findings } = watched();
  const heard: unknown[] = [];
  const hear = (report: unknown) => heard.push(report);
  subscribe('holdfast:lockdep', hear);
  const [a, b] = mutexes(arena, 'a', 'b') as [Mutex, Mutex];
  for (let i = 0; i < 3; i++) {
    a.runExclusive(() => b.runExclusive(() => {}));
    b.runExclusive(() => a.runExclusive(() => {}));
  }
  unsubscribe('holdfast:lockdep', hear);
  expect(findings()).toEqual(['circular']);
  expect(heard).toEqual(lockdep.reports());
});

test('what a report says', () => {
  const { arena, lockdep } = watched();
  const [a, b] = mutexes(arena, 'account 1', 'book') as [Mutex, Mutex];
  const transfer = () => a.runExclusive(() => b.runExclusive(() => {}));
  const audit = () => b.runExclusive(() => a.runExclusive(() => {}));
  transfer();
  audit();
  const { text, classes, thread } = lockdep.reports()[0] as LockdepReport;
  expect(classes).toEqual(['mutex "account #"', 'mutex "book"']);
  expect(thread).toBe(arena.thread.number);
  expect(text).toContain('WARNING: possible circular locking dependency detected');
  expect(text).toContain('which lock already depends on the new lock.');
  expect(text).toContain('Possible unsafe locking scenario');
  // Both places, with the functions that took the locks.
  expect(text.indexOf('audit (')).toBeGreaterThan(0);
  expect(text.indexOf('transfer (')).toBeGreaterThan(0);
  expect(text).toContain('contexts.test.ts');
});

test('a report of deep stacks in files with long paths has shorter stacks, and all the rest', () => {
  const { arena, lockdep } = watched();
  const [a, b] = mutexes(arena, 'account 1', 'book') as [Mutex, Mutex];
  const file = `/srv/${'long/'.repeat(30)}app.mjs`;
  const code = '(function deep(n, f) { return n > 0 ? deep(n - 1, f) : f(); })';
  const deep = runInThisContext(code, file) as (n: number, f: () => void) => void;
  const heard: unknown[] = [];
  const hear = (report: unknown) => heard.push(report);
  subscribe('holdfast:lockdep', hear);
  deep(20, () => a.runExclusive(() => b.runExclusive(() => {})));
  deep(20, () => b.runExclusive(() => a.runExclusive(() => {})));
  unsubscribe('holdfast:lockdep', hear);
  const { text } = lockdep.reports()[0] as LockdepReport;
  expect(text).toContain(file);
  expect(text).toMatch(/\.\.\. \d+ more/);
  expect(text).toContain('*** DEADLOCK ***');
  expect(text).toContain('1 lock held by thread');
  expect(heard).toEqual(lockdep.reports());
});

test('after reset nothing is known, and what was held is not looked at', () => {
  const { arena, lockdep, findings } = watched();
  const [a, b] = mutexes(arena, 'a', 'b') as [Mutex, Mutex];
  a.runExclusive(() => b.runExclusive(() => {}));
  b.runExclusive(() => a.runExclusive(() => {}));
  a.lock();
  lockdep.reset();
  expect(findings()).toEqual([]);
  expect(lockdep.stats()).toMatchObject({ classes: 0, orders: 0, reports: 0 });
  b.runExclusive(() => {});
  a.unlock();
  expect(lockdep.stats()).toMatchObject({ classes: 1, orders: 0 });
  b.runExclusive(() => a.runExclusive(() => {}));
  expect(findings()).toEqual([]);
  a.runExclusive(() => b.runExclusive(() => {}));
  expect(findings()).toEqual(['circular']);
});

test('what an asynchronous call asked for before lockdep was reset, stopped or begun anew is not looked at', async () => {
  const { arena, lockdep } = watched();
  const [a, b] = mutexes(arena, 'a', 'b') as [Mutex, Mutex];
  a.lock();
  for (const end of [() => lockdep.reset(), () => lockdep.stop()]) {
    const waiting = b.acquireAsync();
    end();
    (await waiting).release();
    expect(lockdep.stats().orders).toBe(0);
  }
  a.unlock();
});

test('after stop no lock is looked at, and fast paths are as before', () => {
  const { arena, lockdep, findings } = watched();
  const [a, b] = mutexes(arena, 'a', 'b') as [Mutex, Mutex];
  a.runExclusive(() => b.runExclusive(() => {}));
  a.lock();
  lockdep.stop();
  a.unlock();
  expect(arena.thread.observer).toBeUndefined();
  expect(arena.thread.free).toBe(0);
  b.runExclusive(() => a.runExclusive(() => {}));
  expect(findings()).toEqual([]);
  expect(() => lockdep.reset()).toThrow('EINVAL');
  startLockdep(arena, { quiet: true });
  b.runExclusive(() => a.runExclusive(() => {}));
  expect(findings()).toEqual([]);
  expect(lockdep.stats().orders).toBe(1);
});

test.each([
  ['circular  mutex "a"  mutex "b"', true],
  ['* mutex "a"', true],
  ['# why\ncircular *', true],
  ['circular  mutex "a"  mutex "c"', false],
  ['recursive mutex "a"', false],
  ['circular mutex', false],
])('suppressed by %j: %s', (suppress, isSuppressed) => {
  const { arena, lockdep, findings } = watched({ suppress });
  const [a, b] = mutexes(arena, 'a', 'b') as [Mutex, Mutex];
  a.runExclusive(() => b.runExclusive(() => {}));
  b.runExclusive(() => a.runExclusive(() => {}));
  expect(findings()).toEqual(isSuppressed ? [] : ['circular']);
  expect(lockdep.stats().suppressed).toBe(isSuppressed ? 1 : 0);
});

test.each([
  [{ suppress: 'circle mutex "a"' }],
  [{ suppress: 'circular' }],
  [{ suppress: `# ${'x'.repeat(4096)}` }],
  [{ suppress: 5 as unknown as string }],
  [{ awaitLimit: -1 }],
  [{ quiet: 1 as unknown as boolean }],
  [{ loud: true } as LockdepOptions],
])('options that mean nothing are refused, and nothing begins: %j', (options) => {
  const arena = Arena.create({ bytes: 2 << 20 });
  expect(() => startLockdep(arena, options)).toThrow('EINVAL');
  expect(arena.thread.observer).toBeUndefined();
});

test('an arena that has no room for it', () => {
  expect(() => startLockdep(Arena.create({ bytes: 300 << 10, maxThreads: 4 }))).toThrow('ENOMEM');
});

test('more classes than there is room for are counted, and their locks work', () => {
  const { arena, lockdep, findings } = watched();
  const locks = Array.from({ length: 300 }, () => new SpinLock(arena));
  for (const lock of locks) lock.runExclusive(() => {});
  expect(lockdep.stats()).toMatchObject({ classes: 256, droppedClasses: 44 });
  expect(findings()).toEqual([]);
});
