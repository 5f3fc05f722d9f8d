import type { Arena } from '../../arena/arena.ts';
import { type ObjectHandle, SharedObject } from '../../arena/shared-object.ts';
import { checkOptionNames, HoldfastError, shown } from '../../errors.ts';
import type { Kind } from '../../memory/kinds.ts';
import type { Repairer } from '../../memory/repairer.ts';
import type { AbortableOptions } from '../../sched/drive.ts';
import { defineStructure } from '../core.ts';
import { checkIndex, checkRange, LAST_INDEX } from '../indices.ts';
import { stretchIn } from '../readers.ts';
import { decodeEntry, encodeEntry, type XaEntry, ZERO } from './entry.ts';
import { ALLOC1, FREE, Head } from './node.ts';
import {
  checkMark,
  checkOrder,
  checkSearch,
  flagsOf,
  type XArrayOptions,
  type XaAllocation,
  type XaMark,
  type XaRange,
  type XaSearch,
} from './options.ts';
import { XArrayTree } from './tree.ts';
import { endOf, findFree, findWord, loadWord } from './walk.ts';

const BITS = 6;

/** The kind of an XArray whose nodes have 2^bits slots; `flags`: how indices are given out. */
export function xarrayKind(name: string): (flags: number) => Kind<Repairer> {
  const kind = defineStructure(name, Head);
  return (flags) => ({ ...kind, format: (cpu, xa) => cpu.write(xa + Head.flags, flags) });
}

const KIND = xarrayKind('xarray');
/** Four slots a node, so that a test has tall trees of few entries. */
const SMALL_KIND = xarrayKind('xarray-of-4');

/**
 * An array of 2^32 indices that takes memory for those in use, for all threads of an arena. Readers take no lock and wait for
 * nobody; writers take the array's own.
 *
 * An entry is a whole number of 31 bits, or a pointer into the arena (`xaPointer`). Entries have three marks each, by which
 * they are found as fast as by index. An entry may be at 2^order aligned indices (`storeOrder`, `storeRange`): it is one entry
 * then, and what is done at one of the indices is done at all.
 *
 * Each call but `storeRange` is one step for readers. Cost: a load is two to six
 * loads of words, by the height of the tree; a dense array takes 5 bytes an entry. For random sparse indices each entry has
 * nodes of its own: `SharedMap` fits better.
 *
 * Fairness: writers as `Latch` lets them in, in the operating system's order. Death: a writer's step is made or not.
 *
 * Errors: EINVAL for an index, entry, mark or order that cannot be; ENOMEM before anything has changed.
 *
 * Source: lib/xarray.c, Documentation/core-api/xarray.rst.
 */
export class XArray extends SharedObject {
  readonly #tree: XArrayTree;
  readonly #bits: number;
  readonly #xa: number;

  /** Opens the array of that name, making it if there is none, or that of a handle; with neither, a new one. */
  constructor(arena: Arena, which?: string | ObjectHandle, options: XArrayOptions = {}, bits: 2 | 6 = BITS) {
    super((bits === BITS ? KIND : SMALL_KIND)(flagsOf(options)), arena, which);
    this.#bits = bits;
    this.#xa = this.address;
    this.#tree = new XArrayTree(arena, this, stretchIn(arena), bits);
  }

  static from(arena: Arena, handle: ObjectHandle): XArray {
    return new XArray(arena, handle);
  }

