/**
 * The arena's heap: a boundary-tag allocator whose tags live outside the memory it gives out.
 *
 * Memory is given out in whole lines (64 bytes), so every block starts a cache line of its own. `map` holds one word a
 * line: for the first line of a block its state and length, for the last line of a free block the same (so that the
 * block behind can find its start), and 0 for every other. Free blocks are chained in bins by length, through the
 * first two words of their own memory.
 *
 *   map:   U3 0 0 | F2 F2 | U1 | F4 0 0 F4          U: in use, F: free, digit: lines
 *
 * Blocks that are to start at multiples of their length leave a free block in front of them.
 *
 *   alloc  first bin that fits, lowest length first; the rest of a larger block goes back. O(bins).
 *   free   merged at once with free neighbours on both sides, so what was freed is available in any size.
 *
 * All of it is guarded by heapLatch. A thread may be killed in the middle: `heap-map.ts` says how that is repaired. A block
 * that was given to a thread that then died before it published the block stands in the thread's `nascent` word; the reaper
 * gives it back.
 */
import { HoldfastError, shown } from '../errors.ts';
import { Header } from './header.ts';
import { DOOMED, FREE, HeapMap, isInUse, OBJECT, STATE_BITS, STATE_MASK, USED } from './heap-map.ts';
import { latch, unlatch } from './latch.ts';
import { inLines, LINE_WORDS } from './struct.ts';

export interface HeapUse {
  /** Bytes in the heap, in use, and free; the largest block that can be had; blocks in use. */
  bytes: number;
  used: number;
  free: number;
  largestFree: number;
  blocks: number;
}

export class Heap extends HeapMap {
  /**
   * Called in the thread that finds the heap scarce first, and in no other, once it has no latch of the heap. It may hold others,
   * so it only notes what is to be said. Undefined: that is left to others.
   */
  onScarce: (() => void) | undefined = undefined;

  /** One free block: for memory that no other thread can reach yet. */
  format(): void {
    this.release(0, this.lines);
  }

  /**
   * Memory of at least `words` words, of any content, starting a cache line. `nascent`: a word of the calling thread
   * in which the block is noted before it is in use. `what`: what an ENOMEM says it is for.
   */
  alloc(words: number, nascent: number, what = 'a block'): number {
    const address = this.tryAlloc(words, nascent);
    if (address === 0) throw this.exhausted(words, what);
    return address;
  }

  /** `alloc` that returns 0 when there is no such block. `align`: the address is a multiple of it, a power of two of lines. */
  tryAlloc(words: number, nascent: number, align = LINE_WORDS): number {
    latch(this.cpu, Header.heapLatch, this.owner);
    return this.allocAndUnlatch(words, nascent, align);
  }

  /** `tryAlloc` for a caller that has heapLatch, which is free afterwards. */
  allocAndUnlatch(words: number, nascent: number, align = LINE_WORDS): number {
    const cpu = this.cpu;
    const lines = Math.ceil(words / LINE_WORDS);
    const line = this.findFree(lines, align);
    const first = this.aligned(line, align);
    const address = line < 0 ? 0 : this.base + first * LINE_WORDS;
    if (line >= 0) {
      cpu.store(nascent, address);
      this.take(line, first, lines);
    }
    const isFirst = this.onScarce !== undefined && this.isScarce() && cpu.read(Header.saidScarce) === 0;
    if (isFirst) cpu.write(Header.saidScarce, 1);
    unlatch(cpu, Header.heapLatch);
    if (isFirst) this.onScarce?.();
    return address;
  }

  /** The ENOMEM that says what was wanted for `what`, what there is, and what can be done. */
  exhausted(words: number, what: string): HoldfastError {
    const { free, largestFree, bytes } = this.use();
    return new HoldfastError(
      'ENOMEM',
      `no ${inLines(words) * 4} bytes for ${what}: ${free} of ${bytes} bytes are free, the largest block has ${largestFree}; an arena does not grow, so Arena.create({ bytes }) has to ask for more, or something in it to be destroyed`,
    );
  }

  /**
   * Gives a block back. Throws EINVAL when `address` does not start a block in use (never allocated, or freed twice).
   * `nascent`: a word that names the block, cleared in the same step.
   */
  free(address: number, nascent = 0): void {
    if (!this.#free(address, nascent, true)) {
      throw new HoldfastError('EINVAL', `free(${shown(address)}): no block in use starts there`);
    }
  }

