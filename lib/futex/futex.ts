import { inspect } from 'node:util';
import type { Arena } from '../arena/arena.ts';
import { HoldfastError, shown } from '../errors.ts';
import {
  ASYNC_OPTIONS,
  type AsyncWaitOptions,
  block,
  blockAsync,
  limitsOf,
  type Waitable,
  type WaitOptions,
} from '../sched/drive.ts';
import { slotAddress } from '../sched/slot.ts';
import type { GaveUp, Waiter } from '../sched/slow-path.ts';
import { CHUNK_WORDS } from '../sched/vector.ts';
import { type AsyncDeadlineOptions, type DeadlineOptions, relative } from './deadline.ts';
import { openFutexes } from './open.ts';
import { RobustList, RobustListHead } from './robust-list.ts';
import type { Expected, Futexes } from './table.ts';
import { type WaitResult, wait, waitAll } from './wait.ts';
import { COMPARISONS, MATCH_ANY, OPERATORS, requeue, type WakeOp, wake, wakeOp } from './wake.ts';

/** The most words that one `waitv` can wait for. */
export const FUTEX_WAITV_MAX = 128;

/**
 * Sleeping and waking on any word of the arena: futex(2) for worker threads. A word is named by its index in
 * `arena.words`; what its value means is the program's own business. The program changes words with `Atomics`, and
 * calls `wake` afterwards.
 *
 * Return values and error codes are the system call's: EAGAIN when the word does not hold the expected value,
 * ETIMEDOUT, EINVAL, ENOSYS, and EFAULT for what is no word of the arena. Times are milliseconds: `wait` takes a
 * relative `timeout`, the others an absolute `deadline`.
 *
 * Woken next: the most urgent of the word's waiters, among equals the one that has waited longest; a waiter in
 * a synchronous call before those in the same thread's asynchronous ones.
 *
 * A return from a wait does not say that somebody called `wake` for this very wait: look at the word again, in a loop.
 * When a thread dies, everybody looks again; a word that was changed by a thread that died before its `wake` is found
 * out then.
 *
 * Source: kernel/futex/.
 */
