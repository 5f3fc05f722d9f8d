import { type RobustLock, releasedBefore, TaskGuard } from '../../arena/guard.ts';
import { HoldfastError } from '../../errors.ts';
import { ThreadLocal } from '../../sched/thread-local.ts';

/** What the guard needs of its mutex. */
export interface GuardedMutex extends RobustLock {
  readonly address: number;
  /** @internal Those of the calling thread. */
  readonly losses: Losses;
  /** @internal Unlocks for a task of asynchronous code, and returns the task. Throws EPERM unless it owns the mutex. */
  releaseTask(task: number): void;
  /** @internal Unlocks for synchronous code. Throws EPERM unless that owns the mutex. */
  releaseSync(): void;
  /** @internal The task owns the mutex no more, and waits no more. */
  returnTask(task: number): void;
}

/** The synchronous waits of a thread that ended without their mutex. */
export class Losses {
  count = 0;
  /** For each mutex, by its address, which of them was the last. */
  readonly last = new Map<number, number>();

  note(mutex: number): void {
    this.last.set(mutex, ++this.count);
  }
}

export const lossesOfThread = new ThreadLocal(() => new Losses());

/**
 * A pthread mutex held until `release`, or until the end of the scope that `using` gives it. While the guard is lent to
 * `cond.waitAsync`, it holds nothing and cannot be released. If that wait, or a `cond.wait` inside the scope, ends without
 * the mutex (ENOTRECOVERABLE, EDEADLK), the guard is void: the end of its scope releases nothing.
 */
export class PthreadMutexGuard<Mutex extends GuardedMutex = GuardedMutex> extends TaskGuard<Mutex> {
  readonly #task: number;
  readonly #isAsync: boolean;
  /** Losses before the guard was made: any of its mutex since then is the guard's own. */
  readonly #losses: number;
  /** Illegal to be 'held' when #task does not own the mutex: releasing it would unlock the mutex of another owner. */
  #state: 'held' | 'lent' | 'void' = 'held';

  /** `task`: the owner of the mutex. */
  constructor(mutex: Mutex, task: number, isAsync: boolean) {
    super(mutex);
    this.#task = task;
    this.#isAsync = isAsync;
    this.#losses = mutex.losses.count;
  }

  /** EPERM after `release`. */
  get mutex(): Mutex {
    return this.lock;
  }

  /** @internal The task that waits with the guard. Throws EPERM unless it is held, EINVAL if it is of `acquire()`. */
  get task(): number {
    this.#checkHeld();
    if (!this.#isAsync) {
      throw new HoldfastError('EINVAL', "waitAsync takes a guard of acquireAsync(): this one is synchronous code's");
    }
    return this.#task;
  }

  /** @internal The mutex is about to be unlocked for a wait. */
  lend(): void {
    this.#state = 'lent';
  }

  /** @internal The wait is over. `isLocked`: the guard's task owns the mutex again. */
  endLoan(isLocked: boolean): void {
    this.#state = isLocked ? 'held' : 'void';
    if (!isLocked) this.mutex.returnTask(this.#task);
  }

  override release(): void {
    this.#checkHeld();
    super.release();
  }

  override [Symbol.dispose](): void {
    if (this.isHeld && !this.#isVoid) this.release();
  }

  protected override releaseLock(mutex: Mutex): void {
    if (this.#isAsync) mutex.releaseTask(this.#task);
    else mutex.releaseSync();
  }

  get #isVoid(): boolean {
    if (this.#state === 'void') return true;
    if (this.#isAsync || this.#state !== 'held') return false;
    return (this.mutex.losses.last.get(this.mutex.address) ?? 0) > this.#losses;
  }

  #checkHeld(): void {
    if (!this.isHeld) throw releasedBefore();
    if (this.#state === 'lent') throw new HoldfastError('EPERM', 'this guard is lent to a wait that is still pending');
    if (this.#isVoid) throw new HoldfastError('EPERM', 'this guard lost its mutex in a wait');
  }
}
