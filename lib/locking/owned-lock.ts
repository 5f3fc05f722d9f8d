import type { Arena } from '../arena/arena.ts';
import { OnceGuard } from '../arena/guard.ts';
import { type ObjectHandle, SharedObject } from '../arena/shared-object.ts';
import { HoldfastError } from '../errors.ts';
import type { Kind } from '../memory/kinds.ts';
import { ALONE } from '../sched/contention.ts';
import { blockAsync, type Limits, NO_LIMITS } from '../sched/drive.ts';
import { noteGuard } from '../sched/lock-observer.ts';
import type { Concluded, Outcome, SlowPath, Waiter } from '../sched/slow-path.ts';
import type { Wanted } from '../sched/watch.ts';
import { type LockOwner, lockOwnerOf } from './lock-owner.ts';
import { isTask, OWNER, OWNER_CODEC, type OwnerCodec } from './owner-word.ts';

/** What the locks whose word names their owner have in common, but for the fast paths. */
export abstract class OwnedLock extends SharedObject {
  readonly #codec: OwnerCodec;

  /** @internal `codec`: how the word is read. */
  protected constructor(
    kind: Kind,
    arena: Arena,
    which: string | ObjectHandle | undefined,
    codec: OwnerCodec = OWNER_CODEC,
  ) {
    super(kind, arena, which);
    this.#codec = codec;
  }

  /** Whether somebody holds the lock; out of date as soon as it is read. */
  get isLocked(): boolean {
    return this.owner !== undefined;
  }

  /** The holder, if there is one; out of date as soon as it is read, unless it is the caller. */
  get owner(): LockOwner | undefined {
    const cpu = this.living;
    const task = this.ownerTask;
    return isTask(task) ? lockOwnerOf(cpu, task) : undefined;
  }

  /** Whether an owner died inside, and nobody has called `makeConsistent` since. */
  get ownerDied(): boolean {
    this.checkThere();
    return (this.#word & this.#codec.ownerDied) !== 0;
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
    this.clearDeath();
  }

  /** The lock does not say any more that an owner died inside. */
  protected clearDeath(): void {
    this.thread.cpu.fetchAndRelaxed(this.address + OWNER, ~this.#codec.ownerDied);
  }

  /** Unlocks for the task that owns the lock, when the fast path did not. */
  protected abstract unlockForOwner(): void;

  /** The task that owns the lock, or what the word holds in its place. */
  protected get ownerTask(): number {
    return this.#word & this.#codec.ownerMask;
  }

  protected get isUnrecoverable(): boolean {
    return this.ownerTask === this.#codec.unrecoverable;
  }

  protected get state(): string {
    if (this.isUnrecoverable) return 'not recoverable';
    const { owner } = this;
    return owner === undefined ? 'free' : `held by thread ${owner.thread}${owner.async ? ', async' : ''}`;
  }

  protected override get obstacle(): string {
    return this.state;
  }

  /**
   * `lock` for the thread's synchronous code, when the fast path did not. `contended` goes on where the lock is not free. Returns
   * whether an owner died inside.
   */
  protected waitSync(limits: Limits, contended: (task: number) => Concluded): boolean {
    const { thread } = this;
    const task = thread.current();
    const wanted = thread.observer?.wants(this, ALONE, limits);
    // Its fast path was not asked: 0 -> me. Pairs with the releases in `unlock` and `releaseTask`, and the lock's `unlockSlow`.
    const isFree =
      (wanted !== undefined || limits !== NO_LIMITS) && thread.cpu.cmpxchgAcquire(this.address + OWNER, 0, task) === 0;
    const outcome = isFree ? 'acquired' : contended(task);
    if (outcome !== 'acquired' && outcome !== 'owner-died') throw this.refusal(outcome);
    thread.observer?.has(wanted, task);
    return outcome === 'owner-died';
  }

  /** Unlocks for this thread's synchronous code, or what one of its asynchronous acquisitions holds without a guard. */
  protected unlockSlow(): void {
    const { thread } = this;
    const task = this.ownerTask;
    const isOurs = task === thread.current() || thread.unguarded.delete(task);
    if (!isOurs) throw this.unheld(this.notOwner('unlock'));
    this.unlockForOwner();
    thread.observer?.gave(this, task);
    if (task !== thread.self) this.returnTask(task);
  }

  /** The task of an asynchronous call that took the lock at once, or 0. */
  protected tryAsync(wanted: Wanted | undefined): number {
    const { thread } = this;
    const task = thread.tryTakeTask(this.arena.heap);
    if (task === undefined) return 0;
    // 0 -> task. Pairs with the releases in `unlock` and `releaseTask`, and the lock's `unlockSlow`.
    if (thread.cpu.cmpxchgAcquire(this.address + OWNER, 0, task) === 0) {
      thread.observer?.has(wanted, task);
      return task;
    }
    thread.returnTask(task);
    return 0;
  }

  /** @internal Runs `path` on the event loop, for a call that `wanted` is about; resolves to the task that has the lock then. */
  protected async waitAsync(
    limits: Limits,
    wanted: Wanted | undefined,
    path: (waiter: Waiter) => SlowPath<Outcome>,
  ): Promise<number> {
    const { thread } = this;
    const { outcome, task } = await blockAsync(thread, this.arena.heap, limits, path, this);
    if (outcome === 'acquired' || outcome === 'owner-died') {
      thread.observer?.has(wanted, task);
      return task;
    }
    thread.returnTask(task);
    throw this.refusal(outcome);
  }

  /** The guard of what the asynchronous `task` holds. */
  protected guardOf(task: number): OnceGuard {
    return noteGuard(this.thread, this, task, new OnceGuard(this, () => this.releaseTask(task)));
  }

  /** @internal Releases what the asynchronous `task` holds. Throws EPERM, and changes nothing, unless it holds the lock. */
  releaseTask(task: number): void {
    const { thread } = this;
    // After detach another thread may have the slot, and so a task of the same address.
    thread.current();
    // task -> 0: pairs with the acquire of the next owner.
    if (thread.cpu.cmpxchgRelease(this.address + OWNER, task, 0) !== task) this.releaseSlow(task);
    else thread.observer?.gave(this, task);
    this.returnTask(task);
  }

  /** Releases what `task` holds, when the fast path did not. Throws EPERM, and changes nothing, unless it holds the lock. */
  protected releaseSlow(task: number): void {
    this.thread.current();
    if (this.ownerTask !== task) throw this.unheld(this.notOwner('release'));
    this.unlockForOwner();
    this.thread.observer?.gave(this, task);
  }

  /** @internal */
  returnTask(task: number): void {
    this.thread.returnTask(task);
  }

  /** The error of a wait that came to nothing. `cycle`: see `wouldDeadlock`; a longer one than `limit` was not followed. */
  protected refusal(
    outcome: Concluded,
    cycle: readonly number[] = [],
    limit = Number.POSITIVE_INFINITY,
  ): HoldfastError {
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
