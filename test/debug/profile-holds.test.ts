/** What a profile says of locks that are free, of how long they are held, and of the unlocks that others have waited for. */
import { gunzipSync } from 'node:zlib';
import { Profile as Pprof } from 'pprof-format';
import { describe, expect, test } from 'vitest';
import { pprofOf } from '../../lib/debug/reports/pprof.ts';
import {
  type Arena,
  type ContentionProfile,
  Mutex,
  type ProfileOptions,
  PthreadRwlock,
  RwSemaphore,
  Semaphore,
  SpinLock,
  saveProfile,
  startLockdep,
  startProfile,
} from '../../lib/index.ts';
import { NEVER } from '../../lib/sched/thread.ts';
import { on, stepper } from '../support/stepper.ts';
import { thrown } from '../support/threads.ts';

/** Room for the tables. */
const WORDS = 1 << 19;

function stage(threads = 2) {
  const stepped = stepper(threads, { words: WORDS });
  return { ...stepped, arena: stepped.arenas[0]!, other: stepped.arenas[1]! };
}

/** Each look at the clock takes so long, ns. */
function slowClock({ cpu }: Arena, ns = 1e6): void {
  let now = 0;
  cpu.now = () => (now += ns);
}

const named = ({ locks }: ContentionProfile, name: string, shared = false) =>
  locks.find((lock) => lock.lock.endsWith(`"${name}"`) && lock.shared === shared);

/** Where this test's functions are called from. */
const innermost = ({ unlocks }: ContentionProfile) => unlocks.map(({ frames }) => frames[0]?.name);

describe('acquisitions of a lock that is free', () => {
  test('are not counted, or not by the way in which it was taken', async () => {
    const { arena } = stage();
    const mutex = new Mutex(arena, 'm');
    const session = startProfile(arena, { holds: true });
    for (let i = 0; i < 40; i++) mutex.runExclusive(() => {});
    for (let i = 0; i < 3; i++) await mutex.runExclusiveAsync(() => {});
    expect(mutex.tryLock()).toBe(true);
    mutex.unlock();
    const { sync, async, held } = named(session.stop(), 'm')!;
    expect([sync.contentions, async.contentions]).toEqual([0, 0]);
    expect([held?.sync.acquisitions, held?.async.acquisitions]).toEqual([41, 3]);
    // The thread has had it before.
    expect(held).toMatchObject({ bounces: 1, waitBounces: 0, handoffs: 0 });
  });

  test('by an asynchronous call without a fast path are no waits either', async () => {
    const { arena } = stage();
    const lock = new PthreadRwlock(arena, 'm');
    const session = startProfile(arena);
    (await lock.acquireWriteAsync()).release();
    (await lock.acquireReadAsync()).release();
    expect(session.stop().locks).toEqual([]);
  });

  test('are counted as those of another mode, or of another lock', () => {
    const { arena } = stage();
    const both = new RwSemaphore(arena, 'rw');
    const spin = new SpinLock(arena, 'spin');
    const permits = new Semaphore(arena, 'permits', { permits: 2 });
    const session = startProfile(arena, { holds: true });
    for (let i = 0; i < 5; i++) both.runShared(() => {});
    both.runExclusive(() => spin.runExclusive(() => {}));
    permits.down();
    permits.up();
    const profile = session.stop();
    expect(named(profile, 'rw', true)?.held?.sync.acquisitions).toBe(5);
    expect(named(profile, 'rw')?.held?.sync.acquisitions).toBe(1);
    expect(named(profile, 'spin')?.held?.sync.acquisitions).toBe(1);
    // It has no owner, who could hold it: how long is not known.
    expect(named(profile, 'permits')?.held?.sync).toMatchObject({ acquisitions: 1, timed: 0, total: 0 });
  });

  test('of two threads are counted once, or their changes are not', () => {
    const { arenas, arena } = stage();
    const session = startProfile(arena, { holds: true });
    const [mine, theirs] = arenas.map((one) => new Mutex(one, 'm')) as [Mutex, Mutex];
    // A thread that is attached already learns of it where it has to wait.
    expect(thrown(() => mine.runExclusive(() => theirs.lock({ timeout: 0 })))).toMatchObject({ code: 'ETIMEDOUT' });
    for (const mutex of [mine, theirs, theirs, mine, theirs]) mutex.runExclusive(() => {});
    expect(named(session.stop(), 'm')?.held).toMatchObject({
      sync: { acquisitions: 6 },
      bounces: 4,
      waitBounces: 1,
    });
  });

  test('of a session before are counted in the next one', () => {
    const { arena } = stage();
    const mutex = new Mutex(arena, 'm');
    const first = startProfile(arena, { holds: true });
    mutex.runExclusive(() => {});
    first.stop();
    mutex.runExclusive(() => {});
    const second = startProfile(arena, { holds: true });
    for (let i = 0; i < 3; i++) mutex.runExclusive(() => {});
    expect(named(second.stop(), 'm')?.held?.sync.acquisitions).toBe(3);
    expect(named(first.stop(), 'm')?.held?.sync.acquisitions).toBe(1);
    // A profile that was not asked to does not count them.
    const third = startProfile(arena);
    mutex.runExclusive(() => {});
    expect(third.stop().locks).toEqual([]);
  });
});

