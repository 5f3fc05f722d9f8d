/** Which lock is waited for, where, by whom and behind whom: what the contention profile says of waits that a test arranges. */
import { describe, expect, test } from 'vitest';
import { ROWS } from '../../lib/debug/profile/layout.ts';
import { ownCode } from '../../lib/debug/profile/stacks.ts';
import { HoldfastError } from '../../lib/errors.ts';
import {
  type Arena,
  Completion,
  type ContentionProfile,
  Futex,
  McsLock,
  Mutex,
  PercpuRwSemaphore,
  PthreadCond,
  PthreadMutex,
  PthreadRwlock,
  PthreadSem,
  RtMutex,
  RwLock,
  RwSemaphore,
  Semaphore,
  SeqLock,
  SpinLock,
  startProfile,
  TicketLock,
  WaitQueue,
  WwClass,
  WwMutex,
} from '../../lib/index.ts';
import type { Cpu } from '../../lib/machine/cpu.ts';
import { ALONE, ASYNC_ALONE, announce, contend } from '../../lib/sched/contention.ts';
import { blockAsync } from '../../lib/sched/drive.ts';
import { on, stepper } from '../support/stepper.ts';
import { thrown } from '../support/threads.ts';

/** Room for the tables. */
const WORDS = 1 << 18;

function stage(threads = 2) {
  const stepped = stepper(threads, { words: WORDS });
  return { ...stepped, arena: stepped.arenas[0]!, other: stepped.arenas[1]! };
}

type Stage = ReturnType<typeof stage>;

/** Thread 1 waits for what thread 0 holds, and gets it from there in its sleep or while it spins. */
function contended({ before: rightBefore }: Stage, op: keyof Cpu, release: () => void, acquire: () => void): void {
  rightBefore(1, on(op), release);
  acquire();
}

/** The one lock of a profile. */
function only(profile: ContentionProfile) {
  expect(profile.locks.map(({ lock }) => lock)).toHaveLength(1);
  return profile.locks[0]!;
}

