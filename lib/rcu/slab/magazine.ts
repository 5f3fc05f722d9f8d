/**
 * A thread's magazine: the free objects that it takes from and gives to without an atomic, but for the one that finds out
 * who gives an object back twice.
 *
 * Each step leaves words from which the reaper can tell what a killed thread was doing (`repair.ts`):
 *
 *   take   taking := slot | head := its next | slot := -id | taking := 0
 *   give   giving := slot | slot: -owner -> -(GIVING + id) | giving := -slot | slot := head | head := slot | giving := 0
 *
 * Lists are moved between magazine and depot under the cache's latch, in such an order that at every step the magazine's
 * list ends where the depot's begins, or at 0.
 *
 * After Bonwick and Adams, "Magazines and Vmem" (2001), with lists for arrays: a list of any length moves in one step.
 */
import type { Cpu } from '../../machine/cpu.ts';
import { latch, unlatch } from '../../memory/latch.ts';
import { CacheWords, GIVING, Magazine } from './layout.ts';

/** An object's slot, in use from here on; 0 when the magazine is empty. `id`: the calling thread's CPU number plus one. */
export function take(cpu: Cpu, magazine: number, id: number): number {
  const slot = cpu.loadUnordered(magazine + Magazine.head);
  if (slot === 0) return 0;
  cpu.storeUnordered(magazine + Magazine.taking, slot);
  cpu.storeUnordered(magazine + Magazine.head, cpu.loadUnordered(slot));
  cpu.storeUnordered(magazine + Magazine.count, cpu.loadUnordered(magazine + Magazine.count) - 1);
  cpu.storeUnordered(slot, -id);
  cpu.storeUnordered(magazine + Magazine.taking, 0);
  return slot;
}

/** The object is nobody's from here on but the caller's, who puts it in a list next. False when it is free already. */
export function claim(cpu: Cpu, magazine: number, slot: number, id: number): boolean {
  const owner = cpu.load(slot);
  if (owner >= 0 || owner < -GIVING) return false;
  cpu.storeUnordered(magazine + Magazine.giving, slot);
  // Release: pairs with the latch by which another thread gets the object, after all uses of it here.
  if (cpu.cmpxchgRelease(slot, owner, -(GIVING + id)) !== owner) {
    cpu.storeUnordered(magazine + Magazine.giving, 0);
    return false;
  }
  cpu.storeUnordered(magazine + Magazine.giving, -slot);
  return true;
}

/** Puts a slot that was claimed in front of the list that starts at `list`, with its last slot and its count behind it. */
export function putClaimed(cpu: Cpu, magazine: number, list: number, slot: number): void {
  const head = cpu.loadUnordered(list);
  if (head === 0) cpu.storeUnordered(list + 1, slot);
  cpu.storeUnordered(slot, head);
  cpu.storeUnordered(list, slot);
  cpu.storeUnordered(list + 2, cpu.loadUnordered(list + 2) + 1);
  cpu.storeUnordered(magazine + Magazine.giving, 0);
}

/** Puts a slot in the magazine that was claimed. */
export function give(cpu: Cpu, cache: number, magazine: number, slot: number, id: number): void {
  putClaimed(cpu, magazine, magazine + Magazine.head, slot);
  if (cpu.loadUnordered(magazine + Magazine.count) > 2 * cpu.read(cache + CacheWords.batch)) {
    giveToDepot(cpu, cache, magazine, id);
  }
}

/** Fills an empty magazine from the depot. False when that is empty, too. */
export function refill(cpu: Cpu, cache: number, magazine: number, id: number): boolean {
  const word = cache + CacheWords.depot;
  if (cpu.load(word) === 0) return false;
  latch(cpu, cache + CacheWords.latch, id);
  const first = cpu.load(word);
  if (first !== 0) {
    const { last, count } = walk(cpu, first, cpu.read(cache + CacheWords.batch));
    cpu.storeUnordered(magazine + Magazine.tail, last);
    cpu.storeUnordered(magazine + Magazine.count, count);
    cpu.storeUnordered(magazine + Magazine.head, first);
    cpu.store(word, cpu.loadUnordered(last));
    cpu.storeUnordered(last, 0);
  }
  unlatch(cpu, cache + CacheWords.latch);
  return first !== 0;
}

