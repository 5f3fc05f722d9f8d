/**
 * One run: threads that take one lock again and again on a simulated machine, and what came of it.
 */

import { LINE_SHIFT, LINE_WORDS } from '../machine/caches.ts';
import { ARCS, type ArcName, MESSAGES, type MessageName } from '../machine/counters.ts';
import { Machine } from '../machine/machine.ts';
import { type Profile, SimError } from '../machine/profile.ts';
import { Random } from '../machine/random.ts';
import type { TimedCpu } from '../machine/timed-cpu.ts';
import { type Cause, withoutCauses } from '../machine/without.ts';
import { type Lock, lockKind, SHARED_LINES } from './locks.ts';
import { type Sharing, SharingObserver } from './sharing.ts';

export interface RunOptions {
  profile: Profile;
  lock: string;
  cores: number;
  /** Which of the profile's cores these are. @default the first ones */
  places?: readonly number[];
  /** @default one a core */
  threads?: number;
  /** How long the run is on the machine's clock, ns. @default 1,000,000 */
  simulatedNs?: number;
  /** What a thread does inside, beside its accesses, and on average between two acquisitions, ns. @default 100, 200 */
  section?: number;
  outside?: number;
  /** Lines that a critical section reads and writes. @default 1 */
  shared?: number;
  /** Share of acquisitions that read, where the lock knows readers. @default 0.9 */
  reads?: number;
  /** Loads that a waiter of the library spends before it sleeps. @default Infinity with one thread a core, 800 otherwise */
  spins?: number;
  /** No core is taken from a thread inside the section. */
  preemptOffInSection?: boolean;
  /** So many of the lock's lines are in all cores' caches when the run begins, as those that all have read. @default 0 */
  warmLines?: number;
  /** What is taken out of the machine. */
  without?: readonly Cause[];
  seed?: number;
  /** Follows who uses which word of which line. */
  sharing?: boolean;
}

export interface RunResult {
  profile: string;
  lock: string;
  cores: number;
  threads: number;
  seed: number;
  simulatedNs: number;
  /** Calls of `Cpu` that access memory or are fences; turns of spin loops. */
  operations: number;
  spins: number;
  acquisitions: number;
  /** Acquisitions a second. */
  throughput: number;
  /** From one thread's release to the acquisition of a thread that was waiting, ns on average; null: nobody waited. */
  handoverNs: number | null;
  /** From the call of lock to its return, ns. */
  latencyNs: { mean: number; p50: number; p99: number; max: number };
  /** Jain's index: 1 when all threads got the lock equally often, 1/n when one got it always. */
  jain: number;
  leastServed: number;
  mostServed: number;
  messages: number;
  bytes: number;
  messagesPerAcquisition: number;
  bytesPerAcquisition: number;
  byMessage: Record<MessageName, number>;
  byArc: Record<ArcName, number>;
  /** Time that waiters spent in turns of spin loops, ns in all. */
  spinNs: number;
  switches: number;
  sleeps: number;
  wakes: number;
  /** Where it was asked for: the kernel's case, beside that of user space. */
  preemptOffInSection?: boolean;
  /** Where it was asked for. */
  sharing?: Sharing;
}

const DEFAULT_SPINS = 800;

interface Numbers {
  threads: number;
  simulatedNs: number;
  section: number;
  outside: number;
  shared: number;
  reads: number;
  spins: number;
  seed: number;
}

function within(field: string, value: number, least: number, most: number, isWhole = true): number {
  if (value >= least && value <= most && (!isWhole || Number.isInteger(value))) return value;
  const kind = isWhole ? 'a whole number' : 'a number';
  throw new SimError(`${field} must be ${kind} from ${least} to ${most}; received ${value}`);
}

/** Throws SimError for a run that cannot be. */
export function checkRun(options: RunOptions): void {
  checked(options);
}

function checked(options: RunOptions): Numbers {
  const { profile, cores, lock } = options;
  lockKind(lock);
  within('cores', cores, 1, profile.cores);
  const threads = within('threads', options.threads ?? cores, 1, 1000);
  const spins = options.spins ?? (threads > cores ? DEFAULT_SPINS : Number.POSITIVE_INFINITY);
  return {
    threads,
    spins: spins === Number.POSITIVE_INFINITY ? spins : within('spins', spins, 1, 1e9),
    simulatedNs: within('simulatedNs', options.simulatedNs ?? 1e6, 1000, 1e9, false),
    section: within('section', options.section ?? 100, 0, 1e8, false),
    outside: within('outside', options.outside ?? 200, 0, 1e8, false),
    shared: within('shared', options.shared ?? 1, 0, SHARED_LINES),
    reads: within('reads', options.reads ?? 0.9, 0, 1, false),
    seed: within('seed', options.seed ?? 1, 0, 2 ** 31 - 1),
  };
}

