/** What the maps of a program hold: the parts of all threads merged, at any time. */
import type { Cpu } from '../../../machine/cpu.ts';
import { Cell, readCell } from './cells.ts';
import { linearBuckets, POWERS } from './histogram.ts';
import { ProgramWords } from './layout.ts';
import { fromWords } from './numbers.ts';
import { areaAddress, elementAddress, type MapPlace, type Pool } from './pool.ts';
import { isShared, type MapSpec } from './program.ts';
import { Table, TableHead } from './table.ts';

/** Of one key: numbers as they are in memory. */
export interface MergedEntry {
  readonly key: readonly number[];
  /** What was stored, the count, the sum, the least, the largest, or the average; of a histogram how many there are. */
  readonly value: number;
  /** Of `avg` and `stats`, and of histograms: how many numbers it is made of. */
  readonly count?: number;
  /** Of `stats`. */
  readonly total?: number;
  /** Of histograms. */
  readonly buckets?: readonly number[];
}

export interface MergedMap {
  readonly spec: MapSpec;
  readonly entries: readonly MergedEntry[];
  /** Events whose key found no room. */
  readonly dropped: number;
  /** Stores that were lost to another thread's. */
  readonly lost: number;
}

/** The words of one value, read as what they are. */
type Parts = readonly number[];

export function readMap(cpu: Cpu, program: number, pool: Pool, map: number): MergedMap {
  const place = pool.maps[map] as MapPlace;
  const merged = new Map<string, { key: number[]; parts: Parts }>();
  let dropped = 0;
  let lost = 0;
  for (const address of addressesOf(cpu, program, pool, place)) {
    dropped += cpu.load(address + TableHead.dropped) >>> 0;
    lost += cpu.load(address + TableHead.lost) >>> 0;
    for (const { key, parts } of readPart(cpu, address, place, cpu.load(program + ProgramWords.clears + map))) {
      const name = key.join();
      const other = merged.get(name);
      merged.set(name, { key, parts: other === undefined ? parts : combine(place.spec, other.parts, parts) });
    }
  }
  const entries = [...merged.values()].flatMap(({ key, parts }) => entryOf(place.spec, key, parts) ?? []);
  return { spec: place.spec, entries, dropped, lost };
}

/** Where the map's parts are: one, or one for each thread that has an area. */
function addressesOf(cpu: Cpu, program: number, pool: Pool, { spec, offset }: MapPlace): number[] {
  if (isShared(spec)) return [program + ProgramWords.pool + offset];
  const areas = Array.from({ length: pool.areaCount }, (_, area) => area);
  return areas
    .filter((area) => cpu.loadAcquire(program + ProgramWords.areaOwners + area) !== 0)
    .map((area) => areaAddress(program, pool, area) + offset);
}

/** One part; nothing where its thread has not seen yet that the map was cleared, or empties it just now. */
function readPart(cpu: Cpu, address: number, place: MapPlace, clears: number): { key: number[]; parts: Parts }[] {
  const { spec, shape } = place;
  const isCurrent = () => isShared(spec) || cpu.loadAcquire(address + TableHead.generation) === clears;
  if (!isCurrent()) return [];
  const found = spec.isArray
    ? Array.from({ length: spec.entries }, (_, i) => ({
        key: spec.entries === 1 ? [] : [i],
        parts: partsOf(cpu, spec, elementAddress(address, shape, i)),
      }))
    : Array.from(new Table(cpu, address, shape).all(), ({ key, value }) => ({
        key: spec.keys.map((_, i) => fromWords(cpu.load(key + 2 * i), cpu.load(key + 2 * i + 1))),
        parts: partsOf(cpu, spec, value),
      }));
  return isCurrent() ? found.filter(({ parts }) => isThere(spec, parts)) : [];
}

function partsOf(cpu: Cpu, { value, linear }: MapSpec, address: number): Parts {
  if (value === 'hist' || value === 'lhist') {
    const length = linear === undefined ? POWERS : linearBuckets(linear);
    return Array.from({ length }, (_, i) => cpu.loadAcquire(address + i) >>> 0);
  }
  if (value === 'avg' || value === 'stats') return [readCell(cpu, address), readCell(cpu, address + Cell.words)];
  return [readCell(cpu, address)];
}

function isThere({ value }: MapSpec, parts: Parts): boolean {
  if (value === 'hist' || value === 'lhist') return parts.some((count) => count > 0);
  return !Number.isNaN(parts[0]);
}

function combine({ value }: MapSpec, a: Parts, b: Parts): Parts {
  if (value === 'min') return [Math.min(a[0] as number, b[0] as number)];
  if (value === 'max') return [Math.max(a[0] as number, b[0] as number)];
  return a.map((part, i) => (part || 0) + (b[i] || 0));
}

function entryOf({ value }: MapSpec, key: readonly number[], parts: Parts): MergedEntry {
  const [first = 0, second = 0] = parts;
  if (value === 'hist' || value === 'lhist') {
    const count = parts.reduce((sum, bucket) => sum + bucket, 0);
    return { key, value: count, count, buckets: parts };
  }
  if (value !== 'avg' && value !== 'stats') return { key, value: first };
  // A thread that was killed between the two has counted what it has not added.
  const total = Number.isNaN(second) ? 0 : second;
  return { key, value: Math.trunc(total / first), count: first, ...(value === 'stats' ? { total } : {}) };
}

/** Empties a shared map, for the program's owner. What is being written meanwhile may stay. */
export function cellsOf(cpu: Cpu, program: number, pool: Pool, map: number): number[] {
  const place = pool.maps[map] as MapPlace;
  const address = program + ProgramWords.pool + place.offset;
  if (place.spec.isArray) {
    return Array.from({ length: place.spec.entries }, (_, i) => elementAddress(address, place.shape, i));
  }
  return Array.from(new Table(cpu, address, place.shape).all(), ({ value }) => value);
}
