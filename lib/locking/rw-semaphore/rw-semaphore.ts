import type { Arena } from '../../arena/arena.ts';
import type { ObjectHandle } from '../../arena/shared-object.ts';
import { checkOptionNames, HoldfastError, shown } from '../../errors.ts';
import { defineKind, type Kind } from '../../memory/kinds.ts';
import type { Repairer } from '../../memory/repairer.ts';
import { ALONE, SHARED } from '../../sched/contention.ts';
import type { WaitOptions } from '../../sched/drive.ts';
import { claimHold, heldBy, holdsOf, isRecordOf } from '../../sched/holds.ts';
import { noteGuard, noteTaken } from '../../sched/lock-observer.ts';
import { NOBODY } from '../../sched/offer.ts';
import { Task } from '../../sched/task.ts';
import type { Thread } from '../../sched/thread.ts';
import { firstWaiter, isListBusy } from '../../sched/wait-list.ts';
import { type LockOwner, lockOwnerOf } from '../lock-owner.ts';
import { ReaderWriterLock } from '../reader-writer.ts';
import { close, downgrade, leaveCounted, makeConsistent, readCounted, tryDownWrite, upRead, upWrite } from './core.ts';
import { type Letting, RwSemaphoreGuard } from './guard.ts';
import { isOnOffer } from './loops.ts';
import { repair } from './repair.ts';
import { readNow, readSlow, readSpinning, writeSlow, writeSpinning } from './wait.ts';
import { reordered } from './wake.ts';
import {
  firstReader,
  isFirst,
  isUnrecoverable,
  listOf,
  MODE,
  ONE_READER,
  OWNER_DIED,
  READ,
  RwSemaphoreWords,
  readersOf,
  taskOf,
  WRITER,
} from './words.ts';

/**
 * A word with one reader's name in it costs less alone, and much more when a second one comes: so whoever has met other
 * readers is counted for a while.
 */
const SHARING = 64;

const define = (name: string, fifo: 0 | 1) =>
  defineKind<Repairer>({
    name,
    words: RwSemaphoreWords,
    format(cpu, semaphore) {
      cpu.write(semaphore + RwSemaphoreWords.fifo, fifo);
      cpu.write(semaphore + RwSemaphoreWords.round, NOBODY);
    },
    holder(cpu, semaphore) {
      // Acquire: pairs with the barrier in `TaskStore`.
      const task = taskOf(cpu.loadAcquire(semaphore + RwSemaphoreWords.word));
      return task === 0 ? 0 : cpu.load(task + Task.thread);
    },
    isHeldBy(cpu, semaphore, id) {
      const first = firstReader(cpu, semaphore, cpu.loadAcquire(semaphore + RwSemaphoreWords.word));
      if (first !== 0 && cpu.load(first + Task.thread) === id) return true;
      return holdsOf(cpu, id, semaphore, (other) => other === id).length > 0;
    },
    isOnOffer,
    mode: (cpu, task) => (cpu.load(task + Task.want) === READ ? 'read' : 'write'),
    isBusy(cpu, semaphore) {
      const word = cpu.load(semaphore + RwSemaphoreWords.word);
      const isFree = word === 0 || word === OWNER_DIED || isUnrecoverable(word);
      return !isFree || cpu.load(semaphore + RwSemaphoreWords.osq) !== 0 || isListBusy(cpu, listOf(semaphore));
    },
    close,
    reordered,
    repair,
  });

const KIND = define('rw-semaphore', 0);
const FIFO_KIND = define('fifo rw-semaphore', 1);

export interface RwSemaphoreOptions {
  /**
   * The lock goes to those that wait strictly in their order, readers and writers alike: for a program that relies on it, such
   * as one with the rules of Web Locks. All who open one name must give the same. Slower under contention. @default false
   */
  fifo?: boolean | undefined;
}

