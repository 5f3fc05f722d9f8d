/** The pages of the shared clock between an updater and readers, as programs to explore. */
import {
  CLOCK_MONOTONIC,
  CLOCK_REALTIME,
  CLOCK_REALTIME_COARSE,
  CLOCKMODE_HRTIME,
  CLOCKMODE_NONE,
  VdsoData,
} from '../../../../lib/arena/time-namespace.ts';
import type { Cpu } from '../../../../lib/machine/cpu.ts';
import { ClockCopy, READ, readCoarse, readHres, TICKING, tryCoarse, tryHres } from '../../../../lib/vdso/read.ts';
import { MULT, type Timekeeper, updateVsyscall } from '../../../../lib/vdso/update.ts';
import type { Program } from '../../../../native-sim/explore/program.ts';

/** What the counter of all threads says, beyond all updates, ns. */
const CYCLES = 20_000_000_003;
/** What REALTIME is ahead, s: so its seconds fill both words. */
const WALL = 9 * 2 ** 32;

/** The `n`th update. Every number in it is another than in the others, but each leads to the same time at CYCLES. */
function timekeeper(n: number, clockMode = CLOCKMODE_HRTIME): Timekeeper {
  const cycles = 5_100_000_001 * n + n;
  const common = { monotonic: cycles, raw: cycles, boottime: 0, tai: 0 };
  return { ...common, clockMode, cycles, mult: MULT, wallSec: WALL, wallNsec: 0, upkeep: TICKING };
}

/**
 * hres: MONOTONIC and REALTIME, at the value of the counter; coarse: the time of one of the updates. `none`: the last
 * update says that there is no clock.
 */
export type Reader = 'hres' | 'coarse';

export interface VdsoOptions {
  /** Updates while the readers read; there was one before. @default 1 */
  updates?: number;
  /** Whether another updater takes over where one has died. */
  replaces?: boolean;
}

export function vdso(readers: readonly Reader[], { updates = 1, replaces = false }: VdsoOptions = {}): Program {
  const update = (cpu: Cpu) => {
    for (let n = 2; n <= updates + 1; n++) updateVsyscall(cpu, 0, () => timekeeper(n));
  };
  return {
    words: 2 * VdsoData.words,
    setup(cpu) {
      for (let word = 0; word < 2 * VdsoData.words; word++) cpu.store(word, 0);
      updateVsyscall(cpu, 0, () => timekeeper(1));
    },
    threads: [
      update,
      ...readers.map((reader) => (cpu: Cpu) => (reader === 'hres' ? readFine : readRough)(cpu, updates)),
    ],
    ...(replaces && { reaper: (cpu: Cpu) => updateVsyscall(cpu, 0, () => timekeeper(updates + 2)) }),
  };
}

const counter = () => CYCLES;

/** As a thread reads: by the copy; where that does not hold, anew. False: there is no answer. */
function fine(cpu: Cpu, copy: ClockCopy, into: Float64Array): boolean {
  return tryHres(cpu, copy, counter, into) === READ || readHres(cpu, copy, 0, counter, into);
}

function rough(cpu: Cpu, copy: ClockCopy, into: Float64Array): boolean {
  return tryCoarse(cpu, copy, into) === READ || readCoarse(cpu, copy, 0, into);
}

function readFine(cpu: Cpu): void {
  const into = new Float64Array(2);
  for (const [clock, ahead] of [
    [CLOCK_MONOTONIC, 0],
    [CLOCK_REALTIME, WALL],
  ] as const) {
    const copy = new ClockCopy(clock, 0, 0);
    // The second time by the copy, unless there was an update.
    for (let turn = 0; turn < 2; turn++) {
      if (!fine(cpu, copy, into)) continue;
      const [sec, nsec] = [into[0]! - ahead, into[1]!];
      if (sec * 1e9 + nsec !== CYCLES) throw new Error(`a torn read: ${into}`);
    }
  }
}

function readRough(cpu: Cpu, updates: number): void {
  const into = new Float64Array(2);
  const copy = new ClockCopy(CLOCK_REALTIME_COARSE, 0, TICKING);
  let last = 0;
  for (let turn = 0; turn < 2; turn++) {
    if (turn === 0 ? !readCoarse(cpu, copy, 0, into) : !rough(cpu, copy, into)) continue;
    const ns = (into[0]! - WALL) * 1e9 + into[1]!;
    const isOne = Array.from({ length: updates + 2 }, (_, i) => timekeeper(i + 1).cycles).includes(ns);
    if (!isOne) throw new Error(`a torn read: ${into}`);
    if (ns < last) throw new Error(`the time went back from ${last} to ${ns}`);
    last = ns;
  }
}

/** A reader of a page that has lost its clock: the coarse time is there, the fine one is not. */
export function withoutClock(): Program {
  return {
    words: 2 * VdsoData.words,
    setup(cpu) {
      for (let word = 0; word < 2 * VdsoData.words; word++) cpu.store(word, 0);
      updateVsyscall(cpu, 0, () => timekeeper(1, CLOCKMODE_NONE));
    },
    threads: [
      (cpu) => {
        const into = new Float64Array(2);
        if (fine(cpu, new ClockCopy(CLOCK_MONOTONIC, 0, 0), into)) throw new Error('a time without a clock');
        if (!rough(cpu, new ClockCopy(CLOCK_REALTIME_COARSE, 0, TICKING), into)) throw new Error('no coarse time');
        readRough(cpu, 1);
      },
    ],
  };
}
