import { HoldfastError } from '../errors.ts';
import type { PthreadMutex } from './mutex.ts';

/** A pthread mutex held until `release`, or until the end of the scope that `using` gives it. */
export class PthreadMutexGuard {
  readonly mutex: PthreadMutex;
  /** The task that owns the mutex, 0 once released. */
  #task: number;
  readonly #isAsync: boolean;

  constructor(mutex: PthreadMutex, task: number, isAsync: boolean) {
    this.mutex = mutex;
    this.#task = task;
    this.#isAsync = isAsync;
  }

  /** @internal */
  get task(): number {
    if (this.#task === 0) throw new HoldfastError('EPERM', 'this guard was released before');
    return this.#task;
  }

  get ownerDied(): boolean {
    return this.mutex.ownerDied;
  }

  makeConsistent(): void {
    this.mutex.makeConsistent();
  }

  /** Unlocks. Throws EPERM when the guard was released before. */
  release(): void {
    const { task } = this;
    this.#task = 0;
    if (this.#isAsync) this.mutex.releaseTask(task);
    else this.mutex.unlock();
  }

  [Symbol.dispose](): void {
    this.release();
  }
}
