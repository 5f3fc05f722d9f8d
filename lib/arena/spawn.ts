/**
 * The one way in which holdfast starts a thread of its own.
 *
 * - From the sources an entry is TypeScript, which a bare Worker does not load on all versions of Node: a bootstrap
 *   registers tsx in the new thread first. Of `execArgv` it has the conditions of exports only, so that it resolves what the
 *   application does. It must not inherit `--import tsx`: with it a worker on Node 20 never starts while its parent blocks.
 * - An error that a worker throws and that nobody listens to ends its parent. So each worker has a listener from the
 *   start; one that the caller adds is called as well.
 */
import { existsSync, writeSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { getEnvironmentData, Worker, type WorkerOptions } from 'node:worker_threads';

/** Undefined where a bundler has made a CommonJS module of this one. Bundlers look for files at each `import.meta.url` in `new URL`. */
const HERE: string | undefined = import.meta.url;

/** The package has a constant here, and nothing of what only the sources need: see `scripts/build.ts`. */
const FROM_SOURCE = import.meta.url.endsWith('.ts');

export interface SpawnOptions extends Omit<WorkerOptions, 'eval' | 'execArgv'> {
  /** How debuggers, traces and messages call the thread. */
  name: string;
}

/**
 * Starts a thread from the module at `entry`: a file of this package, TypeScript or JavaScript, or a `data:` URL of
 * JavaScript. `new Worker` needs no event loop: the thread runs although the caller goes on to block.
 */
export function spawnWorker(entry: URL, options: SpawnOptions): Worker {
  const worker = new Worker(FROM_SOURCE && entry.pathname.endsWith('.ts') ? bootstrapOf(entry) : entry, {
    ...options,
    execArgv: conditionsOf(process.execArgv),
  });
  worker.on('error', (error) => {
    // A caller with a listener of its own reports in its own way.
    if (worker.listenerCount('error') === 1) report(`${options.name} failed: ${(error as Error)?.stack ?? error}`);
  });
  return worker;
}

/**
 * The URL of a thread entry in `workers/`, next to this package's `lib/`, in the form that is running. A program that is
 * a bundle, and has the entry elsewhere, says where: `setEnvironmentData('holdfast:NAME', url)`, which workers inherit.
 */
export function workerEntry(name: string): URL {
  const elsewhere = getEnvironmentData(`holdfast:${name}`);
  if (typeof elsewhere === 'string') return new URL(elsewhere);
  return new URL(FROM_SOURCE ? `../../workers/${name}.ts` : `./workers/${name}.js`, HERE);
}

/**
 * `workerEntry`, or undefined when nothing is there: a bundle of the application's, in a file or in memory, left it behind, or is a
 * CommonJS module and does not know where it is.
 */
export function workerEntryIfThere(name: string): URL | undefined {
  const hasFiles = HERE?.startsWith('data:') === false || getEnvironmentData(`holdfast:${name}`) !== undefined;
  const entry = hasFiles ? workerEntry(name) : undefined;
  return entry?.protocol === 'file:' && !existsSync(fileURLToPath(entry)) ? undefined : entry;
}

/** Says it at once, whoever blocks: a worker's console goes through the event loops of its parents. */
export function report(message: string): void {
  tell(`holdfast: ${message}`);
}

/**
 * A line on the standard error stream, if that takes it: a pipe that nobody empties says EAGAIN, a closed one EPIPE. Illegal to
 * throw: slow paths, the reaper and what runs at a thread's end come here.
 */
export function tell(line: string): void {
  try {
    writeSync(2, `${line}\n`);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === undefined) throw error;
  }
}

/** `--conditions=x`, `--conditions x`, `-C x`. */
function conditionsOf(execArgv: readonly string[]): string[] {
  return execArgv.flatMap((argument, i) => {
    if (argument.startsWith('--conditions=')) return [argument];
    return argument === '--conditions' || argument === '-C' ? [`--conditions=${execArgv[i + 1]}`] : [];
  });
}

function bootstrapOf(entry: URL): URL {
  const code = `
    import { register } from ${JSON.stringify(import.meta.resolve('tsx/esm/api'))};
    register();
    await import(${JSON.stringify(entry.href)});
  `;
  return new URL(`data:text/javascript,${encodeURIComponent(code)}`);
}
