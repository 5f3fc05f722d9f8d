/**
 * What is wrong with an execution: accesses that race, memory that is not there, threads that wait for ever, and what the program's
 * own check says. An access is looked at when it is made; races once more in the end, because a revisit changes what orders
 * accesses that stay.
 */
import { Op, type OpName, opName } from '../replay/operations.ts';
import { FENCE, HIDDEN, INIT, NOTHING, POISON, READ } from './events.ts';
import { Stop } from './graph.ts';
import { isPlain } from './ppo.ts';
import { Races } from './races.ts';
import { Replay } from './replay.ts';

export abstract class CheckedReplay extends Replay {
  readonly #races = new Races(this.ordering.model);
  /** By location: is it accessed as plain data? */
  readonly #hasPlain: boolean[] = [];

  /** The program's own check did not like the memory that this execution leaves. */
  failCheck(message: string): void {
    this.report('check', message, -1);
  }

  /** Reports what is wrong with an access that has been added, unless it is half of what may not happen. */
  protected checkAccess(e: number): void {
    const { g } = this;
    if (this.isDoomed()) return;
    this.#checkRace(e, this.#races.race(g, e));
    if (this.failure !== null) this.halt();
    if (g.flags[e]! & READ) this.checkRead(e);
    else if (!(g.flags[e]! & POISON)) this.checkFreed(e);
    if (this.failure !== null) this.halt();
  }

  #checkRace(e: number, other: number): void {
    const { g } = this;
    if (other < 0) return;
    const isFree = g.op[e] === Op.free || g.op[other] === Op.free;
    const kind = isFree && g.op[e] !== g.op[other] ? 'use-after-free' : 'data-race';
    const what = `${opName(g.op[e]!)} by thread ${g.thread[e]} and ${opName(g.op[other]!)} by thread ${g.thread[other]}`;
    const where = this.memory.name(g.location[e]!, new Map());
    this.report(kind, `${what} of ${where}: nothing orders them`, e, other);
  }

  /** Looks for races in a graph to which nothing will be added. */
  checkRaces(): void {
    const { g } = this;
    // Most words are never accessed as plain data, and have no races.
    const hasPlain = this.#hasPlain;
    hasPlain.length = 0;
    for (let e = 0; e < g.n; e++) if (isPlain(this.ordering.model, g.flags[e]!)) hasPlain[g.location[e]!] = true;
    for (let e = 0; e < g.n && this.failure === null; e++) {
      if (g.flags[e]! & (FENCE | HIDDEN) || hasPlain[g.location[e]!] !== true || g.rf[e] === NOTHING) continue;
      this.#checkRace(e, this.#races.raceBefore(g, e));
    }
  }

  /** Does the read `e` see memory that is not there? */
  protected checkRead(e: number): void {
    const { g } = this;
    const rf = g.rf[e]!;
    const location = g.location[e]!;
    if (rf === NOTHING) return;
    const name: OpName | null =
      rf === INIT
        ? ([null, 'allocate', 'free'] as const)[this.memory.initialPoison(location)]!
        : this.ordering.isPoisoned(g, rf)
          ? opName(g.op[rf]!)
          : null;
    if (name === null) return;
    const where = this.memory.name(location, new Map());
    const [kind, what] =
      name === 'free' ? (['use-after-free', 'freed'] as const) : (['uninitialised', 'never written'] as const);
    this.report(kind, `thread ${g.thread[e]} reads ${where}, which was ${what}`, e, rf);
  }

  protected checkFreed(e: number): void {
    const { g } = this;
    const location = g.location[e]!;
    const co = g.co[location]!;
    const place = co.indexOf(e);
    const before = place === 0 ? INIT : co[place - 1]!;
    const freed = before === INIT ? this.memory.initialPoison(location) === 2 : g.op[before] === Op.free;
    if (!freed) return;
    const where = this.memory.name(location, new Map());
    this.report('use-after-free', `thread ${g.thread[e]} writes ${where}, which was freed`, e, before);
  }

  protected reportStuck(stuck: number[]): void {
    const { g } = this;
    const why = stuck.map((t) => {
      const stop = g.stop[t];
      if (stop === Stop.spinning) return `thread ${t} spins for ever`;
      if (stop === Stop.atTurn) return `the event loop of thread ${t} waits for ever`;
      const location = stop === Stop.atAwait ? g.pending[t]!.location : g.location[g.lastOf(t)]!;
      return `thread ${t} waits for ever on ${this.memory.name(location, new Map())}`;
    });
    this.report('deadlock', why.join('; '), g.lastOf(stuck[0]!));
  }
}
