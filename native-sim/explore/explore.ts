/**
 * The front door: explores a program, with and without deaths, until it fails, is done, or has used what it was given.
 *
 *     const result = await explore({ model: 'armv8', words: 4, threads: [f, f], check });
 *     if (result.verdict === 'failure') console.log(printCounterexample(result.failure));
 *
 * In an exhaustive search each death (thread 1 stops before its operation 7) is a search of its own, next to the one
 * without. Executions in which the thread never gets that far belong to another and are dropped, so nothing is counted
 * twice. Where executions or time are limited, each gets an even share of what is left. In random mode, executions
 * without deaths show which points there are, and are forked at each of them: what comes before is run once.
 */
import { alterer, weakening } from './alter.ts';
import type { Subtree } from './alternative.ts';
import { Coverage, DeathPlans, type Deaths, deathsOf, type Origin, type Points, pointsOf } from './deaths.ts';
import { fromEventLoop } from './event-loop.ts';
import { Exhaustive } from './exhaustive.ts';
import type { Outcome } from './machine.ts';
import type { ExploreOptions, ExploreResult, Progress } from './options.ts';
import type { ModelName } from './ppo.ts';
import { checkProgram, ExploreError, type Kill, type Program } from './program.ts';
import { RandomWalk, randomSource } from './random.ts';
import { type Counterexample, counterexample } from './report.ts';
import { type Bench, MAX_EVENTS, makeBench } from './session.ts';
import { Sites } from './site.ts';
import { Symmetry } from './symmetry.ts';

/** What one plan came to. */
export interface PlanResult {
  executions: number;
  blocked: number;
  graphs: number;
  complete: boolean;
  failure: Counterexample | null;
  notExcluded: readonly string[];
  /** The part of it that was done, and what of it was not. */
  share: number;
  open: readonly Subtree[];
  /** By thread: the operations of its longest run. */
  longest: readonly number[];
}

/** What a random search came to: `tally` says how often each point was reached at which a thread can die. */
export interface WalkResult extends PlanResult {
  tally: Map<string, number>;
}

/** What one who shares a search out sees of it, now and then. */
export type OnTurn = (machine: Exhaustive) => void;

const TURN_MS = 40;

/** Where a search stops: at so many executions in all, or at a time; and which part of everything it is. */
interface Limits {
  executions: number;
  deadline: number;
  weight: number;
}

export class Exploration {
  readonly options: ExploreOptions;
  readonly model: ModelName;
  readonly sites = new Sites();
  executions = 0;
  blocked = 0;
  /** Some thread has used its `Cpu`. */
  hasOperations = false;
  readonly notExcluded = new Set<string>();
  readonly deaths: Deaths;
  /** The share of all executions that is done. */
  doneShare = 0;
  #started = performance.now();
  #deadline: number;

  constructor(options: ExploreOptions) {
    this.options = options;
    this.model = options.model ?? 'armv8';
    this.deaths = deathsOf(options as Program, options.kill);
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
    if (this.options.mode === 'random') {
      const { complete, failure, tally } = await this.walk();
      return this.result(complete, pointsOf(tally), failure);
    }
    const plans = new DeathPlans(this.deaths);
    let complete = true;
    for (let plan: Kill[] | null = []; plan !== null; plan = plans.next()) {
      // Half of what is given goes to executions without a death.
      const parts = plan.length > 0 ? plans.left + 1 : this.deaths.count > 0 ? 2 : 1;
      const limits = this.#shareOf(parts);
      const result = await this.#search(plan, [], limits);
      // The search has taken back what it did not do.
      this.doneShare += limits.weight;
      complete &&= result.complete;
      plans.done(plan, result);
      if (result.failure !== null) return this.result(false, plans.report(), result.failure);
      if (this.isSpent) break;
    }
    const points = plans.report();
    return this.result(complete && points.missed.length === 0, points, null);
  }

