import type { Arena } from '../../arena/arena.ts';
import { type ObjectHandle, SharedObject } from '../../arena/shared-object.ts';
import { checkOptionNames, HoldfastError, shown } from '../../errors.ts';
import { latch, unlatch } from '../../memory/latch.ts';
import { isPresent } from '../../memory/objects.ts';
import { maxThreads } from '../../sched/slot.ts';
import type { RcuDomain } from '../domain.ts';
import {
  CacheWords,
  CONSTRUCTED,
  GIVING,
  LARGEST_WORDS,
  Magazine,
  magazineOf,
  objectOf,
  SLAB_WORDS,
  Slab,
  slabOf,
  slotOf,
} from './layout.ts';
import { claim, give } from './magazine.ts';
import { CACHE_KIND, slotsInUse } from './repair.ts';
import { type Construct, type Slabs, slabsOf } from './slabs.ts';

export interface KmemCacheOptions {
  /** Length of an object in 32-bit words, 1 to 320. May be left out where the cache exists already. */
  words?: number | undefined;
  /**
   * Makes an object at its address, when the cache gets memory for it. An object that is freed is to be left as made, and
   * is handed out as it was left. All threads that open the cache pass it, or none.
   */
  construct?: Construct | undefined;
  /**
   * The domain that frees objects with `kfree`. Its readers may also look at an object that was freed at once: its memory is
   * an object of this cache until they are out (the kernel's SLAB_TYPESAFE_BY_RCU).
   */
  rcu?: RcuDomain | undefined;
}

/** An object that nobody has given back. */
export interface KmemLeak {
  readonly address: number;
  /** CPU number of the thread that took it. It may be dead, and the number another thread's by now. */
  readonly thread: number;
}

/**
 * Objects of one size, packed 4 KiB at a time, that a thread takes and gives back without a lock: each thread keeps some
 * free ones (a magazine), and trades them with the other threads' by the list.
 *
 * Cost: about a line's worth of plain stores to take an object, one atomic to give it back. 4 bytes an object, 40 a slab.
 * Memory stays the cache's until `destroy`.
 *
 * Death: what a dead thread's magazine holds goes to the others. An object that it had taken stays in use, as memory from
 * `arena.alloc` does; `leaks()` says which.
 *
 * Source: mm/slub.c, and Bonwick and Adams, "Magazines and Vmem" (2001).
 */
export class KmemCache extends SharedObject {
  readonly #slabs: Slabs;
  readonly #rcu: RcuDomain | undefined;

  /**
   * Opens the cache of that name, making it if there is none, or that of a handle; with neither, a new one. Throws EINVAL
   * when it has objects of another size, other readers, or a constructor where none is passed, or the other way round.
   */
  constructor(arena: Arena, which: string | ObjectHandle | undefined, options: KmemCacheOptions = {}) {
    checkOptionNames(options, ['words', 'construct', 'rcu']);
    const { words, construct, rcu } = options;
    if (words !== undefined && (!Number.isInteger(words) || words < 1 || words > LARGEST_WORDS)) {
      throw new HoldfastError('EINVAL', `an object has 1 to ${LARGEST_WORDS} words, received ${shown(words)}`);
    }
    if (words === undefined && which === undefined) {
      throw new HoldfastError('EINVAL', 'a new cache needs the length of its objects: { words }');
    }
    if (construct !== undefined && typeof construct !== 'function') {
      throw new HoldfastError('EINVAL', `construct is a function, received ${shown(construct)}`);
    }
    if (rcu !== undefined && rcu?.arena !== arena) {
      throw new HoldfastError('EINVAL', `rcu is an Rcu, RcuQsbr or Srcu of the cache's arena, received ${shown(rcu)}`);
    }
    if (words === undefined && typeof which === 'string' && arena?.objects?.has(which) === false) {
      throw new HoldfastError('EINVAL', `there is no kmem-cache ${shown(which)} yet: pass { words } to make it`);
    }
    super(CACHE_KIND, arena, which);
    this.#rcu = rcu;
    this.#settle(words, (construct && CONSTRUCTED) ?? 0, rcu?.address ?? 0);
    this.#slabs = slabsOf(this.thread, arena.heap, this.address);
    this.#slabs.construct = construct;
  }

  static from(arena: Arena, handle: ObjectHandle, options?: KmemCacheOptions): KmemCache {
    return new KmemCache(arena, handle, options);
  }

  /** Length of an object, 32-bit words. */
  get words(): number {
    return this.living.read(this.address + CacheWords.objectWords);
  }

  /**
   * The address of an object: of any content, or as its constructor or its last user left it. Throws ENOMEM, but not before what
   * this thread has given to `kfree`, and no reader can see any more, is free.
   */
  alloc(): number {
    this.thread.current();
    const { cpu, cache } = this.#slabs;
    const slot = this.#slabs.take();
    if (!isPresent(cpu, cache)) return this.#allocAgain(slot);
    return slot === 0 ? this.#allocLast() : objectOf(cpu, slot);
  }

