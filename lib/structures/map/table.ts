/**
 * The hash table of a SharedMap.
 *
 *   table ──> bits, side, buckets ──> entry ──> entry ──> 0
 *
 * An entry's words do not change while readers can find it, but for its two links: `links + side` is that of the table whose
 * side it is. Another value for a key is another entry in its place. So a change is one word for readers.
 *
 * A table of another size links the same entries by their other links, while readers follow the ones they know. Then one word
 * leads to the new table. The links of the old one are used again when all readers of that moment are out; until then the
 * table stays as large as it is. (Two sets of links: Xu, net/bridge/br_multicast.c, 2010; rhashtable grew out of it.)
 */
import type { Arena } from '../../arena/arena.ts';
import { HoldfastError } from '../../errors.ts';
import type { Cpu } from '../../machine/cpu.ts';
import { struct } from '../../memory/struct.ts';
import type { Stretch } from '../../rcu/stretch.ts';
import { Block } from '../chunks.ts';
import { Core, CoreWords, type StructureView } from '../core.ts';
import { lengthOf, type Packed } from './codec.ts';

export const MapWords = struct({
  core: CoreWords,
  /** 0 before the first entry. */
  table: 1,
  /** Entries. */
  size: 1,
  /** Counts changes; an entry has the number of the change that made it. */
  changes: 1,
  /** The period that ends when nobody follows the other side's links any more; `endHigh` is UNKNOWN until it is asked for. */
  endLow: 1,
  endHigh: 1,
});

export const Table = struct({
  block: Block,
  bits: 1,
  /** Which of the two links: 0 or 1. */
  side: 1,
});

export const Entry = struct({
  block: Block,
  links: 2,
  hash: 1,
  stamp: 1,
  keyForm: 1,
  valueForm: 1,
});

/** A map of four entries or fewer has four buckets. */
const LEAST_BITS = 2;
const MOST_BITS = 20;
/** Entries for each bucket below which the table is halved. */
const SPARSE = 1 / 8;
const HIGH = 2 ** 32;
const UNKNOWN = -1;

export class HashTable extends Core {
  /** Words of an entry before its key. */
  protected readonly keyAt: number;
  /** Words of a table for each bucket: the first of them leads to the entries, the others are the subclass's, and 0 at first. */
  readonly #perBucket: number;
  /** Where the word is that leads to what `find` has found, or would. */
  #link = 0;

  constructor(arena: Arena, view: StructureView, stretch: Stretch, keyAt: number = Entry.words, perBucket = 1) {
    super(arena, view, stretch);
    this.keyAt = keyAt;
    this.#perBucket = perBucket;
  }

  get size(): number {
    return this.cpu.load(this.address + MapWords.size);
  }

  /** The entry of a key, or 0. For readers, and for the writer. */
  find({ hash, form, length, words }: Packed): number {
    const { cpu, keyAt } = this;
    const table = cpu.loadDependent(this.address + MapWords.table);
    if (table === 0) return 0;
    const link = Entry.links + cpu.read(table + Table.side);
    let at = bucketOf(table, cpu.read(table + Table.bits), hash);
    for (;;) {
      const entry = cpu.loadDependent(at);
      if (entry === 0 || (cpu.read(entry + Entry.hash) === hash && isKey(cpu, entry, form, keyAt, words, length))) {
        this.#link = at;
        return entry;
      }
      at = entry + link;
    }
  }

  /** All entries, of which each that is there all the time is there once. */
  entries(): number[] {
    const { cpu } = this;
    const found: number[] = [];
    const table = cpu.loadDependent(this.address + MapWords.table);
    if (table === 0) return found;
    const link = Entry.links + cpu.read(table + Table.side);
    for (let bucket = 0; bucket < 1 << cpu.read(table + Table.bits); bucket++) {
      let entry = cpu.loadDependent(table + Table.words + bucket);
      for (; entry !== 0; entry = cpu.loadDependent(entry + link)) found.push(entry);
    }
    return found;
  }

  /** Where the value of an entry is whose key that is. */
  valueBehind(entry: number, key: Packed): number {
    return entry + this.keyAt + key.length;
  }

  /** Where the value of an entry is. */
  valueAt(entry: number): number {
    return entry + this.keyAt + lengthOf(this.cpu.read(entry + Entry.keyForm));
  }

  /** For the writer: the key has that value from now on. */
  put(key: Packed, value: Packed): void {
    this.reserve(key, value);
    this.begin();
    const old = this.find(key);
    this.stagePut(key, value, old);
    this.commit();
    if (old === 0) this.fit();
  }

  /** For the writer: takes the entry out that `find` has just found. */
  remove(entry: number): void {
    this.begin();
    this.stageRemove(entry);
    this.commit();
    this.fit();
  }

  /** Words of an entry. */
  protected lengthFor(key: Packed, value: Packed): number {
    return this.keyAt + key.length + value.length;
  }

  /** Before the step of a `stagePut`. */
  protected reserve(key: Packed, value: Packed): void {
    if (this.cpu.read(this.address + MapWords.table) === 0) this.#resize(LEAST_BITS);
    this.pool.reserve(this.lengthFor(key, value), 1);
  }

