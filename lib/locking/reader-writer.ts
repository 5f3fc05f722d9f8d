import { checkSection, type LockGuard, runHolding, runHoldingAsync } from '../arena/guard.ts';
import { SharedObject } from '../arena/shared-object.ts';
import { HoldfastError } from '../errors.ts';
import { ALONE, ASYNC_ALONE, ASYNC_SHARED, announce, contend, SHARED } from '../sched/contention.ts';
import {
  ASYNC_OPTIONS,
  type AsyncWaitOptions,
  block,
  blockAsync,
  type Limits,
  limitsOf,
  SYNC_OPTIONS,
  type WaitOptions,
} from '../sched/drive.ts';
import type { Concluded, Outcome, SlowPath, Waiter } from '../sched/slow-path.ts';
import type { Thread } from '../sched/thread.ts';
import type { LockOwner } from './lock-owner.ts';

/** How a lock is entered, for reading or for writing. */
export interface Entry {
  /** One attempt, as the fast path makes it. */
  atOnce(thread: Thread, lock: number, task: number): boolean;
  /** Without sleeping; undefined when that is not possible. */
  /** `spins`: false for a call that only tries. */
  spinning(thread: Thread, lock: number, task: number, async: boolean, spins: boolean): Concluded | undefined;
  /** After that, in the wait list. */
  slow(lock: number, waiter: Waiter): SlowPath<Outcome>;
}

/** What the sleeping locks that many can read and one can write have in common, but for the fast paths. */
export abstract class ReaderWriterLock<Guard extends LockGuard> extends SharedObject {
  /** @internal */
  protected abstract readonly entries: { readonly read: Entry; readonly write: Entry };

  /** Waits to read, blocking the thread. */
  abstract downRead(options?: WaitOptions): void;
  /** Waits to write, blocking the thread. */
  abstract downWrite(options?: WaitOptions): void;
  /** How many read; out of date as soon as it is read. */
  abstract get readers(): number;
  /** The writer, if there is one; out of date as soon as it is read. */
  abstract get owner(): LockOwner | undefined;

  /** Whether somebody holds the lock, to read or to write; out of date as soon as it is read. */
  get isLocked(): boolean {
    return this.owner !== undefined || this.readers > 0;
  }

  /** Whether a writer died inside, and nobody has called `makeConsistent` since. */
  abstract get ownerDied(): boolean;

  /** `downRead`, returning a guard for `using`. */
  acquireRead(options?: WaitOptions): Guard {
    this.downRead(options);
    return this.guardOf('read', this.thread.self);
  }

  /** `downWrite`, returning a guard for `using`. */
  acquireWrite(options?: WaitOptions): Guard {
    this.downWrite(options);
    return this.guardOf('write', this.thread.self);
  }

  /**
   * Waits to read without blocking the event loop; `upRead` releases. Rejects with ETIMEDOUT, ENOTRECOVERABLE, EINVAL,
   * ENOMEM (no memory for another waiting task), or the signal's reason.
   */
  async downReadAsync(options?: AsyncWaitOptions): Promise<void> {
    await this.#enterAsync('read', options, true);
  }

  /** Waits to write without blocking the event loop; `upWrite` releases. Rejects as `downReadAsync`. */
  async downWriteAsync(options?: AsyncWaitOptions): Promise<void> {
    await this.#enterAsync('write', options, true);
  }

