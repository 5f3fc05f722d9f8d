import { inspect } from 'node:util';
import { HoldfastError, shown } from '../errors.ts';
import { openFutexes } from '../futex/open.ts';
import { FUTEX_OWNER_DIED } from '../futex/robust-list.ts';
import type { Futexes } from '../futex/table.ts';
import { defineKind, type Kind } from '../memory/kinds.ts';
import type { Arena } from '../sched/arena.ts';
import { type AsyncWaitOptions, block, blockAsync, type WaitOptions } from '../sched/drive.ts';
import type { Repairer } from '../sched/reaper.ts';
import { type ObjectHandle, SharedObject } from '../sched/shared-object.ts';
import { Task } from '../sched/task.ts';
import { DETACHED } from '../sched/thread.ts';
import {
  type Attempt,
  isTask,
  lockSlow,
  type Outcome,
  ownerOf,
  PthreadMutexWords,
  repair,
  STALLED,
  tryAcquire,
  UNRECOVERABLE,
  unlockSlow,
} from './mutex-core.ts';

export type PthreadMutexType = 'normal' | 'errorcheck' | 'recursive';

/** Attributes of a mutex. All who open one name must give the same. */
export interface PthreadMutexAttributes {
  /**
   * What a thread gets that locks it again. 'normal', the default: with a timeout ETIMEDOUT, without one EDEADLK, for
   * it would never end. 'errorcheck': EDEADLK at once. 'recursive': the lock once more.
   */
  type?: PthreadMutexType | undefined;
  /** Whether the next owner gets the mutex of a thread that died. Default true, unlike POSIX: nobody does otherwise. */
  robust?: boolean | undefined;
}

function define(type: PthreadMutexType, isRobust: boolean): Kind<Repairer> {
  return defineKind<Repairer>({
    name: `pthread ${isRobust ? '' : 'stalling '}${type === 'normal' ? '' : `${type} `}mutex`,
    words: PthreadMutexWords.words,
    format: () => {},
    holder(cpu, mutex) {
      const owner = ownerOf(cpu.load(mutex + PthreadMutexWords.word));
      return isTask(owner) ? cpu.load(owner + Task.thread) : 0;
    },
    isBusy: (cpu, mutex) => isTask(ownerOf(cpu.load(mutex + PthreadMutexWords.word))),
    repair: (repairer, mutex) => repair(repairer, mutex, isRobust),
  });
}

const ROBUST = {
  normal: define('normal', true),
  errorcheck: define('errorcheck', true),
  recursive: define('recursive', true),
};
const STALLING = {
  normal: define('normal', false),
  errorcheck: define('errorcheck', false),
  recursive: define('recursive', false),
};

function kindOf({ type = 'normal', robust = true }: PthreadMutexAttributes = {}): Kind {
  if (!Object.hasOwn(ROBUST, type) || typeof robust !== 'boolean') {
    throw new HoldfastError(
      'EINVAL',
      `attributes are { type: 'normal' | 'errorcheck' | 'recursive', robust: boolean }; received type ${shown(type)}, robust ${shown(robust)}`,
    );
  }
  return (robust ? ROBUST : STALLING)[type];
}

/** The most that a recursive mutex can be locked again. */
const MOST_DEPTH = 2 ** 31 - 1;

/** A pthread mutex held until `release`, or until the end of the scope that `using` gives it. */
export class PthreadMutexGuard {
  readonly mutex: PthreadMutex;
  /** The task that owns the mutex, 0 once released. */
  #task: number;
  readonly #isAsync: boolean;

  constructor(mutex: PthreadMutex, task: number, isAsync: boolean) {
    this.mutex = mutex;
    this.#task = task;
    this.#isAsync = isAsync;
  }

