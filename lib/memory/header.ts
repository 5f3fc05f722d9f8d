/**
 * The first words of an arena: what it is, how it is laid out, and where everything else begins.
 *
 *   header | threads | names | map | heap
 *
 * `threads` is the table of attached threads (`lib/sched/`), `names` the hash table of named objects (`names.ts`),
 * `map` one word for each line of `heap` (`heap.ts`). All of it is written before the memory is shared, except the
 * latches and what they guard, the profile's words, and what its comment says.
 */
import { HoldfastError, shown } from '../errors.ts';
import type { Cpu } from '../machine/cpu.ts';
import { inLines, LINE_WORDS, struct } from './struct.ts';

/** 'HLDF'. */
export const MAGIC = 0x484c4446;
/** Counts up with every change to a layout in shared memory. */
export const LAYOUT_VERSION = 16;
/** Hash buckets for names. */
export const NAME_BUCKETS = 256;
/** Free lists of the heap: one per size in lines up to 31, then one per power of two. */
export const HEAP_BINS = 32 + 20;
/** The most threads an arena can be laid out for: a CPU number plus one fits the 10-bit fields of qspinlock. */
export const MOST_THREADS = 1022;

export const Header = struct({
  magic: 1,
  version: 1,
  /** Of the arena, words. */
  size: 1,
  /** Random, so that two attachments to one arena in one thread can be told from two arenas. */
  id: 1,
  /** Slots in the thread table. */
  slots: 1,
  threadWords: 1,
  threads: 1,
  names: 1,
  map: 1,
  heap: 1,
  /** Lines in the heap. */
  lines: 1,
  /** The number of the session of a contention profile that runs, or 0; see `sched/contention.ts`. */
  profile: 1,
  /** What it writes to, once there has been one: it stays. */
  profileTables: 1,
  /** The number of the session of lockdep that runs, or 0; see `sched/lock-observer.ts`. */
  lockdep: 1,
  /** What it writes to, once there has been one: it stays. */
  lockdepTables: 1,
  /** The sinks that trace the arena, and how often that has changed, or 0; see `debug/trace/sink.ts`. */
  trace: 1,
  /** Illegal to be used: locks whose owner's place names no task have threads take it for that task (`owner-word.ts`). */
  noTask: 4,
  /** Guards the table of names and the destroyed objects. Taken before heapLatch. */
  namesLatch: 1,
  /** Counts the objects that are made: what tells two apart that have had one address. */
  serial: 1,
  /** The latest destroyed object whose memory threads may still reach, and how many there are; see `objects.ts`. */
  destroyed: 1,
  destroyedCount: 1,
  /** Counts the objects that were destroyed. */
  stamp: 1,
  /** How many destroyed objects there have to be before it is looked again which of them may be freed. */
  sweepAt: 1,
  /** Counts the grace periods over what threads do between two turns; see `sched/rounds.ts`. */
  round: 1,
  padNames: LINE_WORDS - 10,
  /** Guards bins, map and free blocks. */
  heapLatch: 1,
  /** Held by the thread that reaps; dead threads are reaped one reaper at a time. Taken before all others. */
  reaperLatch: 1,
  /** Counts the sets of dead threads that reapers have met. Guarded by reaperLatch. */
  era: 1,
  /** Guards who waits for which rt-mutex, and all inherited priorities. Taken after namesLatch. */
  priorityLatch: 1,
  /** Lines in free blocks of the heap. Guarded by heapLatch. */
  freeLines: 1,
  /** Whether a thread has said that the heap is nearly full. Guarded by heapLatch. */
  saidScarce: 1,
  padHeap: LINE_WORDS - 6,
  /** The thread that is kthreadd, or makes it; see `arena/kthreadd.ts`. */
  kthreadd: 1,
  /** 1 once something was asked of kthreadd: who finds that there is none makes it. */
  kthreaddWanted: 1,
  /** Counts what is asked of kthreadd, which sleeps on it. */
  kthreaddRing: 1,
  /** The tid + 1 of the thread that made the arena; it has slot 0 for as long as it is attached. */
  creator: 1,
  /** Counts what is asked of that thread, which sleeps on it on its event loop. */
  creatorRing: 1,
  /** Guards the arena's timers; see `sched/timer.ts`. Taken after all others but heapLatch. */
  timerLatch: 1,
  /** Root of the tree of timers. */
  timers: 1,
  /** What a trace writes to, once there has been one: it stays. */
  traceTables: 1,
  /** Counts the changes of `trace`. */
  traceChanges: 1,
  /** The sinks that want to hear of locks that are free: a bit each. */
  traceLocks: 1,
  /** The places of trace programs, once there are any: they stay; see `debug/trace/program/layout.ts`. */
  programs: 4,
  /** The session of `profile` again, if that counts locks that are free, too; or 0. */
  profileLocks: 1,
  padKthreadd: LINE_WORDS - 15,
  bins: inLines(HEAP_BINS),
});

