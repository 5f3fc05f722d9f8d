/**
 * The mappings of a process, as a kernel keeps them: a range of pages for each, in a maple tree. Whoever changes them has the
 * mutex, because `mprotect` is several steps; a page fault is one load, and waits for nobody.
 */
import { HoldfastError, MapleTree, Mutex } from 'holdfast';

export const READ = 4;
export const WRITE = 2;
export const EXEC = 1;

/** Pages that a process may have: from 64 KiB to 128 GiB. */
const FIRST = 0x10;
const LAST = 0x1ffffff;

export class AddressSpace {
  #mappings;
  #mutex;

  /**
   * @param {import('holdfast').Arena} arena
   * @param {string} name
   */
  constructor(arena, name) {
    this.#mappings = new MapleTree(arena, `${name}: mappings`);
    this.#mutex = new Mutex(arena, `${name}: mutex`);
  }

  /**
   * Maps pages at the highest place that is free, or at `at`, over what is there. Returns the first page.
   *
   * @param {number} pages
   * @param {number} protection
   * @param {number} [at]
   */
  mmap(pages, protection, at) {
    return this.#alone(() => {
      if (at === undefined) {
        return this.#mappings.allocRange(protection, pages, { first: FIRST, last: LAST, reverse: true });
      }
      this.#mappings.storeRange(at, at + pages - 1, protection);
      return at;
    });
  }

  /**
   * Takes out what is mapped there: a mapping that sticks out is cut.
   *
   * @param {number} first
   * @param {number} pages
   */
  munmap(first, pages) {
    this.#alone(() => this.#mappings.storeRange(first, first + pages - 1, undefined));
  }

  /**
   * Changes the protection of these pages. Throws ENOMEM, as the system call does, where one is not mapped.
   *
   * @param {number} first
   * @param {number} pages
   * @param {number} protection
   */
  mprotect(first, pages, protection) {
    const last = first + pages - 1;
    this.#alone(() => {
      const parts = [...this.#mappings.entries({ first, last })];
      let next = first;
      for (const part of parts) if (part.first <= next) next = part.last + 1;
      if (next <= last) throw new HoldfastError('ENOMEM', `page ${next.toString(16)} is not mapped`);
      for (const part of parts) {
        this.#mappings.storeRange(Math.max(part.first, first), Math.min(part.last, last), protection);
      }
    });
  }

  /**
   * What a processor asks that finds no translation: may this page be used so?
   *
   * @param {number} page
   * @param {number} access
   */
  fault(page, access) {
    const protection = this.#mappings.load(page);
    return typeof protection === 'number' && (protection & access) === access;
  }

  /** A line for each mapping, as /proc/self/maps has them. */
  maps() {
    return [...this.#mappings].map(({ first, last, entry }) => {
      const protection = /** @type {number} */ (entry);
      const letters = ['r', 'w', 'x'].map((letter, i) => (protection & (READ >> i) ? letter : '-')).join('');
      return `${(first * 4096).toString(16)}-${((last + 1) * 4096).toString(16)} ${letters}`;
    });
  }

  /**
   * Runs `change` with the mutex. A thread that died in one leaves a tree that is whole, and at worst an mprotect half done.
   *
   * @template Result
   * @param {() => Result} change
   * @returns {Result}
   */
  #alone(change) {
    // On Node 24 and later: `using held = this.#mutex.acquire();`, and no try.
    const held = this.#mutex.acquire();
    try {
      if (held.ownerDied) held.makeConsistent();
      return change();
    } finally {
      held.release();
    }
  }
}