  /** Stages an entry in the place of `old`, which `find` has just found, 0 for none. Returns it. */
  protected stagePut(key: Packed, value: Packed, old: number): number {
    const { cpu, address, journal, pool, keyAt } = this;
    const side = this.#links();
    const entry = pool.take(this.lengthFor(key, value));
    const stamp = (cpu.read(address + MapWords.changes) + 1) | 0;
    cpu.write(entry + Entry.hash, key.hash);
    cpu.write(entry + Entry.stamp, stamp);
    cpu.write(entry + Entry.keyForm, key.form);
    cpu.write(entry + Entry.valueForm, value.form);
    writeWords(cpu, entry + keyAt, key);
    writeWords(cpu, entry + keyAt + key.length, value);
    // At the end of the chain, or where the old one was.
    cpu.write(entry + side, old === 0 ? 0 : cpu.load(old + side));
    journal.stage(address + MapWords.changes, stamp);
    journal.stage(this.#link, entry);
    if (old === 0) journal.stage(address + MapWords.size, this.size + 1);
    else pool.retire(old);
    return entry;
  }

  /** Stages that the entry goes which `find` or `seek` has just found. */
  protected stageRemove(entry: number): void {
    const { cpu, address, journal, pool } = this;
    journal.stage(this.#link, cpu.load(entry + this.#links()));
    journal.stage(address + MapWords.size, this.size - 1);
    pool.retire(entry);
  }

  /** For the writer: the entry of that hash and stamp, or 0. */
  protected seek(hash: number, stamp: number): number {
    const { cpu } = this;
    const table = cpu.read(this.address + MapWords.table);
    if (table === 0) return 0;
    const link = this.#links();
    let at = bucketOf(table, cpu.read(table + Table.bits), hash);
    let entry = cpu.load(at);
    while (entry !== 0 && (cpu.read(entry + Entry.stamp) !== stamp || cpu.read(entry + Entry.hash) !== hash)) {
      at = entry + link;
      entry = cpu.load(at);
    }
    this.#link = at;
    return entry;
  }

  /** The link that leads on from an entry. */
  #links(): number {
    const { cpu } = this;
    return Entry.links + cpu.read(cpu.read(this.address + MapWords.table) + Table.side);
  }

  /** For the writer: takes everything out, in one step; `further` stages what else belongs to it. */
  clear(further: () => void = () => {}): void {
    const { cpu, address, journal, pool } = this;
    const table = cpu.read(address + MapWords.table);
    if (table === 0) return;
    this.begin();
    for (const entry of this.entries()) pool.retire(entry);
    pool.retire(table);
    journal.stage(address + MapWords.table, 0);
    journal.stage(address + MapWords.size, 0);
    further();
    this.commit();
  }

  /** Twice or half as many buckets, if it is time, and if it can be. */
  protected fit(): void {
    const { cpu, address } = this;
    const bits = cpu.read(cpu.read(address + MapWords.table) + Table.bits);
    const buckets = 1 << bits;
    const isFull = this.size > buckets && bits < MOST_BITS;
    const isSparse = this.size < buckets * SPARSE && bits > LEAST_BITS;
    if (!isFull && !isSparse) return;
    const high = cpu.read(address + MapWords.endHigh);
    // The writer that made the table died before it could ask.
    if (high === UNKNOWN) this.#askForEnd();
    else if (this.pool.hasEnded(high * HIGH + (cpu.read(address + MapWords.endLow) >>> 0))) {
      this.#tryResize(isFull ? bits + 1 : bits - 1);
    }
  }

  #askForEnd(): void {
    const end = this.pool.end();
    this.cpu.write(this.address + MapWords.endLow, end | 0);
    this.cpu.write(this.address + MapWords.endHigh, Math.floor(end / HIGH));
  }

  #tryResize(bits: number): void {
    try {
      this.#resize(bits);
    } catch (error) {
      // The arena is full: the chains stay long.
      if (!(error instanceof HoldfastError)) throw error;
    }
  }

  #resize(bits: number): void {
    const { cpu, address, journal, pool } = this;
    const words = Table.words + this.#perBucket * (1 << bits);
    pool.reserve(words, 1);
    this.begin();
    const old = cpu.read(address + MapWords.table);
    const table = pool.take(words);
    const side = old === 0 ? 0 : 1 - cpu.read(old + Table.side);
    cpu.write(table + Table.bits, bits);
    cpu.write(table + Table.side, side);
    for (let at = table + Table.words; at < table + words; at++) cpu.write(at, 0);
    for (const entry of old === 0 ? [] : this.entries()) {
      const bucket = bucketOf(table, bits, cpu.read(entry + Entry.hash));
      // Nobody follows this link now.
      cpu.store(entry + Entry.links + side, cpu.read(bucket));
      cpu.write(bucket, entry);
    }
    journal.stage(address + MapWords.table, table);
    journal.stage(address + MapWords.endHigh, UNKNOWN);
    if (old !== 0) pool.retire(old);
    this.commit();
    this.#askForEnd();
  }
}

function bucketOf(table: number, bits: number, hash: number): number {
  return table + Table.words + (hash >>> (32 - bits));
}

/** Whether the entry has that key, whose hash it has. */
function isKey(cpu: Cpu, entry: number, form: number, keyAt: number, words: Int32Array, length: number): boolean {
  return cpu.read(entry + Entry.keyForm) === form && holds(cpu, entry + keyAt, words, length);
}

/** Whether the words from `at` on are these. */
export function holds(cpu: Cpu, at: number, words: Int32Array, length: number): boolean {
  for (let i = 0; i < length; i++) if (cpu.read(at + i) !== words[i]) return false;
  return true;
}

function writeWords(cpu: Cpu, at: number, { words, length }: Packed): void {
  for (let i = 0; i < length; i++) cpu.write(at + i, words[i] as number);
}
