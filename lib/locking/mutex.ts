import type { Arena } from '../arena/arena.ts';
import { checkSection, type LockGuard, runHolding, runHoldingAsync, SyncGuard } from '../arena/guard.ts';
import type { ObjectHandle } from '../arena/shared-object.ts';
import { checkOptionNames, HoldfastError, refusePromise, shown } from '../errors.ts';
import { defineKind } from '../memory/kinds.ts';
import type { Repairer } from '../memory/repairer.ts';
import { ALONE, ASYNC_ALONE } from '../sched/contention.ts';
import { ASYNC_OPTIONS, type AsyncWaitOptions, type Limits, limitsOf, type WaitOptions } from '../sched/drive.ts';
import { noteGuard } from '../sched/lock-observer.ts';
import { WaitList } from '../sched/wait-list.ts';
import type { Wanted } from '../sched/watch.ts';
import {
  isBusy,
  isIdle,
  isOnOffer,
  lockContended,
  lockSlow,
  MutexWords,
  repair,
  tryAcquire,
  unlockSlow,
} from './mutex-core.ts';
import { OwnedLock } from './owned-lock.ts';
import { closeOwned, holderOf, revive } from './owner-word.ts';

export interface MutexOptions {
  /**
   * Runs whenever this view gets the lock from an owner that died, before the call that gets it comes back: it repairs what
   * the lock protects. When it returns, all is consistent again. When it throws, the call throws that, and the mutex is not
   * recoverable. It may return a promise, which asynchronous calls await, and synchronous ones refuse with EINVAL.
   * Default: the caller asks for `ownerDied`, as POSIX has it.
   */
  onOwnerDied?: (() => unknown) | undefined;
}

const KIND = defineKind<Repairer>({
  name: 'mutex',
  words: MutexWords,
  format: () => {},
  holder: holderOf,
  isOnOffer,
  isBusy,
  close: closeOwned,
  isIdle,
  latch: MutexWords.waiters + WaitList.latch,
  repair,
});

/**
 * A lock that one task at a time can hold: a thread's synchronous code, or one of its asynchronous acquisitions. It
 * works across threads and inside one thread's async code alike, and the two mix freely.
 *
 * Fairness: a free mutex goes to whoever comes first, also past those who sleep; they are woken in order of arrival,
 * and the first of them, once woken in vain, is handed the lock by the next unlock. So nobody waits for ever, and few
 * hand-overs cost a switch of threads.
 * A waiter in asynchronous code whose thread sleeps in a synchronous call is passed for as long. Of one whose event loop is busy,
 * what it was handed and has not taken after 1 ms goes to a synchronous waiter, however urgent either is. It is next again, and then has
 * 2 ms, 4 ms and so on. So threads need not wait for event loops that compute, unless more than 16 such waiters stand in front of them.
 *
 * Death: if a thread ends while it holds the mutex, the next owner gets it with `ownerDied` set, repairs what the
 * mutex protects, and calls `makeConsistent()`. If it unlocks without that, all lock calls throw ENOTRECOVERABLE.
 *
 * Not recursive: EDEADLK for a synchronous lock by the thread that holds it, synchronously or asynchronously. An
 * asynchronous acquisition that waits for its own caller's lock cannot be told from any other, and waits.
 *
 * Source: kernel/locking/mutex.c; robust owners as in pthread_mutexattr_setrobust(3).
 */
export class Mutex extends OwnedLock {
  readonly #owner: number;
  readonly #onOwnerDied: (() => unknown) | undefined;

  /**
   * Opens the mutex of that name, making it if there is none, or that of a handle; with neither, a new one. `options` are
   * this view's own.
   */
  constructor(arena: Arena, which?: string | ObjectHandle, options: MutexOptions = {}) {
    checkOptionNames(options, ['onOwnerDied']);
    const { onOwnerDied } = options;
    if (onOwnerDied !== undefined && typeof onOwnerDied !== 'function') {
      throw new HoldfastError('EINVAL', `onOwnerDied is a function, received ${shown(onOwnerDied)}`);
    }
    super(KIND, arena, which);
    this.#owner = this.address + MutexWords.owner;
    this.#onOwnerDied = onOwnerDied;
  }

