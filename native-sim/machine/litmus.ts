/**
 * Litmus tests on the machine: each run with its own delays, lines that some cores have already, and cores that are near
 * or far. Every distinct execution is put to the axiomatic model of the profile: the machine must never show what its
 * model forbids.
 */
import { shownLocations } from '../litmus/check.ts';
import { type FinalLocation, holds } from '../litmus/condition.ts';
import { dialectOf, type ModelName } from '../litmus/dialect.ts';
import { showLocation } from '../litmus/report.ts';
import type { LitmusTest } from '../litmus/test-file.ts';
import type { Trace } from '../litmus/thread-run.ts';
import { findTraces } from '../litmus/traces.ts';
import { Work } from '../litmus/work.ts';
import { armv8 } from '../models/armv8.ts';
import { Execution, Fence, Kind, type Model, Tag } from '../models/execution.ts';
import { power } from '../models/power.ts';
import type { Relation } from '../models/relation.ts';
import { sc } from '../models/sc.ts';
import { x86Tso } from '../models/x86-tso.ts';
import { LINE_SHIFT, LINE_WORDS } from './caches.ts';
import { EventQueue } from './event-queue.ts';
import { Exclusives } from './exclusives.ts';
import { PS } from './interconnect.ts';
import { LitmusThread, type Words, writeId } from './litmus-thread.ts';
import { Event, MemorySystem, type Recorder } from './memory-system.ts';
import { type Profile, SimError } from './profile.ts';
import { Random } from './random.ts';

export interface MachineRunOptions {
  profile: Profile;
  /** @default 2,000 */
  runs?: number;
  seed?: number;
}

export interface MachineState {
  /** As `0:r0=1; x=2;` */
  text: string;
  count: number;
  satisfies: boolean;
}

export interface MachineResult {
  states: MachineState[];
  positive: number;
  negative: number;
  /** Distinct executions, and those that the model forbids, as the axiom that each breaks. */
  executions: number;
  forbidden: string[];
  /** Loads that a line answered whose invalidation waited. */
  stale: number;
}

interface Modelled {
  model: Model;
  dialect: ModelName;
  /** Address dependencies order loads. */
  ordersDependentLoads: boolean;
}

const MODELS: Readonly<Record<Profile['model'], Modelled>> = {
  sc: { model: sc, dialect: 'sc', ordersDependentLoads: true },
  'x86-tso': { model: x86Tso, dialect: 'x86-tso', ordersDependentLoads: true },
  armv8: { model: armv8, dialect: 'armv8', ordersDependentLoads: true },
  alpha: { model: armv8, dialect: 'armv8', ordersDependentLoads: false },
  power: { model: power, dialect: 'power', ordersDependentLoads: true },
};

/** What of a thread's orders counts: all; all but its inner barriers; none, its events stand alone. */
const View = { all: 0, outer: 1, nothing: 2 } as const;
/** Numbers of threads that are single events: no test has so many threads. */
const OTHERS = 1 << 10;

/** Caches that are large enough for a litmus test and cheap to make. */
const SMALL = { lines: 16, ways: 16 };
const LATEST_START_NS = 300;
const LONGEST_DELAY_NS = 250;
/** A thread that has neither ended nor asked for anything looks again, ps: it waits for a lock. */
const RETRY_PS = 40_000;
const MOST_EVENTS = 20_000;

/** Throws UnsupportedConstruct for a test that the profile's model has no instructions for, as RCU's. */
export function runOnMachine(test: LitmusTest, { profile, runs = 2000, seed = 1 }: MachineRunOptions): MachineResult {
  const { dialect } = MODELS[profile.model];
  const pairs = profile.exclusives === undefined ? 'lse' : 'llsc';
  const { byThread } = findTraces(test, dialectOf(dialect, pairs), new Work());
  if (byThread.length > profile.cores)
    throw new SimError(`${test.name} has ${byThread.length} threads; ${profile.name} has ${profile.cores} cores`);
  const run = new LitmusRuns(test, profile, byThread, new Random(seed));
  for (let number = 0; number < runs; number++) run.once();
  return run.result();
}

