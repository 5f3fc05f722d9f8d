/**
 * Orders that have not been seen, and can be: the cells of the kernel's own test in which an interrupt takes a lock, as far as they carry over. A
 * safe lock is one that a callback takes synchronously, an unsafe one is held by asynchronous code of the thread while it awaits.
 */
import { setImmediate } from 'node:timers/promises';
import { expect, test } from 'vitest';
import {
  Arena,
  type LockdepOptions,
  Mutex,
  PercpuRwSemaphore,
  PthreadMutex,
  PthreadRwlock,
  RtMutex,
  RwSemaphore,
  startLockdep,
} from '../../../lib/index.ts';

function watched(options: LockdepOptions = { callbacks: true }) {
  const arena = Arena.create({ bytes: 2 << 20 });
  const lockdep = startLockdep(arena, { quiet: true, ...options });
  return { arena, lockdep, findings: () => lockdep.reports().map(({ finding }) => finding) };
}

interface Both {
  acquire(): { release(): void };
  acquireAsync(): Promise<{ release(): void }>;
}

const reading = (lock: RwSemaphore | PercpuRwSemaphore | PthreadRwlock): Both => ({
  acquire: () => lock.acquireRead(),
  acquireAsync: () => lock.acquireReadAsync(),
});
const writing = (lock: RwSemaphore | PercpuRwSemaphore | PthreadRwlock): Both => ({
  acquire: () => lock.acquireWrite(),
  acquireAsync: () => lock.acquireWriteAsync(),
});

const COLUMNS: Readonly<Record<string, (arena: Arena, name: string) => Both>> = {
  Mutex: (arena, name) => new Mutex(arena, name),
  RtMutex: (arena, name) => new RtMutex(arena, name),
  PthreadMutex: (arena, name) => new PthreadMutex(arena, name),
  'RwSemaphore, writing': (arena, name) => writing(new RwSemaphore(arena, name)),
  'RwSemaphore, reading': (arena, name) => reading(new RwSemaphore(arena, name)),
  'PercpuRwSemaphore, writing': (arena, name) => writing(new PercpuRwSemaphore(arena, name)),
  'PercpuRwSemaphore, reading': (arena, name) => reading(new PercpuRwSemaphore(arena, name)),
  'PthreadRwlock, writing': (arena, name) => writing(new PthreadRwlock(arena, name)),
};

const nest = (outer: Both, inner: Both) => {
  const held = outer.acquire();
  inner.acquire().release();
  held.release();
};
const callback = (lock: Both) => lock.acquire().release();
const section = async (lock: Both) => {
  const held = await lock.acquireAsync();
  await setImmediate();
  held.release();
};

/** What happens in each cell, in the orders of the kernel's: someone takes the unsafe lock inside the safe one. */
const EVENTS = [
  (safe: Both, unsafe: Both) => nest(safe, unsafe),
  (safe: Both) => callback(safe),
  (_safe: Both, unsafe: Both) => section(unsafe),
] as const;
const PERMUTATIONS = ['123', '132', '213', '231', '312', '321'];
const cells = Object.keys(COLUMNS).flatMap((column) => PERMUTATIONS.map((order) => ({ column, order })));

test.each(cells)('safe-A + unsafe-B, $column: $order', async ({ column, order }) => {
  const { arena, lockdep, findings } = watched();
  const open = COLUMNS[column]!;
  const [safe, unsafe] = [open(arena, 'safe'), open(arena, 'unsafe')];
  await setImmediate();
  for (const event of order) await EVENTS[Number(event) - 1]!(safe, unsafe);
  expect(findings()).toEqual(['circular']);
  expect(lockdep.reports()[0]!.text).toMatch(/at another time, in an asynchronous section|while a section may hold/);
});

