import type { Cpu } from '../../machine/cpu.ts';
import { countsOf } from './batch.ts';
import { CacheWords, ListHead } from './layout.ts';

/** What a cache has and has done, in all threads together. Counts of events but hits and misses wrap at 2^32. */
export interface CacheStats {
  /** `get` and `getOrCompute` that found the key, and that did not. */
  readonly hits: number;
  readonly misses: number;
  readonly entries: number;
  /** Of the blocks that entries are in. */
  readonly bytes: number;
  readonly active: number;
  readonly inactive: number;
  readonly pinned: number;
  readonly pinnedBytes: number;
  /** Entries that were put out for others. */
  readonly evictions: number;
  /** Entries that were too old when somebody looked at them to put one out. */
  readonly expirations: number;
  /** Keys that came again soon after they were put out. */
  readonly refaults: number;
  /** Entries that were used a second time. */
  readonly activations: number;
  /** Pins of `pin` and `pinAll`, and those that were undone. */
  readonly pins: number;
  readonly unpins: number;
  /** Entries that nobody puts out from then on, since they were pinned, and entries that go like others again. */
  readonly culled: number;
  readonly rescued: number;
}

/** Counts of a cache with so many entries. */
export function statsOf(cpu: Cpu, cache: number, entries: number): CacheStats {
  const count = (word: number) => cpu.load(cache + word) >>> 0;
  return {
    ...countsOf(cpu, cache),
    entries,
    bytes: count(CacheWords.taken) * 4,
    active: count(CacheWords.active + ListHead.count),
    inactive: count(CacheWords.inactive + ListHead.count),
    pinned: count(CacheWords.pinned + ListHead.count),
    pinnedBytes: count(CacheWords.takenPinned) * 4,
    evictions: count(CacheWords.evictions),
    expirations: count(CacheWords.expirations),
    refaults: count(CacheWords.refaults),
    activations: count(CacheWords.activations),
    pins: count(CacheWords.pins),
    unpins: count(CacheWords.unpins),
    culled: count(CacheWords.culled),
    rescued: count(CacheWords.rescued),
  };
}
