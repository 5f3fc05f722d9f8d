import type { Worker } from 'node:worker_threads';
import { spawnWorker } from '../../lib/cli/spawn-worker.ts';
import type { Arena } from '../../lib/index.ts';

export interface Running<Result> {
  readonly worker: Worker;
  /** What the function returned; rejects when the worker fails or ends before. */
  readonly result: Promise<Result>;
  /** Resolves when the worker has ended, however it did, and its arena's reaper has been told. */
  readonly exited: Promise<void>;
}

/** Runs the exported function `name` of `module` on a thread of its own, attached to `arena` and watched. */
export function inThread<Result = unknown>(
  arena: Arena,
  module: string,
  name: string,
  ...args: unknown[]
): Running<Result> {
  const worker = spawnWorker(new URL('./thread.ts', import.meta.url), {
    workerData: { arena: arena.handle, module, name, args },
  });
  arena.watch(worker);
  const exited = new Promise<void>((resolve) => worker.once('exit', () => resolve()));
  const result = new Promise<Result>((resolve, reject) => {
    worker.once('message', (message: { result: Result }) => resolve(message.result));
    worker.once('error', reject);
    worker.once('exit', (code) => reject(new Error(`the thread ended with code ${code}`)));
  });
  result.catch(() => {});
  return { worker, result, exited };
}

/** Waits, on the event loop, until the word holds the value. */
export async function until(arena: Arena, word: number, value: number): Promise<void> {
  for (;;) {
    const seen = Atomics.load(arena.words, word);
    if (seen === value) return;
    await Atomics.waitAsync(arena.words, word, seen, 20).value;
  }
}

/** The error that `call` throws. */
export function thrown(call: () => unknown): Error & { code?: string } {
  try {
    call();
  } catch (error) {
    return error as Error;
  }
  throw new Error('nothing was thrown');
}
