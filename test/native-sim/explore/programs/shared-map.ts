/** A SharedMap's table as a program to explore: a reader that looks keys up while a writer changes and resizes it. */
import type { Arena } from '../../../../lib/arena/arena.ts';
import { HoldfastError } from '../../../../lib/errors.ts';
import { defineStructure } from '../../../../lib/structures/core.ts';
import { HashTable, MapWords } from '../../../../lib/structures/map/table.ts';
import type { Program } from '../../../../native-sim/explore/program.ts';
import { onStructure, packed } from './on-structure.ts';

const KIND = defineStructure('explored-map', MapWords.words);
const KEYS = [1, 2, 3, 4];

/** read: looks up two keys. set: another value for one; grow: a fifth key, with which the table grows; regrow: four more, with which it grows again; swap: a key goes, and its block is used again; await: the same, where there is no other block. */
export type MapAct = 'read' | 'set' | 'grow' | 'regrow' | 'swap' | 'await';

class Table extends HashTable {
  /** Nothing is left for another entry. */
  useUp({ heap, thread }: Arena): void {
    for (let words = 4096; words >= 16; words >>= 1) while (heap.tryAlloc(words, thread.nascent) !== 0);
    // What is used up is nobody's: no reaper is to free the last of it.
    thread.cpu.store(thread.nascent, 0);
    const [key, value] = [packed(1), packed(11)];
    for (;;) {
      try {
        this.reserve(key, value);
      } catch (error) {
        if (error instanceof HoldfastError) return;
        throw error;
      }
      this.begin();
      this.pool.take(this.lengthFor(key, value));
      this.commit();
    }
  }
}

const put = (table: HashTable, key: number, value: number) => table.put(packed(key), packed(value));

const CHANGES: Record<Exclude<MapAct, 'read' | 'await'>, (table: HashTable) => void> = {
  set: (table) => put(table, 1, 11),
  grow: (table) => put(table, 5, 50),
  regrow(table) {
    for (let key = 5; key < 10; key++) put(table, key, key * 10);
  },
  swap(table) {
    table.remove(table.find(packed(1)));
    table.pool.collect();
    put(table, 6, 60);
  },
};

/** What a reader may find. */
const SOUND = new Map<number, (number | undefined)[]>([
  [1, [10, 11, undefined]],
  [2, [20, undefined]],
  [4, [40]],
]);

export function sharedMap(acts: readonly MapAct[], deaths = 1): Program {
  const isFull = acts.includes('await');
  return onStructure<Table>({
    kind: KIND,
    deaths,
    words: 8192,
    open: (arena, map, stretch) => new Table(arena, map, stretch),
    fill(table, arena) {
      for (const key of KEYS) put(table, key, key * 10);
      if (isFull) table.useUp(arena);
    },
    threads: acts.map((act) => (cpu, table, _arena, read) => {
      if (act === 'await') {
        table.write(() => {
          const entry = table.find(packed(2));
          if (entry !== 0) table.remove(entry);
        });
        try {
          table.write(() => put(table, 1, 11));
        } catch (error) {
          // The reader has taken longer than it has patience.
          if (!(error instanceof HoldfastError)) throw error;
        }
        return;
      }
      if (act !== 'read') return table.write(() => CHANGES[act](table));
      read(() => {
        for (const key of [isFull ? 2 : 1, 4]) {
          const entry = table.find(packed(key));
          const value = entry === 0 ? undefined : cpu.read(table.valueAt(entry));
          if (!SOUND.get(key)?.includes(value)) throw new Error(`key ${key} has ${value}`);
        }
      });
    }),
    next(table) {
      table.write(() => {
        // The values that readers expect: one may run after this.
        for (const key of isFull ? [] : [1, 5, 6]) put(table, key, key * 10);
        if (table.find(packed(4)) === 0 || table.find(packed(1)) === 0) throw new Error('a key is lost');
      });
    },
  });
}
