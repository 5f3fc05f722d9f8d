import type { Arena } from '../../arena/arena.ts';
import { checkSection, runHolding, runHoldingAsync } from '../../arena/guard.ts';
import type { ObjectHandle } from '../../arena/shared-object.ts';
import { HoldfastError } from '../../errors.ts';
import { openFutexes } from '../../futex/open.ts';
import { FUTEX_WAITERS } from '../../futex/robust-list.ts';
import type { Futexes } from '../../futex/table.ts';
import { OwnedLock } from '../../locking/owned-lock.ts';
import { CHAIN_LIMIT } from '../../locking/rt-mutex/words.ts';
import { ALONE, ASYNC_ALONE } from '../../sched/contention.ts';
import {
  ASYNC_OPTIONS,
  type AsyncWaitOptions,
  block,
  type Limits,
  limitsOf,
  type WaitOptions,
} from '../../sched/drive.ts';
import { noteGuard } from '../../sched/lock-observer.ts';
import { checkPriority, Priorities } from '../../sched/priority.ts';
import type { Outcome, SlowPath, Waiter } from '../../sched/slow-path.ts';
import type { Wanted } from '../../sched/watch.ts';
import { kindOf, type PthreadMutexAttributes } from './attributes.ts';
import { type Ceilings, ceilingsOfThread } from './ceiling.ts';
import { PthreadMutexWords, STALLED, WORD } from './core.ts';
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
export class PthreadMutex extends OwnedLock {
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
    const protocol = attributes?.protocol === 'inherit' ? INHERIT : PLAIN;
    super(kindOf(attributes), arena, which, protocol);
    this.#protocol = protocol;
    this.#word = this.address + WORD;
    this.#depth = this.address + PthreadMutexWords.depth;
    this.#ceiling = this.address + PthreadMutexWords.ceiling;
    this.#isRecursive = attributes?.type === 'recursive';
    this.#isChecked = attributes?.type !== undefined && attributes.type !== 'normal';
    this.#isProtecting = attributes?.protocol === 'protect';
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
    // 0 -> me. Pairs with the releases in `unlock`, `unlockFor` and `releaseTask` (owned-lock.ts), and `unlockSlow` (core.ts).
    if (options !== undefined || cpu.cmpxchgAcquire(this.#word, free, self) !== free) this.#lockSlow(options);
    else if (this.#isProtecting) this.#taken();
  }

  /** Takes the lock if it is free, or this thread's own and recursive. False for EBUSY. */
  tryLock(): boolean {
    const task = this.thread.current();
    if (this.#isProtecting) this.#checkCeiling();
    if (this.#relock(task)) return true;
    if (this.isUnrecoverable) throw this.refusal('unrecoverable');
    if (!this.#protocol.tryAcquire(this.#futexes, this.address, task)) return false;
    this.#taken();
    this.thread.observer?.took(this, ALONE, task);
    return true;
  }

  /** Unlocks what `lock`, `tryLock` or `lockAsync` on this thread locked. Throws EPERM when it was not. */
  unlock(): void {
    const { cpu, mine } = this.thread;
    if (this.#isRecursive && this.#unnest()) return;
    // me -> 0. Pairs with the acquires in `lock`, `tryAsync` (owned-lock.ts) and `tryAcquire` (core.ts).
    if (cpu.cmpxchgRelease(this.#word, mine, 0) !== mine) this.unlockSlow();
    else if (this.#isProtecting) this.#ceilings.drop(this.address);
  }

  /** `lock`, returning a guard for `using`. */
  acquire(options?: WaitOptions): PthreadMutexGuard<this> {
    this.lock(options);
    return noteGuard(this.thread, this, this.thread.self, new PthreadMutexGuard(this, this.thread.self, false));
  }

  /** Waits for the lock without blocking the event loop; `unlock` releases it. */
  async lockAsync(options?: AsyncWaitOptions): Promise<void> {
    const limits = this.#checkAsync(options);
    const wanted = this.thread.observer?.wants(this, ASYNC_ALONE, limits);
    const task = this.#lockNow(wanted) || (await this.#waitAsync(limits, wanted));
    this.thread.unguarded.set(task, null);
  }

  /**
   * `lockAsync`, with a guard, which alone can release it. Each asynchronous acquisition is an owner of its own: a
   * recursive mutex is not taken twice by it.
   */
  async acquireAsync(options?: AsyncWaitOptions): Promise<PthreadMutexGuard<this>> {
    const limits = this.#checkAsync(options);
    const wanted = this.thread.observer?.wants(this, ASYNC_ALONE, limits);
    const task = this.#lockNow(wanted) || (await this.#waitAsync(limits, wanted));
    return noteGuard(this.thread, this, task, new PthreadMutexGuard(this, task, true));
  }

  /**
   * Runs `section` while it holds the lock, which is released however that ends. Returns what it returns; throws as
   * `acquire`, what it throws, and EINVAL when it is asynchronous.
   */
  runExclusive<Result>(section: (held: PthreadMutexGuard<this>) => Result, options?: WaitOptions): Result {
    return runHolding(checkSection(section), this.acquire(options));
  }

  /** `runExclusive` that never blocks the event loop, also for a section that awaits. Rejects as `acquireAsync`. */
  runExclusiveAsync<Result>(
    section: (held: PthreadMutexGuard<this>) => Result | PromiseLike<Result>,
    options?: AsyncWaitOptions,
  ): Promise<Result> {
    return runHoldingAsync(section, () => this.acquireAsync(options));
  }

  /** Whether somebody holds the lock, or died with one that is not robust; out of date as soon as it is read. */
  override get isLocked(): boolean {
    return super.isLocked || this.ownerTask === STALLED;
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
    return `PthreadMutex(${this.name ?? this.address}, ${this.state})`;
  }

  /** @internal */
  override releaseTask(task: number): void {
    this.current();
    this.unlockFor(task);
    this.returnTask(task);
  }

  /** @internal For guards of synchronous code: unlocks for that alone. Throws EPERM unless it owns the mutex. */
  releaseSync(): void {
    const task = this.thread.current();
    if (!this.#isRecursive || !this.#unnest()) this.unlockFor(task);
  }

  /** @internal The word, where waiters may be requeued to; 0 when they may not, because they inherit priorities. */
  get requeueWord(): number {
    return this.#protocol === INHERIT ? 0 : this.#word;
  }

  /** @internal For condition variables: the task of this thread's synchronous code. Throws EPERM unless it holds it. */
  heldBySelf(): number {
    const { cpu, self } = this.thread;
    if (this.ownerTask !== self) throw this.notOwner('waiting with');
    if (this.#isRecursive && cpu.read(this.#depth) > 0) {
      throw new HoldfastError('EPERM', `the ${this.label} is locked more than once: waiting would not unlock it`);
    }
    return self;
  }

  /** @internal Unlocks for `task`. Throws EPERM, and changes nothing, unless that owns the mutex. */
  unlockFor(task: number): void {
    const { cpu, observer } = this.thread;
    // task -> 0. Pairs as in `unlock`.
    if (cpu.cmpxchgRelease(this.#word, task, 0) !== task) {
      this.releaseSlow(task);
      return;
    }
    observer?.gave(this, task);
    if (this.#isProtecting) this.#ceilings.drop(this.address);
  }

  /** @internal For one who comes from waiting elsewhere, so that others may wait behind it, and who has called `beginWait`. */
  *lockAgain(waiter: Waiter): SlowPath<Outcome> {
    const { thread, task } = waiter;
    const wanted = thread.observer?.wants(this, waiter.async ? ASYNC_ALONE : ALONE);
    const attempt = { mark: FUTEX_WAITERS, isChecked: false, cycle: [] };
    const outcome = yield* this.#protocol.lockSlow(this.#futexes, this.address, waiter, attempt);
    if (outcome === 'acquired' || outcome === 'owner-died') {
      this.#taken();
      thread.observer?.has(wanted, task);
    }
    return outcome;
  }

  #lockSlow(options: WaitOptions | undefined): void {
    const { thread } = this;
    const limits = limitsOf(thread.cpu, options);
    if (this.#relock(thread.current())) return;
    this.waitSync(limits, () => {
      const attempt = { mark: 0, isChecked: this.#isChecked, cycle: [] };
      const path = (waiter: Waiter) => this.#protocol.lockSlow(this.#futexes, this.address, waiter, attempt);
      const outcome = block(thread, limits, path, this);
      if (outcome === 'deadlock') throw this.refusal(outcome, attempt.cycle, CHAIN_LIMIT);
      return outcome;
    });
    this.#taken();
  }

  #checkAsync(options: AsyncWaitOptions | undefined): Limits {
    const limits = limitsOf(this.thread.cpu, options, ASYNC_OPTIONS);
    this.current();
    if (this.#isProtecting) this.#checkCeiling();
    return limits;
  }

  /** `tryAsync`. */
  #lockNow(wanted: Wanted | undefined): number {
    const task = this.tryAsync(wanted);
    if (task !== 0) this.#taken();
    return task;
  }

  async #waitAsync(limits: Limits, wanted: Wanted | undefined): Promise<number> {
    const attempt = { mark: 0, isChecked: false, cycle: [] };
    const path = (waiter: Waiter) => this.#protocol.lockSlow(this.#futexes, this.address, waiter, attempt);
    const task = await this.waitAsync(limits, wanted, path);
    this.#taken();
    return task;
  }

  protected override unlockForOwner(): void {
    this.#protocol.unlockSlow(this.#futexes, this.address);
    if (this.#isProtecting) this.#ceilings.drop(this.address);
  }

  /** The thread has the mutex. */
  #taken(): void {
    const { cpu } = this.thread;
    if (cpu.load(this.#word) & this.#protocol.ownerDied) cpu.write(this.#depth, 0);
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
    if (!this.#isRecursive || this.ownerTask !== task) return false;
    const { cpu } = this.thread;
    const depth = cpu.read(this.#depth);
    if (depth === MOST_DEPTH) throw new HoldfastError('EAGAIN', `the ${this.label} is locked ${depth} times`);
    cpu.write(this.#depth, depth + 1);
    return true;
  }

  #unnest(): boolean {
    const { cpu, self } = this.thread;
    if (this.ownerTask !== self) return false;
    const depth = cpu.read(this.#depth);
    if (depth > 0) cpu.write(this.#depth, depth - 1);
    return depth > 0;
  }

  protected override get state(): string {
    return this.ownerTask === STALLED ? 'held by a dead thread' : super.state;
  }
}
