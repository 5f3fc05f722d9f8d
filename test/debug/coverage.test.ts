/**
 * What hears of locks hears of each lock, in whatever way it is taken: a row for each call of each lock, and for each row the profile that counts
 * free locks, the trace, lockdep, and the profile of waits. A call that the table lacks fails a test of its own.
 */
import { expect, test } from 'vitest';
import type { LockContention } from '../../lib/debug/profile/read.ts';
import type { TraceEvent } from '../../lib/debug/trace/read.ts';
import {
  Arena,
  McsLock,
  Mutex,
  OsqLock,
  PercpuRwSemaphore,
  PthreadMutex,
  PthreadRwlock,
  PthreadSem,
  Rcu,
  RcuQsbr,
  RtMutex,
  RwLock,
  RwSemaphore,
  Semaphore,
  SeqLock,
  SpinLock,
  Srcu,
  startLockdep,
  startProfile,
  startTrace,
  TicketLock,
  WwClass,
  type WwContext,
  WwMutex,
} from '../../lib/index.ts';

type Lock = Record<string, (...args: unknown[]) => unknown> & { readonly address: number };

/** How what a call takes is given back: by that method, by the guard that it returns, or when the section is over that it runs. */
const GUARD = Symbol('guard');
const SECTION = Symbol('section');
type Back = string | typeof GUARD | typeof SECTION;

interface Lockish {
  readonly make: (arena: Arena) => object;
  /** What it is called in profiles and traces. */
  readonly kind: string;
  readonly calls: Readonly<Record<string, Back>>;
  /** Calls of names like these that take no lock. */
  readonly others?: readonly string[];
  /** What waits for those that hold it: by default its first call that may wait. Undefined where what is taken has no order. */
  readonly waits?: ((lock: Lock) => void) | undefined;
  readonly args?: (lock: Lock, call: string) => readonly unknown[];
}

const EXCLUSIVE = {
  lock: 'unlock',
  tryLock: 'unlock',
  acquire: GUARD,
  runExclusive: SECTION,
} as const;
const ASYNC = { lockAsync: 'unlock', acquireAsync: GUARD, runExclusiveAsync: SECTION } as const;
const SEMAPHORE = {
  downRead: 'upRead',
  tryDownRead: 'upRead',
  downReadAsync: 'upRead',
  acquireRead: GUARD,
  acquireReadAsync: GUARD,
  runShared: SECTION,
  runSharedAsync: SECTION,
  downWrite: 'upWrite',
  tryDownWrite: 'upWrite',
  downWriteAsync: 'upWrite',
  acquireWrite: GUARD,
  acquireWriteAsync: GUARD,
  runExclusive: SECTION,
  runExclusiveAsync: SECTION,
} as const;
const READER = { readLock: 'readUnlock', read: GUARD } as const;
const synchronize = (lock: Lock) => void lock.synchronize!();
const OF_DOMAINS = ['barrierAsync', 'reclaim'];
const MUTEXES = ['normal', 'errorcheck', 'recursive'] as const;
const PROTOCOLS = ['inherit', 'protect'] as const;

