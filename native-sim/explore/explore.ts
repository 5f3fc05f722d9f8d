/**
 * The front door: explores a program, with and without deaths, until it fails, is done, or has used what it was given.
 *
 *     const result = await explore({ model: 'armv8', words: 4, threads: [f, f], check });
 *     if (result.verdict === 'failure') console.log(printCounterexample(result.failure));
 *
 * A death is not an event that the search chooses: each plan (thread 1 stops before its operation 7) is a search of its
 * own, next to the one without deaths. Executions in which the thread never gets that far belong to another plan and
 * are dropped, so nothing is counted twice; and the plans of a thread are over when one of them kills nobody.
 */
import { type Alteration, alterer, type Weakening, weakening } from './alter.ts';
import { Exhaustive, type Outcome } from './exhaustive.ts';
import type { ModelName } from './ppo.ts';
import type { Kill, Program } from './program.ts';
import { RandomWalk, randomSource } from './random.ts';
import { type Counterexample, counterexample } from './report.ts';
import { type Bench, MAX_EVENTS, makeBench } from './session.ts';
import { Sites } from './site.ts';

export interface ExploreOptions<Context = unknown> extends Program<Context> {
  /** @default 'armv8' */
  model?: ModelName;
  /**
   * exhaustive: every execution. bounded: those reached by at most `bound` revisits in a row. random: `executions`
   * of them, with PCT priorities.
   * @default 'exhaustive'
   */
  mode?: 'exhaustive' | 'bounded' | 'random';
  /** @default 3 */
  bound?: number;
  /** At most so many executions. @default 10000 in random mode, else no limit */
  executions?: number;
  /** @default 1 */
  seed?: number;
  /** In random mode, how many ordering decisions a bug may take. @default 3 */
  depth?: number;
  /** Milliseconds, after which the result says how far it got. @default no limit */
  timeLimit?: number;
  /** Also stop threads before each of their operations: how many of them in one execution, and which. @default none */
  kill?: boolean | { count?: number; threads?: readonly number[] };
  /** More events in one execution are an error. @default 512 */
  maxEvents?: number;
  /** Take the order from some call sites: a seeded bug. */
  weaken?: Weakening;
  /** Change the order of call sites in any way. */
  alter?: Alteration;
  /** Called now and then. */
  onProgress?: (progress: Progress) => void;
}

export interface Progress {
  executions: number;
  /** Executions that end with a thread waiting for what only another execution brings. */
  blocked: number;
  /** The share of the search that is done, 0 to 1. */
  share: number;
  /** How many executions there are, going by that share. */
  estimate: number;
  /** Milliseconds. */
  elapsed: number;
}

export interface ExploreResult extends Progress {
  /** `incomplete`: nothing found, but not everything was looked at. */
  verdict: 'ok' | 'failure' | 'incomplete';
  /** Every execution of the model was visited. */
  complete: boolean;
  model: ModelName;
  /** How many plans of deaths were explored. */
  kills: number;
  failure: Counterexample | null;
}

/** What one plan came to. */
export interface PlanResult {
  executions: number;
  blocked: number;
  graphs: number;
  complete: boolean;
  failure: Counterexample | null;
  longest: Int32Array;
}

const TURN_MS = 40;

export class Exploration {
  readonly options: ExploreOptions;
  readonly model: ModelName;
  readonly sites = new Sites();
  executions = 0;
  blocked = 0;
  #doneShare = 0;
  #started = performance.now();
  #deadline: number;

  constructor(options: ExploreOptions) {
    this.options = options;
    this.model = options.model ?? 'armv8';
    this.#deadline = this.#started + (options.timeLimit ?? Number.POSITIVE_INFINITY);
  }

  get elapsed(): number {
    return performance.now() - this.#started;
  }

  get isOutOfTime(): boolean {
    return performance.now() >= this.#deadline;
  }

  get isSpent(): boolean {
    return this.isOutOfTime || this.executions >= this.budget;
  }

  get budget(): number {
    return this.options.executions ?? (this.options.mode === 'random' ? 10_000 : Number.POSITIVE_INFINITY);
  }

