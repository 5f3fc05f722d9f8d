/**
 * A thread's line in a cache: what it has hit and missed, and its latest accesses, for the lists. No other thread writes there
 * but one that drains them, so a hit writes no line that threads share.
 *
 *   record   ring[tail] := hash and stamp, tail + 1 (release)     the thread
 *   drain    ring[head .. tail], head := tail (release)           whoever has the cache's latch
 *
 * An entry is named by its hash and the number of the change that made it: the entry itself may be gone before the ring is drained,
 * and its block another's.
 *
 * Source: mm/swap.c, `struct cpu_fbatches`.
 */
import type { Cpu } from '../../machine/cpu.ts';
import type { Thread } from '../../sched/thread.ts';
import { BATCH, CacheWords, Line, lineOf } from './layout.ts';

export class Batch {
  readonly #cpu: Cpu;
  readonly #line: number;
  /** The ring is full when `tail` gets there, as far as this view knows. */
  #end: number;
  #last = 0;

  constructor(thread: Thread, cache: number) {
    this.#cpu = thread.cpu;
    this.#line = lineOf(cache, thread.number);
    this.#end = this.#cpu.read(this.#line + Line.tail);
    announce(thread, cache);
  }

  hit(): void {
    this.#count(Line.hitsLow);
  }

  miss(): void {
    this.#count(Line.missesLow);
  }

  /** An entry was used. False when there is no room to note it. */
  record(hash: number, stamp: number): boolean {
    const cpu = this.#cpu;
    const line = this.#line;
    const tail = cpu.read(line + Line.tail);
    // A burst of uses is one, until somebody looks.
    if (stamp === this.#last && cpu.loadUnordered(line + Line.head) !== tail) return true;
    // Another view of this thread may have gone beyond.
    if (((this.#end - tail) | 0) <= 0) {
      // Pairs with the release in `drain` of table.ts.
      this.#end = (cpu.loadAcquire(line + Line.head) + BATCH) | 0;
      if (tail === this.#end) return false;
    }
    this.#last = stamp;
    const at = line + Line.ring + 2 * (tail & (BATCH - 1));
    cpu.write(at, hash);
    cpu.write(at + 1, stamp);
    // Pairs with the acquire in `drain`.
    cpu.storeReleaseLight(line + Line.tail, (tail + 1) | 0);
    return true;
  }

  #count(at: number): void {
    const cpu = this.#cpu;
    const low = (cpu.read(this.#line + at) + 1) | 0;
    cpu.storeUnordered(this.#line + at, low);
    if (low === 0) cpu.storeUnordered(this.#line + at + 1, (cpu.read(this.#line + at + 1) + 1) | 0);
  }
}

/** Hits and misses of all threads, those included that have ended. */
export function countsOf(cpu: Cpu, cache: number): { hits: number; misses: number } {
  let hits = 0;
  let misses = 0;
  for (let number = 0; number < cpu.load(cache + CacheWords.threads); number++) {
    const line = lineOf(cache, number);
    const sum = (at: number) => (cpu.load(line + at + 1) >>> 0) * 2 ** 32 + (cpu.load(line + at) >>> 0);
    hits += sum(Line.hitsLow);
    misses += sum(Line.missesLow);
  }
  return { hits, misses };
}

/** Others look at the thread's line from here on. */
function announce({ cpu, id }: Thread, cache: number): void {
  const word = cache + CacheWords.threads;
  for (let seen = cpu.load(word); seen < id; ) {
    const before = cpu.cmpxchg(word, seen, id);
    if (before === seen) return;
    seen = before;
  }
}
