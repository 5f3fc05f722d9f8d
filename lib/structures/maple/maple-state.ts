import { HoldfastError, shown } from '../../errors.ts';
import { checkRange, LAST_INDEX } from '../indices.ts';
import type { XaEntry } from '../xarray/entry.ts';
import { MapleTree } from './maple-tree.ts';

/**
 *   start       set, and not looked yet
 *   active      at a range, or at a gap that `walk` has found
 *   overflow    nothing more was there up to the bound; still at the range before
 *   underflow   the same, downwards
 */
export type MapleStatus = 'start' | 'active' | 'overflow' | 'underflow';

/**
 * A place in a maple tree, and the range that a store goes to: for code that walks a tree and changes it on its way.
 *
 * It belongs to one thread. It knows indices, and no node: each move begins at the root. So it may be kept for any time, across
 * an `await` too, whatever other threads store meanwhile; a move goes on from where it is.
 *
 * Source: struct ma_state and the mas_* functions of lib/maple_tree.c. Its states root and none are `active` and `overflow`
 * here; pause is not needed, since nothing is held between two moves.
 */
export class MapleState {
  readonly tree: MapleTree;
  #first = 0;
  #last = 0;
  #status: MapleStatus = 'start';

  /** Throws EINVAL for a range that cannot be. */
  constructor(tree: MapleTree, first = 0, last = first) {
    if (!(tree instanceof MapleTree)) {
      throw new HoldfastError('EINVAL', `a MapleState is a place in a MapleTree, received ${shown(tree)}`);
    }
    this.tree = tree;
    this.set(first, last);
  }

  /** The range that it is at. */
  get first(): number {
    return this.#first;
  }

  get last(): number {
    return this.#last;
  }

  get status(): MapleStatus {
    return this.#status;
  }

  /** Goes to these indices, and looks at nothing yet. */
  set(first: number, last = first): void {
    checkRange(first, last);
    this.#at({ first, last }, 'start');
  }

  /** Goes to the whole range, or gap, of the first index. Returns the entry. */
  walk(): XaEntry | undefined {
    const found = this.tree.findRange(this.#first);
    this.#at(found, 'active');
    return found.entry;
  }

  /** Goes to the first range at the index that was set or behind it; once there, to the one behind. Returns its entry. */
  find(last = LAST_INDEX): XaEntry | undefined {
    if (this.#status !== 'start') return this.next(last);
    if (this.#first > last) return this.#none('overflow');
    return this.#go(this.tree.find({ first: this.#first, last }), 'overflow');
  }

  /** Goes to the first range at the index that was set or before it; once there, to the one before. Returns its entry. */
  findRev(first = 0): XaEntry | undefined {
    if (this.#status !== 'start') return this.prev(first);
    if (this.#first < first) return this.#none('underflow');
    return this.#go(this.tree.findRev({ first, last: this.#first }), 'underflow');
  }

  /** Goes to the range behind, if it begins at `last` or before. After a `prev` that found nothing: to the one it stands at. */
  next(last = LAST_INDEX): XaEntry | undefined {
    if (this.#status === 'underflow') {
      const entry = this.walk();
      if (entry !== undefined) return entry;
    }
    return this.#go(this.tree.next(this.#last, last), 'overflow');
  }

  /** Goes to the range before, if it ends at `first` or behind. After a `next` that found nothing: to the one it stands at. */
  prev(first = 0): XaEntry | undefined {
    if (this.#status === 'overflow') {
      const entry = this.walk();
      if (entry !== undefined) return entry;
    }
    return this.#go(this.tree.prev(this.#first, first), 'underflow');
  }

  /** Stores an entry, or nothing, at the range that it is at. */
  store(entry: XaEntry | undefined): void {
    this.tree.storeRange(this.#first, this.#last, entry);
    this.#status = 'active';
  }

  /** Takes the range of the first index out, all of it, and returns its entry. Stays where that was. */
  erase(): XaEntry | undefined {
    const erased = this.tree.eraseRange(this.#first);
    this.#at(erased, 'active');
    return erased.entry;
  }

  /** Goes to the lowest place of `size` indices with nothing at them. False if there is none. */
  emptyArea(min: number, max: number, size: number): boolean {
    return this.#area(this.tree.emptyArea(min, max, size), size);
  }

  /** The same, to the highest. */
  emptyAreaRev(min: number, max: number, size: number): boolean {
    return this.#area(this.tree.emptyAreaRev(min, max, size), size);
  }

  #area(first: number | undefined, size: number): boolean {
    if (first === undefined) return false;
    this.#at({ first, last: first + size - 1 }, 'start');
    return true;
  }

  #go(found: { first: number; last: number; entry: XaEntry } | undefined, otherwise: MapleStatus): XaEntry | undefined {
    if (found === undefined) return this.#none(otherwise);
    this.#at(found, 'active');
    return found.entry;
  }

  #none(status: MapleStatus): undefined {
    this.#status = status;
    return undefined;
  }

  #at({ first, last }: { first: number; last: number }, status: MapleStatus): void {
    this.#first = first;
    this.#last = last;
    this.#status = status;
  }
}
