import type { Arena } from '../../arena/arena.ts';
import { runHolding, runHoldingAsync } from '../../arena/guard.ts';
import { type ObjectHandle, SharedObject } from '../../arena/shared-object.ts';
import { HoldfastError } from '../../errors.ts';
import { openFutexes } from '../../futex/open.ts';
import { FUTEX_WAITERS } from '../../futex/robust-list.ts';
import type { Futexes } from '../../futex/table.ts';
import { type LockOwner, lockOwnerOf } from '../../locking/lock-owner.ts';
import { CHAIN_LIMIT } from '../../locking/rt-mutex/words.ts';
import { ALONE, ASYNC_ALONE } from '../../sched/contention.ts';
import {
  ASYNC_OPTIONS,
  type AsyncWaitOptions,
  block,
  blockAsync,
  checkWait,
  type TimeoutOptions,
  type WaitOptions,
} from '../../sched/drive.ts';
import { noteGuard } from '../../sched/lock-observer.ts';
import { checkPriority, Priorities } from '../../sched/priority.ts';
import type { Outcome, SlowPath, Waiter } from '../../sched/slow-path.ts';
import type { Wanted } from '../../sched/watch.ts';
import { kindOf, type PthreadMutexAttributes } from './attributes.ts';
import { type Ceilings, ceilingsOfThread } from './ceiling.ts';
import { isTask, PthreadMutexWords, STALLED, WORD } from './core.ts';
import { type Losses, lossesOfThread, PthreadMutexGuard } from './guard.ts';
import { INHERIT, PLAIN, type Protocol } from './protocol.ts';

/** The most that a recursive mutex can be locked again. */
const MOST_DEPTH = 2 ** 31 - 1;

/**
 * pthread_mutex_t: normal, error-checking or recursive; robust unless told otherwise; inheriting or protecting
 * priorities if told so. One word, over the futex; with priority inheritance, over the rt-mutex.
 *
 * Fairness: a free mutex goes to whoever comes first, also past those who sleep, and is never handed over: quicker than
 * `Mutex` under contention, but a waiter can be passed over again and again. Those who sleep are woken in order. With
 * protocol 'inherit' it goes to the most urgent, as an `RtMutex` does.
 *
 * Priorities are those of `arena.thread.setPriority`, lower is more urgent. With 'protect' a thread that holds the mutex,
 * synchronously or not, is as urgent as the ceiling; one that is more urgent than that cannot lock it (EINVAL). With
 * 'inherit' what would deadlock by way of such mutexes throws EDEADLK, whatever the type.
 *
 * Death: as `Mutex`. The next owner gets it with `ownerDied` set (EOWNERDEAD), and calls `makeConsistent()`; if it
 * unlocks without, all lock calls throw ENOTRECOVERABLE.
 *
 * Source: pthread_mutex_lock(3p) for the semantics.
 */
export class PthreadMutex extends SharedObject {
  readonly #word: number;
  readonly #depth: number;
  readonly #ceiling: number;
  readonly #isRecursive: boolean;
  readonly #isChecked: boolean;
  readonly #isProtecting: boolean;
  readonly #protocol: Protocol;
  readonly #futexes: Futexes;
  readonly #ceilings: Ceilings;
  /** @internal For guards: the waits of this thread that ended without their mutex. */
  readonly losses: Losses;

  /** Opens the mutex of that name, making it if there is none, or that of a handle; with neither, a new one. */
  constructor(arena: Arena, which?: string | ObjectHandle, attributes?: PthreadMutexAttributes) {
    super(kindOf(attributes), arena, which);
    this.#word = this.address + WORD;
    this.#depth = this.address + PthreadMutexWords.depth;
    this.#ceiling = this.address + PthreadMutexWords.ceiling;
    this.#isRecursive = attributes?.type === 'recursive';
    this.#isChecked = attributes?.type !== undefined && attributes.type !== 'normal';
    this.#isProtecting = attributes?.protocol === 'protect';
    this.#protocol = attributes?.protocol === 'inherit' ? INHERIT : PLAIN;
    this.#futexes = openFutexes(arena);
    this.#ceilings = ceilingsOfThread.of(arena.thread);
    this.losses = lossesOfThread.of(arena.thread);
  }

  static from(arena: Arena, handle: ObjectHandle, attributes?: PthreadMutexAttributes): PthreadMutex {
    return new PthreadMutex(arena, handle, attributes);
  }

