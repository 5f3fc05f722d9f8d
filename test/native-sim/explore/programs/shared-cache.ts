/** A SharedCache as a program to explore: threads that use entries, others that put them out, and some that compute. */
import type { Arena } from '../../../../lib/arena/arena.ts';
import type { Cpu } from '../../../../lib/machine/cpu.ts';
import { defineDomain } from '../../../../lib/rcu/domain.ts';
import { enter, Readers, SYNC } from '../../../../lib/rcu/reader.ts';
import type { Stretch } from '../../../../lib/rcu/stretch.ts';
import { Batch } from '../../../../lib/structures/cache/batch.ts';
import { FlightTable, repairFlights } from '../../../../lib/structures/cache/flights.ts';
import { CacheWords, formatCache, linesOf } from '../../../../lib/structures/cache/layout.ts';
import { defineStructure } from '../../../../lib/structures/core.ts';
import { Packed } from '../../../../lib/structures/map/codec.ts';
import { Entry } from '../../../../lib/structures/map/table.ts';
import type { Program } from '../../../../native-sim/explore/program.ts';
import { problemsIn } from '../../../structures/cache-check.ts';
import { makeArenas, reapDead, type View } from './holdfast.ts';

const DOMAIN = defineDomain('explored-cache-qsbr', false);
const LIMITS = { entries: 3, words: 2 ** 31 - 1, pinned: 2 ** 31 - 1, ttl: 0 };
const KIND = defineStructure('explored-cache', CacheWords.words, {
  trailing: linesOf,
  isOccupied: (cpu, cache) => cpu.load(cache + CacheWords.computing) !== 0,
  repair: repairFlights,
  format: (cpu, cache) => formatCache(cpu, cache, LIMITS),
});
const ARENA_WORDS = 8192;
const KEYS = [1, 2, 3];

/**
 * use: looks keys up, and notes their uses. put: a key for which another one goes. drain: sees to uses. compute: a value, unless
 * another thread is at it.
 */
export type CacheAct = 'use' | 'put' | 'drain' | 'compute';

interface Shared extends View {
  cache: number;
  rcu: number;
}

const packed = (value: number): Packed => {
  const words = new Packed();
  words.pack(value);
  return words;
};

function tableOf(arena: Arena, { cache, rcu }: Shared): FlightTable {
  const readers = new Readers(arena.thread, rcu);
  return new FlightTable(arena, cache, { readers, quiescent: () => true } as Stretch);
}

const put = (table: FlightTable, key: number, value: number) => table.set(packed(key), packed(value), 0);

function compute(table: FlightTable): void {
  const key = packed(4);
  const start = table.write(() => table.takeOff(key));
  if (start.is === 'mine') table.write(() => table.land(start.flight, key, packed(44), 0));
}

const CHANGES: Record<Exclude<CacheAct, 'use'>, (table: FlightTable) => void> = {
  put: (table) => table.write(() => void put(table, 4, 40)),
  drain: (table) => table.write(() => table.drainAll()),
  compute,
};

export function sharedCache(acts: readonly CacheAct[]): Program {
  const program: Program<Shared> = {
    words: ARENA_WORDS,
    setup(cpu) {
      const view = makeArenas(cpu, acts.length, Number.POSITIVE_INFINITY, ARENA_WORDS);
      const { objects } = view.arenas[0] as Arena;
      const shared = { ...view, rcu: objects.create(DOMAIN), cache: objects.create(KIND) };
      const table = tableOf(view.arenas[0] as Arena, shared);
      table.write(() => {
        for (const key of KEYS) put(table, key, key * 10);
      });
      return shared;
    },
    threads: acts.map((act) => (cpu: Cpu, me: number, shared: Shared) => {
      const arena = shared.arenas[me] as Arena;
      const table = tableOf(arena, shared);
      if (act !== 'use') {
        CHANGES[act](table);
        return;
      }
      const readers = new Readers(arena.thread, shared.rcu);
      const batch = new Batch(arena.thread, shared.cache);
      enter(cpu, readers.sync);
      for (const key of [2, 3, 2]) {
        const entry = table.find(packed(key));
        if (!table.isThere(entry)) continue;
        const value = cpu.read(table.valueAt(entry));
        if (value !== key * 10) throw new Error(`key ${key} has ${value}`);
        batch.hit();
        batch.record(cpu.read(entry + Entry.hash), cpu.read(entry + Entry.stamp));
      }
      readers.exit(SYNC);
    }),
    check(memory, { cache }) {
      const problems = problemsIn((at) => memory.read(at), cache);
      if (problems.length > 0) throw new Error(problems.join('; '));
    },
    reaper(_cpu, died, shared) {
      reapDead(shared, died, 2);
      const table = tableOf(shared.arenas.at(-1) as Arena, shared);
      compute(table);
      table.write(() => {
        table.drainAll();
        put(table, 2, 20);
        if (!table.isThere(table.find(packed(2)))) throw new Error('what was set is not there');
      });
    },
  };
  return program as unknown as Program;
}
