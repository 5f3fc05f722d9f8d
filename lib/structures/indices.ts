/** Indices of the structures that have numbers for keys. */
import { HoldfastError, shown } from '../errors.ts';

/** Bits of an index. */
export const INDEX_BITS = 32;
export const LAST_INDEX = 2 ** INDEX_BITS - 1;

/** Throws EINVAL for what is no index. */
export function checkIndex(index: number): void {
  if (index >>> 0 !== index) {
    throw new HoldfastError('EINVAL', `an index is a whole number from 0 to ${LAST_INDEX}, received ${shown(index)}`);
  }
}

/** Throws EINVAL for what are no indices, or none in order. */
export function checkRange(first: number, last: number): void {
  checkIndex(first);
  checkIndex(last);
  if (first > last) throw new HoldfastError('EINVAL', `the range from ${first} to ${last} has no index`);
}