const ENTRIES = {
  read: {
    atOnce: (thread: Thread, semaphore: number, task: number) => readNow(thread, semaphore, task, false) === 'acquired',
    spinning: readSpinning,
    slow: readSlow,
  },
  write: {
    atOnce: ({ cpu }: Thread, semaphore: number, task: number) => tryDownWrite(cpu, semaphore, task, false),
    spinning: writeSpinning,
    slow: writeSlow,
  },
};

/**
 * A lock that any number of readers hold together, or one writer alone; across threads and inside one thread's async
 * code alike.
 *
 * Fairness: a free lock goes to whoever comes first, also past those who are still waking up. Once anybody waits, new
 * readers wait too, unless the writer that is next is still waking up, or has slept for less than 4 ms and a thread comes
 * to read synchronously. Beside a writer that spins, a synchronous reader stays out for as long as it would spin. When readers are first in line, all readers in
 * line are let in together (up to 256). A waiter that is first in line, and has waited 4 ms when the lock comes free, gets it
 * next; one that was woken before that, and is passed while it wakes up, has the lock kept for it once it is awake. What an
 * asynchronous call was given, or is kept for it, and its event loop does not come for within 1 ms (then 2, 4, and so on), a
 * synchronous one takes that waits. So neither readers nor writers starve. With `{ fifo: true }` nobody passes a waiter that can run, nor spins: readers next to each
 * other in line go in together, those behind a writer after it. A thread whose code reads already may read again without waiting, so that it cannot lock itself
 * out.
 *
 * Death: a dead reader's share is taken out of the count. If a thread ends while it writes, `ownerDied` is set from
 * then on, for readers too; the next writer repairs what the lock protects and calls `makeConsistent()`. If it unlocks
 * without that, all lock calls throw ENOTRECOVERABLE.
 *
 * Not to be upgraded: EDEADLK for a synchronous `downWrite` on a thread that reads or writes already, and for
 * `downRead` on one that writes. An asynchronous acquisition that waits for its own caller's lock cannot be told from
 * any other, and waits.
 *
 * Source: kernel/locking/rwsem.c.
 */
