/**
 * The heap's tags and bins: which lines are in use, which are free, and how blocks are split and merged. The picture is in
 * `heap.ts`. All of it but `walk` is called under heapLatch.
 *
 * A thread may be killed in the middle: each step changes the chain of block starts by ONE store (the tail of a split block
 * gets its tag before the head is shortened; a merge lengthens the first block and only then clears the tags behind it), so
 * walking `map` from the start always works, and bins, last-line tags and stale tags are rebuilt from that walk.
 */
import type { Cpu } from '../machine/cpu.ts';
import { HEAP_BINS, Header } from './header.ts';
import { latch, unlatch } from './latch.ts';
import { LINE_WORDS } from './struct.ts';

/**
 * In use as plain memory, free, in use as a complete shared object, or plain memory that is freed when its readers are out.
 */
export const USED = 1;
export const FREE = 2;
export const OBJECT = 3;
export const DOOMED = 4;
export const STATE_BITS = 3;
export const STATE_MASK = 7;
/** Links of a free block, in its own first words. */
const NEXT = 0;
const PREV = 1;
const EXACT_BINS = 32;
/** The heap is scarce when no more than one in so many of its lines is free. */
const SCARCE = 5;

export abstract class HeapMap {
  protected readonly cpu: Cpu;
  /** The calling thread's CPU number plus one. */
  readonly owner: number;
  protected readonly map: number;
  protected readonly base: number;
  protected readonly lines: number;

  /** `owner`: the calling thread's CPU number plus one. */
  constructor(cpu: Cpu, owner: number) {
    this.cpu = cpu;
    this.owner = owner;
    this.map = cpu.read(Header.map);
    this.base = cpu.read(Header.heap);
    this.lines = cpu.read(Header.lines);
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
    const cpu = this.cpu;
    cpu.write(Header.freeLines, 0);
    for (let bin = 0; bin < HEAP_BINS; bin++) cpu.write(Header.bins + bin, 0);
    for (let line = 0; line < this.lines; ) {
      const tag = cpu.read(this.map + line);
      const lines = tag >> STATE_BITS;
      // As in `walk`.
      if (lines <= 0) break;
      for (let i = 1; i < lines; i++) cpu.write(this.map + line + i, 0);
      if ((tag & STATE_MASK) === FREE) {
        cpu.write(this.map + line + lines - 1, tag);
        this.push(line, lines);
      }
      line += lines;
    }
    for (const word of nascent) {
      const home = -cpu.load(word);
      if (home > 0 && this.doomedLineOf(cpu.load(home)) < 0) cpu.store(home, 0);
      if (this.lineOf(-home) < 0) cpu.store(word, 0);
    }
  }