describe('a profile', () => {
  test('does not say who waited for which lock, where, for how long, and behind whom', () => {
    const on2 = stage();
    const [mine, theirs] = on2.arenas.map((arena) => new Mutex(arena, 'branch 7')) as [Mutex, Mutex];
    const session = startProfile(on2.arena);
    mine.lock();
    contended(
      on2,
      'wait',
      () => mine.unlock(),
      function transfer() {
        theirs.lock();
      },
    );
    const profile = session.stop();
    const { sync, async, ...lock } = only(profile);
    expect(lock).toEqual({
      lock: 'mutex "branch 7"',
      class: 'mutex "branch #"',
      address: mine.address,
      shared: false,
      event: false,
    });
    expect(sync).toMatchObject({ contentions: 1, slept: 1, timeouts: 0, aborts: 0, ownerDeaths: 0, failed: 0 });
    expect(async.contentions).toBe(0);
    expect(sync.total).toBeGreaterThan(0);
    // As floats, which are exact up to 2^24.
    expect([sync.shortest, sync.longest]).toEqual([sync.total, sync.total]);
    expect(sync.histogram.map(([, count]) => count)).toEqual([1]);
    expect(profile.waits).toEqual([
      { lock: lock.lock, class: lock.class, waiter: 1, holder: 0, contentions: 1, delay: sync.total },
    ]);
    expect(profile).toMatchObject({ dropped: { waits: 0, samples: 0, acquisitions: 0 }, unknown: 0, unfinished: 0 });
  });

  test('counts a wait that ended while the thread was spinning as one that slept, or not at all', () => {
    const on2 = stage();
    const [mine, theirs] = on2.arenas.map((arena) => new Mutex(arena, 'm')) as [Mutex, Mutex];
    const session = startProfile(on2.arena);
    mine.lock();
    contended(
      on2,
      'condLoad',
      () => mine.unlock(),
      () => theirs.lock(),
    );
    expect(only(session.stop()).sync).toMatchObject({ contentions: 1, slept: 0 });
  });

  test('charges the caller of an asynchronous call that has waited to the event loop', async () => {
    const { arenas } = stage(2);
    const [mine, theirs] = arenas.map((arena) => new Mutex(arena, 'm')) as [Mutex, Mutex];
    const session = startProfile(arenas[0]!);
    // Each look at the clock is a whole wait.
    arenas[1]!.cpu.now = (
      (now) => () =>
        (now += 1e6)
    )(0);
    mine.lock();
    async function deposit() {
      const held = await theirs.acquireAsync();
      held.release();
    }
    const deposited = deposit();
    mine.unlock();
    await deposited;
    const profile = session.stop();
    const { sync, async } = only(profile);
    expect(sync.contentions).toBe(0);
    expect(async).toMatchObject({ contentions: 1, slept: 1 });
    expect(profile.stacks).toMatchObject([{ thread: 1, async: true, contentions: 1, delay: async.total }]);
    expect(profile.stacks[0]!.frames[0]).toMatchObject({
      name: 'deposit',
      file: import.meta.filename ?? expect.any(String),
    });
  });

  test('shows the frames of the library, or none of the program', () => {
    const on2 = stage();
    const [mine, theirs] = on2.arenas.map((arena) => new Mutex(arena, 'm')) as [Mutex, Mutex];
    const session = startProfile(on2.arena);
    on2.other.cpu.now = (
      (now) => () =>
        (now += 1e6)
    )(0);
    mine.lock();
    function transfer() {
      theirs.lock();
    }
    const { prepareStackTrace, stackTraceLimit } = Error;
    contended(on2, 'wait', () => mine.unlock(), transfer);
    expect([Error.prepareStackTrace, Error.stackTraceLimit]).toEqual([prepareStackTrace, stackTraceLimit]);
    const { stacks } = session.stop();
    expect(stacks).toMatchObject([{ thread: 1, async: false, contentions: 1 }]);
    expect(stacks[0]!.frames[0]).toMatchObject({ name: 'transfer' });
    expect(stacks[0]!.frames[0]!.file).toMatch(/profile\.test\.ts$/);
    expect(stacks[0]!.frames[0]!.line).toBeGreaterThan(0);
  });

  test('has no place for how a wait ended', async () => {
    const { arenas, arena, before: rightBefore, die, reap } = stage(3);
    const mutexes = arenas.map((each) => new Mutex(each, 'm')) as [Mutex, Mutex, Mutex];
    const session = startProfile(arena);
    mutexes[2].lock();
    expect(thrown(() => mutexes[1].lock({ timeout: 5 })).code).toBe('ETIMEDOUT');
    const aborter = new AbortController();
    const aborted = mutexes[1].acquireAsync({ signal: aborter.signal });
    aborter.abort(new Error('enough'));
    await expect(aborted).rejects.toThrow('enough');
    expect(thrown(() => mutexes[2].lock()).code).toBe('EDEADLK');
    rightBefore(1, on('wait'), () => {
      die(2);
      reap(0);
    });
    mutexes[1].lock();
    const { sync, async } = only(session.stop());
    expect(sync).toMatchObject({ contentions: 3, timeouts: 1, failed: 1, ownerDeaths: 1, aborts: 0 });
    expect(async).toMatchObject({ contentions: 1, aborts: 1, timeouts: 0 });
  });

  test('keeps the calls that share a lock together with those that have it alone', async () => {
    const on2 = stage();
    const [mine, theirs] = on2.arenas.map((arena) => new RwSemaphore(arena, 's')) as [RwSemaphore, RwSemaphore];
    const session = startProfile(on2.arena);
    mine.downWrite();
    contended(
      on2,
      'wait',
      () => mine.upWrite(),
      () => theirs.downRead(),
    );
    theirs.upRead();
    mine.downRead();
    contended(
      on2,
      'wait',
      () => mine.upRead(),
      () => theirs.downWrite(),
    );
    theirs.upWrite();
    mine.downWrite();
    const read = theirs.acquireReadAsync();
    mine.upWrite();
    (await read).release();
    const { locks } = session.stop();
    const counts = locks.map(({ shared, sync, async }) => [shared, sync.contentions, async.contentions]);
    expect(counts.sort()).toEqual([
      [false, 1, 0],
      [true, 1, 1],
    ]);
  });

  test('goes on where a program waits in the condition of its wait', () => {
    const on2 = stage();
    const [mine, theirs] = on2.arenas.map((arena) => new Mutex(arena, 'inner')) as [Mutex, Mutex];
    const [, queue] = on2.arenas.map((arena) => new WaitQueue(arena, 'outer')) as [WaitQueue, WaitQueue];
    const session = startProfile(on2.arena);
    mine.lock();
    let isFirst = true;
    contended(
      on2,
      'wait',
      () => mine.unlock(),
      () => {
        queue.wait(() => {
          if (!isFirst) return true;
          isFirst = false;
          theirs.runExclusive(() => {});
          return true;
        });
      },
    );
    const locks = session.stop().locks.map(({ lock, sync, event }) => [lock, sync.contentions, event]);
    expect(locks).toContainEqual(['mutex "inner"', 1, false]);
  });
});

