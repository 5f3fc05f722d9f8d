/** The maps of a program as one thread's code uses them. */
import type { Cpu } from '../../../machine/cpu.ts';
import { addToCell, addToOwnCell, Cell, ownCell, readCell, storeCell, storeOwnCell, type Writer } from './cells.ts';
import { countIn, type Linear, linearBucket, powerBucket } from './histogram.ts';
import { ProgramWords } from './layout.ts';
import { areaAddress, elementAddress, type MapPlace, type Pool } from './pool.ts';
import type { ProgramMap } from './runtime.ts';
import { Table, TableHead } from './table.ts';

/** The maps of the program at that address; a thread adds to its own parts of them, which are in `area`. */
export function openMaps(cpu: Cpu, program: number, pool: Pool, area: number, writer: Writer): ProgramMap[] {
  const own = areaAddress(program, pool, area);
  return pool.maps.map((place, i) => {
    const { value } = place.spec;
    if (value === 'number') return new StoredMap(cpu, program + ProgramWords.pool + place.offset, place, writer);
    return new COUNTED[value](cpu, own + place.offset, place, program + ProgramWords.clears + i);
  });
}

/** Where the values of a map are: in a table by their keys, or one after the other. */
class Values {
  readonly head: number;
  readonly #place: MapPlace;
  readonly #table: Table | undefined;
  readonly #first: number;
  /** Of a value. */
  readonly words: number;

  constructor(cpu: Cpu, address: number, place: MapPlace) {
    this.head = address;
    this.#place = place;
    this.#table = place.spec.isArray ? undefined : new Table(cpu, address, place.shape);
    this.#first = elementAddress(address, place.shape, 0);
    this.words = place.shape.valueWords;
  }

  find(a: number, b: number, c: number, d: number): number {
    return this.#table === undefined ? this.#first + a * this.words : this.#table.find(a, b, c, d);
  }

  findOrAdd(a: number, b: number, c: number, d: number): number {
    return this.#table === undefined ? this.#first + a * this.words : this.#table.findOrAdd(a, b, c, d);
  }

  /** For values that the calling thread alone adds to. */
  empty(cpu: Cpu, generation: number): void {
    if (this.#table !== undefined) {
      this.#table.empty(generation);
      return;
    }
    cpu.xchg(this.head + TableHead.generation, -1);
    const words = this.words * this.#place.shape.entries;
    for (let i = 0; i < words; i++) cpu.storeRelease(this.#first + i, 0);
    cpu.storeRelease(this.head + TableHead.generation, generation);
  }
}

/** What is stored, by any thread. */
class StoredMap implements ProgramMap {
  readonly #cpu: Cpu;
  readonly #values: Values;
  readonly #writer: Writer;

  constructor(cpu: Cpu, address: number, place: MapPlace, writer: Writer) {
    this.#cpu = cpu;
    this.#values = new Values(cpu, address, place);
    this.#writer = writer;
  }

  get(a: number, b: number, c: number, d: number): number {
    const cell = this.#values.find(a, b, c, d);
    const value = cell === 0 ? 0 : readCell(this.#cpu, cell);
    return Number.isNaN(value) ? 0 : value;
  }

  set(a: number, b: number, c: number, d: number, value: number): void {
    const cell = this.#values.findOrAdd(a, b, c, d);
    if (cell !== 0) this.#noteLost(storeCell(this.#cpu, cell, this.#writer, value));
  }

  add(a: number, b: number, c: number, d: number, value: number): void {
    const cell = this.#values.findOrAdd(a, b, c, d);
    if (cell !== 0) this.#noteLost(addToCell(this.#cpu, cell, this.#writer, value));
  }

  remove(a: number, b: number, c: number, d: number): void {
    const cell = this.#values.find(a, b, c, d);
    if (cell !== 0) this.#noteLost(storeCell(this.#cpu, cell, this.#writer, Number.NaN));
  }

  update(): void {}

  #noteLost(isStored: boolean): void {
    if (!isStored) this.#cpu.fetchAddRelaxed(this.#values.head + TableHead.lost, 1);
  }
}

/**
 * What this thread has counted: nobody else writes there. A class for each of what maps keep, so that what an event runs is a
 * straight line.
 */
abstract class CountedMap implements ProgramMap {
  protected readonly cpu: Cpu;
  readonly #values: Values;
  /** The word that counts how often the map was cleared, and what it was when this thread last emptied its part. */
  readonly #clears: number;
  #generation: number;

