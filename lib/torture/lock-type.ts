/**
 * What the torture run knows about a kind of lock. Another kind is one small file under `types/`, and a line in
 * `lock-types.ts`.
 */

import type { Arena } from '../arena/arena.ts';
import { HoldfastError } from '../errors.ts';
import type { AsyncWaitOptions, WaitOptions } from '../sched/drive.ts';
import type { Mortal } from './section.ts';
import type { Scene } from './words.ts';

/** Whether the holder has the lock to itself, or shares it with other readers. */
export type Mode = 'write' | 'read';

/** One thread's view of the lock under test. */
export interface View extends Mortal {
  /** Waits for the lock, `timeout` ms if the type has timeouts; false when the lock is one that gives up. */
  lock(mode: Mode, timeout: number | undefined): boolean;
  unlock(mode: Mode): void;
  /** For types that have `hasTry`, and for the look at the end where one alone cannot have the lock. */
  tryLock?(mode: Mode): boolean;
  /** For types that can be acquired on an event loop. Resolves to what releases the lock. */
  lockAsync?(mode: Mode, options: AsyncWaitOptions): Promise<() => void>;
  /** Whether somebody holds it. Without, the run looks who is in the section, which comes later. */
  readonly isTaken?: boolean;
  /** Does what a program does when one of its threads has died. Called once for each, by the director. */
  afterDeath?(): void;
  /** What the run has measured beside times: lines for people. Asked for at the end. */
  notes?(): readonly string[];
  /** Frees the lock. Throws when it is in use. */
  destroy(): void;
}

export interface LockType {
  readonly name: string;
  /** One line for `--list`. */
  readonly summary: string;
  /** A twin with a bug, for the torture to find. */
  readonly isBusted: boolean;
  readonly modes: readonly Mode[];
  /** Whether it tells the next owner of a dead one; see `Mortal`. */
  readonly isRobust: boolean;
  readonly isAsync: boolean;
  readonly hasTry: boolean;
  readonly hasTimeouts: boolean;
  /** The longest hold, us. */
  readonly longHold: number;
  /** Threads of the library's own that it makes, beside kthreadd. @default 0 */
  readonly systemThreads?: number;
  /** What its arena has, bytes. @default 4 MiB */
  readonly bytes?: number;
  /** Makes a lock; what comes back is structured-cloneable, for `open` on other threads. */
  create(arena: Arena, scene: Scene): unknown;
  open(arena: Arena, handle: unknown): View;
}

/** What a lock that sleeps can do when it can do everything. */
export const SLEEPING = {
  isBusted: false,
  modes: ['write'],
  isRobust: true,
  isAsync: true,
  hasTry: true,
  hasTimeouts: true,
  longHold: 5000,
} satisfies Partial<LockType>;

/** What a lock whose waiters spin can do. */
export const SPINNING = {
  ...SLEEPING,
  isAsync: false,
  hasTimeouts: false,
  longHold: 500,
} satisfies Partial<LockType>;

/** The options of a wait of `timeout` ms; fast paths are for those who give none. */
export function within(timeout: number | undefined): WaitOptions | undefined {
  return timeout === undefined ? undefined : { timeout };
}

export function isTimeout(error: unknown): boolean {
  return error instanceof HoldfastError && error.code === 'ETIMEDOUT';
}