type Row = readonly [string, keyof Cpu, (arena: Arena) => { take(): void; give(): void }];

const pair = <Lock>(make: (arena: Arena) => Lock, take: (lock: Lock) => void, give: (lock: Lock) => void) => {
  return (arena: Arena) => {
    const lock = make(arena);
    return { take: () => take(lock), give: () => give(lock) };
  };
};

const LOCKS: readonly Row[] = [
  [
    'mutex "x"',
    'wait',
    pair(
      (a) => new Mutex(a, 'x'),
      (l) => l.lock(),
      (l) => l.unlock(),
    ),
  ],
  [
    'rt-mutex "x"',
    'wait',
    pair(
      (a) => new RtMutex(a, 'x'),
      (l) => l.lock(),
      (l) => l.unlock(),
    ),
  ],
  [
    'ww-mutex "x"',
    'wait',
    pair(
      (a) => new WwMutex(new WwClass(a, 'c'), 'x'),
      (l) => l.lock(),
      (l) => l.unlock(),
    ),
  ],
  [
    'rw-semaphore "x"',
    'wait',
    pair(
      (a) => new RwSemaphore(a, 'x'),
      (l) => l.downWrite(),
      (l) => l.upWrite(),
    ),
  ],
  [
    'semaphore "x"',
    'wait',
    pair(
      (a) => new Semaphore(a, 'x', { permits: 1 }),
      (l) => l.down(),
      (l) => l.up(),
    ),
  ],
  [
    'seq-lock "x"',
    'wait',
    pair(
      (a) => new SeqLock(a, 'x'),
      (l) => l.lock(),
      (l) => l.unlock(),
    ),
  ],
  [
    'pthread mutex "x"',
    'wait',
    pair(
      (a) => new PthreadMutex(a, 'x'),
      (l) => l.lock(),
      (l) => l.unlock(),
    ),
  ],
  [
    'pthread rwlock "x"',
    'wait',
    pair(
      (a) => new PthreadRwlock(a, 'x'),
      (l) => l.writeLock(),
      (l) => l.unlock(),
    ),
  ],
  [
    'pthread sem "x"',
    'wait',
    pair(
      (a) => new PthreadSem(a, 'x', { value: 1 }),
      (l) => l.wait(),
      (l) => l.post(),
    ),
  ],
  [
    'spin-lock "x"',
    'condLoadAcquire',
    pair(
      (a) => new SpinLock(a, 'x'),
      (l) => l.lock(),
      (l) => l.unlock(),
    ),
  ],
  [
    'mcs-lock "x"',
    'condLoad',
    pair(
      (a) => new McsLock(a, 'x'),
      (l) => l.lock(),
      (l) => l.unlock(),
    ),
  ],
  [
    'ticket-lock "x"',
    'condLoad',
    pair(
      (a) => new TicketLock(a, 'x'),
      (l) => l.lock(),
      (l) => l.unlock(),
    ),
  ],
  [
    'rw-lock "x"',
    'wait',
    pair(
      (a) => new RwLock(a, 'x'),
      (l) => l.writeLock(),
      (l) => l.writeUnlock(),
    ),
  ],
];

