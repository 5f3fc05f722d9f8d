import { HoldfastError, shown } from '../../errors.ts';
import { checkIndex, LAST_INDEX } from '../indices.ts';
import type { XaEntry } from './entry.ts';
import { checkOrder, type XaMark } from './options.ts';
import { XArray } from './xarray.ts';

/**
 *   start    set, and not looked yet
 *   active   at an index whose entry was looked at
 *   bounds   nothing more was there, up or down; still at the index before
 */
export type XaStatus = 'start' | 'active' | 'bounds';

/**
 * A place in an XArray, and the aligned 2^order indices that a store goes to: for code that walks an array and changes it on
 * its way.
 *
 * It belongs to one thread. It knows an index, and no node: each move begins at the head. So it may be kept for any time, across
 * an `await` too, whatever other threads store meanwhile; a move goes on from where it is. What takes several calls is no one
 * step for other writers: `cmpxchg`, `insert` and `split` of the array are.
 *
 * Source: struct xa_state and the xas_* functions of lib/xarray.c.
 */
export class XaState {
  readonly array: XArray;
  #index = 0;
  #order = 0;
  #status: XaStatus = 'start';

  /** Throws EINVAL for an index or order that cannot be. */
  constructor(array: XArray, index = 0, order = 0) {
    if (!(array instanceof XArray)) {
      throw new HoldfastError('EINVAL', `an XaState is a place in an XArray, received ${shown(array)}`);
    }
    this.array = array;
    this.setOrder(index, order);
  }

  /** The index that it is at. */
  get index(): number {
    return this.#index;
  }

  /** log2 of the number of indices that `store` and `findConflict` are about. */
  get order(): number {
    return this.#order;
  }

  get status(): XaStatus {
    return this.#status;
  }

  /** Goes to that index, and looks at nothing yet. */
  set(index: number): void {
    this.setOrder(index, 0);
  }

  /** Goes to the first of the aligned 2^order indices in which `index` is, and looks at nothing yet. */
  setOrder(index: number, order: number): void {
    checkIndex(index);
    checkOrder(order);
    this.#index = index - (index % 2 ** order);
    this.#order = order;
    this.#status = 'start';
  }

  /** The entry at the index. Looks anew each time, so it is `xas_reload` too. */
  load(): XaEntry | undefined {
    this.#status = 'active';
    return this.array.load(this.#index);
  }

  /** Stores an entry, or nothing, at all 2^order indices. */
  store(entry: XaEntry | undefined): void {
    this.array.storeOrder(this.#index, this.#order, entry);
    this.#status = 'active';
  }

  /** Goes to the first entry at the index that was set or behind it; once there, to the one behind. With a mark, to one that has it. */
  find(last = LAST_INDEX, mark?: XaMark): XaEntry | undefined {
    checkIndex(last);
    const first = this.#status === 'start' ? this.#index : this.#behind();
    return this.#go(first, last, mark);
  }

  /** Goes to the next index, and returns what is there. Before the first look: stays at the one that was set. */
  next(): XaEntry | undefined {
    return this.#step(1, LAST_INDEX);
  }

  /** The same, to the index before. */
  prev(): XaEntry | undefined {
    return this.#step(-1, 0);
  }

  /**
   * The first entry at one of the 2^order indices, then the one behind, and so on; undefined when there is none left. The state
   * stays where it is.
   */
  *findConflict(): Generator<XaEntry, void> {
    const first = this.#index;
    for (const [, entry] of this.array.entries({ first, last: first + 2 ** this.#order - 1 })) yield entry;
  }

  /** The entry that it is at becomes entries of 2^order indices each. Throws EINVAL when there is none of a larger order. */
  split(order: number): void {
    this.array.split(this.#index, order);
  }

  getMark(mark: XaMark): boolean {
    return this.array.getMark(this.#index, mark);
  }

  setMark(mark: XaMark): void {
    this.array.setMark(this.#index, mark);
  }

  clearMark(mark: XaMark): void {
    this.array.clearMark(this.#index, mark);
  }

  /** Goes behind the entry that it is at, and looks at nothing yet: a `find` goes on from there, whatever happens meanwhile. */
  pause(): void {
    const behind = this.#behind();
    if (behind > LAST_INDEX) this.#status = 'bounds';
    else this.setOrder(behind, 0);
  }

  /** Looks at nothing yet, at the same index: a `find` begins with the entry there. */
  reset(): void {
    this.#status = 'start';
  }

  /** The index behind the entry that it is at. */
  #behind(): number {
    const size = 2 ** this.array.getOrder(this.#index);
    return this.#index - (this.#index % size) + size;
  }

  #go(first: number, last: number, mark: XaMark | undefined): XaEntry | undefined {
    const found = first <= last ? this.array.find({ first, last, mark }) : undefined;
    if (found === undefined) {
      this.#status = 'bounds';
      return undefined;
    }
    this.#index = found.index;
    this.#order = 0;
    this.#status = 'active';
    return found.entry;
  }

  #step(by: 1 | -1, end: number): XaEntry | undefined {
    if (this.#status !== 'start') {
      if (this.#index === end) {
        this.#status = 'bounds';
        return undefined;
      }
      this.#index += by;
      this.#order = 0;
    }
    return this.load();
  }
}
