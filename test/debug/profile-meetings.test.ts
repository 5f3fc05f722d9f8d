/** Where a profile's holds and unlocks meet sessions that end and begin, deaths, and what a thread has learned before. */
import { setImmediate } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { Counts, countsAt } from '../../lib/debug/profile/holds-layout.ts';
import { Profile, Recording } from '../../lib/debug/profile/layout.ts';
import { type ContentionProfile, Mutex, type ProfileSession, RtMutex, startProfile } from '../../lib/index.ts';
import type { Cpu } from '../../lib/machine/cpu.ts';
import { Header } from '../../lib/memory/header.ts';
import { watching } from '../../lib/sched/contention.ts';
import { on, stepper } from '../support/stepper.ts';
import { thrown } from '../support/threads.ts';

/** Room for the tables. */
const WORDS = 1 << 19;

function stage(threads = 3) {
  const stepped = stepper(threads, { words: WORDS });
  const { arenas } = stepped;
  const mutexes = arenas.map((arena) => new Mutex(arena, 'm', { onOwnerDied: () => {} }));
  const clock = { now: 1e9, step: 0 };
  for (const { cpu } of arenas) cpu.now = () => (clock.now += clock.step);
  return { ...stepped, arena: arenas[0]!, mutexes: mutexes as [Mutex, Mutex, Mutex], clock };
}

const heldOf = ({ locks }: ContentionProfile) => locks[0]?.held;

/** Where this test's functions are called from, and for how many waiters and how long. */
const charged = ({ unlocks }: ContentionProfile) =>
  unlocks.map(({ thread, contentions, delay }) => [thread, contentions, delay]);

test('holds that are long and short by turns are made up as if the long ones were more', () => {
  const { arena, mutexes, clock } = stage();
  const session = startProfile(arena, { holds: true });
  const [mutex] = mutexes;
  for (let i = 0; i < 4000; i++) {
    mutex.lock();
    clock.now += i % 2 === 0 ? 10_000 : 100;
    mutex.unlock();
  }
  const { sync } = heldOf(session.stop())!;
  const total = 2000 * 10_100;
  expect(sync.total).toBeGreaterThan(0.85 * total);
  expect(sync.total).toBeLessThan(1.15 * total);
});

describe('a thread that learns of a session', () => {
  test('which is over, and has another one begin that counts no holds, clears memory that is not its own', () => {
    const { arenas, arena, real, before: rightBefore } = stage();
    const first = startProfile(arena, { holds: true });
    let before: number[] = [];
    let next: ProfileSession | undefined;
    // The heap's tags, its free blocks, the program's memory: whatever lies where the counts would be if the tables were at word 0.
    const words = () => Array.from({ length: Counts.words }, (_, i) => real.load(countsAt(0, 1) + i));
    real.store(countsAt(0, 1) + Counts.words - 1, 7);
    // It has seen that the session runs, and makes its recorders.
    rightBefore(1, on('load', Header.profileTables, 2), () => {
      first.stop();
      next = startProfile(arena);
      before = words();
    });
    watching(arenas[1]!.thread);
    expect(words()).toEqual(before);
    expect(next!.stop().locks).toEqual([]);
  });

  test('where it waits forgets that it has counted in it already', () => {
    const { arenas, arena, mutexes, before: rightBefore } = stage();
    const first = startProfile(arena, { holds: true });
    mutexes[0].runExclusive(() => thrown(() => mutexes[1].lock({ timeout: 0 })));
    first.stop();
    const second = startProfile(arena, { holds: true });
    // By the first it learns of the second session, and counts from the second one on.
    for (let i = 0; i < 3; i++) mutexes[1].runExclusive(() => {});
    mutexes[0].lock();
    rightBefore(1, on('wait'), () => mutexes[0].unlock());
    mutexes[1].runExclusive(() => {});
    expect(heldOf(second.stop())?.sync.acquisitions).toBe(1 + 2 + 1);
    expect(arenas).toHaveLength(3);
  });
});

describe('a wait that began in a session before', () => {
  test('is charged to an unlock of the next one', async () => {
    const { arena, mutexes, clock } = stage();
    const first = startProfile(arena);
    mutexes[0].lock();
    const wait = mutexes[1].acquireAsync();
    first.stop();
    const second = startProfile(arena);
    clock.now += 5e6;
    mutexes[0].unlock();
    (await wait).release();
    const profile = second.stop();
    expect([profile.locks, profile.unlocks]).toEqual([[], []]);
  });

  test('that begins to sleep in the next one is charged to an unlock there', () => {
    const { arena, mutexes, clock, before: rightBefore } = stage();
    const first = startProfile(arena);
    let second: ProfileSession | undefined;
    mutexes[0].lock();
    rightBefore(1, on('condLoad'), () => {
      first.stop();
      second = startProfile(arena);
      rightBefore(1, on('wait'), () => {
        clock.now += 5e6;
        mutexes[0].unlock();
      });
    });
    mutexes[1].runExclusive(() => {});
    const profile = second!.stop();
    expect([profile.locks, profile.unlocks]).toEqual([[], []]);
  });
});