const LOCKS: Readonly<Record<string, Lockish>> = {
  Mutex: { make: (arena) => new Mutex(arena, 'x'), kind: 'mutex', calls: { ...EXCLUSIVE, ...ASYNC } },
  RtMutex: { make: (arena) => new RtMutex(arena, 'x'), kind: 'rt-mutex', calls: { ...EXCLUSIVE, ...ASYNC } },
  WwMutex: {
    make: (arena) => new WwMutex(new WwClass(arena, 'c'), 'x'),
    kind: 'ww-mutex',
    calls: { lock: 'unlock', tryLock: 'unlock', attempt: 'unlock', attemptAsync: 'unlock', lockAsync: 'unlock' },
    // The same as `lock` and `lockAsync` for a context that has backed off, and what `attempt` is made of.
    others: ['lockSlow', 'lockSlowAsync', 'attemptWithin'],
    args(lock, call) {
      const { wwClass } = lock as unknown as { wwClass: WwClass };
      return [call.endsWith('Async') ? wwClass.beginAsync() : wwClass.begin()];
    },
  },
  SpinLock: { make: (arena) => new SpinLock(arena, 'x'), kind: 'spin-lock', calls: EXCLUSIVE },
  TicketLock: { make: (arena) => new TicketLock(arena, 'x'), kind: 'ticket-lock', calls: EXCLUSIVE },
  McsLock: { make: (arena) => new McsLock(arena, 'x'), kind: 'mcs-lock', calls: EXCLUSIVE },
  // It gives up where it would wait for long: what is held before it is no order.
  OsqLock: { make: (arena) => new OsqLock(arena, 'x'), kind: 'osq-lock', calls: { lock: 'unlock' }, waits: undefined },
  RwLock: {
    make: (arena) => new RwLock(arena, 'x'),
    kind: 'rw-lock',
    calls: {
      readLock: 'readUnlock',
      tryReadLock: 'readUnlock',
      acquireRead: GUARD,
      runShared: SECTION,
      writeLock: 'writeUnlock',
      tryWriteLock: 'writeUnlock',
      acquireWrite: GUARD,
      runExclusive: SECTION,
    },
  },
  RwSemaphore: { make: (arena) => new RwSemaphore(arena, 'x'), kind: 'rw-semaphore', calls: SEMAPHORE },
  PercpuRwSemaphore: {
    make: (arena) => new PercpuRwSemaphore(arena, 'x'),
    kind: 'percpu-rw-semaphore',
    calls: SEMAPHORE,
  },
  Semaphore: {
    make: (arena) => new Semaphore(arena, 'x', { permits: 1 }),
    kind: 'semaphore',
    calls: {
      down: 'up',
      tryDown: 'up',
      downAsync: 'up',
      acquire: GUARD,
      acquireAsync: GUARD,
      runExclusive: SECTION,
      runExclusiveAsync: SECTION,
    },
    waits: undefined,
  },
  SeqLock: {
    make: (arena) => new SeqLock(arena, 'x'),
    kind: 'seq-lock',
    calls: { ...EXCLUSIVE, write: SECTION, writeAsync: SECTION },
    others: ['waitForWriter'],
    args: (lock, call) => (call.startsWith('write') ? [(lock as unknown as { words: number }).words, [1]] : []),
  },
  ...Object.fromEntries(
    MUTEXES.map((type) => [
      `PthreadMutex, ${type}`,
      {
        make: (arena: Arena) => new PthreadMutex(arena, 'x', { type }),
        kind: 'pthread mutex',
        calls: { ...EXCLUSIVE, ...ASYNC },
        others: ['lockAgain'],
      },
    ]),
  ),
  ...Object.fromEntries(
    PROTOCOLS.map((protocol) => [
      `PthreadMutex, ${protocol}`,
      {
        make: (arena: Arena) =>
          new PthreadMutex(arena, 'x', protocol === 'protect' ? { protocol, prioceiling: -1 } : { protocol }),
        kind: 'pthread mutex',
        calls: { ...EXCLUSIVE, ...ASYNC },
        others: ['lockAgain'],
      },
    ]),
  ),
  PthreadRwlock: {
    make: (arena) => new PthreadRwlock(arena, 'x'),
    kind: 'pthread rwlock',
    waits(lock) {
      lock.writeLock!();
      lock.unlock!();
    },
    calls: {
      readLock: 'unlock',
      tryReadLock: 'unlock',
      acquireRead: GUARD,
      acquireReadAsync: GUARD,
      runShared: SECTION,
      runSharedAsync: SECTION,
      writeLock: 'unlock',
      tryWriteLock: 'unlock',
      acquireWrite: GUARD,
      acquireWriteAsync: GUARD,
      runExclusive: SECTION,
      runExclusiveAsync: SECTION,
    },
  },
  PthreadSem: {
    make: (arena) => new PthreadSem(arena, 'x', { value: 1 }),
    kind: 'pthread sem',
    calls: { wait: 'post', tryWait: 'post', waitAsync: 'post' },
    waits: undefined,
  },
  Rcu: { make: (arena) => new Rcu(arena), kind: 'rcu', calls: READER, waits: synchronize, others: OF_DOMAINS },
  RcuQsbr: {
    make: (arena) => new RcuQsbr(arena),
    kind: 'rcu-qsbr',
    calls: READER,
    waits: synchronize,
    others: OF_DOMAINS,
  },
  Srcu: { make: (arena) => new Srcu(arena, 'x'), kind: 'srcu', calls: READER, waits: synchronize, others: OF_DOMAINS },
};