/** Numbers of one acquisition in the log: which thread, when it asked for the lock, got it, and released it, ns. */
const ENTRY = 4;

/** What each acquisition was, in the order in which they ended. */
class Log {
  count = 0;
  #entries = new Float64Array(ENTRY << 10);

  add(thread: number, asked: number, got: number, released: number): void {
    const at = ENTRY * this.count++;
    if (at === this.#entries.length) {
      const entries = new Float64Array(2 * at);
      entries.set(this.#entries);
      this.#entries = entries;
    }
    const entries = this.#entries;
    entries[at] = thread;
    entries[at + 1] = asked;
    entries[at + 2] = got;
    entries[at + 3] = released;
  }

  thread(at: number): number {
    return this.#entries[ENTRY * at]!;
  }
  asked(at: number): number {
    return this.#entries[ENTRY * at + 1]!;
  }
  got(at: number): number {
    return this.#entries[ENTRY * at + 2]!;
  }
  released(at: number): number {
    return this.#entries[ENTRY * at + 3]!;
  }

  /** The acquisitions in the order in which they began; of two that began at one time, the one that ended first. */
  inOrder(): Uint32Array {
    const order = new Uint32Array(this.count);
    for (let at = 0; at < this.count; at++) {
      // Cores run ahead of each other a little: nearly all stand where they belong.
      const got = this.got(at);
      let to = at;
      for (; to > 0 && this.got(order[to - 1]!) > got; to--) order[to] = order[to - 1]!;
      order[to] = at;
    }
    return order;
  }
}

/** One thread's loop: an acquisition a step. What it keeps changes at the end of the step, which is reached once. */
class Acquirer {
  readonly #cpu: TimedCpu;
  readonly #open: () => Lock;
  readonly #random: Random;
  readonly #numbers: Numbers;
  readonly #first: number;
  #pause = 0;
  #isReader = false;

  constructor(cpu: TimedCpu, open: () => Lock, numbers: Numbers, first: number, hasReaders: boolean, me: number) {
    this.#cpu = cpu;
    this.#open = open;
    this.#numbers = numbers;
    this.#first = first;
    this.#random = new Random(numbers.seed * 1009 + me);
    this.#draw(hasReaders);
  }

  #draw(hasReaders: boolean): void {
    const { outside, reads } = this.#numbers;
    // Between half and one and a half of the mean.
    this.#pause = (outside * (512 + this.#random.below(1025))) / 1024;
    this.#isReader = hasReaders && this.#random.below(1024) < reads * 1024;
  }

