/** Races of the futex table, told step by step. */

import { describe, expect, test } from 'vitest';
import { openFutexes } from '../../lib/futex/open.ts';
import { requeuePi } from '../../lib/futex/pi.ts';
import { reservePiState } from '../../lib/futex/pi-state.ts';
import { bucketOf, mayHaveWaiters } from '../../lib/futex/table.ts';
import { requeue } from '../../lib/futex/wake.ts';
import { FUTEX_OWNER_DIED, FUTEX_TID_MASK, FUTEX_WAITERS, Futex, PiFutex } from '../../lib/index.ts';
import { Header } from '../../lib/memory/header.ts';
import { latchOwner } from '../../lib/memory/latch.ts';
import { RtWait } from '../../lib/sched/priority.ts';
import { Slot } from '../../lib/sched/slot.ts';
import { SLEEPING, Task } from '../../lib/sched/task.ts';
import { reorder, WaitList, waiters } from '../../lib/sched/wait-list.ts';
import { Hang, on, type Step, step, stepper } from '../support/stepper.ts';
import { thrown } from '../support/threads.ts';

const WORDS = 512;

function stage(threads: number) {
  const all = stepper(threads);
  const { arenas, real, stopBefore, killBefore } = all;
  const first = arenas[0]!.alloc(WORDS);
  for (let i = 0; i < WORDS; i++) real.store(first + i, 0);
  const futexes = arenas.map((arena) => openFutexes(arena));
  const { table } = futexes[0]!;
  const taskOf = (number: number) => arenas[number]!.thread.self;
  return {
    ...all,
    futexes,
    taskOf,
    futex: arenas.map((arena) => new Futex(arena)),
    pi: arenas.map((arena) => new PiFutex(arena)),
    bucket: (word: number) => bucketOf(table, word),
    /** A word whose bucket is right. */
    wordIn: (isRight: (bucket: number) => boolean) => {
      for (let word = first; word < first + WORDS; word++) if (isRight(bucketOf(table, word))) return word;
      throw new Error('no such word');
    },
    sleeps: (number: number, word: number) =>
      stopBefore(number, on('wait'), () => new Futex(arenas[number]!).wait(word, 0)),
    diesAsleep: (number: number, word: number) =>
      killBefore(number, on('wait'), () => new Futex(arenas[number]!).wait(word, 0)),
  };
}

/** Two words, the first in a bucket that the reaper comes to later. */
function pair({ bucket, wordIn }: ReturnType<typeof stage>): [number, number] {
  const one = wordIn(() => true);
  const other = wordIn((each) => each !== bucket(one));
  return bucket(one) < bucket(other) ? [one, other] : [other, one];
}

