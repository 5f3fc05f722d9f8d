import { OnceGuard } from '../arena/guard.ts';
import { SharedObject } from '../arena/shared-object.ts';
import { HoldfastError } from '../errors.ts';
import { type AsyncWaitOptions, blockAsync, type TimeoutOptions } from '../sched/drive.ts';
import { noteGuard } from '../sched/lock-observer.ts';
import type { Outcome, SlowPath, Waiter } from '../sched/slow-path.ts';
import type { Wanted } from '../sched/watch.ts';
import { type LockOwner, lockOwnerOf } from './lock-owner.ts';
import { isOwned, makeConsistent, OWNER, OWNER_DIED, ownerOf, UNRECOVERABLE } from './owner-word.ts';

/** What the locks whose word names their owner have in common, but for the fast paths. */
export abstract class OwnedLock extends SharedObject {
  /** Whether somebody holds the lock; out of date as soon as it is read. */
  get isLocked(): boolean {
    return this.owner !== undefined;
  }

  /** Who holds the lock, if anybody; out of date as soon as it is read, unless it is the caller. */
  get owner(): LockOwner | undefined {
    const cpu = this.living;
    const word = this.#word;
    if (!isOwned(word)) return undefined;
    return lockOwnerOf(cpu, ownerOf(word));
  }

  /** Whether an owner died inside, and nobody has called `makeConsistent` since. */
  get ownerDied(): boolean {
    this.checkThere();
    return (this.#word & OWNER_DIED) !== 0;
  }

  /**
   * The owner says that what the lock protects is in order again (pthread_mutex_consistent). Throws EPERM unless this
   * thread holds it, EINVAL unless an owner had died.
   */
  makeConsistent(): void {
    this.current();
    if (this.owner?.thread !== this.thread.number) throw this.notOwner('makeConsistent');
    if (!this.ownerDied) {
      throw new HoldfastError('EINVAL', `no owner of the ${this.label} has died: there is nothing to make consistent`);
    }
    makeConsistent(this.thread.cpu, this.address);
  }

  /** Unlocks for the task that owns the lock, when the fast path did not. */
  protected abstract unlockForOwner(): void;

  protected get isUnrecoverable(): boolean {
    return ownerOf(this.#word) === UNRECOVERABLE;
  }

  protected get state(): string {
    if (this.isUnrecoverable) return 'not recoverable';
    const { owner } = this;
    return owner === undefined ? 'free' : `held by thread ${owner.thread}${owner.async ? ', async' : ''}`;
  }

  /** Unlocks for this thread's synchronous code, or what one of its asynchronous acquisitions holds without a guard. */
  protected unlockSlow(): void {
    const { thread } = this;
    const task = ownerOf(this.#word);
    const isOurs = task === thread.current() || thread.unguarded.delete(task);
    if (!isOurs) throw this.unheld(this.notOwner('unlock'));
    this.unlockForOwner();
    thread.observer?.gave(this, task);
    if (task !== thread.self) this.returnTask(task);
  }

  /** @internal Runs `path` on the event loop, for a call that `wanted` is about; resolves to the task that has the lock then. */
  protected async waitAsync(
    options: AsyncWaitOptions | undefined,
    wanted: Wanted | undefined,
    path: (waiter: Waiter) => SlowPath<Outcome>,
  ): Promise<number> {
    const { thread } = this;
    const { outcome, task, asked } = await blockAsync(thread, this.arena.heap, options, path, this);
    if (outcome === 'acquired' || outcome === 'owner-died') {
      thread.observer?.has(wanted, task);
      return task;
    }
    this.returnTask(task);
    throw this.refusal(outcome, asked);
  }

  /** The guard of what the asynchronous `task` holds. */
  protected guardOf(task: number): OnceGuard {
    return noteGuard(
      this.thread,
      this,
      task,
      new OnceGuard(this, () => {
        const { thread } = this;
        // After detach another thread may have the slot, and so a task of the same address.
        thread.current();
        // task -> 0: pairs with the acquire of the next owner.
        if (thread.cpu.cmpxchgRelease(this.address + OWNER, task, 0) !== task) this.releaseSlow(task);
        else thread.observer?.gave(this, task);
        this.returnTask(task);
      }),
    );
  }

  /** Releases what `task` holds, when the fast path did not. Throws EPERM, and changes nothing, unless it holds the lock. */
  protected releaseSlow(task: number): void {
    this.thread.current();
    if (ownerOf(this.#word) !== task) throw this.unheld(this.notOwner('release'));
    this.unlockForOwner();
    this.thread.observer?.gave(this, task);
  }

  protected returnTask(task: number): void {
    this.thread.returnTask(task);
  }

  /** The error of a wait that came to nothing. `cycle`: see `wouldDeadlock`; a longer one than `limit` was not followed. */
  protected refusal(
    outcome: Outcome,
    options?: TimeoutOptions,
    cycle: readonly number[] = [],
    limit = Number.POSITIVE_INFINITY,
  ): HoldfastError {
    if (outcome === 'timed-out') return this.notInTime(options, this.state);
    if (outcome === 'deadlock') return this.wouldDeadlock(cycle, limit);
    return new HoldfastError(
      'ENOTRECOVERABLE',
      `an owner of the ${this.label} died, and the next unlocked it without makeConsistent()`,
    );
  }

  protected notOwner(call: string): HoldfastError {
    return new HoldfastError('EPERM', `${call} of the ${this.label} by thread ${this.thread.number}: ${this.state}`);
  }

  get #word(): number {
    return this.thread.cpu.load(this.address + OWNER);
  }
}
