/** What must hold in a cache's memory whenever no writer is in it. Nothing is repaired, so this finds what a death has left. */
import type { Arena } from '../../lib/index.ts';
import {
  ACTIVE,
  asEntry,
  CacheEntry,
  CacheWords,
  Flight,
  isPinned,
  ListHead,
  PENDING,
} from '../../lib/structures/cache/layout.ts';
import { Block, wordsOf } from '../../lib/structures/chunks.ts';
import { CoreWords } from '../../lib/structures/core.ts';
import { JournalWords } from '../../lib/structures/journal.ts';
import { Entry, MapWords, Table } from '../../lib/structures/map/table.ts';

const LISTS = { inactive: CacheWords.inactive, active: CacheWords.active, pinned: CacheWords.pinned };

/** What does not hold; empty when all is in order. */
export function problemsOf({ words }: Arena, cache: number): string[] {
  return problemsIn((at) => words[at] as number, cache);
}

/** `word`: what the word at an address is. */
export function problemsIn(word: (at: number) => number, cache: number): string[] {
  const problems: string[] = [];
  const expectEqual = (what: string, is: unknown, shall: unknown) => {
    if (is !== shall) problems.push(`${what} is ${is}, not ${shall}`);
  };

  const entries = new Set<number>();
  const table = word(cache + MapWords.table);
  if (table !== 0) {
    const bits = word(table + Table.bits);
    const link = Entry.links + word(table + Table.side);
    for (let bucket = 0; bucket < 1 << bits; bucket++) {
      for (let entry = word(table + Table.words + bucket); entry !== 0; entry = word(entry + link)) {
        expectEqual('bucket', word(entry + Entry.hash) >>> (32 - bits), bucket);
        if (entries.has(entry)) return [...problems, `entry ${entry} is in the table twice`];
        entries.add(entry);
      }
    }
  }

  const listed = new Map<number, string>();
  let taken = 0;
  for (const [name, list] of Object.entries(LISTS)) {
    const head = asEntry(cache + list);
    let count = 0;
    let ofList = 0;
    for (let entry = word(head + CacheEntry.next); entry !== head; entry = word(entry + CacheEntry.next)) {
      if (listed.has(entry)) return [...problems, `entry ${entry} is in the lists twice`];
      listed.set(entry, name);
      expectEqual('prev of next', word(word(entry + CacheEntry.next) + CacheEntry.prev), entry);
      const state = word(entry + CacheEntry.state);
      expectEqual('list', name, isPinned(state) ? 'pinned' : state & ACTIVE ? 'active' : 'inactive');
      expectEqual('PENDING', state & PENDING, 0);
      count++;
      ofList += wordsOf(word(entry + Block.size));
    }
    expectEqual(`count of ${name}`, word(cache + list + ListHead.count), count);
    if (name === 'pinned') expectEqual('takenPinned', word(cache + CacheWords.takenPinned), ofList);
    taken += ofList;
  }
  expectEqual('taken', word(cache + CacheWords.taken), taken);

  const pending = [...entries].filter((entry) => word(entry + CacheEntry.state) & PENDING);
  expectEqual('size', word(cache + MapWords.size), entries.size);
  expectEqual('pending', word(cache + CacheWords.pending), pending.length);
  expectEqual('entries in lists', listed.size, entries.size - pending.length);
  for (const entry of listed.keys()) expectEqual(`entry ${entry} in the table`, entries.has(entry), true);

  const free = new Set<number>();
  for (let flight = word(cache + CacheWords.freeFlights); flight !== 0; flight = word(flight + Flight.nextFree))
    free.add(flight);
  let computing = 0;
  const awaited = new Set<number>();
  for (let flight = word(cache + CacheWords.flights); flight !== 0; flight = word(flight + Flight.next)) {
    const [owner, entry] = [word(flight + Flight.owner), word(flight + Flight.entry)];
    if (owner !== 0) computing++;
    if (entry !== 0) awaited.add(entry);
    expectEqual('flight that is free', free.has(flight), owner === 0 && entry === 0);
  }
  expectEqual('computing', word(cache + CacheWords.computing), computing);
  expectEqual('entries of flights', [...awaited].sort().join(), pending.sort().join());
  expectEqual('latch', word(cache + CoreWords.latch), 0);
  expectEqual('journal', word(cache + CoreWords.journal + JournalWords.count), 0);
  return problems;
}
