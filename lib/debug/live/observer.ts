/**
 * The observer: a thread of its own that answers `holdfastHandler`'s requests, and so still does when the program's threads are
 * blocked, the main thread too. It is the calling thread's worker, keeps nobody alive, and ends with its parent.
 */
import { once } from 'node:events';
import type { Worker } from 'node:worker_threads';
import type { Arena, ArenaHandle } from '../../arena/arena.ts';
import { spawnWorker, workerEntryIfThere } from '../../arena/spawn.ts';
import { HoldfastError, shown } from '../../errors.ts';
import { type LiveOptions, wantsProfile } from './options.ts';

export interface ObserverOptions extends LiveOptions {
  /** 0, the default, takes one that is free. */
  port?: number | undefined;
  /** The address to listen on. Default '127.0.0.1': nobody from outside. */
  host?: string | undefined;
}

/** A running observer. */
export interface Observer extends AsyncDisposable {
  /** Where it answers, such as `http://127.0.0.1:9230/`. */
  readonly url: string;
  /** Ends the thread, and its profile. Resolves when it has. */
  close(): Promise<void>;
}

/** What an observer is started with. */
export interface ObserverData {
  readonly arena: ArenaHandle;
  readonly port: number;
  readonly host: string;
  readonly profile: boolean;
}

/** What it says to its parent: where it listens, or why it does not. */
export type ObserverReport = { readonly url: string } | { readonly code: string; readonly message: string };

/**
 * Starts a thread that serves what goes on in the arena by HTTP; see `holdfastHandler` for the paths, and `holdfast top URL` for
 * a terminal. It takes one of the arena's places for threads.
 *
 * Rejects with EINVAL for options that can't be, EAGAIN when all places are taken, ENOMEM when there is no room for a profile's tables, ENOSYS in a bundle of the application's, which
 * has left the thread's entry behind, and what the system says, such as EADDRINUSE or EACCES.
 */
export async function observe(arena: Arena, options: ObserverOptions = {}): Promise<Observer> {
  const worker = startObserver(arena, options);
  // An error that ends it has been told by then, and is no error of this thread.
  const ended = new Promise<void>((resolve) => worker.once('exit', () => resolve()));
  const said = await Promise.race([
    once(worker, 'message').then(([report]) => report as ObserverReport),
    once(worker, 'exit').then(([code]) => ({ code: 'ECHILD', message: `the observer ended with code ${code}` })),
  ]);
  if (!('url' in said)) throw Object.assign(new Error(said.message), { code: said.code });
  worker.unref();
  const close = async () => {
    worker.ref();
    worker.postMessage('close');
    await ended;
  };
  return { url: said.url, close, [Symbol.asyncDispose]: close };
}

function startObserver(arena: Arena, options: ObserverOptions): Worker {
  if (typeof arena?.thread?.current !== 'function') {
    throw new HoldfastError('EINVAL', `observe() expects an Arena, received ${shown(arena)}`);
  }
  arena.thread.current();
  const profile = wantsProfile(options, ['port', 'host']);
  const { port = 0, host = '127.0.0.1' } = options;
  if (!Number.isInteger(port) || port < 0 || port > 65535) {
    throw new HoldfastError('EINVAL', `a port is a whole number from 0 to 65535; received ${shown(port)}`);
  }
  if (typeof host !== 'string' || host === '') {
    throw new HoldfastError('EINVAL', `host is an address to listen on, such as '127.0.0.1'; received ${shown(host)}`);
  }
  const entry = workerEntryIfThere('observer');
  if (entry === undefined) {
    throw new HoldfastError(
      'ENOSYS',
      "holdfast's workers/observer.js is not there: let holdfast be external to the bundle",
    );
  }
  const workerData: ObserverData = { arena: arena.handle, port, host, profile };
  const worker = spawnWorker(entry, { name: 'holdfast observer', workerData });
  arena.watch(worker);
  return worker;
}
