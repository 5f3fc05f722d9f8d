/** Where a program's maps and the output of its threads lie in its pool: it follows from the program, so all threads find it alike. */
import type { Cpu } from '../../../machine/cpu.ts';
import { maxThreads } from '../../../sched/slot.ts';
import { Cell } from './cells.ts';
import { linearBuckets, POWERS } from './histogram.ts';
import { MOST_AREAS, POOL_WORDS, ProgramWords } from './layout.ts';
import { isShared, type MapSpec, type Program } from './program.ts';
import { RING } from './ring.ts';
import { entryWords, type Shape, TableHead, tableWords } from './table.ts';

/** A hash map that says nothing of its size has so many entries if it is shared. */
const SHARED_ENTRIES = 1024;
/** A map of each thread's has as many as fit for this many threads, and not less than the fewest. */
const USUAL_THREADS = 16;
const FEWEST_ENTRIES = 16;
export const MOST_ENTRIES = 1 << 14;

/** An array has what a table has in front. */
const ArrayHead = TableHead;

export interface MapPlace {
  readonly spec: MapSpec;
  readonly shape: Shape;
  /** Words from the start of the pool if it is shared, or else of an area. */
  readonly offset: number;
}

export interface Pool {
  readonly maps: readonly MapPlace[];
  /** Of the first area, words from the start of the pool. */
  readonly areas: number;
  readonly areaWords: number;
  readonly areaCount: number;
}

/** Of one thread's: where it is in the pool of the program at that address. */
export function areaAddress(program: number, { areas, areaWords }: Pool, area: number): number {
  return program + ProgramWords.pool + areas + area * areaWords;
}

export function valueWords({ value, linear }: MapSpec): number {
  if (value === 'hist') return POWERS;
  if (value === 'lhist') return linear === undefined ? 0 : linearBuckets(linear);
  return value === 'avg' || value === 'stats' ? 2 * Cell.words : Cell.words;
}

export function shapeOf(spec: MapSpec): Shape {
  return { keys: spec.keys.length, entries: spec.entries, valueWords: valueWords(spec) };
}

function mapWords(spec: MapSpec): number {
  const shape = shapeOf(spec);
  return spec.isArray ? ArrayHead.words + shape.entries * shape.valueWords : tableWords(shape);
}

/** The value of an array's element. */
export function elementAddress(array: number, { valueWords }: Shape, index: number): number {
  return array + ArrayHead.words + index * valueWords;
}

/** The entries of a hash map of the program that says nothing of its size. */
export function defaultEntries(spec: MapSpec, maps: readonly MapSpec[]): number {
  if (isShared(spec)) return SHARED_ENTRIES;
  const own = maps.filter((map) => !isShared(map));
  const words = (POOL_WORDS / USUAL_THREADS - RING.words) / own.length;
  // A bucket, or two, for each entry.
  const entries = Math.floor(words / (entryWords(shapeOf(spec)) + 2));
  return Math.max(FEWEST_ENTRIES, Math.min(entries, SHARED_ENTRIES));
}

export function poolOf(cpu: Cpu, { maps }: Pick<Program, 'maps'>): Pool {
  let shared = 0;
  let own: number = RING.words;
  const places = maps.map((spec): MapPlace => {
    const words = mapWords(spec);
    const offset = isShared(spec) ? shared : own;
    if (isShared(spec)) shared += words;
    else own += words;
    return { spec, shape: shapeOf(spec), offset };
  });
  // Whole lines: threads that write side by side do not take each other's.
  const areas = Math.ceil(shared / 16) * 16;
  const areaWords = Math.ceil(own / 16) * 16;
  const room = Math.floor((POOL_WORDS - areas) / areaWords);
  return { maps: places, areas, areaWords, areaCount: Math.max(0, Math.min(room, maxThreads(cpu), MOST_AREAS)) };
}
