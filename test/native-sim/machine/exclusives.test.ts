/** Load-exclusive and store-exclusive: when the monitor loses its line, when it does not, and that no update is lost. */
import { expect, it } from 'vitest';
import { Message } from '../../../native-sim/machine/counters.ts';
import type { Machine } from '../../../native-sim/machine/machine.ts';
import type { Profile } from '../../../native-sim/machine/profile.ts';
import type { TimedCpu } from '../../../native-sim/machine/timed-cpu.ts';
import { type Part, play, profile } from './play.ts';

const X = 0;
const Y = 16;
const never: Partial<Profile> = { exclusives: { spurious: 0 } };
const on = profile('graviton-64-llsc', never);

const failures = ({ counters }: Machine) => counters.failedExclusives;
const repeat = (times: number, act: () => unknown) => {
  for (let turn = 0; turn < times; turn++) act();
};
const addMany = (cpu: TimedCpu) => {
  for (let turn = 0; turn < 5; turn++) cpu.fetchAdd(X, 1);
};

it('another core that writes the line makes the store fail, and no addition is lost', () => {
  const machine = play(
    Array.from({ length: 8 }, (_, core): Part => [core, core * 7, addMany]),
    { on },
  );
  expect(machine.memory[X]).toBe(40);
  expect(failures(machine).write).toBeGreaterThan(0);
  expect(failures(machine)).toMatchObject({ eviction: 0, spurious: 0 });
});

it('any word of the line will do', () => {
  const beside = (cpu: TimedCpu) => {
    for (let turn = 0; turn < 40; turn++) {
      cpu.store(X + 1, turn);
      cpu.ndelay(11);
    }
  };
  const machine = play(
    [
      [0, 0, addMany],
      [1, 0, beside],
    ],
    { on },
  );
  expect(failures(machine).write).toBeGreaterThan(0);
  expect(machine.memory[X]).toBe(5);
});

it('a core that reads the line takes nothing away', () => {
  const read = (cpu: TimedCpu) => {
    for (let turn = 0; turn < 40; turn++) {
      cpu.load(X);
      cpu.ndelay(7);
    }
  };
  const machine = play(
    [
      [0, 0, addMany],
      [1, 0, read],
      [2, 3, read],
    ],
    { on },
  );
  expect(failures(machine)).toEqual({ write: 0, eviction: 0, spurious: 0 });
  expect(machine.memory[X]).toBe(5);
});

it('so does a core that takes another line', () => {
  let worst = 0;
  for (let pause = 1; pause < 60; pause += 3) {
    const machine = play(
      [
        [0, 0, (cpu) => void repeat(40, () => [cpu.load(Y), cpu.fetchAdd(X, 1)])],
        [1, 0, (cpu) => void repeat(40, () => [cpu.load(X), cpu.store(Y, 1), cpu.ndelay(pause)])],
      ],
      { on },
    );
    worst = Math.max(worst, failures(machine).write);
  }
  expect(worst).toBe(0);
});

it('an eviction does: an earlier store brings its line into the only place', () => {
  const tiny = { lines: 1, ways: 1, hitNs: 1 };
  const small = profile('graviton-64-llsc', { ...never, l1: tiny, l2: { ...tiny, hitNs: 2 } });
  let failed = 0;
  for (let delay = 0; delay < 120; delay += 3) {
    const machine = play(
      [
        [1, 0, (cpu) => void cpu.load(X)],
        [2, 500, (cpu) => void cpu.load(Y)],
        [
          0,
          1000,
          (cpu) => {
            cpu.store(Y, 1);
            cpu.ndelay(delay);
            cpu.fetchAddRelaxed(X, 1);
          },
        ],
      ],
      { on: small },
    );
    failed += failures(machine).eviction;
    expect(machine.memory[X]).toBe(1);
    expect(machine.memory[Y]).toBe(1);
  }
  expect(failed).toBeGreaterThan(0);
});

it('a store may fail for no reason, where the profile says so', () => {
  const half = profile('graviton-64-llsc', { exclusives: { spurious: 0.5 } });
  const machine = play([[0, 0, (cpu) => void Array.from({ length: 100 }, () => cpu.fetchAdd(X, 1))]], { on: half });
  expect(machine.memory[X]).toBe(100);
  expect(failures(machine)).toMatchObject({ write: 0, eviction: 0 });
  expect(failures(machine).spurious).toBeGreaterThan(50);
  expect(failures(machine).spurious).toBeLessThan(200);
  expect(failures(play([[0, 0, addMany]], { on })).spurious).toBe(0);
});

it('a comparison that fails asks nobody for the line', () => {
  const invalidations = (of: Profile) => {
    const machine = play(
      [
        [1, 0, (cpu) => void cpu.load(X)],
        [0, 1000, (cpu) => expect(cpu.cmpxchg(X, 1, 2)).toBe(0)],
      ],
      { on: of },
    );
    return machine.counters.messages[Message.invalidate]! + machine.counters.messages[Message.readInvalidate]!;
  };
  expect(invalidations(on)).toBe(0);
  expect(invalidations(profile('graviton-64'))).toBeGreaterThan(0);
});

it('two instructions cost a miss more than one does', () => {
  const cost = (machine: string) => {
    let taken = 0;
    const timed = (cpu: TimedCpu) => {
      const begun = cpu.now();
      cpu.xchg(X, 2);
      taken = cpu.now() - begun;
    };
    play(
      [
        [1, 0, (cpu) => void cpu.xchg(X, 1)],
        [0, 5000, timed],
      ],
      { on: profile(machine, machine === 'graviton-64' ? {} : never) },
    );
    return taken;
  };
  expect(cost('graviton-64-llsc') / cost('graviton-64')).toBeGreaterThan(1.3);
});
