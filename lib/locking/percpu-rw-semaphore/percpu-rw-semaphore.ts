import type { Arena } from '../../arena/arena.ts';
import { type LockGuard, OnceGuard } from '../../arena/guard.ts';
import type { ObjectHandle } from '../../arena/shared-object.ts';
import { defineKind } from '../../memory/kinds.ts';
import type { Repairer } from '../../memory/repairer.ts';
import { ALONE, SHARED } from '../../sched/contention.ts';
import type { WaitOptions } from '../../sched/drive.ts';
import { claimHold, HELD, Hold, heldBy, holdsOf, TRANSIT } from '../../sched/holds.ts';
import { noteGuard, noteTaken } from '../../sched/lock-observer.ts';
import { maxThreads } from '../../sched/slot.ts';
import { Task } from '../../sched/task.ts';
import type { Thread } from '../../sched/thread.ts';
import { type LockOwner, lockOwnerOf } from '../lock-owner.ts';
import { ReaderWriterLock } from '../reader-writer.ts';
import {
  close,
  DRAINING,
  FLAGS,
  finishRetiring,
  isBusy,
  isOnOffer,
  isReadStill,
  makeConsistent,
  OWNER_DIED,
  PercpuWords,
  READ,
  retire,
  tryDownRead,
  tryDownWrite,
  upRead,
  upWrite,
  writerOf,
} from './core.ts';
import { repair } from './repair.ts';
import { readSlow, readSpinning, writeSlow, writeSpinning } from './wait.ts';

// For the fast paths, constants of this file alone: V8 has them in the code, whereas it loads and checks one that is imported, and the
// field of an imported table, at each use. First in the file, for the bundler (`scripts/build.ts`).
const LOCK = Hold.lock;
const COUNT = Hold.count;
const ONE = HELD;
const LEAVING = TRANSIT;
const AWAITED = DRAINING;
const WRITER = ~FLAGS;

const KIND = defineKind<Repairer>({
  name: 'percpu-rw-semaphore',
  words: PercpuWords,
  format: () => {},
  holder(cpu, lock) {
    // Acquire: pairs with the barrier in `TaskStore`.
    const writer = writerOf(cpu.loadAcquire(lock + PercpuWords.block));
    return writer === 0 ? 0 : cpu.load(writer + Task.thread);
  },
  isHeldBy: (cpu, lock, id) => holdsOf(cpu, id, lock, (other) => other === id).length > 0,
  isOnOffer,
  mode: (cpu, task) => (cpu.load(task + Task.want) === READ ? 'read' : 'write'),
  isBusy,
  close,
  repair,
});

const ENTRIES = {
  read: {
    atOnce: ({ cpu }: Thread, lock: number, task: number) => tryDownRead(cpu, lock, task, false) === 'acquired',
    spinning: readSpinning,
    slow: readSlow,
  },
  write: { atOnce: tryDownWrite, spinning: writeSpinning, slow: writeSlow },
};

/**
 * A reader-writer lock for what is read all the time and hardly ever written: readers on different threads share no
 * cache line that either writes to, while a writer has to look at every thread of the arena.
 *
 * Fairness: a writer stops new readers and waits until those inside have left. One that waits synchronously lets readers in again, if
 * nobody else waits, when that takes long, for 1 ms at most. When it is done, the readers that came
 * before the next writer go in, and then that writer's turn begins: nobody starves. A thread whose code reads already
 * may read again without waiting, so that it cannot lock itself out.
 *
 * Death: a dead reader has left. If a thread ends while it writes, `ownerDied` is set from then on, for readers too,
 * until a writer has repaired what the lock protects and calls `makeConsistent()`.
 *
 * Not to be upgraded: EDEADLK for a synchronous `downWrite` on a thread that reads or writes already, and for
 * `downRead` on one that writes. An asynchronous acquisition that waits for its own caller's lock cannot be told from
 * any other, and waits.
 *
 * Source: kernel/locking/percpu-rwsem.c. There readers do without the full barrier as long as no writer came lately,
 * which takes RCU; here an uncontended pair costs two atomic exchanges, and 1.25 times what two exchanges alone do (x64).
 */
export class PercpuRwSemaphore extends ReaderWriterLock<LockGuard> {
  /** @internal */
  protected override readonly entries = ENTRIES;
  readonly #block: number;
  /** Where the record of this thread's synchronous code was; see `isRecordOf`. */
  #record = 0;

  /** Opens the lock of that name, making it if there is none, or that of a handle; with neither, a new one. */
  constructor(arena: Arena, which?: string | ObjectHandle) {
    super(KIND, arena, which);
    this.#block = this.address + PercpuWords.block;
  }

  static from(arena: Arena, handle: ObjectHandle): PercpuRwSemaphore {
    return new PercpuRwSemaphore(arena, handle);
  }

