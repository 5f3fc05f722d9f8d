/**
 * The timed machine: threads on cores, and one queue of events. For one seed a run is the same on every machine and
 * version of Node: times are whole picoseconds, and at one time events come by core number.
 *
 * A core runs ahead of the queue while its operations need nobody else: up to the earliest event plus the shortest time
 * in which an event of another core can reach this one (`Interconnect.lookahead`), and not past a message that is on its
 * way to it. That is exact: nothing could have happened to it before.
 */

import { keyOf, UNWIND } from '../replay/replay.ts';
import { ArmCpu } from './arm-cpu.ts';
import { Code, Outcome, Waits } from './codes.ts';
import type { Core } from './core.ts';
import { EventQueue, MOST_PICOSECONDS, ZERO } from './event-queue.ts';
import { PS } from './interconnect.ts';
import { Event, MemorySystem } from './memory-system.ts';
import { type Costs, Operations } from './operation.ts';
import { type Profile, SimError } from './profile.ts';
import { Random } from './random.ts';
import { Scheduler } from './scheduler.ts';
import { Shareability } from './shareability.ts';
import { Sleepers } from './sleepers.ts';
import { NOT_SPINNING, SimThread } from './thread.ts';
import { TimedCpu } from './timed-cpu.ts';

export interface MachineOptions {
  profile: Profile;
  /** How many of the profile's cores there are. @default all */
  cores?: number;
  /** Words of memory. */
  words: number;
  /** @default 1 */
  seed?: number;
  /** Which of the profile's cores these are. @default the first ones */
  places?: readonly number[] | undefined;
  /** No core runs ahead, so that what happens comes in the order of its time, for whoever looks on. */
  inOrder?: boolean;
}

const NO_STEP = () => false;

/** A store that hits is one cycle of about 3 GHz. */
const STORE_PS = 300;

export class Machine {
  readonly profile: Profile;
  readonly system: MemorySystem;
  readonly operations: Operations;
  readonly threads: SimThread[] = [];
  readonly random: Random;
  readonly events = new EventQueue();
  readonly scheduler: Scheduler;
  readonly #sleepers = new Sleepers();
  readonly #costs: Costs;
  readonly #lookahead: number;
  readonly #sleepPs: number;
  readonly #wakePs: number;
  readonly #latencyPs: number;
  /** Threads run: before, setup's accesses take no time. */
  isLive = false;
  #running: SimThread | null = null;
  #stopAt = MOST_PICOSECONDS;
  #isOver = false;

  constructor({ profile, cores = profile.cores, words, places, seed = 1, inOrder = false }: MachineOptions) {
    if (!Number.isInteger(cores) || cores < 1 || cores > profile.cores) {
      throw new SimError(
        `cores must be a whole number from 1 to ${profile.cores}, the cores of ${profile.name}; received ${cores}`,
      );
    }
    if (!Number.isInteger(words) || words < 1 || words > 1 << 26) {
      throw new SimError(`words must be a whole number from 1 to ${1 << 26}; received ${words}`);
    }
    const ps = (ns: number) => Math.round(ns * PS);
    this.profile = profile;
    this.random = new Random(seed);
    this.system = new MemorySystem(profile, cores, words, this.events, this.random, places);
    this.#costs = {
      l1: Math.max(1, ps(profile.l1.hitNs)),
      l2: Math.max(1, ps(profile.l2.hitNs)),
      store: STORE_PS,
      atomic: Math.max(1, ps(profile.atomicNs)),
      fence: Math.max(1, ps(profile.fenceNs)),
      spin: Math.max(1, ps(profile.spinNs)),
    };
    this.operations = new Operations(this.system, this.#costs, this.random);
    this.#lookahead = inOrder ? 1 : this.system.network.lookahead;
    this.operations.lookAgain = (thread, time) => this.#lookAgain(thread, time);
    this.system.listener = {
      advanced: (core, time) => this.#advanced(core, time),
      lost: (core, line, time) => this.#lost(core, line, time),
    };
    this.scheduler = new Scheduler(cores, ps(profile.system.switchNs), ps(profile.system.sliceNs));
    this.#sleepPs = ps(profile.system.sleepNs);
    this.#wakePs = ps(profile.system.wakeNs);
    this.#latencyPs = Math.max(1, ps(profile.system.wakeLatencyNs));
  }

