/**
 * What a slot of an XArray holds, in one word:
 *
 *   0              nothing
 *   v v v … v 1    value: a whole number of 31 bits
 *   a … a t t 0 0  pointer: the address of a block of the arena, a multiple of 16, with a tag from 0 to 3
 *   n … n … 1 0    a node, by its address, a multiple of 8
 *   k … k 1 0      k below LEAST_NODE: sibling of the slot with the number k; ZERO
 *
 * The kernel has a tag in the lowest bits, so that an array has values or tagged pointers; here both can be in one. It also
 * has an entry RETRY, which a reader meets in a node that a writer has taken out: here a reader that is in such a node goes
 * on, finds what was there when it came, and begins at the head next time.
 */
import { HoldfastError, shown } from '../../errors.ts';
import { LINE_WORDS } from '../../memory/struct.ts';

const VALUE = 1;
const INTERNAL = 2;
const KIND = 3;

/** A reserved index: in use, and holds nothing. */
export const ZERO = (64 << 2) | INTERNAL;
/** Words of internal entries that are no nodes are below; nodes are behind the arena's header. */
const LEAST_NODE = 1024;

/** What comes out of an XArray when a value was put in, or a pointer. */
export type XaEntry = number | XaPointer;

/** The greatest value entry. */
export const XA_VALUE_MAX = 2 ** 31 - 1;

/** A pointer into the arena with a tag. Two with the same address and tag are the same entry. */
export class XaPointer {
  /** Of the arena's memory: an index of `arena.words`, or an object's `address`. */
  readonly address: number;
  /** 0 to 3: means what the program says. */
  readonly tag: number;

  constructor(address: number, tag: number) {
    this.address = address;
    this.tag = tag;
  }
}

/** The entry for memory from `arena.alloc`, or for a shared object. Throws EINVAL for what cannot be one. */
export function xaPointer(address: number, tag = 0): XaPointer {
  if (!Number.isInteger(address) || address <= 0 || address >= 2 ** 29 || address % LINE_WORDS !== 0) {
    throw new HoldfastError(
      'EINVAL',
      `a pointer entry is the address of a block, a multiple of ${LINE_WORDS}; received ${shown(address)}`,
    );
  }
  if (tag !== 0 && tag !== 1 && tag !== 2 && tag !== 3) {
    throw new HoldfastError('EINVAL', `the tag of a pointer entry is 0 to 3, received ${shown(tag)}`);
  }
  return new XaPointer(address, tag);
}

/** The word of an entry; 0 for undefined and null. Throws EINVAL for what no slot holds. */
export function encodeEntry(entry: XaEntry | undefined | null): number {
  if (typeof entry === 'number' && entry >= 0 && entry <= XA_VALUE_MAX && Number.isInteger(entry)) {
    return (entry << 1) | VALUE;
  }
  if (entry === undefined || entry === null) return 0;
  if (entry instanceof XaPointer) return entry.address | (entry.tag << 2);
  throw new HoldfastError(
    'EINVAL',
    `an entry is a whole number from 0 to ${XA_VALUE_MAX} or made by xaPointer(); received ${shown(entry)}`,
  );
}

/** What the program sees of a word. */
export function decodeEntry(word: number): XaEntry | undefined {
  if (word & VALUE) return word >>> 1;
  if (word === 0 || word === ZERO) return undefined;
  return new XaPointer(word & ~15, (word >> 2) & 3);
}

export function isInternal(word: number): boolean {
  return (word & KIND) === INTERNAL;
}

export function isNode(word: number): boolean {
  return (word & KIND) === INTERNAL && word >= LEAST_NODE;
}

export function nodeEntry(node: number): number {
  return node | INTERNAL;
}

export function nodeOf(word: number): number {
  return word - INTERNAL;
}

export function siblingEntry(slot: number): number {
  return (slot << 2) | INTERNAL;
}

/** Whether a word is that of a sibling; `slot` of it is in `siblingOf`. */
export function isSibling(word: number): boolean {
  return (word & KIND) === INTERNAL && word < ZERO;
}

export function siblingOf(word: number): number {
  return word >> 2;
}