  /** The entry at `index`, or undefined. */
  load(index: number): XaEntry | undefined {
    checkIndex(index);
    const tree = this.#tree;
    tree.enter();
    return decodeEntry(loadWord(tree.cpu, this.#xa, this.#bits, index));
  }

  /**
   * Puts an entry at `index`, marks as they were, and returns the one that was there; undefined takes it out. In an array that
   * gives out indices undefined leaves the index reserved: `erase` gives it back.
   */
  store(index: number, entry: XaEntry | undefined): XaEntry | undefined {
    return this.#write(this.#storing(index, entry));
  }

  /**
   * `store` that does not block the event loop, where another thread writes, or where all memory waits for a reader. Rejects
   * with ETIMEDOUT and the signal's reason, too: then nothing was stored.
   */
  async storeAsync(
    index: number,
    entry: XaEntry | undefined,
    options?: AbortableOptions,
  ): Promise<XaEntry | undefined> {
    return this.#writeAsync(this.#storing(index, entry), options);
  }

  #storing(index: number, entry: XaEntry | undefined): (tree: XArrayTree) => XaEntry | undefined {
    checkIndex(index);
    const word = encodeEntry(entry);
    return (tree) => {
      const old = tree.get(index);
      this.#put(index, word === 0 && tree.tracksFree && old !== 0 ? ZERO : word);
      return decodeEntry(old);
    };
  }

  /** Takes the entry at `index` out, at all its indices, and returns it. */
  erase(index: number): XaEntry | undefined {
    checkIndex(index);
    return this.#write((tree) => {
      const old = tree.get(index);
      if (old !== 0) tree.erase(index);
      return decodeEntry(old);
    });
  }

  /** Stores `entry` if `old` is there now; undefined for none. Returns what was there: the store was made if that is `old`. */
  cmpxchg(index: number, old: XaEntry | undefined, entry: XaEntry | undefined): XaEntry | undefined {
    checkIndex(index);
    const [expected, word] = [encodeEntry(old), encodeEntry(entry)];
    return this.#write((tree) => {
      const seen = tree.get(index);
      if ((seen === ZERO ? 0 : seen) === expected) {
        this.#put(index, word === 0 && tree.tracksFree && seen !== 0 ? ZERO : word);
      }
      return decodeEntry(seen);
    });
  }

  /** Stores an entry where nothing is. Throws EBUSY where something is, or the index is reserved. */
  insert(index: number, entry: XaEntry): void {
    checkIndex(index);
    const word = encodeEntry(entry);
    this.#write((tree) => {
      if (tree.get(index) !== 0)
        throw new HoldfastError('EBUSY', `something is at index ${index} of the ${this.label}`);
      this.#put(index, word);
    });
  }

  /** Keeps `index` for a `store` that then needs no memory. True if it was free. It stays undefined for readers. */
  reserve(index: number): boolean {
    checkIndex(index);
    return this.#write((tree) => {
      if (tree.get(index) !== 0) return false;
      tree.put(index, ZERO);
      return true;
    });
  }

  /** Gives a reserved index back, if nothing was stored there. */
  release(index: number): void {
    checkIndex(index);
    this.#write((tree) => {
      if (tree.get(index) === ZERO) tree.erase(index);
    });
  }

  /** One entry at each index from `first` to `last`, or undefined. In blocks: readers see it grow. */
  storeRange(first: number, last: number, entry: XaEntry | undefined): void {
    checkRange(first, last);
    const word = encodeEntry(entry);
    this.#write((tree) => tree.putRange(first, last, word));
  }

  /** `storeRange` that does not block the event loop; see `storeAsync`. */
  async storeRangeAsync(
    first: number,
    last: number,
    entry: XaEntry | undefined,
    options?: AbortableOptions,
  ): Promise<void> {
    checkRange(first, last);
    const word = encodeEntry(entry);
    await this.#writeAsync((tree) => tree.putRange(first, last, word), options);
  }

  /** One entry at the 2^order aligned indices in which `index` is. A larger entry that is there is replaced as a whole. */
  storeOrder(index: number, order: number, entry: XaEntry | undefined): void {
    checkIndex(index);
    checkOrder(order);
    const word = encodeEntry(entry);
    this.#write((tree) => tree.putOrder(index, order, word));
  }

  /** log2 of the number of indices of the entry at `index`; 0 for none. */
  getOrder(index: number): number {
    checkIndex(index);
    this.#tree.enter();
    const { index: at, order } = findWord(this.#tree.cpu, this.#xa, this.#bits, index, index, -1);
    return at < 0 ? 0 : order;
  }

  /**
   * The entry at `index` becomes entries of 2^order indices each, alike and marked alike, in one step. Throws EINVAL when
   * there is no entry of a larger order.
   */
  split(index: number, order: number): void {
    checkIndex(index);
    checkOrder(order);
    this.#write((tree) => {
      const found = findWord(tree.cpu, this.#xa, this.#bits, index, index, -1);
      if (found.index < 0 || found.order <= order) {
        const seen = found.index < 0 ? 'none' : `one of order ${found.order}`;
        throw new HoldfastError(
          'EINVAL',
          `an entry of order ${order + 1} or more is split into ${order}; at ${index} is ${seen}`,
        );
      }
      tree.split(index, found.order, order);
    });
  }

  /**
   * Stores `entry` at a free index and returns that: the lowest from `first` to `last`, or with `cyclic` the next behind the
   * one given out last. Throws EBUSY when all are in use, EINVAL for an array that gives none out.
   */
  alloc(entry: XaEntry | undefined, range: XaAllocation = {}): number {
    return this.#write(this.#allocating(entry, range)).index;
  }

  /** `alloc` that does not block the event loop; see `storeAsync`. */
  async allocAsync(entry: XaEntry | undefined, range: XaAllocation & AbortableOptions = {}): Promise<number> {
    const { timeout, signal, ...where } = range;
    return (await this.#writeAsync(this.#allocating(entry, where), { timeout, signal })).index;
  }

  /** `alloc` with `cyclic`, and whether it began at `first` again. */
  allocCyclic(entry: XaEntry | undefined, range: XaRange = {}): { index: number; wrapped: boolean } {
    return this.#write(this.#allocating(entry, { ...range, cyclic: true }));
  }

  #allocating(
    entry: XaEntry | undefined,
    range: XaAllocation,
  ): (tree: XArrayTree) => { index: number; wrapped: boolean } {
    checkOptionNames(range, ['first', 'last', 'cyclic']);
    if (!this.#tree.tracksFree) {
      throw new HoldfastError('EINVAL', `the ${this.label} gives out no indices: make it with { alloc: 'from-0' }`);
    }
    const least = this.#tree.cpu.load(this.#xa + Head.flags) & ALLOC1 ? 1 : 0;
    const { first = least, last = LAST_INDEX, cyclic = false } = range;
    checkRange(first, last);
    const word = encodeEntry(entry) || ZERO;
    return (tree) => {
      const { cpu } = tree;
      const from = Math.max(first, least);
      const hasNext = cyclic && cpu.read(this.#xa + Head.hasCycled) !== 0;
      const next = hasNext ? (cpu.read(this.#xa + Head.latest) >>> 0) + 1 : from;
      const start = next < from || next > last ? from : next;
      let index = findFree(cpu, this.#xa, this.#bits, start, last);
      const wrapped = index < 0 && start > from;
      if (wrapped) index = findFree(cpu, this.#xa, this.#bits, from, start - 1);
      if (index < 0)
        throw new HoldfastError('EBUSY', `all indices from ${from} to ${last} of the ${this.label} are in use`);
      tree.put(index, word);
      // Behind the entry, for which there may be no memory. If the writer dies in between, the next one finds the index in use.
      if (cyclic) {
        cpu.write(this.#xa + Head.latest, index | 0);
        cpu.write(this.#xa + Head.hasCycled, 1);
      }
      return { index, wrapped: wrapped || next > last };
    };
  }

  /** Whether the entry at `index` has the mark. */
  getMark(index: number, mark: XaMark): boolean {
    checkIndex(index);
    checkMark(mark);
    this.#tree.enter();
    return this.#tree.getMark(index, mark);
  }

  /** Marks the entry at `index`, if there is one. */
  setMark(index: number, mark: XaMark): void {
    this.#setMark(index, mark, true);
  }

  /** Takes the mark from the entry at `index`. */
  clearMark(index: number, mark: XaMark): void {
    this.#setMark(index, mark, false);
  }

  /** Whether any entry has the mark. */
  marked(mark: XaMark): boolean {
    checkMark(mark);
    return (this.living.load(this.#xa + Head.flags) & (1 << mark)) !== 0;
  }

  /** Whether nothing is in it, reserved indices included. */
  get empty(): boolean {
    return this.living.load(this.#xa + Head.entry) === 0;
  }

  /** The first entry from `first` to `last`, and where it is: its first index, or `first` when it began before. */
  find(search: XaSearch = {}): { index: number; entry: XaEntry } | undefined {
    const { first, last, mark } = checkSearch(search);
    return this.#find(first, last, mark);
  }

  /** The first entry behind that at `index`. */
  findAfter(
    index: number,
    { last, mark }: Omit<XaSearch, 'first'> = {},
  ): { index: number; entry: XaEntry } | undefined {
    const search = checkSearch({ first: index, last: last ?? LAST_INDEX, mark });
    const order = this.getOrder(index);
    return this.#find(endOf(index, order), search.last, search.mark);
  }

  /** The first `most` entries from `first` on. */
  extract(most: number, search: XaSearch = {}): XaEntry[] {
    if (!Number.isInteger(most) || most < 0) {
      throw new HoldfastError('EINVAL', `extract() takes a whole number of entries, received ${shown(most)}`);
    }
    const entries: XaEntry[] = [];
    if (most === 0) return entries;
    for (const [, entry] of this.entries(search)) {
      entries.push(entry);
      if (entries.length === most) break;
    }
    return entries;
  }

  /**
   * The entries in order, each once, with their first index. Each step looks anew, so what is stored meanwhile is found if it
   * lies ahead, and the loop may await.
   */
  *entries(search: XaSearch = {}): Generator<[index: number, entry: XaEntry], void> {
    const { first, last, mark } = checkSearch(search);
    for (let at = first; at <= last; ) {
      // By the view: what it is of may be gone since the last step.
      this.checkThere();
      this.#tree.enter();
      const { index, word, order } = findWord(this.#tree.cpu, this.#xa, this.#bits, at, last, mark);
      if (index < 0) return;
      yield [index, decodeEntry(word) as XaEntry];
      at = endOf(index, order);
    }
  }

  [Symbol.iterator](): Generator<[index: number, entry: XaEntry], void> {
    return this.entries();
  }

  /** Takes all entries out, in one step. */
  clear(): void {
    this.#write((tree) => tree.clear());
  }

  /** Bytes that the array has taken from the arena, and bytes of them that hold no node now. */
  use(): { bytes: number; free: number } {
    return this.#tree.write(() => this.#tree.pool.use());
  }

  #find(first: number, last: number, mark: number): { index: number; entry: XaEntry } | undefined {
    this.#tree.enter();
    const { index, word } = findWord(this.#tree.cpu, this.#xa, this.#bits, first, last, mark);
    return index < 0 ? undefined : { index, entry: decodeEntry(word) as XaEntry };
  }

  #put(index: number, word: number): void {
    if (word === 0) this.#tree.erase(index);
    else this.#tree.put(index, word);
  }

  #setMark(index: number, mark: XaMark, isSet: boolean): void {
    checkIndex(index);
    checkMark(mark);
    if (mark === FREE && this.#tree.tracksFree) {
      throw new HoldfastError('EINVAL', `mark ${FREE} of the ${this.label} says which indices are free`);
    }
    this.#write((tree) => tree.setMark(index, mark, isSet));
  }

  #write<Result>(body: (tree: XArrayTree) => Result): Result {
    return this.#tree.write(this.#afterRange(body));
  }

  #writeAsync<Result>(body: (tree: XArrayTree) => Result, options?: AbortableOptions): Promise<Result> {
    return this.#tree.writeAsync(this.#afterRange(body), options);
  }

  /** After a range that a dead writer has left half stored. */
  #afterRange<Result>(body: (tree: XArrayTree) => Result): () => Result {
    const tree = this.#tree;
    return () => {
      tree.finishRange();
      return body(tree);
    };
  }

  protected override get shown(): string {
    return `XArray(${this.name ?? this.address}, ${this.empty ? 'empty' : 'not empty'})`;
  }
}