/** In the form of litmus7, with the executions that the model forbids, of which there must be none. */
export function formatMachine(test: LitmusTest, profile: Profile, result: MachineResult): string {
  const { positive, negative, states, forbidden, executions } = result;
  const observation = positive === 0 ? 'Never' : negative === 0 ? 'Always' : 'Sometimes';
  const width = Math.max(1, ...states.map(({ count }) => String(count).length));
  return `${[
    `Test ${test.name} (${profile.name}, ${profile.model})`,
    `Histogram (${states.length} states)`,
    ...states.map(({ text, count, satisfies }) => `${String(count).padEnd(width)} ${satisfies ? '*' : ':'}>${text}`),
    'Witnesses',
    `Positive: ${positive}, Negative: ${negative}`,
    `Executions: ${executions}, forbidden by ${profile.model}: ${forbidden.length}`,
    ...forbidden.map((text) => `  ${text}`),
    `Observation ${test.name} ${observation} ${positive} ${negative}`,
  ].join('\n')}\n`;
}

class LitmusRuns implements Words {
  readonly #test: LitmusTest;
  readonly #profile: Profile;
  readonly #traces: readonly (readonly Trace[])[];
  readonly #random: Random;
  readonly #addresses = new Map<bigint, number>();
  readonly #values = new Map<bigint, number>();
  readonly #shown: readonly FinalLocation[];
  readonly #states = new Map<string, MachineState>();
  readonly #executions = new Set<string>();
  readonly #forbidden: string[] = [];
  readonly #x = new Execution();
  #positive = 0;
  #negative = 0;
  #stale = 0;

  constructor(test: LitmusTest, profile: Profile, traces: readonly (readonly Trace[])[], random: Random) {
    this.#test = test;
    this.#profile = { ...profile, l1: { ...profile.l1, ...SMALL }, l2: { ...profile.l2, ...SMALL } };
    this.#traces = traces;
    this.#random = random;
    this.#shown = shownLocations(test);
    for (const trace of traces.flat()) {
      for (const { kind, address } of trace.events) if (kind !== Kind.fence) this.address(address);
    }
  }

  /** Each location has a line of its own. */
  address(address: bigint): number {
    let word = this.#addresses.get(address);
    if (word === undefined) this.#addresses.set(address, (word = this.#addresses.size * LINE_WORDS));
    return word;
  }

  value(value: bigint): number {
    let number = this.#values.get(value);
    if (number === undefined) this.#values.set(value, (number = this.#values.size));
    return number;
  }

