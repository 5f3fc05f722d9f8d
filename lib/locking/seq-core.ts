/**
 * Sequence counts: kernel include/linux/seqlock.h. A writer makes the count odd, writes, and makes it even again; a
 * reader that finds the same even count before and after has read a consistent state, and has written nothing.
 *
 *   writer                          reader
 *   count := odd                    begin := count, once it is even       acquire
 *   wmb                             read the data
 *   write the data                  rmb
 *   count := even       release     retry unless count = begin
 *
 * Each of the four is needed. The wmb pairs with the rmb: who has read a word of the new state finds the count odd, or
 * later. The release pairs with the acquire: who has found the count even reads all of the state it stands for.
 *
 * The data are words that readers and a writer use at once, so both sides use marked accesses (`Atomics.load` and
 * `Atomics.store` outside the library); plain ones could be moved across the count.
 */
import type { Cpu } from '../machine/cpu.ts';

export const isEven = (sequence: number) => (sequence & 1) === 0;

/** The count, which is even, or odd when a writer has taken more than `spins` loads. */
export function seqBegin(cpu: Cpu, sequence: number, spins: number): number {
  return cpu.condLoadAcquire(sequence, isEven, 0, spins);
}

/** Whether what was read since the count was `begun` may be torn. */
export function seqRetry(cpu: Cpu, sequence: number, begun: number): boolean {
  cpu.rmb();
  return cpu.load(sequence) !== begun;
}

/** The caller is the only writer, and the count is even. */
export function seqWriteBegin(cpu: Cpu, sequence: number): void {
  cpu.store(sequence, (cpu.load(sequence) + 1) | 0);
  cpu.wmb();
}

export function seqWriteEnd(cpu: Cpu, sequence: number): void {
  cpu.storeRelease(sequence, (cpu.load(sequence) + 1) | 0);
}

/** Reads words as they were while the count was `begun`. False when they may be torn. */
export function seqRead(cpu: Cpu, sequence: number, begun: number, from: number, into: Int32Array): boolean {
  for (let i = 0; i < into.length; i++) into[i] = cpu.loadUnordered(from + i);
  cpu.rmb();
  return cpu.load(sequence) === begun;
}

export function storeWords(cpu: Cpu, to: number, values: ArrayLike<number>): void {
  for (let i = 0; i < values.length; i++) cpu.store(to + i, values[i] as number);
}
