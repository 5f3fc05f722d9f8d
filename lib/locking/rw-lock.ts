import { inspect } from 'node:util';
import type { Arena } from '../arena/arena.ts';
import { checkSection, type LockGuard, runHolding, SyncGuard, type SyncLock } from '../arena/guard.ts';
import { type ObjectHandle, SharedObject } from '../arena/shared-object.ts';
import { HoldfastError } from '../errors.ts';
import { defineKind } from '../memory/kinds.ts';
import type { Repairer } from '../memory/repairer.ts';
import { ALONE, contend, SHARED } from '../sched/contention.ts';
import { noteGuard } from '../sched/lock-observer.ts';
import { maxThreads } from '../sched/slot.ts';
import type { LockOwner } from './lock-owner.ts';
import {
  close,
  drain,
  isBusy,
  isDrained,
  lockQueued,
  RwWords,
  readerBit,
  readerWord,
  readerWords,
  readUnlock,
  repair,
  tryPlace,
  tryRead,
  WRITER,
  writeUnlock,
} from './rw-lock-core.ts';
import { SpinningLockHeader } from './spinning-lock.ts';

const KIND = defineKind<Repairer>({
  name: 'rw-lock',
  words: RwWords,
  format: () => {},
  holder: (cpu, lock) => cpu.load(lock + RwWords.word) & WRITER,
  isHeldBy: (cpu, lock, id) => (cpu.load(readerWord(lock, id)) & readerBit(id)) !== 0,
  isBusy,
  close,
  repair,
});

/**
 * A spinlock that any number of threads can hold for reading, or one for writing: for sections of well under a
 * microsecond; `RwSemaphore` for longer ones. A waiter spins for about as long as a sleep would cost.
 *
 * Fairness: readers and writers queue up in one line, in order of arrival; readers next to each other in it are inside
 * together. A contender may take a free lock while the head of the line sleeps for the first time. Synchronous only;
 * not recursive, for reading neither (EDEADLK), and cannot be upgraded (EDEADLK). Readers that die leave; if a writer
 * dies inside, `ownerDied` says so to all that come after, until `makeConsistent`. One that dies while it waits for readers to
 * leave was not inside.
 *
 * Source: kernel/locking/qrwlock.c.
 */
export class RwLock extends SharedObject {
  readonly #reader: number;
  readonly #bit: number;
  readonly #readerWords: number;
  readonly #reading = this.#side(() => this.readUnlock());
  readonly #writing = this.#side(() => this.writeUnlock());

  /** Opens the lock of that name, making it if there is none, or the lock of a handle; with neither, a new one. */
  constructor(arena: Arena, which?: string | ObjectHandle) {
    super(KIND, arena, which);
    this.#reader = readerWord(this.address, this.thread.id);
    this.#bit = readerBit(this.thread.id);
    this.#readerWords = readerWords(maxThreads(this.thread.cpu));
  }

  static from(arena: Arena, handle: ObjectHandle): RwLock {
    return new RwLock(arena, handle);
  }