  /** One of `parts` equal parts of the executions and the time that are left. */
  #shareOf(parts: number): Limits {
    const now = performance.now();
    return {
      executions: this.executions + Math.ceil((this.budget - this.executions) / parts),
      deadline: now + (this.#deadline - now) / parts,
      weight: (1 - this.doneShare) / parts,
    };
  }

  /** `complete`: everything that was asked for was done; in random mode that is not all there is. */
  result(complete: boolean, points: Points, failure: Counterexample | null): ExploreResult {
    if (complete && failure === null && !this.hasOperations) {
      throw new ExploreError('explore: no thread has used its Cpu, so nothing was explored');
    }
    const isDone = complete && failure === null;
    const verdict = failure !== null ? 'failure' : isDone ? 'ok' : 'incomplete';
    const share = isDone ? 1 : Math.min(this.doneShare, 1);
    return {
      ...this.progress(share),
      verdict,
      complete: isDone && this.options.mode !== 'random',
      model: this.model,
      kills: points.reached,
      points,
      failure,
      notExcluded: [...this.notExcluded],
    };
  }

  /** A number that tells searches apart: of their first executions. */
  async fingerprint(): Promise<number> {
    const { machine } = this.prepare(Exhaustive, []);
    await fromEventLoop(() => machine.start());
    return machine.g.digest();
  }

  /** One plan, or the part of it below `path`. `onTurn` may take alternatives away. */
  async explorePlan(kills: readonly Kill[], path: readonly number[], onTurn?: OnTurn): Promise<PlanResult> {
    return this.#search(kills, path, this.#shareOf(1), onTurn);
  }

  prepare<M extends Exhaustive | RandomWalk>(
    Machine: Parameters<typeof makeBench<M>>[0],
    kills: readonly Kill[],
  ): Bench<M> {
    const { options } = this;
    const deaths = Machine === RandomWalk ? this.deaths.count : kills.length;
    const bench = makeBench(Machine, options as Program, this.model, kills, options.maxEvents ?? MAX_EVENTS, deaths);
    const alteration = options.alter ?? (options.weaken === undefined ? null : weakening(options.weaken));
    if (bench.machine instanceof Exhaustive) {
      // The execution that is looked at for others may be out of bounds where they are not.
      if (options.mode === 'bounded') bench.machine.bound = options.bound ?? 3;
      else bench.machine.symmetry = this.#symmetry();
    }
    if (alteration !== null) bench.machine.alter = alterer(alteration, this.sites);
    return bench;
  }

  #symmetry(): Symmetry | null {
    const { alike, threads, symmetry = true } = this.options;
    return alike === undefined || !symmetry || this.deaths.count > 0 ? null : new Symmetry(alike, threads.length);
  }

  async #search(kills: readonly Kill[], path: readonly number[], limits: Limits, onTurn?: OnTurn): Promise<PlanResult> {
    const bench = this.prepare(Exhaustive, kills);
    const { machine } = bench;
    const counts = { executions: 0, blocked: 0 };
    const begin = () => (path.length === 0 ? machine.start() : machine.descend(path));
    let outcome = await fromEventLoop(begin);
    /** Goes on for a while; false: that is all. */
    const slice = (): boolean => {
      for (const turn = performance.now(); outcome !== null; outcome = machine.next()) {
        this.count(outcome, counts, bench);
        if (machine.failure !== null || this.executions >= limits.executions) return false;
        if ((machine.graphs & 15) === 0 && performance.now() - turn > TURN_MS) break;
      }
      return outcome !== null;
    };
    while (await fromEventLoop(slice)) {
      this.options.onProgress?.(this.progress(this.doneShare + machine.progress * limits.weight));
      onTurn?.(machine);
      if (performance.now() >= limits.deadline) break;
      outcome = await fromEventLoop(() => machine.next());
    }
    const complete = outcome === null && machine.beyondBound === 0;
    if (!complete) this.doneShare += (machine.progress - 1) * limits.weight;
    return fromEventLoop(() => this.finish(bench, counts, complete, kills));
  }

  /** Random executions without deaths, each forked wherever somebody could die; then again where that was not enough. */
  async walk(): Promise<WalkResult> {
    const bench = this.prepare(RandomWalk, []);
    const { machine } = bench;
    machine.random = randomSource(this.options.seed ?? 1);
    machine.changes = (this.options.depth ?? 3) - 1;
    const walks = new Walks(this, bench);
    const executions = walks.all(this.budget);
    /** Goes on for a while; false: that is all. */
    const slice = (): boolean => {
      for (const turn = performance.now(); performance.now() - turn <= TURN_MS; ) {
        if (executions.next().done === true || machine.failure !== null) return false;
      }
      return true;
    };
    let isDone = true;
    while (isDone && (await fromEventLoop(slice))) {
      this.options.onProgress?.(this.progress(walks.share));
      isDone = !this.isOutOfTime;
    }
    const tally = walks.coverage.tally();
    const complete = isDone && pointsOf(tally).missed.length === 0;
    return { ...(await fromEventLoop(() => this.finish(bench, walks.counts, complete, walks.kills))), tally };
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
    this.hasOperations ||= machine.longest.some((steps) => steps > 0);
    const graphs = machine instanceof Exhaustive ? machine.graphs : counts.executions;
    const notExcluded = machine instanceof Exhaustive ? [...machine.notExcluded] : [];
    for (const name of notExcluded) this.notExcluded.add(name);
    const share = machine instanceof Exhaustive ? machine.progress : 1;
    const open = machine instanceof Exhaustive ? machine.open : [];
    return { ...counts, graphs, complete, failure, notExcluded, share, open, longest: [...machine.longest] };
  }
}

