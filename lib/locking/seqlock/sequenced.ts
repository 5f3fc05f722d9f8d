import type { Arena } from '../../arena/arena.ts';
import { type ObjectHandle, SharedObject } from '../../arena/shared-object.ts';
import type { Kind } from '../../memory/kinds.ts';
import { isEven, seqRead, seqRetry } from './core.ts';

/** The readers of `SeqLock` and `SeqCount`, which write nothing. */
export abstract class Sequenced extends SharedObject {
  /** Address of the sequence. */
  protected readonly sequence: number;

  /** @internal `offset`: of the sequence, in words. */
  constructor(kind: Kind, arena: Arena, which: string | ObjectHandle | undefined, offset: number) {
    super(kind, arena, which);
    this.sequence = this.address + offset;
  }

  /** Starts a read section: hand it to `readRetry`. Throws EOWNERDEAD, and EDEADLK inside a write section. */
  readBegin(): number {
    // Pairs with the release in seqWriteEnd.
    const sequence = this.thread.cpu.loadAcquire(this.sequence);
    return isEven(sequence) ? sequence : this.waitForWriter();
  }

  /** Whether what was read since `begun` may be torn, and has to be read again. */
  readRetry(begun: number): boolean {
    return seqRetry(this.thread.cpu, this.sequence, begun);
  }

  /** Fills `into` with the words from `address` on, as they were at one moment. False after `attempts` that writers disturbed. */
  protected tryRead(address: number, into: Int32Array, attempts: number): boolean {
    const { cpu } = this.thread;
    for (let attempt = 0; attempt < attempts; attempt++) {
      // Pairs with the release in seqWriteEnd.
      let begun = cpu.loadAcquire(this.sequence);
      if (!isEven(begun)) begun = this.waitForWriter();
      if (seqRead(cpu, this.sequence, begun, address, into)) return true;
    }
    return false;
  }

  /** The sequence once it is even. Throws EOWNERDEAD, and EDEADLK where this thread is the writer. */
  protected abstract waitForWriter(): number;
}