  constructor(cpu: Cpu, address: number, place: MapPlace, clears: number) {
    this.cpu = cpu;
    this.#values = new Values(cpu, address, place);
    this.#clears = clears;
    this.#generation = cpu.load(address + TableHead.generation);
  }

  abstract update(a: number, b: number, c: number, d: number, x: number): void;

  get(): number {
    return 0;
  }

  set(): void {}
  add(): void {}

  remove(a: number, b: number, c: number, d: number): void {
    this.#follow();
    const value = this.#values.find(a, b, c, d);
    if (value === 0) return;
    // A histogram's counters, or cells, of which version 0 is none.
    for (let i = 0; i < this.#values.words; i++) this.cpu.storeRelease(value + i, 0);
  }

  /** Where the value is, or 0: there is no room. */
  protected at(a: number, b: number, c: number, d: number): number {
    if (this.cpu.loadUnordered(this.#clears) !== this.#generation) this.#follow();
    return this.#values.findOrAdd(a, b, c, d);
  }

  /** The map was cleared: this thread empties its part. */
  #follow(): void {
    const generation = this.cpu.loadAcquire(this.#clears);
    this.#generation = generation;
    // Another view of this thread's may have done so. -1: the thread before this one was killed in the middle of it.
    const { head } = this.#values;
    if (this.cpu.load(head + TableHead.generation) !== generation) this.#values.empty(this.cpu, generation);
  }
}

class CountMap extends CountedMap {
  update(a: number, b: number, c: number, d: number): void {
    const value = this.at(a, b, c, d);
    if (value !== 0) addToOwnCell(this.cpu, value, 1);
  }
}

class SumMap extends CountedMap {
  update(a: number, b: number, c: number, d: number, x: number): void {
    const value = this.at(a, b, c, d);
    if (value !== 0) addToOwnCell(this.cpu, value, x);
  }
}

/** How many there were, and their sum. */
class StatsMap extends CountedMap {
  update(a: number, b: number, c: number, d: number, x: number): void {
    const value = this.at(a, b, c, d);
    if (value === 0) return;
    addToOwnCell(this.cpu, value, 1);
    addToOwnCell(this.cpu, value + Cell.words, x);
  }
}

class LeastMap extends CountedMap {
  update(a: number, b: number, c: number, d: number, x: number): void {
    const value = this.at(a, b, c, d);
    // Less than none, which is NaN, is everything.
    if (value !== 0 && !(ownCell(this.cpu, value) <= x)) storeOwnCell(this.cpu, value, x);
  }
}

class LargestMap extends CountedMap {
  update(a: number, b: number, c: number, d: number, x: number): void {
    const value = this.at(a, b, c, d);
    if (value !== 0 && !(ownCell(this.cpu, value) >= x)) storeOwnCell(this.cpu, value, x);
  }
}

class PowersMap extends CountedMap {
  update(a: number, b: number, c: number, d: number, x: number): void {
    const value = this.at(a, b, c, d);
    if (value !== 0) countIn(this.cpu, value + powerBucket(x));
  }
}

class LinearMap extends CountedMap {
  readonly #linear: Linear;

  constructor(cpu: Cpu, address: number, place: MapPlace, clears: number) {
    super(cpu, address, place, clears);
    this.#linear = place.spec.linear as Linear;
  }

  update(a: number, b: number, c: number, d: number, x: number): void {
    const value = this.at(a, b, c, d);
    if (value !== 0) countIn(this.cpu, value + linearBucket(this.#linear, x));
  }
}

const COUNTED = {
  count: CountMap,
  sum: SumMap,
  avg: StatsMap,
  stats: StatsMap,
  min: LeastMap,
  max: LargestMap,
  hist: PowersMap,
  lhist: LinearMap,
} as const;
