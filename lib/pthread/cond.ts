import type { Arena } from '../arena/arena.ts';
import { type ObjectHandle, SharedObject } from '../arena/shared-object.ts';
import { HoldfastError, shown } from '../errors.ts';
import { openFutexes } from '../futex/open.ts';
import {
  bucketOf,
  type Futexes,
  latchBucket,
  latchedBucket,
  mayHaveWaiters,
  nextFor,
  unlatchBucket,
} from '../futex/table.ts';
import { wait } from '../futex/wait.ts';
import { MATCH_ANY, requeue, wake } from '../futex/wake.ts';
import { defineKind } from '../memory/kinds.ts';
import { isPresent, ObjectHeader } from '../memory/objects.ts';
import type { Repairer } from '../memory/repairer.ts';
import { struct } from '../memory/struct.ts';
import {
  ABORTABLE_OPTIONS,
  type AbortableOptions,
  block,
  blockAsync,
  limitsOf,
  type WaitOptions,
} from '../sched/drive.ts';
import { tellCeiling } from '../sched/priority.ts';
import type { Outcome, SlowPath, Waiter } from '../sched/slow-path.ts';
import { endWait } from '../sched/task.ts';
import { PthreadMutexGuard } from './mutex/guard.ts';
import { PthreadMutex } from './mutex/mutex.ts';

const CondWords = struct({
  header: ObjectHeader,
  /** Counts signals and broadcasts; waiters sleep while it has not moved. */
  sequence: 1,
  /**
   * The mutex that the waiters came with: its word, for broadcast to requeue to; or its negated address, if that may not
   * be requeued to. Written under the latch of the sequence's bucket, while nobody waits. One word: a thread killed
   * between two would leave a mutex and the word of another.
   */
  mutex: 1,
});

const KIND = defineKind<Repairer>({
  name: 'pthread cond',
  words: CondWords,
  format: () => {},
  holder: () => 0,
  // Waiters are found by who has a futex table; see destroy.
  isBusy: () => false,
  // The futex table takes dead waiters out, and the living whose sequence has moved look again.
  repair: () => true,
});

/**
 * pthread_cond_t, for use with `PthreadMutex`. Wait in a loop on the condition: a return may be for no reason, as POSIX
 * allows, and is when a thread has died.
 *
 *   wait       seen := sequence; unlock; FUTEX_WAIT(sequence, seen); lock
 *   signal     sequence + 1; FUTEX_WAKE one
 *   broadcast  sequence + 1; FUTEX_REQUEUE: wake one, let the others wait for the mutex
 *
 * The waiter that has waited longest wakes next. After a broadcast the mutex goes from one to the next, as each
 * unlocks it, instead of all waking up at once to find it taken. A waiter that was signalled and is aborted, or times
 * out, in the same moment has been woken: no signal is lost. (If 2^32 signals pass between a waiter's unlock and its
 * sleep, it misses them.)
 *
 * Source: pthread_cond_wait(3p); the sequence as in musl and bionic, requeueing as in the kernel's requeue test.
 */
export class PthreadCond extends SharedObject {
  readonly #sequence: number;
  readonly #mutex: number;
  readonly #futexes: Futexes;

  constructor(arena: Arena, which?: string | ObjectHandle) {
    super(KIND, arena, which);
    this.#sequence = this.address + CondWords.sequence;
    this.#mutex = this.address + CondWords.mutex;
    this.#futexes = openFutexes(arena);
  }

  static from(arena: Arena, handle: ObjectHandle): PthreadCond {
    return new PthreadCond(arena, handle);
  }

