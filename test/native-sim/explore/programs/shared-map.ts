/** A SharedMap's table as a program to explore: a reader that looks keys up while a writer changes and resizes it. */
import { defineStructure } from '../../../../lib/structures/core.ts';
import { HashTable, MapWords } from '../../../../lib/structures/map/table.ts';
import type { Program } from '../../../../native-sim/explore/program.ts';
import { onStructure, packed } from './on-structure.ts';

const KIND = defineStructure('explored-map', MapWords.words);
const KEYS = [1, 2, 3, 4];

/** read: looks up two keys. set: another value for one; grow: a fifth key, with which the table grows; regrow: four more, with which it grows again; swap: a key goes, and its block is used again. */
export type MapAct = 'read' | 'set' | 'grow' | 'regrow' | 'swap';

const put = (table: HashTable, key: number, value: number) => table.put(packed(key), packed(value));

const CHANGES: Record<Exclude<MapAct, 'read'>, (table: HashTable) => void> = {
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

export function sharedMap(acts: readonly MapAct[]): Program {
  return onStructure<HashTable>({
    kind: KIND,
    words: 8192,
    open: (arena, map, stretch) => new HashTable(arena, map, stretch),
    fill(table) {
      for (const key of KEYS) put(table, key, key * 10);
    },
    threads: acts.map((act) => (cpu, table, _arena, read) => {
      if (act !== 'read') return table.write(() => CHANGES[act](table));
      read(() => {
        for (const key of [1, 4]) {
          const entry = table.find(packed(key));
          const value = entry === 0 ? undefined : cpu.read(table.valueAt(entry));
          const isSound = key === 4 ? value === 40 : [10, 11, undefined].includes(value);
          if (!isSound) throw new Error(`key ${key} has ${value}`);
        }
      });
    }),
    next(table) {
      table.write(() => {
        // The values that readers expect: one may run after this.
        for (const key of [1, 5, 6]) put(table, key, key * 10);
        if (table.find(packed(4)) === 0 || table.find(packed(1)) === 0) throw new Error('a key is lost');
      });
    },
  });
}