/** Second deaths that are tried after each first one: the points are as many again for each. */
const FORKS_OF_A_FORK = 4;

class Walks {
  readonly counts = { executions: 0, blocked: 0 };
  readonly coverage: Coverage;
  /** The deaths of the current execution. */
  kills: readonly Kill[] = [];
  share = 0;
  readonly #exploration: Exploration;
  readonly #bench: Bench<RandomWalk>;

  constructor(exploration: Exploration, bench: Bench<RandomWalk>) {
    this.#exploration = exploration;
    this.#bench = bench;
    this.coverage = new Coverage(exploration.deaths.walks);
  }

  /** Yields after each execution; whoever asks for the next one has seen no failure. */
  *all(budget: number): Generator<void> {
    const { machine } = this.#bench;
    for (let i = 0; i < budget; i++) {
      this.share = i / budget;
      this.kills = [];
      this.#exploration.count(machine.next(), this.counts, this.#bench);
      yield;
      yield* this.#forks(Number.POSITIVE_INFINITY);
    }
    // What only few executions come by is reached from those that did.
    for (const visits of this.coverage.scarce()) {
      while (!this.coverage.isEnough(visits)) {
        visits.count++;
        this.#fork(visits.origin);
        yield;
      }
    }
  }

  /** Lets somebody die in the execution that has just ended, wherever that has not been seen often enough. */
  *#forks(most: number): Generator<void> {
    const { machine } = this.#bench;
    const victims = this.#exploration.deaths.victims(this.kills);
    if (victims.length === 0) return;
    const points = machine.points(victims, this.kills, machine.g.clone());
    const wanting = points.filter((origin) => !this.coverage.isEnough(this.coverage.visits(origin)));
    // A few, evenly spread: the first would always be the same.
    const stride = Math.max(1, wanting.length / most);
    const start = stride > 1 ? machine.random() * stride : 0;
    for (let at = start; at < wanting.length; at += stride) {
      const origin = wanting[Math.floor(at)]!;
      this.coverage.visits(origin).count++;
      this.#fork(origin);
      yield;
      yield* this.#forks(FORKS_OF_A_FORK);
    }
  }

  #fork(origin: Origin): void {
    this.kills = origin.kills;
    this.#exploration.count(this.#bench.machine.fork(origin), this.counts, this.#bench);
  }
}

export async function explore<Context>(options: ExploreOptions<Context>): Promise<ExploreResult> {
  checkProgram(options as ExploreOptions);
  return new Exploration(options as ExploreOptions).run();
}