test('an unlock of a thread that has not learned of the session takes time from the next unlock', async () => {
  const { arenas, arena, clock } = stage();
  const rt = arenas.map((one) => new RtMutex(one, 'rt'));
  const first = startProfile(arenas[2]!);
  // Thread 0 knows the first session only.
  watching(arena.thread);
  first.stop();
  const second = startProfile(arenas[2]!);
  rt[0]!.lock();
  const waits = [rt[1]!.acquireAsync(), rt[2]!.acquireAsync()];
  clock.now += 5e6;
  rt[0]!.unlock();
  const one = await waits[0]!;
  clock.now += 3e6;
  one.release();
  (await waits[1]!).release();
  // Of the second waiter the time since it slept: nobody else has had it.
  expect(charged(second.stop())).toEqual([[1, 1, 8e6]]);
});

test('a thread that repairs what a dead one has left is charged with what others wait for', async () => {
  const { arena, mutexes, clock, die, reap, arenas } = stage();
  const session = startProfile(arena);
  for (const { thread } of arenas) watching(thread);
  mutexes[0].lock();
  const wait = mutexes[1].acquireAsync();
  clock.now += 5e6;
  die(2);
  expect(reap(1)).toBe('done');
  expect(session.read().unlocks).toEqual([]);
  // The task has looked, and sleeps again.
  await setImmediate();
  clock.now += 1e6;
  mutexes[0].unlock();
  (await wait).release();
  expect(charged(session.stop())).toEqual([[0, 1, 6e6]]);
});

describe('a profile whose thread has detached', () => {
  function detached() {
    const on3 = stage();
    const session = startProfile(on3.arena, { holds: true });
    on3.mutexes[0].runExclusive(() => {});
    on3.leave(0);
    on3.arena.thread.leave();
    return { ...on3, session };
  }

  test('is read while another thread clears the tables', () => {
    const on3 = detached();
    // Each step of a start that another one can see: the detached thread reads its own, or learns that it is gone.
    let steps = 0;
    const seen = new Set<string>();
    for (const at of [1, 2, 3, 100, 1000, 10_000, 40_000]) {
      const { session, arenas, before: rightBefore, cancel } = at === 1 ? on3 : detached();
      let count = 0;
      rightBefore(
        1,
        ({ op }) => op === 'store' && ++count === at,
        () => {
          steps++;
          try {
            seen.add(`${heldOf(session.stop())?.sync.acquisitions}`);
          } catch (error) {
            seen.add((error as { code: string }).code);
          }
        },
      );
      startProfile(arenas[1]!).stop();
      cancel(1);
    }
    expect(steps).toBeGreaterThan(4);
    expect([...seen].filter((what) => what !== '1' && what !== 'EINVAL')).toEqual([]);
  });

  test('says what another one has found', () => {
    const { session, arenas, mutexes } = detached();
    expect(heldOf(session.read())?.sync.acquisitions).toBe(1);
    const other = startProfile(arenas[1]!, { holds: true });
    for (let i = 0; i < 3; i++) mutexes[1].runExclusive(() => {});
    expect(thrown(() => session.read())).toMatchObject({ code: 'EINVAL' });
    expect(heldOf(other.stop())?.sync.acquisitions).toBe(3);
  });
});

/** Steps that others can see: the texts of stacks are written word by word, and are nobody else's yet. */
const isShared = (op: keyof Cpu) => op !== 'read' && op !== 'write';

/** How long a hold takes, ns. */
const HOLD = 10e3;