  progress(share: number): Progress {
    const estimate = share > 0 ? Math.round(this.executions / share) : this.executions;
    const elapsed = performance.now() - this.#started;
    return { executions: this.executions, blocked: this.blocked, share, estimate, elapsed };
  }

  async run(): Promise<ExploreResult> {
    const plans = plansOf(this.options);
    let complete = true;
    let kills = 0;
    let failure: Counterexample | null = null;
    for (let plan: Kill[] | null = plans.first(); plan !== null && failure === null; ) {
      const result = await this.explorePlan(plan, [], plans.share(plan));
      this.#doneShare += plans.share(plan);
      if (plan.length > 0 && result.executions > 0) kills++;
      failure = result.failure;
      complete &&= result.complete;
      if (this.isSpent && this.options.mode !== 'random') {
        complete &&= plans.next(plan, result) === null;
        break;
      }
      if (this.isSpent) break;
      plan = plans.next(plan, result);
    }
    return this.result(complete, kills, failure);
  }

  result(complete: boolean, kills: number, failure: Counterexample | null): ExploreResult {
    const isDone = complete && failure === null && this.options.mode !== 'random';
    const verdict = failure !== null ? 'failure' : isDone || this.options.mode === 'random' ? 'ok' : 'incomplete';
    const share = isDone ? 1 : Math.min(this.#doneShare, 1);
    return { ...this.progress(share), verdict, complete: isDone, model: this.model, kills, failure };
  }

  /** One plan, or the part of it below `path`. */
  async explorePlan(kills: readonly Kill[], path: readonly number[], weight = 1): Promise<PlanResult> {
    return this.options.mode === 'random' ? this.#walk(kills) : this.#search(kills, path, weight);
  }

  prepare<M extends Exhaustive | RandomWalk>(
    Machine: Parameters<typeof makeBench<M>>[0],
    kills: readonly Kill[],
  ): Bench<M> {
    const { options } = this;
    const bench = makeBench(Machine, options as Program, this.model, kills, options.maxEvents ?? MAX_EVENTS);
    const alteration = options.alter ?? (options.weaken === undefined ? null : weakening(options.weaken));
    if (alteration !== null) bench.machine.alter = alterer(alteration, this.sites);
    return bench;
  }

  async #search(kills: readonly Kill[], path: readonly number[], weight: number): Promise<PlanResult> {
    const bench = this.prepare(Exhaustive, kills);
    const { machine } = bench;
    if (this.options.mode === 'bounded') machine.bound = this.options.bound ?? 3;
    let outcome = path.length === 0 ? machine.start() : machine.descend(path);
    const counts = { executions: 0, blocked: 0 };
    let turn = performance.now();
    while (outcome !== null) {
      this.count(outcome, counts, bench);
      if (machine.failure !== null || this.executions >= this.budget) break;
      if ((machine.graphs & 15) === 0 && performance.now() - turn > TURN_MS) {
        this.options.onProgress?.(this.progress(this.#doneShare + machine.progress * weight));
        await new Promise(setImmediate);
        turn = performance.now();
        if (this.isOutOfTime) break;
      }
      outcome = machine.next();
    }
    const complete = outcome === null && machine.beyondBound === 0;
    if (!complete) this.#doneShare += (machine.progress - 1) * weight;
    return this.finish(bench, counts, complete, kills);
  }

  async #walk(kills: readonly Kill[]): Promise<PlanResult> {
    const bench = this.prepare(RandomWalk, kills);
    const { machine } = bench;
    machine.random = randomSource((this.options.seed ?? 1) + kills.length * 7919);
    machine.changes = (this.options.depth ?? 3) - 1;
    const counts = { executions: 0, blocked: 0 };
    // With deaths, the executions are shared out: half to the plan without any, the rest evenly.
    const plans = plansOf(this.options);
    const most = Math.max(1, Math.floor(this.budget * plans.share(kills)));
    let turn = performance.now();
    for (let i = 0; i < most && machine.failure === null; i++) {
      this.count(machine.next(), counts, bench);
      if ((i & 15) === 0 && performance.now() - turn > TURN_MS) {
        this.options.onProgress?.(this.progress((this.executions + 1) / this.budget));
        await new Promise(setImmediate);
        turn = performance.now();
        if (this.isOutOfTime) break;
      }
    }
    return this.finish(bench, counts, false, kills);
  }

  count(
    outcome: Outcome,
    counts: { executions: number; blocked: number },
    bench: Bench<Exhaustive | RandomWalk>,
  ): void {
    if (outcome === 'dropped') return;
    if (outcome === 'blocked') {
      this.blocked++;
      counts.blocked++;
      return;
    }
    this.executions++;
    counts.executions++;
    if (bench.machine.failure !== null) return;
    try {
      bench.check();
    } catch (error) {
      bench.machine.failCheck(error instanceof Error ? error.message : String(error));
    }
  }

  finish(
    bench: Bench<Exhaustive | RandomWalk>,
    counts: { executions: number; blocked: number },
    complete: boolean,
    kills: readonly Kill[],
  ): PlanResult {
    const { machine, memory, labels } = bench;
    const failure =
      machine.failure === null ? null : counterexample(machine, machine.failure, this.model, memory, labels, kills);
    const graphs = machine instanceof Exhaustive ? machine.graphs : counts.executions;
    return { ...counts, graphs, complete, failure, longest: machine.longest };
  }
}

/** The plans of deaths, one after another: none; then each thread at each step, as far as it gets; then pairs. */
export interface Plans {
  first(): Kill[];
  /** The plan after `plan`, which came to `result`; null after the last. */
  next(plan: readonly Kill[], result: PlanResult): Kill[] | null;
  /** An estimate of a plan's share of all the work. */
  share(plan: readonly Kill[]): number;
}

export function plansOf(options: ExploreOptions): Plans {
  const kill = options.kill ?? false;
  if (kill === false) return { first: () => [], next: () => null, share: () => 1 };
  const most = kill === true ? 1 : (kill.count ?? 1);
  const threads = (kill === true ? undefined : kill.threads) ?? options.threads.map((_, t) => t);
  const victims = subsets(threads, most);
  let expected = 16 * threads.length;
  return {
    first: () => [],
    next(plan, result) {
      if (plan.length === 0) {
        expected = Math.max(
          1,
          threads.reduce((sum, t) => sum + result.longest[t]!, 0),
        );
        return victims[0]!.map((thread) => ({ thread, step: 0 }));
      }
      const reached = result.executions + result.blocked > 0;
      return following(plan, reached, victims);
    },
    share: (plan) => (plan.length === 0 ? 0.2 : 0.8 / expected),
  };
}

/** Counts the steps of a plan up, the last victim's first; a victim that was not reached has no further steps. */
function following(plan: readonly Kill[], reached: boolean, victims: number[][]): Kill[] | null {
  const next = plan.map((k) => ({ ...k }));
  if (reached) {
    next[next.length - 1]!.step++;
    return next;
  }
  // The innermost victim has run out. If it never got anywhere, so has the one before it.
  for (let i = next.length - 1; i > 0; i--) {
    const gotNowhere = next[i]!.step === 0;
    next[i]!.step = 0;
    if (!gotNowhere) {
      next[i - 1]!.step++;
      return next;
    }
  }
  const at = victims.findIndex((set) => set.length === plan.length && set.every((t, i) => t === plan[i]!.thread));
  const set = victims[at + 1];
  return set === undefined ? null : set.map((thread) => ({ thread, step: 0 }));
}

function subsets(threads: readonly number[], most: number): number[][] {
  let sets: number[][] = threads.map((t) => [t]);
  const all = [...sets];
  for (let size = 2; size <= most; size++) {
    sets = sets.flatMap((set) => threads.filter((t) => t > set[set.length - 1]!).map((t) => [...set, t]));
    all.push(...sets);
  }
  return all;
}

export async function explore<Context>(options: ExploreOptions<Context>): Promise<ExploreResult> {
  return new Exploration(options as ExploreOptions).run();
}
