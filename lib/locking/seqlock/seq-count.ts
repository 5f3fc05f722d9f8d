/**
 * SeqCount: a sequence count for data whose writers are kept apart by something else (a lock, or there being only one).
 *
 *   sequence  even: nobody writes; odd: somebody does
 *   writer    0, the writing thread (its CPU number plus one), or DIED
 *
 *   writeBegin        (0, even)   -> (me, even) -> (me, odd)
 *   writeEnd          (me, odd)   -> (me, even) -> (0, even)
 *   a writer dies     (x, even)   -> (0, even)       nothing was being written
 *                     (x, odd)    -> (DIED, odd)     readers throw EOWNERDEAD
 *   writeBegin then   (DIED, odd) -> (me, odd)       it must write everything anew; also from (x, odd)
 *
 * A reader waits for a writer that is preempted inside: it spins, and then naps to leave it the core.
 */

import type { Arena } from '../../arena/arena.ts';
import { type ObjectHandle, SharedObject } from '../../arena/shared-object.ts';
import { HoldfastError } from '../../errors.ts';
import { defineKind } from '../../memory/kinds.ts';
import { ObjectHeader } from '../../memory/objects.ts';
import type { Repairer } from '../../memory/repairer.ts';
import { struct } from '../../memory/struct.ts';
import { pvWait } from '../../sched/schedule.ts';
import { isDying } from '../../sched/slot.ts';
import { prepareToPark } from '../../sched/task.ts';
import {
  checkRange,
  isEven,
  seqBegin,
  seqRetry,
  seqTryRead,
  seqWriteBegin,
  seqWriteEnd,
  storeWords,
  wordsOf,
} from './core.ts';

const Words = struct({ header: ObjectHeader, sequence: 1, writer: 1 });

const DIED = -1;
/** In the writer's place of a count that was destroyed; the sequence is odd. */
const CLOSED = -2;
/** How long a reader sleeps before it looks again whether the writer has finished, ns: a few park round trips. */
const NAP = 50_000;

const KIND = defineKind<Repairer>({
  name: 'seq-count',
  words: Words,
  format: () => {},
  holder: (cpu, count) => Math.max(cpu.load(count + Words.writer), 0),
  isBusy: (cpu, count) => cpu.load(count + Words.writer) > 0,
  close(cpu, count) {
    const writer = cpu.load(count + Words.writer);
    if (writer > 0 || cpu.cmpxchg(count + Words.writer, writer, CLOSED) !== writer) return false;
    cpu.store(count + Words.sequence, cpu.load(count + Words.sequence) | 1);
    return true;
  },
  repair({ cpu, isDead }, count) {
    const writer = cpu.load(count + Words.writer);
    if (writer <= 0 || !isDead(writer)) return true;
    // Unless the next writer has come first.
    cpu.cmpxchg(count + Words.writer, writer, isEven(cpu.load(count + Words.sequence)) ? 0 : DIED);
    return true;
  },
});

/**
 * Lets any number of threads read several words consistently without writing anything, while one thread at a time
 * writes them. The caller of `writeBegin` keeps other writers out; `SeqLock` does that by itself.
 *
 * Fairness: the writer never waits. A reader retries as long as writers keep writing. If a writer dies inside, readers
 * throw EOWNERDEAD until a write section has run to its end. Source: kernel include/linux/seqlock.h, seqcount_t.
 */
export class SeqCount extends SharedObject {
  readonly #sequence: number;
  readonly #writer: number;

  /** Opens the count of that name, making it if there is none, or that of a handle; with neither, a new one. */
  constructor(arena: Arena, which?: string | ObjectHandle) {
    super(KIND, arena, which);
    this.#sequence = this.address + Words.sequence;
    this.#writer = this.address + Words.writer;
  }

  static from(arena: Arena, handle: ObjectHandle): SeqCount {
    return new SeqCount(arena, handle);
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

  /** Fills `into` with the words from `address` on, as they were at one moment. Returns `into`. */
  read(address: number, into: Int32Array): Int32Array {
    seqTryRead(this.thread.cpu, this.#sequence, this, address, into, Number.POSITIVE_INFINITY);
    return into;
  }

  /**
   * Starts a write section. Returns whether a writer died inside an earlier one: then all of the data has to be
   * written anew. Throws EPERM while a write section is under way.
   */
  writeBegin(): boolean {
    const { cpu, id } = this.thread;
    this.thread.current();
    let writer: number;
    do {
      writer = cpu.load(this.#writer);
      // The lock that keeps writers apart may have come from a writer that died or left, before its repair came here;
      // then the repair may end between the first two loads, which the third one sees.
      if (writer === CLOSED) this.checkThere();
      if (writer > 0 && !isDying(cpu, writer) && cpu.load(this.#writer) === writer) {
        throw this.#refused('writeBegin', writer);
      }
    } while (cpu.cmpxchg(this.#writer, writer, id) !== writer);
    if (!isEven(cpu.load(this.#sequence))) return true;
    seqWriteBegin(cpu, this.#sequence);
    return false;
  }

  /** Ends the write section. Throws EPERM when this thread is in none. */
  writeEnd(): void {
    const { cpu, id } = this.thread;
    const writer = cpu.load(this.#writer);
    if (writer !== id) throw this.#refused('writeEnd', writer);
    seqWriteEnd(cpu, this.#sequence);
    cpu.store(this.#writer, 0);
  }

  /** Writes `values` to the words from `address` on, in a write section. Throws as `writeBegin`, and EINVAL. */
  write(address: number, values: ArrayLike<number>): void {
    const words = wordsOf(values);
    const { length } = words;
    checkRange(this.arena.heap, address, length);
    this.writeBegin();
    storeWords(this.thread.cpu, address, words, length);
    this.writeEnd();
  }

  protected override get shown(): string {
    const writer = this.thread.cpu.load(this.#writer);
    return `SeqCount(${this.name ?? this.address}, ${writerShown(writer)})`;
  }

  #waitForWriter(): number {
    const { cpu, id, spins } = this.thread;
    for (;;) {
      const sequence = seqBegin(cpu, this.#sequence, spins);
      if (isEven(sequence)) return sequence;
      const writer = cpu.load(this.#writer);
      if (writer === DIED) {
        throw new HoldfastError('EOWNERDEAD', `a thread died while it wrote what the ${this.label} guards`);
      }
      if (writer === id) {
        throw new HoldfastError('EDEADLK', `this thread is inside a write section of the ${this.label}`);
      }
      const task = this.current();
      prepareToPark(cpu, task);
      pvWait(cpu, task, cpu.now() + NAP);
    }
  }

  #refused(call: string, writer: number): HoldfastError {
    return new HoldfastError(
      'EPERM',
      `${call} of the ${this.label} by thread ${this.thread.number}: ${writerShown(writer)}`,
    );
  }
}

function writerShown(writer: number): string {
  if (writer === DIED) return 'its writer died inside';
  return writer === 0 ? 'nobody writes' : `thread ${writer - 1} writes`;
}
