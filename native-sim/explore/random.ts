/**
 * Random executions with probabilistic concurrency testing (Burckhardt, Kothari, Musuvathi, Nagarakatte, ASPLOS 2010):
 * each thread has a random priority, the highest that can go on does, and at a few random moments the running thread
 * falls below all others. A bug that needs d such moments is found with probability at least 1/(n k^(d-1)) a run.
 *
 * Weak behaviours need no revisits here: every execution is an order of additions (po | rf has no cycle) in which each
 * read reads a write that is there and each write takes any consistent place, so choosing among these at random
 * reaches them all. The latest write is preferred, because executions that see only old values soon end alike.
 */

import type { Outcome } from './exhaustive.ts';
import { type Pending, Stop } from './graph.ts';
import { Machine } from './machine.ts';

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

export class RandomWalk extends Machine {
  /** Priority changes in one execution: the bug depth d, less one. */
  changes = 2;
  random: () => number = randomSource(1);
  readonly #priority: number[] = this.bodies.map(() => 0);
  /** The steps at which the running thread falls back. */
  #changeAt: number[] = [];
  #step = 0;
  #longestRun = 16;
  #resumed = this.bodies.map(() => new Set<number>());

  /** One execution from the start. */
  next(): Outcome {
    this.g.cut(0);
    this.aborted = false;
    this.#step = 0;
    const threads = this.bodies.length;
    for (let t = 0; t < threads; t++) {
      this.#priority[t] = 1 + this.random();
      this.g.stop[t] = Stop.none;
      if (this.#resumed[t]!.size > 0) this.#resumed[t]!.clear();
    }
    this.#changeAt.length = 0;
    for (let i = 0; i < this.changes; i++) this.#changeAt.push(Math.floor(this.random() * this.#longestRun));
    for (;;) {
      const thread = this.#pick();
      if (thread < 0) break;
      this.run(thread);
      if (this.failure !== null) return 'execution';
      if (this.aborted) return 'dropped';
    }
    if (this.#step > this.#longestRun) this.#longestRun = this.#step;
    return this.#classify();
  }

  #pick(): number {
    let best = -1;
    for (let t = 0; t < this.bodies.length; t++) {
      if (best >= 0 && this.#priority[t]! < this.#priority[best]!) continue;
      if (this.#isEnabled(t)) best = t;
    }
    if (best >= 0 && this.g.stop[best] === Stop.spinning) this.#resumed[best]!.add(this.g.threads[best]!.length);
    return best;
  }

  #isEnabled(t: number): boolean {
    switch (this.g.stop[t]) {
      case Stop.none:
        return true;
      case Stop.atAwait:
        return this.#isSatisfiable(t, this.g.pending[t]!);
      case Stop.spinning:
        return this.couldSeeNews(t);
      default:
        return false;
    }
  }

  #isSatisfiable(thread: number, { flags, location, until, arg }: Pending): boolean {
    this.g.touch(location);
    const accept = (w: number) => (until(this.valueOf(location, w), arg) ? flags : 0);
    this.ordering.readChoices(this.g, thread, location, accept, this.choices, true);
    return this.choices.length > 0;
  }

  protected override mayStep(): boolean {
    const step = this.#step++;
    for (const change of this.#changeAt) {
      if (change !== step) continue;
      this.#priority[this.t] = -this.#step;
      return false;
    }
    return true;
  }

  protected override mayAwait(pending: Pending): boolean {
    return this.#isSatisfiable(this.t, pending);
  }

  protected override mayRepeat(cursor: number): boolean {
    return !this.#resumed[this.t]!.has(cursor);
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
    const stuck: number[] = [];
    for (let t = 0; t < this.bodies.length; t++) {
      if (this.killAt[t]! >= 0 && g.stop[t] !== Stop.dead) return 'dropped';
      if (g.stop[t] !== Stop.finished && g.stop[t] !== Stop.dead) stuck.push(t);
    }
    if (stuck.length > 0) this.reportStuck(stuck);
    return 'execution';
  }
}
