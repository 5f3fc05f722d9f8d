/**
 * Every execution, each once: graph exploration after TruSt (Kokologiannakis, Marmanis, Gladstein, Vafeiadis: "Truly
 * stateless, optimal dynamic partial order reduction", POPL 2022).
 *
 * Threads run straight through. A read takes one of the writes there are and the others become alternatives; a write
 * takes one place in coherence order, likewise. What a read could not know is the writes that come after it: so a new
 * write also revisits earlier reads that do not precede it in po | rf. A revisit keeps what was there when the read was
 * added, and what the write needed; the rest is deleted and grows again. The same graph would be reached from every
 * way in which the deleted part could have turned out, so exactly one of them is allowed to revisit: the one in which
 * each deleted event, and the read, is as the coherence-latest choice would have made it (`isMaximal` in `revisits.ts`).
 *
 * Three things are our own. An awaiting read reads only writes that satisfy it; its canonical choice, for the rule
 * above, is to read nothing and block, and it is added only when no thread has anything else to do. The write half of a
 * read-modify-write may find its place taken by another: then, after it has revisited, that thread is doomed and the
 * graph no execution; but the others go on, because in a futex wait there is a load between the halves, which what they
 * write may revisit. And a thread may have several ways to go on (`CHOICE`), one of them canonical.
 *
 * Nothing is remembered but a stack of alternatives, so memory does not grow with the number of executions.
 */
import { Op } from '../replay/operations.ts';
import { type Alternative, type Difference, type Subtree, subtreeOf } from './alternative.ts';
import type { LoopWait, Sleep } from './event-loop.ts';
import { AWAIT, CHOICE, FENCE, HIDDEN, INIT, NOTHING, PLAIN, POISON, READ, RMW } from './events.ts';
import { type Graph, type Pending, Stop } from './graph.ts';
import { LoadBuffering } from './load-buffering.ts';
import { Machine, type Outcome } from './machine.ts';
import { ExploreError } from './program.ts';
import { latest } from './replay.ts';
import { isRevisitable, placesOf, readFlags, revisited } from './revisits.ts';
import type { Symmetry } from './symmetry.ts';

/** Turns of an idle loop before it leaves by itself that are explored one by one; the rest are like the last. */
const TURNS_TOLD_APART = 64;

/** Graphs that are kept to be used again. */
const MOST_SPARE = 64;

export class Exhaustive extends Machine {
  readonly stack: Alternative[] = [];
  /** Revisits on one path; more are not followed, and counted. */
  bound = Number.POSITIVE_INFINITY;
  beyondBound = 0;
  /** Which threads are alike, so that only one of the executions that differ in their names is looked at. */
  symmetry: Symmetry | null = null;
  /** The share of the search that is done. */
  progress = 0;
  graphs = 0;
  readonly #buffering = new LoadBuffering(this);
  readonly #spare: Graph[] = [];
  #granted = -1;
  /** Others could have been granted their awaiting read instead. */
  #isOneOfSeveral = false;
  #weight = 1;
  #depth = 0;
  #path: number[] = [];

  /** Runs to the end of the first execution. */
  start(): Outcome {
    return this.#runToEnd();
  }

