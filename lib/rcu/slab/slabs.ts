/**
 * One thread's place in a slab cache: takes objects from its magazine, fills that from the depot, and makes slabs.
 *
 *   a new slab     heap -> filling -> slabs
 *   one that its filler did not finish (it died, or its constructor threw)   filling -> empty -> filling -> slabs
 *
 * At each step one word leads to the slab, so a killed thread loses none.
 */
import { HoldfastError } from '../../errors.ts';
import type { Cpu } from '../../machine/cpu.ts';
import type { Heap } from '../../memory/heap.ts';
import { latch, unlatch } from '../../memory/latch.ts';
import { NAME_AT_SHIFT, ObjectHeader } from '../../memory/objects.ts';
import type { Thread } from '../../sched/thread.ts';
import { CacheWords, firstSlot, Magazine, magazineOf, objectOf, SLAB_WORDS, Slab, shapeOf } from './layout.ts';
import { refill, take } from './magazine.ts';
import { SLAB_KIND } from './repair.ts';

/** Makes the object at the address, which may hold anything. Objects stay made while they are free. */
export type Construct = (address: number) => void;

export class Slabs {
  readonly thread: Thread;
  readonly cpu: Cpu;
  readonly heap: Heap;
  readonly cache: number;
  readonly magazine: number;
  construct: Construct | undefined = undefined;
  #isFilling = false;

  constructor(thread: Thread, heap: Heap, cache: number) {
    this.thread = thread;
    this.cpu = thread.cpu;
    this.heap = heap;
    this.cache = cache;
    this.magazine = magazineOf(cache, thread.number);
  }

  /** The slot of an object in use from here on; 0 when neither the magazine, nor the depot, nor the heap has one. */
  take(): number {
    const { cpu, cache, magazine, thread } = this;
    const slot = take(cpu, magazine, thread.id);
    if (slot !== 0) return slot;
    if (!refill(cpu, cache, magazine, thread.id) && !this.#fill()) return 0;
    return take(cpu, magazine, thread.id);
  }

  /** Puts the objects of another slab in the magazine. False when the heap has none. */
  #fill(): boolean {
    if (this.#isFilling) {
      throw new HoldfastError('EDEADLK', 'a constructor takes no objects from the cache that it makes them for');
    }
    const slab = this.#emptySlab() || this.#newSlab();
    if (slab === 0) return false;
    const { cpu, construct } = this;
    const first = firstSlot(slab);
    const last = first + cpu.read(slab + Slab.objects) - 1;
    for (let slot = first; slot <= last; slot++) cpu.storeUnordered(slot, slot === last ? 0 : slot + 1);
    this.#isFilling = true;
    let isMade = false;
    try {
      if (construct !== undefined) for (let slot = first; slot <= last; slot++) construct(objectOf(cpu, slot));
      isMade = true;
    } finally {
      this.#isFilling = false;
      // Only what the program's function throws comes by here: a constructor that is explored throws nothing.
      if (!isMade) this.#giveUp(slab);
    }
    this.#publish(slab, first, last);
    return true;
  }

  #publish(slab: number, first: number, last: number): void {
    const { cpu, cache, magazine, thread } = this;
    latch(cpu, cache + CacheWords.latch, thread.id);
    cpu.store(slab + Slab.next, cpu.load(cache + CacheWords.slabs));
    cpu.store(cache + CacheWords.slabs, slab);
    const head = cpu.loadUnordered(magazine + Magazine.head);
    if (head === 0) cpu.storeUnordered(magazine + Magazine.tail, last);
    cpu.storeUnordered(last, head);
    cpu.storeUnordered(magazine + Magazine.head, first);
    cpu.storeUnordered(magazine + Magazine.count, cpu.loadUnordered(magazine + Magazine.count) + last - first + 1);
    cpu.store(magazine + Magazine.filling, 0);
    unlatch(cpu, cache + CacheWords.latch);
  }

  #giveUp(slab: number): void {
    const { cpu, cache, magazine, thread } = this;
    latch(cpu, cache + CacheWords.latch, thread.id);
    cpu.store(slab + Slab.next, cpu.load(cache + CacheWords.empty));
    cpu.store(cache + CacheWords.empty, slab);
    cpu.store(magazine + Magazine.filling, 0);
    unlatch(cpu, cache + CacheWords.latch);
  }

  #emptySlab(): number {
    const { cpu, cache, magazine, thread } = this;
    if (cpu.load(cache + CacheWords.empty) === 0) return 0;
    latch(cpu, cache + CacheWords.latch, thread.id);
    const slab = cpu.load(cache + CacheWords.empty);
    if (slab !== 0) {
      cpu.store(magazine + Magazine.filling, slab);
      cpu.store(cache + CacheWords.empty, cpu.load(slab + Slab.next));
    }
    unlatch(cpu, cache + CacheWords.latch);
    return slab;
  }

  #newSlab(): number {
    const { cpu, heap, cache, magazine, thread } = this;
    const slab = heap.tryAlloc(SLAB_WORDS, thread.nascent, SLAB_WORDS);
    if (slab === 0) return 0;
    const objectWords = cpu.read(cache + CacheWords.objectWords);
    const { objects, first } = shapeOf(objectWords);
    for (let word = 0; word < Slab.words; word++) cpu.write(slab + word, 0);
    cpu.write(slab + ObjectHeader.kind, SLAB_KIND.id);
    cpu.write(slab + ObjectHeader.name, SLAB_WORDS << NAME_AT_SHIFT);
    cpu.write(slab + Slab.cache, cache);
    cpu.write(slab + Slab.objectWords, objectWords);
    cpu.write(slab + Slab.objects, objects);
    cpu.write(slab + Slab.first, first);
    heap.publish(slab, thread.nascent, magazine + Magazine.filling);
    return slab;
  }
}

const known = new WeakMap<Thread, Map<number, Slabs>>();

/** The calling thread's place in the cache: the same for all views. */
export function slabsOf(thread: Thread, heap: Heap, cache: number): Slabs {
  let caches = known.get(thread);
  if (caches === undefined) known.set(thread, (caches = new Map()));
  let slabs = caches.get(cache);
  if (slabs === undefined) caches.set(cache, (slabs = new Slabs(thread, heap, cache)));
  return slabs;
}
