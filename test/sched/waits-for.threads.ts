import {
  type Arena,
  HoldfastError,
  Mutex,
  PercpuRwSemaphore,
  PthreadCond,
  PthreadMutex,
  PthreadRwlock,
  RtMutex,
  RwSemaphore,
  Semaphore,
  type WaitOptions,
} from '../../lib/index.ts';
import { arrive, awaitArrivals } from '../support/stage.ts';

const TAKE = {
  mutex: (arena: Arena, name: string, options?: WaitOptions) => new Mutex(arena, name).acquire(options),
  'rt-mutex': (arena: Arena, name: string, options?: WaitOptions) => new RtMutex(arena, name).acquire(options),
  'pthread mutex': (arena: Arena, name: string, options?: WaitOptions) =>
    new PthreadMutex(arena, name).acquire(options),
  'rw-semaphore': (arena: Arena, name: string, options?: WaitOptions) =>
    new RwSemaphore(arena, name).acquireWrite(options),
  reader: (arena: Arena, name: string, options?: WaitOptions) => new RwSemaphore(arena, name).acquireRead(options),
  'percpu-rw-semaphore': (arena: Arena, name: string, options?: WaitOptions) =>
    new PercpuRwSemaphore(arena, name).acquireWrite(options),
  semaphore: (arena: Arena, name: string, options?: WaitOptions) => new Semaphore(arena, name).acquire(options),
};

export type TakenKind = keyof typeof TAKE;

export function take(arena: Arena, [kind, name]: readonly [TakenKind, string], options?: WaitOptions) {
  return TAKE[kind](arena, name, options);
}

/**
 * Takes `first`, says so at `stage`, waits until `threads` have, and goes for `second`; the message of the error it
 * gets instead, if any.
 */
export function takeTwo(
  arena: Arena,
  first: readonly [TakenKind, string],
  second: readonly [TakenKind, string],
  stage: number,
  threads: number,
  options?: WaitOptions,
): string {
  const held = take(arena, first);
  arrive(arena, stage);
  awaitArrivals(arena, stage, threads);
  try {
    return outcomeOf(arena, second, options);
  } finally {
    held.release();
  }
}

/** Signals the condition, and goes for `second` while it still holds the mutex that goes with it. */
export function signalAndTake(arena: Arena, mutex: string, cond: string, second: string, options: WaitOptions): string {
  const held = new PthreadMutex(arena, mutex).acquire();
  try {
    new PthreadCond(arena, cond).signal();
    return outcomeOf(arena, ['mutex', second], options);
  } finally {
    held.release();
  }
}

const READABLE = { RwSemaphore, PercpuRwSemaphore, PthreadRwlock };

export type Readable = keyof typeof READABLE;

export function readable(arena: Arena, kind: Readable): RwSemaphore | PercpuRwSemaphore | PthreadRwlock {
  return new READABLE[kind](arena, 'read');
}

/** Reads asynchronously, and goes for the mutex `second` with that guard in its hand. */
export async function readAndTake(arena: Arena, kind: Readable, second: string): Promise<void> {
  const held = await readable(arena, kind).acquireReadAsync();
  new Mutex(arena, second).acquire().release();
  held.release();
}

/** 'taken', or the message of the error. */
function outcomeOf(arena: Arena, which: readonly [TakenKind, string], options?: WaitOptions): string {
  try {
    take(arena, which, options).release();
    return 'taken';
  } catch (error) {
    if (error instanceof HoldfastError) return error.message;
    throw error;
  }
}
