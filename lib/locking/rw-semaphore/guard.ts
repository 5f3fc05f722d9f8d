import { type RobustLock, TaskGuard } from '../../arena/guard.ts';
import { HoldfastError } from '../../errors.ts';

/** What a guard asks its lock to do for a task; one object for all guards of a lock. */
export interface Letting {
  go(mode: 'read' | 'write', task: number): void;
  downgrade(task: number): void;
}

/** An RwSemaphore held until `release`, or until the end of the scope that `using` gives it. */
export class RwSemaphoreGuard extends TaskGuard {
  readonly #letting: Letting;
  readonly #task: number;
  #mode: 'read' | 'write';

  constructor(lock: RobustLock, letting: Letting, mode: 'read' | 'write', task: number) {
    super(lock);
    this.#letting = letting;
    this.#mode = mode;
    this.#task = task;
  }

  get mode(): 'read' | 'write' {
    return this.#mode;
  }

  /** From writing to reading, with no writer in between. Throws EPERM unless the guard holds the lock for writing. */
  downgrade(): void {
    if (!this.isHeld || this.#mode === 'read') {
      throw new HoldfastError('EPERM', 'downgrade of a guard that does not hold its lock for writing');
    }
    this.#letting.downgrade(this.#task);
    this.#mode = 'read';
  }

  protected override releaseLock(): void {
    this.#letting.go(this.#mode, this.#task);
  }
}
