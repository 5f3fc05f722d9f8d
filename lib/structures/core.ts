/**
 * What all structures have in common: a latch for writers, the pool of their blocks, a journal, and readers that take no lock.
 *
 * Readers are those of `RcuQsbr`: a thread is inside from its first read in a synchronous stretch of code to the end of the
 * stretch, and a read costs one load of the thread's own line on top. When a grace period waits for the thread, its next read
 * or write says that it holds nothing. So a thread that loops over reads holds up nobody for longer than one of them; a
 * program that keeps what it found in blocks of its own across reads says so with `readLock` of `RcuQsbr`.
 *
 * A writer that dies holds the latch. The reaper takes it over, and makes the step whole that the writer was in, or leaves
 * nothing of it.
 *
 * A write that finds no memory, where enough is retired, frees the latch, waits for the period that this waits for, and is made
 * again from its beginning: for a second at most, since a reader may be stopped. Who is inside a reader itself would wait for
 * ever, so there it is ENOMEM at once. Illegal to write inside a write of another structure, unless nobody else knows
 * this one.
 */
import type { Arena } from '../arena/arena.ts';
import { HoldfastError } from '../errors.ts';
import type { Cpu } from '../machine/cpu.ts';
import { defineKind, type Kind } from '../memory/kinds.ts';
import { latch, latchOwner, tryLatch, tryLatchBriefly, unlatch } from '../memory/latch.ts';
import { isPresent, ObjectHeader } from '../memory/objects.ts';
import type { Repairer } from '../memory/repairer.ts';
import { type Length, struct } from '../memory/struct.ts';
import { INSIDE } from '../rcu/grace-period.ts';
import { NORMAL } from '../rcu/layout.ts';
import type { Stretch } from '../rcu/stretch.ts';
import { waitForEnd } from '../rcu/wait.ts';
import { ABORTABLE_OPTIONS, type AbortableOptions, block, blockAsync, limitsOf } from '../sched/drive.ts';
import { type GaveUp, latched, type SlowPath, type Waiter } from '../sched/slow-path.ts';
import type { Thread } from '../sched/thread.ts';
import { PoolWords, releaseChunks } from './chunks.ts';
import { Journal, JournalWords, recoverJournal } from './journal.ts';
import { MemoryAwaited, Pool } from './pool.ts';

/** How a write in a slow path has ended; `failed` with one of the library's errors. */
type Ended<Result> =
  | { readonly is: 'done'; readonly result: Result }
  | { readonly is: 'failed'; readonly error: HoldfastError };

/** The same, or that its caller gave up. */
export type Written<Result> = Ended<Result> | GaveUp;

/** How long a write waits for memory that was retired and that readers may still look at, ms. */
const PATIENCE_MS = 1000;

export const CoreWords = struct({
  header: ObjectHeader,
  /** Guards everything: whoever changes a word of the structure has it. Taken before heapLatch and the domain's latches. */
  latch: 1,
  pool: PoolWords,
  journal: JournalWords,
});

/** What a structure has of its own beside a latch, a pool and a journal. */
export interface StructureTraits {
  /** Words behind those of the structure that depend on the arena. */
  readonly trailing?: (cpu: Cpu) => number;
  /** Writes what is not 0 at first. */
  readonly format?: (cpu: Cpu, address: number) => void;
  /** Whether a thread stands in words of the structure without holding the latch. */
  readonly isOccupied?: (cpu: Cpu, address: number) => boolean;
  /** Whether a thread that has lined up at words of the structure's blocks will come back to it. */
  readonly isAwaited?: (cpu: Cpu, address: number) => boolean;
  /** As in `Kind`. */
  readonly holderOfWord?: (cpu: Cpu, word: number) => number;
  /** Under the latch: takes dead threads out of those words. May be done again. */
  readonly repair?: (repairer: Repairer, address: number) => void;
}

