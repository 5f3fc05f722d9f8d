/**
 * Exploration on several worker threads. Functions cannot be sent to a worker, so a program is named by a module and
 * an export: a program, or a function that makes one.
 *
 * A subtree of the search is named by the alternatives that lead to it, so work is handed out as short lists of
 * numbers. A plan of deaths starts as one task; a worker that has nothing to do has another give away half of what
 * that one has open, the alternatives nearest to the start, which are the largest. In random mode each worker walks
 * with a seed of its own. What is open when time is up can be kept, and gone on with (`checkpoint.ts`).
 */
import type { Worker } from 'node:worker_threads';
import { spawnWorker, workerEntry } from '../../lib/arena/spawn.ts';
import type { Subtree } from './alternative.ts';
import { type Checkpoint, type Checkpointing, checkpointOf, newCheckpoint, type OpenPlan } from './checkpoint.ts';
import { DeathPlans, type KillOptions, pointsOf } from './deaths.ts';
import { Exploration, type PlanResult } from './explore.ts';
import type { ExploreOptions, ExploreResult, Progress } from './options.ts';
import { ExploreError, type Kill, type Program } from './program.ts';
import type { Counterexample } from './report.ts';

export interface ProgramSource {
  /** URL of the module. */
  module: string;
  export: string;
  /** If the export is a function: what it is called with. */
  arguments?: readonly unknown[];
}

/** The options that can be sent to a worker. */
export type PlainOptions = Omit<ExploreOptions, keyof Program | 'weaken' | 'alter' | 'onProgress'>;

/** The part of a plan below `path`, `weight` of all of it; or random walks. `until` is on the clock of Date.now(), which all threads share. */
export type Task =
  | { kind: 'search'; kills: readonly Kill[]; path: number[]; weight: number; until: number }
  | { kind: 'walk'; seed: number; executions: number; kill: KillOptions | false; until: number };

export interface TaskResult extends Omit<PlanResult, 'longest'> {
  longest: readonly number[];
  /** Of random walks: how often each point was reached at which a thread can die. */
  tally: Map<string, number>;
}

export type ToWorker = Task | 'share';
/** A worker's result; subtrees that it gives away; or that it is there. */
export type FromWorker = { result: TaskResult } | { open: Subtree[] } | 'ready';

export async function loadProgram(source: ProgramSource): Promise<Program & Partial<PlainOptions>> {
  const exports = (await import(source.module)) as Record<string, unknown>;
  const found = exports[source.export];
  const program =
    typeof found === 'function' ? (found as (...a: unknown[]) => unknown)(...(source.arguments ?? [])) : found;
  if (typeof program !== 'object' || program === null || !Array.isArray((program as Program).threads)) {
    throw new ExploreError(
      `${source.module} has no export ${source.export} that is a program ({ words, threads, ... }) or makes one; it exports ${Object.keys(exports).join(', ')}`,
    );
  }
  return program as Program;
}

/** Subtrees that a worker gives away at once. */
const SHARED_AT_ONCE = 8;

/** What a worker does with a task. `wantsShare` says whether somebody waits for a part of it, which `give` takes. */
export async function runTask(
  program: Program,
  options: PlainOptions,
  task: Task,
  wantsShare: () => boolean,
  give: (parts: Subtree[]) => void,
): Promise<TaskResult> {
  const timeLimit = Math.max(1, task.until - Date.now());
  const common = { ...options, ...program, timeLimit };
  if (task.kind === 'walk') {
    const { seed, executions, kill } = task;
    return new Exploration({ ...common, seed, executions, kill } as ExploreOptions).walk();
  }
  // It has waited for a worker until its time was up.
  if (task.path.length > 0 && Date.now() >= task.until) return untouched(task.path);
  const { executions: _, ...unlimited } = common;
  // Where some plans have deaths no plan makes use of symmetry: from the one without it is known how far each thread gets.
  const symmetry = options.kill ? false : (options.symmetry ?? true);
  const exploration = new Exploration({ ...unlimited, kill: false, symmetry } as ExploreOptions);
  const result = await exploration.explorePlan(task.kills, task.path, (machine) => {
    if (wantsShare()) give(machine.giveAway(SHARED_AT_ONCE));
  });
  return { ...result, tally: new Map() };
}