describe('a lock', () => {
  test.each(LOCKS)('%s is waited for unseen', (label, op, open) => {
    const on2 = stage();
    const [mine, theirs] = on2.arenas.map(open) as [ReturnType<typeof open>, ReturnType<typeof open>];
    const session = startProfile(on2.arena);
    mine.take();
    contended(on2, op.startsWith('condLoad') ? 'condLoad' : op, mine.give, theirs.take);
    const { lock, event, sync } = only(session.stop());
    expect(lock).toBe(label);
    expect(event).toBe(false);
    expect(sync.contentions).toBe(1);
    expect(sync.total).toBeGreaterThan(0);
  });

  test.each(LOCKS)('%s is in the profile though nobody had to wait for it', (_label, _op, open) => {
    const on2 = stage();
    const [mine, theirs] = on2.arenas.map(open) as [ReturnType<typeof open>, ReturnType<typeof open>];
    const session = startProfile(on2.arena);
    for (const { take, give } of [mine, theirs]) {
      take();
      give();
    }
    expect(session.stop().locks).toEqual([]);
  });

  test('that is shared is waited for unseen', () => {
    const on2 = stage();
    const [mine, theirs] = on2.arenas.map((arena) => new RwLock(arena, 'x')) as [RwLock, RwLock];
    const [ours, yours] = on2.arenas.map((arena) => new PthreadRwlock(arena, 'y')) as [PthreadRwlock, PthreadRwlock];
    const session = startProfile(on2.arena);
    mine.writeLock();
    contended(
      on2,
      'wait',
      () => mine.writeUnlock(),
      () => theirs.readLock(),
    );
    ours.writeLock();
    contended(
      on2,
      'wait',
      () => ours.unlock(),
      () => yours.readLock(),
    );
    const rows = session.stop().locks.map(({ lock, shared }) => [lock, shared]);
    expect(rows.sort()).toEqual([
      ['pthread rwlock "y"', true],
      ['rw-lock "x"', true],
    ]);
  });

  test('whose writers have no fast path has no contention for each of them', () => {
    const on2 = stage();
    const [mine, theirs] = on2.arenas.map((arena) => new PercpuRwSemaphore(arena, 'x')) as PercpuRwSemaphore[];
    const session = startProfile(on2.arena);
    mine!.downWrite();
    contended(
      on2,
      'wait',
      () => mine!.upWrite(),
      () => theirs!.downRead(),
    );
    const rows = session.stop().locks.map(({ lock, shared, sync }) => [lock, shared, sync.contentions, sync.slept]);
    expect(rows.sort()).toEqual([
      ['percpu-rw-semaphore "x"', false, 1, 0],
      ['percpu-rw-semaphore "x"', true, 1, 1],
    ]);
  });

  test('stands beside what is waited for until it happens, as one of them', () => {
    const { arenas, arena, before: rightBefore } = stage();
    const [mine, theirs] = arenas.map((each) => new Completion(each, 'done')) as [Completion, Completion];
    const futexes = arenas.map((each) => new Futex(each)) as [Futex, Futex];
    const word = arena.alloc(1);
    arena.words[word] = 0;
    const session = startProfile(arena);
    rightBefore(1, on('wait'), () => mine.complete());
    theirs.wait();
    rightBefore(1, on('wait'), () => void futexes[0].wake(word, 1));
    futexes[1].wait(word, 0);
    const rows = session.stop().locks.map(({ lock, event, sync }) => [lock, event, sync.contentions]);
    expect(rows.sort()).toEqual([
      ['completion "done"', true, 1],
      [`word at ${word}`, true, 1],
    ]);
  });

  test('is charged with the wait for a condition under it', () => {
    const { arenas, arena, before: rightBefore } = stage();
    const mutexes = arenas.map((each) => new PthreadMutex(each, 'm')) as [PthreadMutex, PthreadMutex];
    const conds = arenas.map((each) => new PthreadCond(each, 'c')) as [PthreadCond, PthreadCond];
    const session = startProfile(arena);
    mutexes[1].lock();
    rightBefore(1, on('wait'), () => conds[0].signal());
    conds[1].wait(mutexes[1]);
    expect(only(session.stop())).toMatchObject({ lock: 'pthread cond "c"', event: true });
  });

  test('or a word to which a waiter was moved is charged with its wait from the beginning', () => {
    const { arenas, arena, before: rightBefore } = stage();
    const futexes = arenas.map((each) => new Futex(each)) as [Futex, Futex];
    const [from, to] = [arena.alloc(1), arena.alloc(1)];
    for (const word of [from, to]) arena.words[word] = 0;
    const session = startProfile(arena);
    rightBefore(1, on('wait'), () => {
      expect(futexes[0].requeue(from, 0, to, 1)).toBe(1);
      expect(futexes[0].wake(to, 1)).toBe(1);
    });
    expect(futexes[1].wait(from, 0)).toBe(0);
    expect(only(session.stop()).lock).toBe(`word at ${from}`);
  });

  test('of a destroyed one’s address is taken for that one', () => {
    const on2 = stage();
    const openAnother = () => on2.arenas.map((arena) => new Mutex(arena, 'another'));
    openAnother();
    const session = startProfile(on2.arena);
    const addresses = ['order 1', 'stock 2'].map((name) => {
      const [mine, theirs] = on2.arenas.map((arena) => new Mutex(arena, name)) as [Mutex, Mutex];
      mine.lock();
      contended(
        on2,
        'wait',
        () => mine.unlock(),
        () => theirs.lock(),
      );
      theirs.unlock();
      mine.destroy();
      // Its memory can be had once each thread that knew it has opened another object.
      openAnother();
      on2.arena.objects.makeRoom();
      return mine.address;
    });
    expect(addresses[1]).toBe(addresses[0]);
    const rows = session.stop().locks.map(({ lock, address }) => [lock, address]);
    expect(rows.sort()).toEqual([
      ['mutex "order 1"', addresses[0]],
      ['mutex "stock 2"', addresses[0]],
    ]);
  });

  test('that finds no room is lost, or not counted with its class', () => {
    const on2 = stage();
    const session = startProfile(on2.arena);
    const more = 5;
    for (let i = 0; i < ROWS + more; i++) {
      const [mine, theirs] = on2.arenas.map((arena) => new Mutex(arena, `lock ${i}`)) as [Mutex, Mutex];
      mine.lock();
      contended(
        on2,
        'condLoad',
        () => mine.unlock(),
        () => theirs.lock(),
      );
      theirs.unlock();
    }
    for (let i = 0; i < 40; i++) {
      const name = `class ${String.fromCharCode(65 + (i % 26))}${i < 26 ? '' : 'x'}`;
      const [mine, theirs] = on2.arenas.map((arena) => new Mutex(arena, name)) as [Mutex, Mutex];
      mine.lock();
      contended(
        on2,
        'condLoad',
        () => mine.unlock(),
        () => theirs.lock(),
      );
      theirs.unlock();
    }
    const { locks, dropped } = session.stop();
    const others = locks.find(({ lock }) => lock === 'others of mutex "lock #"');
    expect(others).toMatchObject({ address: 0, class: 'mutex "lock #"', sync: { contentions: more } });
    // 31 more classes have a row.
    expect(dropped.waits).toBe(40 - 31);
    const counted = locks.reduce((sum, { sync }) => sum + sync.contentions, 0);
    expect(counted + dropped.waits).toBe(ROWS + more + 40);
  });

  test('has a long name that is cut off in the middle of a character', () => {
    const on2 = stage();
    const name = `x${'ä'.repeat(60)}`;
    const [mine, theirs] = on2.arenas.map((arena) => new Mutex(arena, name)) as [Mutex, Mutex];
    const session = startProfile(on2.arena);
    mine.lock();
    contended(
      on2,
      'condLoad',
      () => mine.unlock(),
      () => theirs.lock(),
    );
    expect(only(session.stop()).lock).toBe(`mutex "x${'ä'.repeat(47)}"`);
  });
});