describe('a wake-up lost', () => {
  test('while the only sleeper moves within its list', () => {
    for (let n = 1, hasHappened = true; hasHappened; n++) {
      const all = stage(2);
      const { cancel, sleeps, taskOf, arenas, real, bucket, wordIn } = all;
      const word = wordIn(() => true);
      sleeps(0, word);
      real.store(taskOf(0) + Task.priority, -5);
      all.before(1, step(n), () => expect(mayHaveWaiters(real, bucket(word))).toBe(true));
      reorder(arenas[1]!.cpu, taskOf(0), 2);
      hasHappened = !cancel(1);
      expect(real.read(taskOf(0) + Task.rank)).toBe(-5);
    }
  });

  test('while a waiter is on its way to another word', () => {
    const all = stage(3);
    const { cancel, sleeps, taskOf, real, bucket, futexes } = all;
    const [from, to] = pair(all);
    sleeps(0, from);
    sleeps(1, from);
    // The first may return as soon as its list is 0; what it does to `to` must find the second.
    all.before(2, on('store', taskOf(1) + Task.list), () => expect(mayHaveWaiters(real, bucket(to))).toBe(true));
    expect(requeue(futexes[2]!, from, 1, to, 1, undefined)).toBe(2);
    expect(cancel(2)).toBe(false);
    expect([from, to].map((word) => mayHaveWaiters(real, bucket(word)))).toEqual([false, true]);
  });

  test('because wakers are sent to an empty bucket for ever', () => {
    const all = stage(2);
    const { sleeps, real, bucket, futex } = all;
    const [from, to] = pair(all);
    sleeps(0, from);
    expect(futex[1]!.requeue(from, 0, to, 1)).toBe(1);
    expect(futex[1]!.requeue(to, 0, to, 1)).toBe(1);
    expect(futex[1]!.wake(to)).toBe(1);
    expect([from, to].map((word) => real.load(bucket(word) + WaitList.first))).toEqual([0, 0]);
    expect([from, to].map((word) => mayHaveWaiters(real, bucket(word)))).toEqual([false, false]);
  });

  test('of a thread killed anywhere in a requeue: counts that are wrong afterwards', () => {
    for (let n = 1, isKilled = true; isKilled; n++) {
      const all = stage(3);
      const { sleeps, killBefore, futex, reap, real, bucket } = all;
      const [from, to] = pair(all);
      sleeps(0, from);
      isKilled = killBefore(1, step(n), () => futex[1]!.requeue(from, 0, to, 1));
      if (isKilled) expect(reap(2)).toBe('done');
      for (const word of [from, to]) {
        const isListed = real.load(bucket(word) + WaitList.first) !== 0;
        expect(mayHaveWaiters(real, bucket(word))).toBe(isListed);
      }
    }
  });

  test('by a moved waiter whose waker has died', () => {
    const all = stage(3);
    const { futex, die, reap } = all;
    const [from, to] = pair(all);
    all.before(0, on('wait'), () => {
      futex[1]!.requeue(from, 0, to, 1);
      die(2);
      reap(1);
    });
    expect(futex[0]!.wait(from, 0)).toBe(0);
    expect(futex[1]!.wake(to)).toBe(0);
  });

  test('by one of several words, moved, whose waker has died', () => {
    const all = stage(3);
    const { futex, die, reap } = all;
    const [from, to] = pair(all);
    all.before(0, on('wait'), () => {
      futex[1]!.requeue(from, 0, to, 1);
      die(2);
      reap(1);
    });
    const list = [to + 1, from].map((word) => ({ word, value: 0 }));
    expect(futex[0]!.waitv(list)).toBe(1);
    expect(futex[1]!.wake(to)).toBe(0);
  });
});