  /** Runs to the end of the next one, or returns null when there is none. */
  next(): Outcome | null {
    for (;;) {
      const alternative = this.stack.pop();
      if (alternative === undefined) return null;
      if (this.#enter(alternative)) return this.#runToEnd();
    }
  }

  /** Goes to the alternative that `path` leads to, and forgets all others: the start of a subtree. */
  descend(path: readonly number[]): Outcome | null {
    let outcome: Outcome | null = this.start();
    for (const step of path) {
      const chosen = this.stack[step];
      if (chosen === undefined) throw new ExploreError(`explore: there is no way [${path}]: the program has changed`);
      this.stack.length = 0;
      this.stack.push(chosen);
      chosen.weight = 1;
      outcome = null;
      if (this.#enter(this.stack.pop()!)) outcome = this.#runToEnd();
    }
    // A revisit has no execution of its own, only those of the places that its write can take.
    return outcome ?? this.next();
  }

  /** Gives away the larger half of what is open, at most `most` alternatives: those nearest to the start. */
  giveAway(most: number): Subtree[] {
    const count = Math.min(most, this.stack.length >> 1);
    return this.stack.splice(0, count).map(subtreeOf);
  }

  /** What the search leaves out, and the model allows; see `load-buffering.ts`. */
  get notExcluded(): ReadonlySet<string> {
    return this.#buffering.found;
  }

  /** What has not been looked at yet. */
  get open(): Subtree[] {
    return this.stack.map(subtreeOf);
  }

  #runToEnd(): Outcome {
    const base = this.stack.length;
    this.graphs++;
    this.hopeless = false;
    this.#buffering.begin();
    while (this.failure === null && !this.hopeless) {
      const thread = this.#pick();
      if (thread < 0) break;
      this.run(thread);
    }
    const children = this.stack.length - base;
    const share = this.#weight / (children + 1);
    for (let i = base; i < this.stack.length; i++) {
      const child = this.stack[i]!;
      child.weight = share;
      child.path = [...this.#path, i - base];
    }
    this.progress += share;
    if (this.failure !== null) return 'execution';
    this.#buffering.look();
    return this.#classify();
  }

  /** The thread that goes next. It depends on the graph alone. */
  #pick(): number {
    const { g } = this;
    const threads = this.bodies.length;
    for (let t = 0; t < threads; t++) {
      const last = g.lastOf(t);
      if (last >= 0 && this.#isHalfDone(last)) return t;
    }
    for (let t = 0; t < threads; t++) if (g.stop[t] === Stop.none) return t;
    this.#granted = -1;
    for (let t = 0; t < threads; t++) {
      if (g.stop[t] !== Stop.atAwait || !this.#canBeSatisfied(t, g.pending[t]!)) continue;
      if (this.#granted >= 0) {
        this.#isOneOfSeveral = true;
        break;
      }
      this.#granted = t;
      this.#isOneOfSeveral = false;
    }
    return this.#granted;
  }

  /** Is the write half still to come, which must be next? */
  #isHalfDone(e: number): boolean {
    const flags = this.g.flags[e]!;
    if (!(flags & READ) || this.g.stop[this.g.thread[e]!] !== Stop.none) return false;
    return (flags & RMW) !== 0 || (this.g.op[e] === Op.wait && !(flags & AWAIT));
  }

  #canBeSatisfied(thread: number, pending: Pending): boolean {
    const { flags, location, until, arg } = pending;
    this.g.touch(location);
    const accept = (w: number) => (until(this.valueOf(location, w), arg) ? flags : 0);
    this.ordering.readChoices(this.g, thread, location, accept, this.choices, false);
    return this.choices.length > 0;
  }

  protected override mayStep(): boolean {
    return true;
  }

  /** Each of the waits is tried; what comes of it, if it is not over yet, is that of any `wait`. */
  protected override decideWait(waits: readonly Sleep[]): number {
    return waits.length === 1 ? 0 : this.decide(waits.length);
  }

  protected override mayAwait(): boolean {
    if (this.#granted !== this.t) return false;
    this.#granted = -1;
    return true;
  }

  protected override strict(): boolean {
    return false;
  }

  #push(difference: Difference): void {
    this.g.users++;
    this.stack.push({ g: this.g, difference, weight: 0, depth: this.#depth, path: [] });
  }

  #snapshot(): Int32Array {
    const { before, n, stride } = this.g;
    return before.slice(0, n * stride);
  }

  protected override decideRead(choices: number[], flags: number): number {
    const stamp = this.g.n;
    // Where it could read the latest write, and nobody else could go on without it, a graph in which it reads nothing would
    // be left at once, for the sake of this one.
    const mayBlock =
      (flags & AWAIT) !== 0 &&
      (this.#isOneOfSeveral || choices[0] !== latest(this.g, this.g.pending[this.t]!.location));
    if (choices.length === 1 && !mayBlock) return choices[0]!;
    const before = this.#snapshot();
    for (let i = 1; i < choices.length; i++) this.#push({ kind: 'read', stamp, rf: choices[i]!, before });
    if (mayBlock) this.#push({ kind: 'read', stamp, rf: NOTHING, before });
    return choices[0]!;
  }

  protected override decideWrite(places: number[]): number {
    const before = places.length > 1 ? this.#snapshot() : null;
    for (let i = 1; i < places.length; i++) this.#push({ kind: 'write', stamp: this.g.n, place: places[i]!, before });
    return places[0]!;
  }

  protected override decide(count: number): number {
    for (let value = 0; value < count - 1; value++) this.#push({ kind: 'choice', stamp: this.g.n, value });
    return count - 1;
  }

  protected override decideTurns(e: number, turns: number): number {
    const most = this.g.span[e] === 0 ? 0 : Math.min(turns, TURNS_TOLD_APART);
    for (let value = 0; value < most; value++) this.#push({ kind: 'choice', stamp: e, value });
    return turns;
  }

  protected override afterWrite(w: number): void {
    const { g } = this;
    this.#buffering.note(w);
    if (g.flags[w]! & PLAIN) return;
    const location = g.location[w]!;
    for (const r of g.reads[location]!) {
      if (g.flags[r]! & PLAIN || g.inPrefix(r, w)) continue;
      if (g.flags[r]! & AWAIT && !(g.rf[r] === NOTHING && g.until[r]!(g.value[w]!, g.arg[r]!))) continue;
      if (!isRevisitable(g, r, w)) continue;
      if (this.#depth >= this.bound) this.beyondBound++;
      else this.#push({ kind: 'revisit', stamp: w, read: r });
    }
  }

  /** Makes the alternative's graph the current one. False if there is nothing to run, or no use in it. */
  #enter(a: Alternative): boolean {
    a.g.users--;
    if (this.g !== a.g && this.failure === null) this.#recycle(this.g);
    if (!this.#make(a)) return false;
    if (this.symmetry === null || !this.symmetry.isRenaming(this.g)) return true;
    this.progress += a.weight;
    return false;
  }

  /** Most graphs live for one execution: their memory is used again. */
  #recycle(g: Graph): void {
    if (g.users === 0 && this.#spare.length < MOST_SPARE) this.#spare.push(g);
  }

  #make(a: Alternative): boolean {
    this.g = a.g;
    this.#weight = a.weight;
    this.#depth = a.depth;
    this.#path = a.path;
    const { difference } = a;
    switch (difference.kind) {
      case 'read':
        this.#cut(difference.stamp, difference.before);
        this.#rereadFrom(difference.stamp, difference.rf);
        return true;
      case 'write':
        this.#cut(difference.stamp, difference.before);
        this.#rewriteAt(difference.stamp, difference.place);
        return true;
      case 'choice':
        this.#chooseAgain(difference.stamp, difference.value);
        return true;
      case 'revisit':
        this.#revisit(a, difference.stamp, difference.read);
        return false;
      case 'graph':
        return true;
    }
  }

  #cut(stamp: number, before: Int32Array | null): void {
    const { g } = this;
    g.cut(stamp);
    if (!g.stale) return;
    if (before === null || before.length !== stamp * g.stride) {
      this.ordering.rebuild(g);
      return;
    }
    g.before.set(before);
    g.stale = false;
  }

  /** The last event, which has been cut, is made again, and reads from `rf`. */
  #rereadFrom(e: number, rf: number): void {
    const { g } = this;
    const thread = g.thread[e]!;
    const op = g.op[e]!;
    const location = g.location[e]!;
    const arg = g.arg[e]!;
    const until = g.until[e]!;
    const flags = g.flags[e]!;
    g.reserve();
    const value = rf === NOTHING ? 0 : this.valueOf(location, rf);
    g.push(thread, op, readFlags(flags, value, arg), location, value, rf);
    g.arg[e] = arg;
    g.until[e] = until;
    this.ordering.insertRead(g, e);
    if (rf === NOTHING) g.stop[thread] = Stop.blocked;
    else if (!(g.flags[e]! & (HIDDEN | RMW)) && !this.isDoomed()) this.checkRead(e);
  }

  #rewriteAt(e: number, place: number): void {
    const { g } = this;
    const thread = g.thread[e]!;
    const op = g.op[e]!;
    const location = g.location[e]!;
    const flags = g.flags[e]!;
    const value = g.value[e]!;
    g.reserve();
    g.push(thread, op, flags, location, value, INIT);
    this.ordering.insertWrite(g, e, place);
    if (!(flags & (HIDDEN | POISON)) && !this.isDoomed()) this.checkFreed(e);
  }

