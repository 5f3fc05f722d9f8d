/** Priorities that are lent to a reader that sleeps, where the lender or the reader dies or leaves at any step from the loan on. */
import { describe, expect, test } from 'vitest';
import { HoldfastError, Mutex, Rcu, RtMutex } from '../../lib/index.ts';
import { Priorities } from '../../lib/sched/priority.ts';
import { Slot } from '../../lib/sched/slot.ts';
import { Task } from '../../lib/sched/task.ts';
import { Hang, type Step, stepper } from '../support/stepper.ts';

const [READER, LENDER, OTHER] = [0, 1, 2];
const LAZY = 10;
const URGENT = 1;

/** A reader that sleeps in a lock of thread OTHER, and a thread that is about to wait for it, for too short a time. */
function setup(Lock: typeof Mutex | typeof RtMutex, isExpedited: boolean, sleeps: boolean) {
  const steps = stepper(3, { words: 1 << 14 });
  const { arenas } = steps;
  arenas[READER]!.thread.setPriority(LAZY);
  arenas[LENDER]!.thread.setPriority(URGENT);
  const { slot } = arenas[READER]!.thread;
  const main = slot + Slot.mainTask;
  const rcus = arenas.map((arena) => new Rcu(arena));
  const held = new Lock(arenas[OTHER]!);
  const wanted = Lock.from(arenas[READER]!, held.handle);
  held.lock();
  rcus[READER]!.readLock();
  if (sleeps) expect(() => wanted.lock()).toThrow(Hang);
  const wait = () => {
    // It lends when it has waited for half a second, and gives up before it looks again.
    const options = { timeout: 600 };
    try {
      if (isExpedited) rcus[LENDER]!.synchronizeExpedited(options);
      else rcus[LENDER]!.synchronize(options);
    } catch (error) {
      if (!(error instanceof HoldfastError)) throw error;
    }
  };
  return { ...steps, slot, main, reader: rcus[READER]!, held, wait };
}

/** The n-th operation of the lender after its first loan is written. */
function afterLoan(slot: number, n: number): (step: Step) => boolean {
  let seen = -1;
  return ({ op, address }) => {
    if (seen >= 0) return ++seen === n;
    if (op === 'store' && address === slot + Priorities.lent) seen = 0;
    return false;
  };
}

const CASES = [
  [Mutex, false],
  [RtMutex, true],
] as const;

describe.each(CASES)(
  'while it sleeps in a %o (expedited: %s), a reader keeps what it was lent',
  (Lock, isExpedited) => {
    test('by a thread that dies', () => {
      let steps = 0;
      for (; ; steps++) {
        const { arenas, real, slot, main, wait, killBefore, reap } = setup(Lock, isExpedited, true);
        if (!killBefore(LENDER, afterLoan(slot, steps + 1), wait)) break;
        // Once more where it has died with the latch of all priorities.
        expect([reap(OTHER), reap(OTHER)]).toContain('done');
        expect([real.load(slot + Priorities.lent), real.load(main + Task.priority)], `step ${steps}`).toEqual([
          0,
          LAZY,
        ]);
        expect(real.load(main + Task.rank)).toBe(LAZY);
        if (Lock === RtMutex) expect(arenas[OTHER]!.thread.priority).toBe(0);
        expect(arenas[OTHER]!.fsck()).toEqual([]);
      }
      expect(steps).toBeGreaterThan(20);
    });

    test('by a thread whose time is up', () => {
      const { arenas, real, slot, main, wait } = setup(Lock, isExpedited, true);
      wait();
      expect([real.load(slot + Priorities.lent), real.load(main + Task.priority)]).toEqual([0, LAZY]);
      expect(real.load(main + Task.rank)).toBe(LAZY);
      if (Lock === RtMutex) expect(arenas[OTHER]!.thread.priority).toBe(0);
    });

    test('when it is dead', () => {
      let steps = 0;
      for (; ; steps++) {
        const { arenas, real, slot, wait, before, cancel, die, reap } = setup(Lock, isExpedited, true);
        let isDead = false;
        before(LENDER, afterLoan(slot, steps + 1), () => {
          die(READER);
          isDead = true;
        });
        wait();
        if (cancel(LENDER)) break;
        expect(isDead).toBe(true);
        expect(reap(OTHER)).toBe('done');
        expect(real.load(slot + Priorities.lent), `step ${steps}`).toBe(0);
        expect(arenas[OTHER]!.fsck()).toEqual([]);
        expect(arenas[OTHER]!.thread.priority).toBe(0);
      }
      expect(steps).toBeGreaterThan(20);
    });
  },
);

test.each([false, true])('a reader that goes out at any step of a loan keeps it (expedited: %s)', (isExpedited) => {
  let steps = 0;
  for (; ; steps++) {
    const { arenas, real, slot, main, reader, wait, before, cancel } = setup(Mutex, isExpedited, false);
    let hangs = false;
    before(LENDER, afterLoan(slot, steps + 1), () => {
      try {
        reader.readUnlock();
      } catch (error) {
        // The lender has a latch, and waits for this to return.
        if (!(error instanceof Hang)) throw error;
        hangs = true;
      }
    });
    wait();
    if (cancel(LENDER)) break;
    if (hangs) continue;
    expect([real.load(slot + Priorities.lent), real.load(main + Task.priority)], `step ${steps}`).toEqual([0, LAZY]);
    expect(arenas[READER]!.thread.priority).toBe(LAZY);
  }
  expect(steps).toBeGreaterThan(20);
});