function untouched(path: number[]): TaskResult {
  const nothing = { executions: 0, blocked: 0, graphs: 0, share: 0, failure: null, notExcluded: [], longest: [] };
  return { ...nothing, complete: false, open: [{ path, weight: 1 }], tally: new Map() };
}

/** A plan of deaths of which parts are still with workers. */
interface RunningPlan extends OpenPlan {
  tasks: number;
  readonly until: number;
}

/** `checkpointing`: goes on from where another call's time was up, and says where its own was. For searches with a `timeLimit`. */
export async function exploreParallel(
  source: ProgramSource,
  options: PlainOptions,
  workers: number,
  onProgress?: (progress: Progress) => void,
  checkpointing?: Checkpointing,
): Promise<ExploreResult> {
  const program = await loadProgram(source);
  const exploration = new Exploration({ ...options, ...program } as ExploreOptions);
  if (checkpointing !== undefined) checkCheckpointing(options);
  const search = checkpointing === undefined ? '' : await describeSearch(source, options, exploration);
  const from = checkpointing?.from === undefined ? undefined : checkpointOf(checkpointing.from, search);
  const pool = new Pool(source, options, workers);
  try {
    const shared = new SharedSearch(exploration, pool, workers, onProgress);
    if (options.mode === 'random') return await shared.walk();
    const result = await shared.search(from);
    checkpointing?.save(result.verdict === 'incomplete' ? newCheckpoint(search, shared.state) : undefined);
    return result;
  } finally {
    await pool.close();
  }
}

function checkCheckpointing({ mode, timeLimit, executions }: PlainOptions): void {
  if (mode === 'random') throw new ExploreError('explore: random walks have no checkpoint; go on with another seed');
  if (timeLimit === undefined || executions !== undefined) {
    throw new ExploreError(
      'explore: a checkpoint is made when time is up; expected a time limit, and none of executions',
    );
  }
}

/** Of the options those that make another search of it; and the first execution, which another program seldom shares. */
async function describeSearch(source: ProgramSource, options: PlainOptions, exploration: Exploration): Promise<string> {
  const { timeLimit: _, ...others } = options;
  return JSON.stringify([source.export, source.arguments ?? [], others, await exploration.fingerprint()]);
}

/** A search of which workers have the parts. */
class SharedSearch {
  readonly #exploration: Exploration;
  readonly #pool: Pool;
  readonly #workers: number;
  readonly #onProgress: ((progress: Progress) => void) | undefined;
  readonly #until: number;
  #plans: DeathPlans;
  readonly #running = new Set<RunningPlan>();
  /** Time was up for parts of these. */
  readonly #left: RunningPlan[] = [];
  #failure: Counterexample | null = null;
  #isFull = true;
  /** The share that the plans make up that were begun. */
  #given = 0;

  constructor(
    exploration: Exploration,
    pool: Pool,
    workers: number,
    onProgress: ((progress: Progress) => void) | undefined,
  ) {
    this.#exploration = exploration;
    this.#pool = pool;
    this.#workers = workers;
    this.#onProgress = onProgress;
    this.#until = Date.now() + (exploration.options.timeLimit ?? Number.POSITIVE_INFINITY);
    this.#plans = new DeathPlans(exploration.deaths);
  }

