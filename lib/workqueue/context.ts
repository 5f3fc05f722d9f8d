import type { Arena } from '../arena/arena.ts';
import { HoldfastError } from '../errors.ts';
import { Item, Pwq } from './layout.ts';
import type { WorkFunction } from './work.ts';

/** What a function that runs as work can know about its call. */
export class WorkContext {
  /** The arena of the queue, in which the worker is attached: locks and queues are opened there by their names. */
  readonly arena: Arena;
  readonly #item: number;
  #control: AbortController | undefined;

  /** @internal */
  constructor(arena: Arena, item: number) {
    this.arena = arena;
    this.#item = item;
  }

  /** Whether the caller has given up: a word in shared memory, for a function that computes without a pause. */
  get aborted(): boolean {
    return this.arena.cpu.load(this.#item + Item.aborted) !== 0;
  }

  /** Aborts when the caller gives up, for a function that awaits. */
  get signal(): AbortSignal {
    this.#control ??= new AbortController();
    this.tell();
    return this.#control.signal;
  }

  /** @internal The item that it is a call of, if that is in the arena; else 0. */
  itemIn(arena: Arena): number {
    return this.arena.id === arena.id ? this.#item : 0;
  }

  /** @internal On the worker's event loop: `signal` aborts if it is to. */
  tell(): void {
    if (this.#control !== undefined && !this.#control.signal.aborted && this.aborted) this.#control.abort();
  }
}

/** Of all copies of the package in this thread: the worker may run another one than the function's module imports. */
const KEY = Symbol.for('holdfast.work.context');
const shared = globalThis as { [KEY]?: { context: WorkContext | undefined } };
// An object of its own: the global one is a dictionary, which takes ten times as long to read.
shared[KEY] ??= { context: undefined };
const host = shared[KEY];

/**
 * The call that the calling code is part of. Only in the synchronous part of the function, before its first `await`: a function
 * that awaits keeps it in a variable. Throws EINVAL elsewhere.
 */
export function currentWork(): WorkContext {
  const current = host.context;
  if (current === undefined)
    throw new HoldfastError('EINVAL', 'no work runs here: ask before the first await of its function');
  return current;
}

/** Whether the calling code is the synchronous part of a call of that workqueue. */
export function isInWorkOf(arena: Arena, wq: number): boolean {
  const item = currentItem(arena);
  const { cpu } = arena;
  return item !== 0 && cpu.read(cpu.load(item + Item.pwq) + Pwq.workqueue) === wq;
}

/** The item whose function the calling code is the synchronous part of, in that arena; or 0. */
export function currentItem(arena: Arena): number {
  return host.context?.itemIn(arena) ?? 0;
}

/** Calls `run` with `args`, for which `currentWork` is `context`. */
export function withContext(context: WorkContext, run: WorkFunction, args: unknown[]): unknown {
  const outer = host.context;
  host.context = context;
  try {
    return run(...args);
  } finally {
    host.context = outer;
  }
}
