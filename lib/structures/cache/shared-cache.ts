import type { Arena } from '../../arena/arena.ts';
import { type ObjectHandle, SharedObject } from '../../arena/shared-object.ts';
import { checkOptionNames, HoldfastError, refusePromise, shown } from '../../errors.ts';
import { openFutexes } from '../../futex/open.ts';
import type { Kind } from '../../memory/kinds.ts';
import type { Repairer } from '../../memory/repairer.ts';
import {
  ABORTABLE_OPTIONS,
  type AbortableOptions,
  block,
  blockAsync,
  type WaitOptions,
  limitsOf as waitLimitsOf,
} from '../../sched/drive.ts';
import type { Waiter } from '../../sched/slow-path.ts';
import { defineStructure } from '../core.ts';
import { Packed, Reader } from '../map/codec.ts';
import { Entry } from '../map/table.ts';
import { stretchIn } from '../readers.ts';
import { Batch } from './batch.ts';
import { Computing } from './computing.ts';
import { areFlightsAwaited, computing, FlightTable, repairFlights } from './flights.ts';
import {
  ACTIVE,
  CacheEntry,
  CacheWords,
  formatCache,
  isPinned,
  linesOf,
  PIN_ON_USE,
  REFERENCED,
  readTime,
} from './layout.ts';
import { type CachePinOptions, limitsOf, pinningOf, type SharedCacheOptions, timeToLive } from './options.ts';
import { type CacheStats, statsOf } from './stats.ts';

const KIND = defineStructure('shared-cache', CacheWords, {
  trailing: linesOf,
  isOccupied: (cpu, cache) => cpu.load(cache + CacheWords.computing) !== 0,
  isAwaited: areFlightsAwaited,
  holderOfWord: computing,
  repair: repairFlights,
});

export interface CacheSetOptions {
  /** After how many ms the entry is too old; 0 for never. @default the cache's */
  ttl?: number | undefined;
}

export interface AsyncCacheSetOptions extends CacheSetOptions, AbortableOptions {}
export interface CacheComputeOptions extends CacheSetOptions, WaitOptions {}
export interface AsyncCacheComputeOptions extends CacheSetOptions, AbortableOptions {}

/** Uses that are forgotten after one for which there was no room. */
const PAUSE = 16;

/**
 * A cache that all threads of an arena share: one copy of each entry, whatever the number of threads. `get` takes no lock, waits
 * for nobody, and writes nothing that other threads read on their way.
 *
 * Keys and values are as in `SharedMap`: copies. When there is no room for another entry the one is put out that is needed least:
 * an entry has to be used twice to get among those that a scan of many keys, each used once, does not touch.
 *
 * `getOrCompute` lets one caller of all threads compute what is missing, while the others wait.
 *
 * Fairness: writers as `Latch` lets them in; who computes next, after one has failed or died, is whoever comes first.
 *
 * Death: a writer's step is made or not. If a thread dies that computes a value, one that waits for it computes it. Pins stay: they are
 * the entry's.
 *
 * Errors: EINVAL for what can't be serialised or an option that can't be; ENOMEM when nothing more can be put out, or readers in
 * other threads still look at what was.
 *
 * Source: mm/swap.c, mm/vmscan.c, mm/workingset.c and mm/mlock.c of the kernel. Its MGLRU is left out: generations pay where the
 * processor says which pages were used; here each access is told, and two lists do with a word an entry.
 */
export class SharedCache<K = unknown, V = unknown> extends SharedObject {
  readonly #table: FlightTable;
  readonly #reader: Reader;
  readonly #batch: Batch;
  readonly #computing: Computing<V>;
  readonly #key = new Packed();
  readonly #value = new Packed();
  readonly #ttl: number;
  #pause = 0;