  /** `downReadAsync`, with a guard. The guard alone can release it. */
  async acquireReadAsync(options?: AsyncWaitOptions): Promise<Guard> {
    return this.guardOf('read', await this.#enterAsync('read', options));
  }

  /** `downWriteAsync`, with a guard. The guard alone can release it. */
  async acquireWriteAsync(options?: AsyncWaitOptions): Promise<Guard> {
    return this.guardOf('write', await this.#enterAsync('write', options));
  }

  /**
   * Runs `section` while it reads, and releases the lock however that ends. Returns what it returns; throws as `acquireRead`,
   * what it throws, and EINVAL when it is asynchronous.
   */
  runShared<Result>(section: (held: Guard) => Result, options?: WaitOptions): Result {
    return runHolding(checkSection(section), this.acquireRead(options));
  }

  /** `runShared` that never blocks the event loop, also for a section that awaits. Rejects as `acquireReadAsync`. */
  runSharedAsync<Result>(
    section: (held: Guard) => Result | PromiseLike<Result>,
    options?: AsyncWaitOptions,
  ): Promise<Result> {
    return runHoldingAsync(section, () => this.acquireReadAsync(options));
  }

  /**
   * Runs `section` while it writes, and releases the lock however that ends. Returns what it returns; throws as `acquireWrite`,
   * what it throws, and EINVAL when it is asynchronous.
   */
  runExclusive<Result>(section: (held: Guard) => Result, options?: WaitOptions): Result {
    return runHolding(checkSection(section), this.acquireWrite(options));
  }

  /**
   * `runExclusive` that never blocks the event loop, also for a section that awaits. Rejects as `acquireWriteAsync`.
   */
  runExclusiveAsync<Result>(
    section: (held: Guard) => Result | PromiseLike<Result>,
    options?: AsyncWaitOptions,
  ): Promise<Result> {
    return runHoldingAsync(section, () => this.acquireWriteAsync(options));
  }

  /**
   * The writer says that what the lock protects is in order again. Throws EPERM unless this thread writes, EINVAL unless
   * a writer had died.
   */
  makeConsistent(): void {
    this.current();
    if (this.owner?.thread !== this.thread.number) throw this.notHeld('makeConsistent');
    if (!this.ownerDied) {
      throw new HoldfastError('EINVAL', `no writer of the ${this.label} has died: there is nothing to make consistent`);
    }
    this.clearDeath();
  }

  /** What `makeConsistent` does to the lock. */
  protected abstract clearDeath(): void;

  /** A guard for what `task` holds. */
  protected abstract guardOf(mode: 'read' | 'write', task: number): Guard;

  /** Waits for the lock for the thread's synchronous code, beyond the fast path. */
  protected enter(mode: 'read' | 'write', options: WaitOptions | undefined): void {
    const { thread, address } = this;
    const { atOnce, spinning, slow } = this.entries[mode];
    const limits = this.#check(options, SYNC_OPTIONS);
    const form = mode === 'read' ? SHARED : ALONE;
    const task = thread.current();
    const wanted = thread.observer?.wants(this, form, limits);
    // Its fast path was not asked.
    const isFree = (wanted !== undefined || options !== undefined) && atOnce(thread, address, task);
    const outcome = isFree
      ? 'acquired'
      : contend(
          thread,
          address,
          form,
          () =>
            spinning(thread, address, task, false, limits.timeout !== 0) ??
            block(thread, limits, (waiter) => slow(address, waiter), this),
        );
    if (outcome !== 'acquired') throw this.refusal(outcome);
    thread.observer?.has(wanted, task);
  }

  /** The task that has the lock then; `isUnguarded`: without a guard, so that `upRead` or `upWrite` releases it. */
  async #enterAsync(
    mode: 'read' | 'write',
    options: AsyncWaitOptions | undefined,
    isUnguarded = false,
  ): Promise<number> {
    const { thread, address } = this;
    const { spinning, slow } = this.entries[mode];
    const limits = this.#check(options, ASYNC_OPTIONS);
    const form = mode === 'read' ? ASYNC_SHARED : ASYNC_ALONE;
    const wanted = thread.observer?.wants(this, form, limits);
    const own = thread.tryTakeTask(this.arena.heap);
    if (own !== undefined) {
      const tried = spinning(thread, address, own, true, false);
      if (tried === 'acquired') {
        // At once: what is free is the caller's before the promise has settled.
        if (isUnguarded) thread.unguarded.set(own, null);
        thread.observer?.has(wanted, own);
        return own;
      }
      thread.returnTask(own);
      if (tried !== undefined) throw this.refusal(tried);
    }
    announce(thread, address, form);
    const path = (waiter: Waiter) => slow(address, waiter);
    const { outcome, task } = await blockAsync(thread, this.arena.heap, limits, path, this);
    if (outcome === 'acquired') {
      if (isUnguarded) thread.unguarded.set(task, null);
      thread.observer?.has(wanted, task);
      return task;
    }
    thread.returnTask(task);
    throw this.refusal(outcome);
  }

  #check(options: AsyncWaitOptions | undefined, known: readonly string[]): Limits {
    this.thread.current();
    return limitsOf(this.thread.cpu, options, known);
  }

  protected get state(): string {
    const { readers, owner } = this;
    if (owner !== undefined) return `written by thread ${owner.thread}`;
    return readers === 0 ? 'free' : `${readers} ${readers === 1 ? 'reader' : 'readers'}`;
  }

  protected override get obstacle(): string {
    return this.state;
  }

  protected refusal(outcome: Concluded): HoldfastError {
    switch (outcome) {
      case 'deadlock':
        return new HoldfastError(
          'EDEADLK',
          `this thread holds the ${this.label} already: waiting for it here would never end`,
        );
      case 'exhausted':
        return new HoldfastError('ENOMEM', `no ${this.label}: there is no memory to note another shared lock`);
      default:
        return new HoldfastError(
          'ENOTRECOVERABLE',
          `a writer of the ${this.label} died, and the next unlocked it without makeConsistent()`,
        );
    }
  }

  protected notHeld(call: string): HoldfastError {
    return new HoldfastError('EPERM', `${call} of the ${this.label} by thread ${this.thread.number}: ${this.state}`);
  }
}
