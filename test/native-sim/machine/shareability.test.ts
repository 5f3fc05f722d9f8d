/**
 * Arm's barriers by domain and form, and memory with attributes: what each orders, for whom, and when it is complete. Each
 * program is tried with many delays between its threads; what the machine shows is put to the model, too.
 */
import { describe, expect, it } from 'vitest';
import type { ArmCpu } from '../../../native-sim/machine/arm-cpu.ts';
import { BARRIER_OPTIONS, type BarrierOption, barrierOf } from '../../../native-sim/machine/barrier.ts';
import { State } from '../../../native-sim/machine/caches.ts';
import { splitViolation, Window } from '../../../native-sim/machine/history.ts';
import { Machine } from '../../../native-sim/machine/machine.ts';
import type { Profile } from '../../../native-sim/machine/profile.ts';
import { Attribute, type Shareability } from '../../../native-sim/machine/shareability.ts';
import { armv8 } from '../../../native-sim/models/armv8.ts';
import { profile } from './play.ts';

const X = 0;
const Y = 16;
const Z = 32;
const START = 4000;

interface Program {
  readonly on: string | Profile;
  /** By thread: the core, and what it does. */
  readonly threads: readonly (readonly [core: number, act: (cpu: ArmCpu) => void])[];
  readonly attributes?: readonly (readonly [address: number, attribute: number])[];
  /** Looks at memory from outside at any time. */
  readonly looks?: (outside: Shareability, time: number) => void;
}

/** One run: the second thread begins `delay` ns after the first. Returns what the models say of it, where it is recorded. */
function run(
  { on, threads, attributes = [], looks }: Program,
  delay: number,
): { machine: Machine; broken: string | null } {
  const cores = Math.max(...threads.map(([core]) => core)) + 1;
  const of = typeof on === 'string' ? profile(on) : on;
  const machine = new Machine({ profile: of, cores, words: 64, seed: delay + 1 });
  const outside = machine.share();
  for (const [address, attribute] of attributes) outside.declare(address, 16, attribute);
  for (const [number, [core, act]] of threads.entries()) {
    const cpu = machine.armCpu(number);
    machine.spawn(
      () => {
        act(cpu);
        return false;
      },
      core,
      number * delay,
    );
  }
  if (looks !== undefined)
    for (let time = 0; time < 2 * START; time += 7) machine.at(time * 1000, 0, () => looks(outside, time));
  const window = new Window(machine, 400);
  machine.run();
  const { innerCores } = of;
  const isSplit = innerCores !== undefined && threads.every(([core], number) => core === number);
  return { machine, broken: isSplit ? splitViolation(window, armv8, innerCores, cores) : window.violation(armv8) };
}

const DELAYS = Array.from({ length: 90 }, (_, at) => at * 5);

/** Message passing between cores `from` and `to`: how often the flag is there, and what it announces is not. */
function torn(on: string, to: number, write: (cpu: ArmCpu) => void, read: (cpu: ArmCpu) => void): number {
  let count = 0;
  for (const delay of DELAYS) {
    let isTorn = false;
    const idle = Array.from({ length: to - 1 }, (_, at) => [at + 1, () => {}] as const);
    const { broken } = run(
      {
        on,
        threads: [
          [
            0,
            (cpu) => {
              cpu.load(Y);
              cpu.load(X);
              cpu.ndelay(START / 2);
              cpu.store(X, 1);
              write(cpu);
              cpu.store(Y, 1);
            },
          ],
          ...idle,
          [
            to,
            (cpu) => {
              cpu.ndelay(300);
              cpu.load(X);
              cpu.ndelay(START / 2 - 300);
              const flag = cpu.load(Y);
              read(cpu);
              isTorn = flag === 1 && cpu.load(X) === 0;
            },
          ],
        ],
      },
      delay / to,
    );
    expect(broken).toBeNull();
    if (isTorn) count++;
  }
  return count;
}

const dmb = (option: BarrierOption) => (cpu: ArmCpu) => cpu.dmb(option);
const dsb = (option: BarrierOption) => (cpu: ArmCpu) => cpu.dsb(option);
const nothing = () => {};