const rows = Object.entries(LOCKS).flatMap(([name, lock]) =>
  Object.entries(lock.calls).flatMap(([call, back]) => {
    const plain = { title: `${name}: ${call}`, name, lock, call, back, options: undefined as object | undefined };
    const hasOptions =
      /^(lock|acquire|down|run|wait)/.test(call) && !/Lock|Rcu|Srcu/.test(name.replace('RwLock', 'Lock'));
    return hasOptions
      ? [plain, { ...plain, title: `${plain.title}, with options`, options: { timeout: 1000 } }]
      : [plain];
  }),
);

/** A guard of a domain's reader, and any asynchronous call, is one of code that may await. */
function modeOf(lock: Lockish, call: string): number {
  const isReader = /read|shared/i.test(call) && lock.kind !== 'seq-lock';
  const isGuardOfReader = (call === 'read' && lock.kind === 'rcu') || lock.kind === 'srcu';
  return (isReader ? 1 : 0) + (call.endsWith('Async') || isGuardOfReader ? 2 : 0);
}

/** Takes the lock in that way, runs `inside`, and gives it back. */
async function takeAndGive(lock: Lock, row: (typeof rows)[number], inside: () => void): Promise<void> {
  const { call, back, options, lock: lockish } = row;
  const args = lockish.args?.(lock, call) ?? [];
  const isSection = back === SECTION && !call.startsWith('write');
  const all = [...(isSection ? [inside] : []), ...args, ...(options === undefined ? [] : [options])];
  const result = lock[call]!(...all);
  // A synchronous call is over before the first await: so is what lockdep knows of its stretch.
  const taken = result instanceof Promise ? await result : result;
  if (back === SECTION) return;
  inside();
  if (back === GUARD) (taken as { release(): void }).release();
  else lock[back as string]!(...(lockish.kind === 'srcu' ? [taken] : lockish.kind === 'ww-mutex' ? args : []));
  if (lockish.kind === 'ww-mutex') (args[0] as WwContext).release();
}

function watched() {
  const arena = Arena.create({ bytes: 8 << 20 });
  const profile = startProfile(arena, { holds: true });
  const trace = startTrace(arena, { events: 256, threads: 4 });
  const lockdep = startLockdep(arena, { quiet: true });
  return { arena, profile, trace, lockdep };
}

function made(lock: Lockish, arena: Arena): Lock {
  const view = lock.make(arena) as unknown as Lock;
  return lock.kind === 'seq-lock' ? Object.assign(view, { words: arena.alloc(1) }) : view;
}

test.each(rows)('$title', async (row) => {
  const { arena, profile, trace, lockdep } = watched();
  const lock = made(row.lock, arena);
  const outer = new Mutex(arena, 'outer');
  const mode = modeOf(row.lock, row.call);
  // `write` writes inside the lock, and runs nothing of the program's.
  const runsNothing = row.call.startsWith('write') && row.back === SECTION;
  await takeAndGive(lock, row, () => outer.runExclusive(() => {}));

  const { events, locks } = trace.stop();
  const isOwn = ({ fields }: TraceEvent) => locks[fields.lock as number]?.address === lock.address;
  const pairs = events.filter((event) => isOwn(event) && /^(acquire|release)$/.test(event.point));
  const isPermit = typeof row.back === 'string' && /^(up|post)$/.test(row.back);
  expect(pairs.map(({ point, fields }) => [point, fields.mode])).toEqual([
    ['acquire', mode],
    // Which call has taken a permit that belongs to nobody is not known when it is given.
    ['release', isPermit ? 0 : mode],
  ]);
  expect(events.filter(({ point }) => point.startsWith('contention'))).toEqual([]);

  const { locks: profiled } = profile.stop();
  const own = profiled.find(
    ({ address, shared }) => address === lock.address && shared === (mode & 1) > 0,
  ) as LockContention;
  // Nobody was in the way. A synchronous writer of a PercpuRwSemaphore has no fast path, and counts.
  expect(own.async.contentions).toBe(0);
  const { sync, async } = own.held!;
  expect([sync.acquisitions, async.acquisitions]).toEqual(mode & 2 ? [0, 1] : [1, 0]);

  // lock -> outer was seen. What waits for the lock inside the other one closes a cycle.
  if (runsNothing || ('waits' in row.lock && row.lock.waits === undefined)) return;
  const taker = rows.find(({ name, call }) => name === row.name && /^(lock|write|down|attempt)/.test(call)) ?? row;
  const waits = row.lock.waits ?? (() => void takeAndGive(lock, taker, () => {}));
  outer.runExclusive(() => waits(lock));
  const found = lockdep.reports().filter(({ finding }) => finding === 'circular');
  expect(found.map(({ classes }) => classes.length)).toEqual([2]);
});

