/**
 * `kfree`: one thread's objects and blocks that are freed when a grace period is over. Nothing is written to what is to be
 * freed, since readers may still look at it: an object of a slab cache is chained by its slot, and a block of the heap is
 * named by an object of a cache of the library's own.
 *
 * For each cache the thread has two lists: what waits for the current period, and what came later. When the period is over
 * the first goes to the thread's magazine, in one step, and the second takes its place with a period of its own. That
 * happens on the event loop, and with every few hundred calls as well: a thread that never returns to its loop gets its
 * memory back, too. The lists are in shared memory: those of a dead thread go to the next that frees in the same cache.
 */
import { HoldfastError, shown } from '../errors.ts';
import { setImmediate } from '../machine/host.ts';
import type { Heap } from '../memory/heap.ts';
import type { Objects } from '../memory/object-store.ts';
import { ObjectHeader } from '../memory/objects.ts';
import { blockAsync } from '../sched/drive.ts';
import { advance, isOver, snapshot, spinOnReaders } from './grace-period.ts';
import { Line, NORMAL } from './layout.ts';
import type { Readers } from './reader.ts';
import { BATCH, CacheWords, Magazine, NAMES_BLOCKS, objectOf, Slab, slabOf, slotOf } from './slab/layout.ts';
import { adopt, claim, give, putClaimed, splice, turn } from './slab/magazine.ts';
import { CACHE_KIND, SLAB_KIND } from './slab/repair.ts';
import { type Slabs, slabsOf } from './slab/slabs.ts';
import { waitForEnd, wakeWaiters } from './wait.ts';

/** After how many calls the thread looks whether a period is over. */
const LOOK = 256;
/** From here on it waits a moment for the readers that hold the period up: the kernel's `qhimark`. */
const HIGH_MARK = 10_000;
/** Blocks that go back to the heap in one turn of the loop: about 3 ms. */
const MOST_BLOCKS = 10_000;

interface Pending {
  readonly slabs: Slabs;
  /** The number of the period that the waiting list needs. */
  end: number;
  /** Whether there may be something to free. A cache is not looked at when there is not: it may have been destroyed. */
  isActive: boolean;
}

export class Freeing {
  readonly #readers: Readers;
  readonly #heap: Heap;
  readonly #objects: Objects;
  /** A quiescent state of the thread, unless it is inside a reader. */
  readonly #quiesce: () => void;
  readonly #caches = new Map<number, Pending>();
  #names: Pending | undefined;
  #latest: Pending | undefined;
  /** The words that name what is freed at a time. */
  readonly #homes: number[] = Array(BATCH).fill(0);
  #isRunning = false;
  #rest: Promise<void> = Promise.resolve();

  constructor(readers: Readers, heap: Heap, objects: Objects, quiesce: () => void) {
    this.#readers = readers;
    this.#heap = heap;
    this.#objects = objects;
    this.#quiesce = quiesce;
  }

  /** What this thread has to free, objects and blocks. */
  get size(): number {
    const { cpu, line } = this.#readers;
    return (cpu.loadUnordered(line + Line.kfreed) - cpu.loadUnordered(line + Line.reclaimed)) | 0;
  }

  /**
   * Settles when this thread, which has nothing to free any more, is done with it: a call may have freed what a task on the event
   * loop is about to look for.
   */
  get rest(): Promise<void> {
    return this.#rest;
  }

