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
import { HoldfastError, shown } from '../../errors.ts';
import type { Cpu } from '../../machine/cpu.ts';
import type { Heap } from '../../memory/heap.ts';

export const isEven = (sequence: number) => (sequence & 1) === 0;

/** The count, which is even, or odd when a writer has taken more than `spins` loads. */
export function seqBegin(cpu: Cpu, sequence: number, spins: number): number {
  // Pairs with the release in seqWriteEnd.
  return cpu.condLoadAcquire(sequence, isEven, 0, spins);
}

/** Whether what was read since the count was `begun` may be torn. */
export function seqRetry(cpu: Cpu, sequence: number, begun: number): boolean {
  // Pairs with the wmb in seqWriteBegin.
  cpu.rmb();
  return cpu.load(sequence) !== begun;
}

/** The caller is the only writer, and the count is even. */
export function seqWriteBegin(cpu: Cpu, sequence: number): void {
  cpu.store(sequence, (cpu.load(sequence) + 1) | 0);
  // Pairs with the rmb in seqRetry and seqRead.
  cpu.wmb();
}

export function seqWriteEnd(cpu: Cpu, sequence: number): void {
  // Pairs with the acquires in seqBegin, and in `readBegin` of the locks.
  cpu.storeRelease(sequence, (cpu.load(sequence) + 1) | 0);
}

/** Reads words as they were while the count was `begun`. False when they may be torn. */
export function seqRead(cpu: Cpu, sequence: number, begun: number, from: number, into: Int32Array): boolean {
  for (let i = 0; i < into.length; i++) into[i] = cpu.loadUnordered(from + i);
  // Pairs with the wmb in seqWriteBegin.
  cpu.rmb();
  return cpu.load(sequence) === begun;
}

/** Reads words as they were at one moment. False after `attempts` that writers disturbed. */
export function seqTryRead(
  cpu: Cpu,
  sequence: number,
  lock: { readBegin(): number },
  from: number,
  into: Int32Array,
  attempts: number,
): boolean {
  for (let attempt = 0; attempt < attempts; attempt++) {
    if (seqRead(cpu, sequence, lock.readBegin(), from, into)) return true;
  }
  return false;
}

/**
 * Throws EINVAL for words outside the arena's heap: before the write section begins, since nothing may throw inside. `count`: how
 * many are written from `to` on, all copies together.
 */
export function checkRange(heap: Heap, to: number, count: number): void {
  if (heap.covers(to, count)) return;
  throw new HoldfastError(
    'EINVAL',
    `no ${count} words of the arena's heap start at ${shown(to)}: write to what alloc() gave`,
  );
}

/**
 * What `storeWords` is to write, `isCopied` where code of the program may run before that. Its length is to be read once: another
 * thread may grow the buffer under an Int32Array. Throws EINVAL for what is no list of numbers.
 */
export function wordsOf(values: ArrayLike<number>, isCopied = false): Int32Array {
  if (values instanceof Int32Array) return isCopied ? new Int32Array(values) : values;
  // Only a copy is sure to stay as it is: what looks like a list may run code when it is read.
  if (typeof values !== 'object' || values === null || !Number.isSafeInteger(values.length)) {
    throw new HoldfastError('EINVAL', `expected the words to write, an array of numbers; received ${shown(values)}`);
  }
  return Int32Array.from(values, (value: unknown) => {
    if (typeof value === 'number') return value;
    throw new HoldfastError('EINVAL', `expected words to write, all of them numbers; received ${shown(value)}`);
  });
}

/** Stores `count` words, which is no more than there were. */
export function storeWords(cpu: Cpu, to: number, words: Int32Array, count: number): void {
  for (let i = 0; i < count; i++) cpu.store(to + i, words[i] as number);
}
