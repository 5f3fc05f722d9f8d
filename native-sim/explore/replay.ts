/**
 * Replay: how plain synchronous code runs as a thread of an execution graph. A thread cannot be suspended in the middle
 * of a function, so it is run from its start each time it continues; operations that are in the graph already get
 * their recorded results, and the first that is not adds an event. When a thread must stop it is unwound by throwing
 * STOP; every operation that an unwinding `finally` makes throws again. This is right because threads are deterministic
 * given what memory returned; an operation that differs from the recorded one is reported.
 *
 * Spin loops. A loop that calls `relax()` and only reads is not unrolled: once a whole turn between two calls has
 * changed nothing, further turns are fed the same values without becoming events. A bounded loop leaves by itself and
 * goes on; one that does not is stopped, and is a failure if what it reads can never change again. An execution in
 * which the loop sees something new is another graph, in which that turn's reads read from elsewhere.
 */
import { AWAIT, HIDDEN, INIT, NOTHING, type OpName, opName, POISON, READ, RMW, WRITE } from './events.ts';
import { Graph, type Pending, Stop } from './graph.ts';
import type { Memory } from './memory.ts';
import type { Ordering } from './order.ts';
import { ExploreError, type FailureKind } from './program.ts';
import { describeSite, siteHere } from './site.ts';

/** Thrown to unwind a thread. */
export const STOP = Symbol('stop');

/** Repeated reads in a row after which a loop counts as endless. */
const ENDLESS = 4096;

export interface Failure {
  kind: FailureKind;
  message: string;
  graph: Graph;
  /** The event that failed, and the other party of a race, or -1. */
  event: number;
  other: number;
}

/** Rewrites the order bits of an event that is about to be made, or skips a fence (0). */
export type Alter = (op: number, flags: number) => number;

export abstract class Replay {
  g: Graph;
  readonly memory: Memory;
  readonly ordering: Ordering;
  readonly maxEvents: number;
  readonly bodies: (() => void)[];
  alter: Alter | null = null;
  failure: Failure | null = null;
  /** No place in coherence order is left for a write: this graph is not an execution. */
  aborted = false;
  /** Called with each event as its operation is replayed or made. */
  onEvent: ((e: number) => void) | null = null;
  /** Only replay: add nothing. Tells what each thread would have done next. */
  frozen = false;
  onFrontier: ((op: number, location: number) => void) | null = null;
  /** By thread: the step before which it dies, or -1. */
  readonly killAt: Int32Array;

  protected t = 0;
  protected cursor = 0;
  protected stopped = false;
  protected clock = 0;
  protected readonly choices: number[] = [];
  #steps = 0;
  #mark = -1;
  #turnStart = 0;
  #turnLength = 0;
  #turnAt = 0;
  #repeats = 0;
  /** Steps of the longest run of each thread, to know how many kill points there are. */
  readonly longest: Int32Array;

  constructor(memory: Memory, ordering: Ordering, bodies: (() => void)[], maxEvents: number) {
    this.memory = memory;
    this.ordering = ordering;
    this.bodies = bodies;
    this.maxEvents = maxEvents;
    this.g = new Graph(bodies.length);
    this.killAt = new Int32Array(bodies.length).fill(-1);
    this.longest = new Int32Array(bodies.length);
  }

  /** Which of the candidates a new read reads from. */
  protected abstract decideRead(choices: number[], flags: number): number;
  /** Which of the places a new write takes; there is at least one. */
  protected abstract decideWrite(places: number[]): number;
  protected abstract afterWrite(e: number, placed: boolean): void;
  /** May this thread go on to make one more event? */
  protected abstract mayStep(): boolean;
  /** May an awaiting read be added now? */
  protected abstract mayAwait(pending: Pending): boolean;
  protected abstract mayRepeat(cursor: number): boolean;
  protected abstract strict(): boolean;

  /** Runs a thread as far as it may go. */
  run(thread: number): void {
    this.t = thread;
    this.cursor = 0;
    this.stopped = false;
    this.clock = 0;
    this.#steps = 0;
    this.#mark = -1;
    this.#turnLength = 0;
    try {
      this.bodies[thread]!();
    } catch (error) {
      if (error instanceof ExploreError) throw error;
      if (!this.stopped) this.#uncaught(error);
    }
    if (this.#steps > this.longest[thread]!) this.longest[thread] = this.#steps;
    if (this.stopped) return;
    if (this.cursor < this.g.threads[thread]!.length) this.#diverged('ended');
    else this.g.stop[thread] = Stop.finished;
  }

  #uncaught(error: unknown): void {
    const message = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
    this.report('exception', `thread ${this.t} threw ${message}`, this.g.lastOf(this.t));
    this.stopped = true;
  }

