import type { Thread } from '../../sched/thread.ts';
import { isEven, seqRead, seqRetry } from './core.ts';

/** What readers of `SeqLock` and `SeqCount` do, who write nothing. */
export class SequenceReader {
  readonly #thread: Thread;
  readonly #sequence: number;
  readonly #waitForWriter: () => number;

  /** `waitForWriter`: the sequence once it is even. Throws EOWNERDEAD, and EDEADLK where this thread is the writer. */
  constructor(thread: Thread, sequence: number, waitForWriter: () => number) {
    this.#thread = thread;
    this.#sequence = sequence;
    this.#waitForWriter = waitForWriter;
  }

  begin(): number {
    // Pairs with the release in seqWriteEnd.
    const sequence = this.#thread.cpu.loadAcquire(this.#sequence);
    return isEven(sequence) ? sequence : this.#waitForWriter();
  }

  retry(begun: number): boolean {
    return seqRetry(this.#thread.cpu, this.#sequence, begun);
  }

  /** Fills `into` with the words from `address` on, as they were at one moment. False after `attempts` that writers disturbed. */
  tryRead(address: number, into: Int32Array, attempts: number): boolean {
    const { cpu } = this.#thread;
    for (let attempt = 0; attempt < attempts; attempt++) {
      if (seqRead(cpu, this.#sequence, this.begin(), address, into)) return true;
    }
    return false;
  }
}