describe('a thread that is killed', () => {
  test('while it counts and times holds takes more with it than the last one, or keeps the profile from going on', () => {
    const counts = new Set<number>();
    let recording = 0;
    for (let n = 1; ; n++) {
      const { arena, arenas, mutexes, clock, killBefore, reap, real } = stage();
      for (const { cpu } of arenas) cpu.ndelay = () => {};
      // Of a lock that is delayed each hold is timed.
      const session = startProfile(arena, { delays: ['1ns@m'] });
      for (const { thread } of arenas) watching(thread);
      const hold = (mutex: Mutex) => mutex.runExclusive(() => void (clock.now += HOLD));
      let [steps, done] = [0, 0];
      const isKilled = killBefore(
        1,
        ({ op }) => done >= 2 && isShared(op) && ++steps === n,
        () => {
          for (; done < 4; done++) hold(mutexes[1]);
        },
      );
      if (!isKilled) break;
      const word = arenas[1]!.thread.slot + Recording.session;
      if (real.load(word) !== 0) recording++;
      expect(reap(2)).toBe('done');
      expect(real.load(word), `before step ${n}`).toBe(0);
      const { sync } = heldOf(session.read())!;
      counts.add(sync.acquisitions - done);
      expect(sync.acquisitions, `before step ${n}`).toBeGreaterThanOrEqual(done);
      expect(sync.acquisitions).toBeLessThanOrEqual(done + 1);
      expect(sync.timed).toBeGreaterThanOrEqual(done);
      expect(sync.timed).toBeLessThanOrEqual(sync.acquisitions);
      expect([sync.shortest, sync.longest]).toEqual([HOLD, HOLD]);
      // What it was adding: the time may be there, and the hold not yet.
      expect(sync.total).toBeGreaterThanOrEqual(done * HOLD);
      expect(sync.total).toBeLessThanOrEqual((sync.acquisitions + 2) * HOLD);
      for (let i = 0; i < 3; i++) hold(mutexes[2]);
      const profile = session.stop();
      expect(heldOf(profile)!.sync.acquisitions).toBe(sync.acquisitions + 3);
      expect(heldOf(profile)!.sync.timed).toBe(sync.timed + 3);
      expect(profile).toMatchObject({ unfinished: 0, dropped: { waits: 0, samples: 0, acquisitions: 0 } });
      const next = startProfile(arena, { holds: true });
      hold(mutexes[0]);
      expect(heldOf(next.stop())!.sync.acquisitions).toBe(1);
    }
    expect([...counts].sort()).toEqual([0, 1]);
    expect(recording).toBeGreaterThan(10);
  });

  test('while it clears what it counts in, or counts for the first time, leaves counts of the session before', () => {
    let isClearing = 0;
    for (let n = 1; ; n += 7) {
      const { arena, arenas, mutexes, killBefore, reap, real } = stage();
      const first = startProfile(arena, { holds: true });
      watching(arenas[1]!.thread);
      for (let i = 0; i < 5; i++) mutexes[1].runExclusive(() => {});
      first.stop();
      const second = startProfile(arena, { holds: true });
      let steps = 0;
      const isKilled = killBefore(
        1,
        ({ op }) => isShared(op) && ++steps === n,
        () => watching(arenas[1]!.thread),
      );
      if (!isKilled) break;
      const counts = countsAt(real.load(real.load(Header.profileTables) + Profile.holds), 1);
      if (real.load(counts + Counts.rows) === 0) isClearing++;
      expect(reap(2)).toBe('done');
      mutexes[0].runExclusive(() => {});
      expect(heldOf(second.stop())!.sync.acquisitions, `before step ${n}`).toBe(1);
    }
    expect(isClearing).toBeGreaterThan(10);
  });

  test('while it charges an unlock leaves time that others are charged with, or a profile that is in pieces', async () => {
    const seen = new Set<string>();
    for (let n = 1; ; n++) {
      const { arenas, mutexes, clock, killBefore, reap, real } = stage(4);
      const session = startProfile(arenas[3]!, { holds: true });
      for (const { thread } of arenas) watching(thread);
      mutexes[1].lock();
      const waits = [mutexes[0].acquireAsync(), mutexes[2].acquireAsync()];
      clock.now += 5e6;
      let steps = 0;
      const isKilled = killBefore(
        1,
        ({ op }) => isShared(op) && ++steps === n,
        () => mutexes[1].unlock(),
      );
      const word = arenas[1]!.thread.slot + Recording.session;
      const wasRecording = real.load(word) !== 0;
      if (isKilled) while (reap(3) === 'again');
      expect(real.load(word)).toBe(0);
      const one = await waits[0]!;
      clock.now += 3e6;
      one.release();
      (await waits[1]!).release();
      const profile = session.stop();
      expect(profile).toMatchObject({ unfinished: 0, dropped: { waits: 0, samples: 0, acquisitions: 0 } });
      const [theirs = [1, 0, 0], mine] = [1, 0].map((by) => charged(profile).find(([thread]) => thread === by));
      if (wasRecording) seen.add(`${theirs}`);
      // All of what the dead one was adding is there, or a part that it had come to; the next one has its own, and what nobody has taken.
      expect([0, 2], `before step ${n}`).toContain(theirs[1]);
      expect([0, 10e6]).toContain(theirs[2]);
      expect(mine!.slice(0, 2)).toEqual([0, 1]);
      expect([3e6, 8e6]).toContain(mine![2]);
      expect(theirs[2]! + mine![2]!).toBeLessThanOrEqual(13e6);
      if (!isKilled) break;
    }
    expect([...seen].sort()).toEqual(['1,0,0', '1,2,0', '1,2,10000000']);
  });
});
