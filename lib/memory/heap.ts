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
 * All of it is guarded by heapLatch. A thread may be killed in the middle: each step changes the chain of block starts
 * by ONE store (the tail of a split block gets its tag before the head is shortened; a merge lengthens the first
 * block and only then clears the tags behind it), so walking `map` from the start always works, and bins, last-line
 * tags and stale tags are rebuilt from that walk. A block that was given to a thread that then died before it
 * published the block stands in the thread's `nascent` word; the reaper gives it back.
 */
import { HoldfastError, shown } from '../errors.ts';
import type { Cpu } from '../machine/cpu.ts';
import { HEAP_BINS, Header } from './header.ts';
import { latch, unlatch } from './latch.ts';
import { inLines, LINE_WORDS } from './struct.ts';

/**
 * In use as plain memory, free, in use as a complete shared object, or plain memory that is freed when its readers are out.
 */
const USED = 1;
const FREE = 2;
const OBJECT = 3;
const DOOMED = 4;
const STATE_BITS = 3;
const STATE_MASK = 7;
/** Links of a free block, in its own first words. */
const NEXT = 0;
const PREV = 1;
const EXACT_BINS = 32;

export interface HeapUse {
  /** Bytes in the heap, in use, and free; the largest block that can be had; blocks in use. */
  bytes: number;
  used: number;
  free: number;
  largestFree: number;
  blocks: number;
}

export class Heap {
  readonly #cpu: Cpu;
  readonly #owner: number;
  readonly #map: number;
  readonly #base: number;
  readonly #lines: number;

  /** `owner`: the calling thread's CPU number plus one. */
  constructor(cpu: Cpu, owner: number) {
    this.#cpu = cpu;
    this.#owner = owner;
    this.#map = cpu.read(Header.map);
    this.#base = cpu.read(Header.heap);
    this.#lines = cpu.read(Header.lines);
  }

  /** One free block: for memory that no other thread can reach yet. */
  format(): void {
    this.#release(0, this.#lines);
  }

  /**
   * Memory of at least `words` words, of any content, starting a cache line. `nascent`: a word of the calling thread
   * in which the block is noted before it is in use. Throws ENOMEM.
   */
  alloc(words: number, nascent: number): number {
    const address = this.tryAlloc(words, nascent);
    if (address === 0) throw this.exhausted(words);
    return address;
  }

