import type { Arena } from '../../arena/arena.ts';
import { checkSection, type LockGuard, runHolding, runHoldingAsync, SyncGuard } from '../../arena/guard.ts';
import type { ObjectHandle } from '../../arena/shared-object.ts';
import { ALONE, ASYNC_ALONE } from '../../sched/contention.ts';
import {
  ABORTABLE_OPTIONS,
  type AbortableOptions,
  block,
  type Limits,
  limitsOf,
  type WaitOptions,
} from '../../sched/drive.ts';
import { noteGuard } from '../../sched/lock-observer.ts';
import { dueIn, Priorities } from '../../sched/priority.ts';
import type { Outcome, SlowPath, Waiter } from '../../sched/slow-path.ts';
import { Task } from '../../sched/task.ts';
import type { Wanted } from '../../sched/watch.ts';
import { lockSlow, tryLock, unlockSlow } from './core.ts';
import { RtLock, rtKind } from './rt-lock.ts';
import { CHAIN_LIMIT, RtWords } from './words.ts';

const KIND = rtKind('rt-mutex', RtWords);

/** Options of an asynchronous acquisition of an RtMutex. */
const RT_ASYNC_OPTIONS = [...ABORTABLE_OPTIONS, 'priority', 'due'];

export interface RtAsyncOptions extends AbortableOptions {
  /** How urgent this acquisition is; lower goes first. Default: the thread's own priority. */
  priority?: number | undefined;
  /** Among equals the earlier deadline goes first: ms from now. Default: none. */
  due?: number | undefined;
}

/** Priority and deadline. */
type Rank = readonly [number, number];

/**
 * A mutex whose waiters are served by priority, and whose owner is as urgent as the most urgent of them. Otherwise as
 * `Mutex`: across threads and async code, robust, not recursive.
 *
 * Priorities: `arena.thread.setPriority(n)` for synchronous calls, the option `priority` for asynchronous ones; lower is
 * more urgent. What a thread inherits counts where the library chooses who is next: it moves forward in whatever
 * queue of the library it sleeps in, and hands the priority on along a chain of up to 1,024 rt-mutexes. The operating
 * system knows nothing of it.
 *
 * Fairness: the most urgent waiter, then the earliest deadline, then arrival. A free rt-mutex whose first waiter has
 * not woken up yet goes to a newcomer only if that is strictly more urgent; or, where it is an asynchronous call whose event loop
 * does not come for it within 1 ms (then 2, 4, and so on), to a synchronous call that waits.
 *
 * Deadlock: a synchronous lock call that would wait for its own thread, by way of any chain of rt-mutexes, throws
 * EDEADLK, and the message names who waits for what. Asynchronous acquisitions are tasks of their own, so what one of
 * them holds is not known to another.
 *
 * Source: kernel/locking/rtmutex.c, Documentation/locking/rt-mutex-design.rst.
 */
export class RtMutex extends RtLock {
  readonly #owner: number;

  /** Opens the mutex of that name, making it if there is none, or that of a handle; with neither, a new one. */
  constructor(arena: Arena, which?: string | ObjectHandle) {
    super(KIND, arena, which);
    this.#owner = this.address + RtWords.owner;
  }

  static from(arena: Arena, handle: ObjectHandle): RtMutex {
    return new RtMutex(arena, handle);
  }