/** A view of these remembers what it has seen of the lock, or has a place in it, for its fast paths. */
const remembering = rows.filter(
  ({ name, options }) => /Semaphore|RwLock|PthreadSem/.test(name) && options === undefined,
);

test.each(remembering)('$title, by a view that has had the lock before anybody looked', async (row) => {
  const arena = Arena.create({ bytes: 8 << 20 });
  const lock = made(row.lock, arena);
  const holding = async (times: number) => {
    for (let i = 0; i < times; i++) await takeAndGive(lock, row, () => {});
  };
  await holding(3);
  const profile = startProfile(arena, { holds: true });
  await holding(3);
  const mode = modeOf(row.lock, row.call);
  const found = profile
    .stop()
    .locks.find(({ address, shared }) => address === lock.address && shared === (mode & 1) > 0);
  const { sync, async } = found!.held!;
  expect(sync.acquisitions + async.acquisitions).toBe(3);
});

/** Those that wait on the event loop: the waits of the others are in `profile.test.ts`, a row each. */
const asynchronous = rows.filter(({ call, options }) => call.endsWith('Async') && options === undefined);

test.each(asynchronous)('$title, which has to wait', async (row) => {
  const { arena, profile, trace } = watched();
  const lock = made(row.lock, arena);
  const taker = rows.find(
    ({ name, call }) => name === row.name && /^(lock|down|wait|writeLock|downWrite)$/.test(call),
  )!;
  const holder = rows.find(({ name, call }) => name === row.name && /^(writeLock|downWrite)$/.test(call)) ?? taker;
  lock[holder.call]!();
  const done = takeAndGive(lock, row, () => {});
  await new Promise(setImmediate);
  lock[holder.back as string]!();
  await done;
  const { events, locks } = trace.stop();
  const told = events.filter(({ fields }) => locks[fields.lock as number]?.address === lock.address);
  const points = told.map(({ point }) => point);
  for (const point of ['contention_begin', 'park', 'resume', 'contention_end', 'acquire', 'release']) {
    expect(points).toContain(point);
  }
  const { locks: waited } = profile.stop();
  const mode = modeOf(row.lock, row.call);
  const found = waited.find(({ address, shared }) => address === lock.address && shared === (mode & 1) > 0);
  expect(found?.async).toMatchObject({ contentions: 1, slept: 1 });
});

/** What such a method is called; what gives a lock back is called otherwise, or is internal to its class. */
const TAKES = /^(try|lock|acquire|run|down|attempt|read$|readLock|write$|writeAsync|writeLock|wait)/;
const INNER = ['waitAsync', 'waitSync', 'tryAsync', 'tryTakePlace', 'downgradeWrite'];

test.each(Object.entries(LOCKS))('%s has no call that the table lacks', (name, { make, calls, others = [] }) => {
  const arena = Arena.create({ bytes: 2 << 20 });
  const methods: string[] = [];
  for (let at = Object.getPrototypeOf(make(arena)); at !== Object.prototype; at = Object.getPrototypeOf(at)) {
    const all = Object.entries(Object.getOwnPropertyDescriptors(at));
    methods.push(...all.filter(([, { value }]) => typeof value === 'function').map(([method]) => method));
  }
  const isReadOfWords = name === 'SeqLock' ? ['read'] : [];
  const known = new Set([...Object.keys(calls), ...others, ...INNER, ...isReadOfWords]);
  expect(methods.filter((method) => TAKES.test(method) && !known.has(method))).toEqual([]);
});

test('a lock that is downgraded is traced as one that is given back alone, or by a task that does not have it', () => {
  const { arena, trace, profile } = watched();
  const lock = new RwSemaphore(arena, 'x');
  lock.downWrite();
  lock.downgradeWrite();
  lock.upRead();
  const pairs = trace.stop().events.filter(({ point }) => /^(acquire|release)$/.test(point));
  expect(pairs.map(({ point, fields }) => [point, fields.mode])).toEqual([
    ['acquire', 0],
    ['release', 1],
  ]);
  profile.stop();
});
