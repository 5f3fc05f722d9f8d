/**
 * What published measurements of readers, counters and hash tables run: locks that know readers, ways of counting, and
 * lookups. Each thread has a line of its own behind the first.
 */
import type { Cpu } from '../../lib/machine/cpu.ts';
import { LINE_WORDS } from '../machine/caches.ts';
import { equals, FOREVER, isFree, type Maker, mcsLock, mcsUnlock } from './textbook-parts.ts';

/** Of qrwlock's word: who writes, 0 to 7; a writer waits, 8; readers, from 9 on. */
const WRITING = 0xff;
const WRITER_WAITS = 1 << 8;
const READER = 1 << 9;

/** kernel/locking/qrwlock.c: who cannot go in at once waits in a queue, readers and writers alike. */
export const qrwlock: Maker = (cpu, { base, me, threads }) => {
  const queue = base + LINE_WORDS * (1 + threads);
  const node = base + LINE_WORDS * (1 + me);
  return {
    lock(isReader = false) {
      if (isReader) {
        if ((cpu.fetchAddAcquire(base, READER) & (READER - 1)) === 0) return;
        cpu.fetchSubRelaxed(base, READER);
        mcsLock(cpu, queue, node);
        cpu.fetchAddRelaxed(base, READER);
        cpu.condLoadAcquire(base, isFree, WRITING, FOREVER);
      } else {
        if (cpu.cmpxchgAcquire(base, 0, WRITING) === 0) return;
        mcsLock(cpu, queue, node);
        cpu.fetchOrRelaxed(base, WRITER_WAITS);
        do {
          cpu.condLoadAcquire(base, equals, WRITER_WAITS, FOREVER);
        } while (cpu.cmpxchgAcquire(base, WRITER_WAITS, WRITING) !== WRITER_WAITS);
      }
      mcsUnlock(cpu, queue, node);
    },
    unlock(isReader = false) {
      cpu.fetchSubRelease(base, isReader ? READER : WRITING);
    },
  };
};

/** What qrwlock has replaced: no queue. A reader takes one, a writer all, and gives it back where there is too little. */
export const ALL = 1 << 20;
const isAtLeastOne = (value: number) => value >= 1;

export const unfairRwlock: Maker = (cpu, { base }) => ({
  lock(isReader = false) {
    const wanted = isReader ? 1 : ALL;
    for (;;) {
      const had = cpu.fetchSubAcquire(base, wanted);
      if (isReader ? had >= 1 : had === ALL) return;
      cpu.fetchAddRelaxed(base, wanted);
      if (isReader) cpu.condLoad(base, isAtLeastOne, 0, FOREVER);
      else cpu.condLoad(base, equals, ALL, FOREVER);
    }
  },
  unlock(isReader = false) {
    cpu.fetchAddRelease(base, isReader ? 1 : ALL);
  },
});

/**
 * Readers of glibc's pthread_rwlock: in by an addition, out by a loop of compare-and-exchange, and both look first whether this
 * thread is the writer, in a word of the same line.
 */
export const glibcRwlock: Maker = (cpu, { base }) => ({
  lock() {
    cpu.load(base + 1);
    cpu.fetchAddAcquire(base, 8);
  },
  unlock() {
    cpu.load(base + 1);
    for (let old = cpu.load(base); ; ) {
      const seen = cpu.cmpxchgRelease(base, old, old - 8);
      if (seen === old) return;
      old = seen;
    }
  },
});

/** Readers of rwsem: each also writes down, beside the count, that readers have it. */
export const rwsem: Maker = (cpu, { base, me }) => ({
  lock() {
    cpu.fetchAddAcquire(base, 1 << 8);
    cpu.store(base + 1, (me << 3) | 1);
  },
  unlock() {
    cpu.fetchSubRelease(base, 1 << 8);
  },
});

/** A reader of preemptible RCU: a counter of its own thread, there and back. */
export const rcuCounter: Maker = (cpu, { base, me }) => {
  const nesting = base + LINE_WORDS * (1 + me);
  return {
    lock: () => cpu.store(nesting, cpu.load(nesting) + 1),
    unlock: () => cpu.store(nesting, cpu.load(nesting) - 1),
  };
};

/** A reader of RCU in a kernel without preemption does nothing. What is left is the loop around it: a cycle of about 3 GHz, ns. */
const CYCLE = 0.3;

