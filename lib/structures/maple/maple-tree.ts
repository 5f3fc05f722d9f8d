import type { Arena } from '../../arena/arena.ts';
import { type ObjectHandle, SharedObject } from '../../arena/shared-object.ts';
import { checkOptionNames, HoldfastError, shown } from '../../errors.ts';
import type { Kind } from '../../memory/kinds.ts';
import type { Repairer } from '../../memory/repairer.ts';
import type { AbortableOptions } from '../../sched/drive.ts';
import { defineStructure } from '../core.ts';
import { checkIndex, checkRange, LAST_INDEX } from '../indices.ts';
import { stretchIn } from '../readers.ts';
import { decodeEntry, encodeEntry, type XaEntry, ZERO } from '../xarray/entry.ts';
import { areaIn } from './area.ts';
import { Head, indexOf, keyOf, NO_GAPS } from './node.ts';
import { MapleCore } from './tree.ts';
import { Range, seek, seekNext, seekPrevious } from './walk.ts';

export interface MapleTreeOptions {
  /**
   * Whether nodes say how long the gaps below them are. Without, loads and stores are a little faster, and the search for an
   * empty area looks at everything. The first tree of a name says it. @default true
   */
  gaps?: boolean | undefined;
}

/** Indices with one entry, the first and the last included. */
export interface MapleRange {
  readonly first: number;
  readonly last: number;
  readonly entry: XaEntry;
}

/** The same, or indices with none. */
export interface MapleSlot {
  readonly first: number;
  readonly last: number;
  readonly entry: XaEntry | undefined;
}

export interface MapleSearch {
  /** @default 0 */
  first?: number | undefined;
  /** The last index that counts. @default 2^32 - 1 */
  last?: number | undefined;
}

export interface MapleAllocation extends MapleSearch {
  /** The highest place instead of the lowest. @default false */
  reverse?: boolean | undefined;
  /** Begins behind the latest cyclic allocation, and at `first` again when there is no place up to `last`. @default false */
  cyclic?: boolean | undefined;
}

/** The kind of a maple tree. */
export function mapleKind(name: string): (hasGaps: boolean) => Kind<Repairer> {
  const kind = defineStructure(name, Head);
  return (hasGaps) => ({ ...kind, format: (cpu, tree) => cpu.write(tree + Head.flags, hasGaps ? 0 : NO_GAPS) });
}

const KIND = mapleKind('maple-tree');
/** Four slots a node, so that a test has tall trees of few entries. */
const SMALL_KIND = mapleKind('maple-tree-of-4');

/**
 * A tree of ranges of indices, for all threads of an arena: what is at each index from 0 to 2^32 - 1, where neighbours mostly
 * have the same. Addresses that are mapped, seats that are taken, versions of a line. Readers take no lock and wait for nobody;
 * writers take the tree's own.
 *
 * An entry is a whole number of 31 bits, or a pointer into the arena (`xaPointer`). A range is stored over whatever is there:
 * what sticks out of it stays. Two ranges side by side with the same entry are two.
 *
 * Each call is one step for readers. Cost: a load reads some ten words a level, and a million ranges have five levels; one beside
 * the latest load reads its leaf only. A store copies a leaf of 128 bytes, now and then a node of 250 or 370 a level, and behind all
 * other ranges adds to the last leaf in place. A range takes some 14 bytes, 10 when they come in order, and as much again for a gap.
 *
 * Fairness: writers as `Latch` lets them in, in the operating system's order. Death: a writer's step is made or not.
 *
 * Errors: EINVAL for an index, range or entry that cannot be; ENOMEM before anything has changed.
 *
 * Source: lib/maple_tree.c, Documentation/core-api/maple_tree.rst.
 */
export class MapleTree extends SharedObject {
  readonly #tree: MapleCore;
  readonly #slots: 4 | 15;
  readonly #found = new Range();