  /** What does not hold: tags that do not fit together, free blocks that no bin or the wrong bin has. */
  protected faults(): string[] {
    const cpu = this.cpu;
    const problems: string[] = [];
    const free = new Map<number, number>();
    let wasFree = false;
    for (let line = 0; line < this.lines; ) {
      const tag = cpu.read(this.map + line);
      const [lines, state] = [tag >> STATE_BITS, tag & STATE_MASK];
      if (lines < 1 || line + lines > this.lines || state === 0) {
        problems.push(`line ${line} of the heap has the tag ${tag}: no block can start there`);
        break;
      }
      if (state === FREE) free.set(line, lines);
      if (state === FREE && wasFree) problems.push(`the free block at line ${line} was not merged with the one before`);
      wasFree = state === FREE;
      for (let i = 1; i < lines; i++) {
        const expected = state === FREE && i === lines - 1 ? tag : 0;
        const seen = cpu.read(this.map + line + i);
        if (seen !== expected) problems.push(`line ${line + i}, inside a block, has the tag ${seen}, not ${expected}`);
      }
      line += lines;
    }
    const total = [...free.values()].reduce((sum, lines) => sum + lines, 0);
    const counted = cpu.read(Header.freeLines);
    if (counted !== total) problems.push(`${counted} lines of the heap are counted as free, and ${total} are`);
    problems.push(...this.#inspectBins(free));
    return problems;
  }

  /** `free`: the lengths of all free blocks, by first line. */
  #inspectBins(free: Map<number, number>): string[] {
    const cpu = this.cpu;
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

  protected walk(visit: (line: number, lines: number, state: number) => void): void {
    const cpu = this.cpu;
    latch(cpu, Header.heapLatch, this.owner);
    for (let line = 0; line < this.lines; ) {
      const tag = cpu.read(this.map + line);
      const lines = tag >> STATE_BITS;
      // Somebody has written over the map, which `inspect` says. Illegal to go on: this thread would never come back.
      if (lines <= 0) break;
      visit(line, lines, tag & STATE_MASK);
      line += lines;
    }
    unlatch(cpu, Header.heapLatch);
  }

  lineOf(address: number): number {
    const line = (address - this.base) / LINE_WORDS;
    if (!Number.isInteger(line) || line < 0 || line >= this.lines) return -1;
    return isInUse(this.cpu.read(this.map + line)) ? line : -1;
  }

  /** The line where the doomed block at `address` starts; -1 for what is none. */
  protected doomedLineOf(address: number): number {
    const line = this.lineOf(address);
    return line >= 0 && (this.cpu.read(this.map + line) & STATE_MASK) === DOOMED ? line : -1;
  }

  /** The first line of a free block that has the lines, the first of them at a multiple of `align` words; -1 for none. */
  protected findFree(lines: number, align: number): number {
    const cpu = this.cpu;
    for (let bin = binOf(lines); bin < HEAP_BINS; bin++) {
      for (let line = cpu.read(Header.bins + bin) - 1; line >= 0; line = cpu.read(this.#word(line, NEXT)) - 1) {
        const front = this.aligned(line, align) - line;
        if (cpu.read(this.map + line) >> STATE_BITS >= front + lines) return line;
      }
    }
    return -1;
  }

  /** The first line from `line` on whose address is a multiple of `align`. */
  protected aligned(line: number, align: number): number {
    if (align === LINE_WORDS) return line;
    return (Math.ceil((this.base + line * LINE_WORDS) / align) * align - this.base) / LINE_WORDS;
  }

  /** `lines` lines from `first` on of the free block at `line` become a block in use. What is in front of them stays free. */
  protected take(line: number, first: number, lines: number): void {
    const cpu = this.cpu;
    const length = cpu.read(this.map + line) >> STATE_BITS;
    const front = first - line;
    const rest = length - front - lines;
    this.#remove(line, length);
    if (rest > 0) {
      const tag = FREE | (rest << STATE_BITS);
      cpu.write(this.map + first + lines, tag);
      cpu.write(this.map + line + length - 1, tag);
      this.push(first + lines, rest);
    } else if (length > 1) {
      cpu.write(this.map + line + length - 1, 0);
    }
    cpu.write(this.map + first, USED | (lines << STATE_BITS));
    if (front === 0) return;
    // The store that splits: until here a walk sees one free block.
    const tag = FREE | (front << STATE_BITS);
    cpu.write(this.map + line, tag);
    cpu.write(this.map + first - 1, tag);
    this.push(line, front);
  }

  protected release(line: number, lines: number): void {
    const cpu = this.cpu;
    let first = line;
    let length = lines;
    const behind = line + lines;
    const tagBehind = behind < this.lines ? cpu.read(this.map + behind) : 0;
    if ((tagBehind & STATE_MASK) === FREE) {
      this.#remove(behind, tagBehind >> STATE_BITS);
      length += tagBehind >> STATE_BITS;
    }
    const tagBefore = line > 0 ? cpu.read(this.map + line - 1) : 0;
    if ((tagBefore & STATE_MASK) === FREE) {
      first -= tagBefore >> STATE_BITS;
      length += tagBefore >> STATE_BITS;
      this.#remove(first, tagBefore >> STATE_BITS);
    }
    // The store that frees: from here on a walk sees one block.
    const tag = FREE | (length << STATE_BITS);
    cpu.write(this.map + first, tag);
    if (first < line) {
      cpu.write(this.map + line, 0);
      if (first < line - 1) cpu.write(this.map + line - 1, 0);
    }
    if (behind < first + length) cpu.write(this.map + behind, 0);
    cpu.write(this.map + first + length - 1, tag);
    this.push(first, length);
  }

  protected push(line: number, lines: number): void {
    const cpu = this.cpu;
    const bin = Header.bins + binOf(lines);
    const next = cpu.read(bin);
    cpu.write(this.#word(line, NEXT), next);
    cpu.write(this.#word(line, PREV), 0);
    if (next !== 0) cpu.write(this.#word(next - 1, PREV), line + 1);
    cpu.write(bin, line + 1);
    cpu.write(Header.freeLines, cpu.read(Header.freeLines) + lines);
  }

  #remove(line: number, lines: number): void {
    const cpu = this.cpu;
    const next = cpu.read(this.#word(line, NEXT));
    const prev = cpu.read(this.#word(line, PREV));
    if (prev === 0) cpu.write(Header.bins + binOf(lines), next);
    else cpu.write(this.#word(prev - 1, NEXT), next);
    if (next !== 0) cpu.write(this.#word(next - 1, PREV), prev);
    cpu.write(Header.freeLines, cpu.read(Header.freeLines) - lines);
  }

  /** Whether no more than one in SCARCE lines is free. */
  protected isScarce(): boolean {
    return this.cpu.read(Header.freeLines) * SCARCE <= this.lines;
  }

  #word(line: number, offset: number): number {
    return this.base + line * LINE_WORDS + offset;
  }
}

/** Whether a tag is that of the first line of a block in use. */
export function isInUse(tag: number): boolean {
  const state = tag & STATE_MASK;
  return state === USED || state === OBJECT || state === DOOMED;
}

/** Lengths 1..31 have a bin each; from 32 lines on, a bin holds [2^k, 2^(k+1)). */
function binOf(lines: number): number {
  return lines < EXACT_BINS ? lines : EXACT_BINS - 5 + (31 - Math.clz32(lines));
}