  #chooseAgain(e: number, value: number): void {
    const { g } = this;
    const thread = g.thread[e]!;
    const op = g.op[e]!;
    const canonical = g.arg[e]!;
    const span = g.span[e]!;
    this.#cut(e, null);
    g.reserve();
    g.push(thread, op, FENCE | CHOICE, -1, value, INIT);
    g.arg[e] = canonical;
    g.span[e] = span;
    if (op === Op.now) this.moveClock(e);
    this.ordering.insertFence(g, e);
  }

  /** Pushes a graph for each consistent place of the write in the revisit. */
  #revisit(a: Alternative, w: number, r: number): void {
    const { g, ordering } = this;
    g.cut(w + 1);
    const { base, readAt, writeAt } = revisited(g, ordering, r, w, this.#spare.pop());
    const location = base.location[writeAt]!;
    const first = this.stack.length;
    const places = placesOf(base, ordering, writeAt, readAt);
    for (const place of places) {
      const attempt = places.length === 1 ? base : base.clone(this.#spare.pop());
      attempt.co[location]!.splice(place, 0, writeAt);
      if (!this.ordering.rebuild(attempt)) {
        this.#recycle(attempt);
        continue;
      }
      attempt.users = 1;
      this.stack.push({ g: attempt, difference: { kind: 'graph' }, weight: 0, depth: a.depth + 1, path: a.path });
    }
    if (places.length !== 1) this.#recycle(base);
    const graphs = this.stack.length - first;
    if (graphs === 0) this.progress += a.weight;
    for (let i = first; i < this.stack.length; i++) {
      const child = this.stack[i]!;
      child.weight = a.weight / graphs;
      child.path = [...a.path, i - first];
    }
  }

  /** Everybody has stopped. Is that the end, or does a thread only wait for what another graph will bring? */
  #classify(): Outcome {
    const { g } = this;
    if (this.isDoomed()) return 'dropped';
    for (let t = 0; t < this.bodies.length; t++) {
      if (this.killAt[t]! >= 0 && g.stop[t] !== Stop.dead) return 'dropped';
    }
    this.checkRaces();
    if (this.failure !== null) return 'execution';
    const stuck: number[] = [];
    for (let t = 0; t < this.bodies.length; t++) {
      const stop = g.stop[t];
      if (stop === Stop.finished || stop === Stop.dead) continue;
      if (stop === Stop.spinning ? this.couldSeeNews(t) : stop === Stop.blocked && this.#couldProceed(g.lastOf(t))) {
        return 'blocked';
      }
      if (this.waitsOf(t).some((wait) => this.#couldEnd(wait))) return 'blocked';
      stuck.push(t);
    }
    if (stuck.length > 0) this.reportStuck(stuck);
    return 'execution';
  }

  #couldEnd(wait: LoopWait): boolean {
    return wait.isTimed || this.isWoken(wait);
  }

  #couldProceed(e: number): boolean {
    const { g } = this;
    const location = g.location[e]!;
    const until = g.until[e]!;
    if (!(g.flags[e]! & HIDDEN)) return until(this.valueOf(location, latest(g, location)), g.arg[e]!);
    return g.co[location]!.some((w) => until(g.value[w]!, g.arg[e]!));
  }
}