  /** `free` of plain memory: throws EINVAL, and changes nothing, for a shared object too. */
  freePlain(address: number): void {
    if (!this.#free(address, 0, false)) {
      throw new HoldfastError('EINVAL', `free(${shown(address)}): no memory from alloc() starts there`);
    }
  }

  /**
   * Plain memory in use is to be freed with `freeDoomed`, and by nothing else: a second call finds out. `home`: a word that
   * names it from then on; `nascent`: of the calling thread. False, and nothing is changed, when no such memory starts at
   * `address`.
   */
  doom(address: number, home: number, nascent: number): boolean {
    const cpu = this.cpu;
    latch(cpu, Header.heapLatch, this.owner);
    const line = this.lineOf(address);
    const tag = line < 0 ? FREE : cpu.read(this.map + line);
    const isPlain = (tag & STATE_MASK) === USED;
    if (isPlain) {
      cpu.storeUnordered(nascent, -home);
      cpu.storeUnordered(home, address);
      cpu.write(this.map + line, tag - USED + DOOMED);
      cpu.storeUnordered(nascent, 0);
    }
    unlatch(cpu, Header.heapLatch);
    return isPlain;
  }

  /**
   * Frees the doomed blocks that the first `count` of the words `homes` name, and clears the words: nobody frees a block again.
   * `nascent`: of the calling thread; where that dies between the two, `rebuild` clears the word.
   */
  freeDoomed(homes: readonly number[], count: number, nascent: number): void {
    if (count === 0) return;
    const cpu = this.cpu;
    latch(cpu, Header.heapLatch, this.owner);
    for (let i = 0; i < count; i++) {
      const home = homes[i] as number;
      const line = this.doomedLineOf(cpu.loadUnordered(home));
      cpu.storeUnordered(nascent, -home);
      if (line >= 0) this.release(line, cpu.read(this.map + line) >> STATE_BITS);
      cpu.storeUnordered(home, 0);
    }
    cpu.storeUnordered(nascent, 0);
    unlatch(cpu, Header.heapLatch);
  }

  /**
   * Whether a shared object starts at `address`, without the latch: for an address that is one's own to give back, and so
   * stays what it is.
   */
  isObject(address: number): boolean {
    return this.#stateAt(address) === OBJECT;
  }

  /** Whether plain memory in use starts at `address`, without the latch: as long as nobody frees it. */
  isPlain(address: number): boolean {
    return this.#stateAt(address) === USED;
  }

