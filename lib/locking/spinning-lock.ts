import type { Arena } from '../arena/arena.ts';
import { checkSection, type LockGuard, runHolding, SyncGuard } from '../arena/guard.ts';
import { type ObjectHandle, SharedObject } from '../arena/shared-object.ts';
import { HoldfastError } from '../errors.ts';
import type { Kind } from '../memory/kinds.ts';
import { ObjectHeader } from '../memory/objects.ts';
import { struct } from '../memory/struct.ts';
import { noteGuard } from '../sched/lock-observer.ts';
import type { LockOwner } from './lock-owner.ts';

/** How every spinning lock in shared memory starts. */
export const SpinningLockHeader = struct({
  header: ObjectHeader,
  /** 1 from the death of an owner until `makeConsistent`. */
  ownerDied: 1,
});

/**
 * What the spinning locks have in common. They are synchronous only, and know no timeouts: they are held for less time
 * than it takes to sleep. If a thread dies inside one, the next owner gets it with `ownerDied` set.
 */
export abstract class SpinningLock extends SharedObject {
  readonly #kindName: string;

  /** @internal */
  protected constructor(kind: Kind, arena: Arena, which: string | ObjectHandle | undefined) {
    super(kind, arena, which);
    this.#kindName = kind.name;
  }

  /** Waits for the lock. Throws EDEADLK when this thread holds it. */
  abstract lock(): void;
  /** Takes the lock if it is free: false also when this thread holds it. */
  abstract tryLock(): boolean;
  /** Throws EPERM unless this thread holds the lock. */
  abstract unlock(): void;

  /** `lock`, with a guard for `using`, which releases this acquisition and no other. */
  acquire(): LockGuard {
    this.lock();
    return noteGuard(this.thread, this, this.thread.self, new SyncGuard(this));
  }

  /**
   * Runs `section` while it holds the lock, which is released however that ends. Returns what it returns; throws as
   * `acquire`, what it throws, and EINVAL when it is asynchronous.
   */
  runExclusive<Result>(section: (held: LockGuard) => Result): Result {
    return runHolding(checkSection(section), this.acquire());
  }

  /** @internal For guards. */
  releaseSync(): void {
    this.unlock();
  }

  /** Whether a thread died while it held the lock, and nobody has called `makeConsistent` since. */
  get ownerDied(): boolean {
    return this.living.load(this.address + SpinningLockHeader.ownerDied) !== 0;
  }

  /** The holder says that what the lock protects is in order again. Throws EPERM unless this thread holds the lock. */
  makeConsistent(): void {
    this.current();
    if (this.holder !== this.thread.id) throw this.notOwner('makeConsistent');
    this.thread.cpu.store(this.address + SpinningLockHeader.ownerDied, 0);
  }

  /** The holder, if there is one; out of date as soon as it is read, unless it is the caller. */
  get owner(): LockOwner | undefined {
    const { holder } = this;
    return holder === 0 ? undefined : { thread: holder - 1, async: false };
  }

  /** CPU number plus one of the thread that holds the lock, or 0. */
  protected abstract get holder(): number;

  get isLocked(): boolean {
    return this.owner !== undefined;
  }

  protected override get shown(): string {
    const { owner } = this;
    return `${this.constructor.name}(${this.name ?? this.address}, ${owner === undefined ? 'free' : `held by thread ${owner.thread}`})`;
  }

  protected relocked(): HoldfastError {
    return new HoldfastError('EDEADLK', `this thread already holds the ${this.label}, which is not recursive`);
  }

  protected notOwner(call: string): HoldfastError {
    const { owner } = this;
    return new HoldfastError(
      'EPERM',
      `${call} of the ${this.label} by thread ${this.thread.number}: ${owner === undefined ? 'nobody holds it' : `thread ${owner.thread} holds it`}`,
    );
  }

  protected tooMany(most: number): HoldfastError {
    return new HoldfastError(
      'EAGAIN',
      `this thread already holds ${most} locks of kind ${this.#kindName}, the most it can`,
    );
  }
}
