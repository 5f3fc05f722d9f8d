import { releasedBefore, TaskGuard } from '../../arena/guard.ts';
import { HoldfastError } from '../../errors.ts';
import type { Thread } from '../../sched/thread.ts';
import type { PthreadMutex } from './mutex.ts';

/** Counts the synchronous waits of this JavaScript thread that ended without their mutex. */
let losses = 0;
/** Of each mutex, by its address, which of these was the last. */
const lastLoss = new WeakMap<Thread, Map<number, number>>();

/** @internal A synchronous wait ends without the mutex at `address`. */
export function noteLoss(thread: Thread, address: number): void {
  losses++;
  const ofThread = lastLoss.get(thread) ?? new Map<number, number>();
  lastLoss.set(thread, ofThread.set(address, losses));
}

/**
 * A pthread mutex held until `release`, or until the end of the scope that `using` gives it. While the guard is lent to
 * `cond.waitAsync`, it holds nothing and cannot be released. If that wait, or a `cond.wait` inside the scope, ends without
 * the mutex (ENOTRECOVERABLE, EDEADLK), the guard is void: the end of its scope releases nothing.
 */
export class PthreadMutexGuard extends TaskGuard<PthreadMutex> {
  readonly #task: number;
  readonly #isAsync: boolean;
  /** Losses before the guard was made: any of its mutex since then is the guard's own. */
  readonly #losses = losses;
  /** Illegal to be 'held' when #task does not own the mutex: releasing it would unlock the mutex of another owner. */
  #state: 'held' | 'lent' | 'void' = 'held';

  /** `task`: the owner of the mutex. */
  constructor(mutex: PthreadMutex, task: number, isAsync: boolean) {
    super(mutex);
    this.#task = task;
    this.#isAsync = isAsync;
  }

  /** EPERM after `release`. */
  get mutex(): PthreadMutex {
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

  protected override releaseLock(mutex: PthreadMutex): void {
    if (this.#isAsync) mutex.releaseTask(this.#task);
    else mutex.releaseSync();
  }

  get #isVoid(): boolean {
    if (this.#state === 'void') return true;
    if (this.#isAsync || this.#state !== 'held' || this.#losses === losses) return false;
    return (lastLoss.get(this.mutex.arena.thread)?.get(this.mutex.address) ?? 0) > this.#losses;
  }

  #checkHeld(): void {
    if (!this.isHeld) throw releasedBefore();
    if (this.#state === 'lent') throw new HoldfastError('EPERM', 'this guard is lent to a wait that is still pending');
    if (this.#isVoid) throw new HoldfastError('EPERM', 'this guard lost its mutex in a wait');
  }
}
