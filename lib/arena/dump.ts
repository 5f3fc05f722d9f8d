/** What a look at an arena's memory says that was written to a file: for one that misbehaves where nobody can look at it. */
import { RealCpu } from '../machine/real.ts';
import { checkHeader } from '../memory/header.ts';
import { Heap } from '../memory/heap.ts';
import { inspectArena } from '../sched/fsck.ts';
import { Slot } from '../sched/slot.ts';

/** A machine that changes nothing, and on which every latch can be had: those that were held when the dump was made stay so. */
class StillCpu extends RealCpu {
  override cmpxchgAcquire(_a: number, expected: number): number {
    return expected;
  }
  override xchgRelease(): number {
    return 0;
  }
}

/**
 * `Arena.fsck` of what `Arena.dump` gave. Threads may have been at work then: what one of them was in the middle of may be taken for a
 * fault. Throws EINVAL for what is no dump of an arena of this version.
 */
export function inspectDump(dump: Uint8Array): string[] {
  const words = Math.floor(dump.byteLength / 4);
  const memory = new Int32Array(new SharedArrayBuffer(words * 4));
  new Uint8Array(memory.buffer).set(dump.subarray(0, words * 4));
  const cpu = new StillCpu(memory);
  checkHeader(cpu, words, Slot.words);
  // The number of any thread: it takes no place, and holds nothing.
  return inspectArena(cpu, new Heap(cpu, 1), 1);
}