  /** @internal */
  get task(): number {
    if (this.#task === 0) throw new HoldfastError('EPERM', 'this guard was released before');
    return this.#task;
  }

  get ownerDied(): boolean {
    return this.mutex.ownerDied;
  }

  makeConsistent(): void {
    this.mutex.makeConsistent();
  }

  /** Unlocks. Throws EPERM when the guard was released before. */
  release(): void {
    const { task } = this;
    this.#task = 0;
    if (this.#isAsync) this.mutex.releaseTask(task);
    else this.mutex.unlock();
  }

  [Symbol.dispose](): void {
    this.release();
  }
}

/**
 * pthread_mutex_t: normal, error-checking or recursive, robust unless told otherwise. One word, over the futex.
 *
 * Fairness: a free mutex goes to whoever comes first, also past those who sleep, and is never handed over: quicker than
 * `Mutex` under contention, but a waiter can be passed over again and again. Those who sleep are woken in order.
 *
 * Death: as `Mutex`. The next owner gets it with `ownerDied` set (EOWNERDEAD), and calls `makeConsistent()`; if it
 * unlocks without, all lock calls throw ENOTRECOVERABLE.
 *
 * Source: pthread_mutex_lock(3p) for the semantics.
 */
export class PthreadMutex extends SharedObject {
  readonly #word: number;
  readonly #depth: number;
  readonly #isRecursive: boolean;
  readonly #isChecked: boolean;
  readonly #futexes: Futexes;

  /** Opens the mutex of that name, making it if there is none, or that of a handle; with neither, a new one. */
  constructor(arena: Arena, which?: string | ObjectHandle, attributes?: PthreadMutexAttributes) {
    super(kindOf(attributes), arena, which);
    this.#word = this.address + PthreadMutexWords.word;
    this.#depth = this.address + PthreadMutexWords.depth;
    this.#isRecursive = attributes?.type === 'recursive';
    this.#isChecked = attributes?.type !== undefined && attributes.type !== 'normal';
    this.#futexes = openFutexes(arena);
  }

  static from(arena: Arena, handle: ObjectHandle, attributes?: PthreadMutexAttributes): PthreadMutex {
    return new PthreadMutex(arena, handle, attributes);
  }

  /** Waits for the lock, blocking the thread. Throws ETIMEDOUT, EDEADLK, ENOTRECOVERABLE, EAGAIN (locked too often). */
  lock(options?: WaitOptions): void {
    const { self, cpu } = this.thread;
    if (self === DETACHED) this.thread.current();
    if (options !== undefined || cpu.cmpxchgAcquire(this.#word, 0, self) !== 0) this.#lockSlow(options);
  }

  /** Takes the lock if it is free, or this thread's own and recursive. False for EBUSY. */
  tryLock(): boolean {
    const task = this.thread.current();
    const { cpu } = this.thread;
    if (cpu.cmpxchgAcquire(this.#word, 0, task) === 0 || this.#relock(task)) return true;
    if (ownerOf(cpu.load(this.#word)) === UNRECOVERABLE) throw this.#refusal('unrecoverable', undefined);
    return tryAcquire(this.#futexes, this.address, task, 0);
  }

  /** Unlocks what `lock`, `tryLock` or `lockAsync` on this thread locked. Throws EPERM when it was not. */
  unlock(): void {
    const { self, cpu } = this.thread;
    if (this.#isRecursive && this.#unnest()) return;
    if (cpu.cmpxchgRelease(this.#word, self, 0) !== self) this.#unlockSlow();
  }

  /** `lock`, returning a guard for `using`. */
  acquire(options?: WaitOptions): PthreadMutexGuard {
    this.lock(options);
    return new PthreadMutexGuard(this, this.thread.self, false);
  }

  /** Waits for the lock without blocking the event loop; `unlock` releases it. */
  async lockAsync(options?: AsyncWaitOptions): Promise<void> {
    this.thread.unguarded.add(await this.#waitAsync(options));
  }

  /**
   * `lockAsync`, with a guard, which alone can release it. Each asynchronous acquisition is an owner of its own: a
   * recursive mutex is not taken twice by it.
   */
  async acquireAsync(options?: AsyncWaitOptions): Promise<PthreadMutexGuard> {
    return new PthreadMutexGuard(this, await this.#waitAsync(options), true);
  }

  /** Whether somebody holds the lock; out of date as soon as it is read. */
  get isLocked(): boolean {
    return ownerOf(this.thread.cpu.load(this.#word)) !== 0;
  }

  /** Whether an owner died inside, and nobody has called `makeConsistent` since. */
  get ownerDied(): boolean {
    return (this.thread.cpu.load(this.#word) & FUTEX_OWNER_DIED) !== 0;
  }

  /** pthread_mutex_consistent(3). Throws EPERM unless this thread holds the mutex, EINVAL unless an owner had died. */
  makeConsistent(): void {
    const { cpu, id } = this.thread;
    const owner = ownerOf(cpu.load(this.#word));
    if (!isTask(owner) || cpu.load(owner + Task.thread) !== id) throw this.#notOwner('makeConsistent');
    if (!this.ownerDied) {
      throw new HoldfastError('EINVAL', `no owner of the ${this.label} has died: there is nothing to make consistent`);
    }
    cpu.fetchAndRelaxed(this.#word, ~FUTEX_OWNER_DIED);
  }

  [inspect.custom](): string {
    return `PthreadMutex(${this.name ?? this.address}, ${this.#state()})`;
  }

  /** @internal For guards. */
  releaseTask(task: number): void {
    const { cpu } = this.thread;
    if (cpu.cmpxchgRelease(this.#word, task, 0) !== task) unlockSlow(this.#futexes, this.address);
    this.thread.returnTask(task);
  }

  /** @internal For condition variables: the task of this thread's synchronous code. Throws EPERM unless it holds it. */
  heldBySelf(): number {
    const { cpu, self } = this.thread;
    if (ownerOf(cpu.load(this.#word)) !== self) throw this.#notOwner('waiting with');
    if (this.#isRecursive && cpu.read(this.#depth) > 0) {
      throw new HoldfastError('EPERM', `the ${this.label} is locked more than once: waiting would not unlock it`);
    }
    return self;
  }

  #lockSlow(options: WaitOptions | undefined): void {
    const { self } = this.thread;
    if (this.#relock(self)) return;
    const attempt: Attempt = { owner: self, mark: 0, isChecked: this.#isChecked };
    const outcome = block(this.thread, options, (waiter) => lockSlow(this.#futexes, this.address, waiter, attempt));
    if (outcome !== 'acquired' && outcome !== 'owner-died') throw this.#refusal(outcome, options);
    if (outcome === 'owner-died') this.thread.counters.ownerDeaths++;
  }

  async #waitAsync(options: AsyncWaitOptions | undefined): Promise<number> {
    const { thread } = this;
    const { outcome, task } = await blockAsync(thread, this.arena.heap, options, (waiter) => {
      return lockSlow(this.#futexes, this.address, waiter, { owner: waiter.task, mark: 0, isChecked: false });
    });
    if (outcome === 'acquired' || outcome === 'owner-died') return task;
    thread.returnTask(task);
    if (outcome === 'aborted') throw options?.signal?.reason;
    throw this.#refusal(outcome, options);
  }

  #unlockSlow(): void {
    const { thread } = this;
    const task = ownerOf(thread.cpu.load(this.#word));
    if (task === 0 || (task !== thread.current() && !thread.unguarded.delete(task))) throw this.#notOwner('unlock');
    unlockSlow(this.#futexes, this.address);
    if (task !== thread.self) thread.returnTask(task);
  }

  /** Whether a recursive mutex was this task's already. */
  #relock(task: number): boolean {
    const { cpu } = this.thread;
    if (!this.#isRecursive || ownerOf(cpu.load(this.#word)) !== task) return false;
    const depth = cpu.read(this.#depth);
    if (depth === MOST_DEPTH) throw new HoldfastError('EAGAIN', `the ${this.label} is locked ${depth} times`);
    cpu.write(this.#depth, depth + 1);
    return true;
  }

  #unnest(): boolean {
    const { cpu, self } = this.thread;
    if (ownerOf(cpu.load(this.#word)) !== self) return false;
    const depth = cpu.read(this.#depth);
    if (depth > 0) cpu.write(this.#depth, depth - 1);
    return depth > 0;
  }

  #state(): string {
    const { cpu } = this.thread;
    const owner = ownerOf(cpu.load(this.#word));
    if (owner === 0) return 'free';
    if (owner === UNRECOVERABLE) return 'not recoverable';
    if (owner === STALLED) return 'held by a dead thread';
    return `held by thread ${cpu.load(owner + Task.thread) - 1}`;
  }

  #refusal(outcome: Outcome, options: WaitOptions | undefined): HoldfastError {
    if (outcome === 'timed-out') {
      return this.notInTime(options, this.#state());
    }
    if (outcome === 'deadlock') {
      return new HoldfastError('EDEADLK', `this thread already holds the ${this.label}`);
    }
    return new HoldfastError(
      'ENOTRECOVERABLE',
      `an owner of the ${this.label} died, and the next unlocked it without makeConsistent()`,
    );
  }

  #notOwner(call: string): HoldfastError {
    return new HoldfastError('EPERM', `${call} the ${this.label} by thread ${this.thread.number}: ${this.#state()}`);
  }
}
