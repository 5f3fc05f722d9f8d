import { inspect } from 'node:util';
import type { RobustLock } from '../../arena/guard.ts';
import type { SharedObject } from '../../arena/shared-object.ts';
import { HoldfastError } from '../../errors.ts';
import type { AbortableOptions, WaitOptions } from '../../sched/drive.ts';
import type { Thread } from '../../sched/thread.ts';
import { Contestant } from '../rt-mutex/words.ts';
import { asyncContexts } from './contest.ts';

/** What a context needs of a `WwMutex`. */
export interface ContextLock extends RobustLock {
  readonly address: number;
  lockSlow(context: WwContext, options?: WaitOptions): void;
  unlock(context: WwContext): void;
  attempt(context: WwContext, options?: WaitOptions): boolean;
  /** @internal */
  attemptWithin(context: WwContext, options?: AbortableOptions): Promise<boolean>;
}

/** Locks taken between two injected deadlocks: at first, and how many times as many after each (the kernel's 3.5). */
const FIRST_INJECTION = 2;
const INJECTION_GROWTH = 3.5;

/**
 * One attempt to hold several wound/wait mutexes at once: it keeps its age until `release`, however often it backs off.
 * It has one task, so it waits for one lock at a time: until an asynchronous call of it has settled, every other call
 * throws EBUSY, `release` and `unlockAll` too. `WwClass.begin` makes one.
 */
export class WwContext {
  /** The `WwClass`. */
  readonly wwClass: SharedObject;
  /** Age: of two contexts of a class the one with the lower stamp is older. */
  readonly stamp: number;
  /** The task that owns what the context holds. */
  readonly task: number;
  readonly isAsync: boolean;
  /** How often it has backed off. */
  backOffs = 0;
  readonly #thread: Thread;
  /** By address: other views of a lock are the same lock. */
  readonly #held = new Map<number, ContextLock>();
  #isOver = false;
  /**
   * Whether an asynchronous call is under way. Illegal to be false while the task may be in a wait list: a second call
   * would queue it twice, and `release` would return it to the thread's store while a lock can still come to it.
   */
  #isBusy = false;
  #countdown: number;
  #interval = FIRST_INJECTION;

  /** @internal `WwClass.begin` makes them. */
  constructor(wwClass: SharedObject, thread: Thread, task: number, stamp: number, injectDeadlocks: boolean) {
    this.wwClass = wwClass;
    this.stamp = stamp;
    this.task = task;
    this.isAsync = task !== thread.self;
    this.#thread = thread;
    this.#countdown = injectDeadlocks ? FIRST_INJECTION : Number.POSITIVE_INFINITY;
  }

  toString(): string {
    return inspect(this);
  }

  toJSON(): string {
    return inspect(this);
  }

  [inspect.custom](): string {
    return `WwContext(${this.#isOver ? 'ended' : `${this.size} locks, stamp ${this.stamp}`})`;
  }

  /** How many locks it holds. */
  get size(): number {
    return this.#held.size;
  }

