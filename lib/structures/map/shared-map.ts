import type { Arena } from '../../arena/arena.ts';
import { type ObjectHandle, SharedObject } from '../../arena/shared-object.ts';
import { HoldfastError, refusePromise, shown } from '../../errors.ts';
import type { AbortableOptions } from '../../sched/drive.ts';
import { defineStructure } from '../core.ts';
import { stretchIn } from '../readers.ts';
import { Packed, Reader } from './codec.ts';
import { Entry, HashTable, holds, MapWords } from './table.ts';

const KIND = defineStructure('shared-map', MapWords);

/**
 * A map that all threads of an arena share. `get` takes no lock and waits for nobody, also while another thread writes or the
 * table grows; writers take the map's own lock.
 *
 * Keys and values are what can be structured-cloned; what comes out is a copy. Keys are the same when their copies are: 1 and
 * '1' differ, NaN is NaN, 0 is -0, and two objects with the same properties in the same order are one key. Numbers, strings,
 * true, false, null and undefined are stored as they are, a Uint8Array as bytes, anything else as `v8.serialize` writes it,
 * which costs some microseconds.
 *
 * Each call is one step for other threads. Iteration goes over what was there when it began.
 *
 * Fairness: writers as `Latch` lets them in. Death: a writer's step is made or not.
 *
 * Errors: EINVAL for what can't be serialised; ENOMEM before anything has changed.
 *
 * Source: lib/rhashtable.c of the kernel, for a table that readers use while it is resized.
 */
export class SharedMap<K = unknown, V = unknown> extends SharedObject {
  readonly #table: HashTable;
  readonly #reader: Reader;
  readonly #key = new Packed();
  readonly #value = new Packed();

  /** Opens the map of that name, making it if there is none, or that of a handle; with neither, a new one. */
  constructor(arena: Arena, which?: string | ObjectHandle) {
    super(KIND, arena, which);
    this.#table = new HashTable(arena, this, stretchIn(arena));
    this.#reader = new Reader(arena.cpu);
  }

  static from<K, V>(arena: Arena, handle: ObjectHandle): SharedMap<K, V> {
    return new SharedMap<K, V>(arena, handle);
  }

  /** The value of a key, or undefined. */
  get(key: K): V | undefined {
    // `#find` and `#valueOf`, in a form that V8 compiles into the caller.
    const packed = this.#key;
    const table = this.#table;
    packed.packKey(key);
    table.enter();
    const entry = table.find(packed);
    if (entry === 0) return undefined;
    return this.#reader.value(table.cpu.read(entry + Entry.valueForm), table.valueBehind(entry, packed)) as V;
  }

  has(key: K): boolean {
    return this.#find(key) !== 0;
  }

  set(key: K, value: V): this {
    this.#key.packKey(key);
    this.#value.pack(value);
    const table = this.#table;
    table.write(() => table.put(this.#key, this.#value));
    return this;
  }

  /**
   * `set` that does not block the event loop, where another thread writes, or where all memory waits for a reader. Rejects with
   * ETIMEDOUT and the signal's reason, too: then nothing was set.
   */
  async setAsync(key: K, value: V, options?: AbortableOptions): Promise<void> {
    // Of this call: others come in between.
    const [packed, is] = [new Packed(), new Packed()];
    packed.packKey(key);
    is.pack(value);
    const table = this.#table;
    await table.writeAsync(() => table.put(packed, is), options);
  }

  /** Takes the key out. True if it was there. */
  delete(key: K): boolean {
    this.#key.packKey(key);
    const table = this.#table;
    return table.write(() => {
      const entry = table.find(this.#key);
      if (entry !== 0) table.remove(entry);
      return entry !== 0;
    });
  }

  /** Sets the key's value if it is `expected` now, undefined for a key that is not there. True if it was. */
  compareAndSet(key: K, expected: V | undefined, value: V): boolean {
    const was = new Packed();
    was.pack(expected);
    this.#key.packKey(key);
    this.#value.pack(value);
    const table = this.#table;
    return table.write(() => {
      const entry = table.find(this.#key);
      if (entry === 0 ? expected !== undefined : !this.#holds(entry, was)) return false;
      table.put(this.#key, this.#value);
      return true;
    });
  }

  /**
   * Sets the key's value to what `fn` makes of it, and returns that. `fn` holds no lock: when another thread has set the key
   * meanwhile, it is called again. It may use the map, and it may not return a promise.
   */
  update(key: K, fn: (value: V | undefined) => V): V {
    if (typeof fn !== 'function') throw new HoldfastError('EINVAL', `update() takes a function, received ${shown(fn)}`);
    const table = this.#table;
    for (;;) {
      const before = this.#find(key);
      const stamp = before === 0 ? 0 : table.cpu.read(before + Entry.stamp);
      const value = fn(before === 0 ? undefined : this.#valueOf(before));
      refusePromise('the function of update()', value);
      // It may have destroyed the map.
      this.checkThere();
      this.#key.packKey(key);
      this.#value.pack(value);
      const isSet = table.write(() => {
        const now = table.find(this.#key);
        const isSame = now === 0 ? before === 0 : before !== 0 && table.cpu.read(now + Entry.stamp) === stamp;
        if (isSame) table.put(this.#key, this.#value);
        return isSame;
      });
      if (isSet) return value;
    }
  }

  get size(): number {
    this.checkThere();
    return this.#table.size;
  }

  clear(): void {
    const table = this.#table;
    table.write(() => table.clear());
  }

  /** Keys and values as they were when the first was asked for, in no order. */
  *entries(): Generator<[K, V], void> {
    const table = this.#table;
    table.enter();
    const all = table.entries().map((entry): [K, V] => [this.#keyOf(entry), this.#valueOf(entry)]);
    yield* all;
  }

  *keys(): Generator<K, void> {
    for (const [key] of this.entries()) yield key;
  }

  *values(): Generator<V, void> {
    for (const [, value] of this.entries()) yield value;
  }

  [Symbol.iterator](): Generator<[K, V], void> {
    return this.entries();
  }

  forEach(fn: (value: V, key: K, map: this) => void): void {
    for (const [key, value] of this.entries()) fn(value, key, this);
  }

  /** Bytes that the map has taken from the arena, and bytes of them that hold nothing now. */
  use(): { bytes: number; free: number } {
    return this.#table.write(() => this.#table.pool.use());
  }

  #find(key: K): number {
    this.#key.packKey(key);
    this.#table.enter();
    return this.#table.find(this.#key);
  }

  #keyOf(entry: number): K {
    return this.#reader.value(this.#table.cpu.read(entry + Entry.keyForm), entry + Entry.words) as K;
  }

  #valueOf(entry: number): V {
    const table = this.#table;
    return this.#reader.value(table.cpu.read(entry + Entry.valueForm), table.valueAt(entry)) as V;
  }

  #holds(entry: number, { form, length, words }: Packed): boolean {
    const table = this.#table;
    const { cpu } = table;
    return cpu.read(entry + Entry.valueForm) === form && holds(cpu, table.valueAt(entry), words, length);
  }

  protected override get shown(): string {
    return `SharedMap(${this.name ?? this.address}, ${this.size} entries)`;
  }
}
