/**
 * SeqLock: a sequence count whose writers take turns by a mutex: kernel seqlock_t, whose writers are worker threads
 * that can be preempted or die inside.
 *
 *   mutex     as in mutex-core.ts: who writes, and who waits to
 *   sequence  even: nobody writes; odd: somebody does, or died while doing so
 *   torn      1: the writer found the sequence odd, so another died inside, and has not made the data whole yet
 *
 *   (owner, sequence, torn)
 *   lock           (0, even, 0) -> (me, even, 0) -> (me, odd, 0)
 *   unlock         (me, odd, 0) -> (me, even, 0) -> (0, even, 0)
 *   owner dies     (x, s, t)    -> (0, s, t)
 *   lock then      (0, odd, t)  -> (me, odd, 1)
 *   makeConsistent (me, odd, 1) -> (me, odd, 0)
 *   unlock before  (me, odd, 1) -> (0, odd, 1)        readers go on throwing EOWNERDEAD
 *
 * The sequence itself says whether a dead writer left the data torn, so the mutex's own OWNER_DIED is cleared at once.
 * Readers: as in core.ts. One that finds a writer inside for too long, or has been passed by too often, waits in
 * the writers' queue and reads with the lock held.
 */
import type { Arena } from '../../arena/arena.ts';
import { checkSection, type LockGuard, runHolding, SyncGuard } from '../../arena/guard.ts';
import type { ObjectHandle } from '../../arena/shared-object.ts';
import { HoldfastError } from '../../errors.ts';
import { defineKind } from '../../memory/kinds.ts';
import type { Repairer } from '../../memory/repairer.ts';
import { struct } from '../../memory/struct.ts';
import { ALONE, ASYNC_ALONE } from '../../sched/contention.ts';
import { ASYNC_OPTIONS, type AsyncWaitOptions, limitsOf, type WaitOptions } from '../../sched/drive.ts';
import { noteGuard } from '../../sched/lock-observer.ts';
import type { Waiter } from '../../sched/slow-path.ts';
import {
  isBusy,
  isOnOffer,
  lockContended,
  lockSlow,
  MutexWords,
  repair,
  tryAcquire,
  unlockSlow,
} from '../mutex-core.ts';
import { OwnedLock } from '../owned-lock.ts';
import { closeOwned, holderOf, ownerOf } from '../owner-word.ts';
import {
  checkRange,
  isEven,
  seqBegin,
  seqRead,
  seqRetry,
  seqTryRead,
  seqWriteBegin,
  seqWriteEnd,
  storeWords,
  wordsOf,
} from './core.ts';

const Words = struct({ mutex: MutexWords, sequence: 1, torn: 1 });

/** How often a reader lets itself be passed before it takes the writers' lock. */
const RETRIES = 16;

const KIND = defineKind<Repairer>({
  name: 'seq-lock',
  words: Words,
  format: () => {},
  holder: holderOf,
  isOnOffer,
  isBusy,
  close(cpu, lock) {
    if (!closeOwned(cpu, lock)) return false;
    // Readers find a writer inside, and wait for it.
    cpu.store(lock + Words.sequence, cpu.load(lock + Words.sequence) | 1);
    return true;
  },
  repair,
});

/**
 * For a few words that are read often and written seldom: readers write nothing, so any number of them run at full
 * speed, and a read that a writer disturbed is made again. Data are words of the arena (`arena.alloc`), written between
 * `lock` and `unlock` with `Atomics.store`, or by `write`; read by `read`, or between `readBegin` and `readRetry` with
 * `Atomics.load`. Write sections are short and synchronous.
 *
 * Fairness: writers as in `Mutex`, and never behind readers. `read` gives up after 16 disturbed attempts and waits
 * among the writers, so it ends. If a writer dies inside, readers throw EOWNERDEAD until another writer has written
 * everything anew and called `makeConsistent()`. Source: kernel include/linux/seqlock.h, seqlock_t.
 */