  /** Cores for the threads: any, all different. */
  #place(): number[] {
    const cores: number[] = [];
    while (cores.length < this.#traces.length) {
      const core = this.#random.below(this.#profile.cores);
      if (!cores.includes(core)) cores.push(core);
    }
    return cores;
  }

  once(): void {
    const events = new EventQueue();
    const words = Math.max(1, this.#addresses.size) * LINE_WORDS;
    const places = this.#place();
    const random = this.#random;
    const system = new MemorySystem(this.#profile, places.length, words, events, random, places);
    const coherence = new Map<number, number[]>();
    system.writers = new Int32Array(system.memory.length);
    for (const [address, word] of this.#addresses)
      system.memory[word] = this.value(this.#test.memory.initialCell(address));
    warm(system, events, random, this.#addresses.size);
    const begin = events.time;
    const { exclusives: pairs } = this.#profile;
    const exclusives = pairs === undefined ? null : new Exclusives(system, random, pairs.spurious);
    const threads = this.#traces.map((traces, number) => {
      const start = begin + random.below(LATEST_START_NS) * PS;
      const notBefore = () => start + (random.below(2) === 0 ? 0 : random.below(LONGEST_DELAY_NS) * PS);
      return new LitmusThread(number, system.cores[number]!, system, this, traces, notBefore, exclusives);
    });
    const recorder: Recorder = {
      commit: (address, id) => {
        const order = coherence.get(address);
        if (order === undefined) coherence.set(address, [id]);
        else order.push(id);
        threads[(id - 1) >> 6]!.committed((id - 1) & 63, events.time);
      },
    };
    system.recorder = recorder;
    system.listener = { advanced: (core, time) => threads[core.number]!.advance(time), lost: () => {} };
    for (const [number, { progress }] of threads.entries()) {
      for (const { notBefore } of progress) events.push(notBefore, number, Event.call, number, null);
    }
    this.#runToEnd(events, system, threads);
    this.#stale += system.counters.stale;
    this.#look(threads, system, coherence, this.#domains(places));
  }

  /** By thread: the number of its inner domain; null where there is one. */
  #domains(places: readonly number[]): readonly number[] | null {
    const { innerCores } = this.#profile;
    return innerCores === undefined ? null : places.map((place) => Math.floor(place / innerCores));
  }

  #runToEnd(events: EventQueue, system: MemorySystem, threads: readonly LitmusThread[]): void {
    for (let count = 0; ; count++) {
      if (count > MOST_EVENTS) throw new Error(`${this.#test.name}: a run does not end`);
      if (events.size === 0) {
        const waiting = threads.findIndex(({ trace }) => trace === undefined);
        if (waiting < 0 && system.cores.every(({ stores }) => stores.length === 0)) return;
        for (const number of threads.keys()) events.push(events.time + RETRY_PS, number, Event.call, number, null);
      }
      events.pop();
      const { kind, time, number, subject } = events;
      if (kind === Event.call) threads[number]!.advance(time);
      else system.handle(kind, time, number, subject);
    }
  }

  /** Counts the final state, and puts an execution that is new to the model. */
  #look(
    threads: readonly LitmusThread[],
    system: MemorySystem,
    coherence: ReadonlyMap<number, readonly number[]>,
    domains: readonly number[] | null,
  ): void {
    const traces = threads.map(({ trace }) => trace!);
    const byNumber = [...this.#values.keys()];
    const final = (location: FinalLocation): bigint => {
      if (location.kind === 'register') return traces[location.thread]?.registers.get(location.register)?.value ?? 0n;
      const cell = (address: bigint) => {
        const word = this.#addresses.get(address);
        return word === undefined ? this.#test.memory.initialCell(address) : byNumber[system.memory[word]!]!;
      };
      return this.#test.memory.finalValue(location.address, cell);
    };
    const { filter, condition } = this.#test;
    if (filter === undefined || holds(filter, final)) {
      const satisfies = holds(condition, final);
      if (satisfies) this.#positive++;
      else this.#negative++;
      const text = this.#shown
        .map((location) => `${showLocation(location, this.#test)}=${this.#test.memory.show(final(location))};`)
        .join(' ');
      const state = this.#states.get(text);
      if (state === undefined) this.#states.set(text, { text, count: 1, satisfies });
      else state.count++;
    }
    const reads = threads.map(({ progress }) => progress.map(({ from }) => from).join()).join('|');
    const orders = [...coherence].sort(([a], [b]) => a - b).map(([word, order]) => `${word}:${order.join()}`);
    const which = traces.map((trace, thread) => this.#traces[thread]!.indexOf(trace)).join();
    const key = `${which} ${reads} ${orders.join(' ')}${domains === null ? '' : ` domains ${domains.join()}`}`;
    if (this.#executions.has(key)) return;
    this.#executions.add(key);
    const broken = this.#broken(traces, threads, coherence, domains);
    if (broken !== null) this.#forbidden.push(`${broken}: ${key}`);
  }

  /**
   * Where there are several inner domains: each by itself, with its inner barriers and without what others have written, because an inner
   * barrier says nothing about that; and then all together without inner barriers.
   */
  #broken(
    traces: readonly Trace[],
    threads: readonly LitmusThread[],
    coherence: ReadonlyMap<number, readonly number[]>,
    domains: readonly number[] | null,
  ): string | null {
    if (domains === null) return this.#violation(traces, threads, coherence, () => View.all);
    for (const domain of new Set(domains)) {
      const view = (thread: number) => (domains[thread] === domain ? View.all : View.nothing);
      const broken = this.#violation(traces, threads, coherence, view);
      if (broken !== null) return broken;
    }
    return this.#violation(traces, threads, coherence, () => View.outer);
  }

  /** `viewOf`: what of a thread's orders counts. */
  #violation(
    traces: readonly Trace[],
    threads: readonly LitmusThread[],
    coherence: ReadonlyMap<number, readonly number[]>,
    viewOf: (thread: number) => number,
  ): string | null {
    const { model, ordersDependentLoads } = MODELS[this.#profile.model];
    const x = this.#x;
    x.begin(
      Math.max(
        1,
        traces.reduce((sum, { events }) => sum + events.length, 0),
      ),
    );
    const events = new Map<number, number>();
    const reads: [number, number][] = [];
    const hasOthers = traces.some((_, thread) => viewOf(thread) === View.nothing);
    for (const [thread, { events: list }] of traces.entries()) {
      const byRead: number[] = [];
      const view = viewOf(thread);
      for (const [at, event] of list.entries()) {
        const address = event.kind === Kind.fence ? -1 : this.address(event.address) >> LINE_SHIFT;
        const value = Number(event.value);
        // An event that stands alone is a thread of its own.
        const by = view === View.nothing ? OTHERS + 64 * thread + at : thread;
        const tags = view === View.nothing ? Tag.none : event.tags;
        const isLost = view === View.outer && (event.tags & Tag.inner) !== 0;
        const id =
          event.kind === Kind.read
            ? x.read(by, address, value, tags)
            : event.kind === Kind.write
              ? x.write(by, address, value, tags)
              : x.barrier(by, isLost ? Fence.dmbNsh : event.fence, address);
        const first = id - at;
        if (view !== View.nothing) {
          x.access[id] = first + event.access;
          x.instruction[id] = first + event.instruction;
        }
        if (event.read >= 0) byRead[event.read] = id;
        if (event.kind === Kind.write) events.set(writeId(thread, at), id);
        if (event.kind === Kind.read) reads.push([threads[thread]!.progress[at]!.from, id]);
        if (view === View.nothing) continue;
        if (event.rmw >= 0) x.rmw.add(first + event.rmw, id);
        if (ordersDependentLoads || event.kind !== Kind.read) link(x.addr, event.addr, byRead, id);
        link(x.data, event.data, byRead, id);
        link(x.ctrl, event.ctrl, byRead, id);
        link(x.pickAddr, event.pickAddr, byRead, id);
        link(x.pickData, event.pickData, byRead, id);
        link(x.pickCtrl, event.pickCtrl, byRead, id);
        link(x.guard, event.guard, byRead, id);
      }
    }
    for (const [from, read] of reads) if (from !== 0) x.rf.add(events.get(from)!, read);
    for (const order of coherence.values()) x.coherence(order.map((id) => events.get(id)!));
    x.finish();
    if (hasOthers) {
      const own = x.universe.set();
      for (let id = 0; id < x.count; id++) if (x.thread[id]! < OTHERS) own.add(id);
      x.rf = x.rf.between(own, own);
      x.co = x.co.between(own, own);
      x.fr = x.fr.between(own, own);
    }
    return model.violation(x);
  }

  result(): MachineResult {
    return {
      states: [...this.#states.values()].sort((a, b) => (a.text < b.text ? -1 : 1)),
      positive: this.#positive,
      negative: this.#negative,
      executions: this.#executions.size,
      forbidden: this.#forbidden,
      stale: this.#stale,
    };
  }
}

function link(relation: Relation, from: bigint, reads: readonly number[], to: number): void {
  for (let read = 0, rest = from; rest !== 0n; read++, rest >>= 1n) {
    if ((rest & 1n) !== 0n && reads[read] !== undefined && reads[read]! < to) relation.add(reads[read]!, to);
  }
}

/** Some cores have some of the lines already, shared, exclusive or modified by nobody. */
function warm(system: MemorySystem, events: EventQueue, random: Random, lines: number): void {
  for (const core of system.cores) {
    for (let line = 0; line < lines; line++)
      if (random.below(2) === 0) system.request(core, line * LINE_WORDS, false, false, 0);
  }
  while (events.size > 0) {
    events.pop();
    system.handle(events.kind, events.time, events.number, events.subject);
  }
}