  /** The locks it holds. */
  get held(): readonly ContextLock[] {
    return [...this.#held.values()];
  }

  /**
   * Takes all of `mutexes`, blocking the thread: backs off as often as it takes. Throws ETIMEDOUT and ENOTRECOVERABLE,
   * and may hold some of them then. `timeout` is for each wait.
   */
  acquireAll(mutexes: Iterable<ContextLock>, options?: WaitOptions): void {
    const wanted = new Set(mutexes);
    for (let contended: ContextLock | undefined = this.#startOver(); ; ) {
      contended?.lockSlow(this, options);
      contended = undefined;
      for (const mutex of wanted) {
        if (this.#held.has(mutex.address) || mutex.attempt(this, options)) continue;
        contended = mutex;
        break;
      }
      if (contended === undefined) return;
      this.unlockAll();
    }
  }

  /** `acquireAll` that never blocks the event loop. Also rejects with the signal's reason. */
  async acquireAllAsync(mutexes: Iterable<ContextLock>, options?: AbortableOptions): Promise<void> {
    const wanted = new Set(mutexes);
    this.checkIdle();
    this.#startOver();
    await this.exclusively(async () => {
      for (let contended: ContextLock | undefined; ; ) {
        // Holding nothing, the context backs off from nobody: this waits until the lock has come.
        await contended?.attemptWithin(this, options);
        contended = undefined;
        for (const mutex of wanted) {
          if (this.#held.has(mutex.address) || (await mutex.attemptWithin(this, options))) continue;
          contended = mutex;
          break;
        }
        if (contended === undefined) return;
        this.#unlockHeld();
      }
    });
  }

  /** Unlocks everything, and stays as old as it is: what to do after EDEADLK, before `lockSlow`. Throws EBUSY. */
  unlockAll(): void {
    this.checkIdle();
    this.#unlockHeld();
  }

  /** Unlocks everything, and ends. Throws EPERM when it has ended before, EBUSY while a call of it is under way. */
  release(): void {
    this.checkIdle();
    this.#unlockHeld();
    this.#isOver = true;
    this.#thread.cpu.store(this.task + Contestant.stamp, 0);
    if (!this.isAsync) return;
    asyncContexts.of(this.#thread).delete(this.task);
    this.#thread.returnTask(this.task);
  }

  /** `release` at the end of a scope; does nothing after a `release` inside it. */
  [Symbol.dispose](): void {
    if (!this.#isOver) this.release();
  }

  /** For `WwMutex`: throws EPERM when the context has ended, EINVAL after detach, EBUSY while a call is under way. */
  checkIdle(): void {
    if (this.#isOver) throw new HoldfastError('EPERM', 'this acquire context has ended');
    // After detach another thread may have the slot, and so a task of the same address.
    this.#thread.current();
    if (!this.#isBusy) return;
    throw new HoldfastError('EBUSY', 'a call of this acquire context is under way: await that one first');
  }

  /** For `WwMutex`: runs one asynchronous call, which every other call is refused during. */
  async exclusively<Result>(call: () => Promise<Result>): Promise<Result> {
    this.#isBusy = true;
    try {
      return await call();
    } finally {
      this.#isBusy = false;
    }
  }

  /** For `WwMutex`: a lock call begins. Throws EINVAL when the context is for the other kind of calls. */
  begin(isAsync: boolean): void {
    if (isAsync !== this.isAsync) {
      throw new HoldfastError(
        'EINVAL',
        `an acquire context from ${this.isAsync ? 'beginAsync() is for asynchronous' : 'begin() is for synchronous'} calls`,
      );
    }
    // What wounded a context that holds nothing is over.
    if (this.#held.size > 0) return;
    const { cpu } = this.#thread;
    cpu.store(this.task + Contestant.wounded, 0);
    // A thread that finds a lock taken with this context finds its stamp, and wounds it after this: pairs with the acquire in
    // the slow path of that thread's lock call.
    cpu.wmb();
  }

  /** For `WwMutex`: whether to back off without need this time. */
  injects(): boolean {
    if (this.#held.size === 0 || this.#countdown-- > 0) return false;
    this.#interval = Math.ceil(this.#interval * INJECTION_GROWTH);
    this.#countdown = this.#interval;
    return true;
  }

  /** For `WwMutex`: the lock has come, or gone. */
  note(mutex: ContextLock, isHeld: boolean): void {
    if (isHeld) this.#held.set(mutex.address, mutex);
    else this.#held.delete(mutex.address);
  }

  /** Whether it holds that lock. */
  holds(mutex: ContextLock): boolean {
    return this.#held.has(mutex.address);
  }

  /**
   * In reverse, as the kernel's test does: a context that waits for the first lock and needs the others too is woken when all
   * are free.
   */
  #unlockHeld(): void {
    const { cpu } = this.#thread;
    // It waits for nobody until it holds nothing, so whoever waits for it is in no cycle: meanwhile it takes no part in the contest. Before
    // the first unlock: the context that gets that lock, and tries another, finds it so. Pairs with the acquire of the lock.
    cpu.store(this.task + Contestant.stamp, 0);
    for (const mutex of [...this.#held.values()].reverse()) mutex.unlock(this);
    cpu.store(this.task + Contestant.stamp, this.stamp);
  }

  #startOver(): undefined {
    if (this.#held.size > 0) {
      throw new HoldfastError(
        'EINVAL',
        'acquireAll() starts with a context that holds nothing; call unlockAll() first',
      );
    }
  }
}
