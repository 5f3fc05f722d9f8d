/**
 * WwMutex: the rt-mutex of `rt-mutex/core.ts`, taken by acquire contexts (`contest.ts`). Words: RtWords, and the
 * class that the lock belongs to.
 */
import type { ObjectHandle } from '../../arena/shared-object.ts';
import { HoldfastError, shown } from '../../errors.ts';
import { struct } from '../../memory/struct.ts';
import { ALONE, ASYNC_ALONE } from '../../sched/contention.ts';
import {
  ABORTABLE_OPTIONS,
  type AbortableOptions,
  block,
  blockAsync,
  limitsOf,
  type WaitOptions,
} from '../../sched/drive.ts';
import type { Concluded } from '../../sched/slow-path.ts';
import { ownerOf } from '../owner-word.ts';
import { lockSlow, tryLock, unlockSlow } from '../rt-mutex/core.ts';
import { RtLock, rtKind } from '../rt-mutex/rt-lock.ts';
import { CHAIN_LIMIT, type Contest, CTX, RtWords } from '../rt-mutex/words.ts';
import { WwClass } from './class.ts';
import { bystander, contender } from './contest.ts';
import { WwContext } from './context.ts';

const Words = struct({ rt: RtWords, wwClass: 1 });

const KIND = rtKind('ww-mutex', Words, false);

/**
 * One of many locks that are taken together in no fixed order, without deadlock: when two contexts are in each other's
 * way, the younger gets EDEADLK, releases all it holds (`context.unlockAll()`), waits with `lockSlow` for the lock
 * that it did not get, and takes the others again. `context.acquireAll(mutexes)` does all of that.
 *
 * Fairness: waiters in the order of their contexts' stamps, the oldest first; more urgent priorities before all. A
 * context never gets younger by backing off, and the oldest never backs off, so each gets its locks in the end.
 *
 * Death: `ownerDied` says so to all that come after, until one of them calls `makeConsistent()`; backing off does not.
 * Errors: EDEADLK: back off. EALREADY: this context holds the lock. Without a context it is a plain mutex that nobody
 * backs off for.
 *
 * Source: kernel/locking/ww_mutex.h, Documentation/locking/ww-mutex-design.rst.
 */
export class WwMutex extends RtLock {
  readonly wwClass: WwClass;
  readonly #owner: number;

  /** Opens the lock of that name, making it if there is none, or that of a handle. Throws EINVAL if it is of another class. */
  constructor(wwClass: WwClass, which?: string | ObjectHandle) {
    if (!(wwClass instanceof WwClass)) {
      throw new HoldfastError('EINVAL', `a ww-mutex belongs to a WwClass, received ${shown(wwClass)}`);
    }
    super(KIND, wwClass.arena, which);
    this.wwClass = wwClass;
    this.#owner = this.address + RtWords.owner;
    const before = this.thread.cpu.cmpxchgRelaxed(this.address + Words.wwClass, 0, wwClass.address);
    if (before !== 0 && before !== wwClass.address) {
      throw new HoldfastError('EINVAL', `the ${this.label} belongs to the class at ${before}, not ${wwClass.address}`);
    }
  }

  static from(wwClass: WwClass, handle: ObjectHandle): WwMutex {
    return new WwMutex(wwClass, handle);
  }