/** All but a batch go to the depot. */
function giveToDepot(cpu: Cpu, cache: number, magazine: number, id: number): void {
  const word = cache + CacheWords.depot;
  const { last, count } = walk(cpu, cpu.loadUnordered(magazine + Magazine.head), cpu.read(cache + CacheWords.batch));
  const first = cpu.loadUnordered(last);
  const tail = cpu.loadUnordered(magazine + Magazine.tail);
  latch(cpu, cache + CacheWords.latch, id);
  cpu.storeUnordered(tail, cpu.load(word));
  cpu.store(word, first);
  cpu.storeUnordered(last, 0);
  unlatch(cpu, cache + CacheWords.latch);
  cpu.storeUnordered(magazine + Magazine.tail, last);
  cpu.storeUnordered(magazine + Magazine.count, count);
}

/** The list at `waiting` goes to the magazine, or to the depot when the magazine has enough: in one step, however long. */
export function splice(cpu: Cpu, cache: number, magazine: number, id: number): void {
  const first = cpu.loadUnordered(magazine + Magazine.waiting);
  if (first === 0) return;
  const last = cpu.loadUnordered(magazine + Magazine.waitingTail);
  const count = cpu.loadUnordered(magazine + Magazine.count);
  if (count >= cpu.read(cache + CacheWords.batch)) {
    latch(cpu, cache + CacheWords.latch, id);
    cpu.storeUnordered(last, cpu.load(cache + CacheWords.depot));
    cpu.store(cache + CacheWords.depot, first);
    cpu.storeUnordered(magazine + Magazine.waiting, 0);
    unlatch(cpu, cache + CacheWords.latch);
  } else {
    const head = cpu.loadUnordered(magazine + Magazine.head);
    if (head === 0) cpu.storeUnordered(magazine + Magazine.tail, last);
    cpu.storeUnordered(last, head);
    cpu.storeUnordered(magazine + Magazine.head, first);
    cpu.storeUnordered(magazine + Magazine.waiting, 0);
    cpu.storeUnordered(magazine + Magazine.count, count + cpu.loadUnordered(magazine + Magazine.waitingCount));
  }
  cpu.storeUnordered(magazine + Magazine.waitingCount, 0);
}

/** Those of the next period become those of the current one, of which there are none. */
export function turn(cpu: Cpu, magazine: number): void {
  for (const word of [Magazine.waitingTail, Magazine.waitingCount, Magazine.waiting]) {
    cpu.storeUnordered(magazine + word, cpu.loadUnordered(magazine + word + Magazine.next - Magazine.waiting));
  }
  cpu.storeUnordered(magazine + Magazine.next, 0);
  cpu.storeUnordered(magazine + Magazine.nextCount, 0);
}

/** What dead threads were to free becomes the calling thread's, for its next period, of which it has none. Returns how many. */
export function adopt(cpu: Cpu, cache: number, magazine: number, id: number): number {
  if (cpu.load(cache + CacheWords.doomed) === 0) return 0;
  latch(cpu, cache + CacheWords.latch, id);
  const first = cpu.load(cache + CacheWords.doomed);
  const { last, count } = first === 0 ? { last: 0, count: 0 } : walk(cpu, first, Number.POSITIVE_INFINITY);
  cpu.storeUnordered(magazine + Magazine.nextTail, last);
  cpu.storeUnordered(magazine + Magazine.nextCount, count);
  cpu.storeUnordered(magazine + Magazine.next, first);
  cpu.store(cache + CacheWords.doomed, 0);
  unlatch(cpu, cache + CacheWords.latch);
  return count;
}

/** The last of at most `most` slots, from that one on, and how many there are. */
function walk(cpu: Cpu, first: number, most: number): { last: number; count: number } {
  let last = first;
  let count = 1;
  for (let next = cpu.loadUnordered(last); next !== 0 && count < most; next = cpu.loadUnordered(last)) {
    last = next;
    count++;
  }
  return { last, count };
}
