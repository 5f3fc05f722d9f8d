/** What dead threads leave in a slab cache: their magazines go to the depot, what they were freeing waits for an heir. */
import type { Cpu } from '../../machine/cpu.ts';
import type { Heap } from '../../memory/heap.ts';
import { defineKind } from '../../memory/kinds.ts';
import { unlatch } from '../../memory/latch.ts';
import type { Repairer } from '../../memory/repairer.ts';
import { maxThreads } from '../../sched/slot.ts';
import { inspectCache } from './fsck.ts';
import {
  BATCH,
  CacheWords,
  firstSlot,
  GIVING,
  Magazine,
  magazineOf,
  NAMES_BLOCKS,
  objectOf,
  SLAB_WORDS,
  Slab,
  trailingMagazines,
} from './layout.ts';

export const CACHE_KIND = defineKind<Repairer>({
  name: 'kmem-cache',
  words: CacheWords,
  trailing: trailingMagazines,
  format: (cpu, cache) => cpu.write(cache + CacheWords.batch, BATCH),
  holder: () => 0,
  isBusy: (cpu, cache) => isInUse(cpu, cache) || slotsInUse(cpu, cache).length > 0,
  repair: repairCache,
  release,
  inspect: inspectCache,
});

/** Whether a thread fills a slab, or has objects to free after a grace period. */
function isInUse(cpu: Cpu, cache: number): boolean {
  for (let number = 0; number < maxThreads(cpu); number++) {
    const magazine = magazineOf(cache, number);
    for (const word of [Magazine.filling, Magazine.waiting, Magazine.next]) {
      if (cpu.load(magazine + word) !== 0) return true;
    }
  }
  return false;
}

/** The slots of the objects that nobody has given back. */
export function slotsInUse(cpu: Cpu, cache: number): number[] {
  const found: number[] = [];
  // Slabs are only ever added, in front.
  for (let slab = cpu.load(cache + CacheWords.slabs); slab !== 0; slab = cpu.load(slab + Slab.next)) {
    const first = firstSlot(slab);
    for (let slot = first; slot < first + cpu.read(slab + Slab.objects); slot++) {
      if (cpu.load(slot) < 0) found.push(slot);
    }
  }
  return found;
}

/** For `Kind.release`. An object that a thread took while another destroyed the cache keeps all of the memory. */
function release(cpu: Cpu, cache: number, heap: Heap, nascent: number): boolean {
  if (slotsInUse(cpu, cache).length > 0) return false;
  for (const list of [cache + CacheWords.slabs, cache + CacheWords.empty]) {
    for (let slab = cpu.load(list); slab !== 0; slab = cpu.load(list)) {
      cpu.store(nascent, slab);
      cpu.store(list, cpu.load(slab + Slab.next));
      heap.free(slab, nascent);
    }
  }
  return true;
}

export const SLAB_KIND = defineKind<Repairer>({
  name: 'kmem-slab',
  words: SLAB_WORDS,
  format: () => {},
  holder: () => 0,
  // Its cache destroys it.
  isBusy: () => true,
  isIdle: () => true,
  isKept: isInCache,
  repair: () => true,
});

/** Whether the newest slab of a list of its cache, or one that a thread fills: all others have a creator that is done. */
function isInCache(cpu: Cpu, slab: number): boolean {
  const cache = cpu.read(slab + Slab.cache);
  if (cpu.load(cache + CacheWords.empty) === slab || cpu.load(cache + CacheWords.slabs) === slab) return true;
  for (let number = 0; number < maxThreads(cpu); number++) {
    if (cpu.load(magazineOf(cache, number) + Magazine.filling) === slab) return true;
  }
  return false;
}

function repairCache(repairer: Repairer, cache: number): boolean {
  const { cpu, threads, isDead } = repairer;
  // A dead holder leaves lists that `repairMagazine` takes as they are.
  if (!repairer.latch(cache + CacheWords.latch, () => {})) return false;
  for (let number = 0; number < threads; number++) {
    if (isDead(number + 1)) repairMagazine(cpu, cache, magazineOf(cache, number), number + 1);
  }
  unlatch(cpu, cache + CacheWords.latch);
  return true;
}

