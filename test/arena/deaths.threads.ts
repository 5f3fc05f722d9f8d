import { Arena, type ArenaHandle, Mutex } from '../../lib/index.ts';
import { sayAndStay } from '../support/stage.ts';
import { inThread } from '../support/threads.ts';

const HERE = import.meta.url;

/** Takes the mutex "m", says so, and stays. */
export function hold(arena: Arena, ready: number): Promise<never> {
  new Mutex(arena, 'm').lock();
  return sayAndStay(arena, ready);
}

/** Starts and watches a worker of its own that holds the mutex. */
export function startHolder(arena: Arena, ready: number): Promise<never> {
  inThread(arena, HERE, 'hold', ready);
  return new Promise(() => {});
}

/** Attaches to all of them. Returns how many listeners wait for this thread's end. */
export function attachAll(_arena: Arena, ...handles: ArenaHandle[]): number {
  const arenas = handles.map((handle) => Arena.attach(handle));
  return arenas.length === handles.length ? process.listenerCount('exit') : -1;
}
