/** What does not hold in a slab cache: each object that is free is in one list, once, and lists lead to nothing else. */
import type { Cpu } from '../../machine/cpu.ts';
import { maxThreads } from '../../sched/slot.ts';
import { underLatch } from '../../sched/under-latch.ts';
import { CacheWords, firstSlot, LARGEST_WORDS, Magazine, magazineOf, Slab, shapeOf } from './layout.ts';

/** `Kind.inspect` of a cache. It comes to an end whatever the links are. Threads use their magazines without a latch. */
export function inspectCache(cpu: Cpu, cache: number, owner: number): readonly string[] {
  return underLatch(cpu, cache + CacheWords.latch, owner, () => {
    const words = cpu.read(cache + CacheWords.objectWords);
    // Illegal to go on: such a size has no shape.
    if (words < 0 || words > LARGEST_WORDS) return [`has objects of ${words} words`];
    const { objects } = shapeOf(words);
    const free = new Set<number>();
    const slabs = new Set<number>();
    for (let slab = cpu.read(cache + CacheWords.slabs); slab !== 0; slab = cpu.read(slab + Slab.next)) {
      const isOne = cpu.read(slab + Slab.cache) === cache && cpu.read(slab + Slab.objects) === objects;
      if (!isOne || slabs.has(slab)) return [`leads to ${slab} as a slab, which is none of its, or to it twice`];
      slabs.add(slab);
      const first = firstSlot(slab);
      for (let slot = first; slot < first + objects; slot++) if (cpu.read(slot) >= 0) free.add(slot);
    }
    return [
      ...listFaults(cpu, cache, free),
      ...[...free].map((slot) => `has the free object of slot ${slot} in no list`),
    ];
  });
}

/** Takes what is in a list out of `free`. */
function listFaults(cpu: Cpu, cache: number, free: Set<number>): string[] {
  const faults: string[] = [];
  for (const list of listsOf(cpu, cache)) {
    let slot = cpu.load(list);
    while (slot !== 0 && free.delete(slot)) slot = cpu.read(slot);
    if (slot !== 0) faults.push(`leads to ${slot} as the slot of a free object, which is none, or to it twice`);
  }
  return faults;
}

/** The words that its lists of free objects start from. */
function listsOf(cpu: Cpu, cache: number): number[] {
  const magazines = Array.from({ length: maxThreads(cpu) }, (_, number) => magazineOf(cache, number));
  const ofThreads = magazines.flatMap((at) =>
    [Magazine.head, Magazine.waiting, Magazine.next].map((word) => at + word),
  );
  return [cache + CacheWords.depot, cache + CacheWords.doomed, ...ofThreads];
}