describe('after deaths', () => {
  test('a dead node moved to a bucket that the reaper has been through', () => {
    const all = stage(3);
    const { cancel, diesAsleep, taskOf, real, bucket, futexes, reap } = all;
    const [from, to] = pair(all);
    diesAsleep(0, from);
    all.before(1, on('cmpxchgAcquire', bucket(from) + WaitList.latch), () => {
      expect(requeue(futexes[2]!, from, 0, to, 1, undefined)).toBe(0);
    });
    expect(reap(1)).toBe('done');
    expect(cancel(1)).toBe(false);
    expect(waiters(real, bucket(to))).toEqual([]);
    expect(real.load(taskOf(0) + Task.list)).toBe(0);
  });

  for (const isFree of [true, false]) {
    test(`a dead waiter that is given a ${isFree ? 'free word' : 'place behind its owner'} by CMP_REQUEUE_PI`, () => {
      const all = stage(4);
      const { cancel, killBefore, taskOf, real, bucket, futexes, arenas, pi, reap } = all;
      const [from, to] = pair(all);
      killBefore(0, on('wait'), () => pi[0]!.waitRequeuePi(from, 0, to));
      if (!isFree) pi[3]!.lockPi(to);
      reservePiState(arenas[2]!);
      all.before(1, on('cmpxchgAcquire', bucket(from) + WaitList.latch), () => {
        expect(requeuePi(futexes[2]!, from, to, 0, 0)).toBe(0);
      });
      expect(reap(1)).toBe('done');
      expect(cancel(1)).toBe(false);
      expect(real.load(taskOf(0) + RtWait.mutex)).toBe(0);
      if (!isFree) pi[3]!.unlockPi(to);
      expect(real.load(to)).toBe(0);
      pi[2]!.lockPi(to);
    });
  }

  test('a waiter that is in its list for ever, deaf: its waker died when it had named no word', () => {
    const { sleeps, killBefore, taskOf, real, bucket, wordIn, futex, reap } = stage(3);
    const word = wordIn((other) => other === bucket(0));
    sleeps(0, word);
    expect(killBefore(1, on('storeRelease', taskOf(0) + Task.list), () => futex[1]!.wake(word))).toBe(true);
    expect(reap(2)).toBe('done');
    expect(real.load(taskOf(0) + Task.list)).toBe(0);
    expect(mayHaveWaiters(real, bucket(word))).toBe(false);
  });

  test('a list taken apart under the feet of the thread that reaps in the middle of it', () => {
    const all = stage(3);
    const { cancel, sleeps, die, taskOf, real, bucket, futexes, reap } = all;
    const [from, to] = pair(all);
    sleeps(0, from);
    all.before(1, on('cmpxchgAcquire', bucket(to) + WaitList.latch), () => {
      die(0);
      expect(reap(1)).toBe('again');
      expect(waiters(real, bucket(from))).toEqual([taskOf(0)]);
    });
    requeue(futexes[1]!, from, 0, to, 1, undefined);
    expect(cancel(1)).toBe(false);
    expect(reap(1)).toBe('done');
  });

  test('TRYLOCK_PI that reaps in the middle: a state that nobody waits for, and that has an owner', () => {
    const { arenas, before, stopBefore, killBefore, die, reap, real, pi, wordIn } = stage(5);
    const word = wordIn(() => true);
    pi[0]!.lockPi(word);
    stopBefore(1, on('wait'), () => pi[1]!.lockPi(word));
    // Released, and not picked up: whoever tries has to look at the word's state.
    pi[0]!.unlockPi(word);
    expect(killBefore(2, on('store'), () => arenas[2]!.thread.setPriority(3))).toBe(true);
    expect(latchOwner(real, Header.priorityLatch)).toBe(3);
    die(1);
    let isNested = false;
    before(3, on('wait', Header.priorityLatch), () => {
      expect(reap(3)).toBe('again');
      isNested = true;
    });
    expect(pi[3]!.tryLockPi(word)).toBe(0);
    expect(isNested).toBe(true);
    expect(reap(4)).toBe('done');
    expect(real.load(word) & FUTEX_TID_MASK).toBe(arenas[3]!.thread.self);
    pi[3]!.unlockPi(word);
    // All of it is free for the next, whose waiters find it again.
    pi[4]!.lockPi(word);
    stopBefore(3, on('wait'), () => pi[3]!.lockPi(word));
    pi[4]!.unlockPi(word);
    expect(real.load(arenas[3]!.thread.self + Task.state)).not.toBe(SLEEPING);
    expect(arenas[4]!.fsck()).toEqual([]);
  });
});