describe('a thread that has counted in a profile before', () => {
  /** Thread 1 counts in a first profile, which is over. */
  function second() {
    const on2 = stage();
    const mutexes = on2.arenas.map((arena) => new Mutex(arena, 'm')) as [Mutex, Mutex];
    const first = startProfile(on2.arena, { holds: true });
    mutexes[0].runExclusive(() => expect(() => mutexes[1].lock({ timeout: 0 })).toThrow());
    for (let i = 0; i < 7; i++) mutexes[1].runExclusive(() => {});
    expect(named(first.stop(), 'm')?.held?.sync.acquisitions).toBe(8);
    return { mutexes, session: startProfile(on2.arena, { holds: true }) };
  }

  test('learns of the next one only where it waits', () => {
    const { mutexes, session } = second();
    for (let i = 0; i < 4; i++) mutexes[1].runExclusive(() => {});
    // By the first of them it learns.
    expect(named(session.stop(), 'm')?.held?.sync.acquisitions).toBe(3);
  });

  test('has what it counted then in the next one, in which it does nothing', () => {
    const { mutexes, session } = second();
    mutexes[0].runExclusive(() => {});
    expect(named(session.stop(), 'm')?.held?.sync.acquisitions).toBe(1);
  });
});

describe('how long a lock is held', () => {
  test('is not what it was, as often as it was', () => {
    const { arena } = stage();
    const mutex = new Mutex(arena, 'm');
    const session = startProfile(arena, { holds: true });
    // One look when it has the lock, one when it gives it back.
    slowClock(arena, 5000);
    for (let i = 0; i < 200; i++) mutex.runExclusive(() => {});
    const { sync } = named(session.stop(), 'm')!.held!;
    expect([sync.shortest, sync.longest]).toEqual([5000, 5000]);
    expect(sync.total).toBe(200 * 5000);
    // From the first one that was timed and took long each is.
    expect(sync.timed).toBeGreaterThan(200 - 32);
    expect(sync.histogram).toHaveLength(1);
  });

  test('is timed each time where holds are short', () => {
    const { arena } = stage();
    const mutex = new Mutex(arena, 'm');
    const session = startProfile(arena, { holds: true });
    slowClock(arena, 100);
    for (let i = 0; i < 1600; i++) mutex.runExclusive(() => {});
    const { sync } = named(session.stop(), 'm')!.held!;
    expect(sync.acquisitions).toBe(1600);
    expect(sync.total).toBe(1600 * 100);
    expect(sync.timed).toBeGreaterThan(1600 / 32);
    expect(sync.timed).toBeLessThan(1600 / 8);
  });

  test('is made up from short holds as if each that was timed were one', () => {
    const { arena } = stage();
    const mutex = new Mutex(arena, 'm');
    const session = startProfile(arena, { holds: true });
    slowClock(arena, 100);
    for (let i = 0; i < 800; i++) mutex.runExclusive(() => {});
    slowClock(arena, 5000);
    for (let i = 0; i < 200; i++) mutex.runExclusive(() => {});
    const { sync } = named(session.stop(), 'm')!.held!;
    // 800 of 100 ns, and 200 of 5000, of which each is timed from the first on that was.
    expect(sync.total).toBeGreaterThan(0.85 * 1.08e6);
    expect(sync.total).toBeLessThan(1.25 * 1.08e6);
  });

  test('is timed as often as before where enough is known of it, or is less than it was then', () => {
    const { arena } = stage();
    const mutex = new Mutex(arena, 'm');
    const session = startProfile(arena, { holds: true });
    slowClock(arena, 100);
    const take = (times: number) => {
      for (let i = 0; i < times; i++) mutex.runExclusive(() => {});
    };
    take(32_000);
    const before = named(session.read(), 'm')!.held!.sync;
    take(32_000);
    const { sync } = named(session.stop(), 'm')!.held!;
    expect(before.timed).toBeGreaterThan(1024);
    // One in 128: 250.
    expect(sync.timed - before.timed).toBeLessThan(500);
    expect(sync.timed - before.timed).toBeGreaterThan(125);
    expect(sync.total).toBe(64_000 * 100);
  });

  test('of a hold that ends after the profile is in the next one', () => {
    const { arena } = stage();
    const mutex = new Mutex(arena, 'm');
    slowClock(arena, 5000);
    const first = startProfile(arena, { holds: true });
    for (let i = 0; i < 40; i++) mutex.runExclusive(() => {});
    // It is timed for sure.
    mutex.lock();
    expect(arena.thread.mine).toBe(NEVER);
    first.stop();
    const second = startProfile(arena, { holds: true });
    mutex.unlock();
    expect(named(second.stop(), 'm')).toBeUndefined();
  });

  test('makes unlocks slow that are not timed', () => {
    const { arena } = stage();
    const mutex = new Mutex(arena, 'm');
    const session = startProfile(arena, { holds: true });
    slowClock(arena, 10);
    let fast = 0;
    for (let i = 0; i < 320; i++) {
      mutex.lock();
      if (arena.thread.mine === arena.thread.self) fast++;
      mutex.unlock();
    }
    expect(fast).toBeGreaterThan(270);
    session.stop();
    // It learns of the end with its next lock.
    mutex.runExclusive(() => {});
    expect([arena.thread.free, arena.thread.mine]).toEqual([0, arena.thread.self]);
  });

  test('hides unlocks from lockdep', () => {
    const { arena } = stage();
    const lockdep = startLockdep(arena, { quiet: true });
    const [a, b] = ['a', 'b'].map((name) => new Mutex(arena, name)) as [Mutex, Mutex];
    const session = startProfile(arena, { holds: true });
    slowClock(arena, 10);
    for (let i = 0; i < 40; i++) a.runExclusive(() => {});
    b.runExclusive(() => {});
    expect(arena.thread.mine).toBe(NEVER);
    session.stop();
    a.runExclusive(() => {});
    expect(lockdep.reports()).toEqual([]);
    expect(arena.thread.mine).toBe(NEVER);
    lockdep.stop();
  });
});