export class RwSemaphore extends ReaderWriterLock<RwSemaphoreGuard> {
  /** @internal */
  protected override readonly entries = ENTRIES;
  readonly #word: number;
  /** How many more reads without company it takes until this thread expects to be the only reader again. */
  #sharing = 0;
  /** Where the record of this thread's synchronous code was; see `isRecordOf`. */
  #record = 0;
  readonly #letting: Letting = {
    go: (mode, task) => this.#unlockFor(mode, task),
    downgrade: (task) => {
      this.thread.current();
      if (!downgrade(this.thread, this.address, task)) throw this.notHeld('downgrade');
      this.thread.observer?.shares(this, task);
    },
  };

  /** Opens the lock of that name, making it if there is none, or that of a handle; with neither, a new one. */
  constructor(arena: Arena, which?: string | ObjectHandle, options: RwSemaphoreOptions = {}) {
    super(kindOf(which, options), arena, which);
    this.#word = this.address + RwSemaphoreWords.word;
  }

  static from(arena: Arena, handle: ObjectHandle, options?: RwSemaphoreOptions): RwSemaphore {
    return new RwSemaphore(arena, handle, options);
  }

  /**
   * Waits to read, blocking the thread. Throws ETIMEDOUT, EDEADLK when this thread writes, ENOTRECOVERABLE, ENOMEM
   * when there is no memory to note another shared lock, and EINVAL for bad options.
   */
  downRead(options?: WaitOptions): void {
    const { cpu, self, free } = this.thread;
    // 0 -> ONE_READER|me. Pairs with the releases in `upWrite`, and in `downgrade` and `upWrite` of core.ts.
    if (options !== undefined || this.#sharing > 0 || cpu.cmpxchgAcquire(this.#word, free, self | ONE_READER) !== free)
      this.#readSlow(options);
  }

  /** Releases what `downRead`, `tryDownRead` or `downReadAsync` on this thread took. Throws EPERM when none did. */
  upRead(): void {
    const { cpu, mine } = this.thread;
    // ONE_READER|me -> 0. Pairs with the acquires in `downWrite`, and in `tryDownWrite` of core.ts.
    if (this.#sharing > 0 || cpu.cmpxchgRelease(this.#word, mine | ONE_READER, 0) !== (mine | ONE_READER))
      this.#upReadSlow();
  }

  /** Waits to write, blocking the thread. Throws ETIMEDOUT, EDEADLK when this thread reads or writes, and as above. */
  downWrite(options?: WaitOptions): void {
    const { cpu, self, free } = this.thread;
    // 0 -> WRITER|me. Pairs with the releases in `upRead` and `upWrite`, and in those and `changeCount` of core.ts.
    if (options !== undefined || cpu.cmpxchgAcquire(this.#word, free, self | WRITER) !== free)
      this.enter('write', options);
  }

  /** Releases what `downWrite`, `tryDownWrite` or `downWriteAsync` on this thread took. Throws EPERM when none did. */
  upWrite(): void {
    const { cpu, mine } = this.thread;
    // WRITER|me -> 0. Pairs with the acquires in `downRead` and `downWrite`, and in `tryDownRead`, `changeCount` and `tryDownWrite`
    // of core.ts.
    if (cpu.cmpxchgRelease(this.#word, mine | WRITER, 0) !== (mine | WRITER)) this.#upWriteSlow();
  }

  /** Reads, if that can be done at once. Throws ENOTRECOVERABLE, and ENOMEM as `downRead`. */
  tryDownRead(): boolean {
    const { thread } = this;
    const task = thread.current();
    this.#checkRecoverable();
    const outcome = readNow(thread, this.address, task, false);
    if (outcome === 'exhausted') throw this.refusal('exhausted');
    return noteTaken(thread, this, SHARED, outcome === 'acquired');
  }

  /** Writes, if that can be done at once. Throws ENOTRECOVERABLE. */
  tryDownWrite(): boolean {
    const { thread } = this;
    const task = thread.current();
    this.#checkRecoverable();
    return noteTaken(thread, this, ALONE, tryDownWrite(thread.cpu, this.address, task, false));
  }

  /** The thread's writer becomes a reader, with no writer in between. Throws EPERM unless this thread writes. */
  downgradeWrite(): void {
    const { thread } = this;
    const task = this.#writerHere();
    if (task === 0 || !downgrade(thread, this.address, task)) throw this.notHeld('downgradeWrite');
    thread.observer?.shares(this, task);
  }

  /** How many read; out of date as soon as it is read. */
  get readers(): number {
    return readersOf(this.living.load(this.#word));
  }

  /** The writer, if there is one; out of date as soon as it is read. */
  get owner(): LockOwner | undefined {
    const cpu = this.living;
    const word = cpu.load(this.#word);
    const task = (word & MODE) === WRITER ? taskOf(word) : 0;
    return task === 0 ? undefined : lockOwnerOf(cpu, task);
  }

  /** Whether anybody waits; out of date as soon as it is read. */
  get isContended(): boolean {
    return firstWaiter(this.living, listOf(this.address)) !== 0;
  }

  /** Whether a writer died inside, and nobody has called `makeConsistent` since. */
  get ownerDied(): boolean {
    return (this.living.load(this.#word) & OWNER_DIED) !== 0;
  }

  protected override get shown(): string {
    return `RwSemaphore(${this.name ?? this.address}, ${this.state})`;
  }

  #readSlow(options: WaitOptions | undefined): void {
    const { thread, address } = this;
    // `enter` sees to a thread that is observed, or has detached.
    if (this.#sharing > 0 && options === undefined && thread.free === 0) {
      const { cpu } = thread;
      if (!isRecordOf(cpu, this.#record, address)) this.#record = claimHold(cpu, thread.self, address);
      const company = this.#record === 0 ? undefined : readCounted(cpu, address, this.#record);
      if (company === 'alone') this.#sharing--;
      if (company !== undefined) return;
    }
    if (readersOf(thread.cpu.load(this.#word)) > 0) this.#sharing = SHARING;
    this.enter('read', options);
  }

  #upReadSlow(): void {
    const { thread, address } = this;
    const isCounted = thread.free === 0 && isRecordOf(thread.cpu, this.#record, address);
    if (isCounted && leaveCounted(thread.cpu, address, this.#record)) return;
    if (upRead(thread, address, thread.current())) {
      thread.observer?.gave(this, thread.self);
      return;
    }
    for (const task of thread.unguarded.keys()) {
      if (!this.#reads(task) || !upRead(thread, address, task)) continue;
      thread.observer?.gave(this, task);
      thread.unguarded.delete(task);
      thread.returnTask(task);
      return;
    }
    throw this.unheld(this.notHeld('upRead'));
  }

  #upWriteSlow(): void {
    const { thread } = this;
    const task = this.#writerHere();
    if (task === 0 || !upWrite(thread, this.address, task)) throw this.unheld(this.notHeld('upWrite'));
    thread.observer?.gave(this, task);
    if (task !== thread.self) {
      thread.unguarded.delete(task);
      thread.returnTask(task);
    }
  }

  /** The task of this thread that writes without a guard of its own, or 0. */
  #writerHere(): number {
    const { thread } = this;
    const self = thread.current();
    const word = thread.cpu.load(this.#word);
    const task = (word & MODE) === WRITER ? taskOf(word) : 0;
    return task === self || thread.unguarded.has(task) ? task : 0;
  }

  #reads(task: number): boolean {
    const { cpu } = this.thread;
    const word = cpu.loadAcquire(this.#word);
    return (
      ((word & MODE) === ONE_READER && taskOf(word) === task) ||
      isFirst(cpu, this.address, word, task) ||
      heldBy(cpu, task, this.address) > 0
    );
  }

  protected override guardOf(mode: 'read' | 'write', task: number): RwSemaphoreGuard {
    return noteGuard(this.thread, this, task, new RwSemaphoreGuard(this, this.#letting, mode, task));
  }

  /** For a guard. Throws EPERM when the task does not hold the lock that way. */
  #unlockFor(mode: 'read' | 'write', task: number): void {
    const { thread, address } = this;
    const { cpu, self } = thread;
    const word = task | (mode === 'read' ? ONE_READER : WRITER);
    if (thread.free !== 0) thread.current();
    // WRITER|me -> 0. Pairs with the acquires in `downRead` and `downWrite`, and in `tryDownRead`, `changeCount` and `tryDownWrite`
    // of core.ts.
    if (cpu.cmpxchgRelease(this.#word, word, 0) !== word) {
      const isDone = mode === 'read' ? upRead(thread, address, task) : upWrite(thread, address, task);
      if (!isDone) throw this.unheld(this.notHeld('release'));
    }
    thread.observer?.gave(this, task);
    if (task !== self) thread.returnTask(task);
  }

  #checkRecoverable(): void {
    if (isUnrecoverable(this.thread.cpu.load(this.#word))) throw this.refusal('unrecoverable');
  }

  protected override clearDeath(): void {
    makeConsistent(this.thread.cpu, this.address);
  }

  protected override get state(): string {
    return isUnrecoverable(this.thread.cpu.load(this.#word)) ? 'not recoverable' : super.state;
  }
}

/** A handle says itself which of the two it is of. */
function kindOf(which: string | ObjectHandle | undefined, options: RwSemaphoreOptions): Kind {
  checkOptionNames(options, ['fifo']);
  const isOfFifo = typeof which === 'object' && which?.type === `holdfast.${FIFO_KIND.name}`;
  const { fifo = isOfFifo } = options;
  if (typeof fifo !== 'boolean') throw new HoldfastError('EINVAL', `fifo is true or false, received ${shown(fifo)}`);
  return fifo ? FIFO_KIND : KIND;
}