  #stateAt(address: number): number {
    const line = (address - this.base) / LINE_WORDS;
    if (!Number.isInteger(line) || line < 0 || line >= this.lines) return FREE;
    return this.cpu.loadUnordered(this.map + line) & STATE_MASK;
  }

  /** Whether the words lie in the heap, all of them. */
  covers(address: number, words: number): boolean {
    const isThere = Number.isInteger(address) && address >= this.base;
    return isThere && address + words <= this.base + this.lines * LINE_WORDS;
  }

  /**
   * For the reaper: frees the block that the word `nascent` names, if it names one in use, and clears the word in the
   * same step.
   */
  reclaim(nascent: number): void {
    const cpu = this.cpu;
    latch(cpu, Header.heapLatch, this.owner);
    const line = this.lineOf(cpu.load(nascent));
    if (line >= 0) this.release(line, cpu.read(this.map + line) >> STATE_BITS);
    cpu.store(nascent, 0);
    unlatch(cpu, Header.heapLatch);
  }

  /** Whether a block in use starts at `address`. */
  isBlock(address: number): boolean {
    const cpu = this.cpu;
    latch(cpu, Header.heapLatch, this.owner);
    const line = this.lineOf(address);
    unlatch(cpu, Header.heapLatch);
    return line >= 0;
  }

  /**
   * A block in use becomes a shared object, which `objects` lists. `home`: a word that is to name it; `nascent`: a word
   * to clear. Both in the same step.
   */
  publish(address: number, nascent = 0, home = 0): void {
    const cpu = this.cpu;
    latch(cpu, Header.heapLatch, this.owner);
    const tag = this.map + (address - this.base) / LINE_WORDS;
    cpu.write(tag, cpu.read(tag) | OBJECT);
    if (home !== 0) cpu.store(home, address);
    if (nascent !== 0) cpu.store(nascent, 0);
    unlatch(cpu, Header.heapLatch);
  }

  /** The addresses of all shared objects. */
  objects(): number[] {
    const found: number[] = [];
    this.walk((line, _lines, state) => {
      if (state === OBJECT) found.push(this.base + line * LINE_WORDS);
    });
    return found;
  }

  /**
   * The first `most` shared objects from that line on, and the line behind them, for the next call. Other threads may
   * allocate and free in between: an object that is there all the time is found once, others at most once.
   */
  objectsFrom(line: number, most: number): { readonly objects: number[]; readonly end: number } {
    const cpu = this.cpu;
    const objects: number[] = [];
    latch(cpu, Header.heapLatch, this.owner);
    // Where a block starts that is surely one: blocks have been merged and split. The last line of a free one has a tag.
    let at = Math.min(line, this.lines - 1);
    while (at > 0 && !isInUse(cpu.read(this.map + at))) at--;
    while (at < this.lines && objects.length < most) {
      const tag = cpu.read(this.map + at);
      const lines = tag >> STATE_BITS;
      // As in `walk`: there is nothing behind.
      if (lines <= 0) {
        at = this.lines;
        break;
      }
      if (at >= line && (tag & STATE_MASK) === OBJECT) objects.push(this.base + at * LINE_WORDS);
      at += lines;
    }
    unlatch(cpu, Header.heapLatch);
    return { objects, end: at };
  }

  /** The shared object that the word at `address` is part of, or 0. */
  objectAt(address: number): number {
    const cpu = this.cpu;
    const line = Math.floor((address - this.base) / LINE_WORDS);
    if (line < 0 || line >= this.lines) return 0;
    latch(cpu, Header.heapLatch, this.owner);
    // A block's first line is the only one with a tag, but for free blocks.
    let first = line;
    while (cpu.read(this.map + first) === 0) first--;
    const tag = cpu.read(this.map + first);
    unlatch(cpu, Header.heapLatch);
    return (tag & STATE_MASK) === OBJECT ? this.base + first * LINE_WORDS : 0;
  }

  /** `objectAt` without the latch: for a word that a task has lined up for, so that its object, if it is in one, stays. */
  objectAround(address: number): number {
    const cpu = this.cpu;
    const line = Math.floor((address - this.base) / LINE_WORDS);
    if (line < 0 || line >= this.lines) return 0;
    let first = line;
    while (first > 0 && cpu.load(this.map + first) === 0) first--;
    return (cpu.load(this.map + first) & STATE_MASK) === OBJECT ? this.base + first * LINE_WORDS : 0;
  }

  use(): HeapUse {
    const use = { bytes: this.lines * LINE_WORDS * 4, used: 0, free: 0, largestFree: 0, blocks: 0 };
    this.walk((_line, lines, state) => {
      const bytes = lines * LINE_WORDS * 4;
      if (state !== FREE) {
        use.used += bytes;
        use.blocks++;
      } else {
        use.free += bytes;
        use.largestFree = Math.max(use.largestFree, bytes);
      }
    });
    return use;
  }

  /** What does not hold: tags that do not fit together, free blocks that no bin or the wrong bin has. */
  inspect(): string[] {
    latch(this.cpu, Header.heapLatch, this.owner);
    const problems = this.faults();
    unlatch(this.cpu, Header.heapLatch);
    return problems;
  }

  /** Frees plain memory in use, and clears the word that names it, for a caller that has heapLatch, which is free afterwards. */
  freeAndUnlatch(address: number, nascent: number): void {
    const cpu = this.cpu;
    const line = this.lineOf(address);
    this.release(line, cpu.read(this.map + line) >> STATE_BITS);
    cpu.store(nascent, 0);
    unlatch(cpu, Header.heapLatch);
  }

  #free(address: number, nascent: number, isAnyKind: boolean): boolean {
    const cpu = this.cpu;
    latch(cpu, Header.heapLatch, this.owner);
    const line = this.lineOf(address);
    const tag = line < 0 ? FREE : cpu.read(this.map + line);
    const isFreed = (tag & STATE_MASK) === USED || (isAnyKind && (tag & STATE_MASK) === OBJECT);
    if (isFreed) this.release(line, tag >> STATE_BITS);
    if (nascent !== 0) cpu.store(nascent, 0);
    unlatch(cpu, Header.heapLatch);
    return isFreed;
  }
}
