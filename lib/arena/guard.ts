import { HoldfastError } from '../errors.ts';

/** What is held until `release`, or until the end of the scope that `using` gives the guard. */
export abstract class Guard {
  /** Gives back what is held. Throws EPERM when it is not held any more. */
  abstract release(): void;

  [Symbol.dispose](): void {
    this.release();
  }
}

/** A lock whose next owner learns that one died. */
export interface RobustLock {
  readonly ownerDied: boolean;
  makeConsistent(): void;
}

/** The guard of a lock. */
export abstract class LockGuard<Lock extends RobustLock = RobustLock> extends Guard {
  protected readonly lock: Lock;

  constructor(lock: Lock) {
    super();
    this.lock = lock;
  }

  /** Whether an earlier owner died inside: what the lock protects may be half-changed. */
  get ownerDied(): boolean {
    return this.lock.ownerDied;
  }

  /** The holder says that what the lock protects is in order again; as the lock's own `makeConsistent`. */
  makeConsistent(): void {
    this.lock.makeConsistent();
  }
}

/**
 * For synchronous code. The lock itself knows whether the thread holds it, so one guard serves all acquisitions, and
 * none is allocated.
 */
export class SyncGuard extends LockGuard<RobustLock & { unlock(): void }> {
  override release(): void {
    this.lock.unlock();
  }
}

/** For one acquisition, which is let go of once. */
export class OnceGuard extends LockGuard {
  #letGo: (() => void) | undefined;

  constructor(lock: RobustLock, letGo: () => void) {
    super(lock);
    this.#letGo = letGo;
  }

  override release(): void {
    const letGo = this.#letGo;
    if (letGo === undefined) throw releasedBefore();
    this.#letGo = undefined;
    letGo();
  }
}

export function releasedBefore(): HoldfastError {
  return new HoldfastError('EPERM', 'this guard was released before');
}
