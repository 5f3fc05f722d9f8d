/** The seat of a semaphore: the permit that a guard has, or had last, which is not in the count. */
import { expect, test } from 'vitest';
import { Semaphore } from '../../lib/index.ts';
import { SemaphoreWords, VACANT } from '../../lib/locking/semaphore/words.ts';
import { Hang, on, stepper } from '../support/stepper.ts';
import { thrown } from '../support/threads.ts';

function setup(permits = 1) {
  const all = stepper(3);
  const first = new Semaphore(all.arenas[0]!, undefined, { permits });
  const semaphores = all.arenas.map((arena) => Semaphore.from(arena, first.handle));
  const seat = first.address + SemaphoreWords.seat;
  return { ...all, semaphores, seat, inSeat: () => all.arenas[0]!.cpu.load(seat) };
}

test('a vacant permit that others cannot have', () => {
  const { semaphores, inSeat } = setup();
  const [one, two] = semaphores as [Semaphore, Semaphore];
  one.acquire().release();
  expect(inSeat()).toBe(VACANT);
  expect([one.permits, two.permits]).toEqual([1, 1]);
  two.acquire().release();
  expect(two.tryDown()).toBe(true);
  expect(two.permits).toBe(0);
  expect(inSeat()).toBe(0);
  two.up();
  one.acquire().release();
  two.down();
  two.up();
  one.acquire().release();
  const both = setup(2).semaphores[0]!;
  both.acquire().release();
  both.acquire({ permits: 2 }).release();
  expect(both.permits).toBe(2);
});

test('a second guard of one thread, which is not in the seat, released before and after the first', () => {
  const { semaphores, inSeat } = setup(2);
  const [one, two] = semaphores as [Semaphore, Semaphore];
  const [first, second] = [one.acquire(), one.acquire()];
  expect(one.permits).toBe(0);
  first.release();
  expect([two.permits, inSeat()]).toEqual([1, VACANT]);
  second.release();
  expect(two.permits).toBe(2);
  const held = two.acquire({ permits: 2 });
  expect(one.tryDown()).toBe(false);
  held.release();
  expect(one.permits).toBe(2);
});

test('a guard that gives back without waking who waits', async () => {
  const { semaphores } = setup();
  const [one, two] = semaphores as [Semaphore, Semaphore];
  const held = one.acquire();
  const waiting = two.acquireAsync();
  held.release();
  expect(one.permits).toBe(0);
  (await waiting).release();
  // It waits in vain, and the next release must not go past the one behind it.
  const again = await two.acquireAsync();
  await expect(one.downAsync({ timeout: 0 })).rejects.toMatchObject({ code: 'ETIMEDOUT' });
  const last = one.downAsync();
  again.release();
  await last;
  one.up();
  expect(two.permits).toBe(1);
});

test('an asynchronous guard in the seat', async () => {
  const { semaphores, inSeat } = setup();
  const [one, two] = semaphores as [Semaphore, Semaphore];
  one.acquire().release();
  const held = await one.acquireAsync();
  expect(inSeat()).not.toBe(VACANT);
  expect(two.tryDown()).toBe(false);
  held.release();
  expect(inSeat()).toBe(VACANT);
});

test('waiters that are gone, and guards go the slow way for ever', async () => {
  const { semaphores, seat, arenas, inSeat } = setup();
  const [one, two] = semaphores as [Semaphore, Semaphore];
  const held = one.acquire();
  await expect(two.acquireAsync({ timeout: 0 })).rejects.toMatchObject({ code: 'ETIMEDOUT' });
  const { cpu } = arenas[0]!;
  expect(cpu.load(seat) & 1).toBe(0);
  held.release();
  expect(inSeat()).toBe(VACANT);
});

test('the permit of a guard whose thread has died, in the seat or on its way there', () => {
  for (const isVacant of [true, false]) {
    const { semaphores, killBefore, reap, seat } = setup();
    const [one, two] = semaphores as [Semaphore, Semaphore];
    if (isVacant) one.acquire().release();
    expect(killBefore(0, on('cmpxchgRelease', seat), () => one.acquire().release())).toBe(true);
    expect(two.permits).toBe(0);
    expect(reap(1)).toBe('done');
    expect(two.permits).toBe(1);
    two.acquire().release();
    two.down();
  }
});

test('a thread that dies while it takes the permit out of the seat, or puts it in', () => {
  for (const word of ['count', 'seat', 'armed'] as const) {
    for (let nth = 1; nth < 16; nth++) {
      const { semaphores, killBefore, reap } = setup();
      const [one, two] = semaphores as [Semaphore, Semaphore];
      two.acquire().release();
      killBefore(0, on('', one.address + SemaphoreWords[word], nth), () => {
        // Takes it out, in vain.
        expect(one.tryDown(2)).toBe(false);
        one.acquire().release();
      });
      reap(1);
      expect([word, nth, two.permits]).toEqual([word, nth, 1]);
      two.acquire().release();
      two.down();
      expect(two.permits).toBe(0);
    }
  }
});

test('a semaphore that is destroyed under a guard in the seat, and one that is taken after it was', () => {
  const { semaphores, before, seat } = setup();
  const [one, two, three] = semaphores as [Semaphore, Semaphore, Semaphore];
  one.acquire().release();
  let held: ReturnType<Semaphore['acquire']> | undefined;
  before(1, on('cmpxchg', seat), () => (held = one.acquire()));
  expect(thrown(() => two.destroy()).code).toBe('EBUSY');
  expect(thrown(() => two.destroy()).code).toBe('EBUSY');
  held?.release();
  three.acquire().release();
  three.destroy();
  expect(thrown(() => one.acquire()).code).toBe('EINVAL');
});

test('a guard that goes the slow way while the semaphore is destroyed', () => {
  const { semaphores, before } = setup();
  const [one, two] = semaphores as [Semaphore, Semaphore];
  let outcome: unknown;
  before(1, on('cmpxchg', one.address + SemaphoreWords.count), () => {
    try {
      outcome = one.acquire();
    } catch (error) {
      outcome = error;
    }
  });
  // Somebody had the latch, and now waits to see what comes of this.
  expect(thrown(() => two.destroy()).code).toBe('EBUSY');
  expect(outcome).toBeInstanceOf(Hang);
  one.acquire().release();
  expect(two.permits).toBe(1);
});
