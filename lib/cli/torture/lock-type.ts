/**
 * What the torture run knows about a kind of lock. Another kind is one small file under `types/`, and a line in
 * `lock-types.ts`.
 */
import type { Arena } from '../../sched/arena.ts';
import type { AsyncWaitOptions } from '../../sched/drive.ts';
import type { Mortal } from './section.ts';

/** Whether the holder has the lock to itself, or shares it with other readers. */
export type Mode = 'write' | 'read';

/** One thread's view of the lock under test. */
export interface View extends Mortal {
  /** Waits for the lock, `timeout` ms if the type has timeouts; false when the lock is one that gives up. */
  lock(mode: Mode, timeout: number | undefined): boolean;
  unlock(mode: Mode): void;
  /** For types that have `hasTry`. */
  tryLock?(mode: Mode): boolean;
  /** For types that can be acquired on an event loop. Resolves to what releases the lock. */
  lockAsync?(mode: Mode, options: AsyncWaitOptions): Promise<() => void>;
  /** Whether somebody holds it. Without, the run looks who is in the section, which comes later. */
  readonly isTaken?: boolean;
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
  /** Makes a lock; what comes back is structured-cloneable, for `open` on other threads. */
  create(arena: Arena): unknown;
  open(arena: Arena, handle: unknown): View;
}
