/** A SharedMap's table as a program to explore: a reader that looks keys up while a writer changes and resizes it. */
import type { Arena } from '../../../../lib/arena/arena.ts';
import type { Cpu } from '../../../../lib/machine/cpu.ts';
import { defineDomain } from '../../../../lib/rcu/domain.ts';
import { enter, Readers, SYNC } from '../../../../lib/rcu/reader.ts';
import type { Stretch } from '../../../../lib/rcu/stretch.ts';
import { defineStructure } from '../../../../lib/structures/core.ts';
import { Packed } from '../../../../lib/structures/map/codec.ts';
import { HashTable, MapWords } from '../../../../lib/structures/map/table.ts';
import type { Program } from '../../../../native-sim/explore/program.ts';
import { makeArenas, reapDead, type View } from './holdfast.ts';

const DOMAIN = defineDomain('explored-map-qsbr', false);
const KIND = defineStructure('explored-map', MapWords.words);
const ARENA_WORDS = 8192;
const KEYS = [1, 2, 3, 4];

/** read: looks up two keys. set: another value for one; grow: a fifth key, with which the table grows; regrow: four more, with which it grows again; swap: a key goes, and its block is used again. */
export type MapAct = 'read' | 'set' | 'grow' | 'regrow' | 'swap';

interface Shared extends View {
  map: number;
  rcu: number;
}

const packed = (value: number): Packed => {
  const words = new Packed();
  words.pack(value);
  return words;
};
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

function tableOf(arena: Arena, { map, rcu }: Shared): HashTable {
  const readers = new Readers(arena.thread, rcu);
  return new HashTable(arena, map, { readers, quiescent: () => true } as Stretch);
}

export function sharedMap(acts: readonly MapAct[]): Program {
  const program: Program<Shared> = {
    words: ARENA_WORDS,
    setup(cpu) {
      const view = makeArenas(cpu, acts.length, Number.POSITIVE_INFINITY, ARENA_WORDS);
      const { objects } = view.arenas[0] as Arena;
      const shared = { ...view, rcu: objects.create(DOMAIN), map: objects.create(KIND) };
      const table = tableOf(view.arenas[0] as Arena, shared);
      table.write(() => {
        for (const key of KEYS) put(table, key, key * 10);
      });
      return shared;
    },
    threads: acts.map((act) => (cpu: Cpu, me: number, shared: Shared) => {
      const arena = shared.arenas[me] as Arena;
      const table = tableOf(arena, shared);
      if (act !== 'read') {
        table.write(() => CHANGES[act](table));
        return;
      }
      const readers = new Readers(arena.thread, shared.rcu);
      enter(cpu, readers.sync);
      for (const key of [1, 4]) {
        const entry = table.find(packed(key));
        const value = entry === 0 ? undefined : cpu.read(table.valueAt(entry));
        const isSound = key === 4 ? value === 40 : [10, 11, undefined].includes(value);
        if (!isSound) throw new Error(`key ${key} has ${value}`);
      }
      readers.exit(SYNC);
    }),
    reaper(_cpu, died, shared) {
      reapDead(shared, died, 2);
      const table = tableOf(shared.arenas.at(-1) as Arena, shared);
      table.write(() => {
        // The values that readers expect: one may run after this.
        for (const key of [1, 5, 6]) put(table, key, key * 10);
        if (table.find(packed(4)) === 0 || table.find(packed(1)) === 0) throw new Error('a key is lost');
      });
    },
  };
  return program as unknown as Program;
}