/** Under the cache's latch. Each step may be the second of its kind: a reaper may die here. */
function repairMagazine(cpu: Cpu, cache: number, magazine: number, id: number): void {
  finishFilling(cpu, cache, magazine);
  finishTaking(cpu, magazine);
  finishGiving(cpu, cache, magazine, id);
  const depot = slotsOf(cpu, cache + CacheWords.depot);
  const free = slotsOf(cpu, magazine + Magazine.head, depot);
  for (const list of [Magazine.waiting, Magazine.next]) {
    const others = new Set([...depot, ...free, ...slotsOf(cpu, cache + CacheWords.doomed)]);
    moveTo(cpu, cache + CacheWords.doomed, magazine + list, slotsOf(cpu, magazine + list, others));
  }
  moveTo(cpu, cache + CacheWords.depot, magazine + Magazine.head, free);
  for (const word of [Magazine.count, Magazine.waitingCount, Magazine.nextCount]) cpu.store(magazine + word, 0);
  if (cpu.read(cache + CacheWords.flags) & NAMES_BLOCKS) releaseNames(cpu, cache, id);
}

/** A slab that its filler had not chained is filled anew by the next thread that needs one. */
function finishFilling(cpu: Cpu, cache: number, magazine: number): void {
  const slab = cpu.load(magazine + Magazine.filling);
  if (slab === 0) return;
  if (cpu.load(cache + CacheWords.slabs) === slab) {
    const first = firstSlot(slab);
    if (cpu.load(magazine + Magazine.head) !== first) {
      cpu.store(first + cpu.read(slab + Slab.objects) - 1, cpu.load(magazine + Magazine.head));
      cpu.store(magazine + Magazine.head, first);
    }
  } else if (cpu.load(cache + CacheWords.empty) !== slab) {
    cpu.store(slab + Slab.next, cpu.load(cache + CacheWords.empty));
    cpu.store(cache + CacheWords.empty, slab);
  }
  cpu.store(magazine + Magazine.filling, 0);
}

/** The program never got the object. */
function finishTaking(cpu: Cpu, magazine: number): void {
  const slot = cpu.load(magazine + Magazine.taking);
  if (slot === 0) return;
  const head = cpu.load(magazine + Magazine.head);
  if (slot !== head) {
    cpu.store(slot, head);
    cpu.store(magazine + Magazine.head, slot);
  }
  cpu.store(magazine + Magazine.taking, 0);
}

/** Where there may be readers the object waits for a grace period, whichever list it was for. */
function finishGiving(cpu: Cpu, cache: number, magazine: number, id: number): void {
  const giving = cpu.load(magazine + Magazine.giving);
  if (giving === 0) return;
  const slot = Math.abs(giving);
  const isClaimed = giving < 0 || cpu.load(slot) === -(GIVING + id);
  const isListed = [Magazine.head, Magazine.waiting, Magazine.next].some((list) => cpu.load(magazine + list) === slot);
  if (isClaimed && !isListed) {
    const list = magazine + (cpu.read(cache + CacheWords.domain) === 0 ? Magazine.head : Magazine.next);
    cpu.store(magazine + Magazine.giving, -slot);
    cpu.store(slot, cpu.load(list));
    cpu.store(list, slot);
  }
  cpu.store(magazine + Magazine.giving, 0);
}

const NONE: ReadonlySet<number> = new Set();

/** The slots of a list, in order, up to where it runs on into `others`: a list that it was just being moved to. */
function slotsOf(cpu: Cpu, list: number, others = NONE): Set<number> {
  const slots = new Set<number>();
  for (let slot = cpu.load(list); slot !== 0 && !others.has(slot); slot = cpu.load(slot)) slots.add(slot);
  return slots;
}

/** The list that starts with those slots goes in front of the one at `to`. */
function moveTo(cpu: Cpu, to: number, list: number, slots: ReadonlySet<number>): void {
  const [first, last] = [[...slots][0], [...slots].at(-1)];
  if (first !== undefined && last !== undefined) {
    cpu.store(last, cpu.load(to));
    cpu.store(to, first);
  }
  cpu.store(list, 0);
}

/** No program has these objects: each that names a block is freed with it, after a grace period, and the others at once. */
function releaseNames(cpu: Cpu, cache: number, id: number): void {
  for (let slab = cpu.load(cache + CacheWords.slabs); slab !== 0; slab = cpu.load(slab + Slab.next)) {
    const first = firstSlot(slab);
    for (let slot = first; slot < first + cpu.read(slab + Slab.objects); slot++) {
      if (cpu.load(slot) !== -id) continue;
      const to = cache + (cpu.load(objectOf(cpu, slot)) === 0 ? CacheWords.depot : CacheWords.doomed);
      cpu.store(slot, cpu.load(to));
      cpu.store(to, slot);
    }
  }
}
