import { inspect } from 'node:util';
import type { Arena } from '../arena/arena.ts';
import { HoldfastError, shown } from '../errors.ts';
import { ABORTABLE_OPTIONS, block, blockAsync, limitsOf, type Waitable } from '../sched/drive.ts';
import type { GaveUp, SlowPath, Waiter } from '../sched/slow-path.ts';
import { type AsyncDeadlineOptions, type DeadlineOptions, type FutexClock, relative } from './deadline.ts';
import { openFutexes } from './open.ts';
import { lockPi, type PiOutcome, requeuePi, tryLockPi, unlockPi, waitRequeuePi } from './pi.ts';
import { reservePiState } from './pi-state.ts';
import { FUTEX_TID_MASK } from './robust-list.ts';
import type { Futexes } from './table.ts';

/**
 * The priority-inheriting operations of futex(2), on words that hold their owner's `tid`: the program locks with a
 * compare-and-exchange from 0 to its tid and unlocks with one back, and calls these when that fails. The owner is as
 * urgent as the most urgent of those who wait (see `RtMutex`).
 *
 * Codes: EDEADLK (the caller has it, or waiting would close a cycle), ESRCH (the word names no living owner), EPERM
 * (unlock by another), EAGAIN, EINVAL (waiters of another operation), ETIMEDOUT. When an owner dies, the next one's word
 * has FUTEX_OWNER_DIED set, which the program clears.
 *
 * Next owner: the most urgent, among equals the one that came first. Source: kernel/futex/pi.c.
 */
export class PiFutex {
  readonly arena: Arena;
  readonly #futexes: Futexes;

  constructor(arena: Arena) {
    if (typeof arena?.thread?.current !== 'function') {
      throw new HoldfastError('EINVAL', `a futex lives in an Arena, received ${shown(arena)}`);
    }
    this.arena = arena;
    this.#futexes = openFutexes(arena);
  }

  toJSON(): string {
    return inspect(this);
  }

  toString(): string {
    return inspect(this);
  }

  [inspect.custom](): string {
    return `PiFutex of ${inspect(this.arena)}`;
  }

  /** The calling thread's id in words that it locks synchronously. */
  get tid(): number {
    return this.arena.thread.current();
  }

  /** FUTEX_LOCK_PI. The deadline is on the realtime clock. */
  lockPi(word: number, options?: DeadlineOptions): 0 {
    return this.#lock(word, options, 'realtime');
  }

  /** FUTEX_LOCK_PI2. The deadline is on the monotonic clock unless `clock` says otherwise. */
  lockPi2(word: number, options?: DeadlineOptions): 0 {
    return this.#lock(word, options, 'monotonic');
  }

  /** LOCK_PI2 without blocking the event loop. The owner is a task of its own; resolves to its tid. */
  lockPiAsync(word: number, options?: AsyncDeadlineOptions): Promise<number> {
    return this.#runAsync(options, word, (waiter) => lockPi(this.#futexes, word, waiter));
  }

