/**
 * The shared memory of a slab cache, and of its slabs.
 *
 *   cache   latch … | lists | a line for each thread: its magazine, and what it frees after a grace period
 *   slab    cache … | a slot for each object | objects                 starts at a multiple of SLAB_WORDS
 *
 * An object's slot says where the object is; the object itself is the program's, also while it is free:
 *
 *   >= 0                free: the next slot of the list it is in, 0 at the end
 *   -id                 in use; the thread with this CPU number plus one has taken it
 *   -(GIVING + id)      that thread is just giving it back
 *
 * All lists are made of slots. Where an object is follows from its slot, and the slot from the object, because slabs are
 * aligned: nothing in front of the object, no table.
 */
import type { Cpu } from '../../machine/cpu.ts';
import { ObjectHeader } from '../../memory/objects.ts';
import { inLines, LINE_WORDS, struct } from '../../memory/struct.ts';
import { maxThreads } from '../../sched/slot.ts';

/** 4 KiB. */
export const SLAB_WORDS = 1024;
/** So that a slab has three objects at least. Larger ones are `arena.alloc`'s. */
export const LARGEST_WORDS = 320;
/** Objects that a thread takes from the depot at a time, and keeps when it gives some back there. */
export const BATCH = 64;

export const GIVING = 1 << 20;

export const CacheWords = struct({
  header: ObjectHeader,
  /** Guards the lists here. Taken before heapLatch. */
  latch: 1,
  /** Of an object; 0 until the cache's maker has said. */
  objectWords: 1,
  /** The RCU domain whose readers look at objects, 0 for none. Set once. */
  domain: 1,
  flags: 1,
  batch: 1,
  /** All slabs with objects that are handed out or in lists, chained by `Slab.next`. */
  slabs: 1,
  /** Slabs whose objects are in no list: they go back to the heap, or are filled again. */
  empty: 1,
  /** Free objects that are in no magazine. */
  depot: 1,
  /** What dead threads were to free after a grace period. */
  doomed: 1,
  pad: 2 * LINE_WORDS - ObjectHeader.words - 9,
});

/** Each object is made by a function of the program when its slab is filled. */
export const CONSTRUCTED = 1;
/** The objects are the library's own, and each names a block of the heap that is freed with it. */
export const NAMES_BLOCKS = 2;

/** One thread's line. All of it is written by its thread only. */
export const Magazine = struct({
  head: 1,
  /** The last slot. Nothing while `head` is 0. */
  tail: 1,
  count: 1,
  /** The slot that is being taken. */
  taking: 1,
  /** The slot that is being given back: positive while another thread may be first, negative when this one was. */
  giving: 1,
  /** The slab that is being filled. */
  filling: 1,
  /** Objects that are freed when the current period is over: first, last, how many. */
  waiting: 1,
  waitingTail: 1,
  waitingCount: 1,
  /** Those of the next period. */
  next: 1,
  nextTail: 1,
  nextCount: 1,
  pad: LINE_WORDS - 12,
});

export const Slab = struct({
  header: ObjectHeader,
  cache: 1,
  next: 1,
  /** Copies of what the cache says, and what follows from it. */
  objectWords: 1,
  objects: 1,
  /** Of the first object, from the slab on. */
  first: 1,
});

export function magazineOf(cache: number, number: number): number {
  return cache + CacheWords.words + number * Magazine.words;
}

export function trailingMagazines(cpu: Cpu): number {
  return maxThreads(cpu) * Magazine.words;
}

/** How many objects of that size a slab has, and where they begin. Whole lines start a line each. */
export function shapeOf(objectWords: number): { readonly objects: number; readonly first: number } {
  const isInLines = objectWords % LINE_WORDS === 0;
  for (let objects = Math.floor((SLAB_WORDS - Slab.words) / (objectWords + 1)); ; objects--) {
    const first = isInLines ? inLines(Slab.words + objects) : Slab.words + objects;
    if (first + objects * objectWords <= SLAB_WORDS) return { objects, first };
  }
}

export function slabOf(address: number): number {
  return address - (address % SLAB_WORDS);
}

/** The slot of the object at `address`, which lies in the slab; 0 where no object starts. */
export function slotOf(cpu: Cpu, slab: number, address: number): number {
  const index = (address - slab - cpu.read(slab + Slab.first)) / cpu.read(slab + Slab.objectWords);
  return Number.isInteger(index) && index >= 0 && index < cpu.read(slab + Slab.objects) ? firstSlot(slab) + index : 0;
}

export function objectOf(cpu: Cpu, slot: number): number {
  const slab = slabOf(slot);
  return slab + cpu.read(slab + Slab.first) + (slot - firstSlot(slab)) * cpu.read(slab + Slab.objectWords);
}

export function firstSlot(slab: number): number {
  return slab + Slab.words;
}
