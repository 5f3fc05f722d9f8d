import type { Arena } from '../arena/arena.ts';
import { type ObjectHandle, SharedObject } from '../arena/shared-object.ts';
import { HoldfastError, refusePromise, shown } from '../errors.ts';
import { defineKind } from '../memory/kinds.ts';
import { isPresent } from '../memory/objects.ts';
import type { Repairer } from '../memory/repairer.ts';
import {
  ASYNC_OPTIONS,
  type AsyncWaitOptions,
  block,
  blockAsync,
  type Limits,
  limitsOf,
  SYNC_OPTIONS,
  type WaitOptions,
} from '../sched/drive.ts';
import type { Waiter } from '../sched/slow-path.ts';
import { isListBusy } from '../sched/wait-list.ts';
import { EXCLUSIVE, repair, SHARED, WaitQueueWords, waitUntil, wakeUp } from './wait-queue-core.ts';

const KIND = defineKind<Repairer>({
  name: 'wait-queue',
  words: WaitQueueWords,
  format: () => {},
  holder: () => 0,
  isBusy: (cpu, queue) => isListBusy(cpu, queue + WaitQueueWords.waiters),
  repair,
});

export interface WaitQueueOptions extends WaitOptions {
  /** Be woken one at a time, instead of with all others. Default false. */
  exclusive?: boolean | undefined;
}

export interface AsyncWaitQueueOptions extends AsyncWaitOptions {
  /** Be woken one at a time, instead of with all others. Default false. */
  exclusive?: boolean | undefined;
}

/**
 * Where tasks sleep until a condition holds: any function of the arena's words (read them with Atomics). A thread that
 * changes those words, with Atomics, calls `wake` afterwards; a waiter looks at its condition before it sleeps and each time it
 * is woken, so no change is missed.
 *
 * Fairness: `wake(n)` wakes all waiters that share and the n exclusive ones that have waited longest. An exclusive waiter
 * that was woken and gives up (timeout, abort) passes it on. What a woken waiter finds is another matter: somebody may
 * have come first, and then it sleeps again, at the end of the line.
 *
 * Death: a dead waiter is forgotten. After a death, all waiters look at their conditions again.
 *
 * Source: kernel/sched/wait.c.
 */
export class WaitQueue extends SharedObject {
  /** Opens the queue of that name, making it if there is none, or that of a handle; with neither, a new one. */
  constructor(arena: Arena, which?: string | ObjectHandle) {
    super(KIND, arena, which);
  }

  static from(arena: Arena, handle: ObjectHandle): WaitQueue {
    return new WaitQueue(arena, handle);
  }

  /**
   * Sleeps until `condition()` is true, blocking the thread. The condition may take locks, and wait for them; what it
   * throws is thrown here. Throws ETIMEDOUT, and EINVAL for bad options.
   */
  wait(condition: () => boolean, options?: WaitQueueOptions): void {
    const { thread } = this;
    const limits = this.#check(condition, options, SYNC_OPTIONS);
    const want = options?.exclusive ? EXCLUSIVE : SHARED;
    if (look(condition)) return;
    const guarded = new GuardedCondition(condition);
    block(thread, limits, (waiter) => waitUntil(this.address, want, guarded.holds, waiter), this);
    guarded.rethrow();
  }

  /** `wait` without blocking the event loop. Rejects as that throws, with ENOMEM, or with the signal's reason. */
  async waitAsync(condition: () => boolean, options?: AsyncWaitQueueOptions): Promise<void> {
    const { thread } = this;
    const limits = this.#check(condition, options, ASYNC_OPTIONS);
    const want = options?.exclusive ? EXCLUSIVE : SHARED;
    if (look(condition)) return;
    const guarded = new GuardedCondition(condition);
    const path = (waiter: Waiter) => waitUntil(this.address, want, guarded.holds, waiter);
    const { task } = await blockAsync(thread, this.arena.heap, limits, path, this);
    thread.returnTask(task);
    guarded.rethrow();
  }

  /** Wakes all waiters that share, and up to `exclusive` of the exclusive ones. Returns how many it woke. */
  wake(exclusive = 1): number {
    this.thread.current();
    if (!isPresent(this.thread.cpu, this.address)) this.checkThere();
    if (!Number.isInteger(exclusive) || exclusive < 0) {
      throw new HoldfastError(
        'EINVAL',
        `wake() takes a whole number of waiters, at least 0; received ${shown(exclusive)}`,
      );
    }
    return wakeUp(this.thread, this.address, exclusive);
  }

  /** Wakes all waiters. Returns how many. */
  wakeAll(): number {
    this.current();
    return wakeUp(this.thread, this.address, Number.POSITIVE_INFINITY);
  }

  /** How many wait; out of date as soon as it is read. */
  get waiting(): number {
    return this.living.load(this.address + WaitQueueWords.waiting);
  }

  protected override get shown(): string {
    return `WaitQueue(${this.name ?? this.address}, ${this.waiting} waiting)`;
  }

  #check(condition: () => boolean, options: AsyncWaitQueueOptions | undefined, known: readonly string[]): Limits {
    this.current();
    if (typeof condition !== 'function') {
      throw new HoldfastError('EINVAL', `expected a condition, a function; received ${shown(condition)}`);
    }
    return limitsOf(this.thread.cpu, options, [...known, 'exclusive']);
  }

  /** @internal */
  override notInTime(timeout: number | undefined): HoldfastError {
    return new HoldfastError(
      'ETIMEDOUT',
      `the condition awaited in the ${this.label} did not hold within ${timeout} ms`,
    );
  }
}

/** What the condition says. Throws EINVAL for a promise, which would pass for true. */
function look(condition: () => boolean): boolean {
  const isTrue = condition();
  refusePromise('a condition', isTrue);
  return isTrue;
}

/** A condition that throws ends the wait, so that the task leaves the queue and passes on a wake-up that it has had. */
class GuardedCondition {
  readonly #condition: () => boolean;
  #thrown: { readonly error: unknown } | undefined;

  constructor(condition: () => boolean) {
    this.#condition = condition;
  }

  readonly holds = (): boolean | 'failed' => {
    try {
      return look(this.#condition);
    } catch (error) {
      this.#thrown = { error };
      return 'failed';
    }
  };

  rethrow(): void {
    if (this.#thrown !== undefined) throw this.#thrown.error;
  }
}