export interface Geometry {
  words: number;
  maxThreads: number;
  /** Slots of the thread table beside those of `maxThreads` threads. */
  spare?: number;
  /** Words of one entry in the thread table. */
  threadWords: number;
  id: number;
}

/** Where everything lies in an arena of so many words and slots. With no line in the heap, it is too small. */
function placesIn(words: number, slots: number, threadWords: number) {
  // Tasks lie in the thread table at multiples of two lines.
  const threads = Math.ceil(Header.words / (2 * LINE_WORDS)) * 2 * LINE_WORDS;
  const names = threads + slots * threadWords;
  const map = names + inLines(NAME_BUCKETS);
  // Each heap line costs its own words and one word of map.
  const most = Math.floor((words - map - LINE_WORDS) / (LINE_WORDS + 1));
  const heap = inLines(map + most);
  return { threads, names, map, heap, lines: Math.min(most, Math.floor((words - heap) / LINE_WORDS)) };
}

/** For `fsck`: words of the header that say that the arena's parts lie where they do not. */
export function headerFaults(cpu: Cpu, threadWords: number): string[] {
  const places = placesIn(cpu.read(Header.size), cpu.read(Header.slots), threadWords);
  const expected = { magic: MAGIC, version: LAYOUT_VERSION, threadWords, ...places };
  const names = Object.keys(expected) as (keyof typeof expected)[];
  const wrong = names.filter((name) => cpu.read(Header[name]) !== expected[name]);
  return wrong.map((name) => `the header says ${cpu.read(Header[name])} for ${name}, and that is ${expected[name]}`);
}

/** Lays out an arena over memory that is all zero and that no other thread can reach yet. */
export function formatHeader(cpu: Cpu, { words, maxThreads, spare = 0, threadWords, id }: Geometry): void {
  const { threads, names, map, heap, lines } = placesIn(words, maxThreads + spare, threadWords);
  if (lines < 1) {
    const least = (map + LINE_WORDS + 16 * (LINE_WORDS + 1)) * 4;
    throw new HoldfastError(
      'EINVAL',
      `an arena of ${words * 4} bytes is too small: ${maxThreads} threads need at least ${least} bytes`,
    );
  }
  cpu.write(Header.version, LAYOUT_VERSION);
  cpu.write(Header.size, words);
  cpu.write(Header.id, id);
  cpu.write(Header.slots, maxThreads + spare);
  cpu.write(Header.threadWords, threadWords);
  cpu.write(Header.threads, threads);
  cpu.write(Header.names, names);
  cpu.write(Header.map, map);
  cpu.write(Header.heap, heap);
  cpu.write(Header.lines, lines);
  cpu.write(Header.magic, MAGIC);
}

/** Throws unless the memory behind `cpu` is an arena that this version of the library laid out. */
export function checkHeader(cpu: Cpu, words: number, threadWords: number): void {
  if (words < Header.words || cpu.read(Header.magic) !== MAGIC) {
    throw new HoldfastError(
      'EINVAL',
      'this SharedArrayBuffer is no holdfast arena; expected one made by Arena.create()',
    );
  }
  const version = cpu.read(Header.version);
  if (version !== LAYOUT_VERSION || cpu.read(Header.threadWords) !== threadWords) {
    throw new HoldfastError(
      'EINVAL',
      `the arena has layout version ${version}, this library reads ${LAYOUT_VERSION}: all threads must load one version of holdfast`,
    );
  }
  if (cpu.read(Header.size) !== words) {
    throw new HoldfastError(
      'EINVAL',
      `the arena was laid out for ${shown(cpu.read(Header.size))} words, the buffer holds ${words}`,
    );
  }
}