  /**
   * Waits for the lock, blocking the thread. Throws ETIMEDOUT, EDEADLK, ENOTRECOVERABLE, and EINVAL for bad options.
   */
  lock(options?: WaitOptions): void {
    const { cpu, self, free } = this.thread;
    // 0 -> me: pairs with the release in unlock, and in `unlockDeferred` of core.ts.
    if (options !== undefined || cpu.cmpxchgAcquire(this.#owner, free, self) !== free) this.#lockSlow(options);
  }

  /** Takes the lock if it is free, and no waiter is as urgent. Throws ENOTRECOVERABLE. */
  tryLock(): boolean {
    const task = this.thread.current();
    // One that was destroyed is.
    if (this.isUnrecoverable) throw this.refusal('unrecoverable');
    if (!tryLock(this.thread, this.address, task)) return false;
    this.thread.observer?.took(this, ALONE, task);
    return true;
  }

  /** Unlocks what `lock`, `tryLock` or `lockAsync` on this thread locked. Throws EPERM when it was not. */
  unlock(): void {
    const { cpu, mine } = this.thread;
    // me -> 0: pairs with the acquire in lock, and in `lockSlow` of core.ts.
    if (cpu.cmpxchgRelease(this.#owner, mine, 0) !== mine) this.unlockSlow();
  }

  /** `lock`, with a guard for `using`, which releases this acquisition and no other. */
  acquire(options?: WaitOptions): LockGuard {
    this.lock(options);
    return noteGuard(this.thread, this, this.thread.self, new SyncGuard(this));
  }

  /** @internal For guards: unlocks for the thread's synchronous code alone. Throws EPERM unless that holds the lock. */
  releaseSync(): void {
    const { cpu, mine, self } = this.thread;
    // me -> 0. Pairs with the acquires in `lock`, `#tryAsync`, and `lockSlow` and `tryLockDeferred` (core.ts).
    if (cpu.cmpxchgRelease(this.#owner, mine, 0) !== mine) this.releaseSlow(self);
  }

  /**
   * Waits for the lock without blocking the event loop; `unlock` releases it. Rejects with ETIMEDOUT, ENOTRECOVERABLE,
   * EINVAL, ENOMEM (no memory for another waiting task), or the signal's reason.
   */
  async lockAsync(options?: RtAsyncOptions): Promise<void> {
    const limits = limitsOf(this.thread.cpu, options, RT_ASYNC_OPTIONS);
    const rank = this.#rankOf(limits, options?.due);
    const wanted = this.thread.observer?.wants(this, ASYNC_ALONE, limits);
    const task = this.#tryAsync(rank, wanted) || (await this.#waitAsync(limits, rank, wanted));
    this.thread.unguarded.set(task, null);
  }

  /** `lockAsync`, with a guard. The guard alone can release it. */
  async acquireAsync(options?: RtAsyncOptions): Promise<LockGuard> {
    const limits = limitsOf(this.thread.cpu, options, RT_ASYNC_OPTIONS);
    const rank = this.#rankOf(limits, options?.due);
    const wanted = this.thread.observer?.wants(this, ASYNC_ALONE, limits);
    return this.guardOf(this.#tryAsync(rank, wanted) || (await this.#waitAsync(limits, rank, wanted)));
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
    options?: RtAsyncOptions,
  ): Promise<Result> {
    return runHoldingAsync(section, () => this.acquireAsync(options));
  }

  protected override get shown(): string {
    return `RtMutex(${this.name ?? this.address}, ${this.state})`;
  }

  #lockSlow(options: WaitOptions | undefined): void {
    const { thread } = this;
    const limits = limitsOf(thread.cpu, options);
    this.waitSync(limits, () => {
      const cycle: number[] = [];
      const outcome = block(thread, limits, (waiter) => lockSlow(this.address, waiter, cycle), this);
      if (outcome === 'deadlock') throw this.refusal(outcome, cycle, CHAIN_LIMIT);
      return outcome;
    });
  }

  protected override unlockForOwner(): void {
    unlockSlow(this.thread, this.address);
  }

  /** The task has a priority of its own for as long as it waits and holds. */
  override returnTask(task: number): void {
    const { cpu } = this.thread;
    cpu.store(task + Task.priority, 0);
    cpu.store(task + Task.due, 0);
    super.returnTask(task);
  }

  /** The task that took the lock at once, or 0. */
  #tryAsync(rank: Rank, wanted: Wanted | undefined): number {
    const { thread } = this;
    const task = thread.tryTakeTask(this.arena.heap);
    if (task === undefined) return 0;
    this.#setRank(task, rank);
    // 0 -> task. Pairs with the releases in `unlock`, `releaseTask` (owned-lock.ts) and `unlockDeferred` (core.ts).
    if (thread.cpu.cmpxchgAcquire(this.#owner, 0, task) === 0) {
      thread.observer?.has(wanted, task);
      return task;
    }
    this.returnTask(task);
    return 0;
  }

  #waitAsync({ timeout, signal, deadline }: Limits, rank: Rank, wanted: Wanted | undefined): Promise<number> {
    // Without the priority: that is the task's, which keeps it with the lock, and not of the wait alone.
    return this.waitAsync({ timeout, signal, deadline }, wanted, (waiter) => this.#lockRanked(waiter, rank));
  }

  *#lockRanked(waiter: Waiter, rank: Rank): SlowPath<Outcome> {
    this.#setRank(waiter.task, rank);
    const outcome = yield* lockSlow(this.address, waiter, []);
    // Illegal to leave it: the driver returns the task of a call that gives up, and the next call of this thread takes it.
    if (outcome !== 'acquired' && outcome !== 'owner-died') this.#setRank(waiter.task, [0, 0]);
    return outcome;
  }

  /** The priority and the deadline of an asynchronous acquisition. Throws EINVAL. */
  #rankOf({ priority }: Limits, due: number | undefined): Rank {
    const { cpu, slot } = this.thread;
    return [priority ?? cpu.load(slot + Priorities.own), dueIn(cpu, due)];
  }

  #setRank(task: number, [priority, due]: Rank): void {
    const { cpu } = this.thread;
    cpu.store(task + Task.priority, priority);
    cpu.store(task + Task.due, due);
  }
}