/** The kind of a structure. */
export function defineStructure(name: string, words: Length, traits: StructureTraits = {}): Kind<Repairer> {
  const {
    trailing,
    format = () => {},
    isOccupied = () => false,
    isAwaited = () => false,
    holderOfWord,
    repair,
  } = traits;
  const isIdle = (cpu: Cpu, address: number) => cpu.load(address + CoreWords.latch) === 0 && !isOccupied(cpu, address);
  return defineKind<Repairer>({
    name,
    words,
    ...(trailing && { trailing }),
    ...(holderOfWord && { holderOfWord }),
    format,
    holder: (cpu, address) => latchOwner(cpu, address + CoreWords.latch),
    isBusy: (cpu, address) => !isIdle(cpu, address) || isAwaited(cpu, address),
    isIdle,
    latch: CoreWords.latch,
    repair(repairer, address) {
      const { cpu } = repairer;
      const recover = () => recoverJournal(cpu, address + CoreWords.journal);
      if (!repairer.latch(address + CoreWords.latch, recover)) return false;
      repair?.(repairer, address);
      unlatch(cpu, address + CoreWords.latch);
      return true;
    },
    release(cpu, address, heap, nascent) {
      releaseChunks(cpu, address + CoreWords.pool, heap, nascent);
      return true;
    },
  });
}

/** A view of a structure, a `SharedObject`. */
export interface StructureView {
  readonly address: number;
  /** Throws EINVAL when the structure was destroyed. */
  checkThere(): void;
}

/** One thread's hands on one structure. Keeps nothing of its state. */
export abstract class Core {
  readonly cpu: Cpu;
  readonly address: number;
  readonly pool: Pool;
  protected readonly journal: Journal;
  readonly #view: StructureView;
  readonly #arena: Arena;
  readonly #thread: Thread;
  readonly #stretch: Stretch;
  readonly #lane: number;

  /** `stretch`: the thread's, in the arena's QSBR domain. */
  constructor(arena: Arena, view: StructureView, stretch: Stretch) {
    const { address } = view;
    this.cpu = arena.cpu;
    this.address = address;
    this.#view = view;
    this.journal = new Journal(arena.cpu, address + CoreWords.journal);
    this.pool = new Pool(arena, address, address + CoreWords.pool, this.journal, stretch);
    this.#arena = arena;
    this.#thread = arena.thread;
    this.#stretch = stretch;
    this.#lane = stretch.readers.sync;
    // Retired with the view: what copies a key, or walks on, runs code of the program, which may have destroyed the structure.
    arena.objects.views.add(address, this);
  }

