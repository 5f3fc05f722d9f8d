/**
 * The blocks that a structure is made of: XArray nodes, map entries. The one file that takes memory for them, and gives it
 * back.
 *
 * A structure takes chunks from the heap and cuts them into blocks. Blocks that it takes out of itself are retired: once all
 * readers are out that may have found them, they can be used again. All of it is words in shared memory that change in the
 * structure's own steps (`journal.ts`), so a writer that dies loses no block, and a block is never in two places.
 *
 *   free[class]   blocks of a class, linked
 *   bump..end     what is left of the newest chunk
 *   fresh         retired; no period asked for yet
 *   waiting       retired before the period that ends with `end` began
 *
 *   allocate   free or bump -> the structure        retire   the structure -> fresh
 *   collect    fresh -> waiting, waiting -> free    when the period of `waiting` is over
 *
 * Classes of blocks, and chunks: `chunks.ts`.
 */
import type { Arena } from '../arena/arena.ts';
import { HoldfastError } from '../errors.ts';
import type { Cpu } from '../machine/cpu.ts';
import { advance, isOver, snapshot } from '../rcu/grace-period.ts';
import { NORMAL } from '../rcu/layout.ts';
import type { Stretch } from '../rcu/stretch.ts';
import { Block, Chunk, CLASSES, classOf, PoolWords, SMALL, tryCreateChunk, UNIT, wordsOf } from './chunks.ts';
import type { Journal } from './journal.ts';

/** There is no memory yet: blocks that were retired can be used once the period with that number is over. Nothing has changed. */
export class MemoryAwaited extends HoldfastError {
  readonly period: number;

  constructor(period: number) {
    super('ENOMEM', 'the arena is full, and readers may still look at what was taken out of the structure');
    this.period = period;
  }
}

/** Words of a chunk: a quarter of what there is already, within these. */
const LEAST_CHUNK = 256;
const MOST_CHUNK = 1 << 15;
const HIGH = 2 ** 32;
/** Words that moving a block from one list to another stages. */
const MOVE = 3;
/** Words that a structure's own step may stage beside the pool's. */
export const OWN_ENTRIES = 48;

/** The free blocks of one class, in the middle of a step. */
class FreeList {
  /** The class; -1 before the step's first block. */
  size = -1;
  head = 0;
  hasChanged = false;
}

export class Pool {
  readonly #cpu: Cpu;
  readonly #structure: number;
  readonly #at: number;
  readonly #journal: Journal;
  readonly #arena: Arena;
  readonly #stretch: Stretch;
  /** Heads as this step leaves them; staged by `stage`. */
  readonly #lists = [new FreeList(), new FreeList()] as const;
  #bump = 0;
  #fresh = 0;
  #hasBumped = false;
  #hasRetired = false;
  #retired = 0;

  /** `at`: the address of the PoolWords, which are the structure's. */
  constructor(arena: Arena, structure: number, at: number, journal: Journal, stretch: Stretch) {
    this.#cpu = arena.cpu;
    this.#structure = structure;
    this.#at = at;
    this.#journal = journal;
    this.#arena = arena;
    this.#stretch = stretch;
  }

  /** Before each step: none of its allocations is made yet. */
  begin(): void {
    const [one, other] = this.#lists;
    one.size = -1;
    other.size = -1;
    this.#hasBumped = false;
    this.#hasRetired = false;
  }

  /**
   * Sees to it that `count` blocks of `words` words, and `others` of `otherWords`, can be taken in the next step, which takes no
   * more. Throws ENOMEM, as MemoryAwaited where there will be so many once readers are out. Makes steps of its own.
   */
  reserve(words: number, count: number, otherWords = words, others = 0): void {
    const size = classOf(words);
    const other = classOf(otherWords);
    if (size === other) this.#reserve(size, count + others, size, 0);
    else this.#reserve(size, count, other, others);
  }