  kfree(address: number): void {
    // Before anything is queued: it may find the arena full.
    if (!this.#isRunning) this.#run();
    const slab = slabOf(address);
    const { cpu } = this.#readers;
    if (this.#heap.isObject(slab) && cpu.read(slab + ObjectHeader.kind) === SLAB_KIND.id)
      this.#freeObject(slab, address);
    else this.#freeBlock(address);
  }

  #freeObject(slab: number, address: number): void {
    const { cpu, thread } = this.#readers;
    const cache = cpu.read(slab + Slab.cache);
    let pending = this.#latest;
    const isLatest = pending?.slabs.cache === cache && cpu.read(cache + CacheWords.domain) === this.#readers.domain.rcu;
    if (pending === undefined || !isLatest) this.#latest = pending = this.#pendingIn(cache);
    const slot = slotOf(cpu, slab, address);
    const isNode = (cpu.read(cache + CacheWords.flags) & NAMES_BLOCKS) !== 0;
    if (slot === 0 || isNode || !claim(cpu, pending.slabs.magazine, slot, thread.id)) throw notInUse(address);
    this.#put(pending, slot);
  }

  #freeBlock(address: number): void {
    const { cpu, thread } = this.#readers;
    if (!this.#heap.isPlain(address)) throw notInUse(address);
    const pending = (this.#names ??= this.#pendingIn(this.#openNames()));
    const { slabs } = pending;
    const slot = slabs.take() || this.#takeLast(slabs);
    // Not so only where another thread frees it just now.
    if (!this.#heap.doom(address, objectOf(cpu, slot), thread.nascent)) {
      claim(cpu, slabs.magazine, slot, thread.id);
      give(cpu, slabs.cache, slabs.magazine, slot, thread.id);
      throw notInUse(address);
    }
    cpu.storeUnordered(slabs.magazine + Magazine.giving, -slot);
    this.#put(pending, slot);
  }

  #put(pending: Pending, slot: number): void {
    const { cpu, line } = this.#readers;
    const { magazine } = pending.slabs;
    putClaimed(cpu, magazine, magazine + Magazine.next, slot);
    pending.isActive = true;
    // Pairs with the acquire in `callbacksOfNow` of domain.ts, as far as the caller of a barrier has heard of it.
    cpu.storeReleaseLight(line + Line.kfreed, (cpu.loadUnordered(line + Line.kfreed) + 1) | 0);
    if (cpu.loadUnordered(magazine + Magazine.nextCount) % LOOK === 0) this.#look(pending);
  }

  /** A name where there is no memory for one before something is freed. */
  #takeLast(slabs: Slabs): number {
    this.reclaim();
    const slot = slabs.take();
    if (slot === 0) throw this.#heap.exhausted(1, 'what kfree() is to free');
    return slot;
  }

  /** Frees what it can without waiting. */
  reclaim(): void {
    this.#quiesce();
    for (const pending of this.#active()) this.#free(pending, Number.POSITIVE_INFINITY);
  }

  /**
   * For a thread that has found no memory: frees what it can, if need be after a moment in which readers leave. Returns whether
   * there was any. Kernel's `kfree_rcu_shrink_scan`.
   */
  readonly #shrink = (): boolean => {
    const { thread, domain } = this.#readers;
    const before = this.size;
    this.reclaim();
    if (this.size === before) {
      spinOnReaders(thread, domain);
      this.reclaim();
    }
    return this.size < before;
  };