  /** Opens the cache of that name, making it if there is none, or that of a handle; with neither, a new one. */
  constructor(arena: Arena, which?: string | ObjectHandle, options: SharedCacheOptions = {}) {
    super(kindOf(options), arena, which);
    this.#table = new FlightTable(arena, this, stretchIn(arena));
    this.#reader = new Reader(arena.cpu);
    this.#batch = new Batch(arena.thread, this.address);
    this.#computing = new Computing<V>(this.#table, openFutexes(arena), {
      label: this.label,
      thread: arena.thread.id,
      valueOf: (entry) => this.#valueOf(entry),
      beginWait: (task) => this.beginWait(task),
    });
    this.#ttl = readTime(arena.cpu, this.address + CacheWords.ttlLow);
  }

  static from<K, V>(arena: Arena, handle: ObjectHandle): SharedCache<K, V> {
    return new SharedCache<K, V>(arena, handle);
  }

  /** The value of a key, or undefined. */
  get(key: K): V | undefined {
    this.#key.packKey(key);
    const entry = this.#lookUp(this.#key);
    if (entry === 0) return undefined;
    const table = this.#table;
    return this.#reader.value(table.cpu.read(entry + Entry.valueForm), table.valueBehind(entry, this.#key)) as V;
  }

  /** Whether `get` would find the key. Is no use of it. */
  has(key: K): boolean {
    this.#key.packKey(key);
    this.#table.enter();
    return this.#table.isThere(this.#table.find(this.#key));
  }

  set(key: K, value: V, options: CacheSetOptions = {}): this {
    checkOptionNames(options, ['ttl']);
    const expires = this.#expires(options.ttl);
    this.#key.packKey(key);
    this.#value.pack(value);
    const table = this.#table;
    table.write(() => table.set(this.#key, this.#value, expires));
    this.#computing.wakeAll();
    return this;
  }

  /**
   * `set` that does not block the event loop, where another thread writes, or where all memory waits for a reader. Rejects with
   * ETIMEDOUT and the signal's reason, too: then nothing was set.
   */
  async setAsync(key: K, value: V, options: AsyncCacheSetOptions = {}): Promise<void> {
    const { ttl, ...waits } = options;
    const expires = this.#expires(ttl);
    const [packed, is] = [packedKey(key), new Packed()];
    is.pack(value);
    const table = this.#table;
    await table.writeAsync(() => table.set(packed, is, expires), waits);
    this.#computing.wakeAll();
  }

  /** Takes the key out. True if it was there. A computation of its value that is under way stores nothing. */
  delete(key: K): boolean {
    this.#key.packKey(key);
    const table = this.#table;
    const wasThere = table.write(() => table.delete(this.#key));
    this.#computing.wakeAll();
    return wasThere;
  }

  clear(): void {
    const table = this.#table;
    table.write(() => table.clear());
    this.#computing.wakeAll();
  }

  /** Entries, those included that are too old and that nobody has put out yet. */
  get size(): number {
    this.checkThere();
    return this.#table.entriesCount;
  }

  /**
   * The value of the key; if it is missing, what `fn` makes of the key, which is stored. Of all callers in all threads one runs
   * `fn`, and the others wait, and have its value even if that is too old before they run. If it throws, or its thread dies, one
   * of them runs its own. What a `set` or `delete` did to the key meanwhile stays. A value for which there is no memory is returned
   * and not stored.
   *
   * Rejects with what `fn` throws, with ETIMEDOUT or the signal's reason while it waits for another caller, with EINVAL for a
   * value that can't be serialised. A `fn` that waits for its own key waits for ever.
   */
  async getOrCompute(key: K, fn: (key: K) => V | Promise<V>, options: AsyncCacheComputeOptions = {}): Promise<V> {
    checkFunction(fn, 'getOrCompute');
    const { ttl, ...waits } = options;
    const expires = this.#timeOf(ttl);
    const packed = packedKey(key);
    const found = this.#lookUp(packed);
    if (found !== 0) return this.#valueOf(found);
    const { thread } = this;
    const { heap } = this.arena;
    const limits = waitLimitsOf(thread.cpu, waits, ABORTABLE_OPTIONS);
    const path = (waiter: Waiter) => this.#computing.join(packed, waiter);
    const { outcome, task } = await blockAsync(thread, heap, limits, path, this);
    try {
      if (outcome.is === 'value') return outcome.value;
      if (outcome.is === 'deadlock') throw this.#computing.own();
      const { flight } = outcome;
      const land = (value?: Packed) =>
        blockAsync(
          thread,
          heap,
          undefined,
          (waiter) => this.#computing.land(flight, packed, value, expires(), waiter),
          undefined,
          task,
        );
      let value: V;
      let result: Packed;
      try {
        value = await fn(key);
        result = new Packed();
        result.pack(value);
      } catch (error) {
        await land();
        throw error;
      }
      await land(result);
      return value;
    } finally {
      thread.returnTask(task);
    }
  }

  /**
   * `getOrCompute` that blocks the thread while it waits. Throws what `fn` throws, ETIMEDOUT, EINVAL for a value that can't be
   * serialised or a promise, and EDEADLK when the value is being computed by the thread itself.
   */
  getOrComputeSync(key: K, fn: (key: K) => V, options: CacheComputeOptions = {}): V {
    checkFunction(fn, 'getOrComputeSync');
    const { ttl, ...waits } = options;
    const expires = this.#timeOf(ttl);
    const packed = packedKey(key);
    const found = this.#lookUp(packed);
    if (found !== 0) return this.#valueOf(found);
    const { thread } = this;
    const limits = waitLimitsOf(thread.cpu, waits);
    const outcome = block(thread, limits, (waiter) => this.#computing.join(packed, waiter), this);
    if (outcome.is === 'value') return outcome.value;
    if (outcome.is === 'deadlock') throw this.#computing.own();
    const { flight } = outcome;
    const land = (value?: Packed) =>
      block(thread, undefined, (waiter) => this.#computing.land(flight, packed, value, expires(), waiter));
    let value: V;
    const result = new Packed();
    try {
      value = fn(key);
      refusePromise('the function of getOrComputeSync()', value);
      result.pack(value);
    } catch (error) {
      land();
      throw error;
    }
    land(result);
    return value;
  }

  protected override get obstacle(): string {
    return 'another caller computes the value';
  }

  /**
   * Keeps the entry from being put out until it is unpinned as often; not from getting too old, nor from `delete`. What is set
   * or computed in its place has its pins. False when the key is not there. Throws ENOMEM when the pinned entries would take more than `maxPinnedBytes`.
   */
  pin(key: K): boolean {
    this.#key.packKey(key);
    const table = this.#table;
    return table.write(() => table.pin(this.#key));
  }

  /** Undoes one `pin`. False when the key is not there. Throws EPERM when it is not pinned. */
  unpin(key: K): boolean {
    this.#key.packKey(key);
    const table = this.#table;
    const wasPinned = table.write(() => table.unpin(this.#key));
    if (wasPinned === false) throw new HoldfastError('EPERM', `unpin() of a key that is not pinned: ${shown(key)}`);
    return wasPinned !== undefined;
  }

  /**
   * Pins the whole cache, as `mlockall` does memory: with `current` what is in it now, with `future` what comes in, and with
   * `onFirstUse` each of these once it is used, by a thread that finds no other one writing. An entry has one such pin, beside
   * those of `pin`, and keeps it until `unpinAll`, or until it is deleted.
   *
   * Throws ENOMEM, before anything has changed, when what is there would take more than `maxPinnedBytes`. With `future` a `set`
   * of a new key throws it, and what is computed is not stored; what is used when there is no room is not pinned.
   */
  pinAll(options: CachePinOptions = {}): void {
    const { isCurrent, flag, pinning } = pinningOf(options);
    const table = this.#table;
    table.write(() => table.pinAll(isCurrent, flag, pinning));
  }

  /** Undoes `pinAll`, for entries that are there and those to come. What `pin` has pinned stays so. */
  unpinAll(): void {
    const table = this.#table;
    table.write(() => table.unpinAll());
  }

  /** Sees to the accesses of all threads that nobody has looked at yet: `stats` is exact then. */
  drain(): void {
    const table = this.#table;
    table.write(() => table.drainAll());
  }

  /** Out of date as soon as it is read. */
  stats(): CacheStats {
    return statsOf(this.living, this.address, this.size);
  }

  /** Bytes that the cache has taken from the arena, and bytes of them that hold nothing now. */
  use(): { bytes: number; free: number } {
    return this.#table.write(() => this.#table.pool.use());
  }

  /**
   * Frees the cache with all that is in it. Throws EBUSY while a value is computed, or a call that waited for one has not come
   * back.
   */
  override destroy(): void {
    this.current();
    if (this.thread.cpu.load(this.address + CacheWords.computing) !== 0) {
      throw new HoldfastError('EBUSY', `a value of the ${this.label} is being computed`);
    }
    super.destroy();
  }

  /** The entry, of which one more use is noted, or 0. */
  #lookUp(key: Packed): number {
    const table = this.#table;
    table.enter();
    const entry = table.find(key);
    if (!table.isThere(entry)) {
      this.#batch.miss();
      return 0;
    }
    this.#batch.hit();
    const state = table.cpu.loadUnordered(entry + CacheEntry.state);
    // Of these the lists need not hear.
    const isNoted = (state & (ACTIVE | REFERENCED | PIN_ON_USE)) === (ACTIVE | REFERENCED) || isPinned(state);
    if (!isNoted) this.#note(entry, key);
    return entry;
  }

  #note(entry: number, key: Packed): void {
    const table = this.#table;
    const { cpu } = table;
    if (cpu.loadUnordered(entry + CacheEntry.state) & PIN_ON_USE && table.tryWrite(() => table.pinAtUse(key))) return;
    if (this.#pause > 0) {
      this.#pause--;
      return;
    }
    const [hash, stamp] = [cpu.read(entry + Entry.hash), cpu.read(entry + Entry.stamp)];
    if (this.#batch.record(hash, stamp)) return;
    if (table.tryWrite(() => table.drain())) this.#batch.record(hash, stamp);
    // Another thread writes, and may drain the line itself: what is used meanwhile is forgotten.
    else this.#pause = PAUSE;
  }

  #valueOf(entry: number): V {
    const table = this.#table;
    return this.#reader.value(table.cpu.read(entry + Entry.valueForm), table.valueAt(entry)) as V;
  }

  #expires(ttl: number | undefined): number {
    return this.#timeOf(ttl)();
  }

  /** When an entry that is stored now is too old. Throws EINVAL for a time that can't be. */
  #timeOf(ttl: number | undefined): () => number {
    const ms = ttl === undefined ? this.#ttl : timeToLive(ttl);
    return () => (ms === 0 ? 0 : Math.ceil(this.thread.cpu.now() / 1e6 + ms));
  }

  protected override get shown(): string {
    return `SharedCache(${this.name ?? this.address}, ${this.size} entries)`;
  }
}

function kindOf(options: SharedCacheOptions): Kind<Repairer> {
  const limits = limitsOf(options);
  return { ...KIND, format: (cpu, cache) => formatCache(cpu, cache, limits) };
}

/** A key of one call's own, which goes on in later turns of the loop. */
function packedKey(key: unknown): Packed {
  const packed = new Packed();
  packed.packKey(key);
  return packed;
}

function checkFunction(fn: unknown, call: string): void {
  if (typeof fn !== 'function') throw new HoldfastError('EINVAL', `${call}() takes a function, received ${shown(fn)}`);
}
