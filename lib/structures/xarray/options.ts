/** What the calls of an XArray take beside an index and an entry, and whether it can be. */
import { checkOptionNames, HoldfastError, shown } from '../../errors.ts';
import { checkRange, LAST_INDEX } from '../indices.ts';
import { ALLOC1, FREE, TRACK_FREE } from './node.ts';
import { MOST_ORDER } from './tree.ts';

/** XA_MARK_0 to XA_MARK_2: three bits of the program's own for each entry. */
export type XaMark = 0 | 1 | 2;

export interface XArrayOptions {
  /**
   * Whether `alloc` gives out indices: 'from-0', or 'from-1' (0 is never given out). Mark 0 is taken then. The first
   * XArray of a name says it. @default none
   */
  alloc?: 'from-0' | 'from-1' | undefined;
}

export interface XaRange {
  /** @default 0 */
  first?: number | undefined;
  /** The last one that counts. @default 2^32 - 1 */
  last?: number | undefined;
}

export interface XaSearch extends XaRange {
  /** Only entries with this mark. @default any entry */
  mark?: XaMark | undefined;
}

export interface XaAllocation extends XaRange {
  /** Begins behind the index that was given out last, and at `first` again when `last` is passed. @default false */
  cyclic?: boolean | undefined;
}

/** `Head.flags` of an array that gives out indices, at first. */
export const TRACKING = TRACK_FREE | (1 << FREE);

/** `Head.flags` at first. */
export function flagsOf(options: XArrayOptions): number {
  checkOptionNames(options, ['alloc']);
  switch (options.alloc) {
    case undefined:
      return 0;
    case 'from-0':
      return TRACKING;
    case 'from-1':
      return TRACKING | ALLOC1;
    default:
      throw new HoldfastError('EINVAL', `alloc is 'from-0' or 'from-1', received ${shown(options.alloc)}`);
  }
}

/** Throws EINVAL for what is no mark. */
export function checkMark(mark: number): void {
  if (mark !== 0 && mark !== 1 && mark !== 2) {
    throw new HoldfastError('EINVAL', `a mark is 0, 1 or 2, received ${shown(mark)}`);
  }
}

/** Throws EINVAL for an order that no entry has. */
export function checkOrder(order: number): void {
  if (!Number.isInteger(order) || order < 0 || order > MOST_ORDER) {
    throw new HoldfastError('EINVAL', `an order is a whole number from 0 to ${MOST_ORDER}, received ${shown(order)}`);
  }
}

/** Where a search looks, and for which mark; -1 for any entry. Throws EINVAL. */
export function checkSearch(search: XaSearch): { first: number; last: number; mark: number } {
  checkOptionNames(search, ['first', 'last', 'mark']);
  const { first = 0, last = LAST_INDEX, mark } = search;
  checkRange(first, last);
  if (mark !== undefined) checkMark(mark);
  return { first, last, mark: mark ?? -1 };
}