  /** Waits until nobody writes. Throws EDEADLK when this thread holds the lock, for reading or writing. */
  readLock(): void {
    const { cpu, free } = this.thread;
    if (free !== 0 || (cpu.load(this.#reader) & this.#bit) !== 0) this.#readLockSlow();
    else if (!tryRead(cpu, this.address, this.#reader, this.#bit)) this.#wait(true);
  }

  /** Takes the lock for reading, if nobody writes or wants to. */
  tryReadLock(): boolean {
    const { cpu, self, observer } = this.thread;
    if (this.#isHeld() || !tryRead(cpu, this.address, this.#reader, this.#bit)) return false;
    observer?.took(this, SHARED, self);
    return true;
  }

  /** Throws EPERM unless this thread holds the lock for reading. */
  readUnlock(): void {
    const { thread } = this;
    const { free } = thread;
    if (free !== 0) thread.current();
    const isDone = readUnlock(thread.cpu, this.address, this.#reader, this.#bit);
    if (free !== 0 && isDone) thread.observer?.gave(this, thread.self);
    if (!isDone) throw this.unheld(this.#notHeld('readUnlock'));
  }

  /** Waits until nobody else is inside. Throws EDEADLK when this thread holds the lock, for reading or writing. */
  writeLock(): void {
    const { thread, address } = this;
    // A thread that writes already gets no place, and `#wait` looks at that.
    if (thread.free !== 0 || (thread.cpu.load(this.#reader) & this.#bit) !== 0) this.#writeLockSlow();
    else if (!tryPlace(thread, address)) this.#wait(false);
    else if (!isDrained(thread.cpu, address, this.#readerWords)) drain(thread, address, this.#readerWords);
  }

  /** Takes the lock for writing, if nobody is inside. */
  tryWriteLock(): boolean {
    const { thread, address } = this;
    if (this.#isHeld() || !isDrained(thread.cpu, address, this.#readerWords) || !tryPlace(thread, address))
      return false;
    if (isDrained(thread.cpu, address, this.#readerWords)) {
      thread.observer?.took(this, ALONE, thread.self);
      return true;
    }
    writeUnlock(thread, address);
    return false;
  }

  /** Throws EPERM unless this thread holds the lock for writing. */
  writeUnlock(): void {
    const { thread, address } = this;
    const { mineById } = thread;
    // Nobody waits: a release is enough. Pairs with the exchange in tryPlace and the acquire in tryRead.
    if (thread.cpu.cmpxchgRelease(address + RwWords.word, mineById, 0) === mineById) return;
    const { observer } = thread;
    const task = thread.current();
    if (this.#writer !== thread.id) throw this.unheld(this.#notHeld('writeUnlock'));
    writeUnlock(thread, address);
    observer?.gave(this, task);
  }

  /** `readLock`, with a guard for `using`, which releases this acquisition and no other. */
  acquireRead(): LockGuard {
    this.readLock();
    return noteGuard(this.thread, this, this.thread.self, new SyncGuard(this.#reading));
  }

  /**
   * Runs `section` while it reads, and releases the lock however that ends. Returns what it returns; throws as `acquireRead`,
   * what it throws, and EINVAL when it is asynchronous.
   */
  runShared<Result>(section: (held: LockGuard) => Result): Result {
    return runHolding(checkSection(section), this.acquireRead());
  }

  /** `writeLock`, with a guard for `using`, which releases this acquisition and no other. */
  acquireWrite(): LockGuard {
    this.writeLock();
    return noteGuard(this.thread, this, this.thread.self, new SyncGuard(this.#writing));
  }

  /**
   * Runs `section` while it writes, and releases the lock however that ends. Returns what it returns; throws as `acquireWrite`,
   * what it throws, and EINVAL when it is asynchronous.
   */
  runExclusive<Result>(section: (held: LockGuard) => Result): Result {
    return runHolding(checkSection(section), this.acquireWrite());
  }

  /** The writer, or the thread that is about to write, if there is one; out of date as soon as it is read. */
  get owner(): LockOwner | undefined {
    const writer = this.#writer;
    return writer === 0 ? undefined : { thread: writer - 1, async: false };
  }

  /** How many read; out of date as soon as it is read. */
  get readers(): number {
    return this.#readingThreads.length;
  }

  /** Whether somebody holds the lock, to read or to write; out of date as soon as it is read. */
  get isLocked(): boolean {
    return this.owner !== undefined || this.readers > 0;
  }

  get #writer(): number {
    return this.living.load(this.address + RwWords.word) & WRITER;
  }

  /** CPU numbers of the threads that read. */
  get #readingThreads(): number[] {
    const cpu = this.living;
    return Array.from({ length: maxThreads(cpu) }, (_, number) => number).filter(
      (number) => (cpu.load(readerWord(this.address, number + 1)) & readerBit(number + 1)) !== 0,
    );
  }

  /** Whether a thread died while it held the lock for writing, and nobody has called `makeConsistent` since. */
  get ownerDied(): boolean {
    return this.living.load(this.address + SpinningLockHeader.ownerDied) !== 0;
  }

  /** The writer says that what the lock protects is in order again. Throws EPERM unless this thread writes. */
  makeConsistent(): void {
    this.current();
    if (this.#writer !== this.thread.id) throw this.#notHeld('makeConsistent');
    this.thread.cpu.store(this.address + SpinningLockHeader.ownerDied, 0);
  }

  protected override get shown(): string {
    return `RwLock(${this.name ?? this.address}, ${this.#state()})`;
  }

  /** The lock as the guards of one of its sides see it. */
  #side(releaseSync: () => void): SyncLock & { readonly lock: RwLock; [inspect.custom](): string } {
    const lock = this;
    return {
      // The first field, so that `postMessage` of a guard fails by it.
      lock,
      get ownerDied() {
        return lock.ownerDied;
      },
      makeConsistent: () => this.makeConsistent(),
      releaseSync,
      [inspect.custom]: () => inspect(this),
    };
  }

  #isHeld(): boolean {
    const { thread } = this;
    this.current();
    return this.#writer === thread.id || (thread.cpu.load(this.#reader) & this.#bit) !== 0;
  }

  #checkIdle(): void {
    if (!this.#isHeld()) return;
    throw new HoldfastError(
      'EDEADLK',
      `this thread already holds the ${this.label}, which is not recursive: ${this.#state()}`,
    );
  }

  /** For a thread that is observed, has detached, or reads. */
  #readLockSlow(): void {
    const { thread, address } = this;
    const task = thread.current();
    const wanted = thread.observer?.wants(this, SHARED);
    this.#checkIdle();
    if (!tryRead(thread.cpu, address, this.#reader, this.#bit)) this.#wait(true);
    thread.observer?.has(wanted, task);
  }

  /** As `#readLockSlow`. */
  #writeLockSlow(): void {
    const { thread, address } = this;
    const task = thread.current();
    const wanted = thread.observer?.wants(this, ALONE);
    this.#checkIdle();
    if (!tryPlace(thread, address)) this.#wait(false);
    else drain(thread, address, this.#readerWords);
    thread.observer?.has(wanted, task);
  }

  #wait(isReader: boolean): void {
    const { thread, address } = this;
    this.#checkIdle();
    thread.counters.contended++;
    this.beginChange();
    contend(thread, address, isReader ? SHARED : ALONE, () => {
      lockQueued(thread, address, isReader, this.#readerWords);
    });
    this.endChange();
  }

  #state(): string {
    const { owner } = this;
    const readers = this.#readingThreads;
    if (readers.length > 0) return `read by thread${readers.length > 1 ? 's' : ''} ${readers.join(', ')}`;
    return owner === undefined ? 'free' : `written by thread ${owner.thread}`;
  }

  #notHeld(call: string): HoldfastError {
    return new HoldfastError('EPERM', `${call} of the ${this.label} by thread ${this.thread.number}: ${this.#state()}`);
  }
}