test('the shortest wait is the latest, or the longest is, or the sum lacks one', () => {
  const on2 = stage();
  const [mine, theirs] = on2.arenas.map((arena) => new Mutex(arena, 'm')) as [Mutex, Mutex];
  const session = startProfile(on2.arena);
  let now = 0;
  for (const wait of [20e3, 5e9, 10e3, 30e3]) {
    on2.other.cpu.now = () => (now += wait);
    mine.lock();
    contended(
      on2,
      'condLoad',
      () => mine.unlock(),
      () => theirs.lock(),
    );
    theirs.unlock();
  }
  const { shortest, longest, total, contentions } = only(session.stop()).sync;
  // A float has 24 bits.
  expect({ shortest, longest: Math.round(longest / 1e6), total, contentions }).toEqual({
    shortest: 10e3,
    longest: 5000,
    total: 5e9 + 60e3,
    contentions: 4,
  });
});

test('what is estimated from samples is far from what was waited', () => {
  const on2 = stage();
  const [mine, theirs] = on2.arenas.map((arena) => new Mutex(arena, 'm')) as [Mutex, Mutex];
  const session = startProfile(on2.arena);
  let now = 0;
  on2.other.cpu.now = () => (now += 10e3);
  for (let i = 0; i < 2000; i++) {
    mine.lock();
    contended(
      on2,
      'condLoad',
      () => mine.unlock(),
      () => theirs.lock(),
    );
    theirs.unlock();
  }
  const profile = session.stop();
  const { sync } = only(profile);
  expect(sync).toMatchObject({ contentions: 2000, total: 2000 * 10e3 });
  const delay = profile.stacks.reduce((sum, stack) => sum + stack.delay, 0);
  const contentions = profile.stacks.reduce((sum, stack) => sum + stack.contentions, 0);
  // 200 samples of 2000, whose generator begins alike each time.
  expect(delay / sync.total).toBeGreaterThan(0.8);
  expect(delay / sync.total).toBeLessThan(1.2);
  expect(contentions).toBe(delay / 10e3);
});

test('a call that throws before it blocks, and leaves its wait to the next call of its thread', async () => {
  const { arena } = stage();
  const session = startProfile(arena);
  const refuse = () => {
    throw new RangeError('refused');
  };
  expect(() => contend(arena.thread, 0, ALONE, refuse)).toThrow('refused');
  expect(arena.thread.wait).toBe(undefined);
  announce(arena.thread, 0, ASYNC_ALONE);
  const refused = blockAsync(arena.thread, arena.heap, undefined, () => {
    throw new HoldfastError('EINVAL', 'refused');
  });
  await expect(refused).rejects.toMatchObject({ code: 'EINVAL' });
  expect(arena.thread.wait).toBe(undefined);
  expect(session.stop().locks).toEqual([]);
});

test("a bundle that can't be loaded because it is in memory, or a CommonJS module", () => {
  expect(ownCode('file:///app/node_modules/holdfast/dist/chunk.js')).toBe('/app/node_modules/holdfast/dist/');
  expect(ownCode('file:///holdfast/lib/debug/profile/stacks.ts')).toBe('/holdfast/lib/');
  expect(ownCode('data:text/javascript,0')).toBe('data:text/javascript,0');
  expect(ownCode(undefined)).toBe('');
});