describe('an unlock that others have waited for', () => {
  /** Thread 1 sleeps for what thread 0 holds. */
  function waited(options: ProfileOptions = {}) {
    const on2 = stage();
    const [mine, theirs] = on2.arenas.map((arena) => new Mutex(arena, 'm')) as [Mutex, Mutex];
    const session = startProfile(on2.arena, options);
    let now = 0;
    for (const { cpu } of on2.arenas) cpu.now = () => (now += 1e6);
    mine.lock();
    on2.before(1, on('wait'), function settle() {
      mine.unlock();
    });
    theirs.lock();
    theirs.unlock();
    return session.stop();
  }

  test('is not charged with their time, at its place', () => {
    const profile = waited();
    expect(profile.unlocks).toMatchObject([{ lock: 'mutex "m"', thread: 0, contentions: 1 }]);
    expect(innermost(profile)).toEqual(['settle']);
    const [unlock] = profile.unlocks;
    expect(unlock!.delay).toBeGreaterThan(0);
    expect(unlock!.delay).toBeLessThanOrEqual(profile.locks[0]!.sync.total);
  });

  test('is charged with waits until something happens', async () => {
    const { arenas, arena } = stage();
    const { Completion } = await import('../../lib/index.ts');
    const [mine, theirs] = arenas.map((one) => new Completion(one, 'done')) as [
      InstanceType<typeof Completion>,
      InstanceType<typeof Completion>,
    ];
    const session = startProfile(arena);
    let now = 1e9;
    for (const { cpu } of arenas) cpu.now = () => (now += 1e6);
    const done = theirs.waitAsync();
    mine.complete();
    await done;
    expect(session.stop().unlocks).toEqual([]);
    // Nobody hears of wake-ups any more.
    expect(arena.cpu.onUnpark).toBeUndefined();
  });

  test('is charged with the next wait of the same task, for something else', async () => {
    const on2 = stage();
    const { arenas, arena, before: rightBefore } = on2;
    const { Completion } = await import('../../lib/index.ts');
    const [mine, theirs] = arenas.map((one) => new Mutex(one, 'm')) as [Mutex, Mutex];
    const [done, theirDone] = [new Completion(arena, 'done'), new Completion(on2.other, 'done')];
    const session = startProfile(arena);
    let now = 1e9;
    for (const { cpu } of arenas) cpu.now = () => (now += 1e6);
    mine.lock();
    rightBefore(1, on('wait'), () => mine.unlock());
    theirs.lock();
    theirs.unlock();
    rightBefore(1, on('wait'), () => done.complete());
    theirDone.wait();
    expect(session.stop().unlocks).toMatchObject([{ lock: 'mutex "m"', contentions: 1 }]);
  });

  test('is charged with those that wait for another lock', async () => {
    const { arenas, arena } = stage(3);
    const mine = ['m', 'other'].map((name) => new Mutex(arena, name)) as [Mutex, Mutex];
    const [m, other] = [new Mutex(arenas[1]!, 'm'), new Mutex(arenas[2]!, 'other')];
    const session = startProfile(arena);
    let now = 1e9;
    for (const { cpu } of arenas) cpu.now = () => now;
    for (const mutex of mine) mutex.lock();
    const waits = [m.acquireAsync(), other.acquireAsync()];
    now += 5e6;
    mine[0].unlock();
    (await waits[0])!.release();
    const { unlocks } = session.read();
    expect(unlocks).toMatchObject([{ lock: 'mutex "m"', contentions: 1, delay: 5e6 }]);
    mine[1].unlock();
    (await waits[1])!.release();
    session.stop();
  });

  test('has read the clock before the other one slept, and is charged with half an hour', async () => {
    const { arenas, arena } = stage();
    const [mine, theirs] = arenas.map((one) => new Mutex(one, 'm')) as [Mutex, Mutex];
    const session = startProfile(arena);
    const [early, late] = [1e9, 1e9 + 5e6];
    arenas[0]!.cpu.now = () => early;
    arenas[1]!.cpu.now = () => late;
    mine.lock();
    const wait = theirs.acquireAsync();
    mine.unlock();
    (await wait).release();
    expect(session.stop().unlocks).toEqual([]);
  });

  test('is charged with the time of the one that it wakes only, or with time that another one was charged with', async () => {
    const { arenas, arena } = stage(3);
    const mutexes = arenas.map((one) => new Mutex(one, 'm')) as [Mutex, Mutex, Mutex];
    const session = startProfile(arena);
    let now = 1e9;
    for (const { cpu } of arenas) cpu.now = () => now;
    mutexes[0].lock();
    const second = mutexes[1].acquireAsync();
    const third = mutexes[2].acquireAsync();
    now += 5e6;
    (function first() {
      mutexes[0].unlock();
    })();
    const held = await second;
    now += 3e6;
    (function next() {
      held.release();
    })();
    (await third).release();
    const { unlocks } = session.stop();
    const charged = unlocks.map(({ frames, contentions, delay }) => [frames[0]?.name, contentions, delay]);
    // Both waited 5 ms for the first one, and one 3 ms more for the second.
    expect(charged).toEqual([
      ['first', 2, 10e6],
      ['next', 1, 3e6],
    ]);
  });

  test('is none of the mutex profile for pprof, or of the waiters there', () => {
    const profile = waited();
    const decoded = Pprof.decode(gunzipSync(pprofOf(profile, 'mutex')));
    const text = (index: number | bigint) => decoded.stringTable.strings[Number(index)];
    expect(decoded.sample).toHaveLength(1);
    const labels = decoded.sample[0]!.label.map(({ key, str, num }) => [text(key), text(str) || Number(num)]);
    expect(Object.fromEntries(labels)).toEqual({ lock: 'mutex "m"', class: 'mutex "m"', holder: 0 });
    const location = decoded.location.find(({ id }) => id === decoded.sample[0]!.locationId[0]);
    const fn = decoded.function.find(({ id }) => id === location?.line[0]?.functionId);
    expect(text(fn!.name)).toBe('settle');
  });

  test('hands over what is not counted', () => {
    expect(waited({ holds: true }).locks[0]?.held).toBeDefined();
    const { arenas, arena } = stage();
    const [mine, theirs] = arenas.map((one) => new RwSemaphore(one, 'rw')) as [RwSemaphore, RwSemaphore];
    const session = startProfile(arena, { holds: true });
    mine.downWrite();
    const waits = theirs.downReadAsync();
    mine.upWrite();
    return waits.then(() => {
      theirs.upRead();
      expect(named(session.stop(), 'rw')?.held?.handoffs).toBe(1);
    });
  });

  test('by a thread that has never waited is not seen', () => {
    const { arenas, arena, before: rightBefore } = stage(3);
    const mutexes = arenas.map((one) => new Mutex(one, 'm')) as [Mutex, Mutex, Mutex];
    // Thread 1 holds it when thread 2 begins to profile, and has no slow path but its unlock.
    mutexes[1].lock();
    const session = startProfile(arenas[2]!);
    let now = 0;
    for (const { cpu } of arenas) cpu.now = () => (now += 1e6);
    rightBefore(0, on('wait'), () => mutexes[1].unlock());
    mutexes[0].lock();
    mutexes[0].unlock();
    expect(session.stop().unlocks).toMatchObject([{ thread: 1 }]);
    expect(arena.thread.number).toBe(0);
  });
});