  /** FUTEX_TRYLOCK_PI. Throws EAGAIN when it is locked. */
  tryLockPi(word: number): 0 {
    this.#check(word);
    const attempt = tryLockPi(this.#futexes, word, this.tid);
    return this.#result(word, attempt === 'busy' || attempt === 'dying' ? 'busy' : attempt);
  }

  /** FUTEX_UNLOCK_PI, of a word that this thread's synchronous code or one of its `lockPiAsync` locked. */
  unlockPi(word: number): 0 {
    this.#check(word);
    const { cpu, thread } = this.arena;
    const task = cpu.load(word) & FUTEX_TID_MASK;
    if (task !== this.tid && !thread.unguarded.has(task)) {
      throw new HoldfastError('EPERM', `the futex ${word} holds ${cpu.load(word)}: no owner in this thread`);
    }
    if (unlockPi(this.#futexes, word, task) === 'mismatch') throw mismatch(word);
    if (task !== thread.self) {
      thread.unguarded.delete(task);
      thread.returnTask(task);
    }
    return 0;
  }

  /**
   * FUTEX_WAIT_REQUEUE_PI. Sleeps while `word` holds `value`; when CMP_REQUEUE_PI lets it, goes on to lock `to`, and
   * returns holding that. Throws EAGAIN, ETIMEDOUT.
   */
  waitRequeuePi(word: number, value: number, to: number, options?: DeadlineOptions): 0 {
    this.#checkPair(word, to);
    const outcome = this.#run(options, 'monotonic', to, (waiter) =>
      waitRequeuePi(this.#futexes, word, value | 0, to, waiter),
    );
    return this.#result(outcome === 'changed' ? word : to, outcome);
  }

  /** `waitRequeuePi` without blocking the event loop; resolves to the tid that owns `to`. */
  waitRequeuePiAsync(word: number, value: number, to: number, options?: AsyncDeadlineOptions): Promise<number> {
    this.#checkPair(word, to);
    return this.#runAsync(options, to, (waiter) => waitRequeuePi(this.#futexes, word, value | 0, to, waiter));
  }

  /**
   * FUTEX_CMP_REQUEUE_PI. If `word` holds `value`, lets one of its waiters, and at most `moves` others, go on to lock
   * `to`; returns how many. Throws EAGAIN, EINVAL when a waiter meant another word or waits by another operation.
   */
  cmpRequeuePi(word: number, to: number, moves: number, value: number): number {
    this.#checkPair(word, to);
    if (!(moves >= 0)) throw new HoldfastError('EINVAL', `a number of waiters is at least 0, received ${shown(moves)}`);
    reservePiState(this.arena);
    const count = requeuePi(this.#futexes, word, to, moves, value | 0);
    if (count === 'mismatch') throw mismatch(word);
    if (count === 'changed') {
      throw new HoldfastError(
        'EAGAIN',
        `the futex ${word} holds ${this.arena.cpu.load(word)}, expected ${shown(value)}`,
      );
    }
    return count;
  }

  #lock(word: number, options: DeadlineOptions | undefined, clock: FutexClock): 0 {
    this.#check(word);
    const outcome = this.#run(options, clock, word, (waiter) => lockPi(this.#futexes, word, waiter));
    return this.#result(word, outcome);
  }

  #run<Outcome>(
    options: DeadlineOptions | undefined,
    clock: FutexClock,
    word: number,
    path: (waiter: Waiter) => SlowPath<Outcome>,
  ): Exclude<Outcome, GaveUp> {
    const { arena } = this;
    const limits = limitsOf(arena.cpu, relative(arena.cpu, options, clock));
    reservePiState(arena);
    return block(arena.thread, limits, path, this.#awaiting(word));
  }

  #awaiting(word: number): Waitable {
    const notInTime = () => new HoldfastError('ETIMEDOUT', `${this.#shown(word)}: not locked in time`);
    return { notInTime };
  }

  #shown(word: number): string {
    return `the futex ${word} holds ${this.arena.cpu.load(word)}`;
  }

  async #runAsync(
    options: AsyncDeadlineOptions | undefined,
    word: number,
    path: (waiter: Waiter) => SlowPath<PiOutcome | 'changed'>,
  ): Promise<number> {
    this.#check(word);
    const { arena } = this;
    const limits = limitsOf(arena.cpu, relative(arena.cpu, options), ABORTABLE_OPTIONS);
    for (let next = path; ; next = (waiter) => lockPi(this.#futexes, word, waiter)) {
      reservePiState(arena);
      const keeping = (waiter: Waiter) => {
        // The program's word names the task, and may do so when the thread has died or left: whoever waits then takes its slot's
        // next thread for the owner.
        arena.thread.tasks.keep(waiter.task);
        return next(waiter);
      };
      const { outcome, task } = await blockAsync(arena.thread, arena.heap, limits, keeping, this.#awaiting(word));
      if (outcome === 'acquired') {
        arena.thread.unguarded.set(task, null);
        return task;
      }
      arena.thread.returnTask(task);
      // The thread's spare state went with another wait, and this one had come as far as locking: it tries again.
      if (outcome !== 'no-state') this.#result(word, outcome);
    }
  }

  #result(word: number, outcome: Exclude<PiOutcome, GaveUp> | 'changed'): 0 {
    const held = this.#shown(word);
    switch (outcome) {
      case 'acquired':
        return 0;
      case 'mismatch':
        throw mismatch(word);
      case 'deadlock':
        throw new HoldfastError('EDEADLK', `${held}: waiting for it here would never end`);
      case 'no-owner':
        throw new HoldfastError('ESRCH', `${held}, which names no thread of the arena`);
      default:
        throw new HoldfastError('EAGAIN', held);
    }
  }

  #checkPair(word: number, to: number): void {
    this.#check(word);
    this.#check(to);
    if (word === to) throw new HoldfastError('EINVAL', `requeueing from the futex ${word} to itself`);
  }

  #check(word: number): void {
    const { length } = this.arena.words;
    if (!Number.isInteger(word) || word < 1 || word >= length) {
      throw new HoldfastError(
        'EFAULT',
        `a futex is a word of the arena, an index below ${length}; received ${shown(word)}`,
      );
    }
  }
}

function mismatch(word: number): HoldfastError {
  return new HoldfastError('EINVAL', `somebody waits for the futex ${word} by another operation than this one ends`);
}