  /** Waits for the lock, blocking the thread. Throws EDEADLK, EALREADY, ETIMEDOUT, ENOTRECOVERABLE, EINVAL, EPERM. */
  lock(context?: WwContext, options?: WaitOptions): void {
    const { cpu, self, free } = this.thread;
    const isPlain = context === undefined && options === undefined;
    // 0 -> me: pairs with the release in #unlock, and in `unlockDeferred` of rt-mutex/core.ts.
    if (isPlain && cpu.cmpxchgAcquire(this.#owner, free, self) === free) return;
    if (!this.attempt(context, options)) throw this.#backOff();
  }

  /**
   * `lock` after EDEADLK, when the context has released everything: it waits for the lock that was in the way, so it
   * does not run into the same again. Throws EINVAL when the context still holds something.
   */
  lockSlow(context: WwContext, options?: WaitOptions): void {
    this.#checkEmpty(context);
    this.lock(context, options);
  }

  /** `lock` that never blocks the event loop, with a context from `beginAsync`. Also rejects with the signal's reason. */
  async lockAsync(context: WwContext, options?: AbortableOptions): Promise<void> {
    if (!(await this.attemptAsync(context, options))) throw this.#backOff();
  }

  /** `lockSlow` that never blocks the event loop. */
  async lockSlowAsync(context: WwContext, options?: AbortableOptions): Promise<void> {
    this.#checkEmpty(context);
    await this.lockAsync(context, options);
  }

  /** Takes the lock if it is free, and no waiter is as urgent. Throws EALREADY, ENOTRECOVERABLE. */
  tryLock(context?: WwContext): boolean {
    const task = this.#taskOf(context, context?.isAsync ?? false);
    if (this.isUnrecoverable) throw this.refusal('unrecoverable');
    const isTaken = tryLock(this.thread, this.address, task, this.#contest(context));
    if (isTaken) {
      context?.note(this, true);
      this.thread.observer?.took(this, context?.isAsync ? ASYNC_ALONE : ALONE, task, context);
    }
    return isTaken;
  }

  /** Unlocks; `context`: the one it was locked with, if any. Throws EPERM when it was not. */
  unlock(context?: WwContext): void {
    const { cpu, self, observer } = this.thread;
    const task = context?.task ?? self;
    const mine = context === undefined ? task : task | CTX;
    if (context !== undefined) {
      // Its task is another context's, or after detach another thread's, once it has ended.
      this.current();
      if (!context.holds(this)) throw this.unheld(this.notOwner('unlock'));
    }
    // me -> 0. Pairs with the acquires in `lock` and `attemptWithin`, and `lockSlow` (rt-mutex/core.ts).
    if (cpu.cmpxchgRelease(this.#owner, mine, 0) !== mine) {
      const word = cpu.load(this.#owner);
      if (ownerOf(word) !== task || (word & CTX) !== (mine & CTX)) throw this.unheld(this.notOwner('unlock'));
      this.unlockForOwner();
    }
    context?.note(this, false);
    observer?.gave(this, task);
  }

  /** `lock` that says false where `lock` throws EDEADLK: the context has to back off. */
  attempt(context?: WwContext, options?: WaitOptions): boolean {
    const { thread, address } = this;
    // Before it looks at the context, which a getter of the options may end.
    const limits = limitsOf(thread.cpu, options);
    const task = this.#taskOf(context, false);
    const wanted = thread.observer?.wants(this, ALONE, limits, context);
    if (context?.injects()) return this.#lost(context);
    const mine = context === undefined ? task : task | CTX;
    // 0 -> me. Pairs with the releases in `unlock` and `unlockDeferred` (rt-mutex/core.ts).
    if (thread.cpu.cmpxchgAcquire(this.#owner, 0, mine) === 0) {
      context?.note(this, true);
      thread.observer?.has(wanted, task);
      return true;
    }
    const cycle: number[] = [];
    const contest = this.#contest(context);
    const outcome = block(thread, limits, (waiter) => lockSlow(address, waiter, cycle, contest), this);
    const isTaken = this.#concluded(outcome, context, cycle);
    if (isTaken) thread.observer?.has(wanted, task);
    return isTaken;
  }

  /** `lockAsync` that says false where `lockAsync` rejects with EDEADLK. */
  async attemptAsync(context: WwContext, options?: AbortableOptions): Promise<boolean> {
    this.#taskOf(context, true);
    return context.exclusively(() => this.attemptWithin(context, options));
  }

  /** @internal `attemptAsync` as part of a call of the context that is under way. */
  async attemptWithin(context: WwContext, options?: AbortableOptions): Promise<boolean> {
    const task = this.#taskOf(context, true, true);
    const { thread, address } = this;
    const limits = limitsOf(thread.cpu, options, ABORTABLE_OPTIONS);
    const wanted = thread.observer?.wants(this, ASYNC_ALONE, limits, context);
    if (context.injects()) return this.#lost(context);
    // 0 -> task|CTX. Pairs with the releases in `unlock` and `unlockDeferred` (rt-mutex/core.ts).
    if (options === undefined && thread.cpu.cmpxchgAcquire(this.#owner, 0, task | CTX) === 0) {
      context.note(this, true);
      thread.observer?.has(wanted, task);
      return true;
    }
    const contest = this.#contest(context);
    const path = (waiter: Parameters<typeof lockSlow>[1]) => lockSlow(address, waiter, [], contest);
    const { outcome } = await blockAsync(thread, this.arena.heap, limits, path, this, task);
    const isTaken = this.#concluded(outcome, context);
    if (isTaken) thread.observer?.has(wanted, task);
    return isTaken;
  }

  /** @internal All mutexes of a class: contexts take them in any order. */
  get lockClass(): string {
    this.checkThere();
    return `of ${this.wwClass.name ?? `the class at ${this.wwClass.address}`}`;
  }

  protected override get shown(): string {
    return `WwMutex(${this.name ?? this.address}, ${this.state})`;
  }

  protected override unlockForOwner(): void {
    unlockSlow(this.thread, this.address, true);
  }

  /** A call begins, or goes on with another lock. Returns the task that is to own the lock. */
  #taskOf(context: WwContext | undefined, isAsync: boolean, goesOn = false): number {
    const main = this.current();
    if (context === undefined) return main;
    if (!(context instanceof WwContext)) {
      throw new HoldfastError('EINVAL', `expected an acquire context from WwClass.begin(), received ${shown(context)}`);
    }
    if (context.wwClass.address !== this.wwClass.address) {
      throw new HoldfastError('EINVAL', `the ${this.label} is of another class than the acquire context`);
    }
    if (!goesOn) context.checkIdle();
    context.begin(isAsync);
    if (context.holds(this)) {
      throw new HoldfastError('EALREADY', `this acquire context holds the ${this.label} already`);
    }
    return context.task;
  }

  #contest(context: WwContext | undefined): Contest {
    this.wwClass.checkThere();
    const { cpu } = this.thread;
    if (context === undefined) return bystander(cpu, this.wwClass.address);
    return contender(cpu, context.task, this.wwClass.policy === 'wait-die', context.size > 0);
  }

  #concluded(outcome: Concluded, context?: WwContext, cycle?: number[]): boolean {
    if (outcome === 'back-off' && context !== undefined) return this.#lost(context);
    if (outcome === 'acquired' || outcome === 'owner-died') {
      context?.note(this, true);
      return true;
    }
    throw this.refusal(outcome, cycle, CHAIN_LIMIT);
  }

  #lost(context: WwContext): false {
    context.backOffs++;
    return false;
  }

  #checkEmpty(context: WwContext): void {
    if (context instanceof WwContext && context.size > 0) {
      throw new HoldfastError('EINVAL', 'lockSlow() is for a context that holds nothing: call unlockAll() first');
    }
  }

  #backOff(): HoldfastError {
    return new HoldfastError(
      'EDEADLK',
      `an older acquire context is in the way of the ${this.label}: unlock what this one holds, then lockSlow()`,
    );
  }
}