describe('a delay', () => {
  test('does not hold its lock longer, or holds others', () => {
    const { arena } = stage();
    const [slow, other, branch] = ['slow', 'other', 'branch 7'].map((name) => new Mutex(arena, name)) as [
      Mutex,
      Mutex,
      Mutex,
    ];
    const delays: number[] = [];
    arena.cpu.ndelay = (ns) => {
      expect(slow.isLocked || branch.isLocked).toBe(true);
      delays.push(ns);
    };
    const session = startProfile(arena, { delays: ['100us@slow', '2ms@branch #'] });
    for (let i = 0; i < 3; i++) slow.runExclusive(() => {});
    other.runExclusive(() => {});
    branch.runExclusive(() => {});
    session.stop();
    slow.runExclusive(() => {});
    expect(delays).toEqual([100e3, 100e3, 100e3, 2e6]);
  });

  test.each([['100@m'], ['5h@m'], ['2s@m'], ['0us@m'], ['100us@'], [7]])('that can not be is taken: %s', (delay) => {
    const { arena } = stage();
    expect(thrown(() => startProfile(arena, { delays: [delay as string] }))).toMatchObject({
      code: 'EINVAL',
      message: expect.stringContaining("such as '100us@accounts'"),
    });
    // And has left nothing.
    startProfile(arena).stop();
  });
});

