/**
 * Guards: one object for each acquisition, which is over when the guard has released it. A guard that were used again
 * could not tell its own acquisition from the next one.
 */
import { inspect } from 'node:util';
import { HoldfastError, refusePromise, shown } from '../errors.ts';

/** `postMessage` of what has this function in a field stops at it, and the error shows it. */
export const notCloneable = (): string =>
  'an arena, what lives in it, or a guard is a view of one thread: send the .handle of the arena or the lock';

/** What one acquisition holds until `release`, or until the end of the scope that `using` gives the guard. */
export interface Guard {
  /** Gives back what is held. Throws EPERM, and changes nothing, when the guard holds nothing any more. */
  release(): void;
  /** `release` at the end of a scope; does nothing after a `release` inside it. */
  [Symbol.dispose](): void;
}

/** The guard of a lock. After `release` all but `Symbol.dispose` throw EPERM. */
export interface LockGuard extends Guard {
  /** Whether an earlier owner died inside: what the lock protects may be half-changed. */
  readonly ownerDied: boolean;
  /** The holder says that what the lock protects is in order again; as the lock's own `makeConsistent`. */
  makeConsistent(): void;
  /** In a log line, or another JSON text, a guard is what `util.inspect` shows: the lock that it holds. */
  toJSON(): string;
}

/** A lock whose next owner learns that one died. */
export interface RobustLock {
  readonly ownerDied: boolean;
  makeConsistent(): void;
}

/** A lock, or one side of a reader-writer lock, as the guards of synchronous code see it. */
export interface SyncLock extends RobustLock {
  /**
   * Releases what the thread's synchronous code holds, and nothing else: `unlock` would release an asynchronous
   * acquisition of the same thread instead. Throws EPERM, and changes nothing, when that is nothing.
   */
  releaseSync(): void;
}

/**
 * For what synchronous code acquired. No class stands above it: V8 11.3 does not inline the constructor of a derived
 * class with fields, and a pair of acquire and release would take 1.9 times as long as its two compare-and-exchanges.
 */
export class SyncGuard implements LockGuard {
  /** Undefined once `release` was called. Illegal to keep it then: a later `release` would be taken for the first. */
  private lock: SyncLock | undefined;

  constructor(lock: SyncLock) {
    this.lock = lock;
  }

  get ownerDied(): boolean {
    return check(this.lock).ownerDied;
  }

  makeConsistent(): void {
    check(this.lock).makeConsistent();
  }

  release(): void {
    const lock = check(this.lock);
    this.lock = undefined;
    lock.releaseSync();
  }

  [Symbol.dispose](): void {
    if (this.lock !== undefined) this.release();
  }

  toString(): string {
    return guardShown(this.lock);
  }

  toJSON(): string {
    return guardShown(this.lock);
  }

  [inspect.custom](): string {
    return guardShown(this.lock);
  }
}

/** A guard that has to know more than its lock: which task holds it, and how. */
export abstract class TaskGuard<Lock extends RobustLock = RobustLock> implements LockGuard {
  /** Undefined once `release` was called. Illegal to keep it then: a later `release` would be taken for the first. */
  private held: Lock | undefined;

  constructor(lock: Lock) {
    this.held = lock;
  }

  get ownerDied(): boolean {
    return this.lock.ownerDied;
  }

  makeConsistent(): void {
    this.lock.makeConsistent();
  }

  release(): void {
    const { lock } = this;
    this.held = undefined;
    this.releaseLock(lock);
  }

  [Symbol.dispose](): void {
    if (this.isHeld) this.release();
  }

  toString(): string {
    return guardShown(this.held);
  }

  toJSON(): string {
    return guardShown(this.held);
  }

  [inspect.custom](): string {
    return guardShown(this.held);
  }

  protected get isHeld(): boolean {
    return this.held !== undefined;
  }

  /** Throws EPERM after `release`. */
  protected get lock(): Lock {
    return check(this.held);
  }

  /** Releases what this guard's acquisition holds. Throws EPERM, and changes nothing, unless that holds the lock. */
  protected abstract releaseLock(lock: Lock): void;
}

/** For an acquisition that only `releaseIt` knows how to release. */
export class OnceGuard extends TaskGuard {
  readonly #releaseIt: () => void;

  constructor(lock: RobustLock, releaseIt: () => void) {
    super(lock);
    this.#releaseIt = releaseIt;
  }

  protected override releaseLock(): void {
    this.#releaseIt();
  }
}

/** The lock of a guard that still has it. */
function check<Lock>(lock: Lock | undefined): Lock {
  if (lock === undefined) throw releasedBefore();
  return lock;
}

/** `held`: what the guard holds, or undefined. */
export function guardShown(held: unknown): string {
  return held === undefined ? 'Guard(released)' : `Guard of ${inspect(held)}`;
}

export function releasedBefore(): HoldfastError {
  return new HoldfastError('EPERM', 'this guard was released before');
}

/** Refuses what is no function before anything is acquired for it. Throws EINVAL. */
export function checkSection<Section>(section: Section): Section {
  if (typeof section === 'function') return section;
  throw new HoldfastError('EINVAL', `expected a section, a function; received ${shown(section)}`);
}

/** Runs `section` with what `held` holds, which is released however that ends. Throws EINVAL for one that is asynchronous. */
export function runHolding<Held extends Guard, Result>(section: (held: Held) => Result, held: Held): Result {
  try {
    const result = section(held);
    refusePromise('a section of synchronous code', result);
    return result;
  } finally {
    held[Symbol.dispose]();
  }
}

/** `runHolding` for a section that may be asynchronous, with what `acquire` will hold. Rejects with EINVAL for what is no function. */
export async function runHoldingAsync<Held extends Guard, Result>(
  section: (held: Held) => Result | PromiseLike<Result>,
  acquire: () => Promise<Held>,
): Promise<Result> {
  checkSection(section);
  const held = await acquire();
  try {
    return await section(held);
  } finally {
    held[Symbol.dispose]();
  }
}
