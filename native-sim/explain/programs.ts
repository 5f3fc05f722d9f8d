/**
 * What the microscope can show: the seven scenarios of "Why Memory Barriers?" (appendix C of McKenney's "Is Parallel
 * Programming Hard"), on a machine like an Alpha, and the hand-over of any lock that the laboratory has.
 */
import { LINE_WORDS } from '../machine/caches.ts';
import { Machine } from '../machine/machine.ts';
import { type Profile, SimError } from '../machine/profile.ts';
import { profiles } from '../machine/profiles.ts';
import type { TimedCpu } from '../machine/timed-cpu.ts';
import { lockKind, lockNames, SHARED_LINES } from '../scale/locks.ts';
import { Microscope, type Recording } from './microscope.ts';

export interface Explanation {
  name: string;
  title: string;
  /** What to look at, a paragraph each. */
  text: string[];
  machine: string;
  /** What came out. */
  outcome: string;
  recording: Recording;
}

type Act = (cpu: TimedCpu) => void;

/** What a scenario's threads saw. */
type Seen = Record<string, number>;

interface Scenario {
  readonly title: string;
  readonly text: readonly string[];
  readonly profile?: (alpha: Profile) => Profile;
  /** By core: before the recording begins, so that each has its lines in the state that the scenario begins with. */
  readonly before: readonly [Act, Act];
  readonly threads: readonly [(cpu: TimedCpu, seen: Seen) => void, (cpu: TimedCpu, seen: Seen) => void];
  /** The outcome to show: of the delays between the two threads the first that has it is shown. */
  readonly shows: (seen: Seen) => boolean;
  readonly outcome: (seen: Seen) => string;
}

const A = 0;
const B = LINE_WORDS;
const isNotZero = (value: number) => value !== 0;
const load = (address: number) => (cpu: TimedCpu) => void cpu.load(address);
const own = (address: number) => (cpu: TimedCpu) => cpu.store(address, 0);
const both =
  (...acts: readonly Act[]): Act =>
  (cpu) => {
    for (const act of acts) act(cpu);
  };
const nothing: Act = () => {};

const publish = (barrier: Act) => (cpu: TimedCpu) => {
  cpu.store(A, 1);
  barrier(cpu);
  cpu.store(B, 1);
};
const consume = (barrier: Act) => (cpu: TimedCpu, seen: Seen) => {
  cpu.condLoad(B, isNotZero, 0, Number.POSITIVE_INFINITY);
  barrier(cpu);
  seen.a = cpu.load(A);
};
const mb: Act = (cpu) => cpu.mb();
const wmb: Act = (cpu) => cpu.wmb();
const rmb: Act = (cpu) => cpu.rmb();

/** Core 0 owns b; core 1 has a, alone or beside core 0. */
const aOfOne: Scenario['before'] = [own(B), own(A)];
const aOfBoth: Scenario['before'] = [both(own(B), load(A)), load(A)];
const passing = (seen: Seen) => `core 1 saw b = 1 and then a = ${seen.a}${seen.a === 0 ? ': the assertion fails' : ''}`;
const fails = (seen: Seen) => seen.a === 0;
const passes = (seen: Seen) => seen.a === 1;

