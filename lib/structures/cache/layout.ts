/**
 * The shared memory of a SharedCache: a SharedMap's words and table, and behind them
 *
 *   lists    three rings through the entries: inactive, active, pinned. Guarded by the latch
 *   lines    one for each thread: what it has hit and missed, and the accesses that nobody has looked at yet
 *   shadows  in the table, two words for each bucket: which entries were put out lately (`regret.ts`)
 *
 * `state` of an entry: how often `pin` has pinned it << PIN_SHIFT, and
 *
 *   flag        who sets it                      what it means
 *   ACTIVE      the writer, at a second access   in the active list, or will be when it is pinned no more
 *   REFERENCED  the writer, at an access         used since it was last looked at
 *   WORKINGSET  the writer, with ACTIVE          has been active
 *   PENDING     the writer, for a computation    no entry yet: its value is the address of a flight (`flights.ts`)
 *   PIN_ON_USE  the writer, for `pinAll`         pinned at its next use
 *   PINNED_ALL  the writer, for `pinAll`         pinned, until `unpinAll`
 *
 * An entry that is PENDING is in no list; one that is pinned is in the pinned list.
 */
import type { Cpu } from '../../machine/cpu.ts';
import { inLines, struct } from '../../memory/struct.ts';
import { maxThreads } from '../../sched/slot.ts';
import { Block } from '../chunks.ts';
import { Entry, MapWords } from '../map/table.ts';

export const ACTIVE = 1;
export const REFERENCED = 2;
export const WORKINGSET = 4;
export const PENDING = 8;
export const PIN_ON_USE = 16;
export const PINNED_ALL = 32;
export const PIN_SHIFT = 6;
export const PIN = 1 << PIN_SHIFT;
/** What of `state` says how an entry is pinned. One that is PENDING has that of the entry in whose place it is. */
export const PINS = ~(ACTIVE | REFERENCED | WORKINGSET | PENDING);
export const MOST_PINS = (1 << (31 - PIN_SHIFT)) - 1;

export const CacheEntry = struct({
  entry: Entry,
  prev: 1,
  next: 1,
  state: 1,
  /** When it is too old, ms on the arena's clock, in two words; 0 for never. Set once. */
  expiresLow: 1,
  expiresHigh: 1,
});

/** The head of a list stands for an entry: its `prev` is the last, its `next` the first. */
export const ListHead = struct({ prev: 1, next: 1, count: 1 });

const Fields = {
  map: MapWords.words,
  inactive: ListHead.words,
  active: ListHead.words,
  pinned: ListHead.words,
  /** Limits, set once: entries, words of all of them, words of the pinned ones, and an entry's time, ms, in two words. */
  most: 1,
  mostWords: 1,
  mostPinned: 1,
  ttlLow: 1,
  ttlHigh: 1,
  /** Words of the blocks of all entries, and of the pinned ones. */
  taken: 1,
  takenPinned: 1,
  /** What `regret.ts` goes by: see there. Pairs are of entries that have not been active, and of those that have. */
  share: 1,
  since: 1,
  evicted: 2,
  regretted: 2,
  /** Counts, which wrap. `evictions` is the clock of shadows. */
  evictions: 1,
  expirations: 1,
  refaults: 1,
  activations: 1,
  /** Pins that were made, and undone; entries that came into the pinned list, and left it for another one. They wrap. */
  pins: 1,
  unpins: 1,
  culled: 1,
  rescued: 1,
  /** What new entries have in `state`: PINNED_ALL, PIN_ON_USE or 0. */
  pinning: 1,
  /** All flights, and those in no use. */
  flights: 1,
  freeFlights: 1,
  /** Entries that are PENDING. */
  pending: 1,
  /** Flights that a thread computes for. */
  computing: 1,
  /** Threads with a lower CPU number may have a line. Only grows. */
  threads: 1,
};
export const CacheWords = struct({ ...Fields, pad: inLines(struct(Fields).words) - struct(Fields).words });

/** Accesses that a line holds: the kernel's PAGEVEC_SIZE, and one more. */
export const BATCH = 16;
const LineFields = {
  /** Accesses that were looked at; written by whoever has the latch. */
  head: 1,
  /** Accesses; written, like all that follows, by the thread. */
  tail: 1,
  /** Counts of 64 bits. */
  hitsLow: 1,
  hitsHigh: 1,
  missesLow: 1,
  missesHigh: 1,
  /** Hash and stamp of an entry each. */
  ring: 2 * BATCH,
};
export const Line = struct({ ...LineFields, pad: inLines(struct(LineFields).words) - struct(LineFields).words });

export const Flight = struct({
  block: Block,
  /** The next of all flights, and of those in no use. */
  next: 1,
  nextFree: 1,
  /** Changes when those who wait for the flight shall look again. They sleep on it. Never used for anything else. */
  turn: 1,
  /** The thread that computes, a CPU number plus one; 0 when it has died, or the flight is in no use. */
  owner: 1,
  /** The entry that is PENDING for it, 0 once that was replaced or deleted. */
  entry: 1,
});

export interface Limits {
  readonly entries: number;
  readonly words: number;
  readonly pinned: number;
  readonly ttl: number;
}

const HIGH = 2 ** 32;

/** Whether an entry with that `state` is pinned. */
export function isPinned(state: number): boolean {
  return state >= PINNED_ALL;
}

/** Writes the first state. */
export function formatCache(cpu: Cpu, cache: number, { entries, words, pinned, ttl }: Limits): void {
  for (const list of [CacheWords.inactive, CacheWords.active, CacheWords.pinned]) {
    const head = cache + list;
    cpu.write(head + ListHead.prev, asEntry(head));
    cpu.write(head + ListHead.next, asEntry(head));
  }
  cpu.write(cache + CacheWords.most, entries);
  cpu.write(cache + CacheWords.mostWords, words);
  cpu.write(cache + CacheWords.mostPinned, pinned);
  writeTime(cpu, cache + CacheWords.ttlLow, ttl);
  cpu.write(cache + CacheWords.share, FIRST_SHARE);
}

/** The inactive list's share of the entries, in 1024ths: where it starts. */
const FIRST_SHARE = 512;

/** The head of a list by the name of an entry, so that its `prev` and `next` are where an entry's are. */
export function asEntry(head: number): number {
  return head + ListHead.prev - CacheEntry.prev;
}

export function linesOf(cpu: Cpu): number {
  return maxThreads(cpu) * Line.words;
}

export function lineOf(cache: number, number: number): number {
  return cache + CacheWords.words + number * Line.words;
}

/** A whole number of ms, in two words. */
export function readTime(cpu: Cpu, at: number): number {
  return cpu.read(at + 1) * HIGH + (cpu.read(at) >>> 0);
}

export function writeTime(cpu: Cpu, at: number, ms: number): void {
  cpu.write(at, ms | 0);
  cpu.write(at + 1, Math.floor(ms / HIGH));
}
