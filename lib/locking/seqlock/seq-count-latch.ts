/**
 * SeqCountLatch: two copies of the data, so that a reader never waits for a writer, not even for a dead one.
 *
 *   sequence  its lowest bit says which copy is to be read: 0 or 1; negative once the latch was destroyed
 *
 *   writer                          reader
 *   write the other copy            begin := sequence               acquire
 *   sequence + 1          release   read copy begin & 1
 *   wmb                             rmb
 *                                   retry unless sequence = begin
 *
 * The release pairs with the acquire: who is sent to a copy finds it complete. The wmb pairs with the rmb: who has read
 * a word of the write after next finds the sequence changed. The copy that readers are sent to is complete at every
 * moment, so there is nothing to repair when a writer dies: the next one writes the other copy from the start.
 *
 * The kernel's latch writes both copies, each in turn, for structures that are changed in place. Here a write is of all
 * the data, so one copy is enough.
 */
import type { Arena } from '../../arena/arena.ts';
import { type ObjectHandle, SharedObject } from '../../arena/shared-object.ts';
import { refusePromise } from '../../errors.ts';
import { defineKind } from '../../memory/kinds.ts';
import { ObjectHeader } from '../../memory/objects.ts';
import type { Repairer } from '../../memory/repairer.ts';
import { struct } from '../../memory/struct.ts';
import { checkRange, seqRead, seqRetry, storeWords, wordsOf } from './core.ts';

const Words = struct({ header: ObjectHeader, sequence: 1 });

const CLOSED = 1 << 31;
const HIGHEST = ~CLOSED;

const KIND = defineKind<Repairer>({
  name: 'seq-count-latch',
  words: Words,
  format: () => {},
  holder: () => 0,
  isBusy: () => false,
  close(cpu, latch) {
    cpu.fetchOr(latch + Words.sequence, CLOSED);
    return true;
  },
  repair: () => true,
});

/**
 * Lets readers have the last complete state at any time, in the middle of a write as well. Readers never wait;
 * they retry only when a whole write has passed them by. Writers must be kept apart by something else.
 *
 * Source: kernel include/linux/seqlock.h, seqcount_latch_t.
 */
export class SeqCountLatch extends SharedObject {
  readonly #sequence: number;

  /** Opens the latch of that name, making it if there is none, or that of a handle; with neither, a new one. */
  constructor(arena: Arena, which?: string | ObjectHandle) {
    super(KIND, arena, which);
    this.#sequence = this.address + Words.sequence;
  }

  static from(arena: Arena, handle: ObjectHandle): SeqCountLatch {
    return new SeqCountLatch(arena, handle);
  }

  /** Starts a read section: hand it to `readRetry`; its lowest bit says which copy to read. */
  readBegin(): number {
    // Pairs with the release in update: all of the copy that the count sends this reader to is written.
    const sequence = this.thread.cpu.loadAcquire(this.#sequence);
    if (sequence < 0) this.checkThere();
    return sequence;
  }

  /** Whether what was read since `begun` may be torn, and has to be read again. */
  readRetry(begun: number): boolean {
    return seqRetry(this.thread.cpu, this.#sequence, begun);
  }

  /** `update` writes all of copy 0 or 1, which nobody is sent to yet; then readers are. Throws EINVAL, and sends nobody
   * there, if it returns a promise: what it writes later would be torn. */
  update(update: (copy: 0 | 1) => void): void {
    const { cpu } = this.thread;
    this.thread.current();
    const sequence = cpu.load(this.#sequence);
    if (sequence < 0) this.checkThere();
    refusePromise('an update', update(sequence & 1 ? 0 : 1));
    // The update, or another thread, may have destroyed the latch.
    this.checkThere();
    // n -> n + 1. Release: pairs with the acquire in readBegin and read.
    if (cpu.cmpxchgRelease(this.#sequence, sequence, (sequence + 1) & HIGHEST) !== sequence) this.checkThere();
    // The next update writes the copy that readers have just been sent away from: pairs with the rmb in seqRetry and seqRead.
    cpu.wmb();
  }

  /** Fills `into` from the two copies that lie one behind the other from `address` on, each as long as `into`. */
  read(address: number, into: Int32Array): Int32Array {
    const { cpu } = this.thread;
    const sequence = this.#sequence;
    for (;;) {
      // Pairs with the release in update.
      const begun = cpu.loadAcquire(sequence);
      if (begun < 0) this.checkThere();
      if (seqRead(cpu, sequence, begun, address + (begun & 1) * into.length, into)) return into;
    }
  }

  /** Writes `values` to one of the two copies that lie one behind the other from `address` on. Throws EINVAL. */
  write(address: number, values: ArrayLike<number>): void {
    const words = wordsOf(values);
    const { length } = words;
    checkRange(this.arena.heap, address, 2 * length);
    this.update((copy) => storeWords(this.thread.cpu, address + copy * length, words, length));
  }

  protected override get shown(): string {
    return `SeqCountLatch(${this.name ?? this.address}, copy ${this.readBegin() & 1})`;
  }
}
