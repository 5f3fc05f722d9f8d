import { inspect } from 'node:util';
import { HoldfastError } from '../errors.ts';
import { defineKind } from '../memory/kinds.ts';
import type { Arena } from '../sched/arena.ts';
import {
  type AsyncWaitOptions,
  block,
  blockAsync,
  checkOptions,
  deadlineOf,
  type WaitOptions,
} from '../sched/drive.ts';
import type { Repairer } from '../sched/reaper.ts';
import { type ObjectHandle, SharedObject } from '../sched/shared-object.ts';
import { ASYNC, Task } from '../sched/task.ts';
import { DETACHED } from '../sched/thread.ts';
import { WaitList } from '../sched/wait-list.ts';
import {
  lockAsleep,
  lockAwake,
  MutexWords,
  makeConsistent,
  type Outcome,
  OWNER_DIED,
  ownerOf,
  repair,
  tryAcquire,
  UNRECOVERABLE,
  unlockSlow,
} from './mutex-core.ts';

const KIND = defineKind<Repairer>({
  name: 'mutex',
  words: MutexWords.words,
  format: () => {},
  holder(cpu, mutex) {
    const owner = ownerOf(cpu.load(mutex + MutexWords.owner));
    return owner === 0 || owner === UNRECOVERABLE ? 0 : cpu.load(owner + Task.thread);
  },
  isBusy: (cpu, mutex) => {
    const owner = ownerOf(cpu.load(mutex + MutexWords.owner));
    return (owner !== 0 && owner !== UNRECOVERABLE) || cpu.load(mutex + MutexWords.waiters + WaitList.first) !== 0;
  },
  repair,
});

/** Who holds a mutex. */
export interface MutexOwner {
  /** CPU number of the thread. */
  readonly thread: number;
  /** Whether the thread's asynchronous code holds it, rather than a synchronous call. */
  readonly async: boolean;
}

/** A mutex held until `release`, or until the end of the scope that `using` gives it. */
export class MutexGuard {
  readonly #mutex: Mutex;

  constructor(mutex: Mutex) {
    this.#mutex = mutex;
  }

  /** Whether an earlier owner died inside: what the mutex protects may be half-changed. */
  get ownerDied(): boolean {
    return this.#mutex.ownerDied;
  }

  /** See `Mutex.makeConsistent`. */
  makeConsistent(): void {
    this.#mutex.makeConsistent();
  }

  /** Unlocks. Throws EPERM when the guard was released before. */
  release(): void {
    this.#mutex.unlock();
  }

  [Symbol.dispose](): void {
    this.#mutex.unlock();
  }
}

/** The guard of one asynchronous acquisition, with a task of its own. */
class AsyncMutexGuard extends MutexGuard {
  #release: (() => void) | undefined;

  constructor(mutex: Mutex, release: () => void) {
    super(mutex);
    this.#release = release;
  }

  override release(): void {
    const release = this.#release;
    if (release === undefined) throw new HoldfastError('EPERM', 'this guard was released before');
    this.#release = undefined;
    release();
  }

  override [Symbol.dispose](): void {
    this.release();
  }
}

/**
 * A lock that one task at a time can hold: a thread's synchronous code, or one of its asynchronous acquisitions. It
 * works across threads and inside one thread's async code alike, and the two mix freely.
 *
 * Fairness: a free mutex goes to whoever comes first, also past those who sleep; they are woken in order of arrival,
 * and the first of them, once woken in vain, is handed the lock by the next unlock. So nobody waits for ever, and few
 * hand-overs cost a switch of threads.
 *
 * Death: if a thread ends while it holds the mutex, the next owner gets it with `ownerDied` set, repairs what the
 * mutex protects, and calls `makeConsistent()`. If it unlocks without that, all lock calls throw ENOTRECOVERABLE.
 *
 * Not recursive: EDEADLK for a synchronous lock by the thread that holds it, synchronously or asynchronously. An
 * asynchronous acquisition that waits for its own caller's lock cannot be told from any other, and waits.
 *
 * Source: kernel/locking/mutex.c; robust owners as in pthread_mutexattr_setrobust(3).
 */
export class Mutex extends SharedObject {
  readonly #owner: number;
  readonly #guard = new MutexGuard(this);

  /** Opens the mutex of that name, making it if there is none, or that of a handle; with neither, a new one. */
  constructor(arena: Arena, which?: string | ObjectHandle) {
    super(KIND, arena, which);
    this.#owner = this.address + MutexWords.owner;
  }

  static from(arena: Arena, handle: ObjectHandle): Mutex {
    return new Mutex(arena, handle);
  }