const SCENARIOS: Readonly<Record<string, Scenario>> = {
  'no-forwarding': {
    title: '1. A store buffer that answers no loads',
    text: [
      'Core 1 runs a = 1; b = a + 1. Both cores share the line of a, so the store waits in the store buffer until core 0 has dropped its copy.',
      'The load of a is answered from the line as it is, with the old value: the core does not see its own store. So real cores look into their store buffers first: store forwarding.',
    ],
    profile: (alpha) => ({ ...alpha, storeBuffer: { ...alpha.storeBuffer, forwards: false } }),
    before: [load(A), load(A)],
    threads: [
      nothing,
      (cpu, seen) => {
        cpu.store(A, 1);
        seen.b = cpu.load(A) + 1;
        cpu.store(B, seen.b);
      },
    ],
    shows: ({ b }) => b === 1,
    outcome: ({ b }) => `b = ${b}, where 2 was meant`,
  },
  'store-buffer': {
    title: '2. A store buffer without a barrier',
    text: [
      'Core 0 runs a = 1; b = 1. It owns b but not a: a = 1 waits in the store buffer, and b = 1 goes into the cache at once.',
      'Core 1 waits for b, and then loads a from its own cache: the message that takes a away has not come yet.',
    ],
    before: aOfOne,
    threads: [publish(nothing), consume(nothing)],
    shows: fails,
    outcome: passing,
  },
  'full-barrier': {
    title: '3. A full barrier in the writer',
    text: [
      'As before, with a full barrier between the stores: core 0 goes on when its store buffer is empty, so b = 1 is visible after a = 1, although core 0 owns b all the time.',
    ],
    before: aOfOne,
    threads: [publish(mb), consume(nothing)],
    shows: passes,
    outcome: passing,
  },
  'invalidate-queue': {
    title: '4. An invalidate queue, and a barrier in the writer only',
    text: [
      'Both cores share a. Core 1 acknowledges the invalidation of a at once and puts it into its queue.',
      'So the barrier of core 0 is soon over, b = 1 reaches core 1, and the load of a is answered from the line that should be gone.',
    ],
    before: aOfBoth,
    threads: [publish(mb), consume(nothing)],
    shows: fails,
    outcome: passing,
  },
  'both-barriers': {
    title: '5. Barriers in both',
    text: [
      'The barrier of core 1 ends what its invalidate queue may answer: the load of a behind it sends for the line.',
    ],
    before: aOfBoth,
    threads: [publish(mb), consume(mb)],
    shows: passes,
    outcome: passing,
  },
  'read-write-barriers': {
    title: '6. A write barrier and a read barrier',
    text: [
      'A write barrier marks what is in the store buffer: later stores go in behind it, and the core goes on at once. A read barrier looks at the invalidate queue alone. Each is half of a full barrier, and this program needs no more.',
    ],
    before: aOfBoth,
    threads: [publish(wmb), consume(rmb)],
    shows: passes,
    outcome: passing,
  },
  'queued-invalidate': {
    title: '7. A message for a line whose invalidation waits',
    text: [
      'Core 0 has acknowledged the invalidation of a without carrying it out. It may read the old line still, but it sends nothing about the line until the invalidation has been carried out: its own store to a waits for that.',
    ],
    profile: (alpha) => ({ ...alpha, invalidateQueue: { ...alpha.invalidateQueue, delayNs: 1500 } }),
    before: [load(A), load(A)],
    threads: [
      (cpu, seen) => {
        cpu.ndelay(600);
        seen.a = cpu.load(A);
        cpu.store(A, 2);
        cpu.mb();
      },
      (cpu) => {
        cpu.store(A, 1);
        cpu.mb();
      },
    ],
    shows: ({ a }) => a === 0,
    outcome: () => 'a = 2 is visible after a = 1, although core 0 read the old a in between',
  },
};

/** ns on the machine's clock: caches are warm by then. */
const START = 2000;
const LONGEST_DELAY = 900;
const DELAY_STEP = 9;

function playScenario(scenario: Scenario, delay: number): { machine: Machine; seen: Seen; run: () => void } {
  const alpha = profiles.get('alpha-8')!;
  const profile = scenario.profile?.(alpha) ?? alpha;
  const machine = new Machine({ profile, cores: 2, words: 2 * LINE_WORDS, seed: 1 + delay, inOrder: true });
  const seen: Seen = {};
  for (const [core, act] of scenario.threads.entries()) {
    const cpu = machine.cpu(core);
    machine.spawn(
      () => {
        // The second core's line comes after the first one's, so that both may share it.
        cpu.ndelay(core * 600);
        scenario.before[core]!(cpu);
        cpu.mb();
        cpu.ndelay(Math.max(1, START - cpu.now()) + (core === 0 ? LONGEST_DELAY / 2 : delay));
        act(cpu, seen);
        return false;
      },
      core,
      0,
    );
  }
  return { machine, seen, run: () => machine.run() };
}