  protected report(kind: FailureKind, message: string, event: number, other = -1): void {
    this.failure ??= { kind, message, graph: this.g, event, other };
  }

  /** The program's own check did not like the memory that this execution leaves. */
  failCheck(message: string): void {
    this.report('check', message, -1);
  }

  protected fail(kind: FailureKind, message: string, event: number, other = -1): never {
    this.report(kind, message, event, other);
    return this.halt();
  }

  protected halt(): never {
    this.stopped = true;
    throw STOP;
  }

  protected stopAs(stop: number): never {
    this.g.stop[this.t] = stop;
    return this.halt();
  }

  /** The recorded event of the operation that the thread is at, or -1 if it is to be made. */
  protected begin(op: number, location: number): number {
    if (this.stopped) throw STOP;
    if (this.#turnLength > 0) {
      const e = this.#repeated(op, location);
      if (e >= 0) return e;
    }
    if (this.killAt[this.t] === this.#steps) this.die();
    this.#steps++;
    const list = this.g.threads[this.t]!;
    if (this.cursor < list.length) return this.recorded(op, location);
    if (this.frozen) {
      this.onFrontier?.(op, location);
      this.halt();
    }
    if (!this.mayStep()) this.halt();
    return -1;
  }

  protected abstract die(): never;

  /** The next recorded event, which must be this operation. */
  protected recorded(op: number, location: number): number {
    const { g } = this;
    const e = g.threads[this.t]![this.cursor++]!;
    if (g.op[e] !== op || g.location[e] !== location) this.#diverged(this.#describe(op, location), e);
    if (this.onEvent !== null) this.onEvent(e);
    if (g.rf[e] === NOTHING) this.stopAs(Stop.blocked);
    return e;
  }

  #describe(op: number, location: number): string {
    return location < 0 ? opName(op) : `${opName(op)} of ${this.memory.name(location, new Map())}`;
  }

