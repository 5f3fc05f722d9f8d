/**
 * The chunks that a structure's pool takes from the heap, and the blocks that it cuts them into.
 *
 * A class is a block's length: multiples of 8 words up to 256, then powers of two. A block's first two words are its link
 * and its class.
 *
 * A chunk is a shared object, which names the structure's pool and the thread that takes it: if that dies before the chunk
 * is linked, the reaper frees the chunk. Illegal to free a chunk that is linked.
 */
import type { Arena } from '../arena/arena.ts';
import { HoldfastError } from '../errors.ts';
import type { Cpu } from '../machine/cpu.ts';
import { Heap } from '../memory/heap.ts';
import { defineKind, type Kind, kindById } from '../memory/kinds.ts';
import { kindIdOf, ObjectHeader } from '../memory/objects.ts';
import type { Repairer } from '../memory/repairer.ts';
import { LINE_WORDS, struct } from '../memory/struct.ts';

export const Block = struct({
  /** The next block of the same list; guarded by the structure's latch. */
  link: 1,
  /** Set when the block is cut. */
  size: 1,
});

export const SMALL = 32;
export const UNIT = 8;
export const CLASSES = SMALL + 13;
/** The longest block, words. */
export const LONGEST_BLOCK = (SMALL * UNIT) << (CLASSES - SMALL);

export const PoolWords = struct({
  free: CLASSES,
  bump: 1,
  bumpEnd: 1,
  fresh: 1,
  waiting: 1,
  /** The number of the period, in two words. */
  endLow: 1,
  endHigh: 1,
  chunks: 1,
  /** Words in all chunks. */
  total: 1,
});

export const Chunk = struct({
  header: ObjectHeader,
  /** The thread that takes it from the heap, a CPU number plus one. 0 once it is linked. */
  holder: 1,
  next: 1,
  /** Addresses of the structure that it is for, and of the word that leads to the structure's chunks. */
  structure: 1,
  head: 1,
  pad: LINE_WORDS - ObjectHeader.words - 4,
});

const CHUNK = defineKind<Repairer>({
  name: 'structure-chunk',
  words: Chunk,
  format: () => {},
  holder: () => 0,
  partOf: (cpu, chunk) => cpu.read(chunk + Chunk.structure),
  isBusy: () => true,
  isIdle: (cpu, chunk) => cpu.load(chunk + Chunk.holder) === 0,
  // Chunks go from the first on (`releaseChunks`).
  isKept: (cpu, chunk) => cpu.load(cpu.read(chunk + Chunk.head)) === chunk,
  repair(repairer, chunk) {
    const { cpu, owner, isDead } = repairer;
    if (!isDead(cpu.load(chunk + Chunk.holder))) return true;
    const heap = new Heap(cpu, owner);
    const structure = cpu.read(chunk + Chunk.structure);
    // The step that links the chunk comes first: its journal, which says so in `holder` too, may be ahead of the words.
    const kind = heap.isObject(structure) ? kindById(kindIdOf(cpu, structure)) : undefined;
    if (kind !== undefined && !kind.repair(repairer as never, structure)) return false;
    if (isDead(cpu.load(chunk + Chunk.holder))) heap.free(chunk);
    return true;
  },
});

/** A chunk of so many words for the pool at `pool` of a structure, which it is not linked to yet; 0 when there is no memory. */
export function tryCreateChunk({ objects, thread }: Arena, structure: number, pool: number, words: number): number {
  const format = (cpu: Cpu, chunk: number) => {
    cpu.write(chunk + Chunk.holder, thread.id);
    cpu.write(chunk + Chunk.structure, structure);
    cpu.write(chunk + Chunk.head, pool + PoolWords.chunks);
  };
  const kind = { ...CHUNK, words, format } as Kind;
  try {
    return objects.create(kind);
  } catch (error) {
    if (error instanceof HoldfastError && error.code === 'ENOMEM') return 0;
    throw error;
  }
}

/** For `Kind.release`: gives all chunks of the pool at `pool` back to the heap. */
export function releaseChunks(cpu: Cpu, pool: number, heap: Heap, nascent: number): void {
  const head = pool + PoolWords.chunks;
  for (let chunk = cpu.load(head); chunk !== 0; chunk = cpu.load(head)) {
    cpu.store(nascent, chunk);
    cpu.store(head, cpu.read(chunk + Chunk.next));
    heap.free(chunk, nascent);
  }
}

/** The class of blocks that hold so many words. */
export function classOf(words: number): number {
  if (words <= SMALL * UNIT) return Math.ceil(words / UNIT) - 1;
  const size = SMALL - 1 + Math.ceil(Math.log2(words / (SMALL * UNIT)));
  if (size >= CLASSES) throw new HoldfastError('ENOMEM', `no block of a structure has ${words * 4} bytes`);
  return size;
}

/** Length of the blocks of a class, words. */
export function wordsOf(size: number): number {
  return size < SMALL ? (size + 1) * UNIT : (SMALL * UNIT) << (size - SMALL + 1);
}
