/**
 * A hash table of a program's map: only added to, by any number of threads, and searched while it is.
 *
 *   head | buckets | entries
 *
 * An entry is written before it is reachable: the thread that has taken one from `used` writes the key, and puts the entry in front of its
 * bucket's chain by one exchange, which fails when another thread has put one there; then it looks whether that has the key.
 * So a key is there once, and a thread that is killed in between has used up one entry, at worst.
 *
 * A table of one thread's is emptied by that thread: `generation` says of which emptying the content is, and is -1 meanwhile.
 */
import type { Cpu } from '../../../machine/cpu.ts';
import { struct } from '../../../memory/struct.ts';
import { highWord, lowWord } from './numbers.ts';

export const TableHead = struct({
  generation: 1,
  /** Entries that are taken. It may be more than there are. */
  used: 1,
  /** Events whose key found no room. */
  dropped: 1,
  /** Writes that were lost to another thread's, which took long. */
  lost: 1,
});

export interface Shape {
  readonly keys: number;
  readonly entries: number;
  readonly valueWords: number;
}

export function bucketsOf(entries: number): number {
  return 2 ** Math.ceil(Math.log2(Math.max(2, entries)));
}

/** Of an entry: the next one of its chain, the key, the value. */
export function entryWords({ keys, valueWords }: Shape): number {
  return 1 + 2 * keys + valueWords;
}

export function tableWords(shape: Shape): number {
  return TableHead.words + bucketsOf(shape.entries) + shape.entries * entryWords(shape);
}

export class Table {
  readonly address: number;
  readonly #cpu: Cpu;
  readonly #keys: number;
  readonly #limit: number;
  readonly #valueWords: number;
  readonly #entryWords: number;
  readonly #buckets: number;
  readonly #shift: number;
  readonly #entries: number;

  constructor(cpu: Cpu, address: number, shape: Shape) {
    this.address = address;
    this.#cpu = cpu;
    this.#keys = shape.keys;
    this.#limit = shape.entries;
    this.#valueWords = shape.valueWords;
    this.#entryWords = entryWords(shape);
    this.#buckets = address + TableHead.words;
    const buckets = bucketsOf(shape.entries);
    this.#shift = Math.clz32(buckets) + 1;
    this.#entries = this.#buckets + buckets;
  }

  /** Where the value of that key is, or 0. Keys that the table does not have are not looked at. */
  find(a: number, b: number, c: number, d: number): number {
    return this.#keys === 1 ? this.#findOne(a) : this.#search(this.#bucketOf(a, b, c, d), 0, a, b, c, d);
  }

  /** Where the value of that key is, all zero if it is new; 0 when there is no room, which is counted. */
  findOrAdd(a: number, b: number, c: number, d: number): number {
    return this.find(a, b, c, d) || this.#add(this.#bucketOf(a, b, c, d), a, b, c, d);
  }

  /** `#search` for a table of one key, which is on the path of most events. */
  #findOne(key: number): number {
    const cpu = this.#cpu;
    const low = lowWord(key);
    const high = low === key ? low >> 31 : highWord(key);
    let link = cpu.loadDependent(this.#buckets + (mixed(0, low, high) >>> this.#shift));
    for (let i = this.#limit; i > 0 && link > 0 && link <= this.#limit; i--) {
      const entry = this.#entries + (link - 1) * this.#entryWords;
      if (cpu.loadUnordered(entry + 1) === low && cpu.loadUnordered(entry + 2) === high) return entry + 3;
      link = cpu.loadDependent(entry);
    }
    return 0;
  }