  /**
   * Waits for the lock, blocking the thread. Throws ETIMEDOUT, EDEADLK when this thread holds it, ENOTRECOVERABLE,
   * and EINVAL for bad options.
   */
  lock(options?: WaitOptions): void {
    const { thread } = this;
    const { self } = thread;
    if (self === DETACHED) thread.current();
    if (options !== undefined || thread.cpu.cmpxchgAcquire(this.#owner, 0, self) !== 0) this.#lockSlow(options);
  }

  /** Takes the lock if it is free. Throws ENOTRECOVERABLE. */
  tryLock(): boolean {
    const { cpu } = this.thread;
    const task = this.thread.current();
    if (ownerOf(cpu.load(this.#owner)) === UNRECOVERABLE) throw this.#refusal('unrecoverable', undefined);
    return tryAcquire(cpu, this.address, task, 0);
  }

  /** Unlocks what `lock`, `tryLock` or `lockAsync` on this thread locked. Throws EPERM when it was not. */
  unlock(): void {
    const { self, cpu } = this.thread;
    if (cpu.cmpxchgRelease(this.#owner, self, 0) !== self) this.#unlockSlow();
  }

  /** `lock`, returning a guard for `using`. The guard is valid until it is released; the next `acquire` reuses it. */
  acquire(options?: WaitOptions): MutexGuard {
    this.lock(options);
    return this.#guard;
  }

  /**
   * Waits for the lock without blocking the event loop; `unlock` releases it. Rejects with ETIMEDOUT, ENOTRECOVERABLE,
   * EINVAL, ENOMEM (no memory for another waiting task), or the signal's reason.
   */
  async lockAsync(options?: AsyncWaitOptions): Promise<void> {
    const task = this.#tryAsync(options) || (await this.#waitAsync(options));
    this.thread.unguarded.add(task);
  }

  /** `lockAsync`, with a guard. The guard alone can release it. */
  acquireAsync(options?: AsyncWaitOptions): Promise<MutexGuard> {
    try {
      const task = this.#tryAsync(options);
      if (task !== 0) return Promise.resolve(this.#guardOf(task));
    } catch (error) {
      return Promise.reject(error);
    }
    return this.#waitAsync(options).then((task) => this.#guardOf(task));
  }

  /** Whether somebody holds the lock; out of date as soon as it is read. */
  get isLocked(): boolean {
    return this.owner !== undefined;
  }

  /** Whether anybody sleeps for the lock; out of date as soon as it is read. */
  get isContended(): boolean {
    return this.thread.cpu.load(this.address + MutexWords.waiters + WaitList.first) !== 0;
  }

  /** Who holds the lock, if anybody; out of date as soon as it is read, unless it is the caller. */
  get owner(): MutexOwner | undefined {
    const { cpu } = this.thread;
    const task = ownerOf(cpu.load(this.#owner));
    if (task === 0 || task === UNRECOVERABLE) return undefined;
    return { thread: cpu.load(task + Task.thread) - 1, async: cpu.load(task + Task.mode) === ASYNC };
  }

  /** Whether an owner died inside, and nobody has called `makeConsistent` since. */
  get ownerDied(): boolean {
    return (this.thread.cpu.load(this.#owner) & OWNER_DIED) !== 0;
  }

  /**
   * The owner says that what the mutex protects is in order again (pthread_mutex_consistent). Throws EPERM unless this
   * thread holds the mutex, EINVAL unless an owner had died.
   */
  makeConsistent(): void {
    if (this.owner?.thread !== this.thread.number) throw this.#notOwner('makeConsistent');
    if (!this.ownerDied)
      throw new HoldfastError('EINVAL', `no owner of the ${this.label} has died: there is nothing to make consistent`);
    makeConsistent(this.thread.cpu, this.address);
  }

  [inspect.custom](): string {
    return `Mutex(${this.name ?? this.address}, ${this.#state()})`;
  }

  #lockSlow(options: WaitOptions | undefined): void {
    const { thread, address } = this;
    checkOptions(options);
    deadlineOf(thread.cpu, options?.timeout);
    const outcome =
      lockAwake(thread, address, thread.self, false) ?? block(thread, options, (waiter) => lockAsleep(address, waiter));
    if (outcome !== 'acquired' && outcome !== 'owner-died') throw this.#refusal(outcome, options);
  }

  #unlockSlow(): void {
    const { thread } = this;
    const task = ownerOf(thread.cpu.load(this.#owner));
    const isOurs = task === thread.current() || thread.unguarded.delete(task);
    if (!isOurs) throw this.#notOwner('unlock');
    unlockSlow(thread, this.address);
    if (task !== thread.self) thread.returnTask(task);
  }

  /** The task that took the lock at once, or 0. */
  #tryAsync(options: AsyncWaitOptions | undefined): number {
    const { thread } = this;
    if (options !== undefined) {
      checkOptions(options);
      deadlineOf(thread.cpu, options.timeout);
    }
    const task = thread.takeTask(this.arena.heap);
    if (thread.cpu.cmpxchgAcquire(this.#owner, 0, task) === 0) return task;
    thread.returnTask(task);
    return 0;
  }

  async #waitAsync(options: AsyncWaitOptions | undefined): Promise<number> {
    const { thread } = this;
    thread.counters.contended++;
    const { outcome, task } = await blockAsync(thread, this.arena.heap, options, (waiter) =>
      lockAsleep(this.address, waiter),
    );
    if (outcome === 'acquired' || outcome === 'owner-died') return task;
    thread.returnTask(task);
    if (outcome === 'aborted') throw options?.signal?.reason;
    throw this.#refusal(outcome, options);
  }

  #guardOf(task: number): MutexGuard {
    return new AsyncMutexGuard(this, () => {
      const { thread } = this;
      if (thread.cpu.cmpxchgRelease(this.#owner, task, 0) !== task) unlockSlow(thread, this.address);
      thread.returnTask(task);
    });
  }

  #state(): string {
    if (ownerOf(this.thread.cpu.load(this.#owner)) === UNRECOVERABLE) return 'not recoverable';
    const { owner } = this;
    return owner === undefined ? 'free' : `held by thread ${owner.thread}${owner.async ? ', async' : ''}`;
  }

  #refusal(outcome: Outcome, options: WaitOptions | undefined): HoldfastError {
    switch (outcome) {
      case 'timed-out':
        return this.notInTime(options, this.#state());
      case 'deadlock':
        return new HoldfastError(
          'EDEADLK',
          `this thread already holds the ${this.label}: waiting for it here would never end`,
        );
      default:
        return new HoldfastError(
          'ENOTRECOVERABLE',
          `an owner of the ${this.label} died, and the next unlocked it without makeConsistent()`,
        );
    }
  }

  #notOwner(call: string): HoldfastError {
    return new HoldfastError('EPERM', `${call} of the ${this.label} by thread ${this.thread.number}: ${this.#state()}`);
  }
}