  #reserve(size: number, count: number, other: number, others: number): void {
    if (this.#has(size, count, other, others)) return;
    this.collect();
    if (this.#has(size, count, other, others)) return;
    this.#addChunk(size, count, other, others);
  }

  /** A block that `reserve` has seen to, of any content behind its first two words. Its class is set. */
  take(words: number): number {
    const cpu = this.#cpu;
    const size = classOf(words);
    const list = this.#listOf(size);
    const free = list.head;
    if (free !== 0) {
      list.head = cpu.read(free + Block.link);
      list.hasChanged = true;
      return free;
    }
    const block = this.#hasBumped ? this.#bump : cpu.read(this.#at + PoolWords.bump);
    const length = wordsOf(size);
    if (block + length > cpu.read(this.#at + PoolWords.bumpEnd)) throw new Error('a block that nobody has reserved');
    this.#bump = block + length;
    this.#hasBumped = true;
    cpu.write(block + Block.size, size);
    return block;
  }

  /** The free blocks of a class, as this step leaves them. */
  #listOf(size: number): FreeList {
    const [one, other] = this.#lists;
    if (one.size === size) return one;
    if (other.size === size) return other;
    const list = one.size < 0 ? one : other;
    if (list.size >= 0) throw new Error('a step takes blocks of two classes');
    list.size = size;
    list.head = this.#cpu.read(this.#at + PoolWords.free + size);
    list.hasChanged = false;
    return list;
  }

  /** The structure no longer leads to `block` once this step is over. */
  retire(block: number): void {
    const cpu = this.#cpu;
    // Nobody reads the link of a block that is in use, so it may be written before the step is made.
    cpu.write(block + Block.link, this.#hasRetired ? this.#fresh : cpu.read(this.#at + PoolWords.fresh));
    this.#fresh = block;
    this.#hasRetired = true;
    this.#retired++;
  }

  /** Stages what the step does to the pool. */
  stage(): void {
    const journal = this.#journal;
    for (const { size, head, hasChanged } of this.#lists) {
      if (size >= 0 && hasChanged) journal.stage(this.#at + PoolWords.free + size, head);
    }
    if (this.#hasBumped) journal.stage(this.#at + PoolWords.bump, this.#bump);
    if (this.#hasRetired) journal.stage(this.#at + PoolWords.fresh, this.#fresh);
    this.begin();
  }

  /** Now and then: lets retired blocks be used again. */
  tidy(): void {
    if (this.#retired < 64) return;
    this.#retired = 0;
    this.collect();
  }

  /** What no reader can see any more becomes free. */
  collect(): void {
    const cpu = this.#cpu;
    const at = this.#at;
    const hasRetired = cpu.read(at + PoolWords.waiting) !== 0 || cpu.read(at + PoolWords.fresh) !== 0;
    if (!hasRetired) return;
    // Twice: what is fresh may be over at once.
    for (let i = 0; i < 2; i++) {
      if (cpu.read(at + PoolWords.waiting) !== 0) {
        if (!this.hasEnded(this.#waitingEnd())) return;
        this.#freeWaiting();
      }
      const fresh = cpu.read(at + PoolWords.fresh);
      if (fresh === 0) return;
      const end = this.end();
      this.#journal.begin();
      this.#journal.stage(at + PoolWords.endLow, end | 0);
      this.#journal.stage(at + PoolWords.endHigh, Math.floor(end / HIGH));
      this.#journal.stage(at + PoolWords.fresh, 0);
      this.#journal.stage(at + PoolWords.waiting, fresh);
      this.#journal.commit();
    }
  }

  /** If the blocks can be had once readers are out: the number of the period that ends then; else 0. */
  #awaited(size: number, count: number, other: number, others: number): number {
    const cpu = this.#cpu;
    const [waiting, fresh] = [cpu.read(this.#at + PoolWords.waiting), cpu.read(this.#at + PoolWords.fresh)];
    const [older, newer] = [this.#look(waiting, size, other), this.#look(fresh, size, other)];
    // Of what is left of the chunk, the first class has what it needs, if it can.
    let missing = this.#missing(size, count);
    const fromRoom = Math.min(missing, Math.floor(this.#room() / wordsOf(size)));
    missing -= fromRoom;
    const room = this.#room() - fromRoom * wordsOf(size);
    const missingOthers = Math.max(0, this.#missing(other, others) - Math.floor(room / wordsOf(other)));
    if (missing > older.ofClass + newer.ofClass || missingOthers > older.ofOther + newer.ofOther) return 0;
    if (missing <= older.ofClass && missingOthers <= older.ofOther) return this.#waitingEnd();
    // All that is retired waits for one period from here on, and not what is fresh for the one after it.
    const end = this.end();
    const journal = this.#journal;
    journal.begin();
    journal.stage(this.#at + PoolWords.endLow, end | 0);
    journal.stage(this.#at + PoolWords.endHigh, Math.floor(end / HIGH));
    if (waiting !== 0) journal.stage(newer.last + Block.link, waiting);
    journal.stage(this.#at + PoolWords.waiting, fresh);
    journal.stage(this.#at + PoolWords.fresh, 0);
    journal.commit();
    return end;
  }

  /** How many blocks of two classes a list has, and its last one. */
  #look(first: number, size: number, other: number): { ofClass: number; ofOther: number; last: number } {
    const cpu = this.#cpu;
    let [ofClass, ofOther, last] = [0, 0, 0];
    for (let block = first; block !== 0; block = cpu.read(block + Block.link)) {
      last = block;
      if (cpu.read(block + Block.size) === size) ofClass++;
      if (cpu.read(block + Block.size) === other) ofOther++;
    }
    return { ofClass, ofOther, last };
  }

  /** The number of the period that `waiting` waits for. */
  #waitingEnd(): number {
    const cpu = this.#cpu;
    return cpu.read(this.#at + PoolWords.endHigh) * HIGH + (cpu.read(this.#at + PoolWords.endLow) >>> 0);
  }

  /** The period that ends when all readers of this moment are out, asked for. */
  end(): number {
    const { thread, domain } = this.#stretch.readers;
    const end = snapshot(thread, domain, NORMAL);
    advance(thread, domain, NORMAL, end);
    return end;
  }

  /** Whether the period that `end` returned is over. */
  hasEnded(end: number): boolean {
    const { thread, domain } = this.#stretch.readers;
    if (isOver(thread, domain, NORMAL, end)) return true;
    // A writer is no reader: unless its thread is inside one, periods need not wait for it.
    this.#stretch.quiescent();
    advance(thread, domain, NORMAL, end);
    return isOver(thread, domain, NORMAL, end);
  }

  /** Bytes that the structure has taken from the heap, and bytes of them that are in no use now. */
  use(): { bytes: number; free: number } {
    const cpu = this.#cpu;
    let free = cpu.read(this.#at + PoolWords.bumpEnd) - cpu.read(this.#at + PoolWords.bump);
    const heads = Array.from({ length: CLASSES }, (_, size) => PoolWords.free + size);
    for (const head of [...heads, PoolWords.fresh, PoolWords.waiting]) {
      for (let block = cpu.read(this.#at + head); block !== 0; block = cpu.read(block + Block.link)) {
        free += wordsOf(cpu.read(block + Block.size));
      }
    }
    return { bytes: cpu.read(this.#at + PoolWords.total) * 4, free: free * 4 };
  }

  #has(size: number, count: number, other: number, others: number): boolean {
    const needed = this.#missing(size, count) * wordsOf(size) + this.#missing(other, others) * wordsOf(other);
    return needed === 0 || needed <= this.#room();
  }

  /** Words that are left of the newest chunk. */
  #room(): number {
    return this.#cpu.read(this.#at + PoolWords.bumpEnd) - this.#cpu.read(this.#at + PoolWords.bump);
  }

  /** How many of `count` blocks of the class are not free. */
  #missing(size: number, count: number): number {
    const cpu = this.#cpu;
    let missing = count;
    if (missing === 0) return 0;
    let block = cpu.read(this.#at + PoolWords.free + size);
    for (; missing > 0 && block !== 0; missing--) block = cpu.read(block + Block.link);
    return missing;
  }

  /** Moves the blocks of `waiting`, whose period is over, to where they are free; as many in a step as its journal holds. */
  #freeWaiting(): void {
    const cpu = this.#cpu;
    const heads = new Map<number, number>();
    let block = cpu.read(this.#at + PoolWords.waiting);
    while (block !== 0) {
      this.#journal.begin();
      heads.clear();
      while (block !== 0 && this.#journal.room > MOVE * 2 + heads.size) {
        // Blocks of one class that follow each other stay linked.
        const first = block;
        const size = cpu.read(block + Block.size);
        let next = cpu.read(block + Block.link);
        while (next !== 0 && cpu.read(next + Block.size) === size) {
          block = next;
          next = cpu.read(block + Block.link);
        }
        const head = this.#at + PoolWords.free + size;
        this.#journal.stage(block + Block.link, heads.get(head) ?? cpu.read(head));
        heads.set(head, first);
        block = next;
      }
      for (const [head, first] of heads) this.#journal.stage(head, first);
      this.#journal.stage(this.#at + PoolWords.waiting, block);
      this.#journal.commit();
    }
  }

  /** A new chunk, in which all the blocks fit. What was left of the last one becomes free. */
  #addChunk(size: number, count: number, other: number, others: number): void {
    const cpu = this.#cpu;
    const needed = count * wordsOf(size) + others * wordsOf(other);
    const total = cpu.read(this.#at + PoolWords.total);
    const wished = Math.max(needed, Math.min(MOST_CHUNK, Math.max(LEAST_CHUNK, total >> 2)));
    let words = wished + Chunk.words;
    let chunk = tryCreateChunk(this.#arena, this.#structure, this.#at, words);
    if (chunk === 0) chunk = tryCreateChunk(this.#arena, this.#structure, this.#at, (words = needed + Chunk.words));
    if (chunk === 0) {
      const period = this.#awaited(size, count, other, others);
      if (period !== 0) throw new MemoryAwaited(period);
      const { heap, objects } = this.#arena;
      throw heap.exhausted(needed, `what the ${objects.labelOf(this.#structure)} is to hold`);
    }
    cpu.write(chunk + Chunk.next, cpu.read(this.#at + PoolWords.chunks));
    const journal = this.#journal;
    journal.begin();
    let left = cpu.read(this.#at + PoolWords.bump);
    const end = cpu.read(this.#at + PoolWords.bumpEnd);
    // The longest blocks that fit, so these are few.
    const heads = new Map<number, number>();
    while (end - left >= UNIT) {
      const rest = Math.min(SMALL, Math.floor((end - left) / UNIT)) - 1;
      const head = this.#at + PoolWords.free + rest;
      if (journal.room < 8 || heads.size > 3) break;
      journal.stage(left + Block.size, rest);
      journal.stage(left + Block.link, heads.get(head) ?? cpu.read(head));
      heads.set(head, left);
      left += wordsOf(rest);
    }
    for (const [head, first] of heads) journal.stage(head, first);
    journal.stage(this.#at + PoolWords.bump, chunk + Chunk.words);
    journal.stage(this.#at + PoolWords.bumpEnd, chunk + words);
    journal.stage(this.#at + PoolWords.total, total + words);
    journal.stage(chunk + Chunk.holder, 0);
    journal.stage(this.#at + PoolWords.chunks, chunk);
    journal.commit();
  }
}