describe('bad options', () => {
  test.each([
    [{ holds: 1 }],
    [{ hold: true }],
    [{ longWait: 0 }],
    [{ longWait: 'x' }],
    [null],
    [{ delays: '100us@m' }],
  ])('are taken: %j', (options) => {
    const { arena } = stage();
    expect(thrown(() => startProfile(arena, options as never))).toMatchObject({ code: 'EINVAL' });
    startProfile(arena).stop();
  });
});

test('the columns of lock_stat that a profile can fill have a dash', async () => {
  const { mkdtemp, readFile, rm } = await import('node:fs/promises');
  const { tmpdir } = await import('node:os');
  const { join } = await import('node:path');
  const { arena } = stage();
  slowClock(arena, 5000);
  const rw = new RwSemaphore(arena, 'rw');
  const session = startProfile(arena, { holds: true });
  for (let i = 0; i < 10; i++) rw.runShared(() => {});
  rw.runExclusive(() => {});
  const folder = await mkdtemp(join(tmpdir(), 'holdfast-lock-stat-'));
  await saveProfile(session.stop(), join(folder, 'p.lock_stat'));
  const text = await readFile(join(folder, 'p.lock_stat'), 'utf8');
  await rm(folder, { recursive: true });
  const rows = text.split('\n').map((line) => line.trim().split(/\s{2,}|(?<=:)\s+/));
  const [readers, writers] = ['-R:', '-W:'].map((end) => rows.find(([name]) => name?.endsWith(end))!.slice(1));
  expect(readers).toHaveLength(12);
  // con-bounces contentions 4 x wait, acq-bounces acquisitions holdtime-min max total avg
  expect(readers!.slice(0, 8)).toEqual(['0', '0', '0.00', '0.00', '0.00', '0.00', '1', '10']);
  expect(writers!.slice(6, 8)).toEqual(['1', '1']);
});