  get counters() {
    return this.system.counters;
  }

  get memory(): Int32Array {
    return this.system.memory;
  }

  /** A thread on core `core`, which several may share; `start` ns from the beginning. */
  spawn(step: () => boolean, core: number, start = 0): SimThread {
    return this.#start(step, null, core, start);
  }

  /** The same with a thread that is a generator, whose steps are `yield* cpu.step(...)`. It goes on where it has yielded. */
  spawnBody(body: Generator<void, void>, core: number, start = 0): SimThread {
    return this.#start(NO_STEP, body, core, start);
  }

  #start(step: () => boolean, body: Generator<void, void> | null, core: number, start: number): SimThread {
    if (!Number.isInteger(core) || core < 0 || core >= this.system.cores.length) {
      throw new SimError(`core must be a whole number from 0 to ${this.system.cores.length - 1}; received ${core}`);
    }
    const thread = new SimThread(this.threads.length, core, step, body);
    this.threads.push(thread);
    thread.readyAt = Math.round(start * PS);
    if (this.scheduler.arrive(thread)) this.#resumeAt(thread, thread.readyAt);
    else this.#startSlice(core, thread.readyAt);
    return thread;
  }

  /** The `Cpu` of thread number `number`; before `run`, setup's, whose accesses take no time. */
  cpu(number: number): TimedCpu {
    return new TimedCpu(this, number);
  }

  /** The same with Arm's barriers. Throws SimError on a machine that is not Armv8. */
  armCpu(number: number): ArmCpu {
    if (this.profile.model !== 'armv8')
      throw new SimError(`${this.profile.name} has no DMB and DSB: its model is ${this.profile.model}`);
    return new ArmCpu(this, number);
  }

  /** Gives memory attributes, and those outside something to look at. What memory holds now is there already. */
  share(): Shareability {
    const { system, operations, random } = this;
    const shareability = new Shareability(system, random, (time, core, action) => this.at(time, core, action));
    system.outside = shareability;
    operations.barriers.shareability = shareability;
    return shareability;
  }

  /** ns since the start, on the clock of the running thread's core. */
  get now(): number {
    const running = this.#running;
    return (running === null ? this.events.time : this.system.cores[running.core]!.clock) / PS;
  }

  /** Runs until all threads have ended, or to `until` ns. */
  run(until = MOST_PICOSECONDS / PS): void {
    this.#stopAt = Math.min(MOST_PICOSECONDS, Math.round(until * PS));
    this.#isOver = false;
    this.isLive = true;
    while (this.events.size > 0 && !this.#isOver) this.#next();
    if (this.#isOver) return;
    const stuck = this.threads.filter((thread) => !thread.hasEnded);
    if (stuck.length > 0) throw new SimError(`deadlock: ${stuck.map(describe).join('; ')}`);
  }

  /** Runs code that is none of the simulated program's: its accesses go to memory as it is, and take no time. */
  atNoCost<T>(action: () => T): T {
    const { isLive } = this;
    this.isLive = false;
    const result = action();
    this.isLive = isLive;
    return result;
  }

  #next(): void {
    const { events } = this;
    if (events.earliest > this.#stopAt) {
      this.#isOver = true;
      return;
    }
    events.pop();
    this.counters.events++;
    const { time, kind, number, subject } = events;
    if (kind <= Event.done) this.system.handle(kind, time, number, subject);
    else if (kind === Event.resume) this.#resume(subject as SimThread, number, time);
    else if (kind === Event.call) (subject as (time: number) => void)(time);
    else if (kind === Event.slice) this.#sliceEnds(number, time);
    else this.#elapsed(subject as SimThread, number, time);
    this.system.observer?.stepped(time);
  }

  /** Calls `action` at `time`, ps. */
  at(time: number, core: number, action: (time: number) => void): void {
    this.events.push(time, core, Event.call, 0, action);
  }

  // Threads

  #resumeAt(thread: SimThread, time: number): void {
    thread.isReady = true;
    thread.readyAt = time;
    this.events.push(time, thread.core, Event.resume, thread.generation, thread);
  }

  #resume(thread: SimThread, generation: number, time: number): void {
    if (generation !== thread.generation || !this.scheduler.isCurrent(thread)) return;
    const core = this.system.cores[thread.core]!;
    if (core.clock < time) core.clock = time;
    this.#running = thread;
    const hasEnded = thread.body === null ? this.#runSteps(thread) : thread.body.next().done === true;
    this.#running = null;
    if (hasEnded) this.#ended(thread, core.clock);
    else this.#trySwitch(core, core.clock);
  }

  /** Runs the thread's steps until one is unwound. Returns whether the thread has ended. */
  #runSteps(thread: SimThread): boolean {
    try {
      for (;;) {
        thread.cursor = 0;
        const goesOn = thread.step();
        thread.length = 0;
        if (!goesOn) return true;
      }
    } catch (thrown) {
      if (thrown !== UNWIND) throw thrown;
      this.counters.replays++;
      return false;
    }
  }

  #ended(thread: SimThread, time: number): void {
    thread.hasEnded = true;
    this.#switch(thread.core, time, false);
  }

  /** Takes time outside memory: a critical section's own work. */
  work(thread: SimThread, ns: number): void {
    if (thread.cursor < thread.length) {
      thread.recorded(Code.work, 0);
      return;
    }
    this.#catchUp(thread);
    this.system.cores[thread.core]!.clock += Math.round(ns * PS);
    thread.record(Code.work, 0);
  }

  /** The time on the thread's core, ns: an operation as any other, so that the thread may lose its core at it. */
  clock(thread: SimThread): number {
    const core = this.system.cores[thread.core]!;
    if (this.system.observer !== null) {
      thread.code = Code.now;
      thread.address = 0;
      return this.execute(thread);
    }
    if (this.#isAhead(core)) this.#catchUp(thread);
    const ns = core.clock / PS;
    thread.record(Code.now, ns);
    return ns;
  }

  /** Another core may have to run before the core's next operation. */
  #isAhead({ clock, probeAt }: Core): boolean {
    return clock >= probeAt || clock >= this.events.earliest + this.#lookahead || clock > this.#stopAt;
  }

  /** Executes the thread's operation, whose fields are set. Returns its result, or unwinds the thread. */
  execute(thread: SimThread): number {
    const core = this.system.cores[thread.core]!;
    if (this.#isAhead(core)) this.#catchUp(thread);
    const begun = core.clock;
    if (thread.code <= Code.condLoadAcquire) this.counters.operations++;
    thread.keys[thread.length] = keyOf(thread.code, thread.address);
    thread.spinStart = NOT_SPINNING;
    thread.spinLimit = ZERO;
    const isDone =
      thread.code === Code.wait
        ? this.#sleep(core, thread)
        : thread.code === Code.wake
          ? this.#wake(core, thread)
          : this.operations.attempt(core, thread);
    const { observer } = this.system;
    if (observer !== null) {
      if (isDone) observer.done(core, thread);
      else observer.waits(core, thread);
      observer.stepped(begun);
    }
    if (!isDone) this.#block(core, thread);
    thread.log[thread.length++] = thread.result;
    thread.cursor++;
    return thread.result;
  }

  /** Lets the others catch up with a core that is ahead. */
  #catchUp(thread: SimThread): void {
    const core = this.system.cores[thread.core]!;
    while (core.clock >= core.probeAt || core.clock >= this.events.earliest + this.#lookahead) {
      if (this.#mustUnwind()) {
        this.#resumeAt(thread, core.clock);
        throw UNWIND;
      }
      this.#next();
    }
    if (core.clock > this.#stopAt || this.#mayPreempt(core, thread)) {
      this.#goOnLater(core, thread);
      throw UNWIND;
    }
  }

  /** The next event is another thread's turn, so that the running one has to make way. */
  #mustUnwind(): boolean {
    const { events } = this;
    return this.#isOver || events.size === 0 || events.nextKind === Event.resume || events.earliest > this.#stopAt;
  }

  /** Is the thread's slice over? What is in the store buffer is that thread's alone to see, so it is drained first. */
  #mayPreempt(core: Core, thread: SimThread): boolean {
    return this.scheduler.isPreempted(thread) && core.stores.length === 0;
  }

  /** The thread is between two operations: it goes on, unless its slice is over. */
  #goOnLater(core: Core, thread: SimThread): void {
    if (!this.#mayPreempt(core, thread)) {
      this.#resumeAt(thread, core.clock);
      return;
    }
    thread.isReady = true;
    thread.readyAt = core.clock;
    this.counters.switches++;
    this.#switch(thread.core, core.clock, true);
  }

  /** Waits for the operation under way. Goes on inside this call if nobody else has to run first. */
  #block(core: Core, thread: SimThread): void {
    thread.isPending = true;
    thread.isReady = false;
    if (thread.waits === Waits.spinning) this.#limitSpin(thread);
    while (!thread.isReady) {
      if (this.#mustUnwind()) throw UNWIND;
      this.#next();
    }
    // Ready, by an event that stands in the queue. If that is the next, this thread takes it.
    if (!this.#isOver && this.events.nextKind === Event.resume && this.events.nextSubject === thread) {
      this.events.pop();
      this.counters.events++;
      core.clock = Math.max(core.clock, this.events.time);
      thread.length--;
      return;
    }
    throw UNWIND;
  }

  /** The operation of a blocked thread is done: it goes on. */
  #complete(core: Core, thread: SimThread): void {
    thread.isPending = false;
    thread.waits = Waits.nothing;
    thread.generation++;
    this.system.observer?.done(core, thread);
    thread.log[thread.length++] = thread.result;
    this.#goOnLater(core, thread);
  }

  #retry(core: Core, thread: SimThread, time: number): void {
    if (core.clock < time) core.clock = time;
    const wasSpinning = thread.waits === Waits.spinning;
    if (this.operations.attempt(core, thread)) this.#complete(core, thread);
    else {
      this.system.observer?.waits(core, thread);
      if (!wasSpinning && thread.waits === Waits.spinning && thread.spinLimit === 0) this.#limitSpin(thread);
      this.#trySwitch(core, core.clock);
    }
  }

  /** The end of a spinning thread's patience. */
  #limitSpin(thread: SimThread): void {
    if (!Number.isFinite(thread.spins)) return;
    thread.spinLimit = thread.spinStart + thread.spins * this.#costs.spin;
    this.events.push(thread.spinLimit, thread.core, Event.timeout, thread.generation, thread);
  }

  // What the memory system tells

  #advanced(core: Core, time: number): void {
    const thread = this.scheduler.current(core.number);
    if (thread === null || !thread.isPending) {
      this.#trySwitch(core, time);
      return;
    }
    const { waits } = thread;
    const canGoOn =
      (waits === Waits.line && core.requestFor(thread.line) === undefined) ||
      (waits === Waits.drained && core.stores.length === 0) ||
      (waits === Waits.room && core.stores.length < this.profile.storeBuffer.entries) ||
      (waits === Waits.call && core.stores.length === 0);
    if (!canGoOn) this.#trySwitch(core, time);
    else if (waits === Waits.call) this.#callAgain(core, thread, time);
    else this.#retry(core, thread, time);
  }

  #lost(core: Core, line: number, time: number): void {
    const thread = this.scheduler.current(core.number);
    if (thread?.isPending && thread.waits === Waits.spinning && thread.line === line) {
      this.#lookAgain(thread, time);
    }
  }

  #lookAgain(thread: SimThread, time: number): void {
    const { spin } = this.#costs;
    const turns = Math.ceil(Math.max(0, time - thread.spinStart) / spin);
    this.events.push(thread.spinStart + turns * spin, thread.core, Event.spin, thread.generation, thread);
  }

  /** A spinning thread's turn, or the end of its patience, or a sleeper's deadline. */
  #elapsed(thread: SimThread, generation: number, time: number): void {
    if (generation !== thread.generation || !thread.isPending) return;
    const core = this.system.cores[thread.core]!;
    if (thread.waits === Waits.asleep) {
      this.#sleepers.remove(thread);
      this.#wakeUp(thread, Outcome.timedOut, time);
    } else if (thread.waits === Waits.spinning && this.scheduler.isCurrent(thread)) {
      this.#retry(core, thread, time);
    }
  }

  // Sleeping

  /** FUTEX_WAIT: into the kernel, which is a full barrier; compares; sleeps. */
  #sleep(core: Core, thread: SimThread): boolean {
    if (core.stores.length > 0) {
      thread.waits = Waits.call;
      this.system.drain(core, core.clock);
      if (core.stores.length > 0) return false;
    }
    core.clock += this.#sleepPs;
    this.#passBarrier(core);
    // The kernel looks at the word at one time for all: no core can change it in the middle of that.
    if (this.system.memory[thread.address] !== thread.x) {
      thread.result = Outcome.notEqual;
      return true;
    }
    if (thread.deadline * PS <= core.clock) {
      thread.result = Outcome.timedOut;
      return true;
    }
    this.counters.sleeps++;
    thread.waits = Waits.asleep;
    thread.isPending = true;
    thread.isReady = false;
    this.#sleepers.add(thread);
    if (Number.isFinite(thread.deadline)) {
      this.events.push(Math.round(thread.deadline * PS), thread.core, Event.timeout, thread.generation, thread);
    }
    this.#switch(thread.core, core.clock, false);
    return false;
  }

  /** A system call, and a switch, are a full barrier. */
  #passBarrier(core: Core): void {
    core.floor = core.clock;
    this.system.propagation?.fullBarrier(core, core.clock);
  }

  #wake(core: Core, thread: SimThread): boolean {
    if (core.stores.length > 0) {
      thread.waits = Waits.call;
      this.system.drain(core, core.clock);
      if (core.stores.length > 0) return false;
    }
    core.clock += this.#wakePs;
    this.#passBarrier(core);
    thread.result = 0;
    for (let woken = 0; woken < thread.x; woken++) {
      const sleeper = this.#sleepers.first(thread.address);
      if (sleeper === undefined) break;
      this.counters.wakes++;
      thread.result++;
      this.#wakeUp(sleeper, Outcome.ok, core.clock);
    }
    return true;
  }

  #callAgain(core: Core, thread: SimThread, time: number): void {
    if (core.clock < time) core.clock = time;
    if (thread.code === Code.wait ? this.#sleep(core, thread) : this.#wake(core, thread)) this.#complete(core, thread);
  }

  #wakeUp(thread: SimThread, outcome: number, time: number): void {
    thread.isPending = false;
    thread.waits = Waits.nothing;
    thread.result = outcome;
    thread.generation++;
    this.system.observer?.done(this.system.cores[thread.core]!, thread);
    thread.log[thread.length++] = outcome;
    thread.readyAt = time + this.#latencyPs;
    thread.isReady = true;
    if (this.scheduler.arrive(thread)) this.#resumeAt(thread, thread.readyAt);
    else this.#startSlice(thread.core, time);
  }

  // Several threads on one core

  #startSlice(core: number, time: number): void {
    if (this.scheduler.beginSlice(core)) this.events.push(time + this.scheduler.slicePs, core, Event.slice, core, null);
  }

  #sliceEnds(number: number, time: number): void {
    this.scheduler.endSlice(number);
    this.#trySwitch(this.system.cores[number]!, time);
  }

  /** Takes the core from a thread whose slice is over, unless it waits for memory. */
  #trySwitch(core: Core, time: number): void {
    const thread = this.scheduler.current(core.number);
    if (thread === null || thread === this.#running || !this.#mayPreempt(core, thread)) return;
    if (thread.isPending && thread.waits !== Waits.spinning) return;
    thread.generation++;
    if (core.clock < time) core.clock = time;
    thread.leftAt = core.clock;
    this.counters.switches++;
    this.#switch(core.number, core.clock, true);
  }

  /** The next thread's turn on the core, if there is one. */
  #switch(number: number, time: number, goesToEnd: boolean): void {
    const next = this.scheduler.switch(number, goesToEnd);
    if (next === null) return;
    const core = this.system.cores[number]!;
    core.clock = Math.max(core.clock, time) + this.scheduler.switchPs;
    if (core.clock < next.readyAt) core.clock = next.readyAt;
    this.#passBarrier(core);
    if (next.isPending && next.waits === Waits.spinning) {
      // Only the turns that it makes count.
      next.spinStart += core.clock - next.leftAt;
      this.#limitSpin(next);
      this.#lookAgain(next, core.clock);
    } else this.#resumeAt(next, core.clock);
    this.#startSlice(number, core.clock);
  }
}

function describe(thread: SimThread): string {
  const what = Object.entries(Waits).find(([, value]) => value === thread.waits)![0];
  return `thread ${thread.number} at word ${thread.address} (${what})`;
}
