/** Runs spread over worker threads: each takes the next when it has finished one. Results come in the order of the jobs. */
import type { Worker } from 'node:worker_threads';
import { spawnWorker, workerEntry } from '../../lib/arena/spawn.ts';
import { SimError } from '../machine/profile.ts';
import { checkRun, type RunOptions, type RunResult, runLock } from './laboratory.ts';

export interface Job {
  at: number;
  options: RunOptions;
}

export type Answer = { at: number; result: RunResult } | { at: number; error: string };

export function answer({ at, options }: Job): Answer {
  try {
    return { at, result: runLock(options) };
  } catch (thrown) {
    return { at, error: thrown instanceof Error ? thrown.message : String(thrown) };
  }
}

const MOST_WORKERS = 1024;

/**
 * `onResult` is told how many runs are done. Throws SimError before any run where one of them cannot be, and else the first
 * error, once the workers have stopped.
 */
export async function runAll(
  runs: readonly RunOptions[],
  workers: number,
  onResult: (done: number, result: RunResult) => void = () => {},
): Promise<RunResult[]> {
  if (!Number.isInteger(workers) || workers < 1 || workers > MOST_WORKERS)
    throw new SimError(`workers must be a whole number from 1 to ${MOST_WORKERS}; received ${workers}`);
  for (const run of runs) checkRun(run);
  const results: RunResult[] = new Array(runs.length);
  if (workers === 1 || runs.length <= 1) {
    for (const [at, options] of runs.entries()) onResult(at + 1, (results[at] = runLock(options)));
    return results;
  }
  let next = 0;
  let done = 0;
  const threads: Worker[] = [];
  try {
    await new Promise<void>((resolve, reject) => {
      const give = (worker: Worker): void => {
        if (next < runs.length) worker.postMessage({ at: next, options: runs[next++]! } satisfies Job);
      };
      for (let number = 0; number < Math.min(workers, runs.length); number++) {
        const worker = spawnWorker(workerEntry('sim'), { name: `sim/${number}` });
        threads.push(worker);
        worker.on('error', reject);
        worker.on('message', (said: Answer) => {
          if ('error' in said) return reject(new Error(said.error));
          results[said.at] = said.result;
          onResult(++done, said.result);
          if (done === runs.length) resolve();
          else give(worker);
        });
        give(worker);
      }
    });
  } finally {
    await Promise.all(threads.map((worker) => worker.terminate()));
  }
  return results;
}
