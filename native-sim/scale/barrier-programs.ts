/**
 * Small programs that show what a barrier does on a simulated Armv8, for `barrier-tables.ts`: each is run with many
 * delays between its threads, and counted or timed.
 */
import type { ArmCpu } from '../machine/arm-cpu.ts';
import { State } from '../machine/caches.ts';
import { PS } from '../machine/interconnect.ts';
import { Machine } from '../machine/machine.ts';
import { type Part, runParts } from '../machine/parts.ts';
import type { Profile } from '../machine/profile.ts';
import { Attribute } from '../machine/shareability.ts';

/** What stands between two accesses. */
export type Between = (cpu: ArmCpu) => void;
type Act = (cpu: ArmCpu) => void;

const X = 0;
const Y = 16;
const DOORBELL = 32;
const WORDS = 64;
/** ns; caches are warm by then. */
const START = 2000;
const RUNS = 90;
const STEP = 5;
const DELAYS = Array.from({ length: RUNS }, (_, at) => at * STEP);
/** Work outside memory behind a barrier, ns. */
const WORK = 1000;

export interface Share {
  seen: number;
  of: number;
}

function play(machine: Machine, threads: readonly Part<ArmCpu>[]): void {
  runParts(machine, (number) => machine.armCpu(number), threads);
}

const machineFor = (profile: Profile, cores: number, delay: number) =>
  new Machine({ profile, cores, words: WORDS, seed: delay + 1 });

/** Message passing to core `to`: how often the flag is there, and what it announces is not. */
export function torn(profile: Profile, to: number, write: Between, read: Between): Share {
  let seen = 0;
  for (const delay of DELAYS) {
    let isTorn = false;
    const writer: Act = (cpu) => {
      cpu.load(Y);
      cpu.load(X);
      cpu.ndelay(START);
      cpu.store(X, 1);
      write(cpu);
      cpu.store(Y, 1);
    };
    const reader: Act = (cpu) => {
      cpu.ndelay(300);
      cpu.load(X);
      cpu.ndelay(START - 300);
      const flag = cpu.load(Y);
      read(cpu);
      isTorn = flag === 1 && cpu.load(X) === 0;
    };
    play(machineFor(profile, to + 1, delay), [
      [0, 0, writer],
      [to, delay, reader],
    ]);
    if (isTorn) seen++;
  }
  return { seen, of: RUNS };
}

/** Store buffering: how often neither thread sees the other's store. */
export function storeBuffering(
  profile: Profile,
  store: (cpu: ArmCpu, address: number) => void,
  load: (cpu: ArmCpu, address: number) => number,
): Share {
  let seen = 0;
  for (const delay of DELAYS) {
    const got = [1, 1];
    const side =
      (me: number, mine: number, other: number): Act =>
      (cpu) => {
        cpu.load(other);
        cpu.ndelay(START);
        store(cpu, mine);
        got[me] = load(cpu, other);
      };
    play(machineFor(profile, 2, delay), [
      [0, 0, side(0, X, Y)],
      [1, delay / 4, side(1, Y, X)],
    ]);
    if (got[0] === 0 && got[1] === 0) seen++;
  }
  return { seen, of: RUNS };
}

export interface Timing {
  /** From the store to the end of the barrier, of 1,000 ns of work outside memory behind it, and of a load behind that, ns. */
  barrier: number;
  work: number;
  load: number;
  /** From the barrier's end to the time at which all cores can see the store; negative: before it. */
  visible: number;
  /** Stores that wait in the buffer when the barrier is over. */
  buffered: number;
}

/** A store to a line that another core has modified, or with `hits` to one that the core owns, a barrier, work, and a load. */
export function timing(profile: Profile, between: Between, hits = false): Timing {
  const machine = machineFor(profile, 2, 0);
  const marks = { begun: 0, barrier: 0, work: 0, load: 0 };
  let [visible, buffered] = [0, -1];
  machine.system.outside = {
    committed: (core, address, value, _epoch, time) => {
      if (core.number === 0 && address === X && value === 1) visible = time / PS;
    },
    writtenBack: () => {},
  };
  play(machine, [
    [
      0,
      0,
      (cpu) => {
        cpu.load(Y);
        if (hits) cpu.xchg(X, 0);
        cpu.ndelay(START);
        marks.begun = cpu.now();
        cpu.store(X, 1);
        between(cpu);
        marks.barrier = cpu.now();
        if (buffered < 0) buffered = machine.system.cores[0]!.stores.length;
        cpu.ndelay(WORK);
        marks.work = cpu.now();
        cpu.load(Y);
        marks.load = cpu.now();
      },
    ],
    [1, 0, (cpu) => (hits ? undefined : cpu.store(X, 2))],
  ]);
  const { begun, barrier, work, load } = marks;
  return { barrier: barrier - begun, work: work - begun, load: load - begun, visible: visible - barrier, buffered };
}