it('twelve options, as the assembler has them', () => {
  expect(BARRIER_OPTIONS.map((option) => barrierOf(option)).map(({ domain, orders }) => `${domain}${orders}`)).toEqual([
    '00',
    '01',
    '02',
    '10',
    '11',
    '12',
    '20',
    '21',
    '22',
    '30',
    '31',
    '32',
  ]);
  expect(() => barrierOf('full' as BarrierOption)).toThrow("a barrier's option must be one of nsh, nshld");
  expect(() => new Machine({ profile: profile('intel-48'), words: 16 }).armCpu(0)).toThrow(
    'intel-48 has no DMB and DSB: its model is x86-tso',
  );
});

describe('message passing between cores of one inner domain', () => {
  it.each<BarrierOption>(['ish', 'ishst', 'osh', 'oshst', 'sy', 'st'])('DMB %s orders the stores', (option) => {
    expect(torn('graviton-64', 1, dmb(option), dmb('ishld'))).toBe(0);
  });
  it.each<BarrierOption>(['nsh', 'nshst', 'ishld', 'ld'])('DMB %s does not', (option) => {
    expect(torn('graviton-64', 1, dmb(option), dmb('ishld'))).toBeGreaterThan(0);
  });
  it('an ISB orders nothing for others, a DSB whatever a DMB does', () => {
    expect(torn('graviton-64', 1, (cpu) => cpu.isb(), dmb('ishld'))).toBeGreaterThan(0);
    expect(torn('graviton-64', 1, dsb('ishst'), dsb('ish'))).toBe(0);
  });
});

describe('two inner domains', () => {
  it('DMB ISH is enough inside one, in both threads', () => {
    expect(torn('split-8', 1, dmb('ish'), dmb('ish'))).toBe(0);
  });
  it('between them it is not, and DMB OSH or SY is', () => {
    expect(torn('split-8', 4, dmb('ish'), dmb('ish'))).toBeGreaterThan(0);
    expect(torn('split-8', 4, dmb('osh'), dmb('osh'))).toBe(0);
    expect(torn('split-8', 4, dmb('st'), dmb('ld'))).toBe(0);
  });
  it('one wide machine has no use for OSH', () => {
    expect(torn('graviton-64', 4, dmb('ish'), dmb('ish'))).toBe(0);
  });
  it('what the model of one domain forbids is not an error there: the predicate counts DMB ISH inside its domain only', () => {
    const stale: Array<[string | null, string | null]> = [];
    for (const delay of DELAYS) {
      const machine = new Machine({ profile: profile('split-8'), cores: 8, words: 64, seed: delay + 1 });
      for (let core = 0; core < 8; core++) {
        const cpu = machine.armCpu(core);
        const wait = core === 4 ? delay : 0;
        const act = [
          () => {
            cpu.load(Y);
            cpu.load(X);
            cpu.ndelay(START / 2);
            cpu.store(X, 1);
            cpu.dmb('ish');
            cpu.store(Y, 1);
          },
          () => {
            cpu.ndelay(300);
            cpu.load(X);
            cpu.ndelay(START / 2 - 300);
            cpu.load(Y);
            cpu.dmb('ish');
            cpu.load(X);
          },
        ][core / 4];
        machine.spawn(
          () => {
            act?.();
            return false;
          },
          core,
          wait,
        );
      }
      const window = new Window(machine, 100);
      machine.run();
      stale.push([window.violation(armv8), splitViolation(window, armv8, 4, 8)]);
    }
    expect(stale.filter(([asOne]) => asOne !== null).length).toBeGreaterThan(0);
    expect(stale.filter(([, split]) => split !== null)).toEqual([]);
  });
});

describe('store buffering', () => {
  const both = (barrier: (cpu: ArmCpu) => void) => {
    let seen = 0;
    for (const delay of DELAYS) {
      const got = [1, 1];
      const side = (me: number, mine: number, other: number) => (cpu: ArmCpu) => {
        cpu.load(other);
        cpu.ndelay(START / 2);
        cpu.store(mine, 1);
        barrier(cpu);
        got[me] = cpu.load(other);
      };
      const { broken } = run(
        {
          on: 'graviton-64',
          threads: [
            [0, side(0, X, Y)],
            [1, side(1, Y, X)],
          ],
        },
        delay / 4,
      );
      expect(broken).toBeNull();
      if (got[0] === 0 && got[1] === 0) seen++;
    }
    return seen;
  };
  it('is stopped by a full DMB or DSB, and by a DSB ST, but not by LD, or by a DMB ST', () => {
    for (const barrier of [dmb('ish'), dsb('ish'), dsb('ishst'), dsb('sy')]) expect(both(barrier)).toBe(0);
    for (const barrier of [nothing, dmb('ishld'), dmb('ishst'), dmb('nsh')]) expect(both(barrier)).toBeGreaterThan(0);
  });
});