  /**
   * Waits for the lock, blocking the thread. Throws ETIMEDOUT, EDEADLK, ENOTRECOVERABLE, EAGAIN (locked too often), and
   * EINVAL when this thread is more urgent than the ceiling.
   */
  lock(options?: WaitOptions): void {
    const { cpu, self, free } = this.thread;
    if (this.#isProtecting) this.#checkCeiling();
    // 0 -> me. Pairs with the releases in `unlock` and `unlockFor`, and `unlockSlow` (core.ts).
    if (options !== undefined || cpu.cmpxchgAcquire(this.#word, free, self) !== free) this.#lockSlow(options);
    else if (this.#isProtecting) this.#taken(false);
  }

  /** Takes the lock if it is free, or this thread's own and recursive. False for EBUSY. */
  tryLock(): boolean {
    const task = this.thread.current();
    const { cpu } = this.thread;
    if (this.#isProtecting) this.#checkCeiling();
    if (this.#relock(task)) return true;
    if (this.#owner === this.#protocol.unrecoverable) throw this.#refusal('unrecoverable', undefined);
    if (!this.#protocol.tryAcquire(this.#futexes, this.address, task)) return false;
    this.#taken((cpu.load(this.#word) & this.#protocol.ownerDied) !== 0);
    this.thread.observer?.took(this, ALONE, task);
    return true;
  }

  /** Unlocks what `lock`, `tryLock` or `lockAsync` on this thread locked. Throws EPERM when it was not. */
  unlock(): void {
    const { cpu, mine } = this.thread;
    if (this.#isRecursive && this.#unnest()) return;
    // me -> 0. Pairs with the acquires in `lock` and `#tryAsync`, and `tryAcquire` (core.ts).
    if (cpu.cmpxchgRelease(this.#word, mine, 0) !== mine) this.#unlockSlow();
    else if (this.#isProtecting) this.#ceilings.drop(this.address);
  }

  /** `lock`, returning a guard for `using`. */
  acquire(options?: WaitOptions): PthreadMutexGuard<this> {
    this.lock(options);
    return noteGuard(this.thread, this, this.thread.self, new PthreadMutexGuard(this, this.thread.self, false));
  }

  /** Waits for the lock without blocking the event loop; `unlock` releases it. */
  async lockAsync(options?: AsyncWaitOptions): Promise<void> {
    const wanted = this.#wantAsync(options);
    const task = this.#tryAsync(wanted) || (await this.#waitAsync(options, wanted));
    this.thread.unguarded.set(task, null);
  }

  /**
   * `lockAsync`, with a guard, which alone can release it. Each asynchronous acquisition is an owner of its own: a
   * recursive mutex is not taken twice by it.
   */
  async acquireAsync(options?: AsyncWaitOptions): Promise<PthreadMutexGuard<this>> {
    const wanted = this.#wantAsync(options);
    const task = this.#tryAsync(wanted) || (await this.#waitAsync(options, wanted));
    return noteGuard(this.thread, this, task, new PthreadMutexGuard(this, task, true));
  }

  /**
   * Runs `section` while it holds the lock, which is released however that ends. Returns what it returns; throws as
   * `acquire`, what it throws, and EINVAL when it is asynchronous.
   */
  runExclusive<Result>(section: (held: PthreadMutexGuard<this>) => Result, options?: WaitOptions): Result {
    return runHolding(this.acquire(options), section);
  }

  /** `runExclusive` that never blocks the event loop, also for a section that awaits. Rejects as `acquireAsync`. */
  runExclusiveAsync<Result>(
    section: (held: PthreadMutexGuard<this>) => Result | PromiseLike<Result>,
    options?: AsyncWaitOptions,
  ): Promise<Result> {
    return runHoldingAsync(this.acquireAsync(options), section);
  }

  /** Whether somebody holds the lock, or died with one that is not robust; out of date as soon as it is read. */
  get isLocked(): boolean {
    return this.owner !== undefined || this.#owner === STALLED;
  }

  /** Who holds the mutex, if anybody; out of date as soon as it is read, unless it is the caller. */
  get owner(): LockOwner | undefined {
    this.checkThere();
    const owner = this.#owner;
    return isTask(owner) ? lockOwnerOf(this.thread.cpu, owner) : undefined;
  }

  /** Whether an owner died inside, and nobody has called `makeConsistent` since. */
  get ownerDied(): boolean {
    return (this.living.load(this.#word) & this.#protocol.ownerDied) !== 0;
  }

  /** pthread_mutex_consistent(3). Throws EPERM unless this thread holds the mutex, EINVAL unless an owner had died. */
  makeConsistent(): void {
    this.current();
    if (this.owner?.thread !== this.thread.number) throw this.#notOwner('makeConsistent');
    if (!this.ownerDied) {
      throw new HoldfastError('EINVAL', `no owner of the ${this.label} has died: there is nothing to make consistent`);
    }
    this.thread.cpu.fetchAndRelaxed(this.#word, ~this.#protocol.ownerDied);
  }

  /** pthread_mutex_getprioceiling(3p); undefined unless the protocol is 'protect'. */
  get prioceiling(): number | undefined {
    const cpu = this.living;
    return this.#isProtecting ? cpu.load(this.#ceiling) : undefined;
  }

  /**
   * pthread_mutex_setprioceiling(3p): waits for the lock, even if this thread is more urgent than the ceiling, changes
   * that, and unlocks. Returns the old ceiling. Throws EINVAL unless the protocol is 'protect'; and EOWNERDEAD when an
   * owner has died inside: this thread holds the mutex then, with the old ceiling, and repairs it as after `lock`.
   */
  setPrioceiling(ceiling: number, options?: WaitOptions): number {
    const { cpu } = this.thread;
    this.current();
    if (!this.#isProtecting) throw new HoldfastError('EINVAL', `the ${this.label} has no ceiling`);
    checkPriority(ceiling);
    this.#lockSlow(options);
    if (this.ownerDied && cpu.read(this.#depth) === 0) {
      throw new HoldfastError('EOWNERDEAD', `an owner of the ${this.label} died: this thread holds it, to repair it`);
    }
    const old = cpu.load(this.#ceiling);
    cpu.store(this.#ceiling, ceiling);
    // It may have been locked before, and stay so.
    this.#ceilings.raise(this.address, ceiling);
    this.unlock();
    return old;
  }

  protected override get shown(): string {
    return `PthreadMutex(${this.name ?? this.address}, ${this.#state()})`;
  }

  /** @internal For guards of asynchronous code. Throws EPERM, and changes nothing, unless `task` owns the mutex. */
  releaseTask(task: number): void {
    // After detach another thread may have the slot, and so a task of the same address.
    this.current();
    this.unlockFor(task);
    this.thread.returnTask(task);
  }

  /** @internal For guards of synchronous code: unlocks for that alone. Throws EPERM unless it owns the mutex. */
  releaseSync(): void {
    const task = this.thread.current();
    if (!this.#isRecursive || !this.#unnest()) this.unlockFor(task);
  }

  /** @internal For guards whose mutex was not had again. */
  returnTask(task: number): void {
    this.thread.returnTask(task);
  }

  /** @internal The word, where waiters may be requeued to; 0 when they may not, because they inherit priorities. */
  get requeueWord(): number {
    return this.#protocol === INHERIT ? 0 : this.#word;
  }

  /** @internal For condition variables: the task of this thread's synchronous code. Throws EPERM unless it holds it. */
  heldBySelf(): number {
    const { cpu, self } = this.thread;
    if (this.#owner !== self) throw this.#notOwner('waiting with');
    if (this.#isRecursive && cpu.read(this.#depth) > 0) {
      throw new HoldfastError('EPERM', `the ${this.label} is locked more than once: waiting would not unlock it`);
    }
    return self;
  }

  /** @internal Unlocks for `task`. Throws EPERM, and changes nothing, unless that owns the mutex. */
  unlockFor(task: number): void {
    const { thread } = this;
    if (thread.cpu.cmpxchgRelease(this.#word, task, 0) !== task) {
      // Only the owner can make itself another than the owner, so it still is when the slow path runs.
      if (this.#owner !== task) throw this.unheld(this.#notOwner('unlock'));
      this.#protocol.unlockSlow(this.#futexes, this.address);
    }
    thread.observer?.gave(this, task);
    if (this.#isProtecting) this.#ceilings.drop(this.address);
  }

  /** @internal For one who comes from waiting elsewhere, so that others may wait behind it, and who has called `beginWait`. */
  *lockAgain(waiter: Waiter): SlowPath<Outcome> {
    const { thread, task } = waiter;
    const wanted = thread.observer?.wants(this, waiter.async ? ASYNC_ALONE : ALONE);
    const attempt = { mark: FUTEX_WAITERS, isChecked: false, cycle: [] };
    const outcome = yield* this.#protocol.lockSlow(this.#futexes, this.address, waiter, attempt);
    if (outcome === 'acquired' || outcome === 'owner-died') {
      this.#taken(outcome === 'owner-died');
      thread.observer?.has(wanted, task);
    }
    return outcome;
  }

  get #owner(): number {
    return this.#protocol.ownerOf(this.thread.cpu.load(this.#word));
  }

  #lockSlow(options: WaitOptions | undefined): void {
    const { thread } = this;
    checkWait(thread.cpu, options);
    const task = thread.current();
    if (this.#relock(task)) return;
    const wanted = thread.observer?.wants(this, ALONE, options);
    const attempt = { mark: 0, isChecked: this.#isChecked, cycle: [] };
    // Its fast path was not asked: 0 -> me. Pairs as in `lock`.
    const isFree =
      (wanted !== undefined || options !== undefined) && thread.cpu.cmpxchgAcquire(this.#word, 0, task) === 0;
    const path = (waiter: Waiter) => this.#protocol.lockSlow(this.#futexes, this.address, waiter, attempt);
    const outcome = isFree ? 'acquired' : block(thread, options, path, this);
    if (outcome !== 'acquired' && outcome !== 'owner-died') throw this.#refusal(outcome, options, attempt.cycle);
    this.#taken(outcome === 'owner-died');
    thread.observer?.has(wanted, task);
  }

  /** An asynchronous call begins. */
  #wantAsync(options: AsyncWaitOptions | undefined): Wanted | undefined {
    const { cpu, observer } = this.thread;
    checkWait(cpu, options, ASYNC_OPTIONS);
    this.current();
    if (this.#isProtecting) this.#checkCeiling();
    return observer?.wants(this, ASYNC_ALONE, options);
  }

  /** The task that took the lock at once, or 0. */
  #tryAsync(wanted: Wanted | undefined): number {
    const { thread } = this;
    const task = thread.tryTakeTask(this.arena.heap);
    if (task === undefined) return 0;
    if (thread.cpu.cmpxchgAcquire(this.#word, 0, task) === 0) {
      this.#taken(false);
      thread.observer?.has(wanted, task);
      return task;
    }
    thread.returnTask(task);
    return 0;
  }

  async #waitAsync(options: AsyncWaitOptions | undefined, wanted: Wanted | undefined): Promise<number> {
    const { thread } = this;
    this.current();
    if (this.#isProtecting) this.#checkCeiling();
    const attempt = { mark: 0, isChecked: false, cycle: [] };
    const path = (waiter: Waiter) => this.#protocol.lockSlow(this.#futexes, this.address, waiter, attempt);
    const { outcome, task, asked } = await blockAsync(thread, this.arena.heap, options, path, this);
    if (outcome === 'acquired' || outcome === 'owner-died') {
      this.#taken(outcome === 'owner-died');
      thread.observer?.has(wanted, task);
      return task;
    }
    thread.returnTask(task);
    throw this.#refusal(outcome, asked);
  }

  #unlockSlow(): void {
    const { thread } = this;
    const task = this.#owner;
    if (task === 0 || (task !== thread.current() && !thread.unguarded.delete(task)))
      throw this.unheld(this.#notOwner('unlock'));
    this.unlockFor(task);
    if (task !== thread.self) thread.returnTask(task);
  }

  /** The thread has the mutex. */
  #taken(ownerDied: boolean): void {
    const { cpu } = this.thread;
    if (ownerDied) cpu.write(this.#depth, 0);
    // Changed under the lock only (`setPrioceiling`).
    if (this.#isProtecting) this.#ceilings.raise(this.address, cpu.read(this.#ceiling));
  }

  #checkCeiling(): void {
    const { cpu, slot } = this.thread;
    const [priority, ceiling] = [cpu.read(slot + Priorities.own), cpu.load(this.#ceiling)];
    if (priority < ceiling) {
      throw new HoldfastError(
        'EINVAL',
        `the ceiling of the ${this.label} is ${ceiling}: a thread of priority ${priority} is more urgent`,
      );
    }
  }

  /** Whether a recursive mutex was this task's already. */
  #relock(task: number): boolean {
    if (!this.#isRecursive || this.#owner !== task) return false;
    const { cpu } = this.thread;
    const depth = cpu.read(this.#depth);
    if (depth === MOST_DEPTH) throw new HoldfastError('EAGAIN', `the ${this.label} is locked ${depth} times`);
    cpu.write(this.#depth, depth + 1);
    return true;
  }

  #unnest(): boolean {
    const { cpu, self } = this.thread;
    if (this.#owner !== self) return false;
    const depth = cpu.read(this.#depth);
    if (depth > 0) cpu.write(this.#depth, depth - 1);
    return depth > 0;
  }

  #state(): string {
    const owner = this.#owner;
    if (isTask(owner)) return `held by thread ${lockOwnerOf(this.thread.cpu, owner).thread}`;
    if (owner === STALLED) return 'held by a dead thread';
    return owner === 0 ? 'free' : 'not recoverable';
  }

  #refusal(outcome: Outcome, options: TimeoutOptions | undefined, cycle: readonly number[] = []): HoldfastError {
    if (outcome === 'timed-out') return this.notInTime(options, this.#state());
    if (outcome === 'deadlock') return this.wouldDeadlock(cycle, CHAIN_LIMIT);
    return new HoldfastError(
      'ENOTRECOVERABLE',
      `an owner of the ${this.label} died, and the next unlocked it without makeConsistent()`,
    );
  }

  #notOwner(call: string): HoldfastError {
    return new HoldfastError('EPERM', `${call} the ${this.label} by thread ${this.thread.number}: ${this.#state()}`);
  }
}