export class SeqLock extends OwnedLock {
  readonly #owner: number;
  readonly #sequence: number;
  readonly #torn: number;

  /** Opens the lock of that name, making it if there is none, or that of a handle; with neither, a new one. */
  constructor(arena: Arena, which?: string | ObjectHandle) {
    super(KIND, arena, which);
    this.#owner = this.address + MutexWords.owner;
    this.#sequence = this.address + Words.sequence;
    this.#torn = this.address + Words.torn;
  }

  static from(arena: Arena, handle: ObjectHandle): SeqLock {
    return new SeqLock(arena, handle);
  }

  /** Starts a read section: hand it to `readRetry`. Throws EOWNERDEAD, and EDEADLK inside a write section. */
  readBegin(): number {
    // Pairs with the release in seqWriteEnd.
    const sequence = this.thread.cpu.loadAcquire(this.#sequence);
    return isEven(sequence) ? sequence : this.#waitForWriter();
  }

  /** Whether what was read since `begun` may be torn, and has to be read again. */
  readRetry(begun: number): boolean {
    return seqRetry(this.thread.cpu, this.#sequence, begun);
  }

  /**
   * Fills `into` with the words from `address` on, as they were at one moment. Returns `into`. Throws as `readBegin`.
   */
  read(address: number, into: Int32Array): Int32Array {
    return seqTryRead(this.thread.cpu, this.#sequence, this, address, into, RETRIES)
      ? into
      : this.#readLocked(address, into);
  }

  #readLocked(address: number, into: Int32Array): Int32Array {
    const { cpu } = this.thread;
    this.#lockOut();
    const sequence = cpu.load(this.#sequence);
    seqRead(cpu, this.#sequence, sequence, address, into);
    this.#letIn();
    if (!isEven(sequence)) throw this.#died();
    return into;
  }

  /** Starts a write section. Throws ETIMEDOUT, EDEADLK when this thread is in one, and EINVAL for bad options. */
  lock(options?: WaitOptions): void {
    const { cpu, self, free } = this.thread;
    // 0 -> me. Pairs with the releases in `#letIn`, `releaseTask` (owned-lock.ts) and `unlockSlow` (mutex-core.ts).
    if (options !== undefined || cpu.cmpxchgAcquire(this.#owner, free, self) !== free) this.#lockOut(options);
    this.#enter();
  }

  /** Starts a write section if nobody else is in one. */
  tryLock(): boolean {
    const { cpu, observer } = this.thread;
    const task = this.thread.current();
    if (!tryAcquire(cpu, this.address, task, 0)) {
      this.checkThere();
      return false;
    }
    this.#clearMark();
    this.#enter();
    observer?.took(this, ALONE, task);
    return true;
  }

  /** Ends the write section. Throws EPERM when this thread is in none. */
  unlock(): void {
    const { thread } = this;
    if (ownerOf(thread.cpu.load(this.#owner)) !== thread.self) {
      thread.current();
      throw this.unheld(this.notOwner('unlock'));
    }
    this.#leave();
    this.#letIn();
  }

  /** `lock`, with a guard for `using`, which releases this acquisition and no other. */
  acquire(options?: WaitOptions): LockGuard {
    this.lock(options);
    return noteGuard(this.thread, this, this.thread.self, new SyncGuard(this));
  }

  /**
   * Runs `section` while it holds the lock, which is released however that ends. Returns what it returns; throws as
   * `acquire`, what it throws, and EINVAL when it is asynchronous.
   */
  runExclusive<Result>(section: (held: LockGuard) => Result, options?: WaitOptions): Result {
    return runHolding(checkSection(section), this.acquire(options));
  }

  /** @internal For guards. */
  releaseSync(): void {
    this.unlock();
  }

  /**
   * Writes `values` to the words from `address` on, in a write section of its own. Throws as `lock`, and EINVAL for
   * values that are no numbers, and words that are not of the arena's heap.
   */
  write(address: number, values: ArrayLike<number>, options?: WaitOptions): void {
    const words = wordsOf(values, options !== undefined);
    const { length } = words;
    checkRange(this.arena.heap, address, length);
    this.lock(options);
    storeWords(this.thread.cpu, address, words, length);
    this.unlock();
  }

  /**
   * `write` that waits for its turn without blocking the event loop: the values as they are at the call. Rejects with ETIMEDOUT
   * or the signal's reason.
   */
  async writeAsync(address: number, values: ArrayLike<number>, options?: AsyncWaitOptions): Promise<void> {
    const { cpu, observer } = this.thread;
    const words = wordsOf(values, true);
    checkRange(this.arena.heap, address, words.length);
    const limits = limitsOf(cpu, options, ASYNC_OPTIONS);
    const wanted = observer?.wants(this, ASYNC_ALONE, limits);
    const path = (waiter: Waiter) => lockSlow(this.address, waiter);
    const task = this.tryAsync(wanted) || (await this.waitAsync(limits, wanted, path));
    this.#clearMark();
    this.#enter();
    storeWords(cpu, address, words, words.length);
    this.#leave();
    this.releaseTask(task);
  }

  /** Inside a write section: whether a writer died in an earlier one, and nobody has called `makeConsistent` since. */
  override get ownerDied(): boolean {
    return this.living.load(this.#torn) !== 0;
  }

  /** The writer has written everything anew. */
  protected override clearDeath(): void {
    this.thread.cpu.store(this.#torn, 0);
  }

  protected override get shown(): string {
    return `SeqLock(${this.name ?? this.address}, ${this.state})`;
  }

  #enter(): void {
    const { cpu } = this.thread;
    if (isEven(cpu.load(this.#sequence))) seqWriteBegin(cpu, this.#sequence);
    else cpu.store(this.#torn, 1);
  }

  #leave(): void {
    const { cpu } = this.thread;
    if (cpu.load(this.#torn) === 0) seqWriteEnd(cpu, this.#sequence);
  }

  /** Takes the writers' lock, without a write section. */
  #lockOut(options?: WaitOptions): void {
    const { thread } = this;
    const limits = limitsOf(thread.cpu, options);
    this.waitSync(limits, (task) => lockContended(thread, this, task, limits));
    this.#clearMark();
  }

  #letIn(): void {
    const { cpu, mine } = this.thread;
    // me -> 0. Pairs with the acquires in `lock`, `waitSync` (owned-lock.ts) and `tryAcquire` (mutex-core.ts).
    if (cpu.cmpxchgRelease(this.#owner, mine, 0) !== mine) this.unlockSlow();
  }

  protected override unlockForOwner(): void {
    unlockSlow(this.thread, this.address);
  }

  /** The sequence says it better than the mutex does whether a dead writer left anything torn. */
  #clearMark(): void {
    if (super.ownerDied) super.clearDeath();
  }

  /** The sequence once it is even. Throws EOWNERDEAD, and EDEADLK where this thread is the writer. */
  #waitForWriter(): number {
    const { cpu, spins } = this.thread;
    let sequence = seqBegin(cpu, this.#sequence, spins);
    if (isEven(sequence)) return sequence;
    this.#lockOut();
    sequence = cpu.load(this.#sequence);
    this.#letIn();
    if (!isEven(sequence)) throw this.#died();
    return sequence;
  }

  protected override get state(): string {
    const { owner } = this;
    if (owner !== undefined) return `thread ${owner.thread} writes`;
    return isEven(this.thread.cpu.load(this.#sequence)) ? 'nobody writes' : 'its writer died inside';
  }

  #died(): HoldfastError {
    return new HoldfastError(
      'EOWNERDEAD',
      `a thread died while it wrote what the ${this.label} guards, and nobody has made it consistent`,
    );
  }
}
