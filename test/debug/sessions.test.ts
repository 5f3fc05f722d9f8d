/** A profile's beginning and end at each step of a wait, and threads that are killed in the middle of recording one. */
import { describe, expect, test } from 'vitest';
import { Profile, Recording, Row, Stack } from '../../lib/debug/profile/layout.ts';
import { type Arena, type ContentionProfile, Mutex, type ProfileSession, startProfile } from '../../lib/index.ts';
import type { Cpu } from '../../lib/machine/cpu.ts';
import { Header } from '../../lib/memory/header.ts';
import { on, stepper, type When } from '../support/stepper.ts';
import { thrown } from '../support/threads.ts';

const WORDS = 1 << 18;
/** Longer than the time in which each wait is sampled. */
const LONG = 200e3;

function stage() {
  const stepped = stepper(3, { words: WORDS });
  const { arenas } = stepped;
  const onOwnerDied = () => {};
  const mutexes = arenas.map((arena) => new Mutex(arena, 'branch 7', { onOwnerDied })) as [Mutex, Mutex, Mutex];
  let now = 0;
  for (const { cpu } of arenas) cpu.now = () => (now += LONG);
  return { ...stepped, arena: arenas[0]!, mutexes };
}

type Stage = ReturnType<typeof stage>;

/** Steps that others can see. Plain ones write the texts of stacks, word by word, and each is nobody else's yet. */
const isShared = (op: keyof Cpu) => op !== 'read' && op !== 'write';

/**
 * Thread 1 waits for the mutex, and gets it from thread 0 in its sleep. Before its `n`th step, `action` happens. Returns
 * false when it has taken fewer steps.
 */
function waitWith({ mutexes, before: rightBefore, cancel }: Stage, n: number, action: () => void): boolean {
  mutexes[0].lock();
  let steps = 0;
  const watchSteps: When = ({ op }) => {
    if (isShared(op) && ++steps === n) action();
    if (op === 'wait') mutexes[0].unlock();
    return false;
  };
  rightBefore(1, watchSteps, () => {});
  mutexes[1].lock();
  cancel(1);
  mutexes[1].unlock();
  return steps >= n;
}

/** What is there of waits is whole: counted, timed, and charged to the place and to the holder. */
function checkWhole({ locks, stacks, waits, dropped, unknown }: ContentionProfile, most: number): number {
  const count = locks.reduce((sum, { sync }) => sum + sync.contentions, 0);
  expect(count).toBeLessThanOrEqual(most);
  for (const { lock, sync } of locks) {
    expect(lock).toBe('mutex "branch 7"');
    expect(sync.total).toBeGreaterThanOrEqual(count * LONG);
    expect([sync.shortest > 0, sync.longest > 0]).toEqual([count > 0, count > 0]);
    expect(stacks.reduce((sum, { delay }) => sum + delay, 0)).toBe(sync.total);
    expect(stacks.reduce((sum, { contentions }) => sum + contentions, 0)).toBe(count);
    expect(stacks.every(({ frames }) => frames.length > 0)).toBe(true);
    const slept = waits.reduce((sum, { contentions }) => sum + contentions, 0);
    expect(slept).toBe(sync.slept);
  }
  expect({ dropped, unknown }).toEqual({ dropped: { waits: 0, samples: 0, acquisitions: 0 }, unknown: 0 });
  return count;
}