  #look(pending: Pending): void {
    const { thread, domain } = this.#readers;
    this.#quiesce();
    if (this.size > HIGH_MARK) {
      if (pending.end > 0) advance(thread, domain, NORMAL, pending.end);
      spinOnReaders(thread, domain);
    }
    this.#free(pending, Number.POSITIVE_INFINITY);
  }

  /** Makes what steps can be made, and frees at most so many blocks. Returns whether nothing is left to be freed. */
  #free(pending: Pending, most: number): boolean {
    const { cpu, thread, domain } = this.#readers;
    const { magazine, cache } = pending.slabs;
    for (let left = most; ; ) {
      const hasNext = cpu.loadUnordered(magazine + Magazine.next) !== 0;
      if (cpu.loadUnordered(magazine + Magazine.waiting) === 0) {
        if (!hasNext && !this.#adopt(cache, magazine)) {
          pending.isActive = false;
          return true;
        }
        turn(cpu, magazine);
        pending.end = snapshot(thread, domain, NORMAL);
      }
      if (!isOver(thread, domain, NORMAL, pending.end)) advance(thread, domain, NORMAL, pending.end);
      if (left <= 0 || !isOver(thread, domain, NORMAL, pending.end)) return false;
      const count = pending === this.#names ? this.#freeBlocks(pending.slabs, left) : this.#freeObjects(pending.slabs);
      if (pending === this.#names) left -= count;
    }
  }

  #adopt(cache: number, magazine: number): boolean {
    const { cpu, line, thread } = this.#readers;
    const count = adopt(cpu, cache, magazine, thread.id);
    cpu.storeReleaseLight(line + Line.kfreed, (cpu.loadUnordered(line + Line.kfreed) + count) | 0);
    return count > 0;
  }

  #freeObjects({ cache, magazine }: Slabs): number {
    const { cpu, thread } = this.#readers;
    const count = cpu.loadUnordered(magazine + Magazine.waitingCount);
    splice(cpu, cache, magazine, thread.id);
    this.#count(count);
    return count;
  }

  /** Frees the blocks that the waiting objects name. With the last of them the objects are free themselves. */
  #freeBlocks(slabs: Slabs, most: number): number {
    const { cpu, thread } = this.#readers;
    const homes = this.#homes;
    let count = 0;
    let slot = cpu.loadUnordered(slabs.magazine + Magazine.waiting);
    for (; slot !== 0 && count < most; slot = cpu.loadUnordered(slot)) {
      const home = objectOf(cpu, slot);
      // A slice before this one has freed it.
      if (cpu.loadUnordered(home) === 0) continue;
      homes[count++ % BATCH] = home;
      if (count % BATCH === 0) this.#heap.freeDoomed(homes, BATCH, thread.nascent);
    }
    this.#heap.freeDoomed(homes, count % BATCH, thread.nascent);
    if (slot === 0) this.#freeObjects(slabs);
    return count;
  }

  #count(count: number): void {
    const { cpu, line, thread, domain } = this.#readers;
    cpu.storeRelease(line + Line.reclaimed, (cpu.loadUnordered(line + Line.reclaimed) + count) | 0);
    wakeWaiters(thread, domain);
  }

  #active(): Pending[] {
    return [...this.#caches.values()].filter(({ isActive }) => isActive);
  }

  #run(): void {
    const task = this.#readers.thread.takeTask(this.#heap);
    this.#isRunning = true;
    this.#readers.thread.shrinkers.add(this.#shrink);
    this.#rest = this.#freeAll(task);
  }

  /** Until nothing is left. Its task is in use all the time: a thread cannot detach from what it has to free. */
  async #freeAll(task: number): Promise<void> {
    const { thread, domain } = this.#readers;
    // All that this turn of the loop frees shares a period.
    await undefined;
    for (;;) {
      const left = this.#active().filter((pending) => !this.#free(pending, MOST_BLOCKS));
      const [first] = left;
      if (first === undefined) break;
      const { end } = first;
      await blockAsync(
        thread,
        this.#heap,
        undefined,
        (waiter) => waitForEnd(domain, NORMAL, end, waiter),
        undefined,
        task,
      );
      await new Promise<void>((go) => setImmediate(go));
    }
    this.#isRunning = false;
    thread.shrinkers.delete(this.#shrink);
    thread.returnTask(task);
  }

  /** Throws EINVAL when the cache's objects have other readers. */
  #pendingIn(cache: number): Pending {
    const { cpu, thread, domain } = this.#readers;
    if (cpu.read(cache + CacheWords.domain) !== domain.rcu) {
      throw new HoldfastError(
        'EINVAL',
        `the ${this.#objects.labelOf(cache)} was not made with { rcu } of the ${this.#objects.labelOf(domain.rcu)}`,
      );
    }
    let pending = this.#caches.get(cache);
    if (pending === undefined) {
      this.#caches.set(cache, (pending = { slabs: slabsOf(thread, this.#heap, cache), end: 0, isActive: false }));
    }
    return pending;
  }

  /** The cache of the objects that name blocks: one for a domain. */
  #openNames(): number {
    const { cpu, thread, domain } = this.#readers;
    const cache = this.#objects.open(CACHE_KIND, `holdfast.kfree.${domain.rcu}`);
    // Several threads may write it: all write the same.
    cpu.store(cache + CacheWords.flags, NAMES_BLOCKS);
    cpu.store(cache + CacheWords.domain, domain.rcu);
    cpu.store(cache + CacheWords.objectWords, 1);
    slabsOf(thread, this.#heap, cache).construct = (address) => cpu.store(address, 0);
    return cache;
  }
}

function notInUse(address: number): HoldfastError {
  return new HoldfastError(
    'EINVAL',
    `kfree(${shown(address)}): no memory from alloc() and no object of a cache in use starts there; was it freed before?`,
  );
}