function explainScenario(name: string, scenario: Scenario): Explanation {
  let delay = 0;
  for (; ; delay += DELAY_STEP) {
    const { seen, run } = playScenario(scenario, delay);
    run();
    if (scenario.shows(seen)) break;
    if (delay >= LONGEST_DELAY) throw new Error(`${name}: no delay shows what it is to show`);
  }
  const nameOf = (address: number) => (address === A ? 'a' : 'b');
  const { machine, seen, run } = playScenario(scenario, delay);
  const recording = recorded(machine, nameOf, START, [A, B], run);
  const { title, text, outcome } = scenario;
  return { name, title, text: [...text], machine: machine.profile.name, outcome: outcome(seen), recording };
}

function recorded(
  machine: Machine,
  nameOf: (address: number) => string,
  from: number,
  words: readonly number[],
  run: () => void,
): Recording {
  const microscope = new Microscope(machine, nameOf, from);
  microscope.show(words);
  machine.system.observer = microscope;
  run();
  machine.system.observer = null;
  return microscope.recording();
}

const HAND_OVER_THREADS = 3;
/** ns */
const SECTION = 150;

/** Three threads come for the lock one after the other, and each has it once. */
function explainLock(name: string, profile: Profile): Explanation {
  const kind = lockKind(name);
  const threads = Math.min(HAND_OVER_THREADS, profile.cores);
  const order: number[] = [];
  const play = (words: readonly number[]): Recording => {
    const length = kind.words(threads) + LINE_WORDS * SHARED_LINES;
    const machine = new Machine({ profile, cores: threads, words: length, inOrder: true });
    const perCohort = profile.levels[0]!.cores;
    const setup = { machine, threads, spins: Number.POSITIVE_INFINITY, perCohort };
    const { open, wordNames } = kind.prepare(setup, 0);
    order.length = 0;
    for (let me = 0; me < threads; me++) {
      const cpu = machine.cpu(me);
      machine.spawn(
        () => {
          const lock = open(me);
          lock.enter(false);
          cpu.ndelay(SECTION);
          lock.leave(false);
          order.push(me);
          return false;
        },
        me,
        me * 40,
      );
    }
    return recorded(machine, wordNames(), 0, words, () => machine.run());
  };
  const words = play([]).lines.flatMap((line) => line.words.map(({ address }) => address));
  return {
    name,
    title: `Hand-over: ${name}`,
    text: [
      `${kind.description}. Threads on ${threads} cores come for it one after the other; each has it for ${SECTION} ns.`,
    ],
    machine: profile.name,
    recording: play(words),
    outcome: `acquired by cores ${order.join(', ')}, in this order`,
  };
}

const FIRST_LOCKS = ['ticket', 'mcs', 'qspinlock'];

export const scenarios: readonly { name: string; title: string }[] = Object.entries(SCENARIOS).map(
  ([name, { title }]) => ({ name, title }),
);

/** `name`: a scenario, a lock, or `all`, which is the scenarios and three locks. Throws SimError. */
export function explain(name: string, profile = profiles.get('intel-48')!): Explanation[] {
  if (name === 'all') return [...Object.keys(SCENARIOS), ...FIRST_LOCKS].flatMap((one) => explain(one, profile));
  const scenario = SCENARIOS[name];
  if (scenario !== undefined) return [explainScenario(name, scenario)];
  if (!lockNames.includes(name)) {
    const names = [...Object.keys(SCENARIOS), ...lockNames].join(', ');
    throw new SimError(`explain must be all or one of ${names}; received ${name}`);
  }
  return [explainLock(name, profile)];
}