  #diverged(now: string, e = this.g.threads[this.t]![this.cursor]!): never {
    const was = this.#describe(this.g.op[e]!, this.g.location[e]!);
    const message = `thread ${this.t} is not deterministic: its operation ${this.g.index[e]} was ${was}, and on replay, with the same values from memory, ${now}`;
    this.report('non-determinism', message, e);
    this.stopped = true;
    throw STOP;
  }

  protected atFrontier(): boolean {
    return this.cursor === this.g.threads[this.t]!.length;
  }

  #room(op: number): void {
    if (this.frozen) this.halt();
    if (this.g.n >= this.maxEvents) {
      throw new ExploreError(
        `more than ${this.maxEvents} events in one execution (thread ${this.t}: ${describeSite(siteHere(op))}). An unbounded loop that neither awaits (condLoad, wait) nor calls relax()? If the program is really that long, raise maxEvents`,
      );
    }
    this.g.reserve();
  }

  /** Adds a read. `accept` gives the event's flags if it read the given write, or 0 if it may not. */
  protected addRead(op: number, flags: number, location: number, accept: (write: number) => number): number {
    this.#room(op);
    const { g, ordering, choices, t } = this;
    g.touch(location);
    if (!(flags & HIDDEN)) this.#checkRace(op, flags, location);
    ordering.readChoices(g, t, location, accept, choices, this.strict());
    const rf = this.decideRead(choices, flags);
    const e = g.push(t, op, rf === NOTHING ? flags : accept(rf), location, 0, rf);
    if (rf !== NOTHING) g.value[e] = this.valueOf(location, rf);
    ordering.insertRead(g, e);
    this.cursor++;
    if (this.onEvent !== null) this.onEvent(e);
    if (rf !== NOTHING && !(flags & HIDDEN)) this.#checkPoison(e, rf, location);
    return e;
  }

  protected addWrite(op: number, flags: number, location: number, value: number): number {
    this.#room(op);
    const { g, ordering, choices, t } = this;
    g.touch(location);
    if (!(flags & HIDDEN)) this.#checkRace(op, flags, location);
    ordering.writeChoices(g, t, location, flags, choices);
    const placed = choices.length > 0;
    const place = placed ? this.decideWrite(choices) : -1;
    const e = g.push(t, op, flags, location, value, INIT);
    if (placed) ordering.insertWrite(g, e, place);
    else {
      g.co[location]!.push(e);
      ordering.reconsider(g, e);
    }
    this.cursor++;
    if (this.onEvent !== null) this.onEvent(e);
    this.afterWrite(e, placed);
    if (!placed) {
      this.aborted = true;
      this.halt();
    }
    if (!(flags & (HIDDEN | POISON))) this.#checkFreed(e, place, location);
    return e;
  }

  protected addFence(op: number, flags: number): void {
    this.#room(op);
    const e = this.g.push(this.t, op, flags, -1, 0, INIT);
    this.ordering.insertFence(this.g, e);
    this.cursor++;
    if (this.onEvent !== null) this.onEvent(e);
  }

  valueOf(location: number, write: number): number {
    return write === INIT ? this.memory.initialValue(location) : this.g.value[write]!;
  }

  #checkRace(op: number, flags: number, location: number): void {
    const { g } = this;
    const other = this.ordering.race(g, this.t, location, flags);
    if (other < 0) return;
    const freed = g.op[other]! === op ? false : opName(g.op[other]!) === 'free';
    const e = g.push(this.t, op, flags, location, 0, flags & READ ? NOTHING : INIT);
    if (this.onEvent !== null) this.onEvent(e);
    const kind = freed ? 'use-after-free' : 'data-race';
    const what = `${opName(op)} by thread ${this.t} and ${opName(g.op[other]!)} by thread ${g.thread[other]}`;
    this.fail(kind, `${what} of ${this.memory.name(location, new Map())}: nothing orders them`, e, other);
  }

  #checkPoison(e: number, rf: number, location: number): void {
    const name: OpName | null =
      rf === INIT
        ? ([null, 'allocate', 'free'] as const)[this.memory.initialPoison(location)]!
        : this.ordering.isPoisoned(this.g, rf)
          ? opName(this.g.op[rf]!)
          : null;
    if (name === null) return;
    const where = this.memory.name(location, new Map());
    if (name === 'free') this.fail('use-after-free', `thread ${this.t} reads ${where}, which was freed`, e, rf);
    this.fail('uninitialised', `thread ${this.t} reads ${where}, which was never written`, e, rf);
  }

  #checkFreed(e: number, place: number, location: number): void {
    const before = place === 0 ? INIT : this.g.co[location]![place - 1]!;
    const freed = before === INIT ? this.memory.initialPoison(location) === 2 : opName(this.g.op[before]!) === 'free';
    if (!freed) return;
    const where = this.memory.name(location, new Map());
    this.fail('use-after-free', `thread ${this.t} writes ${where}, which was freed`, e, before);
  }

  /** `cpu.relax()`: the end of one turn of a spin loop. */
  relax(): void {
    if (this.stopped) throw STOP;
    if (this.#turnLength > 0) return;
    const start = this.#mark;
    this.#mark = this.cursor;
    if (start < 0 || start === this.cursor || !this.mayRepeat(this.cursor)) return;
    const { g } = this;
    const list = g.threads[this.t]!;
    for (let i = start; i < this.cursor; i++) {
      const flags = g.flags[list[i]!]!;
      if (flags & (WRITE | RMW | HIDDEN | AWAIT)) return;
    }
    this.#turnStart = start;
    this.#turnLength = this.cursor - start;
    this.#turnAt = 0;
    this.#repeats = 0;
  }

  /** In an idle loop: the event that gives this operation its result once more, or -1 once the loop is left. */
  #repeated(op: number, location: number): number {
    const { g } = this;
    const e = g.threads[this.t]![this.#turnStart + this.#turnAt]!;
    if (g.op[e] !== op || g.location[e] !== location) {
      this.#turnLength = 0;
      return -1;
    }
    if (++this.#repeats > ENDLESS) {
      g.turn[this.t] = this.#turnLength;
      this.stopAs(Stop.spinning);
    }
    if (++this.#turnAt === this.#turnLength) this.#turnAt = 0;
    return e;
  }

  protected reportStuck(stuck: number[]): void {
    const { g } = this;
    const why = stuck.map((t) => {
      const stop = g.stop[t];
      if (stop === Stop.spinning) return `thread ${t} spins for ever`;
      const location = stop === Stop.atAwait ? g.pending[t]!.location : g.location[g.lastOf(t)]!;
      return `thread ${t} waits for ever on ${this.memory.name(location, new Map())}`;
    });
    this.report('deadlock', why.join('; '), g.lastOf(stuck[0]!));
  }

  /** Does a spinning thread repeat a read that could now see something newer? */
  couldSeeNews(thread: number): boolean {
    const { g } = this;
    const list = g.threads[thread]!;
    for (let i = list.length - g.turn[thread]!; i < list.length; i++) {
      const e = list[i]!;
      if (g.flags[e]! & READ && g.rf[e] !== latest(g, g.location[e]!)) return true;
    }
    return false;
  }
}

/** The coherence-latest write of a location. */
export function latest(g: Graph, location: number): number {
  const co = g.co[location];
  return co === undefined || co.length === 0 ? INIT : co[co.length - 1]!;
}