  /** Opens the tree of that name, making it if there is none, or that of a handle; with neither, a new one. */
  constructor(arena: Arena, which?: string | ObjectHandle, options: MapleTreeOptions = {}, slots: 4 | 15 = 15) {
    super((slots === 15 ? KIND : SMALL_KIND)(hasGaps(options)), arena, which);
    this.#slots = slots;
    this.#tree = new MapleCore(arena, this, stretchIn(arena), slots);
  }

  static from(arena: Arena, handle: ObjectHandle): MapleTree {
    return new MapleTree(arena, handle);
  }

  /** The entry at `index`, or undefined. */
  load(index: number): XaEntry | undefined {
    checkIndex(index);
    const tree = this.#tree;
    tree.enter();
    return decodeEntry(tree.load(keyOf(index)));
  }

  /** Stores an entry at one index, and returns the one that was there; undefined takes it out there. */
  store(index: number, entry: XaEntry | undefined): XaEntry | undefined {
    checkIndex(index);
    const word = encodeEntry(entry);
    const key = keyOf(index);
    return this.#tree.write(() => {
      const old = this.#tree.at(key).word;
      this.#tree.put(key, key, word);
      return decodeEntry(old);
    });
  }

  /** Stores one entry at all indices from `first` to `last`; undefined takes out what is there. */
  storeRange(first: number, last: number, entry: XaEntry | undefined): void {
    checkRange(first, last);
    const word = encodeEntry(entry);
    this.#tree.write(() => this.#tree.put(keyOf(first), keyOf(last), word));
  }

  /**
   * `storeRange` that does not block the event loop, where another thread writes, or where all memory waits for a reader.
   * Rejects with ETIMEDOUT and the signal's reason, too: then nothing was stored.
   */
  async storeRangeAsync(
    first: number,
    last: number,
    entry: XaEntry | undefined,
    options?: AbortableOptions,
  ): Promise<void> {
    checkRange(first, last);
    const word = encodeEntry(entry);
    await this.#tree.writeAsync(() => this.#tree.put(keyOf(first), keyOf(last), word), options);
  }

  /** `insertRange` at one index. */
  insert(index: number, entry: XaEntry): void {
    this.insertRange(index, index, entry);
  }

  /** Stores an entry from `first` to `last`, where nothing is. Throws EBUSY where something is, or is reserved. */
  insertRange(first: number, last: number, entry: XaEntry): void {
    checkRange(first, last);
    const word = encodeEntry(entry);
    this.#tree.write(() => {
      const found = this.#tree.at(keyOf(first));
      if (found.word !== 0 || indexOf(found.last) < last) {
        const index = found.word !== 0 ? first : indexOf(found.last) + 1;
        throw new HoldfastError('EBUSY', `something is at index ${index} of the ${this.label}`);
      }
      this.#tree.put(keyOf(first), keyOf(last), word);
    });
  }

  /** Takes the range out that has `index`, all of it, and returns its entry. */
  erase(index: number): XaEntry | undefined {
    return this.eraseRange(index).entry;
  }

  /** `erase` that returns the range; the gap that has `index`, if nothing is there. */
  eraseRange(index: number): MapleSlot {
    checkIndex(index);
    return this.#tree.write(() => {
      const { first, last, word } = this.#tree.at(keyOf(index));
      if (word !== 0) this.#tree.put(first, last, 0);
      return { first: indexOf(first), last: indexOf(last), entry: decodeEntry(word) };
    });
  }

  /** The first range that has an index from `first` to `last`, whole. */
  find(search: MapleSearch = {}): MapleRange | undefined {
    const { first, last } = checkSearch(search);
    return this.#next(first, last);
  }

  /** The last range that has an index from `first` to `last`, whole. */
  findRev(search: MapleSearch = {}): MapleRange | undefined {
    const { first, last } = checkSearch(search);
    return this.#previous(last, first);
  }

  /** The range that has `index`; the gap, with undefined as its entry, if nothing is there. */
  findRange(index: number): MapleSlot {
    checkIndex(index);
    this.#tree.enter();
    seek(this.#tree.cpu, this.#tree.shape, this.address, keyOf(index), this.#found);
    return this.#shown();
  }

  /** The first range behind that of `index`, if it begins at `last` or before. */
  next(index: number, last = LAST_INDEX): MapleRange | undefined {
    checkIndex(last);
    const here = this.findRange(index);
    return here.last < last ? this.#next(here.last + 1, last) : undefined;
  }

  /** The last range before that of `index`, if it ends at `first` or behind. */
  prev(index: number, first = 0): MapleRange | undefined {
    checkIndex(first);
    const here = this.findRange(index);
    return here.first > first ? this.#previous(here.first - 1, first) : undefined;
  }

  /**
   * The ranges in order, from the one that has `first`. Each step looks anew, so what is stored meanwhile is found if it lies
   * ahead, and the loop may await.
   */
  *entries(search: MapleSearch = {}): Generator<MapleRange, void> {
    const { first, last } = checkSearch(search);
    for (let at = first; at <= last; ) {
      // By the view: what it is of may be gone since the last step.
      this.checkThere();
      const found = this.#next(at, last);
      if (found === undefined) return;
      yield found;
      at = found.last + 1;
    }
  }

  /** The same, from the last range to the first. */
  *reversed(search: MapleSearch = {}): Generator<MapleRange, void> {
    const { first, last } = checkSearch(search);
    for (let at = last; at >= first; ) {
      this.checkThere();
      const found = this.#previous(at, first);
      if (found === undefined) return;
      yield found;
      at = found.first - 1;
    }
  }

  [Symbol.iterator](): Generator<MapleRange, void> {
    return this.entries();
  }

  /** Calls `each` for the ranges in order. */
  forEach(each: (entry: XaEntry, first: number, last: number) => void, search: MapleSearch = {}): void {
    for (const { entry, first, last } of this.entries(search)) each(entry, first, last);
  }

  /** The lowest index from `min` on with nothing at it and the `size - 1` behind it, all up to `max`. Takes the writers' lock. */
  emptyArea(min: number, max: number, size: number): number | undefined {
    checkArea(min, max, size);
    return this.#tree.write(() => this.#area(min, max, size, false));
  }

  /** `emptyArea`, the highest such index. */
  emptyAreaRev(min: number, max: number, size: number): number | undefined {
    checkArea(min, max, size);
    return this.#tree.write(() => this.#area(min, max, size, true));
  }

  /**
   * Stores an entry at `size` free indices side by side, and returns the first; the lowest from `first` to `last`. An undefined
   * entry reserves them: loads find nothing there, and no allocation does. Throws EBUSY when there is no place.
   */
  allocRange(entry: XaEntry | undefined, size: number, range: MapleAllocation = {}): number {
    return this.#tree.write(this.#allocating(entry, size, range));
  }

  /** `allocRange` that does not block the event loop; see `storeRangeAsync`. */
  async allocRangeAsync(
    entry: XaEntry | undefined,
    size: number,
    range: MapleAllocation & AbortableOptions = {},
  ): Promise<number> {
    const { timeout, signal, ...where } = range;
    return this.#tree.writeAsync(this.#allocating(entry, size, where), { timeout, signal });
  }

  #allocating(entry: XaEntry | undefined, size: number, range: MapleAllocation): () => number {
    checkOptionNames(range, ['first', 'last', 'reverse', 'cyclic']);
    const { first = 0, last = LAST_INDEX, reverse = false, cyclic = false } = range;
    checkArea(first, last, size);
    if (reverse && cyclic) throw new HoldfastError('EINVAL', 'an allocation is reverse or cyclic, not both');
    const word = encodeEntry(entry) || ZERO;
    const tree = this.#tree;
    const { cpu } = tree;
    return () => {
      const hasCycled = cyclic && cpu.read(this.address + Head.hasCycled) !== 0;
      const next = hasCycled ? cpu.read(this.address + Head.next) >>> 0 : first;
      let at: number | undefined;
      if (next > first && next <= last) at = this.#area(next, last, size, false);
      at ??= this.#area(first, last, size, reverse);
      if (at === undefined) {
        throw new HoldfastError('EBUSY', `no ${size} free indices are from ${first} to ${last} in the ${this.label}`);
      }
      tree.put(keyOf(at), keyOf(at + size - 1), word);
      // Behind the entry, for which there may be no memory. If the writer dies in between, the next one finds the area in use.
      if (cyclic) {
        cpu.write(this.address + Head.next, (at + size) | 0);
        cpu.write(this.address + Head.hasCycled, 1);
      }
      return at;
    };
  }

  /** Whether nothing is in it, reserved indices included. */
  get empty(): boolean {
    return this.living.load(this.address + Head.root) === 0;
  }

  /** Takes all ranges out, in one step. */
  clear(): void {
    this.#tree.write(() => this.#tree.clear());
  }

  /** A new tree with the same ranges, as they are at one moment. Writers wait meanwhile. */
  dup(): MapleTree {
    const { arena } = this;
    const copy = new MapleTree(arena, undefined, { gaps: this.#tree.shape.hasGaps }, this.#slots);
    try {
      this.#tree.write(() => copy.#tree.write(() => copy.#tree.copyFrom(this.#tree)));
    } catch (error) {
      if (error instanceof HoldfastError) copy.destroy();
      throw error;
    }
    return copy;
  }

  /** Bytes that the tree has taken from the arena, and bytes of them that hold no node now. */
  use(): { bytes: number; free: number } {
    return this.#tree.write(() => this.#tree.pool.use());
  }

  #next(index: number, last: number): MapleRange | undefined {
    const tree = this.#tree;
    tree.enter();
    const isThere = seekNext(tree.cpu, tree.shape, tree.address, keyOf(index), keyOf(last), this.#found);
    return isThere ? (this.#shown() as MapleRange) : undefined;
  }

  #previous(index: number, first: number): MapleRange | undefined {
    const tree = this.#tree;
    tree.enter();
    const isThere = seekPrevious(tree.cpu, tree.shape, tree.address, keyOf(index), keyOf(first), this.#found);
    return isThere ? (this.#shown() as MapleRange) : undefined;
  }

  #shown(): MapleSlot {
    const { first, last, word } = this.#found;
    return { first: indexOf(first), last: indexOf(last), entry: decodeEntry(word) };
  }

  #area(min: number, max: number, size: number, isHighest: boolean): number | undefined {
    const tree = this.#tree;
    const at = areaIn(tree.cpu, tree.shape, this.address, { min, max, size }, isHighest);
    return at < 0 ? undefined : at;
  }

  protected override get shown(): string {
    return `MapleTree(${this.name ?? this.address}, ${this.empty ? 'empty' : 'not empty'})`;
  }
}

function hasGaps(options: MapleTreeOptions): boolean {
  checkOptionNames(options, ['gaps']);
  const { gaps = true } = options;
  if (typeof gaps !== 'boolean') throw new HoldfastError('EINVAL', `gaps is true or false, received ${shown(gaps)}`);
  return gaps;
}

function checkArea(min: number, max: number, size: number): void {
  checkRange(min, max);
  if (!Number.isInteger(size) || size < 1 || size > max - min + 1) {
    throw new HoldfastError(
      'EINVAL',
      `an area from ${min} to ${max} has 1 to ${max - min + 1} indices, received ${shown(size)}`,
    );
  }
}

function checkSearch(search: MapleSearch): { first: number; last: number } {
  checkOptionNames(search, ['first', 'last']);
  const { first = 0, last = LAST_INDEX } = search;
  checkRange(first, last);
  return { first, last };
}