/** A store that misses, the barrier, and 1,000 ns of work outside memory: when that is done, and the next load. */
function times(barrier: (cpu: ArmCpu) => void): { work: number; load: number } {
  let [work, load] = [0, 0];
  run(
    {
      on: 'graviton-64',
      threads: [
        [
          0,
          (cpu) => {
            cpu.load(Y);
            cpu.ndelay(START);
            const begun = cpu.now();
            cpu.store(X, 1);
            barrier(cpu);
            cpu.ndelay(1000);
            work = cpu.now() - begun;
            cpu.load(Y);
            load = cpu.now() - begun;
          },
        ],
        [1, (cpu) => cpu.store(X, 2)],
      ],
    },
    0,
  );
  return { work, load };
}

it('a DMB lets the core work while its store is under way, a DSB does not', () => {
  const [free, ordered, complete] = [times(nothing), times(dmb('ish')), times(dsb('ish'))];
  expect(ordered.work - free.work).toBeLessThan(2);
  expect(complete.work - free.work).toBeGreaterThan(30);
});

describe('memory behind the caches', () => {
  /** When those outside see the store of X, ns after it; null: never. And the line's state in the end. */
  function visible(act: (cpu: ArmCpu) => void, reader: boolean, attribute: number = Attribute.ish) {
    let [stored, passed, seen] = [0, 0, -1];
    const { machine } = run(
      {
        on: profile('graviton-64', { protocol: 'mesi' }),
        attributes: [[X, attribute]],
        threads: [
          [
            0,
            (cpu) => {
              cpu.xchg(X, 0);
              cpu.ndelay(1000);
              cpu.store(X, 1);
              stored = cpu.now();
              act(cpu);
              passed = cpu.now();
            },
          ],
          [
            1,
            (cpu) => {
              cpu.ndelay(3000);
              if (reader) cpu.load(X);
            },
          ],
        ],
        looks: (outside, time) => {
          if (seen < 0 && outside.observe(X) === 1) seen = time;
        },
      },
      0,
    );
    return {
      after: seen < 0 ? null : seen - stored,
      passed: passed - stored,
      seen,
      state: machine.system.caches.state(0, 0),
    };
  }
  it('a line that nobody reads stays modified, DMB or DSB, and memory does not have it', () => {
    for (const barrier of [dmb('sy'), dsb('sy')]) {
      expect(visible(barrier, false)).toMatchObject({ after: null, state: State.modified });
    }
  });
  it('a reader has it written back, under MESI', () => {
    const { after, state } = visible(dmb('sy'), true);
    expect(after).toBeGreaterThan(1500);
    expect(state).toBe(State.shared);
  });
  it('DC CVAC writes it back, and a DSB waits for that, which a DMB does not', () => {
    const clean = (barrier: (cpu: ArmCpu) => void) => visible((cpu) => [cpu.clean(X), barrier(cpu)], false);
    expect(clean(dsb('sy')).passed).toBeGreaterThan(110);
    expect(clean(dmb('sy')).passed).toBeLessThan(30);
    expect(clean(dsb('sy')).state).toBe(State.exclusive);
    expect(clean(dmb('sy')).after).toBeGreaterThan(100);
    expect(visible((cpu) => cpu.cleanInvalidate(X), false).state).toBe(State.invalid);
  });
  it('an outer observer sees stores to OSH memory without that', () => {
    expect(visible(nothing, false, Attribute.osh).after).toBeLessThan(500);
    expect(visible(dsb('osh'), false, Attribute.osh).passed).toBeGreaterThan(20);
    expect(visible(dsb('ish'), false, Attribute.osh).passed).toBeLessThan(20);
  });
});

