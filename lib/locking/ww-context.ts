import { HoldfastError } from '../errors.ts';
import type { AsyncWaitOptions, WaitOptions } from '../sched/drive.ts';
import { Task } from '../sched/task.ts';
import type { Thread } from '../sched/thread.ts';
import type { WwClass } from './ww-class.ts';
import type { WwMutex } from './ww-mutex.ts';

/** Locks taken between two injected deadlocks: at first, and how many times as many after each (the kernel's 3.5). */
const FIRST_INJECTION = 2;
const INJECTION_GROWTH = 3.5;

/**
 * One attempt to hold several wound/wait mutexes at once: it keeps its age until `release`, however often it backs off.
 * `WwClass.begin` makes one.
 */
export class WwContext {
  readonly wwClass: WwClass;
  /** Age: of two contexts of a class the one with the lower stamp is older. */
  readonly stamp: number;
  /** The task that owns what the context holds. */
  readonly task: number;
  readonly isAsync: boolean;
  /** How often it has backed off. */
  backOffs = 0;
  readonly #thread: Thread;
  /** By address: other views of a lock are the same lock. */
  readonly #held = new Map<number, WwMutex>();
  #isOver = false;
  #countdown: number;
  #interval = FIRST_INJECTION;

  constructor(wwClass: WwClass, thread: Thread, task: number, stamp: number, injectDeadlocks: boolean) {
    this.wwClass = wwClass;
    this.stamp = stamp;
    this.task = task;
    this.isAsync = task !== thread.self;
    this.#thread = thread;
    this.#countdown = injectDeadlocks ? FIRST_INJECTION : Number.POSITIVE_INFINITY;
  }

  /** How many locks it holds. */
  get size(): number {
    return this.#held.size;
  }

  /** The locks it holds. */
  get held(): readonly WwMutex[] {
    return [...this.#held.values()];
  }

  /**
   * Takes all of `mutexes`, blocking the thread: backs off as often as it takes. Throws ETIMEDOUT and ENOTRECOVERABLE,
   * and may hold some of them then. `timeout` is for each wait.
   */
  acquireAll(mutexes: Iterable<WwMutex>, options?: WaitOptions): void {
    const wanted = new Set(mutexes);
    for (let contended: WwMutex | undefined = this.#startOver(); ; ) {
      contended?.lockSlow(this, options);
      contended = undefined;
      for (const mutex of wanted) {
        if (this.#held.has(mutex.address) || mutex.attempt(this, options)) continue;
        contended = mutex;
        break;
      }
      if (contended === undefined) return;
      this.unlockAll();
    }
  }

  /** `acquireAll` that never blocks the event loop. Also rejects with the signal's reason. */
  async acquireAllAsync(mutexes: Iterable<WwMutex>, options?: AsyncWaitOptions): Promise<void> {
    const wanted = new Set(mutexes);
    for (let contended: WwMutex | undefined = this.#startOver(); ; ) {
      await contended?.lockSlowAsync(this, options);
      contended = undefined;
      for (const mutex of wanted) {
        if (this.#held.has(mutex.address) || (await mutex.attemptAsync(this, options))) continue;
        contended = mutex;
        break;
      }
      if (contended === undefined) return;
      this.unlockAll();
    }
  }

  /** Lets go of everything, and stays as old as it is: what to do after EDEADLK, before `lockSlow`. */
  unlockAll(): void {
    for (const mutex of this.held) mutex.unlock(this);
  }

  /** Lets go of everything, and ends. Throws EPERM when it has ended before. */
  release(): void {
    if (this.#isOver) throw new HoldfastError('EPERM', 'this acquire context has ended');
    this.unlockAll();
    this.#isOver = true;
    this.#thread.cpu.store(this.task + Task.stamp, 0);
    if (!this.isAsync) return;
    this.#thread.asyncContexts--;
    this.#thread.returnTask(this.task);
  }

  [Symbol.dispose](): void {
    this.release();
  }

  /** For `WwMutex`: throws EPERM when the context has ended, EINVAL when it is for the other kind of calls. */
  check(isAsync: boolean): void {
    if (this.#isOver) throw new HoldfastError('EPERM', 'this acquire context has ended');
    if (isAsync !== this.isAsync) {
      throw new HoldfastError(
        'EINVAL',
        `an acquire context from ${this.isAsync ? 'beginAsync() is for asynchronous' : 'begin() is for synchronous'} calls`,
      );
    }
    if (this.#held.size > 0) return;
    const { cpu } = this.#thread;
    cpu.store(this.task + Task.wounded, 0);
    // Whoever finds a lock taken with this context finds its stamp, and wounds it after this: pairs with the acquire in
    // the slow path of that one's lock call.
    cpu.wmb();
  }

  /** For `WwMutex`: whether to back off without need this time. */
  injects(): boolean {
    if (this.#held.size === 0 || this.#countdown-- > 0) return false;
    this.#interval = Math.ceil(this.#interval * INJECTION_GROWTH);
    this.#countdown = this.#interval;
    return true;
  }

  /** For `WwMutex`: the lock has come, or gone. */
  note(mutex: WwMutex, isHeld: boolean): void {
    if (isHeld) this.#held.set(mutex.address, mutex);
    else this.#held.delete(mutex.address);
  }

  /** Whether it holds that lock. */
  holds(mutex: WwMutex): boolean {
    return this.#held.has(mutex.address);
  }

  #startOver(): undefined {
    if (this.#held.size > 0) {
      throw new HoldfastError(
        'EINVAL',
        'acquireAll() starts with a context that holds nothing; call unlockAll() first',
      );
    }
  }
}