  /** `alloc` that returns 0 when there is no such block. `align`: the address is a multiple of it, a power of two of lines. */
  tryAlloc(words: number, nascent: number, align = LINE_WORDS): number {
    latch(this.#cpu, Header.heapLatch, this.#owner);
    return this.allocAndUnlatch(words, nascent, align);
  }

  /** `tryAlloc` for a caller that has heapLatch, which is free afterwards. */
  allocAndUnlatch(words: number, nascent: number, align = LINE_WORDS): number {
    const cpu = this.#cpu;
    const lines = Math.ceil(words / LINE_WORDS);
    const line = this.#findFree(lines, align);
    const first = this.#aligned(line, align);
    const address = line < 0 ? 0 : this.#base + first * LINE_WORDS;
    if (line >= 0) {
      cpu.store(nascent, address);
      this.#take(line, first, lines);
    }
    unlatch(cpu, Header.heapLatch);
    return address;
  }

  /** The ENOMEM that says what was wanted and what there is. */
  exhausted(words: number): HoldfastError {
    const { free, largestFree, bytes } = this.use();
    return new HoldfastError(
      'ENOMEM',
      `the arena has no block of ${inLines(words) * 4} bytes: ${free} of ${bytes} bytes are free, the largest block has ${largestFree}`,
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
    const cpu = this.#cpu;
    latch(cpu, Header.heapLatch, this.#owner);
    const line = this.#lineOf(address);
    const tag = line < 0 ? FREE : cpu.read(this.#map + line);
    const isPlain = (tag & STATE_MASK) === USED;
    if (isPlain) {
      cpu.store(nascent, -home);
      cpu.store(home, address);
      cpu.write(this.#map + line, tag - USED + DOOMED);
      cpu.store(nascent, 0);
    }
    unlatch(cpu, Header.heapLatch);
    return isPlain;
  }

  /**
   * Frees the doomed blocks that the words `homes` name, and clears the words: nobody frees a block again. `nascent`: of the
   * calling thread; where that dies between the two, `rebuild` clears the word.
   */
  freeDoomed(homes: readonly number[], nascent: number): void {
    const cpu = this.#cpu;
    latch(cpu, Header.heapLatch, this.#owner);
    for (const home of homes) {
      const line = this.#doomedLineOf(cpu.load(home));
      cpu.store(nascent, -home);
      if (line >= 0) this.#release(line, cpu.read(this.#map + line) >> STATE_BITS);
      cpu.store(home, 0);
    }
    cpu.store(nascent, 0);
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
    const line = (address - this.#base) / LINE_WORDS;
    if (!Number.isInteger(line) || line < 0 || line >= this.#lines) return FREE;
    return this.#cpu.loadUnordered(this.#map + line) & STATE_MASK;
  }

  /** Whether the words lie in the heap, all of them. */
  covers(address: number, words: number): boolean {
    const isThere = Number.isInteger(address) && address >= this.#base;
    return isThere && address + words <= this.#base + this.#lines * LINE_WORDS;
  }

  /**
   * For the reaper: frees the block that the word `nascent` names, if it names one in use, and clears the word in the
   * same step.
   */
  reclaim(nascent: number): void {
    const cpu = this.#cpu;
    latch(cpu, Header.heapLatch, this.#owner);
    const line = this.#lineOf(cpu.load(nascent));
    if (line >= 0) this.#release(line, cpu.read(this.#map + line) >> STATE_BITS);
    cpu.store(nascent, 0);
    unlatch(cpu, Header.heapLatch);
  }

  /** Whether a block in use starts at `address`. */
  isBlock(address: number): boolean {
    const cpu = this.#cpu;
    latch(cpu, Header.heapLatch, this.#owner);
    const line = this.#lineOf(address);
    unlatch(cpu, Header.heapLatch);
    return line >= 0;
  }

  /**
   * A block in use becomes a shared object, which `objects` lists. `home`: a word that is to name it; `nascent`: a word
   * to clear. Both in the same step.
   */
  publish(address: number, nascent = 0, home = 0): void {
    const cpu = this.#cpu;
    latch(cpu, Header.heapLatch, this.#owner);
    const tag = this.#map + (address - this.#base) / LINE_WORDS;
    cpu.write(tag, cpu.read(tag) | OBJECT);
    if (home !== 0) cpu.store(home, address);
    if (nascent !== 0) cpu.store(nascent, 0);
    unlatch(cpu, Header.heapLatch);
  }

  /** The addresses of all shared objects. */
  objects(): number[] {
    const found: number[] = [];
    this.#walk((line, _lines, state) => {
      if (state === OBJECT) found.push(this.#base + line * LINE_WORDS);
    });
    return found;
  }

  /**
   * The first `most` shared objects from that line on, and the line behind them, for the next call. Other threads may
   * allocate and free in between: an object that is there all the time is found once, others at most once.
   */
  objectsFrom(line: number, most: number): { readonly objects: number[]; readonly end: number } {
    const cpu = this.#cpu;
    const objects: number[] = [];
    latch(cpu, Header.heapLatch, this.#owner);
    // Where a block starts that is surely one: blocks have been merged and split. The last line of a free one has a tag.
    let at = Math.min(line, this.#lines - 1);
    while (at > 0 && !isInUse(cpu.read(this.#map + at))) at--;
    while (at < this.#lines && objects.length < most) {
      const tag = cpu.read(this.#map + at);
      const lines = tag >> STATE_BITS;
      // As in `#walk`: there is nothing behind.
      if (lines <= 0) {
        at = this.#lines;
        break;
      }
      if (at >= line && (tag & STATE_MASK) === OBJECT) objects.push(this.#base + at * LINE_WORDS);
      at += lines;
    }
    unlatch(cpu, Header.heapLatch);
    return { objects, end: at };
  }

  /** The shared object that the word at `address` is part of, or 0. */
  objectAt(address: number): number {
    const cpu = this.#cpu;
    const line = Math.floor((address - this.#base) / LINE_WORDS);
    if (line < 0 || line >= this.#lines) return 0;
    latch(cpu, Header.heapLatch, this.#owner);
    // A block's first line is the only one with a tag, but for free blocks.
    let first = line;
    while (cpu.read(this.#map + first) === 0) first--;
    const tag = cpu.read(this.#map + first);
    unlatch(cpu, Header.heapLatch);
    return (tag & STATE_MASK) === OBJECT ? this.#base + first * LINE_WORDS : 0;
  }

  /** `objectAt` without the latch: for a word that a task has lined up for, so that its object, if it is in one, stays. */
  objectAround(address: number): number {
    const cpu = this.#cpu;
    const line = Math.floor((address - this.#base) / LINE_WORDS);
    if (line < 0 || line >= this.#lines) return 0;
    let first = line;
    while (first > 0 && cpu.load(this.#map + first) === 0) first--;
    return (cpu.load(this.#map + first) & STATE_MASK) === OBJECT ? this.#base + first * LINE_WORDS : 0;
  }

  use(): HeapUse {
    const use = { bytes: this.#lines * LINE_WORDS * 4, used: 0, free: 0, largestFree: 0, blocks: 0 };
    this.#walk((_line, lines, state) => {
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

  /**
   * For the reaper, which has inherited heapLatch from a dead thread: makes everything from the block starts.
   * `nascent`: the words of all dead threads. One that names no block in use is cleared, whoever it belongs to: the
   * thread that died here may itself have been a reaper, which freed another thread's block. It is illegal to release
   * heapLatch while a word names a free block, because the next thread to allocate may get that block. One that holds minus
   * the address of a home (`doom`, `freeDoomed`) is cleared, and so is the home where its block is not doomed: not yet, or
   * not any more.
   */
  rebuild(nascent: readonly number[]): void {
    const cpu = this.#cpu;
    for (let bin = 0; bin < HEAP_BINS; bin++) cpu.write(Header.bins + bin, 0);
    for (let line = 0; line < this.#lines; ) {
      const tag = cpu.read(this.#map + line);
      const lines = tag >> STATE_BITS;
      // As in `#walk`.
      if (lines <= 0) break;
      for (let i = 1; i < lines; i++) cpu.write(this.#map + line + i, 0);
      if ((tag & STATE_MASK) === FREE) {
        cpu.write(this.#map + line + lines - 1, tag);
        this.#push(line, lines);
      }
      line += lines;
    }
    for (const word of nascent) {
      const home = -cpu.load(word);
      if (home > 0 && this.#doomedLineOf(cpu.load(home)) < 0) cpu.store(home, 0);
      if (this.#lineOf(-home) < 0) cpu.store(word, 0);
    }
  }

  /** What does not hold: tags that do not fit together, free blocks that no bin or the wrong bin has. */
  inspect(): string[] {
    const cpu = this.#cpu;
    latch(cpu, Header.heapLatch, this.#owner);
    const problems: string[] = [];
    const free = new Map<number, number>();
    let wasFree = false;
    for (let line = 0; line < this.#lines; ) {
      const tag = cpu.read(this.#map + line);
      const [lines, state] = [tag >> STATE_BITS, tag & STATE_MASK];
      if (lines < 1 || line + lines > this.#lines || state === 0) {
        problems.push(`line ${line} of the heap has the tag ${tag}: no block can start there`);
        break;
      }
      if (state === FREE) free.set(line, lines);
      if (state === FREE && wasFree) problems.push(`the free block at line ${line} was not merged with the one before`);
      wasFree = state === FREE;
      for (let i = 1; i < lines; i++) {
        const expected = state === FREE && i === lines - 1 ? tag : 0;
        const seen = cpu.read(this.#map + line + i);
        if (seen !== expected) problems.push(`line ${line + i}, inside a block, has the tag ${seen}, not ${expected}`);
      }
      line += lines;
    }
    problems.push(...this.#inspectBins(free));
    unlatch(cpu, Header.heapLatch);
    return problems;
  }

  /** `free`: the lengths of all free blocks, by first line. */
  #inspectBins(free: Map<number, number>): string[] {
    const cpu = this.#cpu;
    const problems: string[] = [];
    for (let bin = 0; bin < HEAP_BINS; bin++) {
      let prev = 0;
      for (let line = cpu.read(Header.bins + bin) - 1; line >= 0; line = cpu.read(this.#word(line, NEXT)) - 1) {
        const lines = free.get(line);
        if (lines === undefined || binOf(lines) !== bin || cpu.read(this.#word(line, PREV)) !== prev) {
          problems.push(`bin ${bin} leads to line ${line}, where no free block of its size and links starts`);
          break;
        }
        free.delete(line);
        prev = line + 1;
      }
    }
    for (const [line, lines] of free) problems.push(`the free block of ${lines} lines at line ${line} is in no bin`);
    return problems;
  }

  #walk(visit: (line: number, lines: number, state: number) => void): void {
    const cpu = this.#cpu;
    latch(cpu, Header.heapLatch, this.#owner);
    for (let line = 0; line < this.#lines; ) {
      const tag = cpu.read(this.#map + line);
      const lines = tag >> STATE_BITS;
      // Somebody has written over the map, which `inspect` says. Illegal to go on: this thread would never come back.
      if (lines <= 0) break;
      visit(line, lines, tag & STATE_MASK);
      line += lines;
    }
    unlatch(cpu, Header.heapLatch);
  }

  #free(address: number, nascent: number, isAnyKind: boolean): boolean {
    const cpu = this.#cpu;
    latch(cpu, Header.heapLatch, this.#owner);
    const line = this.#lineOf(address);
    const tag = line < 0 ? FREE : cpu.read(this.#map + line);
    const isFreed = (tag & STATE_MASK) === USED || (isAnyKind && (tag & STATE_MASK) === OBJECT);
    if (isFreed) this.#release(line, tag >> STATE_BITS);
    if (nascent !== 0) cpu.store(nascent, 0);
    unlatch(cpu, Header.heapLatch);
    return isFreed;
  }

  #lineOf(address: number): number {
    const line = (address - this.#base) / LINE_WORDS;
    if (!Number.isInteger(line) || line < 0 || line >= this.#lines) return -1;
    return isInUse(this.#cpu.read(this.#map + line)) ? line : -1;
  }

  /** The line where the doomed block at `address` starts; -1 for what is none. */
  #doomedLineOf(address: number): number {
    const line = this.#lineOf(address);
    return line >= 0 && (this.#cpu.read(this.#map + line) & STATE_MASK) === DOOMED ? line : -1;
  }

  /** The first line of a free block that has the lines, the first of them at a multiple of `align` words; -1 for none. */
  #findFree(lines: number, align: number): number {
    const cpu = this.#cpu;
    for (let bin = binOf(lines); bin < HEAP_BINS; bin++) {
      for (let line = cpu.read(Header.bins + bin) - 1; line >= 0; line = cpu.read(this.#word(line, NEXT)) - 1) {
        const front = this.#aligned(line, align) - line;
        if (cpu.read(this.#map + line) >> STATE_BITS >= front + lines) return line;
      }
    }
    return -1;
  }

  /** The first line from `line` on whose address is a multiple of `align`. */
  #aligned(line: number, align: number): number {
    if (align === LINE_WORDS) return line;
    return (Math.ceil((this.#base + line * LINE_WORDS) / align) * align - this.#base) / LINE_WORDS;
  }

  /** `lines` lines from `first` on of the free block at `line` become a block in use. What is in front of them stays free. */
  #take(line: number, first: number, lines: number): void {
    const cpu = this.#cpu;
    const length = cpu.read(this.#map + line) >> STATE_BITS;
    const front = first - line;
    const rest = length - front - lines;
    this.#remove(line, length);
    if (rest > 0) {
      const tag = FREE | (rest << STATE_BITS);
      cpu.write(this.#map + first + lines, tag);
      cpu.write(this.#map + line + length - 1, tag);
      this.#push(first + lines, rest);
    } else if (length > 1) {
      cpu.write(this.#map + line + length - 1, 0);
    }
    cpu.write(this.#map + first, USED | (lines << STATE_BITS));
    if (front === 0) return;
    // The store that splits: until here a walk sees one free block.
    const tag = FREE | (front << STATE_BITS);
    cpu.write(this.#map + line, tag);
    cpu.write(this.#map + first - 1, tag);
    this.#push(line, front);
  }

  #release(line: number, lines: number): void {
    const cpu = this.#cpu;
    let first = line;
    let length = lines;
    const behind = line + lines;
    const tagBehind = behind < this.#lines ? cpu.read(this.#map + behind) : 0;
    if ((tagBehind & STATE_MASK) === FREE) {
      this.#remove(behind, tagBehind >> STATE_BITS);
      length += tagBehind >> STATE_BITS;
    }
    const tagBefore = line > 0 ? cpu.read(this.#map + line - 1) : 0;
    if ((tagBefore & STATE_MASK) === FREE) {
      first -= tagBefore >> STATE_BITS;
      length += tagBefore >> STATE_BITS;
      this.#remove(first, tagBefore >> STATE_BITS);
    }
    // The store that frees: from here on a walk sees one block.
    const tag = FREE | (length << STATE_BITS);
    cpu.write(this.#map + first, tag);
    if (first < line) {
      cpu.write(this.#map + line, 0);
      if (first < line - 1) cpu.write(this.#map + line - 1, 0);
    }
    if (behind < first + length) cpu.write(this.#map + behind, 0);
    cpu.write(this.#map + first + length - 1, tag);
    this.#push(first, length);
  }

  #push(line: number, lines: number): void {
    const cpu = this.#cpu;
    const bin = Header.bins + binOf(lines);
    const next = cpu.read(bin);
    cpu.write(this.#word(line, NEXT), next);
    cpu.write(this.#word(line, PREV), 0);
    if (next !== 0) cpu.write(this.#word(next - 1, PREV), line + 1);
    cpu.write(bin, line + 1);
  }

  #remove(line: number, lines: number): void {
    const cpu = this.#cpu;
    const next = cpu.read(this.#word(line, NEXT));
    const prev = cpu.read(this.#word(line, PREV));
    if (prev === 0) cpu.write(Header.bins + binOf(lines), next);
    else cpu.write(this.#word(prev - 1, NEXT), next);
    if (next !== 0) cpu.write(this.#word(next - 1, PREV), prev);
  }

  #word(line: number, offset: number): number {
    return this.#base + line * LINE_WORDS + offset;
  }
}

/** Whether a tag is that of the first line of a block in use. */
function isInUse(tag: number): boolean {
  const state = tag & STATE_MASK;
  return state === USED || state === OBJECT || state === DOOMED;
}

/** Lengths 1..31 have a bin each; from 32 lines on, a bin holds [2^k, 2^(k+1)). */
function binOf(lines: number): number {
  return lines < EXACT_BINS ? lines : EXACT_BINS - 5 + (31 - Math.clz32(lines));
}