  /**
   * Unlocks the mutex, which this thread's synchronous code holds, waits, and locks it again. Throws ETIMEDOUT, EPERM
   * when the mutex is not held, EINVAL when others wait with another mutex: the mutex is held then. Throws
   * ENOTRECOVERABLE, and EDEADLK when locking it again would never end: it is not held then, and a guard of it is void.
   */
  wait(mutex: PthreadMutex, options?: WaitOptions): void {
    this.current();
    if (!(mutex instanceof PthreadMutex)) throw notA('PthreadMutex', mutex);
    const limits = limitsOf(this.thread.cpu, options);
    mutex.heldBySelf();
    const outcome = block(this.thread, limits, (waiter) => this.#wait(mutex, waiter), this);
    if (isLocked(outcome)) return;
    mutex.losses.note(mutex.address);
    throw this.#lost(mutex, outcome);
  }

  /**
   * `wait` without blocking the event loop, with a guard from `acquireAsync`. Until the promise settles the guard can
   * neither be released nor wait again (EPERM). It is held again afterwards, except after ENOTRECOVERABLE.
   */
  async waitAsync(guard: PthreadMutexGuard<PthreadMutex>, options?: AbortableOptions): Promise<void> {
    this.current();
    if (!(guard instanceof PthreadMutexGuard)) throw notA('PthreadMutexGuard', guard);
    const limits = limitsOf(this.thread.cpu, options, ABORTABLE_OPTIONS);
    const { mutex, task: owner } = guard;
    const wait = (waiter: Waiter) => this.#waitLent(guard, waiter);
    let hasMutex = true;
    try {
      const { outcome } = await blockAsync(this.thread, this.arena.heap, limits, wait, this, owner);
      hasMutex = isLocked(outcome);
      if (!hasMutex) throw this.#lost(mutex, outcome);
    } finally {
      // A call that gives up, or never waited, has it as well.
      guard.endLoan(hasMutex);
    }
  }

  /** Wakes one who waits, if anybody does. Without waiters this touches no latch. */
  signal(): void {
    const { thread } = this;
    thread.current();
    if (!isPresent(thread.cpu, this.address)) this.checkThere();
    thread.cpu.fetchAdd(this.#sequence, 1);
    wake(this.#futexes, this.#sequence, 1, MATCH_ANY);
  }

  /** Lets all go on who wait. */
  broadcast(): void {
    const { thread } = this;
    const { cpu } = thread;
    thread.current();
    if (!isPresent(cpu, this.address)) this.checkThere();
    cpu.fetchAdd(this.#sequence, 1);
    if (!mayHaveWaiters(cpu, this.#bucket)) return;
    for (;;) {
      const target = cpu.load(this.#mutex);
      if (target <= 0) {
        wake(this.#futexes, this.#sequence, Number.POSITIVE_INFINITY, MATCH_ANY);
        return;
      }
      // Compared under the latch: meanwhile all may have gone, and others come with another mutex. The waiter that is
      // woken takes the mutex with FUTEX_WAITERS set, so its unlock wakes the next.
      const association = { word: this.#mutex, value: target };
      if (requeue(this.#futexes, this.#sequence, 1, target, Number.POSITIVE_INFINITY, association) !== 'changed')
        return;
    }
  }

  /** Throws EBUSY while somebody waits. */
  override destroy(): void {
    latchBucket(this.thread, this.#bucket);
    const hasWaiters = this.#hasWaiters();
    unlatchBucket(this.thread, this.#bucket);
    if (hasWaiters) throw new HoldfastError('EBUSY', `somebody waits for the ${this.label}`);
    super.destroy();
  }

  /** `#wait` with a guard, lent to it. */
  *#waitLent(guard: PthreadMutexGuard<PthreadMutex>, waiter: Waiter): SlowPath<Outcome> {
    guard.lend();
    if (yield* this.#associate(guard.mutex, waiter)) return yield* this.#waitAssociated(guard.mutex, waiter);
    throw this.#withAnother(guard.mutex);
  }

  *#wait(mutex: PthreadMutex, waiter: Waiter): SlowPath<Outcome> {
    if (yield* this.#associate(mutex, waiter)) return yield* this.#waitAssociated(mutex, waiter);
    throw this.#withAnother(mutex);
  }

  /** The waiter's task is the mutex's owner. Ends as the locking of the mutex does, if that fails; or as the wait. */
  *#waitAssociated(mutex: PthreadMutex, waiter: Waiter): SlowPath<Outcome> {
    const seen = this.thread.cpu.load(this.#sequence);
    mutex.unlockFor(waiter.task);
    // A ceiling may have gone with it, and the wait has begun.
    tellCeiling(this.thread);
    // A broadcast may have moved others to the mutex, behind the one that was woken.
    const wakeOthers = () => {
      for (const word of [this.#sequence, mutex.requeueWord]) {
        if (word !== 0) wake(this.#futexes, word, 1, MATCH_ANY);
      }
    };
    const result = yield* wait(this.#futexes, this.#sequence, seen, MATCH_ANY, waiter, { passOn: wakeOthers });
    // From here on nothing of the condition variable is touched: POSIX lets whoever woke the last waiter destroy it.
    endWait(this.thread.cpu, waiter.task);
    waiter.aside = undefined;
    // Synchronous code gives up only for a deadlock, and that it finds only once a broadcast has moved it to the mutex.
    const waited = result === 'changed' || (result === 'aborted' && !waiter.async) ? 'woken' : result;
    // The mutex has to be had, however late it is, and whoever aborts meanwhile.
    waiter.deadline = Number.POSITIVE_INFINITY;
    for (;;) {
      waiter.aborted = false;
      const outcome = yield* lockAgain(mutex, waiter);
      if (outcome !== 'aborted') return waited === 'woken' || !isLocked(outcome) ? outcome : waited;
    }
  }

  /** False when others wait with another mutex. */
  *#associate(mutex: PthreadMutex, waiter: Waiter): SlowPath<boolean> {
    const { thread } = this;
    const { cpu } = thread;
    const association = mutex.requeueWord || -mutex.address;
    if (cpu.load(this.#mutex) === association) return true;
    yield* latchedBucket(waiter, this.#bucket);
    const isMine = !this.#hasWaiters();
    // Under the latch: before anybody can wait.
    if (isMine) cpu.store(this.#mutex, association);
    unlatchBucket(thread, this.#bucket);
    return isMine;
  }

  #withAnother(mutex: PthreadMutex): HoldfastError {
    return new HoldfastError('EINVAL', `others wait for the ${this.label} with another mutex than ${mutex.address}`);
  }

  get #bucket(): number {
    return bucketOf(this.#futexes.table, this.#sequence);
  }

  /** Under the latch of the bucket. */
  #hasWaiters(): boolean {
    return nextFor(this.thread.cpu, this.#bucket, this.#sequence, 0) !== 0;
  }

  protected override get shown(): string {
    return `PthreadCond(${this.name ?? this.address})`;
  }

  /** @internal */
  override notInTime(timeout: number | undefined): HoldfastError {
    return new HoldfastError('ETIMEDOUT', `no signal of the ${this.label} within ${timeout} ms`);
  }

  /** The error of a wait that ended without the mutex. */
  #lost(mutex: PthreadMutex, outcome: Outcome): HoldfastError {
    if (outcome === 'deadlock') {
      return new HoldfastError('EDEADLK', `asynchronous code of this thread holds the mutex at ${mutex.address}`);
    }
    mutex.checkThere();
    return new HoldfastError('ENOTRECOVERABLE', `the mutex at ${mutex.address} cannot be locked again`);
  }
}

/** The mutex's `lockAgain`; 'unrecoverable' when the mutex was destroyed while nobody had it: `#finish` says that it was. */
function* lockAgain(mutex: PthreadMutex, waiter: Waiter): SlowPath<Outcome> {
  try {
    mutex.beginWait(waiter.task);
  } catch (error) {
    if (error instanceof HoldfastError) return 'unrecoverable';
    throw error;
  }
  return yield* mutex.lockAgain(waiter);
}

function isLocked(outcome: Outcome): boolean {
  return outcome === 'acquired' || outcome === 'owner-died';
}

function notA(expected: string, received: unknown): HoldfastError {
  return new HoldfastError('EINVAL', `waiting takes a ${expected}, received ${shown(received)}`);
}