  async walk(): Promise<ExploreResult> {
    const exploration = this.#exploration;
    const { options } = exploration;
    const workers = this.#workers;
    const tally = new Map<string, number>();
    const { count: deaths, walks } = exploration.deaths;
    const kill = deaths > 0 && {
      ...(options.kill === true ? {} : options.kill || {}),
      walks: Math.ceil(walks / workers),
    };
    for (let i = 0; i < workers; i++) {
      const seed = (options.seed ?? 1) + i * 1_000_003;
      const executions = Math.ceil(exploration.budget / workers);
      this.#pool.add({ kind: 'walk', seed, executions, kill, until: this.#until }, (result) => {
        exploration.doneShare += 1 / workers;
        this.#count(result);
        for (const [point, visits] of result.tally) tally.set(point, (tally.get(point) ?? 0) + visits);
      });
    }
    await this.#pool.drain(() => this.#failure !== null);
    return exploration.result(this.#isFull, pointsOf(tally), this.#failure);
  }

  async search(from: Checkpoint | undefined): Promise<ExploreResult> {
    const exploration = this.#exploration;
    // When time is up, the workers know it too, and say how far they got.
    const isOver = () => this.#failure !== null || exploration.executions >= exploration.budget;
    const isDone = () => isOver() || Date.now() >= this.#until;
    if (from === undefined) this.#begin([]);
    else this.#goOn(from);
    for (;;) {
      await this.#pool.drain(isOver, () => {
        const plan = isDone() ? null : this.#plans.next();
        if (plan !== null) this.#begin(plan);
        return plan !== null;
      });
      if (isDone() || (this.#running.size === 0 && this.#plans.left === 0)) break;
    }
    const points = this.#plans.report();
    const isComplete = this.#isFull && this.#running.size + this.#left.length === 0 && points.missed.length === 0;
    return exploration.result(isComplete, points, this.#failure);
  }

  /** Once a search is over that was neither complete nor failed. */
  get state(): Omit<Checkpoint, 'format' | 'search'> {
    const { executions, blocked, doneShare, notExcluded } = this.#exploration;
    return {
      executions,
      blocked,
      share: doneShare,
      given: this.#given,
      isFull: this.#isFull,
      notExcluded: [...notExcluded],
      plans: this.#plans.state,
      open: this.#left.map(({ kills, weight, outcome, open }) => ({ kills, weight, outcome, open })),
    };
  }

  #goOn(from: Checkpoint): void {
    const exploration = this.#exploration;
    exploration.executions = from.executions;
    exploration.blocked = from.blocked;
    exploration.doneShare = from.share;
    exploration.hasOperations = true;
    for (const name of from.notExcluded) exploration.notExcluded.add(name);
    this.#given = from.given;
    this.#isFull = from.isFull;
    this.#plans = new DeathPlans(exploration.deaths, from.plans);
    // The plans that were begun have their part of the time together, and those that were not have the rest.
    const part = from.open.length / Math.max(1, from.open.length + this.#plans.left);
    const until = Date.now() + (this.#until - Date.now()) * part;
    for (const { kills, weight, outcome, open } of from.open) {
      const plan = { kills, weight, until, tasks: 0, open: [], outcome: { ...outcome } };
      this.#running.add(plan);
      for (const subtree of open) this.#add(plan, subtree);
    }
    // There must be something to wait for until the workers are there.
    const next = from.open.length === 0 ? this.#plans.next() : null;
    if (next !== null) this.#begin(next);
  }

  #begin(kills: readonly Kill[]): void {
    const { deaths } = this.#exploration;
    const left = this.#plans.left;
    // Time is shared out: half to executions without a death, the rest evenly.
    const parts =
      kills.length > 0 ? Math.max(1, (left + this.#running.size + 1) / this.#workers) : deaths.count > 0 ? 2 : 1;
    const outcome = { executions: 0, blocked: 0, complete: true, longest: [] };
    const until = Date.now() + (this.#until - Date.now()) / parts;
    // As many as are known by now; where later ones are more, the share that is done is too small.
    const weight = (1 - this.#given) / (kills.length > 0 ? left + 1 : parts);
    this.#given += weight;
    const plan = { kills, tasks: 0, until, weight, outcome, open: [] };
    this.#running.add(plan);
    this.#add(plan, { path: [], weight: 1 });
  }

  #add(plan: RunningPlan, { path, weight }: Subtree): void {
    plan.tasks++;
    const task = { kind: 'search', kills: plan.kills, path, weight, until: plan.until } as const;
    const done = (result: TaskResult) => this.#done(plan, weight, result);
    this.#pool.add(task, done, (parts) => {
      for (const part of parts) this.#add(plan, { path: part.path, weight: weight * part.weight });
    });
  }

  #done(plan: RunningPlan, weight: number, result: TaskResult): void {
    this.#exploration.doneShare += plan.weight * weight * result.share;
    this.#count(result);
    const { outcome, open } = plan;
    outcome.executions += result.executions;
    outcome.blocked += result.blocked;
    outcome.complete &&= result.complete || result.open.length > 0;
    for (const [t, steps] of result.longest.entries()) outcome.longest[t] = Math.max(outcome.longest[t] ?? 0, steps);
    for (const part of result.open) open.push({ path: part.path, weight: weight * part.weight });
    if (--plan.tasks > 0) return;
    this.#running.delete(plan);
    if (open.length > 0) this.#left.push(plan);
    this.#plans.done(plan.kills, { ...outcome, complete: outcome.complete && open.length === 0 });
  }

  #count(result: TaskResult): void {
    const exploration = this.#exploration;
    exploration.executions += result.executions;
    exploration.blocked += result.blocked;
    exploration.hasOperations ||= result.longest.some((steps) => steps > 0);
    this.#isFull &&= result.complete || result.open.length > 0;
    for (const name of result.notExcluded) exploration.notExcluded.add(name);
    this.#failure ??= result.failure;
    this.#onProgress?.(exploration.progress(exploration.doneShare));
  }
}

