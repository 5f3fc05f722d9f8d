/** The lists of a cache, most recent entry first. The writer's: what it changes is staged in the journal. */
import type { Cpu } from '../../machine/cpu.ts';
import type { Journal } from '../journal.ts';
import { ACTIVE, asEntry, CacheEntry, CacheWords, isPinned, ListHead } from './layout.ts';

export type List = typeof CacheWords.inactive | typeof CacheWords.active | typeof CacheWords.pinned;

export class Lru {
  readonly #cpu: Cpu;
  readonly #journal: Journal;
  readonly #cache: number;

  constructor(cpu: Cpu, journal: Journal, cache: number) {
    this.#cpu = cpu;
    this.#journal = journal;
    this.#cache = cache;
  }

  /** The list that an entry of that state is in. */
  listOf(state: number): List {
    if (isPinned(state)) return CacheWords.pinned;
    return state & ACTIVE ? CacheWords.active : CacheWords.inactive;
  }

  count(list: List): number {
    return this.#cpu.load(this.#cache + list + ListHead.count);
  }

  /** The entry that was put in first, or 0. */
  last(list: List): number {
    return this.before(list, asEntry(this.#cache + list));
  }

  /** The entry that was put in next after `entry`, or 0. */
  before(list: List, entry: number): number {
    const before = this.#cpu.read(entry + CacheEntry.prev);
    return before === asEntry(this.#cache + list) ? 0 : before;
  }

  stageIn(list: List, entry: number): void {
    const journal = this.#journal;
    const head = asEntry(this.#cache + list);
    const first = journal.peek(head + CacheEntry.next);
    journal.stage(entry + CacheEntry.prev, head);
    journal.stage(entry + CacheEntry.next, first);
    journal.stage(first + CacheEntry.prev, entry);
    journal.stage(head + CacheEntry.next, entry);
    journal.add(this.#cache + list + ListHead.count, 1);
  }

  stageOut(list: List, entry: number): void {
    const journal = this.#journal;
    const before = journal.peek(entry + CacheEntry.prev);
    const after = journal.peek(entry + CacheEntry.next);
    journal.stage(before + CacheEntry.next, after);
    journal.stage(after + CacheEntry.prev, before);
    journal.add(this.#cache + list + ListHead.count, -1);
  }

  /** Nothing is in any list. */
  stageEmpty(): void {
    for (const list of [CacheWords.inactive, CacheWords.active, CacheWords.pinned]) {
      const head = asEntry(this.#cache + list);
      this.#journal.stage(head + CacheEntry.prev, head);
      this.#journal.stage(head + CacheEntry.next, head);
      this.#journal.stage(this.#cache + list + ListHead.count, 0);
    }
  }
}
