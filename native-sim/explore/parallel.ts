/**
 * Exploration on several worker threads. Functions cannot be sent to a worker, so a program is named by a module and
 * an export: a program, or a function that makes one.
 *
 * A subtree of the search is named by the alternatives that lead to it, so work is handed out as short lists of
 * numbers. The first thread explores until a plan has enough alternatives open, gives each away as one task, and goes on
 * to the next plan; small plans never leave it. In random mode each worker walks with a seed of its own.
 */
import type { Worker } from 'node:worker_threads';
import { spawnWorker, workerEntry } from '../../lib/arena/spawn.ts';
import { Exhaustive } from './exhaustive.ts';
import {
  Exploration,
  type ExploreOptions,
  type ExploreResult,
  type PlanResult,
  type Progress,
  plansOf,
} from './explore.ts';
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

export interface Task {
  kills: readonly Kill[];
  path: number[];
  seed: number;
  executions: number | undefined;
  /** When to stop, on the clock of Date.now(), which all threads share. */
  until: number;
}

export interface TaskResult extends Omit<PlanResult, 'longest'> {}

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

/** What a worker does with a task. */
export async function runTask(program: Program, options: PlainOptions, task: Task): Promise<TaskResult> {
  const limits = {
    ...(task.executions === undefined ? {} : { executions: task.executions }),
    timeLimit: Math.max(1, task.until - Date.now()),
  };
  const exploration = new Exploration({
    ...options,
    ...program,
    ...limits,
    seed: task.seed,
    kill: false,
  } as ExploreOptions);
  const { longest: _, ...result } = await exploration.explorePlan(task.kills, task.path);
  return result;
}

/** Alternatives per worker that make a plan worth sharing. */
const SHARE_FACTOR = 8;
/** Graphs that the first thread looks at before it gives the rest of a plan away. */
const SHARE_AFTER = 2000;

export async function exploreParallel(
  source: ProgramSource,
  options: PlainOptions,
  workers: number,
  onProgress?: (progress: Progress) => void,
): Promise<ExploreResult> {
  const program = await loadProgram(source);
  const exploration = new Exploration({ ...options, ...program } as ExploreOptions);
  const pool = new Pool(source, options, workers);
  const total = { executions: 0, blocked: 0, kills: 0, complete: true };
  let failure: Counterexample | null = null;
  const take = (result: TaskResult) => {
    total.executions += result.executions;
    total.blocked += result.blocked;
    total.complete &&= result.complete;
    failure ??= result.failure;
    exploration.executions = total.executions;
    exploration.blocked = total.blocked;
    onProgress?.(exploration.progress(pool.share));
  };
  const until = Date.now() + (options.timeLimit ?? Number.POSITIVE_INFINITY);
  try {
    if (options.mode === 'random') {
      const each = Math.ceil(exploration.budget / workers);
      const seed = options.seed ?? 1;
      for (let i = 0; i < workers; i++) {
        pool.add({ kills: [], path: [], seed: seed + i * 1_000_003, executions: each, until }, take);
      }
    } else {
      const plans = plansOf({ ...options, ...program } as ExploreOptions);
      for (let plan: Kill[] | null = plans.first(); plan !== null && failure === null; ) {
        const kills = plan;
        const result = begin(exploration, kills, workers);
        if (kills.length > 0 && result.executions > 0) total.kills++;
        take(result);
        for (const path of result.open) pool.add({ kills, path, seed: 1, executions: undefined, until }, take);
        if (exploration.isOutOfTime) {
          total.complete = false;
          break;
        }
        plan = plans.next(kills, result);
      }
    }
    await pool.drain(() => failure !== null);
  } finally {
    await pool.close();
  }
  return exploration.result(total.complete && failure === null, total.kills, failure);
}

/** Explores a plan on this thread until it is done, or proves large; then says what is left. */
function begin(exploration: Exploration, kills: readonly Kill[], workers: number): PlanResult & { open: number[][] } {
  const bench = exploration.prepare(Exhaustive, kills);
  const { machine } = bench;
  const counts = { executions: 0, blocked: 0 };
  let outcome = machine.start() as ReturnType<Exhaustive['next']>;
  while (outcome !== null) {
    exploration.count(outcome, counts, bench);
    if (machine.failure !== null) break;
    if (machine.graphs >= SHARE_AFTER && machine.stack.length >= workers * SHARE_FACTOR) break;
    outcome = machine.next();
  }
  const open = outcome === null || machine.failure !== null ? [] : machine.stack.map((a) => a.path);
  return { ...exploration.finish(bench, counts, machine.beyondBound === 0, kills), open };
}

type Waiting = { task: Task; done: (result: TaskResult) => void };

class Pool {
  readonly #workers: Worker[];
  readonly #idle: Worker[] = [];
  readonly #waiting: Waiting[] = [];
  #added = 0;
  #finished = 0;
  #error: unknown = null;
  #wake: () => void = () => {};
  readonly #running = new Map<Worker, Waiting>();

  constructor(source: ProgramSource, options: PlainOptions, workers: number) {
    this.#workers = Array.from({ length: workers }, () => {
      const worker = spawnWorker(workerEntry('explore'), { name: 'explore', workerData: { source, options } });
      worker.on('message', (message: TaskResult | 'ready') => this.#answered(worker, message));
      worker.on('error', (error) => {
        this.#error = error;
        this.#wake();
      });
      return worker;
    });
  }

  get share(): number {
    return this.#added === 0 ? 0 : this.#finished / this.#added;
  }

  add(task: Task, done: Waiting['done']): void {
    this.#added++;
    this.#waiting.push({ task, done });
    this.#dispatch();
  }

  #answered(worker: Worker, message: TaskResult | 'ready'): void {
    if (message !== 'ready') {
      this.#finished++;
      this.#running.get(worker)!.done(message);
      this.#running.delete(worker);
    }
    this.#idle.push(worker);
    this.#dispatch();
    this.#wake();
  }

  #dispatch(): void {
    while (this.#idle.length > 0 && this.#waiting.length > 0) {
      const worker = this.#idle.pop()!;
      const next = this.#waiting.shift()!;
      this.#running.set(worker, next);
      worker.postMessage(next.task);
    }
  }

  async drain(isOver: () => boolean): Promise<void> {
    while (this.#finished < this.#added && !isOver()) {
      if (this.#error !== null) throw this.#error;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  async close(): Promise<void> {
    await Promise.all(this.#workers.map((worker) => worker.terminate()));
  }
}