interface Waiting {
  task: Task;
  done: (result: TaskResult) => void;
  shared: (parts: Subtree[]) => void;
}

class Pool {
  readonly #workers: Worker[];
  readonly #idle: Worker[] = [];
  readonly #waiting: Waiting[] = [];
  readonly #running = new Map<Worker, Waiting>();
  /** Workers that have been asked to give something away. */
  readonly #asked = new Set<Worker>();
  #added = 0;
  #finished = 0;
  #error: unknown = null;
  #wake: () => void = () => {};

  constructor(source: ProgramSource, options: PlainOptions, workers: number) {
    this.#workers = Array.from({ length: workers }, () => {
      const worker = spawnWorker(workerEntry('explore'), { name: 'explore', workerData: { source, options } });
      worker.on('message', (message: FromWorker) => this.#answered(worker, message));
      worker.on('error', (error) => {
        this.#error = error;
        this.#wake();
      });
      return worker;
    });
  }

  add(task: Task, done: Waiting['done'], shared: Waiting['shared'] = () => {}): void {
    this.#added++;
    this.#waiting.push({ task, done, shared });
    this.#dispatch();
  }

  #answered(worker: Worker, message: FromWorker): void {
    if (message === 'ready') this.#idle.push(worker);
    else if ('open' in message) {
      this.#asked.delete(worker);
      this.#running.get(worker)!.shared(message.open);
    } else {
      const { done } = this.#running.get(worker)!;
      this.#finished++;
      this.#running.delete(worker);
      this.#asked.delete(worker);
      this.#idle.push(worker);
      done(message.result);
    }
    this.#dispatch();
    this.#wake();
  }

  #dispatch(): void {
    while (this.#idle.length > 0 && this.#waiting.length > 0) {
      const worker = this.#idle.pop()!;
      const next = this.#waiting.shift()!;
      this.#running.set(worker, next);
      this.#send(worker, next.task);
    }
  }

  #send(worker: Worker, message: ToWorker): void {
    worker.postMessage(message);
  }

  /** Returns when all tasks are done, or it is over. `more` adds a task, if there is one, for a worker that is idle. */
  async drain(isOver: () => boolean, more: () => boolean = () => false): Promise<void> {
    while (!isOver()) {
      if (this.#error !== null) throw this.#error;
      while (this.#idle.length > 0 && more());
      if (this.#finished === this.#added) return;
      if (this.#idle.length > 0) this.#askForWork();
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  #askForWork(): void {
    for (const [worker, { task }] of this.#running) {
      if (task.kind !== 'search' || this.#asked.has(worker)) continue;
      this.#asked.add(worker);
      this.#send(worker, 'share');
    }
  }

  async close(): Promise<void> {
    await Promise.all(this.#workers.map((worker) => worker.terminate()));
  }
}