test.each(Object.keys(COLUMNS))(
  'safe-A + unsafe-B without an order of the two, or with the other one: %s',
  async (column) => {
    const { arena, findings } = watched();
    const open = COLUMNS[column]!;
    const [safe, unsafe, other] = [open(arena, 'safe'), open(arena, 'unsafe'), open(arena, 'other')];
    await setImmediate();
    callback(safe);
    await section(unsafe);
    const held = await unsafe.acquireAsync();
    safe.acquire().release();
    held.release();
    // Of a lock that no section has, callbacks may come as they like.
    nest(safe, other);
    expect(findings()).toEqual([]);
  },
);

test('a chain from the safe lock to the unsafe one, of which each is taken in its turn', async () => {
  const { arena, lockdep } = watched();
  const [safe, middle, unsafe] = ['safe', 'middle', 'unsafe'].map((name) => new Mutex(arena, name)) as [
    Mutex,
    Mutex,
    Mutex,
  ];
  nest(safe, middle);
  nest(middle, unsafe);
  await setImmediate();
  await section(unsafe);
  expect(lockdep.reports()).toEqual([]);
  callback(safe);
  const [report] = lockdep.reports();
  expect(report?.classes).toEqual(['mutex "safe"', 'mutex "middle"', 'mutex "unsafe"']);
  expect(report?.text).not.toContain('(not known)');
  expect(report?.text).toContain('a callback of thread 0 acquires lock:\nmutex "safe"');
  expect(report?.text).toContain(
    'and can come while an asynchronous section of the thread holds lock:\nmutex "unsafe"',
  );
});

test('readers who go in whoever waits close no cycle with those that are inside', async () => {
  for (const [outer, count] of [
    ['acquireRead', 0],
    ['acquireWrite', 1],
  ] as const) {
    const { arena, findings } = watched();
    const [safe, unsafe] = [new PthreadRwlock(arena, 'safe'), new Mutex(arena, 'unsafe')];
    await setImmediate();
    const held = safe[outer]();
    unsafe.acquire().release();
    held.release();
    await section(unsafe);
    safe.acquireRead().release();
    expect(findings().length).toBe(count);
  }
});

test('sections that do not await, what the program does before its loop turns, and what is tried, are no cause', async () => {
  const { arena, lockdep } = watched();
  const all = ['safe', 'early', 'tried', 'unsafe'].map((name) => new Mutex(arena, name));
  const [safe, early, tried, unsafe] = all as [Mutex, Mutex, Mutex, Mutex];
  for (const outer of [safe, early, tried]) nest(outer, unsafe);
  await setImmediate();
  callback(safe);
  nest(safe, unsafe);
  if (tried.tryLock()) tried.unlock();
  expect(lockdep.reports()).toEqual([]);
  await section(unsafe);
  expect(lockdep.reports().map(({ classes }) => classes)).toEqual([['mutex "safe"', 'mutex "unsafe"']]);
});

test('a lock of synchronous code that is held across an await is unsafe, too', async () => {
  const { arena, findings } = watched();
  const [safe, unsafe] = ['safe', 'unsafe'].map((name) => new Mutex(arena, name)) as [Mutex, Mutex];
  nest(safe, unsafe);
  await setImmediate();
  callback(safe);
  unsafe.lock();
  await setImmediate();
  unsafe.unlock();
  expect(findings()).toEqual(['circular']);
});

test('without the option, and after reset, nothing is known of callbacks', async () => {
  const plain = watched({});
  const open = (arena: Arena) => ['safe', 'unsafe'].map((name) => new Mutex(arena, name)) as [Mutex, Mutex];
  const [safe, unsafe] = open(plain.arena);
  await setImmediate();
  for (const event of EVENTS) await event(safe, unsafe);
  expect(plain.findings()).toEqual([]);
  const again = watched();
  const locks = open(again.arena);
  await setImmediate();
  callback(locks[0]);
  again.lockdep.reset();
  await section(locks[1]);
  again.lockdep.reset();
  nest(...locks);
  expect(again.findings()).toEqual([]);
  expect(() => startLockdep(again.arena, { callbacks: 1 as never })).toThrow('callbacks is true or false');
});
