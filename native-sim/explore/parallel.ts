/**
 * Exploration on several worker threads. Functions cannot be sent to a worker, so a program is named by a module and
 * an export: a program, or a function that makes one.
 *
 * A subtree of the search is named by the alternatives that lead to it, so work is handed out as short lists of
 * numbers. A plan of deaths starts as one task; a worker that has nothing to do has another give away half of what
 * that one has open, the alternatives nearest to the start, which are the largest. In random mode each worker walks
 * with a seed of its own.
 */
import type { Worker } from 'node:worker_threads';
import { spawnWorker, workerEntry } from '../../lib/arena/spawn.ts';
import { DeathPlans, type KillOptions, pointsOf } from './deaths.ts';
import type { Subtree } from './exhaustive.ts';
import { Exploration, type ExploreOptions, type ExploreResult, type PlanResult, type Progress } from './explore.ts';
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
  const { executions: _, ...unlimited } = common;
  // Where some plans have deaths no plan makes use of symmetry: from the one without it is known how far each thread gets.
  const symmetry = options.kill ? false : (options.symmetry ?? true);
  const exploration = new Exploration({ ...unlimited, kill: false, symmetry } as ExploreOptions);
  const result = await exploration.explorePlan(task.kills, task.path, (machine) => {
    if (wantsShare()) give(machine.giveAway(SHARED_AT_ONCE));
  });
  return { ...result, tally: new Map() };
}

/** A plan of deaths of which parts are still with workers. */
interface OpenPlan {
  kills: readonly Kill[];
  tasks: number;
  until: number;
  /** Its share of all plans. */
  weight: number;
  outcome: { executions: number; blocked: number; complete: boolean; longest: number[] };
}

export async function exploreParallel(
  source: ProgramSource,
  options: PlainOptions,
  workers: number,
  onProgress?: (progress: Progress) => void,
): Promise<ExploreResult> {
  const program = await loadProgram(source);
  const exploration = new Exploration({ ...options, ...program } as ExploreOptions);
  const pool = new Pool(source, options, workers);
  const until = Date.now() + (options.timeLimit ?? Number.POSITIVE_INFINITY);
  let failure: Counterexample | null = null;
  let complete = true;
  const count = (result: TaskResult): void => {
    exploration.executions += result.executions;
    exploration.blocked += result.blocked;
    exploration.hasOperations ||= result.longest.some((steps) => steps > 0);
    complete &&= result.complete;
    for (const name of result.notExcluded) exploration.notExcluded.add(name);
    failure ??= result.failure;
    onProgress?.(exploration.progress(exploration.doneShare));
  };
  try {
    if (options.mode === 'random') {
      const tally = new Map<string, number>();
      const { count: deaths, walks } = exploration.deaths;
      const kill = deaths > 0 && {
        ...(options.kill === true ? {} : options.kill || {}),
        walks: Math.ceil(walks / workers),
      };
      for (let i = 0; i < workers; i++) {
        const seed = (options.seed ?? 1) + i * 1_000_003;
        const executions = Math.ceil(exploration.budget / workers);
        pool.add({ kind: 'walk', seed, executions, kill, until }, (result) => {
          exploration.doneShare += 1 / workers;
          count(result);
          for (const [point, visits] of result.tally) tally.set(point, (tally.get(point) ?? 0) + visits);
        });
      }
      await pool.drain(() => failure !== null);
      return exploration.result(complete, pointsOf(tally), failure);
    }
    const plans = new DeathPlans(exploration.deaths);
    // When time is up, the workers know it too, and say how far they got.
    const isOver = () => failure !== null || exploration.executions >= exploration.budget;
    const isDone = () => isOver() || Date.now() >= until;
    let open = 0;
    /** The share that the plans make up that were begun. */
    let given = 0;
    const add = (plan: OpenPlan, { path, weight }: Subtree): void => {
      plan.tasks++;
      const done = (result: TaskResult): void => {
        exploration.doneShare += plan.weight * weight * result.share;
        count(result);
        const { outcome } = plan;
        outcome.executions += result.executions;
        outcome.blocked += result.blocked;
        outcome.complete &&= result.complete;
        for (const [t, steps] of result.longest.entries())
          outcome.longest[t] = Math.max(outcome.longest[t] ?? 0, steps);
        if (--plan.tasks > 0) return;
        open--;
        plans.done(plan.kills, outcome);
      };
      const shared = (parts: Subtree[]): void => {
        for (const part of parts) add(plan, { path: part.path, weight: weight * part.weight });
      };
      pool.add({ kind: 'search', kills: plan.kills, path, weight, until: plan.until }, done, shared);
    };
    const begin = (kills: readonly Kill[]): void => {
      open++;
      // Time is shared out: half to executions without a death, the rest evenly.
      const parts =
        kills.length > 0 ? Math.max(1, (plans.left + open) / workers) : exploration.deaths.count > 0 ? 2 : 1;
      const outcome = { executions: 0, blocked: 0, complete: true, longest: [] };
      const planUntil = Date.now() + (until - Date.now()) / parts;
      // As many as are known by now; where later ones are more, the share that is done is too small.
      const weight = (1 - given) / (kills.length > 0 ? plans.left + 1 : parts);
      given += weight;
      add({ kills, tasks: 0, until: planUntil, weight, outcome }, { path: [], weight: 1 });
    };
    begin([]);
    for (;;) {
      await pool.drain(isOver, () => {
        const plan = isDone() ? null : plans.next();
        if (plan !== null) begin(plan);
        return plan !== null;
      });
      if (isDone() || (open === 0 && plans.left === 0)) break;
    }
    const points = plans.report();
    return exploration.result(complete && open === 0 && points.missed.length === 0, points, failure);
  } finally {
    await pool.close();
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
