import type { Arena } from '../arena/arena.ts';
import { checkSection, type LockGuard, OnceGuard, runHolding, runHoldingAsync } from '../arena/guard.ts';
import { type ObjectHandle, SharedObject } from '../arena/shared-object.ts';
import { checkOptionNames, HoldfastError, shown } from '../errors.ts';
import { openFutexes } from '../futex/open.ts';
import type { Futexes } from '../futex/table.ts';
import { type LockOwner, lockOwnerOf } from '../locking/lock-owner.ts';
import { defineKind, type Kind } from '../memory/kinds.ts';
import type { Repairer } from '../memory/repairer.ts';
import { ALONE, ASYNC_ALONE, ASYNC_SHARED, announce, contend, SHARED } from '../sched/contention.ts';
import { ASYNC_OPTIONS, type AsyncWaitOptions, block, blockAsync, limitsOf, type WaitOptions } from '../sched/drive.ts';
import { claimHold, holdsOf } from '../sched/holds.ts';
import { noteGuard } from '../sched/lock-observer.ts';
import type { Concluded, Waiter } from '../sched/slow-path.ts';
import { Task } from '../sched/task.ts';
import {
  isBusy,
  leaveAtOnce,
  OWNER_DIED,
  type Preference,
  READ,
  RwlockWords,
  readAtOnce,
  readersIn,
  release,
  repair,
  takeSlow,
  tryTake,
  WRITE,
} from './rwlock-core.ts';

export type PthreadRwlockPreference = Preference;

export interface PthreadRwlockOptions {
  /** Whom the lock lets in first; all who open one name must give the same. Default: 'writers'. */
  preference?: PthreadRwlockPreference | undefined;
}

function define(preference: Preference): Kind<Repairer> {
  return defineKind<Repairer>({
    name: preference === 'writers' ? 'pthread rwlock' : 'pthread reader-preferring rwlock',
    words: RwlockWords,
    format: () => {},
    holder(cpu, lock) {
      // Acquire: pairs with the barrier in `TaskStore`.
      const writer = cpu.loadAcquire(lock + RwlockWords.writer);
      return writer === 0 ? 0 : cpu.load(writer + Task.thread);
    },
    isHeldBy: (cpu, lock, id) => holdsOf(cpu, id, lock, (other) => other === id).length > 0,
    mode: (cpu, task) => (cpu.load(task + Task.want) & READ ? 'read' : 'write'),
    isBusy,
    repair,
  });
}

/** Of this file, as the constants of rwlock-core.ts are. */
const enterAtOnce = readAtOnce;
const leavesAtOnce = leaveAtOnce;
const KINDS = { readers: define('readers'), writers: define('writers') };

function kindOf(preference: Preference): Kind {
  if (Object.hasOwn(KINDS, preference)) return KINDS[preference];
  throw new HoldfastError('EINVAL', `a rwlock prefers 'readers' or 'writers', received ${shown(preference)}`);
}

/**
 * pthread_rwlock_t: many read, or one writes. It prefers writers (a writer that waits keeps new readers out, and
 * readers starve if writers never stop) or readers (the other way round). A thread's synchronous code may lock for
 * reading again what it reads already, also while a writer waits; and while asynchronous tasks of its own read the lock or
 * wait for it, it does not wait for writers that only wait: one of them may be its own.
 *
 * Death: readers that die have left. When a writer dies inside, the lock comes free with `ownerDied` set until
 * `makeConsistent()`; POSIX has nothing for that. EAGAIN when there is no memory to note that this thread reads another
 * lock.
 *
 * For speed use `RwSemaphore`; this one is for exact POSIX semantics. Source: pthread_rwlock_rdlock(3p), and glibc's
 * PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP.
 */
export class PthreadRwlock extends SharedObject {
  readonly #futexes: Futexes;
  readonly #preference: Preference;
  /** Where the record of this thread's synchronous code was; see `isRecordOf`. */
  #record = 0;

  /** A preference alone stands for `{ preference }`. */
  constructor(
    arena: Arena,
    which?: string | ObjectHandle,
    options: PthreadRwlockOptions | PthreadRwlockPreference = {},
  ) {
    const asked = typeof options === 'string' ? { preference: options } : options;
    checkOptionNames(asked, ['preference']);
    const { preference = 'writers' } = asked;
    super(kindOf(preference), arena, which);
    this.#futexes = openFutexes(arena);
    this.#preference = preference;
  }

