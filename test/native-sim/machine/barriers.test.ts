/**
 * The scenarios of "Memory Barriers: a Hardware View for Software Hackers", on cores that make loads in order: what store
 * buffers and invalidate queues do to programs, and which barrier helps. Each is tried with many delays between the two.
 */
import { describe, expect, it } from 'vitest';
import type { Profile } from '../../../native-sim/machine/profile.ts';
import type { TimedCpu } from '../../../native-sim/machine/timed-cpu.ts';
import { play, profile } from './play.ts';

const X = 0;
const Y = 16;

/** How often two threads see what they must not, over delays of the second; `warm` reads both lines on both cores first. */
function count(on: Profile, first: (cpu: TimedCpu) => void, second: (cpu: TimedCpu) => boolean): number {
  let seen = 0;
  for (let delay = 0; delay < 900; delay += 9) {
    play(
      [
        [
          0,
          0,
          (cpu) => {
            cpu.load(Y);
            cpu.load(X);
            cpu.ndelay(2000);
            first(cpu);
          },
        ],
        [
          1,
          300,
          (cpu) => {
            cpu.load(X);
            cpu.ndelay(1500 + delay);
            if (second(cpu)) seen++;
          },
        ],
      ],
      { on, seed: delay + 1 },
    );
  }
  return seen;
}

const publish = (barrier: (cpu: TimedCpu) => void) => (cpu: TimedCpu) => {
  cpu.store(X, 1);
  barrier(cpu);
  cpu.store(Y, 1);
};
/** The flag is there, and what it announces is not. */
const isTorn = (barrier: (cpu: TimedCpu) => void) => (cpu: TimedCpu) => {
  const flag = cpu.load(Y);
  barrier(cpu);
  return flag === 1 && cpu.load(X) === 0;
};
const none = () => {};
const full = (cpu: TimedCpu) => cpu.mb();
const write = (cpu: TimedCpu) => cpu.wmb();
const read = (cpu: TimedCpu) => cpu.rmb();

describe('message passing on an Alpha', () => {
  const on = profile('alpha-8');
  it('2: without barriers the store buffer lets the flag overtake what it announces', () => {
    expect(count(on, publish(none), isTorn(read))).toBeGreaterThan(0);
  });
  it('3, 4: with a barrier in the writer alone the invalidate queue still answers the reader', () => {
    expect(count(on, publish(full), isTorn(none))).toBeGreaterThan(0);
  });
  it('5: with full barriers in both it passes', () => {
    expect(count(on, publish(full), isTorn(full))).toBe(0);
  });
  it('6: so it does with a write barrier and a read barrier', () => {
    expect(count(on, publish(write), isTorn(read))).toBe(0);
  });
});

it('1: without store forwarding a core does not see its own store', () => {
  const on = profile('alpha-8');
  const sum = (forwards: boolean): number => {
    let seen = -1;
    const storeBuffer = { ...on.storeBuffer, forwards };
    play(
      [
        [
          0,
          0,
          (cpu) => {
            cpu.load(X);
          },
        ],
        [
          1,
          500,
          (cpu) => {
            cpu.load(X);
            cpu.store(X, 1);
            seen = cpu.load(X) + 1;
          },
        ],
      ],
      {
        on: { ...on, storeBuffer },
      },
    );
    return seen;
  };
  expect(sum(true)).toBe(2);
  expect(sum(false)).toBe(1);
});

describe.each(['intel-48', 'graviton-64', 'alpha-8', 'sc-8'])('store buffering on %s', (name) => {
  const on = profile(name);
  function bothRead0(barrier: (cpu: TimedCpu) => void): number {
    let seen = 0;
    for (let delay = 0; delay < 300; delay += 5) {
      const got = [1, 1];
      play(
        [
          [
            0,
            0,
            (cpu) => {
              cpu.load(Y);
              cpu.ndelay(2000);
              cpu.store(X, 1);
              barrier(cpu);
              got[0] = cpu.load(Y);
            },
          ],
          [
            1,
            500,
            (cpu) => {
              cpu.load(X);
              cpu.ndelay(1350 + delay);
              cpu.store(Y, 1);
              barrier(cpu);
              got[1] = cpu.load(X);
            },
          ],
        ],
        { on, seed: delay + 1 },
      );
      if (got[0] === 0 && got[1] === 0) seen++;
    }
    return seen;
  }
  it('is seen without barriers, unless there is no store buffer', () => {
    if (name === 'sc-8') expect(bothRead0(none)).toBe(0);
    else expect(bothRead0(none)).toBeGreaterThan(0);
  });
  it('is never seen with full barriers', () => {
    expect(bothRead0(full)).toBe(0);
  });
});

it('7: a core asks for no line whose invalidation it has not carried out', () => {
  const on = profile('alpha-8', { invalidateQueue: { entries: 16, delayNs: 100_000 } });
  const times: number[] = [];
  const machine = play(
    [
      [
        0,
        0,
        (cpu) => {
          cpu.load(X);
          cpu.ndelay(3000);
          cpu.store(X, 2);
          cpu.mb();
          times.push(cpu.now());
        },
      ],
      [
        1,
        1000,
        (cpu) => {
          cpu.load(X);
          cpu.store(X, 1);
        },
      ],
    ],
    { on, seed: 3 },
  );
  expect(machine.memory[X]).toBe(2);
  expect(times[0]).toBeGreaterThan(5000);
});
