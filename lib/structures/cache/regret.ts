/**
 * How long the inactive list is, and which new entries begin in the active one.
 *
 * An entry that is put out leaves a shadow: a word that says when, on a clock that counts evictions. When the key comes
 * again before as many evictions as there are entries have gone by, the eviction is regretted: the cache would have had it, had
 * the lists been divided otherwise. Such an entry is active at once.
 *
 *   shadow   tag of the hash << 24 | has been active << 23 | evictions, 23 bits; 0 for none
 *
 * Evictions are of two sorts: of entries that were never active, and had the inactive list before them, and of those that were.
 * The sort of which the greater part is regretted shall have more room: that is what `share`, the inactive list's part, is moved for, a step each time
 * a sixteenth of the entries has been put out. On Zipf's traces the inactive list gets short, on those where what is new is used
 * it gets long. Both counts fade, by a 64th a step.
 *
 * Source: mm/workingset.c, for shadows and refault distances; the two sorts of regret are the two ghosts of ARC (Megiddo and
 * Modha, 2003). How it does beside LRU: `npm run bench -- cache`.
 */
import type { Cpu } from '../../machine/cpu.ts';
import type { Journal } from '../journal.ts';
import { MapWords, Table } from '../map/table.ts';
import { CacheWords } from './layout.ts';

/** Words of the table for each bucket. */
export const SHADOWS = 2;

const TAG_SHIFT = 24;
const WAS_ACTIVE = 1 << 23;
const CLOCK = WAS_ACTIVE - 1;

/** Of `share`. */
export const WHOLE = 1024;
const LEAST_SHARE = 51;
const MOST_SHARE = 973;
const STEP = 32;
/** One eviction or regret, so that a count can fade. */
const ONE = 256;
const FADE = 6;
const MOST_COUNT = 2 ** 30;

export class Regret {
  readonly #cpu: Cpu;
  readonly #journal: Journal;
  readonly #cache: number;

  constructor(cpu: Cpu, journal: Journal, cache: number) {
    this.#cpu = cpu;
    this.#journal = journal;
    this.#cache = cache;
  }

  /** How many of `entries` the inactive list shall have at least. */
  inactiveOf(entries: number): number {
    return Math.max(1, Math.floor((entries * this.#cpu.read(this.#cache + CacheWords.share)) / WHOLE));
  }

  /** Stages that an entry was put out, one of so many. */
  stageEviction(hash: number, wasActive: boolean, entries: number): void {
    const cpu = this.#cpu;
    const journal = this.#journal;
    const cache = this.#cache;
    const clock = cpu.read(cache + CacheWords.evictions) + 1;
    journal.stage(cache + CacheWords.evictions, clock | 0);
    const shadow = (tagOf(cpu, cache, hash) << TAG_SHIFT) | (wasActive ? WAS_ACTIVE : 0) | (clock & CLOCK);
    journal.stage(shadowAt(cpu, cache, hash), shadow);
    this.#count(CacheWords.evicted + (wasActive ? 1 : 0));
    const since = cpu.read(cache + CacheWords.since) + 1;
    const isDue = since * 16 >= entries;
    journal.stage(cache + CacheWords.since, isDue ? 0 : since);
    if (isDue) this.#stageShare();
  }

  /** Stages that a key comes in. Returns whether its eviction, when there are so many entries, is regretted. */
  stageArrival(hash: number, entries: number): boolean {
    const cpu = this.#cpu;
    const journal = this.#journal;
    const cache = this.#cache;
    const at = shadowAt(cpu, cache, hash);
    const shadow = cpu.read(at);
    if (shadow === 0 || shadow >>> TAG_SHIFT !== tagOf(cpu, cache, hash)) return false;
    journal.stage(at, 0);
    const distance = (cpu.read(cache + CacheWords.evictions) - shadow) & CLOCK;
    if (distance > entries) return false;
    journal.add(cache + CacheWords.refaults, 1);
    this.#count(CacheWords.regretted + (shadow & WAS_ACTIVE ? 1 : 0));
    return true;
  }

  #stageShare(): void {
    const journal = this.#journal;
    const cache = this.#cache;
    const [evicted, evictedActive] = [
      journal.peek(cache + CacheWords.evicted),
      journal.peek(cache + CacheWords.evicted + 1),
    ];
    const regretted = journal.peek(cache + CacheWords.regretted);
    const regrettedActive = journal.peek(cache + CacheWords.regretted + 1);
    // Which part is greater, regretted / evicted of the one or of the other.
    const difference = regretted * (evictedActive + ONE) - regrettedActive * (evicted + ONE);
    const share = journal.peek(cache + CacheWords.share) + Math.sign(difference) * STEP;
    journal.stage(cache + CacheWords.share, Math.min(MOST_SHARE, Math.max(LEAST_SHARE, share)));
    for (const word of [CacheWords.evicted, CacheWords.evicted + 1, CacheWords.regretted, CacheWords.regretted + 1]) {
      const count = journal.peek(cache + word);
      journal.stage(cache + word, count - (count >> FADE));
    }
  }

  #count(word: number): void {
    const journal = this.#journal;
    journal.stage(this.#cache + word, Math.min(MOST_COUNT, journal.peek(this.#cache + word) + ONE));
  }
}

/** The shadow of a hash is behind the buckets: the place is one bit of the hash more than the bucket, the tag the next eight. */
function shadowAt(cpu: Cpu, cache: number, hash: number): number {
  const table = cpu.read(cache + MapWords.table);
  const bits = cpu.read(table + Table.bits);
  return table + Table.words + (1 << bits) + (hash >>> (31 - bits));
}

function tagOf(cpu: Cpu, cache: number, hash: number): number {
  return (hash >>> (23 - cpu.read(cpu.read(cache + MapWords.table) + Table.bits))) & 0xff;
}
