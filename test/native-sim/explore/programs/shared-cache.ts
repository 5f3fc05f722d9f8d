/** A SharedCache as a program to explore: threads that use entries, others that put them out, and some that compute. */
import { Batch } from '../../../../lib/structures/cache/batch.ts';
import { FlightTable, repairFlights } from '../../../../lib/structures/cache/flights.ts';
import { CacheWords, formatCache, linesOf } from '../../../../lib/structures/cache/layout.ts';
import { defineStructure } from '../../../../lib/structures/core.ts';
import { Entry } from '../../../../lib/structures/map/table.ts';
import type { Program } from '../../../../native-sim/explore/program.ts';
import { problemsIn } from '../../../structures/cache-check.ts';
import { onStructure, packed } from './on-structure.ts';

const LIMITS = { entries: 3, words: 2 ** 31 - 1, pinned: 2 ** 31 - 1, ttl: 0 };
const KIND = defineStructure('explored-cache', CacheWords.words, {
  trailing: linesOf,
  isOccupied: (cpu, cache) => cpu.load(cache + CacheWords.computing) !== 0,
  repair: repairFlights,
  format: (cpu, cache) => formatCache(cpu, cache, LIMITS),
});
const KEYS = [1, 2, 3];

/**
 * use: looks keys up, and notes their uses. put: a key for which another one goes. drain: sees to uses. compute: a value, unless
 * another thread is at it.
 */
export type CacheAct = 'use' | 'put' | 'drain' | 'compute';

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

export function sharedCache(acts: readonly CacheAct[], deaths = 1): Program {
  return onStructure<FlightTable>({
    kind: KIND,
    deaths,
    words: 8192,
    open: (arena, cache, stretch) => new FlightTable(arena, cache, stretch),
    fill(table) {
      for (const key of KEYS) put(table, key, key * 10);
    },
    threads: acts.map((act) => (cpu, table, { thread }, read) => {
      if (act !== 'use') return CHANGES[act](table);
      const batch = new Batch(thread, table.address);
      read(() => {
        for (const key of [2, 3, 2]) {
          const entry = table.find(packed(key));
          if (!table.isThere(entry)) continue;
          const value = cpu.read(table.valueAt(entry));
          if (value !== key * 10) throw new Error(`key ${key} has ${value}`);
          batch.hit();
          batch.record(cpu.read(entry + Entry.hash), cpu.read(entry + Entry.stamp));
        }
      });
    }),
    check(memory, cache) {
      const problems = problemsIn((at) => memory.read(at), cache);
      if (problems.length > 0) throw new Error(problems.join('; '));
    },
    next(table) {
      compute(table);
      table.write(() => {
        table.drainAll();
        put(table, 2, 20);
        if (!table.isThere(table.find(packed(2)))) throw new Error('what was set is not there');
      });
    },
  });
}