export interface Behind {
  /** The line's state in the core's cache in the end. */
  state: string;
  writeBacks: number;
  /** When memory behind the caches has the store, ns after it, and when the barrier was over; null: it never has it. */
  memory: number | null;
  barrier: number;
}

const STATES = Object.keys(State);

/** A store that hits, a barrier, and a reader on another core later, or none. */
export function behindCaches(profile: Profile, between: Between, isRead: boolean): Behind {
  const machine = machineFor(profile, 2, 0);
  const outside = machine.share();
  const marks = { stored: 0, barrier: 0 };
  let memory: number | null = null;
  for (let time = 0; time < 3 * START; time++) {
    machine.at(time * PS, 0, () => {
      if (memory === null && outside.observe(X) === 1) memory = time;
    });
  }
  const before = machine.counters.messages[5]!;
  play(machine, [
    [
      0,
      0,
      (cpu) => {
        cpu.xchg(X, 0);
        cpu.ndelay(START / 2);
        cpu.store(X, 1);
        marks.stored = cpu.now();
        between(cpu);
        marks.barrier = cpu.now();
      },
    ],
    [
      1,
      START,
      (cpu) => {
        if (isRead) cpu.load(X);
      },
    ],
  ]);
  return {
    state: STATES[machine.system.caches.state(0, 0)]!,
    writeBacks: machine.counters.messages[5]! - before,
    memory: memory === null ? null : Math.max(0, memory - marks.stored),
    barrier: marks.barrier - marks.stored,
  };
}

/** An observer outside the inner domain: how often it sees the second of two stores to OSH memory without the first. */
export function overtaken(profile: Profile, between: Between): Share {
  let seen = 0;
  for (const delay of DELAYS) {
    const machine = machineFor(profile, 1, delay);
    const outside = machine.share();
    outside.declare(X, 32, Attribute.osh);
    let isTorn = false;
    for (let time = START / 2; time < START; time += 3) {
      machine.at(time * PS, 0, () => {
        if (outside.observe(Y) === 1 && outside.observe(X) === 0) isTorn = true;
      });
    }
    const writer: Act = (cpu) => {
      cpu.ndelay(START / 2);
      cpu.store(X, 1);
      between(cpu);
      cpu.store(Y, 1);
    };
    play(machine, [[0, 0, writer]]);
    if (isTorn) seen++;
  }
  return { seen, of: RUNS };
}

/** A device that is rung at when a descriptor is ready: how often it finds the old one, in memory with `attribute`. */
export function tooEarly(profile: Profile, attribute: number, between: Between): Share {
  let seen = 0;
  for (const delay of DELAYS) {
    const machine = machineFor(profile, 1, delay);
    const outside = machine.share();
    outside.declare(X, 16, attribute);
    outside.declare(DOORBELL, 16, Attribute.device);
    outside.onArrival = () => {
      if (outside.observe(X) !== 1) seen++;
    };
    const driver: Act = (cpu) => {
      cpu.store(X, 1);
      between(cpu);
      cpu.store(DOORBELL, 1);
    };
    play(machine, [[0, delay, driver]]);
  }
  return { seen, of: RUNS };
}

/** When the first core's barrier is over another core, with a barrier of its own, loads what it has stored: how often is it the old value? */
export function staleBehind(profile: Profile, between: Between, read: Between): Share {
  let seen = 0;
  for (const delay of DELAYS) {
    const machine = machineFor(profile, 2, delay);
    let end = Number.POSITIVE_INFINITY;
    const old: number[] = [];
    const writer: Act = (cpu) => {
      cpu.load(X);
      cpu.ndelay(START);
      cpu.store(X, 1);
      between(cpu);
      end = cpu.now();
    };
    const reader: Act = (cpu) => {
      cpu.ndelay(300);
      cpu.load(X);
      cpu.ndelay(START - 300);
      for (let turn = 0; turn < 60; turn++) {
        read(cpu);
        const time = cpu.now();
        if (cpu.load(X) === 0) old[turn] = time;
        cpu.ndelay(3);
      }
    };
    play(machine, [
      [0, 0, writer],
      [1, delay, reader],
    ]);
    if (old.some((time) => time >= end)) seen++;
  }
  return { seen, of: RUNS };
}

export { X as DESCRIPTOR };
