/**
 * Replay (`native-sim/replay/replay.ts`) of threads whose record is an execution graph: an operation that is not in it yet
 * adds an event.
 *
 * Spin loops that call `relax()` are in `idle.ts`.
 */
import { Op, opName } from '../replay/operations.ts';
import { divergence, UNWIND } from '../replay/replay.ts';
import { CHOICE, FENCE, INIT, NOTHING, READ } from './events.ts';
import { Graph, type Pending, Stop } from './graph.ts';
import { FOREVER, IdleLoop } from './idle.ts';
import type { Memory } from './memory.ts';
import type { Ordering } from './order.ts';
import { ExploreError, type FailureKind, type Kill } from './program.ts';
import { describeSite, siteHere } from './site.ts';

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
  readonly bodies: (() => unknown)[];
  alter: Alter | null = null;
  failure: Failure | null = null;
  /** The graph is no execution, and what could still be added would revisit nothing that matters. */
  hopeless = false;
  /** Thrown for an execution that has too many events; a thread with an event loop may have caught it. */
  protected tooLong: ExploreError | undefined;
  /** Called with each event as its operation is replayed or made. */
  onEvent: ((e: number) => void) | null = null;
  /** Only replay: add nothing. Tells what each thread would have done next. */
  frozen = false;
  /** How far the clock may have gone on at a look at it; see `Program.clock`. */
  clock: readonly number[] = [];
  onFrontier: ((op: number, location: number) => void) | null = null;
  /** By thread: the step before which it dies, or -1. */
  readonly killAt: Int32Array;
  /** The threads that die, in the order of their reapers. */
  victims: number[] = [];
  /** By thread: where each of its steps begins, by position in the thread. */
  readonly stepAt: number[][];

  protected t = 0;
  protected cursor = 0;
  protected stopped = false;
  protected readonly choices: number[] = [];
  #steps = 0;
  readonly #loop: IdleLoop = new IdleLoop();
  /** Steps of the longest run of each thread, to know how many kill points there are. */
  readonly longest: Int32Array;

  constructor(memory: Memory, ordering: Ordering, bodies: (() => unknown)[], maxEvents: number) {
    this.memory = memory;
    this.ordering = ordering;
    this.bodies = bodies;
    this.maxEvents = maxEvents;
    this.g = new Graph(bodies.length);
    this.killAt = new Int32Array(bodies.length).fill(-1);
    this.longest = new Int32Array(bodies.length);
    this.stepAt = bodies.map(() => []);
  }

  /** Which of the candidates a new read reads from. */
  protected abstract decideRead(choices: number[], flags: number): number;
  /** Which of the places a new write takes; there is at least one. */
  protected abstract decideWrite(places: number[]): number;
  protected abstract afterWrite(e: number): void;
  /** May this thread go on to make one more event? */
  protected abstract mayStep(): boolean;
  /** May an awaiting read be added now? */
  protected abstract mayAwait(pending: Pending): boolean;
  /** Which of `count` ways to go on; the last is canonical. */
  protected abstract decide(count: number): number;
  /** A loop left by itself after `turns` turns that saw nothing new: after how many does it look again? */
  protected abstract decideTurns(e: number, turns: number): number;
  protected abstract strict(): boolean;

  /** From now on these threads die. */
  plan(kills: readonly Kill[]): void {
    this.killAt.fill(-1);
    for (const { thread, step } of kills) this.killAt[thread] = step;
    this.victims = kills.map(({ thread }) => thread);
  }

  /** Runs a thread as far as it may go. */
  run(thread: number): void {
    this.t = thread;
    do {
      this.cursor = 0;
      this.stopped = false;
      this.#steps = 0;
      this.#loop.begin(this.g.threads[thread]!);
      this.runBody(thread);
    } while (this.#loop.isSettled && this.#settle());
    const stepAt = this.stepAt[thread]!;
    if (stepAt.length !== this.#steps) stepAt.length = this.#steps;
    if (this.#steps > this.longest[thread]!) this.longest[thread] = this.#steps;
    if (this.stopped) return;
    if (this.cursor < this.g.threads[thread]!.length) this.#diverged('ended');
    else this.g.stop[thread] = Stop.finished;
  }

  protected runBody(thread: number): void {
    try {
      this.runToItsEnd(this.bodies[thread]!);
    } catch (error) {
      if (error instanceof ExploreError) throw error;
      // What it throws in the middle of a turn that was only fed, it throws again in one that happens.
      if (!this.stopped && !this.#loop.leave()) this.#uncaught(error);
      return;
    }
    if (!this.stopped) this.#loop.leave();
  }

  /** Runs the function of a thread, and what it leaves for later turns of its event loop. */
  protected abstract runToItsEnd(body: () => unknown): void;

  /** An idle loop has been left by itself: the thread runs once more, now that it is known when. */
  #settle(): boolean {
    const { g } = this;
    const e = g.lastOf(this.t);
    const { turns } = this.#loop;
    g.arg[e] = turns;
    g.value[e] = this.decideTurns(e, turns);
    g.time[e] = g.time[e]! + this.#loop.timeAfter(g.value[e]!);
    this.#loop.isSettled = false;
    return true;
  }

  #uncaught(error: unknown): void {
    const message = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
    this.report('exception', `thread ${this.t} threw ${message}`, this.g.lastOf(this.t));
    this.stopped = true;
  }

  /** Some thread can never go on: this graph is no execution, so nothing that happens in it is a failure. */
  isDoomed(): boolean {
    const { stop } = this.g;
    for (let t = 0; t < stop.length; t++) if (stop[t] === Stop.doomed) return true;
    return false;
  }

  protected report(kind: FailureKind, message: string, event: number, other = -1): void {
    if (this.isDoomed()) {
      this.g.stop[this.t] = Stop.doomed;
      return;
    }
    this.failure ??= { kind, message, graph: this.g, event, other };
  }

  protected fail(kind: FailureKind, message: string, event: number, other = -1): never {
    this.report(kind, message, event, other);
    return this.halt();
  }

  protected halt(): never {
    this.stopped = true;
    throw UNWIND;
  }

  protected stopAs(stop: number): never {
    this.g.stop[this.t] = stop;
    return this.halt();
  }

  /** The recorded event of the operation that the thread is at, or -1 if it is to be made. */
  protected begin(op: number, location: number): number {
    if (this.stopped) throw UNWIND;
    this.dieIfDue();
    const loop = this.#loop;
    if (loop.isFeeding) {
      const { g } = this;
      const e = loop.repeated(g, op, location);
      if (e >= 0) return e;
      // It has left the loop, in the middle of a turn that was only fed.
      if (!loop.leave()) this.#diverged(this.#describe(op, location), g.lastOf(this.t));
      this.halt();
    }
    this.stepAt[this.t]![this.#steps++] = this.cursor;
    const list = this.g.threads[this.t]!;
    if (this.cursor < list.length) return this.recorded(op, location);
    if (this.frozen) {
      this.onFrontier?.(op, location);
      this.halt();
    }
    if (!this.mayStep()) this.halt();
    return -1;
  }

  /** The thread dies where it is told to, also while it waits for its next operation. */
  protected dieIfDue(): void {
    if (this.killAt[this.t] === this.#steps) this.die();
  }

  protected abstract die(): never;

  /** In a loop whose turns are fed: takes the operation's event as it was. */
  protected feedAgain(op: number): boolean {
    const loop = this.#loop;
    if (!loop.isFeeding) return false;
    if (loop.repeated(this.g, op, -1) >= 0) return true;
    if (!loop.leave()) this.#diverged(opName(op), this.g.lastOf(this.t));
    return this.halt();
  }

  /** The time of a look at the clock is what was chosen later than that of the event before. */
  protected moveClock(e: number): void {
    const { g, clock } = this;
    g.time[e] = g.time[e]! + (clock[g.value[e]!] ?? 0);
  }

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
    this.report('non-determinism', divergence(this.t, this.g.index[e]!, was, now), e);
    this.stopped = true;
    throw UNWIND;
  }

  protected atFrontier(): boolean {
    return this.cursor === this.g.threads[this.t]!.length;
  }

  #room(op: number): void {
    if (this.frozen) this.halt();
    if (this.g.n >= this.maxEvents) {
      this.tooLong ??= new ExploreError(
        `more than ${this.maxEvents} events in one execution (thread ${this.t}: ${describeSite(siteHere(op))}). An unbounded loop that neither awaits (condLoad, wait) nor calls relax()? If the program is really that long, raise maxEvents`,
      );
      throw this.tooLong;
    }
    this.g.reserve();
  }

  /** Adds a read. `accept` gives the event's flags if it read the given write, or 0 if it may not. */
  protected addRead(op: number, flags: number, location: number, accept: (write: number) => number): number {
    this.#room(op);
    const { g, ordering, choices, t } = this;
    g.touch(location);
    ordering.readChoices(g, t, location, accept, choices, this.strict());
    const rf = this.decideRead(choices, flags);
    const e = g.push(t, op, rf === NOTHING ? flags : accept(rf), location, 0, rf);
    if (rf !== NOTHING) g.value[e] = this.valueOf(location, rf);
    ordering.insertRead(g, e, true);
    this.cursor++;
    if (this.onEvent !== null) this.onEvent(e);
    return e;
  }

  protected addWrite(op: number, flags: number, location: number, value: number): number {
    this.#room(op);
    const { g, ordering, choices, t } = this;
    g.touch(location);
    ordering.writeChoices(g, t, location, flags, choices);
    const placed = choices.length > 0;
    const place = placed ? this.decideWrite(choices) : -1;
    const e = g.push(t, op, flags, location, value, INIT);
    if (placed) ordering.insertWrite(g, e, place, true);
    else ordering.reconsider(g, e);
    this.cursor++;
    if (this.onEvent !== null) this.onEvent(e);
    this.afterWrite(e);
    if (!placed) {
      this.hopeless = op !== Op.wait;
      this.stopAs(Stop.doomed);
    }
    return e;
  }

  protected addFence(op: number, flags: number): number {
    this.#room(op);
    const e = this.g.push(this.t, op, flags, -1, 0, INIT);
    this.ordering.insertFence(this.g, e);
    this.cursor++;
    if (this.onEvent !== null) this.onEvent(e);
    return e;
  }

  /** The recorded one of `count` ways to go on, by number, or else `chosen`; the last is the canonical one. */
  protected choose(op: number, count: number, chosen: number): number {
    if (!this.atFrontier()) return this.g.value[this.recorded(op, -1)]!;
    const e = this.addFence(op, FENCE | CHOICE);
    this.g.value[e] = chosen;
    this.g.arg[e] = count - 1;
    return chosen;
  }

  valueOf(location: number, write: number): number {
    return write === INIT ? this.memory.initialValue(location) : this.g.value[write]!;
  }

  /** `cpu.relax()`: the end of one turn of a spin loop. */
  relax(): void {
    if (this.stopped) throw UNWIND;
    const { g } = this;
    const loop = this.#loop;
    const verdict = loop.turn(g, this.cursor);
    if (verdict === 'endless') {
      const e = g.lastOf(this.t);
      g.value[e] = FOREVER;
      g.arg[e] = FOREVER;
      this.stopAs(Stop.spinning);
    }
    if (verdict === 'busy') return;
    if (verdict === 'left') {
      if (!loop.leave()) this.#diverged('relax', g.lastOf(this.t));
      this.halt();
    }
    if (this.atFrontier()) {
      if (this.frozen) this.halt();
      if (verdict === 'repeated' && this.strict() === false) this.stopAs(Stop.doomed);
      const e = this.addFence(Op.relax, FENCE | CHOICE);
      g.span[e] = loop.span;
      loop.probe(this.cursor);
      return;
    }
    const e = this.recorded(Op.relax, -1);
    if (g.value[e] === FOREVER) this.stopAs(Stop.spinning);
    loop.feed(this.cursor, g.value[e]!);
  }

  /** What the running thread's clock shows: what it has done, and seen others do, happened no later. */
  protected get time(): number {
    const list = this.g.threads[this.t]!;
    const last = this.cursor === 0 ? 0 : this.g.time[list[this.cursor - 1]!]!;
    return last + this.#loop.lookAtClock();
  }

  /** Does a spinning thread repeat a read that could now see something newer? */
  couldSeeNews(thread: number): boolean {
    const { g } = this;
    const list = g.threads[thread]!;
    const end = list.length - 1;
    for (let i = end - g.span[list[end]!]!; i < end; i++) {
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
