import type { Arena } from '../../arena/arena.ts';
import { type ObjectHandle, SharedObject } from '../../arena/shared-object.ts';
import { checkOptionNames, HoldfastError, shown } from '../../errors.ts';
import { stretchIn } from '../readers.ts';
import { Head } from './node.ts';
import { TRACKING } from './options.ts';
import { XArrayTree } from './tree.ts';
import { findFree, findWord, loadWord } from './walk.ts';
import { xarrayKind } from './xarray.ts';

const KIND = xarrayKind('ida');
const BITS = 6;
/** Ids of one entry: the bits of a value. A bit is set for an id that is in use. */
const CHUNK = 31;
const ALL = 2 ** CHUNK - 1;

/** The greatest id. */
export const IDA_MAX = 2 ** 31 - 1;

export interface IdRange {
  /** @default 0 */
  first?: number | undefined;
  /** The last one that counts. @default 2^31 - 1 */
  last?: number | undefined;
}

/**
 * Gives out whole numbers, the lowest free one first, to all threads of an arena: ids of connections, slots, ports. An XArray
 * of bitmaps, some 4 bytes for 31 ids in use next to each other.
 *
 * Fairness and death: as with `XArray`. An id that a dead thread had stays in use; nobody else knows what it stood for.
 *
 * Source: the ida_* functions of lib/idr.c.
 */
export class Ida extends SharedObject {
  readonly #tree: XArrayTree;

  /** Opens the allocator of that name, making it if there is none, or that of a handle; with neither, a new one. */
  constructor(arena: Arena, which?: string | ObjectHandle) {
    super(KIND(TRACKING), arena, which);
    this.#tree = new XArrayTree(arena, this, stretchIn(arena), BITS);
  }

  static from(arena: Arena, handle: ObjectHandle): Ida {
    return new Ida(arena, handle);
  }

  /** The lowest free id of the range, in use from now on. Throws EBUSY when there is none, EINVAL, ENOMEM. */
  alloc(range: IdRange = {}): number {
    checkOptionNames(range, ['first', 'last']);
    const { first = 0, last = IDA_MAX } = range;
    checkId(first);
    checkId(last);
    if (first > last) throw new HoldfastError('EINVAL', `the range from ${first} to ${last} has no id`);
    return this.#tree.write(() => {
      const id = this.#lowest(first, last);
      if (id < 0) throw new HoldfastError('EBUSY', `all ids from ${first} to ${last} of the ${this.label} are in use`);
      const index = Math.floor(id / CHUNK);
      this.#put(index, this.#bitmap(index) | (1 << (id % CHUNK)));
      return id;
    });
  }

  /** The id is free again. Throws EINVAL when it was not in use. */
  free(id: number): void {
    checkId(id);
    this.#tree.write(() => {
      const index = Math.floor(id / CHUNK);
      const bitmap = this.#bitmap(index);
      if (!(bitmap & (1 << (id % CHUNK))))
        throw new HoldfastError('EINVAL', `id ${id} of the ${this.label} is not in use`);
      this.#put(index, bitmap & ~(1 << (id % CHUNK)));
    });
  }

  /** Whether the id is in use. */
  has(id: number): boolean {
    checkId(id);
    const tree = this.#tree;
    tree.enter();
    const word = loadWord(tree.cpu, this.address, BITS, Math.floor(id / CHUNK));
    return ((word >>> 1) & (1 << (id % CHUNK))) !== 0;
  }

  /** Whether no id is in use. */
  get empty(): boolean {
    return this.living.load(this.address + Head.entry) === 0;
  }

  /** The ids in use, in order. */
  *[Symbol.iterator](): Generator<number, void> {
    for (let at = 0; ; at++) {
      // By the view: what it is of may be gone since the last step.
      this.checkThere();
      this.#tree.enter();
      const { index, word } = findWord(this.#tree.cpu, this.address, BITS, at, IDA_MAX, -1);
      if (index < 0) return;
      for (let bit = 0; bit < CHUNK; bit++) if ((word >>> 1) & (1 << bit)) yield index * CHUNK + bit;
      at = index;
    }
  }

  #lowest(first: number, last: number): number {
    const { cpu } = this.#tree;
    const end = Math.floor(last / CHUNK);
    for (let at = Math.floor(first / CHUNK); at <= end; at++) {
      at = findFree(cpu, this.address, BITS, at, end);
      if (at < 0) return -1;
      const below = at * CHUNK < first ? 2 ** (first % CHUNK) - 1 : 0;
      const free = ~(this.#bitmap(at) | below) & ALL;
      if (free === 0) continue;
      const id = at * CHUNK + 31 - Math.clz32(free & -free);
      return id <= last ? id : -1;
    }
    return -1;
  }

  #bitmap(index: number): number {
    return this.#tree.get(index) >>> 1;
  }

  #put(index: number, bitmap: number): void {
    if (bitmap === 0) this.#tree.erase(index);
    else this.#tree.put(index, (bitmap << 1) | 1, bitmap === ALL);
  }

  protected override get shown(): string {
    return `Ida(${this.name ?? this.address}, ${this.empty ? 'empty' : 'in use'})`;
  }
}

function checkId(id: number): void {
  if (!Number.isInteger(id) || id < 0 || id > IDA_MAX) {
    throw new HoldfastError('EINVAL', `an id is a whole number from 0 to ${IDA_MAX}, received ${shown(id)}`);
  }
}
