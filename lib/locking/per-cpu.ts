import type { Arena } from '../arena/arena.ts';
import { type ObjectHandle, SharedObject } from '../arena/shared-object.ts';
import { HoldfastError, shown } from '../errors.ts';
import { defineKind } from '../memory/kinds.ts';
import { isPresent, ObjectHeader } from '../memory/objects.ts';
import type { Repairer } from '../memory/repairer.ts';
import { LINE_WORDS, struct } from '../memory/struct.ts';
import { maxThreads } from '../sched/slot.ts';

const Words = struct({ header: ObjectHeader, pad: LINE_WORDS - ObjectHeader.words });

const KIND = defineKind<Repairer>({
  name: 'per-cpu',
  words: Words,
  trailing: (cpu) => maxThreads(cpu) * LINE_WORDS,
  format: () => {},
  holder: () => 0,
  isBusy: () => false,
  repair: () => true,
});

/**
 * Variables of which each thread has its own, on a line that no other thread writes: 16 words of the arena, 0 to begin with,
 * that are the program's (`arena.words[variables.mine + 3]++`). Other threads may read them, a little out of date.
 *
 * Death: what a thread has left there stays, and the next thread with its CPU number goes on with it, as when a processor
 * goes offline and comes back.
 *
 * Source: kernel include/linux/percpu-defs.h (`DEFINE_PER_CPU_SHARED_ALIGNED`).
 */
export class PerCpu extends SharedObject {
  /** Opens the variables of that name, making them if there are none, or those of a handle; with neither, new ones. */
  constructor(arena: Arena, which?: string | ObjectHandle) {
    super(KIND, arena, which);
  }

  static from(arena: Arena, handle: ObjectHandle): PerCpu {
    return new PerCpu(arena, handle);
  }

  /** Words that each thread has. */
  static readonly words: number = LINE_WORDS;

  /** Address of the calling thread's words. `this_cpu_ptr`. Throws EINVAL after `arena.detach()`. */
  get mine(): number {
    this.thread.current();
    return this.of(this.thread.number);
  }

  /** Address of the words of the thread with that CPU number. `per_cpu_ptr`. Throws EINVAL where there can be none. */
  of(number: number): number {
    if (!isPresent(this.thread.cpu, this.address)) this.checkThere();
    if (!Number.isInteger(number) || number < 0 || number >= maxThreads(this.thread.cpu)) {
      const most = maxThreads(this.thread.cpu) - 1;
      throw new HoldfastError('EINVAL', `a CPU number is a whole number from 0 to ${most}, received ${shown(number)}`);
    }
    return this.address + Words.words + number * LINE_WORDS;
  }

  /** The sum of one word, 0 to 15, over all threads, each as a signed number. Exact once no thread changes its own. */
  sum(word = 0): number {
    if (!Number.isInteger(word) || word < 0 || word >= LINE_WORDS) {
      throw new HoldfastError('EINVAL', `each thread has words 0 to ${LINE_WORDS - 1}, received ${shown(word)}`);
    }
    const { cpu } = this.thread;
    let sum = 0;
    for (let number = 0; number < maxThreads(cpu); number++) sum += cpu.load(this.of(number) + word);
    return sum;
  }

  protected override get shown(): string {
    return `PerCpu(${this.name ?? this.address})`;
  }
}
