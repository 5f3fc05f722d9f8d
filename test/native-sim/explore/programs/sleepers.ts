/** Programs that sleep, or that decide by store buffering whether they may. */
import type { Cpu } from '../../../../lib/machine/cpu.ts';
import type { Program } from '../../../../native-sim/explore/program.ts';

const SHARED = 0;

/** Dekker's way in, without a way to wait: each says that it wants in, and goes in if the other has not said so. */
export function dekker(): Program {
  const side = (mine: number, other: number) => (cpu: Cpu) => {
    cpu.store(mine, 1);
    cpu.mb();
    if (cpu.load(other) === 0) cpu.write(SHARED, cpu.read(SHARED) + 1);
  };
  return { words: 3, threads: [side(1, 2), side(2, 1)] };
}

/** prepare-to-wait: the sleeper says that it sleeps, then checks; the waker makes it true, then looks for sleepers. */
export function waitQueue(): Program {
  const [condition, sleeping] = [1, 2];
  return {
    words: 3,
    threads: [
      (cpu) => {
        for (;;) {
          cpu.store(sleeping, 1);
          cpu.mb();
          if (cpu.load(condition) === 1) return;
          cpu.wait(sleeping, 1, Number.POSITIVE_INFINITY);
        }
      },
      (cpu) => {
        cpu.store(condition, 1);
        cpu.mb();
        if (cpu.load(sleeping) === 1) {
          cpu.storeRelease(sleeping, 0);
          cpu.wake(sleeping, 1);
        }
      },
    ],
  };
}

/** A semaphore's sleeper and its waker: full barrier between saying that one sleeps and looking at the count. */
export function semaphore(): Program {
  const [count, state] = [1, 2];
  return {
    words: 3,
    threads: [
      (cpu) => {
        for (;;) {
          cpu.xchg(state, 1);
          const seen = cpu.load(count);
          if (seen > 0 && cpu.cmpxchgAcquire(count, seen, seen - 1) === seen) break;
          while (cpu.load(state) === 1) cpu.wait(state, 1, Number.POSITIVE_INFINITY);
        }
      },
      (cpu) => {
        cpu.fetchAddRelease(count, 1);
        if (cpu.xchg(state, 0) === 1) cpu.wake(state, 1);
      },
    ],
  };
}

/** A flag and a sleeper on it: the store must be ordered before the wake. */
export function wakeAfterStore(): Program {
  const flag = 1;
  return {
    words: 2,
    threads: [
      (cpu) => {
        while (cpu.load(flag) === 0) cpu.wait(flag, 0, Number.POSITIVE_INFINITY);
      },
      (cpu) => {
        cpu.storeRelease(flag, 1);
        cpu.wake(flag, 1);
      },
    ],
  };
}
