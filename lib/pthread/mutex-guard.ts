import { LockGuard, releasedBefore } from '../arena/guard.ts';
import type { PthreadMutex } from './mutex.ts';

/** A pthread mutex held until `release`, or until the end of the scope that `using` gives it. */
export class PthreadMutexGuard extends LockGuard<PthreadMutex> {
  /** The task that owns the mutex, 0 once released. */
  #task: number;
  readonly #isAsync: boolean;

  constructor(mutex: PthreadMutex, task: number, isAsync: boolean) {
    super(mutex);
    this.#task = task;
    this.#isAsync = isAsync;
  }

  get mutex(): PthreadMutex {
    return this.lock;
  }

  /** @internal */
  get task(): number {
    if (this.#task === 0) throw releasedBefore();
    return this.#task;
  }

  override release(): void {
    const { task } = this;
    this.#task = 0;
    if (this.#isAsync) this.mutex.releaseTask(task);
    else this.mutex.unlock();
  }
}