  static from(
    arena: Arena,
    handle: ObjectHandle,
    options?: PthreadRwlockOptions | PthreadRwlockPreference,
  ): PthreadRwlock {
    return new PthreadRwlock(arena, handle, options);
  }

  /** Waits until it may read. Throws ETIMEDOUT, EAGAIN, EDEADLK when this thread holds the lock for writing. */
  readLock(options?: WaitOptions): void {
    const { thread, address } = this;
    // `#lock` sees to a thread that is observed, or has detached.
    if (options === undefined && thread.free === 0) {
      if (enterAtOnce(thread, address, this.#record)) return;
      this.#record = claimHold(thread.cpu, thread.self, address);
    }
    this.#lock(READ, options);
  }

  /** Waits until it is alone. Throws ETIMEDOUT, EDEADLK when this thread holds the lock. */
  writeLock(options?: WaitOptions): void {
    this.#lock(WRITE, options);
  }

  /** False for EBUSY. */
  tryReadLock(): boolean {
    return this.#try(READ);
  }

  tryWriteLock(): boolean {
    return this.#try(WRITE);
  }

  /** Releases what this thread's synchronous code holds. Throws EPERM when that is nothing. */
  unlock(): void {
    const { thread, address } = this;
    if (thread.free === 0 && leavesAtOnce(thread, address, this.#record)) return;
    if (!release(this.#futexes, this.address, this.thread.current(), this.#preference)) {
      throw this.unheld(
        new HoldfastError('EPERM', `unlock of the ${this.label} by thread ${this.thread.number}: ${this.#state()}`),
      );
    }
    this.thread.observer?.gave(this, this.thread.self);
  }

  acquireRead(options?: WaitOptions): LockGuard {
    this.#lock(READ, options);
    return noteGuard(this.thread, this, this.thread.self, new OnceGuard(this, () => this.unlock()));
  }

  acquireWrite(options?: WaitOptions): LockGuard {
    this.#lock(WRITE, options);
    return noteGuard(this.thread, this, this.thread.self, new OnceGuard(this, () => this.unlock()));
  }

  acquireReadAsync(options?: AsyncWaitOptions): Promise<LockGuard> {
    return this.#acquireAsync(READ, options);
  }

  acquireWriteAsync(options?: AsyncWaitOptions): Promise<LockGuard> {
    return this.#acquireAsync(WRITE, options);
  }

  /**
   * Runs `section` while it reads, and releases the lock however that ends. Returns what it returns; throws as `acquireRead`,
   * what it throws, and EINVAL when it is asynchronous.
   */
  runShared<Result>(section: (held: LockGuard) => Result, options?: WaitOptions): Result {
    return runHolding(checkSection(section), this.acquireRead(options));
  }

  /** `runShared` that never blocks the event loop, also for a section that awaits. Rejects as `acquireReadAsync`. */
  runSharedAsync<Result>(
    section: (held: LockGuard) => Result | PromiseLike<Result>,
    options?: AsyncWaitOptions,
  ): Promise<Result> {
    return runHoldingAsync(section, () => this.acquireReadAsync(options));
  }

  /**
   * Runs `section` while it writes, and releases the lock however that ends. Returns what it returns; throws as `acquireWrite`,
   * what it throws, and EINVAL when it is asynchronous.
   */
  runExclusive<Result>(section: (held: LockGuard) => Result, options?: WaitOptions): Result {
    return runHolding(checkSection(section), this.acquireWrite(options));
  }

  /**
   * `runExclusive` that never blocks the event loop, also for a section that awaits. Rejects as `acquireWriteAsync`.
   */
  runExclusiveAsync<Result>(
    section: (held: LockGuard) => Result | PromiseLike<Result>,
    options?: AsyncWaitOptions,
  ): Promise<Result> {
    return runHoldingAsync(section, () => this.acquireWriteAsync(options));
  }

  /** Whether a writer died inside, and nobody has called `makeConsistent` since. */
  get ownerDied(): boolean {
    return (this.living.load(this.address + RwlockWords.state) & OWNER_DIED) !== 0;
  }

  /** The writer, if there is one; out of date as soon as it is read. */
  get owner(): LockOwner | undefined {
    const task = this.living.load(this.address + RwlockWords.writer);
    return task === 0 ? undefined : lockOwnerOf(this.thread.cpu, task);
  }

  /** How many read; out of date as soon as it is read. */
  get readers(): number {
    return readersIn(this.living.load(this.address + RwlockWords.state));
  }

  /** Whether somebody holds the lock, to read or to write; out of date as soon as it is read. */
  get isLocked(): boolean {
    return this.owner !== undefined || this.readers > 0;
  }

  /** The writer says that what the lock protects is in order. Throws EPERM, EINVAL. */
  makeConsistent(): void {
    const { cpu, id } = this.thread;
    this.current();
    const writer = cpu.load(this.address + RwlockWords.writer);
    if (writer === 0 || cpu.load(writer + Task.thread) !== id) {
      throw new HoldfastError('EPERM', `makeConsistent of the ${this.label}: ${this.#state()}`);
    }
    if (!this.ownerDied) throw new HoldfastError('EINVAL', `no writer of the ${this.label} has died`);
    cpu.fetchAndRelaxed(this.address + RwlockWords.state, ~OWNER_DIED);
  }

  protected override get shown(): string {
    return `PthreadRwlock(${this.name ?? this.address}, ${this.#state()})`;
  }

  #lock(want: number, options: WaitOptions | undefined): void {
    const { thread, address } = this;
    const limits = limitsOf(thread.cpu, options);
    const form = want === READ ? SHARED : ALONE;
    const task = thread.current();
    const wanted = thread.observer?.wants(this, form, limits);
    const first = tryTake(this.#futexes, address, task, want, this.#preference);
    // With a timeout it is none: the call ends.
    const outcome =
      first === 'busy' || (first === 'deadlock' && limits.timeout !== undefined)
        ? contend(thread, address, form, () => {
            const path = (waiter: Waiter) => takeSlow(this.#futexes, address, waiter, want, this.#preference);
            return block(thread, limits, path, this);
          })
        : first;
    if (outcome !== 'acquired') throw this.#refusal(outcome);
    thread.observer?.has(wanted, task);
  }

  #try(want: number): boolean {
    const { observer } = this.thread;
    const task = this.thread.current();
    const outcome = tryTake(this.#futexes, this.address, task, want, this.#preference);
    if (outcome === 'acquired') {
      observer?.took(this, want === READ ? SHARED : ALONE, task);
      return true;
    }
    if (outcome === 'exhausted') throw this.#refusal(outcome);
    this.checkThere();
    return false;
  }

  async #acquireAsync(want: number, options: AsyncWaitOptions | undefined): Promise<LockGuard> {
    const { thread } = this;
    const limits = limitsOf(thread.cpu, options, ASYNC_OPTIONS);
    const form = want === READ ? ASYNC_SHARED : ASYNC_ALONE;
    const wanted = thread.observer?.wants(this, form, limits);
    announce(thread, this.address, form);
    const path = (waiter: Waiter) => takeSlow(this.#futexes, this.address, waiter, want, this.#preference);
    const { outcome, task } = await blockAsync(thread, this.arena.heap, limits, path, this);
    if (outcome === 'acquired') {
      thread.observer?.has(wanted, task);
      return noteGuard(
        this.thread,
        this,
        task,
        new OnceGuard(this, () => {
          // After detach another thread may have the slot, and so a task of the same address.
          thread.current();
          release(this.#futexes, this.address, task, this.#preference);
          thread.observer?.gave(this, task);
          thread.returnTask(task);
        }),
      );
    }
    thread.returnTask(task);
    throw this.#refusal(outcome);
  }

  #state(): string {
    const { cpu } = this.thread;
    const writer = cpu.load(this.address + RwlockWords.writer);
    if (writer !== 0) return `written by thread ${cpu.load(writer + Task.thread) - 1}`;
    const readers = readersIn(cpu.load(this.address + RwlockWords.state));
    return readers === 0 ? 'free' : `${readers} ${readers === 1 ? 'reader' : 'readers'}`;
  }

  protected override get obstacle(): string {
    return this.#state();
  }

  #refusal(outcome: Concluded): HoldfastError {
    if (outcome === 'exhausted') {
      return new HoldfastError('EAGAIN', `there is no memory to note that this thread reads the ${this.label}`);
    }
    return new HoldfastError('EDEADLK', `this thread already holds the ${this.label}: ${this.#state()}`);
  }
}
