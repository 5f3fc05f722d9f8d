/**
 * Random executions with probabilistic concurrency testing (Burckhardt, Kothari, Musuvathi, Nagarakatte, ASPLOS 2010):
 * each thread has a random priority, the highest that can go on does, and at a few random moments the running thread
 * falls below all others. A bug that needs d such moments is found with probability at least 1/(n k^(d-1)) a run.
 *
 * Weak behaviours need no revisits here: every execution is an order of additions (po | rf has no cycle) in which each
 * read reads a write that is there and each write takes any consistent place, so choosing among these at random
 * reaches them all. The latest write is preferred, because executions that see only old values soon end alike.
 */

import type { Origin } from './deaths.ts';
import type { Sleep } from './event-loop.ts';
import { HIDDEN } from './events.ts';
import { type Graph, type Pending, Stop } from './graph.ts';
import { Machine, type Outcome } from './machine.ts';
import type { Kill } from './program.ts';
import { latest } from './replay.ts';

/** mulberry32: a number below 1. */
export function randomSource(seed: number): () => number {
  let a = seed | 0;
  return () => {
    a = (a + 0x6d2b79f5) | 0;
    let t = Math.imul(a ^ (a >>> 15), 1 | a);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

/** How often a wait of an event loop times out, and a sleeper looks around, although other threads could go on. */
const EARLY = 1 / 16;

export class RandomWalk extends Machine {
  /** Priority changes in one execution: the bug depth d, less one. */
  changes = 2;
  random: () => number = randomSource(1);
  readonly #priority: number[] = this.bodies.map(() => 0);
  /** The steps at which the running thread falls back. */
  #changeAt: number[] = [];
  #step = 0;
  #longestRun = 16;
  /** The running thread has called relax(), and makes no further step this time. */
  #gaveWay = false;
  /** By thread: what it waits for, if it has stopped for that and one of these may end by itself. */
  readonly #waits: (readonly Sleep[])[] = [];
  /** No thread can go on but one whose wait times out. */
  #isPressed = false;
  /** By thread: where it last did. */
  readonly #gaveWayAt: number[] = this.bodies.map(() => -1);

  /** One execution from the start, in which nobody dies. */
  next(): Outcome {
    this.g.cut(0);
    this.g.stop.fill(Stop.none);
    this.plan([]);
    return this.#runToEnd();
  }

  /** An execution that begins as `origin` says, and goes on at random from there, with these deaths. */
  fork({ graph, stamp, kills }: Origin): Outcome {
    // What the execution before left is needed no more.
    this.g = graph.clone(this.g === graph ? undefined : this.g);
    this.g.cut(stamp);
    if (this.g.stale) this.ordering.rebuild(this.g);
    this.plan(kills);
    // A thread that waits, has ended or has not begun looks again: it may be the one that dies, or a reaper.
    for (const [t, stop] of this.g.stop.entries()) {
      if (stop === Stop.finished || stop === Stop.atAwait || stop === Stop.atTurn) this.g.stop[t] = Stop.none;
    }
    return this.#runToEnd();
  }

  /** The points in the execution that has just ended at which one of `victims` could have died after `kills`. */
  points(victims: readonly number[], kills: readonly Kill[], graph: Graph): Origin[] {
    const origins: Origin[] = [];
    for (const thread of victims) {
      const events = graph.threads[thread]!;
      for (const [step, position] of this.stepAt[thread]!.entries()) {
        origins.push({ graph, stamp: events[position] ?? graph.n, kills: [...kills, { thread, step }] });
      }
    }
    return origins;
  }

  #runToEnd(): Outcome {
    this.#step = 0;
    this.#gaveWay = false;
    this.#gaveWayAt.fill(-1);
    for (let t = 0; t < this.bodies.length; t++) this.#priority[t] = 1 + this.random();
    this.#changeAt.length = 0;
    for (let i = 0; i < this.changes; i++) this.#changeAt.push(Math.floor(this.random() * this.#longestRun));
    for (;;) {
      let thread = this.#pick();
      this.#isPressed = thread < 0;
      if (thread < 0) thread = this.#pick();
      if (thread < 0) break;
      this.run(thread);
      this.#isPressed = false;
      if (this.failure !== null) return 'execution';
    }
    if (this.#step > this.#longestRun) this.#longestRun = this.#step;
    return this.#classify();
  }

  /**
   * The thread of highest priority that can go on. One that waits for a value that is no longer the latest may see it,
   * and may miss it: a coin decides, each time.
   */
  #pick(): number {
    let best = -1;
    for (let t = 0; t < this.bodies.length; t++) {
      if (best >= 0 && this.#priority[t]! < this.#priority[best]!) continue;
      if (this.#isEnabled(t)) best = t;
    }
    // The loop looks again.
    if (best >= 0 && this.g.stop[best] === Stop.spinning) this.g.value[this.g.lastOf(best)] = 0;
    return best;
  }

  #isEnabled(t: number): boolean {
    switch (this.g.stop[t]) {
      case Stop.none:
        return true;
      case Stop.atAwait:
        return this.#wouldSee(t, this.g.pending[t]!);
      case Stop.spinning:
        return this.couldSeeNews(t);
      case Stop.atTurn:
        return this.#waits[t]!.some((wait) => this.#isOver(wait));
      default:
        return false;
    }
  }

  /** Does the thread see a value that ends its wait? If the latest one does, it will; if it is a past one, perhaps. */
  #wouldSee(thread: number, { flags, location, until, arg }: Pending): boolean {
    this.g.touch(location);
    const accept = (w: number) => (until(this.valueOf(location, w), arg) ? flags : 0);
    this.ordering.readChoices(this.g, thread, location, accept, this.choices, true);
    if (this.choices.length === 0) return false;
    return (flags & HIDDEN) !== 0 || this.choices[0] === latest(this.g, location) || this.random() < 0.5;
  }

  /** A thread that spins gives way to all others. */
  override relax(): void {
    super.relax();
    if (!this.atFrontier() || this.cursor === this.#gaveWayAt[this.t]) return;
    this.#gaveWayAt[this.t] = this.cursor;
    this.#gaveWay = true;
  }

  protected override mayStep(): boolean {
    if (this.#gaveWay) {
      this.#gaveWay = false;
      this.#priority[this.t] = -this.#step;
      return false;
    }
    const step = this.#step++;
    for (const change of this.#changeAt) {
      if (change !== step) continue;
      this.#priority[this.t] = -this.#step;
      return false;
    }
    return true;
  }

  /** Woken; or it times out: now and then, so that others come first mostly. */
  #isOver(wait: Sleep): boolean {
    if (this.isWoken(wait)) return true;
    if (wait.victim !== undefined && this.g.stop[wait.victim] !== Stop.dead) return false;
    return wait.deadline !== Number.POSITIVE_INFINITY && (this.#isPressed || this.random() < EARLY);
  }

  protected override mayStall(): boolean {
    return true;
  }

  protected override decideWait(waits: readonly Sleep[]): number {
    this.#waits[this.t] = [...waits];
    const over = [...waits.keys()].filter((i) => this.#isOver(waits[i]!));
    if (over.length === 0) return -1;
    const chosen = over[Math.floor(this.random() * over.length)]!;
    // It may find nothing to do: another one that sleeps, and could do more, is to look around before it does so again.
    if (waits[chosen]!.victim !== undefined) {
      this.#priority[this.t] = -this.#step;
      this.#isPressed = false;
    }
    return chosen;
  }

  protected override mayAwait(pending: Pending): boolean {
    return this.#wouldSee(this.t, pending);
  }

  protected override decide(count: number): number {
    return count - 1 - this.#choose(count);
  }

  protected override decideTurns(_e: number, turns: number): number {
    return turns - this.#choose(turns + 1);
  }

  protected override strict(): boolean {
    return true;
  }

  protected override decideRead(choices: number[]): number {
    return choices[this.#choose(choices.length)]!;
  }

  protected override decideWrite(places: number[]): number {
    return places[this.#choose(places.length)]!;
  }

  #choose(count: number): number {
    if (count === 1) return 0;
    const draw = this.random();
    return draw < 0.5 ? 0 : Math.floor((draw - 0.5) * 2 * count);
  }

  protected override afterWrite(): void {}

  #classify(): Outcome {
    const { g } = this;
    if (this.isDoomed()) return 'dropped';
    for (let t = 0; t < this.bodies.length; t++) if (this.killAt[t]! >= 0 && g.stop[t] !== Stop.dead) return 'dropped';
    this.checkRaces();
    if (this.failure !== null) return 'execution';
    const stuck: number[] = [];
    for (let t = 0; t < this.bodies.length; t++) {
      if (g.stop[t] === Stop.finished || g.stop[t] === Stop.dead) continue;
      // One that has timed out as often as is explored would do so again.
      if (this.waitsOf(t).some((wait) => wait.isTimed)) return 'blocked';
      stuck.push(t);
    }
    if (stuck.length > 0) this.reportStuck(stuck);
    return 'execution';
  }
}
