import { HoldfastError } from '../errors.ts';
import type { RwSemaphore } from './rw-semaphore.ts';

/** An RwSemaphore held until `release`, or until the end of the scope that `using` gives it. */
export class RwSemaphoreGuard {
  readonly #lock: RwSemaphore;
  #mode: 'read' | 'write';
  #release: ((mode: 'read' | 'write') => void) | undefined;
  readonly #downgrade: () => void;

  constructor(
    lock: RwSemaphore,
    mode: 'read' | 'write',
    release: (mode: 'read' | 'write') => void,
    downgrade: () => void,
  ) {
    this.#lock = lock;
    this.#mode = mode;
    this.#release = release;
    this.#downgrade = downgrade;
  }

  get mode(): 'read' | 'write' {
    return this.#mode;
  }

  /** Whether a writer died inside: what the lock protects may be half-changed. */
  get ownerDied(): boolean {
    return this.#lock.ownerDied;
  }

  /** See `RwSemaphore.makeConsistent`. */
  makeConsistent(): void {
    this.#lock.makeConsistent();
  }

  /** From writing to reading, with no writer in between. Throws EPERM unless the guard holds the lock for writing. */
  downgrade(): void {
    if (this.#release === undefined || this.#mode === 'read') {
      throw new HoldfastError('EPERM', 'downgrade of a guard that does not hold its lock for writing');
    }
    this.#downgrade();
    this.#mode = 'read';
  }

  /** Unlocks. Throws EPERM when the guard was released before. */
  release(): void {
    const release = this.#release;
    if (release === undefined) throw new HoldfastError('EPERM', 'this guard was released before');
    release(this.#mode);
    this.#release = undefined;
  }

  [Symbol.dispose](): void {
    this.release();
  }
}