describe('robust lists', () => {
  function robust(threads: number) {
    const all = stage(threads);
    const { real, arenas, taskOf, futex } = all;
    const [head, ...entries] = Array.from({ length: 4 }, () => arenas[0]!.alloc(2)) as [number, ...number[]];
    futex[0]!.setRobustList(head);
    for (const [i, entry] of entries.entries()) {
      real.store(entry, entries[i + 1] ?? head);
      real.store(entry + 1, taskOf(0) | FUTEX_WAITERS);
    }
    real.store(head, entries[0]!);
    real.store(head + 1, 1);
    real.store(head + 2, 0);
    return { ...all, head, entries, isMarked: (entry: number) => (real.load(entry + 1) & FUTEX_OWNER_DIED) !== 0 };
  }

  for (const pending of [undefined, 0, 1, 2]) {
    test(`an entry that nobody marks, because its predecessor has a new owner; pending: ${pending}`, () => {
      const { real, die, killBefore, reap, head, entries, isMarked } = robust(3);
      if (pending !== undefined) real.store(head + 2, entries[pending]!);
      die(0);
      let marks = 0;
      const isSecondMark = ({ op, args }: Step) =>
        op === 'cmpxchg' && args[2] === (FUTEX_WAITERS | FUTEX_OWNER_DIED) && ++marks === 2;
      const died = killBefore(1, isSecondMark, () => reap(1));
      expect(died).toBe(true);
      // Its next owner links a marked entry into a list of its own.
      for (const entry of entries) if (isMarked(entry)) real.store(entry, head);
      expect(reap(2)).toBe('done');
      expect(entries.map(isMarked)).toEqual([true, true, true]);
    });
  }

  test('a reaper that waits for a latch whose holder has been killed', () => {
    const all = robust(4);
    const { cancel, killBefore, stopBefore, die, reap, entries, isMarked, bucket, futex, real } = all;
    const word = entries[0]! + 1;
    stopBefore(3, on('wait'), () => futex[3]!.wait(word, real.load(word)));
    die(0);
    all.before(1, on('cmpxchg', word), () => {
      killBefore(2, on('xchgRelease', bucket(word) + WaitList.latch), () => futex[2]!.wake(word));
    });
    expect(reap(1)).toBe('done');
    expect(cancel(1)).toBe(false);
    expect(isMarked(entries[0]!)).toBe(true);
    expect(reap(1)).toBe('done');
  });
});

test('the order of priorities, beside an asynchronous task of the same thread', async () => {
  const { arenas, futex, stopBefore, taskOf, real, bucket, wordIn } = stage(2);
  const word = wordIn(() => true);
  const own = futex[0]!.waitAsync(word, 0);
  arenas[1]!.thread.setPriority(-1);
  stopBefore(1, on('wait'), () => futex[1]!.wait(word, 0));
  arenas[0]!.thread.setPriority(-5);
  stopBefore(0, on('wait'), () => futex[0]!.wait(word, 0));
  expect(waiters(real, bucket(word)).slice(0, 2)).toEqual([taskOf(0), taskOf(1)]);
  futex[1]!.wake(word, 3);
  await own;
});

test('a synchronous waiter behind an asynchronous one of its own thread, which cannot run', async () => {
  const { futex, stopBefore, taskOf, real, bucket, wordIn } = stage(3);
  const word = wordIn(() => true);
  const own = futex[0]!.waitAsync(word, 0);
  stopBefore(1, on('wait'), () => futex[1]!.wait(word, 0));
  stopBefore(0, on('wait'), () => futex[0]!.wait(word, 0));
  const order = waiters(real, bucket(word));
  expect([order[0], order[2]]).toEqual([taskOf(0), taskOf(1)]);
  futex[2]!.wake(word, 3);
  await own;
});

test('UNLOCK_PI of a word that others wait for by plain operations: they sleep on at a free word', () => {
  const { futex, pi, stopBefore, real, wordIn } = stage(2);
  const word = wordIn(() => true);
  pi[0]!.lockPi(word);
  stopBefore(1, on('wait'), () => futex[1]!.wait(word, real.load(word)));
  expect(thrown(() => pi[0]!.unlockPi(word)).code).toBe('EINVAL');
  expect(real.load(word)).not.toBe(0);
});