export class Futex {
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
    return `Futex of ${inspect(this.arena)}`;
  }

  /** The time on the clock of deadlines, ms. */
  now(): number {
    return this.arena.cpu.now() / 1e6;
  }

  /** What stands for the calling thread in words that say who holds them (gettid): a number from 1 to 2^30 - 1. */
  get tid(): number {
    return this.arena.thread.current();
  }

  /** FUTEX_WAIT. Sleeps while `word` holds `value`; returns 0 when woken. Throws EAGAIN, ETIMEDOUT. */
  wait(word: number, value: number, options?: WaitOptions): 0 {
    this.#check(word);
    return this.#slept(word, value, this.#block(options, word, checkValue(value), MATCH_ANY));
  }

  async waitAsync(word: number, value: number, options?: AsyncWaitOptions): Promise<0> {
    this.#check(word);
    return this.#slept(word, value, await this.#blockAsync(options, word, checkValue(value), MATCH_ANY));
  }

  /** FUTEX_WAIT_BITSET. Only a `wakeBitset` with a bit in common wakes it. */
  waitBitset(word: number, value: number, bitset: number, options?: DeadlineOptions): 0 {
    this.#check(word);
    checkBitset(bitset);
    const timed = relative(this.arena.cpu, options);
    return this.#slept(word, value, this.#block(timed, word, checkValue(value), bitset));
  }

  async waitBitsetAsync(word: number, value: number, bitset: number, options?: AsyncDeadlineOptions): Promise<0> {
    this.#check(word);
    checkBitset(bitset);
    const timed = relative(this.arena.cpu, options);
    return this.#slept(word, value, await this.#blockAsync(timed, word, checkValue(value), bitset));
  }

  /**
   * futex_waitv(2). Sleeps while each of 1 to 128 words holds its value; returns the index of one that was woken.
   * Throws EAGAIN when a word does not hold its value, ETIMEDOUT, ENOMEM.
   */
  waitv(list: readonly Expected[], options?: DeadlineOptions): number {
    const { arena } = this;
    const words = this.#checkVector(list);
    const limits = limitsOf(arena.cpu, relative(arena.cpu, options));
    arena.thread.current();
    const path = (waiter: Waiter) => waitAll(this.#futexes, arena.heap, words, waiter);
    const result = block(arena.thread, limits, path, asleepOn(`any of ${words.length} futexes`));
    return typeof result === 'number' ? result : this.#woke(words, result);
  }

  async waitvAsync(list: readonly Expected[], options?: AsyncDeadlineOptions): Promise<number> {
    const { arena } = this;
    const words = this.#checkVector(list);
    const limits = limitsOf(arena.cpu, relative(arena.cpu, options), ASYNC_OPTIONS);
    const path = (waiter: Waiter) => waitAll(this.#futexes, arena.heap, words, waiter);
    const what = asleepOn(`any of ${words.length} futexes`);
    const { outcome, task } = await blockAsync(arena.thread, arena.heap, limits, path, what);
    arena.thread.returnTask(task);
    return typeof outcome === 'number' ? outcome : this.#woke(words, outcome);
  }

  /** FUTEX_WAKE. Wakes at most `count` waiters, and returns how many. */
  wake(word: number, count = 1): number {
    return this.wakeBitset(word, count, MATCH_ANY);
  }

  /** FUTEX_WAKE_BITSET. Wakes those whose bitset has a bit in common with `bitset`. */
  wakeBitset(word: number, count: number, bitset: number): number {
    this.#check(word);
    checkCount(count);
    checkBitset(bitset);
    return plain(wake(this.#futexes, word, count, bitset));
  }

  /** FUTEX_REQUEUE. Wakes at most `wakes` waiters and lets at most `moves` others wait for `to`; returns the sum. */
  requeue(word: number, wakes: number, to: number, moves: number): number {
    return this.#requeue(word, wakes, to, moves, undefined);
  }

  /** FUTEX_CMP_REQUEUE: `requeue`, if `word` holds `value`. Throws EAGAIN otherwise. */
  cmpRequeue(word: number, wakes: number, to: number, moves: number, value: number): number {
    return this.#requeue(word, wakes, to, moves, checkValue(value));
  }

  /**
   * FUTEX_WAKE_OP. In one step: changes `second` by `op`, wakes at most `wakes` waiters of `word` and, if the old value
   * of `second` compares, at most `secondWakes` of `second`'s. Returns how many were woken. Throws ENOSYS for an
   * operation or a comparison that is none.
   */
  wakeOp(word: number, wakes: number, second: number, secondWakes: number, op: WakeOp): number {
    this.#check(word);
    this.#check(second);
    checkCount(wakes);
    checkCount(secondWakes);
    if (!Object.hasOwn(OPERATORS, op?.op) || !Object.hasOwn(COMPARISONS, op.cmp)) {
      throw new HoldfastError('ENOSYS', `no such operation: op ${shown(op?.op)}, cmp ${shown(op?.cmp)}`);
    }
    for (const arg of [op.arg, op.cmpArg]) {
      if (!Number.isInteger(arg) || arg < -2048 || arg > 2047) {
        throw new HoldfastError(
          'EINVAL',
          `arg and cmpArg are whole numbers from -2048 to 2047; received ${shown(arg)}`,
        );
      }
    }
    return plain(wakeOp(this.#futexes, word, wakes, second, secondWakes, op));
  }

  /**
   * set_robust_list(2): the calling thread's list starts at the three words at `head` (next, offset, pending); 0 for
   * none. `docs/futex.md` says how the program keeps it.
   */
  setRobustList(head: number): void {
    if (head !== 0) {
      this.#check(head);
      this.#check(head + RobustListHead.words - 1);
    }
    const { cpu, thread } = this.arena;
    thread.current();
    cpu.store(thread.slot + RobustList.head, head);
  }

  /** get_robust_list(2), of the calling thread. */
  getRobustList(): number {
    const { cpu, thread } = this.arena;
    return cpu.load(slotAddress(cpu, thread.number) + RobustList.head);
  }

  #requeue(word: number, wakes: number, to: number, moves: number, value: number | undefined): number {
    this.#check(word);
    this.#check(to);
    checkCount(wakes);
    checkCount(moves);
    const expected = value === undefined ? undefined : { word, value };
    const count = requeue(this.#futexes, word, wakes, to, moves, expected);
    if (count === 'changed') throw this.#changed(word, value as number);
    return plain(count);
  }

  #block(options: WaitOptions | undefined, word: number, value: number, bitset: number): Slept {
    const { thread } = this.arena;
    const path = (waiter: Waiter) => wait(this.#futexes, word, value, bitset, waiter);
    return block(thread, limitsOf(thread.cpu, options), path, asleepOn(`the futex ${word}`));
  }

  async #blockAsync(
    options: AsyncWaitOptions | undefined,
    word: number,
    value: number,
    bitset: number,
  ): Promise<Slept> {
    const { thread, heap } = this.arena;
    const limits = limitsOf(thread.cpu, options, ASYNC_OPTIONS);
    const path = (waiter: Waiter) => wait(this.#futexes, word, value, bitset, waiter);
    const { outcome, task } = await blockAsync(thread, heap, limits, path, asleepOn(`the futex ${word}`));
    thread.returnTask(task);
    return outcome;
  }

  #slept(word: number, value: number, result: Slept): 0 {
    if (result === 'woken') return 0;
    throw this.#changed(word, value);
  }

  #woke(words: readonly Expected[], result: Slept | 'exhausted'): never {
    if (result === 'exhausted') throw this.arena.heap.exhausted(CHUNK_WORDS, 'a wait for several words');
    const { cpu } = this.arena;
    const { word, value } = words.find((each) => cpu.load(each.word) !== each.value) ?? (words[0] as Expected);
    throw this.#changed(word, value);
  }

  #changed(word: number, value: number): HoldfastError {
    return new HoldfastError(
      'EAGAIN',
      `the futex ${word} holds ${this.arena.cpu.load(word)}, expected ${shown(value)}`,
    );
  }

  #checkVector(words: readonly Expected[]): readonly Expected[] {
    if (!Array.isArray(words) || words.length < 1 || words.length > FUTEX_WAITV_MAX) {
      throw new HoldfastError(
        'EINVAL',
        `waitv takes an array of 1 to ${FUTEX_WAITV_MAX} words, received ${shown(words)}`,
      );
    }
    return words.map(({ word, value }) => {
      this.#check(word);
      return { word, value: checkValue(value) };
    });
  }

  #check(word: number): void {
    const { length } = this.arena.words;
    if (!Number.isInteger(word) || word < 1 || word >= length) {
      throw new HoldfastError(
        'EFAULT',
        `a futex is a word of the arena, an index from 1 to ${length - 1}; received ${shown(word)}`,
      );
    }
  }
}

type Slept = Exclude<WaitResult, GaveUp>;

/** What a call waits for that sleeps on words of the program. */
function asleepOn(words: string): Waitable {
  return { notInTime: () => new HoldfastError('ETIMEDOUT', `nobody woke ${words} in time`) };
}

function checkValue(value: number): number {
  if (!Number.isInteger(value))
    throw new HoldfastError('EINVAL', `a word holds a whole number, expected ${shown(value)}`);
  return value | 0;
}

function checkBitset(bitset: number): void {
  if (!Number.isInteger(bitset) || (bitset | 0) === 0) {
    throw new HoldfastError('EINVAL', `a bitset has at least one of 32 bits set, received ${shown(bitset)}`);
  }
}

function checkCount(count: number): void {
  if (!(Number.isInteger(count) || count === Number.POSITIVE_INFINITY) || count < 0) {
    throw new HoldfastError(
      'EINVAL',
      `a number of waiters is a whole number of at least 0, or Infinity; received ${shown(count)}`,
    );
  }
}

function plain(count: number | 'mismatch'): number {
  if (count !== 'mismatch') return count;
  throw new HoldfastError(
    'EINVAL',
    'a waiter of this futex waits by a priority-inheriting operation, which only its counterpart ends',
  );
}