  static from(arena: Arena, handle: ObjectHandle): Mutex {
    return new Mutex(arena, handle);
  }

  /**
   * Waits for the lock, blocking the thread. Throws ETIMEDOUT, EDEADLK when this thread holds it, ENOTRECOVERABLE,
   * and EINVAL for bad options.
   */
  lock(options?: WaitOptions): void {
    const { cpu, self, free } = this.thread;
    // 0 -> me: pairs with the release in unlock, and in `unlockSlow` of mutex-core.ts.
    if (options !== undefined || cpu.cmpxchgAcquire(this.#owner, free, self) !== free) this.#lockSlow(options);
  }

  /** Takes the lock if it is free. Throws ENOTRECOVERABLE. */
  tryLock(): boolean {
    const { cpu, observer } = this.thread;
    const task = this.thread.current();
    // One that was destroyed is.
    if (this.isUnrecoverable) throw this.refusal('unrecoverable');
    if (!tryAcquire(cpu, this.address, task, 0)) return false;
    observer?.took(this, ALONE, task);
    if (this.#onOwnerDied !== undefined && this.ownerDied) this.#recover(this.#onOwnerDied);
    return true;
  }

  /** Unlocks what `lock`, `tryLock` or `lockAsync` on this thread locked. Throws EPERM when it was not. */
  unlock(): void {
    const { cpu, mine } = this.thread;
    // me -> 0. Pairs with the acquires in `lock`, `tryAsync` (owned-lock.ts) and `tryAcquire` (mutex-core.ts).
    if (cpu.cmpxchgRelease(this.#owner, mine, 0) !== mine) this.#unlockSlow();
  }

  /** `lock`, with a guard for `using`, which releases this acquisition and no other. */
  acquire(options?: WaitOptions): LockGuard {
    this.lock(options);
    return noteGuard(this.thread, this, this.thread.self, new SyncGuard(this));
  }

  /** @internal For guards: unlocks for the thread's synchronous code alone. Throws EPERM unless that holds the lock. */
  releaseSync(): void {
    const { cpu, mine, self } = this.thread;
    // me -> 0. Pairs with the acquires in `lock`, `tryAsync` (owned-lock.ts) and `tryAcquire` (mutex-core.ts).
    if (cpu.cmpxchgRelease(this.#owner, mine, 0) !== mine) this.releaseSlow(self);
  }

  /**
   * Waits for the lock without blocking the event loop; `unlock` releases it. Rejects with ETIMEDOUT, ENOTRECOVERABLE,
   * EINVAL, ENOMEM (no memory for another waiting task), or the signal's reason.
   */
  async lockAsync(options?: AsyncWaitOptions): Promise<void> {
    const { cpu, observer } = this.thread;
    const limits = limitsOf(cpu, options, ASYNC_OPTIONS);
    const wanted = observer?.wants(this, ASYNC_ALONE, limits);
    const task = this.tryAsync(wanted) || (await this.#waitAsync(limits, wanted));
    this.thread.unguarded.set(task, null);
  }

  /** `lockAsync`, with a guard. The guard alone can release it. */
  acquireAsync(options?: AsyncWaitOptions): Promise<LockGuard> {
    const { cpu, observer } = this.thread;
    try {
      const limits = limitsOf(cpu, options, ASYNC_OPTIONS);
      const wanted = observer?.wants(this, ASYNC_ALONE, limits);
      const task = this.tryAsync(wanted);
      if (task !== 0) return Promise.resolve(this.guardOf(task));
      return this.#waitAsync(limits, wanted).then((waited) => this.guardOf(waited));
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /**
   * Runs `section` while it holds the lock, which is released however that ends. Returns what it returns; throws as
   * `acquire`, what it throws, and EINVAL when it is asynchronous.
   */
  runExclusive<Result>(section: (held: LockGuard) => Result, options?: WaitOptions): Result {
    return runHolding(checkSection(section), this.acquire(options));
  }

  /** `runExclusive` that never blocks the event loop, also for a section that awaits. Rejects as `acquireAsync`. */
  runExclusiveAsync<Result>(
    section: (held: LockGuard) => Result | PromiseLike<Result>,
    options?: AsyncWaitOptions,
  ): Promise<Result> {
    return runHoldingAsync(section, () => this.acquireAsync(options));
  }

  /**
   * Takes a mutex that is not recoverable for the thread's synchronous code, which repairs what it protects and unlocks: from
   * then on it is as new. Of several that try, one has it. Throws EINVAL for a mutex that can be had in the usual way.
   */
  reset(): void {
    const task = this.current();
    // One that was destroyed looks the same.
    this.beginChange();
    const isMine = revive(this.thread.cpu, this.address, task);
    this.endChange();
    if (isMine) {
      this.thread.observer?.took(this, ALONE, task);
      return;
    }
    throw new HoldfastError(
      'EINVAL',
      `the ${this.label} is ${this.state}, and can be locked: reset() is for the others`,
    );
  }

  /** Whether anybody sleeps for the lock; out of date as soon as it is read. */
  get isContended(): boolean {
    return this.living.load(this.address + MutexWords.waiters + WaitList.first) !== 0;
  }

  protected override get shown(): string {
    return `Mutex(${this.name ?? this.address}, ${this.state})`;
  }

  /** Nobody waits, as a rule, when the fast path was not asked because somebody observes the thread. */
  #unlockSlow(): void {
    const { cpu, observer, self } = this.thread;
    // me -> 0: as in `unlock`.
    if (observer === undefined || cpu.cmpxchgRelease(this.#owner, self, 0) !== self) this.unlockSlow();
    else observer.gave(this, self);
  }

  /** For an observed thread, whose fast path was not asked. */
  #takeFree(task: number): boolean {
    // 0 -> me. Pairs as in `lock`.
    if (this.thread.cpu.cmpxchgAcquire(this.#owner, 0, task) !== 0) return false;
    this.thread.observer?.took(this, ALONE, task);
    return true;
  }

  #lockSlow(options: WaitOptions | undefined): void {
    const { thread } = this;
    if (options === undefined && thread.observer?.tookIsEnough === true && this.#takeFree(thread.current())) return;
    const limits = limitsOf(thread.cpu, options);
    const ownerDied = this.waitSync(limits, (task) => lockContended(thread, this, task, limits));
    if (ownerDied && this.#onOwnerDied !== undefined) this.#recover(this.#onOwnerDied);
  }

  /** The thread's synchronous code has got the lock from a dead owner. */
  #recover(onOwnerDied: () => unknown): void {
    try {
      refusePromise('onOwnerDied of a synchronous call', onOwnerDied());
    } catch (error) {
      this.releaseSync();
      throw error;
    }
    if (this.ownerDied) this.makeConsistent();
  }

  /** `#recover` for an asynchronous acquisition, which `task` is. */
  async #recoverAsync(onOwnerDied: () => unknown, task: number): Promise<number> {
    try {
      await onOwnerDied();
    } catch (error) {
      this.guardOf(task).release();
      throw error;
    }
    if (this.ownerDied) this.makeConsistent();
    return task;
  }

  protected override unlockForOwner(): void {
    unlockSlow(this.thread, this.address);
  }

  async #waitAsync(limits: Limits, wanted: Wanted | undefined): Promise<number> {
    this.thread.counters.contended++;
    const task = await this.waitAsync(limits, wanted, (waiter) => lockSlow(this.address, waiter));
    if (this.#onOwnerDied === undefined || !this.ownerDied) return task;
    return this.#recoverAsync(this.#onOwnerDied, task);
  }
}