  /**
   * Waits to read, blocking the thread. Throws ETIMEDOUT, EDEADLK when this thread writes, ENOMEM when there is no
   * memory to note another shared lock, and EINVAL for bad options.
   */
  downRead(options?: WaitOptions): void {
    const { cpu, free } = this.thread;
    const record = this.#record;
    // `enter` sees to a thread that is observed, or has detached.
    if (options === undefined && free === 0 && record !== 0 && cpu.read(record + LOCK) === this.address) {
      const count = cpu.read(record + COUNT);
      // Store buffering with a writer; see core.ts. Nobody else writes the record, so that `was` is the count.
      const was = cpu.xchg(record + COUNT, count + ONE);
      // An acquire, which pairs with a writer's release of the block.
      if ((cpu.loadAfterAtomic(this.#block + (was ^ count)) & WRITER) === 0) return;
      retire(cpu, this.#block, record, count);
    }
    this.#readSlow(options);
  }

  /** Lets go of what `downRead`, `tryDownRead` or `downReadAsync` on this thread took. Throws EPERM when none did. */
  upRead(): void {
    const { cpu, free } = this.thread;
    const record = this.#record;
    if (free === 0 && record !== 0 && cpu.read(record + LOCK) === this.address) {
      const count = cpu.read(record + COUNT);
      if (count !== 0) {
        // `retire`, of core.ts: store buffering as well, and a release.
        const was = cpu.xchg(record + COUNT, (count - ONE) | LEAVING);
        const word = cpu.loadAfterAtomic(this.#block + (was ^ count));
        if (word & AWAITED) finishRetiring(cpu, word, record, count - ONE);
        else cpu.storeUnordered(record + COUNT, count - ONE);
        return;
      }
    }
    this.#upReadSlow();
  }

  #readSlow(options: WaitOptions | undefined): void {
    const { thread, address } = this;
    if (options === undefined && thread.free === 0) this.#record = claimHold(thread.cpu, thread.self, address);
    this.enter('read', options);
  }

  #upReadSlow(): void {
    const { thread, address } = this;
    if (upRead(thread.cpu, address, thread.current())) {
      thread.observer?.gave(this, thread.self);
      return;
    }
    for (const task of thread.unguarded.keys()) {
      if (heldBy(thread.cpu, task, address) === 0) continue;
      upRead(thread.cpu, address, task);
      thread.observer?.gave(this, task);
      thread.unguarded.delete(task);
      thread.returnTask(task);
      return;
    }
    throw this.unheld(this.notHeld('upRead'));
  }

  /** Waits to write, blocking the thread. Throws ETIMEDOUT, EDEADLK when this thread reads or writes, and EINVAL. */
  downWrite(options?: WaitOptions): void {
    this.enter('write', options);
  }

  /** Lets go of what `downWrite`, `tryDownWrite` or `downWriteAsync` on this thread took. Throws EPERM when none did. */
  upWrite(): void {
    const { thread } = this;
    const self = thread.current();
    const task = this.#writingTask;
    if (task === 0 || (task !== self && !thread.unguarded.has(task))) throw this.unheld(this.notHeld('upWrite'));
    upWrite(thread, this.address, task);
    thread.observer?.gave(this, task);
    if (task !== self) {
      thread.unguarded.delete(task);
      thread.returnTask(task);
    }
  }

  /** Reads, if no writer is there. Throws ENOMEM as `downRead`. */
  tryDownRead(): boolean {
    const { thread } = this;
    const task = thread.current();
    const outcome = tryDownRead(thread.cpu, this.address, task, false);
    if (noteTaken(thread, this, SHARED, outcome === 'acquired')) return true;
    if (outcome === 'exhausted') throw this.refusal('exhausted');
    this.checkThere();
    return false;
  }

  /** Writes, if nobody reads, writes or waits. */
  tryDownWrite(): boolean {
    const { thread } = this;
    if (noteTaken(thread, this, ALONE, tryDownWrite(thread, this.address, thread.current()))) return true;
    this.checkThere();
    return false;
  }

  /** How many read, over all threads; out of date as soon as it is read. */
  get readers(): number {
    const cpu = this.living;
    // Beside a writer that has the lock a record is a reader's that is about to back off (`tryDownRead`).
    if (this.#writingTask !== 0) return 0;
    const records = holdsOf(cpu, maxThreads(cpu), this.address, () => true);
    return records.reduce((sum, record) => sum + (cpu.load(record + Hold.count) >> 1), 0);
  }

  /** The writer, if there is one; out of date as soon as it is read. */
  get owner(): LockOwner | undefined {
    const task = this.#writingTask;
    return task === 0 ? undefined : lockOwnerOf(this.living, task);
  }

  /** Whether a writer died inside, and nobody has called `makeConsistent` since. */
  get ownerDied(): boolean {
    return (this.living.load(this.#block) & OWNER_DIED) !== 0;
  }

  protected override get shown(): string {
    return `PercpuRwSemaphore(${this.name ?? this.address}, ${this.state})`;
  }

  /** Between the readers that have left and a writer that has not had its turn yet, it is not free. */
  protected override get state(): string {
    const next = writerOf(this.thread.cpu.load(this.#block));
    if (next === 0 || this.owner !== undefined || this.readers > 0) return super.state;
    return this.#nextWrittenBy(next);
  }

  /** Without a count of the readers, for which all tasks are looked at. */
  protected override get obstacle(): string {
    const { cpu } = this.thread;
    const word = cpu.load(this.#block);
    if (writerOf(word) === 0) return isReadStill(cpu, this.address) ? 'held by readers' : 'not held any more';
    if (!(word & DRAINING)) return this.state;
    return this.#nextWrittenBy(writerOf(word));
  }

  #nextWrittenBy(writer: number): string {
    return `about to be written by thread ${this.thread.cpu.load(writer + Task.thread) - 1}`;
  }

  /** The writer inside, or 0; no task's of a lock that was destroyed. */
  get #writingTask(): number {
    const word = this.thread.cpu.load(this.#block);
    return word & DRAINING ? 0 : writerOf(word);
  }

  protected override guardOf(mode: 'read' | 'write', task: number): LockGuard {
    return noteGuard(
      this.thread,
      this,
      task,
      new OnceGuard(this, () => {
        const { thread, address } = this;
        const self = thread.current();
        if (mode === 'write' && this.#writingTask === task) upWrite(thread, address, task);
        else if (mode === 'write' || !upRead(thread.cpu, address, task)) throw this.unheld(this.notHeld('release'));
        thread.observer?.gave(this, task);
        if (task !== self) thread.returnTask(task);
      }),
    );
  }

  protected override clearDeath(): void {
    makeConsistent(this.thread.cpu, this.address);
  }
}