export const emptyReader: Maker = (cpu) => ({
  lock: () => cpu.ndelay(CYCLE),
  unlock: () => {},
});

/** No lock: a reader counts itself in and out in one shared word. */
export const refcount: Maker = (cpu, { base }) => ({
  lock() {
    cpu.fetchAdd(base, 1);
  },
  unlock() {
    cpu.fetchSub(base, 1);
  },
});

/** No lock at all: an increment of one word, which is what some measurements are of. */
export const increment: Maker = (cpu, { base }) => ({
  lock() {
    cpu.fetchAdd(base, 1);
  },
  unlock: () => {},
});

/** The same as a loop of compare-and-exchange, which tries again with what it has seen. */
export const casIncrement: Maker = (cpu, { base }) => ({
  lock() {
    for (let old = cpu.load(base); ; ) {
      const seen = cpu.cmpxchg(base, old, (old + 1) | 0);
      if (seen === old) return;
      old = seen;
    }
  },
  unlock: () => {},
});

/** Two threads exchange a flag, each by compare-and-exchange alone. */
export const pingPong: Maker = (cpu, { base, me }) => ({
  lock() {
    while (cpu.cmpxchg(base, me & 1, 1 - (me & 1)) !== (me & 1)) cpu.relax();
  },
  unlock: () => {},
});

/** Two threads hand a flag to each other, by a spin loop and a store. */
export const baton: Maker = (cpu, { base, me }) => ({
  lock: () => void cpu.condLoadAcquire(base, equals, me & 1, FOREVER),
  unlock: () => cpu.storeRelease(base, 1 - (me & 1)),
});

/** Each thread counts in a line of its own. */
export const ownCounter: Maker = (cpu, { base, me }) => {
  const count = base + LINE_WORDS * (1 + me);
  return {
    lock: () => cpu.store(count, (cpu.load(count) + 1) | 0),
    unlock: () => {},
  };
};

/** No lock, and no shared word: each thread counts in its own, and sixteen of these share a line. */
export const packedCounters: Maker = (cpu, { base, me }) => ({
  lock() {
    cpu.store(base + me, (cpu.load(base + me) + 1) | 0);
  },
  unlock: () => {},
});

/** Of a hash table: a line each, whose first word is its lock, and its one element on a line behind all buckets. */
export const BUCKETS = 256;

/** Where a thread looks next. The time decides, as it is another with each lookup, and the same when a step is run again. */
function bucketAt(cpu: Cpu, me: number): number {
  return (Math.imul(Math.floor(cpu.now() * 8) + me * 977, 0x9e3779b1) >>> 16) % BUCKETS;
}

/** The spinlock of a pthread library: test-and-test-and-set. */
function takeSpinlock(cpu: Cpu, lock: number): void {
  while (cpu.xchgAcquire(lock, 1) !== 0) cpu.condLoad(lock, equals, 0, FOREVER);
}

/** A lookup reads the bucket's line, and that of its element, under one lock, the bucket's, or none: then it may be in RCU. */
const hashTable =
  (locks: 'table' | 'bucket' | 'nothing', isInRcu: boolean): Maker =>
  (cpu, { base, me }) => {
    const first = base + LINE_WORDS;
    const reads = first + LINE_WORDS * (2 * BUCKETS + me);
    let lock = base;
    return {
      lock() {
        const bucket = bucketAt(cpu, me);
        if (locks === 'bucket') lock = first + LINE_WORDS * bucket;
        if (locks !== 'nothing') takeSpinlock(cpu, lock);
        if (isInRcu) {
          cpu.store(reads, 1);
          cpu.mb();
        }
        const element = cpu.load(first + LINE_WORDS * bucket + 1);
        cpu.load(element + first + LINE_WORDS * (BUCKETS + bucket));
      },
      unlock() {
        if (locks !== 'nothing') cpu.storeRelease(lock, 0);
        if (isInRcu) cpu.storeRelease(reads, 0);
      },
    };
  };

export const hashGlobal = hashTable('table', false);
export const hashBuckets = hashTable('bucket', false);
/** Readers of a user-space RCU: in and out, a word of their own, and a full barrier. */
export const hashRcu = hashTable('nothing', true);
/** Readers under QSBR do nothing at all. */
export const hashQsbr = hashTable('nothing', false);