  #add(bucket: number, a: number, b: number, c: number, d: number): number {
    const cpu = this.#cpu;
    const { address } = this;
    const number =
      cpu.load(address + TableHead.used) >= this.#limit
        ? this.#limit
        : cpu.fetchAddRelaxed(address + TableHead.used, 1);
    if (number >= this.#limit) {
      cpu.fetchAddRelaxed(address + TableHead.dropped, 1);
      return 0;
    }
    const entry = this.#entries + number * this.#entryWords;
    this.#write(entry, a, b, c, d);
    for (let seen = 0; ; ) {
      const first = cpu.loadAcquire(bucket);
      // Those that have come since: they are in front of the ones that were there.
      const found = this.#search(bucket, seen, a, b, c, d);
      if (found !== 0) return found;
      seen = first;
      cpu.store(entry, first);
      // Releases the entry. Pairs with the acquires in `#search`.
      if (cpu.cmpxchg(bucket, first, number + 1) === first) return entry + 1 + 2 * this.#keys;
    }
  }

  #write(entry: number, a: number, b: number, c: number, d: number): void {
    const cpu = this.#cpu;
    const keys = [a, b, c, d].slice(0, this.#keys);
    for (const [i, key] of keys.entries()) {
      cpu.store(entry + 1 + 2 * i, lowWord(key));
      cpu.store(entry + 2 + 2 * i, highWord(key));
    }
    const value = entry + 1 + 2 * this.#keys;
    for (let i = 0; i < this.#valueWords; i++) cpu.store(value + i, 0);
  }

  /** In the chain of that bucket, up to before the entry `end`. */
  #search(bucket: number, end: number, a: number, b: number, c: number, d: number): number {
    const cpu = this.#cpu;
    const keys = this.#keys;
    // Pairs with the exchange in `#add`. Whatever is in the memory, a chain is not followed for ever.
    let link = cpu.loadDependent(bucket);
    for (let i = 0; i < this.#limit && link > 0 && link <= this.#limit && link !== end; i++) {
      const entry = this.#entries + (link - 1) * this.#entryWords;
      if (
        this.#hasKey(entry + 1, a) &&
        (keys < 2 || this.#hasKey(entry + 3, b)) &&
        (keys < 3 || this.#hasKey(entry + 5, c)) &&
        (keys < 4 || this.#hasKey(entry + 7, d))
      ) {
        return entry + 1 + 2 * keys;
      }
      link = cpu.loadDependent(entry);
    }
    return 0;
  }

  #hasKey(words: number, key: number): boolean {
    const cpu = this.#cpu;
    return cpu.loadUnordered(words) === lowWord(key) && cpu.loadUnordered(words + 1) === highWord(key);
  }

  #bucketOf(a: number, b: number, c: number, d: number): number {
    let hash = mixed(0, lowWord(a), highWord(a));
    if (this.#keys > 1) hash = mixed(hash, lowWord(b), highWord(b));
    if (this.#keys > 2) hash = mixed(hash, lowWord(c), highWord(c));
    if (this.#keys > 3) hash = mixed(hash, lowWord(d), highWord(d));
    return this.#buckets + (hash >>> this.#shift);
  }

  /** Empties a table that only the calling thread adds to. */
  empty(generation: number): void {
    const cpu = this.#cpu;
    // Releases: a reader that sees any of what follows sees that it is under way, or over.
    cpu.xchg(this.address + TableHead.generation, -1);
    for (let bucket = this.#buckets; bucket < this.#entries; bucket++) cpu.storeRelease(bucket, 0);
    cpu.storeRelease(this.address + TableHead.used, 0);
    cpu.storeRelease(this.address + TableHead.generation, generation);
  }

  /** All keys, and where their values are. */
  *all(): Generator<{ key: number; value: number }> {
    const cpu = this.#cpu;
    for (let bucket = this.#buckets; bucket < this.#entries; bucket++) {
      let link = cpu.loadAcquire(bucket);
      for (let i = 0; i < this.#limit && link > 0 && link <= this.#limit; i++) {
        const entry = this.#entries + (link - 1) * this.#entryWords;
        yield { key: entry + 1, value: entry + 1 + 2 * this.#keys };
        link = cpu.loadAcquire(entry);
      }
    }
  }
}

/** Multiplications spread the key over the upper bits, which choose the bucket. */
function mixed(hash: number, low: number, high: number): number {
  const h = Math.imul(low ^ Math.imul(high, 0xcc9e2d51) ^ hash, 0x9e3779b1);
  return Math.imul(h ^ (h >>> 15), 0x85ebca6b);
}