  #allocLast(): number {
    const slot = this.thread.shrink() ? this.#slabs.take() : 0;
    if (slot === 0) throw this.arena.heap.exhausted(SLAB_WORDS, `objects of the ${this.label}`);
    return objectOf(this.#slabs.cpu, slot);
  }

  /** Gives an object back, on any thread. Throws EINVAL, and changes nothing, when it is none of this cache or not in use. */
  free(address: number): void {
    this.thread.current();
    const { cpu, id } = this.thread;
    const { cache, magazine, heap } = this.#slabs;
    if (!isPresent(cpu, cache)) this.checkThere();
    const slab = slabOf(address);
    const isOwn = heap.isObject(slab) && cpu.read(slab + Slab.cache) === cache;
    const slot = isOwn ? slotOf(cpu, slab, address) : 0;
    if (slot === 0 || !claim(cpu, magazine, slot, id)) {
      const reason = slot === 0 ? 'no object of it starts there' : 'it was freed before';
      throw new HoldfastError('EINVAL', `free(${shown(address)}) to the ${this.label}: ${reason}`);
    }
    give(cpu, cache, magazine, slot, id);
  }

  /** The objects in use, out of date as soon as they are listed. It looks at all: for tests, and at the end. */
  leaks(): KmemLeak[] {
    const { cpu } = this.thread;
    this.current();
    const leaks: KmemLeak[] = [];
    for (const slot of slotsInUse(cpu, this.address)) {
      const state = cpu.load(slot);
      // Given back meanwhile, where it is not.
      if (state < 0) leaks.push({ address: objectOf(cpu, slot), thread: (-state % GIVING) - 1 });
    }
    return leaks;
  }

  /**
   * Frees the cache and its memory; one with readers waits for them first, blocking the thread, and throws EDEADLK inside one
   * of this thread. Throws EBUSY, and says which, while objects are in use, or are to be freed after a grace period.
   */
  override destroy(): void {
    this.current();
    const { cpu } = this.thread;
    const leaks = this.leaks();
    if (leaks.length > 0) {
      const some = leaks.slice(0, 5).map(({ address, thread }) => `${address} (taken by thread ${thread})`);
      throw new HoldfastError(
        'EBUSY',
        `${leaks.length} objects of the ${this.label} are in use: ${some.join(', ')}${leaks.length > 5 ? ' …' : ''}`,
      );
    }
    for (let number = 0; number < maxThreads(cpu); number++) {
      const magazine = magazineOf(this.address, number);
      if (cpu.load(magazine + Magazine.waiting) === 0 && cpu.load(magazine + Magazine.next) === 0) continue;
      const message = `thread ${number} has objects of the ${this.label} to free after a grace period: barrier() first`;
      throw new HoldfastError('EBUSY', message);
    }
    if (cpu.read(this.address + CacheWords.domain) !== 0) {
      if (this.#rcu === undefined) {
        throw new HoldfastError('EINVAL', `the ${this.label} has readers: open it with { rcu } to destroy it`);
      }
      this.#rcu.synchronize();
    }
    super.destroy();
  }

  /** `alloc`, with a slot in hand, of a cache that is destroyed or was to be. */
  #allocAgain(slot: number): number {
    const { cpu, cache, magazine, thread } = this.#slabs;
    if (slot !== 0 && claim(cpu, magazine, slot, thread.id)) give(cpu, cache, magazine, slot, thread.id);
    this.checkThere();
    return this.alloc();
  }

  /** What the maker says, and all others must say, too. */
  #settle(words: number | undefined, flags: number, domain: number): void {
    const { cpu, id } = this.thread;
    const cache = this.address;
    latch(cpu, cache + CacheWords.latch, id);
    const isNew = cpu.read(cache + CacheWords.objectWords) === 0;
    if (isNew && words !== undefined) {
      cpu.write(cache + CacheWords.flags, flags);
      cpu.write(cache + CacheWords.domain, domain);
      // Last: the cache is settled with it, also when this thread dies here.
      cpu.store(cache + CacheWords.objectWords, words);
    }
    const seen = [CacheWords.objectWords, CacheWords.flags, CacheWords.domain].map((word) => cpu.read(cache + word));
    unlatch(cpu, cache + CacheWords.latch);
    const [size, made, readers] = seen;
    if (size === 0) throw new HoldfastError('EINVAL', `there is no ${this.label} yet: pass { words } to make it`);
    const differs =
      words !== undefined && words !== size
        ? `objects of ${size} words, not ${words}`
        : made !== flags
          ? made === CONSTRUCTED
            ? 'a constructor: pass it'
            : 'no constructor'
          : domain !== 0 && domain !== readers
            ? 'other readers'
            : undefined;
    if (differs !== undefined) throw new HoldfastError('EINVAL', `the ${this.label} has ${differs}`);
  }

  protected override get shown(): string {
    return `KmemCache(${this.name ?? this.address}, ${this.words} words)`;
  }
}