test('a priority inherited while its thread comes to wait beside an asynchronous task of its own', async () => {
  for (let n = 1, isAsleep = false; !isAsleep; n++) {
    const { arenas, before, cancel, futex, stopBefore, taskOf, real, bucket, wordIn } = stage(3);
    const word = wordIn(() => true);
    arenas[1]!.thread.setPriority(-1);
    stopBefore(1, on('wait'), () => futex[1]!.wait(word, 0));
    const own = futex[0]!.waitAsync(word, 0);
    real.store(taskOf(0) + Task.priority, 0);
    let sees = 0;
    before(0, step(n), () => {
      real.store(taskOf(0) + Task.priority, -5);
      sees = real.load(taskOf(0) + Task.list);
    });
    expect(() => futex[0]!.wait(word, 0)).toThrow(Hang);
    isAsleep = cancel(0);
    // A thread that raises a priority looks once, after that, whether the task is in a list.
    if (sees !== 0) reorder(arenas[2]!.cpu, taskOf(0), 3);
    if (!isAsleep) expect(waiters(real, bucket(word))[0], `before step ${n}`).toBe(taskOf(0));
    futex[1]!.wake(word, 3);
    await own;
  }
});

describe('a wait that ends with another reason than its own', () => {
  const ends = (wait: Promise<unknown>) =>
    wait.then(
      () => 'woken',
      (error) => error.code ?? error,
    );

  test('timed out: its word has changed, and nobody has woken it', async () => {
    const { futex, real, wordIn, ...all } = stage(2);
    const word = wordIn(() => true);
    const change = () => real.store(word, real.load(word) + 1);
    all.before(0, on('wait'), change);
    expect(thrown(() => futex[0]!.wait(word, 0, { timeout: 5 })).code).toBe('ETIMEDOUT');
    all.before(0, on('wait'), change);
    expect(thrown(() => futex[0]!.waitv([{ word, value: 1 }], { deadline: futex[0]!.now() + 5 })).code).toBe(
      'ETIMEDOUT',
    );
    const late = ends(futex[0]!.waitAsync(word, 2, { timeout: 5 }));
    change();
    expect(await late).toBe('ETIMEDOUT');
  });

  test('aborted: its word has changed, and nobody has woken it', async () => {
    const { futex, real, wordIn } = stage(2);
    const word = wordIn(() => true);
    const [one, other] = [new AbortController(), new AbortController()];
    const single = ends(futex[0]!.waitAsync(word, 0, { signal: one.signal }));
    const several = ends(futex[0]!.waitvAsync([{ word, value: 0 }], { signal: other.signal }));
    real.store(word, 1);
    one.abort('one');
    other.abort('other');
    expect(await single).toBe('one');
    expect(await several).toBe('other');
  });

  test('timed out or unparked: it waits for another word by now', () => {
    const { die, futex, futexes, real, reap, wordIn, bucket, ...all } = stage(3);
    const word = wordIn(() => true);
    const to = wordIn((other) => other !== bucket(word));
    const move = () => {
      requeue(futexes[1]!, word, 0, to, 1, undefined);
      real.store(word, 1);
    };
    all.before(0, on('wait'), move);
    expect(thrown(() => futex[0]!.wait(word, 0, { timeout: 5 })).code).toBe('ETIMEDOUT');
    expect(futex[1]!.wake(to)).toBe(0);
    real.store(word, 0);
    all.before(0, on('wait'), () => {
      move();
      die(2);
      reap(1);
    });
    expect(futex[0]!.wait(word, 0)).toBe(0);
  });
});

test('slots: what a dead thread waited for is nothing to the next in its slot', () => {
  const { killBefore, arenas, pi, real, reap, taskOf, wordIn } = stage(2);
  const [word] = [wordIn(() => true)];
  killBefore(0, on('wait'), () => pi[0]!.waitRequeuePi(word, 0, word + 1));
  expect(real.load(taskOf(0) + Task.result)).toBe(word + 1);
  expect(reap(1)).toBe('done');
  expect(real.load(taskOf(0) + Task.result)).toBe(0);
  expect(real.load(arenas[0]!.thread.slot + Slot.life)).toBe(0);
});