  step(me: number, log: Log, hasReaders: boolean, holdCore: (holds: boolean) => void): boolean {
    const cpu = this.#cpu;
    const isReader = this.#isReader;
    cpu.ndelay(this.#pause);
    const lock = this.#open();
    const asked = cpu.now();
    if (isReader && lock.read !== undefined) {
      lock.read(() => this.#inside(true));
      const end = cpu.now();
      log.add(me, asked, asked, end);
    } else {
      lock.enter(isReader);
      holdCore(true);
      const got = cpu.now();
      this.#inside(isReader);
      const released = cpu.now();
      lock.leave(isReader);
      holdCore(false);
      log.add(me, asked, got, released);
    }
    this.#draw(hasReaders);
    return true;
  }

  #inside(isReader: boolean): void {
    const cpu = this.#cpu;
    const { shared, section } = this.#numbers;
    for (let line = 0; line < shared; line++) {
      const word = this.#first + line * LINE_WORDS;
      const value = cpu.load(word);
      if (!isReader) cpu.store(word, value + 1);
    }
    if (section > 0) cpu.ndelay(section);
  }
}

export function runLock(options: RunOptions): RunResult {
  const numbers = checked(options);
  const { lock: name, cores, without = [] } = options;
  const profile = withoutCauses(options.profile, without);
  const { threads, simulatedNs } = numbers;
  const kind = lockKind(name);
  const words = kind.words(threads) + LINE_WORDS * SHARED_LINES;
  const machine = new Machine({ profile, cores, words, places: options.places, seed: numbers.seed });
  machine.system.parts.writeBack = !without.includes('write-back');
  const perCohort = profile.levels[0]!.cores;
  const { open, wordNames } = kind.prepare({ machine, threads, spins: numbers.spins, perCohort }, 0);
  const first = machine.system.memory.length - LINE_WORDS * SHARED_LINES;
  for (let line = 0; line < (options.warmLines ?? 0); line++) machine.system.warm(line);
  const log = new Log();
  // They do not begin at one time, and in a short run all have begun soon.
  const latest = Math.min(1000, Math.ceil(simulatedNs / 20));
  for (let me = 0; me < threads; me++) {
    const acquirer = new Acquirer(machine.cpu(me), () => open(me), numbers, first, kind.hasReaders, me);
    const holdCore = (holds: boolean) => {
      thread.holdsCore = holds && options.preemptOffInSection === true;
    };
    const step = () => acquirer.step(me, log, kind.hasReaders, holdCore);
    const thread = machine.spawn(step, me % cores, machine.random.below(latest));
  }
  const sharing = options.sharing === true ? new SharingObserver(machine.system) : null;
  machine.system.observer = sharing;
  machine.run(simulatedNs);
  const order = log.inOrder();
  if (kind.isExclusive && !kind.hasReaders) checkExclusion(name, log, order);
  const result = resultOf({ ...options, profile }, numbers, machine, log, order);
  if (sharing === null) return result;
  const ofLock = wordNames();
  const nameOf = (address: number) =>
    address < first ? ofLock(address) : `section.line[${(address - first) >> LINE_SHIFT}]`;
  return { ...result, sharing: sharing.sharing(nameOf) };
}

/** A lock that lets two threads in at once is wrong, or the machine is. */
function checkExclusion(name: string, log: Log, order: Uint32Array): void {
  for (let at = 1; at < order.length; at++) {
    const got = log.got(order[at]!);
    if (got < log.released(order[at - 1]!)) throw new Error(`${name}: two threads inside at ${got} ns`);
  }
}

function handover(log: Log, order: Uint32Array): number | null {
  let sum = 0;
  let count = 0;
  for (let at = 1; at < order.length; at++) {
    const before = log.released(order[at - 1]!);
    const next = order[at]!;
    const got = log.got(next);
    if (log.asked(next) >= before || got < before) continue;
    sum += got - before;
    count++;
  }
  return count === 0 ? null : sum / count;
}

function resultOf(options: RunOptions, numbers: Numbers, machine: Machine, log: Log, order: Uint32Array): RunResult {
  const { threads, simulatedNs, seed } = numbers;
  const { counters } = machine;
  const served = new Array<number>(threads).fill(0);
  const acquisitions = log.count;
  const waits = new Float64Array(acquisitions);
  let waited = 0;
  for (let at = 0; at < acquisitions; at++) {
    served[log.thread(at)]!++;
    waits[at] = log.got(at) - log.asked(at);
  }
  waits.sort();
  for (const wait of waits) waited += wait;
  const squares = served.reduce((sum, count) => sum + count * count, 0);
  const percentile = (part: number) => waits[Math.min(waits.length - 1, Math.floor(part * waits.length))] ?? 0;
  const messages = counters.messageCount;
  const perAcquisition = (value: number) => (acquisitions === 0 ? 0 : value / acquisitions);
  return {
    profile: options.profile.name,
    lock: options.lock,
    cores: options.cores,
    threads,
    seed,
    simulatedNs,
    operations: counters.operations,
    spins: counters.spins,
    acquisitions,
    throughput: (acquisitions / simulatedNs) * 1e9,
    handoverNs: handover(log, order),
    latencyNs: {
      mean: perAcquisition(waited),
      p50: percentile(0.5),
      p99: percentile(0.99),
      max: waits.at(-1) ?? 0,
    },
    jain: squares === 0 ? 1 : acquisitions ** 2 / (threads * squares),
    leastServed: Math.min(...served),
    mostServed: Math.max(...served),
    messages,
    bytes: counters.bytes,
    messagesPerAcquisition: perAcquisition(messages),
    bytesPerAcquisition: perAcquisition(counters.bytes),
    byMessage: Object.fromEntries(MESSAGES.map((name, at) => [name, counters.messages[at]!])) as Record<
      MessageName,
      number
    >,
    byArc: Object.fromEntries(ARCS.map((name, at) => [name, counters.arcs[at]!])) as Record<ArcName, number>,
    spinNs: counters.spins * options.profile.spinNs,
    switches: counters.switches,
    sleeps: counters.sleeps,
    wakes: counters.wakes,
    ...(options.preemptOffInSection === undefined ? {} : { preemptOffInSection: options.preemptOffInSection }),
  };
}