describe('a profile that', () => {
  test('ends at a step of a wait has half of it', () => {
    const on3 = stage();
    const counts: number[] = [];
    for (let n = 1; ; n++) {
      const session = startProfile(on3.arena);
      let profile: ContentionProfile | undefined;
      if (!waitWith(on3, n, () => (profile = session.stop()))) {
        counts.push(checkWhole(session.stop(), 1));
        break;
      }
      // The thread goes on only when `stop` has come back: where it was recording, that has waited in vain, and says so.
      if (profile!.unfinished === 0) counts.push(checkWhole(profile!, 1));
      else expect(profile!.unfinished).toBe(1);
      // What it recorded later is in no profile.
      expect(session.stop()).toBe(profile);
    }
    expect(counts[0]).toBe(0);
    expect(counts.at(-1)).toBe(1);
  });

  test('begins at a step of a wait has half of it', () => {
    const on3 = stage();
    const counts: number[] = [];
    for (let n = 1; ; n++) {
      let session: ProfileSession | undefined;
      const isBetween = waitWith(on3, n, () => (session = startProfile(on3.arena)));
      if (!isBetween) break;
      counts.push(checkWhole(session!.stop(), 1));
    }
    // Until the thread has looked whether anybody watches, and never after.
    expect(counts[0]).toBe(1);
    expect(counts.indexOf(0)).toBeLessThan(30);
    expect(counts.lastIndexOf(1)).toBeLessThan(counts.indexOf(0));
  });

  test('ends in a wait, and another that begins then, share it, or one has it', () => {
    const on3 = stage();
    for (let n = 1; ; n++) {
      const first = startProfile(on3.arena);
      let next: ProfileSession | undefined;
      const isBetween = waitWith(on3, n, () => {
        if (first.stop().unfinished === 0) next = startProfile(on3.arena);
      });
      if (!isBetween) break;
      if (next === undefined) continue;
      const counts = [first.stop(), next.stop()].map((profile) => checkWhole(profile, 1));
      expect(counts[0]! + counts[1]!, `before step ${n}`).toBeLessThanOrEqual(1);
      // Only a wait that had not begun is the next one's.
      if (counts[1] === 1) expect(n).toBeLessThan(30);
    }
  });

  test('a thread makes meanwhile is another one’s, or the same one twice', () => {
    const { arenas, arena } = stage();
    const session = startProfile(arena);
    for (const each of arenas) {
      const error = thrown(() => startProfile(each));
      expect([error.code, error.message]).toEqual(['EBUSY', 'EBUSY: thread 0 profiles this arena already']);
    }
    const profile = session.stop();
    expect(session.stop()).toBe(profile);
    expect(session.read()).toBe(profile);
    startProfile(arenas[1]!).stop();
  });

  test('is under way keeps its thread from detaching, or is lost with it', () => {
    const on3 = stage();
    const session = startProfile(on3.arena);
    waitWith(on3, 0, () => {});
    on3.leave(0);
    on3.arena.thread.leave();
    expect(on3.real.load(Header.profile)).toBe(0);
    const other = startProfile(on3.arenas[1]!);
    expect(thrown(() => session.stop()).code).toBe('EINVAL');
    other.stop();
    expect(thrown(() => startProfile(on3.arena)).code).toBe('EINVAL');
  });

  test('its thread has left cannot be read any more', () => {
    const on3 = stage();
    const session = startProfile(on3.arena);
    waitWith(on3, 0, () => {});
    on3.leave(0);
    on3.arena.thread.leave();
    expect(checkWhole(session.stop(), 1)).toBe(1);
    startProfile(on3.arenas[1]!).stop();
  });

  test('has no room leaves something behind', () => {
    const { arenas } = stepper(1);
    const { used } = arenas[0]!.use();
    expect(thrown(() => startProfile(arenas[0]!)).code).toBe('ENOMEM');
    expect(arenas[0]!.use().used).toBe(used);
    expect(arenas[0]!.fsck()).toEqual([]);
  });

  test('is asked for with no arena is begun', () => {
    const error = thrown(() => startProfile({} as never));
    expect([error.code, error.message]).toEqual([
      'EINVAL',
      'EINVAL: startProfile() expects an Arena, received an object',
    ]);
  });

  test('takes memory each time', () => {
    const on3 = stage();
    startProfile(on3.arena).stop();
    const { used } = on3.arena.use();
    for (let i = 0; i < 5; i++) {
      const session = startProfile(on3.arena);
      waitWith(on3, 0, () => {});
      checkWhole(session.stop(), 1);
    }
    expect(on3.arena.use().used).toBe(used);
  });
});