  /** Before each read: from here to the end of the read nothing that it finds is used again. Throws EINVAL. */
  enter(): void {
    const { cpu } = this;
    // The lane is AWAITED when a period waits for this thread, which between two reads holds nothing.
    if (!isPresent(cpu, this.address) || cpu.loadUnordered(this.#lane) !== INSIDE) this.#goIn();
  }

  #goIn(): void {
    this.#checkThere();
    if (this.#stretch.quiescent()) this.#stretch.goOnline();
  }

  /**
   * Runs `body` as the only writer; from its beginning again when it had to wait for memory, before it had changed anything. What
   * it throws of the library's errors is thrown once the latch is free.
   */
  write<Result>(body: () => Result): Result {
    const thread = this.#thread;
    thread.current();
    this.#checkThere();
    latch(this.cpu, this.address + CoreWords.latch, thread.id);
    try {
      return this.#run(body);
    } catch (error) {
      if (!(error instanceof MemoryAwaited)) throw error;
      return resultOf(block(thread, undefined, (waiter) => this.#writeAfter(waiter, error.period, body)));
    }
  }

  /**
   * `write` that does not block the event loop. Rejects with ETIMEDOUT and the signal's reason, too. Where it has to wait it needs a
   * task: ENOMEM if the thread has none left, and the arena no memory for another one.
   */
  async writeAsync<Result>(body: () => Result, options?: AbortableOptions): Promise<Result> {
    const thread = this.#thread;
    thread.current();
    const limits = limitsOf(this.cpu, options, ABORTABLE_OPTIONS);
    this.#checkThere();
    const isLatched = tryLatchBriefly(this.cpu, this.address + CoreWords.latch, thread.id);
    const first = isLatched ? this.#tryRun(body) : undefined;
    if (typeof first === 'object') return resultOf(first);
    const path = (waiter: Waiter) =>
      first === undefined ? this.writeIn(waiter, body) : this.#writeAfter(waiter, first, body);
    const { outcome, task } = await blockAsync(thread, this.#arena.heap, limits, path, this);
    thread.returnTask(task);
    return resultOf(outcome);
  }

  /** For `blockAsync`. */
  notInTime(timeout: number | undefined): HoldfastError {
    return new HoldfastError('ETIMEDOUT', `there was no memory for the call within ${timeout} ms`);
  }

  /**
   * `write` in the middle of a read, if no other writer is there. `body` retires nothing: then the thread does not say at its
   * end that it reads nothing, and what the read has found stays.
   */
  tryWrite(body: () => void): boolean {
    this.#checkThere();
    if (!tryLatch(this.cpu, this.address + CoreWords.latch, this.#thread.id)) return false;
    this.#run(body);
    return true;
  }

  /** `write` in a slow path. */
  *writeIn<Result>(waiter: Waiter, body: () => Result): SlowPath<Written<Result>> {
    this.#checkThere();
    const written = yield* this.#tryIn(waiter, body);
    if (typeof written !== 'number') return written;
    return yield* this.#writeAfter(waiter, written, body);
  }

  /** Writes once that period is over, or the next one, if others have had the memory. */
  *#writeAfter<Result>(waiter: Waiter, first: number, body: () => Result): SlowPath<Written<Result>> {
    const stretch = this.#stretch;
    const { domain } = stretch.readers;
    const asked = waiter.deadline;
    const deadline = Math.min(asked, this.cpu.now() + PATIENCE_MS * 1e6);
    for (let period = first; ; ) {
      waiter.deadline = deadline;
      if (!stretch.quiescent()) return { is: 'failed', error: lacking('this thread, inside a reader of RcuQsbr,') };
      const outcome = yield* waitForEnd(domain, NORMAL, period, waiter);
      if (outcome === 'aborted') return outcome;
      if (outcome !== 'done') {
        return deadline === asked ? 'timed-out' : { is: 'failed', error: lacking('a reader in another thread') };
      }
      const written = yield* this.#tryIn(waiter, () => {
        // Others may have destroyed it in the meantime.
        this.#checkThere();
        return body();
      });
      if (typeof written !== 'number') return written;
      period = written;
    }
  }

  /** The number of a period: `body` waits for that. */
  *#tryIn<Result>(waiter: Waiter, body: () => Result): SlowPath<Ended<Result> | number | 'aborted'> {
    const { cpu, address } = this;
    yield* latched(waiter, address + CoreWords.latch);
    if (waiter.aborted) {
      unlatch(cpu, address + CoreWords.latch);
      return 'aborted';
    }
    return this.#tryRun(body);
  }

  /** The latch is held, and free afterwards. As `#tryIn` returns. */
  #tryRun<Result>(body: () => Result): Ended<Result> | number {
    try {
      return { is: 'done', result: this.#run(body) };
    } catch (error) {
      if (error instanceof MemoryAwaited) return error.period;
      if (error instanceof HoldfastError) return { is: 'failed', error };
      throw error;
    }
  }

  /** What is destroyed after this look keeps its memory until the call is over: this thread has a view of it. */
  #checkThere(): void {
    if (!isPresent(this.cpu, this.address)) this.#view.checkThere();
  }

  /** The latch is held, and free afterwards. */
  #run<Result>(body: () => Result): Result {
    const { cpu } = this;
    this.begin();
    let result: Result;
    // Nothing else is caught: a machine that stops the thread here does it by throwing.
    try {
      result = body();
      this.pool.tidy();
    } catch (error) {
      if (error instanceof HoldfastError) unlatch(cpu, this.address + CoreWords.latch);
      throw error;
    }
    unlatch(cpu, this.address + CoreWords.latch);
    return result;
  }

  /** Begins a step, after what it needs was reserved. */
  protected begin(): void {
    this.pool.begin();
    this.journal.begin();
  }

  /** Makes the step: all that was staged, and what was taken and retired. */
  protected commit(): void {
    this.pool.stage();
    this.journal.commit();
  }
}

/** Throws what it has failed with. */
function resultOf<Result>(ended: Ended<Result>): Result {
  if (ended.is === 'done') return ended.result;
  throw ended.error;
}

function lacking(who: string): HoldfastError {
  return new HoldfastError(
    'ENOMEM',
    `the arena is full, and ${who} may still look at what was taken out of the structure`,
  );
}