describe('an outer observer, as a GPU', () => {
  /** How often it sees the second of two stores and not yet the first. */
  function overtaken(barrier: (cpu: ArmCpu) => void): number {
    let count = 0;
    for (const delay of DELAYS) {
      let isTorn = false;
      run(
        {
          on: 'graviton-64',
          attributes: [
            [X, Attribute.osh],
            [Y, Attribute.osh],
          ],
          threads: [
            [
              0,
              (cpu) => {
                cpu.ndelay(1000);
                cpu.store(X, 1);
                barrier(cpu);
                cpu.store(Y, 1);
              },
            ],
          ],
          looks: (outside) => {
            if (outside.observe(Y) === 1 && outside.observe(X) === 0) isTorn = true;
          },
        },
        delay,
      );
      if (isTorn) count++;
    }
    return count;
  }
  it('needs DMB OSH or SY: ISH is for the cores', () => {
    for (const option of ['osh', 'oshst', 'sy', 'st'] as const) expect(overtaken(dmb(option)), option).toBe(0);
    for (const option of ['ish', 'ishst', 'oshld', 'nsh'] as const)
      expect(overtaken(dmb(option)), option).toBeGreaterThan(0);
  });
});

describe('a device', () => {
  /** A descriptor in memory, and a doorbell: how often the device finds an old descriptor. */
  function early(attribute: number, between: (cpu: ArmCpu) => void): number {
    let count = 0;
    for (const delay of DELAYS) {
      const machine = new Machine({ profile: profile('graviton-64'), cores: 1, words: 64, seed: delay + 1 });
      const outside = machine.share();
      outside.declare(X, 16, attribute);
      outside.declare(Z, 16, Attribute.device);
      outside.onArrival = () => {
        if (outside.observe(X) !== 7) count++;
      };
      const cpu = machine.armCpu(0);
      machine.spawn(
        () => {
          cpu.store(X, 7);
          between(cpu);
          cpu.store(Z, 1);
          return false;
        },
        0,
        delay,
      );
      machine.run();
      expect(outside.arrivals).toHaveLength(1);
    }
    return count;
  }
  it('that sees OSH memory finds the descriptor behind DMB OSHST, not behind ISHST', () => {
    expect(early(Attribute.osh, dmb('oshst'))).toBe(0);
    expect(early(Attribute.osh, dmb('ishst'))).toBeGreaterThan(0);
    expect(early(Attribute.osh, nothing)).toBeGreaterThan(0);
  });
  it('that reads memory behind the caches finds it behind DC CVAC and a DSB, and with neither of the two alone', () => {
    expect(early(Attribute.ish, (cpu) => [cpu.clean(X), cpu.dsb('sy')])).toBe(0);
    expect(early(Attribute.ish, dsb('sy'))).toBe(DELAYS.length);
    expect(early(Attribute.ish, (cpu) => [cpu.clean(X), cpu.dmb('sy')])).toBeGreaterThan(0);
  });
  it('gets stores in program order without any barrier', () => {
    for (const delay of DELAYS) {
      const machine = new Machine({ profile: profile('graviton-64'), cores: 1, words: 64, seed: delay + 1 });
      const outside = machine.share();
      outside.declare(Y, 32, Attribute.device);
      const cpu = machine.armCpu(0);
      machine.spawn(
        () => {
          for (let turn = 1; turn <= 5; turn++) cpu.store(turn % 2 === 0 ? Y : Z, turn);
          expect(cpu.load(Z)).toBe(5);
          return false;
        },
        0,
        0,
      );
      machine.run();
      expect(outside.arrivals.map(({ value }) => value)).toEqual([1, 2, 3, 4, 5]);
    }
  });
});

it('private memory: another core reads what it fetched, until the first writes back and it fetches again', () => {
  const got: number[] = [];
  run(
    {
      on: 'graviton-64',
      attributes: [[X, Attribute.nsh]],
      threads: [
        [
          0,
          (cpu) => {
            cpu.load(X);
            cpu.store(X, 1);
            cpu.dsb('sy');
            got[0] = cpu.load(X);
            cpu.ndelay(1000);
            cpu.clean(X);
            cpu.dsb('sy');
          },
        ],
        [
          1,
          (cpu) => {
            cpu.ndelay(600);
            got[1] = cpu.load(X);
            cpu.ndelay(2000);
            got[2] = cpu.load(X);
            cpu.cleanInvalidate(X);
            got[3] = cpu.load(X);
          },
        ],
      ],
    },
    0,
  );
  expect(got).toEqual([1, 0, 0, 1]);
});