describe('a thread that is killed', () => {
  test('while it waits or records that takes more with it than that wait, or keeps the profile from going on', () => {
    const counts = new Set<number>();
    let recording = 0;
    for (let n = 1; ; n++) {
      const on3 = stage();
      const { arena, arenas, mutexes, killBefore, reap, real } = on3;
      const session = startProfile(arena);
      waitWith(on3, 0, () => {});
      mutexes[0].lock();
      let steps = 0;
      const isKilled = killBefore(
        1,
        ({ op }) => {
          if (op === 'wait') mutexes[0].unlock();
          return isShared(op) && ++steps === n;
        },
        () => mutexes[1].lock(),
      );
      if (!isKilled) break;
      const word = arenas[1]!.thread.slot + Recording.session;
      if (real.load(word) !== 0) recording++;
      while (reap(2) === 'again');
      expect(real.load(word), `before step ${n}`).toBe(0);
      // It may have had the mutex. Whoever takes it from a dead thread waits, but for this attempt.
      if (mutexes[0].owner?.thread === 0 || mutexes[0].tryLock()) mutexes[0].unlock();
      // Another thread goes on with the rows and stacks that the dead one has begun.
      mutexes[0].lock();
      on3.before(2, on('wait'), () => mutexes[0].unlock());
      mutexes[2].lock();
      const profile = session.stop();
      expect(profile.unfinished).toBe(0);
      const [{ sync }] = profile.locks as [ContentionProfile['locks'][0]];
      counts.add(sync.contentions);
      // The first wait and the third are whole, the dead thread's is, or lacks what came after its death.
      expect(sync.contentions).toBeGreaterThanOrEqual(2);
      expect(sync.contentions).toBeLessThanOrEqual(3);
      expect(sync.slept).toBeGreaterThanOrEqual(2);
      const times = [sync.total, profile.stacks.reduce((sum, { delay }) => sum + delay, 0)];
      for (const time of times) expect(time, `before step ${n}`).toBeGreaterThan(LONG);
      expect(sync.total).toBeLessThan(40 * LONG);
      expect(profile.dropped).toEqual({ waits: 0, samples: 0, acquisitions: 0 });
      expect(arena.fsck()).toEqual([]);
      const next = startProfile(arena);
      expect(next.stop().locks).toEqual([]);
    }
    expect([...counts].sort()).toEqual([2, 3]);
    expect(recording).toBeGreaterThan(20);
  });

  test('while it is the first to name a row, or to write a stack, leaves nothing that the next one can use', () => {
    const seen = new Set<string>();
    for (let n = 1; ; n++) {
      const { arena, mutexes, killBefore, reap, real, before: rightBefore } = stage();
      const session = startProfile(arena);
      const profile = real.load(Header.profileTables);
      mutexes[0].lock();
      let steps = 0;
      const transfer = (mutex: Mutex) => mutex.lock();
      const isKilled = killBefore(
        1,
        ({ op, address }) => {
          // While it spins: an unlock that wakes it would be the first to name the row.
          if (op === 'condLoad' && mutexes[0].owner?.thread === 0) mutexes[0].unlock();
          const isInTables = address >= profile && address < profile + Profile.words;
          return isShared(op) && isInTables && ++steps === n;
        },
        () => transfer(mutexes[1]),
      );
      if (!isKilled) break;
      const rows = Array.from({ length: 160 }, (_, i) => profile + Profile.rows + i * Row.words);
      const stacks = Array.from({ length: 512 }, (_, i) => profile + Profile.stacks + i * Stack.words);
      if (rows.some((row) => real.load(row) !== 0 && real.load(row + Row.named) === 0)) seen.add('row without a name');
      if (stacks.some((at) => real.load(at) !== 0 && real.load(at + Stack.text) === 0)) seen.add('stack without text');
      while (reap(2) === 'again');
      if (mutexes[0].owner?.thread !== 0) mutexes[0].lock();
      rightBefore(2, on('wait'), () => mutexes[0].unlock());
      transfer(mutexes[2]);
      const { locks, stacks: places } = session.stop();
      expect(locks.map(({ lock }) => lock)).toEqual(['mutex "branch 7"']);
      const theirs = places.filter(({ thread }) => thread === 2);
      expect(theirs, `before step ${n}`).toHaveLength(1);
      expect(theirs[0]!.frames[0]!.name).toBe('transfer');
    }
    expect([...seen].sort()).toEqual(['row without a name', 'stack without text']);
  });

  test('while it profiles leaves a profile that nobody can end', () => {
    const start = (arena: Arena) => () => void startProfile(arena);
    const startAndStop = (arena: Arena) => () => void startProfile(arena).stop();
    // Its last steps, from the one that begins the session on, are the exchange on `profile` and what comes then.
    for (const [body, begins] of [
      [start, () => on('cmpxchg')],
      [startAndStop, () => on('xchg', Header.profile)],
    ] as const) {
      for (let n = 1; n < 60; n++) {
        const { arenas, killBefore, reap, real, mutexes } = stage();
        let steps = 0;
        const first = begins();
        const isNth: When = (each) => (steps > 0 || first(each)) && isShared(each.op) && ++steps === n;
        if (!killBefore(1, isNth, body(arenas[1]!))) break;
        while (reap(2) === 'again');
        expect(real.load(Header.profile), `before step ${n}`).toBe(0);
        const session = startProfile(arenas[2]!);
        mutexes[0].lock();
        mutexes[0].unlock();
        expect(session.stop().locks).toEqual([]);
        expect(arenas[2]!.fsck()).toEqual([]);
      }
    }
  });
});
