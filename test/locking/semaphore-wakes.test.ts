/** Which sleepers a semaphore wakes: all for which there are permits, in one go. */
import { expect, test } from 'vitest';
import { Semaphore } from '../../lib/index.ts';
import { SLEEPING, Task } from '../../lib/sched/task.ts';
import { Hang, on, stepper } from '../support/stepper.ts';

const THREADS = 6;

/** Threads 1 to 5 sleep in `down` for one permit each, in that order. Then `up` is called with each number; says who sleeps still. */
function asleepAfter(...ups: number[]): number[][] {
  const { arenas, before } = stepper(THREADS);
  const cpu = arenas[0]!.cpu;
  const first = new Semaphore(arenas[0]!, undefined, { permits: 0 });
  const semaphores = arenas.map((arena) => Semaphore.from(arena, first.handle));
  const numbers = Array.from({ length: THREADS - 1 }, (_, i) => i + 1);
  const seen: number[][] = [];
  const look = () => void seen.push(numbers.filter((n) => cpu.load(arenas[n]!.thread.self + Task.state) === SLEEPING));
  const sleep = (n: number): void => {
    before(n, on('wait'), () => {
      if (n + 1 < THREADS) return sleep(n + 1);
      for (const permits of ups) {
        first.up(permits);
        look();
      }
      // None of them comes back: what is to be seen is what `up` did by itself.
      throw new Hang('seen');
    });
    semaphores[n]!.down();
  };
  expect(() => sleep(1)).toThrow('seen');
  return seen;
}

test('sleepers that wake one after the other although there are permits for all', () => {
  expect(asleepAfter(5)).toEqual([[]]);
  // Those that are woken look for the others when they come; until then what is given is anybody's, and wakes nobody.
  expect(asleepAfter(3, 2)).toEqual([
    [4, 5],
    [4, 5],
  ]);
});

test('a sleeper for which there is no permit beside those of the ones in front', () => {
  expect(asleepAfter(4)).toEqual([[5]]);
});

test('an asynchronous waiter that gets what is meant for a thread that was woken for it', async () => {
  const { arenas, before } = stepper(3);
  const first = new Semaphore(arenas[0]!, undefined, { permits: 0 });
  const [one, two, three] = arenas.map((arena) => Semaphore.from(arena, first.handle)) as [
    Semaphore,
    Semaphore,
    Semaphore,
  ];
  let granted = 0;
  let behind: Promise<void> | undefined;
  before(1, on('wait'), () => {
    behind = three.downAsync().then(() => void granted++);
    one.up(1);
    // Free until the thread comes: others may have it, but nobody who waits behind.
    expect(first.permits).toBe(1);
  });
  two.down();
  expect(first.permits).toBe(0);
  await Promise.resolve();
  expect(granted).toBe(0);
  one.up(1);
  await behind;
  expect(first.permits).toBe(0);
});
