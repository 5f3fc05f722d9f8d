/**
 * The locks of the textbooks, without what surviving deaths costs the library's own: test-and-set, test-and-test-and-set,
 * with back-off (Anderson 1990), ticket and MCS (Mellor-Crummey and Scott 1991), CLH (Craig 1993), a cohort of MCS locks
 * (Dice, Marathe, Shavit 2012), and two whose waiters sleep. Words stand on lines of their own.
 */
import type { Cpu } from '../../lib/machine/cpu.ts';
import { arrayOf, type Layout, struct, wordName } from '../../lib/memory/struct.ts';
import { LINE_WORDS } from '../machine/caches.ts';

export interface TextbookLock {
  lock(): void;
  unlock(): void;
}

export interface Place {
  /** Of the lock's own memory; `wordsOf` says how much. */
  base: number;
  me: number;
  threads: number;
  /** Threads that share a cohort: those of one socket. */
  perCohort: number;
  /** Stays away from memory for as long as so many turns of a spin loop take. */
  pause(turns: number): void;
}

type Maker = (cpu: Cpu, place: Place) => TextbookLock;

const isZero = (value: number) => value === 0;
const isNotZero = (value: number) => value !== 0;
const equals = (value: number, arg: number) => value === arg;
const isFree = (value: number, mask: number) => (value & mask) === 0;
const FOREVER = Number.POSITIVE_INFINITY;

const tas: Maker = (cpu, { base }) => ({
  lock() {
    while (cpu.xchgAcquire(base, 1) !== 0) cpu.relax();
  },
  unlock: () => cpu.storeRelease(base, 0),
});

const ttas: Maker = (cpu, { base }) => ({
  lock() {
    while (cpu.xchgAcquire(base, 1) !== 0) cpu.condLoad(base, isZero, 0, FOREVER);
  },
  unlock: () => cpu.storeRelease(base, 0),
});

/** Turns of a waiter's loop: those of Concurrency Kit's back-off, which LiTL has taken over. */
const FIRST_DELAY = 1 << 9;
const LAST_DELAY = (1 << 20) - 1;

/** A waiter looks, and while the lock is held stays away for twice as long each time. */
const backoff: Maker = (cpu, { base, pause }) => ({
  lock() {
    let delay = FIRST_DELAY;
    do {
      while (cpu.load(base) !== 0) {
        pause(delay);
        if (delay < LAST_DELAY) delay *= 2;
      }
    } while (cpu.xchgAcquire(base, 1) !== 0);
  },
  unlock: () => cpu.storeRelease(base, 0),
});

const ticket: Maker = (cpu, { base }) => {
  const [next, serving] = [base, base + 1];
  return {
    lock() {
      cpu.condLoadAcquire(serving, equals, cpu.fetchAddRelaxed(next, 1), FOREVER);
    },
    unlock: () => cpu.storeRelease(serving, (cpu.load(serving) + 1) | 0),
  };
};

/** An MCS queue at `tail`; the node is `next` and `locked`. */
function mcsLock(cpu: Cpu, tail: number, node: number): void {
  cpu.store(node, 0);
  cpu.store(node + 1, 1);
  const prev = cpu.xchg(tail, node);
  if (prev === 0) return;
  cpu.storeRelease(prev, node);
  cpu.condLoadAcquire(node + 1, isZero, 0, FOREVER);
}

function mcsUnlock(cpu: Cpu, tail: number, node: number): void {
  let next = cpu.loadAcquire(node);
  if (next === 0) {
    if (cpu.cmpxchgRelease(tail, node, 0) === node) return;
    next = cpu.condLoadAcquire(node, isNotZero, 0, FOREVER);
  }
  cpu.storeRelease(next + 1, 0);
}

const mcs: Maker = (cpu, { base, me }) => {
  const node = base + LINE_WORDS * (1 + me);
  return { lock: () => mcsLock(cpu, base, node), unlock: () => mcsUnlock(cpu, base, node) };
};

/** The word before `tail` is a thread's own: which node it has now, which changes hands with each acquisition. */
const clh: Maker = (cpu, { base, me, threads }) => {
  const mine = base + LINE_WORDS * (2 + threads + me);
  return {
    lock() {
      const node = cpu.load(mine);
      cpu.store(node, 1);
      const prev = cpu.xchg(base, node);
      cpu.store(mine + 1, prev);
      cpu.condLoadAcquire(prev, isZero, 0, FOREVER);
    },
    unlock() {
      const node = cpu.load(mine);
      cpu.store(mine, cpu.load(mine + 1));
      cpu.storeRelease(node, 0);
    },
  };
};

/** How often a cohort may pass the lock on among its own. */
const COHORT_BOUND = 64;

/**
 * C-BO-MCS would back off at the global lock; this is C-MCS-MCS. The head of a socket's queue takes the global lock for
 * its socket, and hands both to its successor (`locked` 2) as long as there is one, up to the bound.
 */
const cohort: Maker = (cpu, { base, me, threads, perCohort }) => {
  const socket = Math.floor(me / perCohort);
  const sockets = Math.ceil(threads / perCohort);
  const line = (number: number) => base + LINE_WORDS * number;
  const node = line(1 + me);
  const tail = line(1 + threads + socket);
  const globalNode = line(1 + threads + sockets + socket);
  const passed = tail + 1;
  return {
    lock() {
      cpu.store(node, 0);
      cpu.store(node + 1, 0);
      const prev = cpu.xchg(tail, node);
      if (prev !== 0) {
        cpu.storeRelease(prev, node);
        if (cpu.condLoadAcquire(node + 1, isNotZero, 0, FOREVER) === 2) return;
      }
      cpu.store(passed, 0);
      mcsLock(cpu, base, globalNode);
    },
    unlock() {
      let next = cpu.loadAcquire(node);
      const turns = cpu.load(passed);
      if (next !== 0 && turns < COHORT_BOUND) {
        cpu.store(passed, turns + 1);
        cpu.storeRelease(next + 1, 2);
        return;
      }
      mcsUnlock(cpu, base, globalNode);
      if (next === 0) {
        if (cpu.cmpxchgRelease(tail, node, 0) === node) return;
        next = cpu.condLoadAcquire(node, isNotZero, 0, FOREVER);
      }
      cpu.storeRelease(next + 1, 1);
    },
  };
};

/** How many loads a waiter makes before it sleeps: about as long as the call that puts it to sleep takes. */
const PATIENCE = 300;
const ASLEEP = 2;

/** MCS whose waiters look at their node `patience` times and then sleep on it, as LiTL's spin-then-park locks do. */
const mcsPark =
  (patience: number): Maker =>
  (cpu, { base, me }) => {
    const node = base + LINE_WORDS * (1 + me);
    const locked = node + 1;
    return {
      lock() {
        cpu.store(node, 0);
        cpu.store(locked, 1);
        const prev = cpu.xchg(base, node);
        if (prev === 0) return;
        cpu.storeRelease(prev, node);
        if (cpu.condLoadAcquire(locked, isZero, 0, patience) === 0) return;
        // 1 -> 2, unless the lock has just been handed over.
        if (cpu.cmpxchg(locked, 1, ASLEEP) === 0) return;
        while (cpu.loadAcquire(locked) !== 0) cpu.wait(locked, ASLEEP, FOREVER);
      },
      unlock() {
        let next = cpu.loadAcquire(node);
        if (next === 0) {
          if (cpu.cmpxchgRelease(base, node, 0) === node) return;
          next = cpu.condLoadAcquire(node, isNotZero, 0, FOREVER);
        }
        if (cpu.xchgRelease(next + 1, 0) === ASLEEP) cpu.wake(next + 1, 1);
      },
    };
  };

/** 0 free, 1 held, 2 held and somebody may sleep: the mutex of "Futexes Are Tricky" (Drepper 2004), and of glibc. */
const futex: Maker = (cpu, { base }) => ({
  lock() {
    if (cpu.cmpxchgAcquire(base, 0, 1) === 0) return;
    while (cpu.xchgAcquire(base, 2) !== 0) cpu.wait(base, 2, FOREVER);
  },
  unlock() {
    if (cpu.xchgRelease(base, 0) === 2) cpu.wake(base, 1);
  },
});

const PENDING = 1 << 8;
const TAIL = 16;
const LOCKED_PENDING = 0x1ff;

/**
 * The kernel's queued spinlock, without journals: locked 0..7, pending 8, tail from 16 on. `triesAgain` is its second trylock, between
 * filling the node and lining up; `prefetches` stands for its prefetchw of the successor's line, which `Cpu` cannot say:
 * a write of a word of that line that nobody reads.
 */
const queued =
  (triesAgain: boolean, prefetches: boolean): Maker =>
  (cpu, { base, me }) => {
    const nodeOf = (thread: number) => base + LINE_WORDS * (1 + thread);
    const node = nodeOf(me);
    const tail = (me + 1) << TAIL;
    function lineUp(): void {
      cpu.store(node, 0);
      cpu.store(node + 1, 1);
      if (triesAgain && cpu.load(base) === 0 && cpu.cmpxchgAcquire(base, 0, 1) === 0) return;
      let old = cpu.load(base);
      for (let seen = old; ; old = seen) {
        seen = cpu.cmpxchg(base, old, (old & ((1 << TAIL) - 1)) | tail);
        if (seen === old) break;
      }
      const before = old >>> TAIL;
      if (before !== 0) {
        cpu.storeRelease(nodeOf(before - 1), node);
        cpu.condLoadAcquire(node + 1, isZero, 0, FOREVER);
        const next = prefetches ? cpu.load(node) : 0;
        if (next !== 0) cpu.store(next + 2, 1);
      }
      // Head of the queue: *,x,y -> *,0,0 by its owner, and then *,0,1, or 0,0,1 where nobody is behind.
      for (let word = cpu.condLoadAcquire(base, isFree, LOCKED_PENDING, FOREVER); ; word = cpu.load(base)) {
        const isLast = word >>> TAIL === me + 1;
        if (isLast && cpu.cmpxchgRelaxed(base, word, 1) === word) return;
        if (isLast) continue;
        cpu.fetchOrRelaxed(base, 1);
        break;
      }
      const next = cpu.condLoadAcquire(node, isNotZero, 0, FOREVER);
      cpu.storeRelease(next + 1, 0);
    }
    return {
      lock() {
        const word = cpu.cmpxchgAcquire(base, 0, 1);
        if (word === 0) return;
        if (word >>> 0 > 0xff) return lineUp();
        const old = cpu.fetchOrAcquire(base, PENDING);
        if (old >>> 0 > 0xff) {
          if ((old & PENDING) === 0) cpu.fetchAnd(base, ~PENDING);
          return lineUp();
        }
        // 0,1,1 -> 0,1,0 by its owner, and then 0,0,1.
        if (old !== 0) cpu.condLoadAcquire(base, isFree, 0xff, FOREVER);
        cpu.fetchAddRelaxed(base, 1 - PENDING);
      },
      unlock() {
        cpu.fetchSubRelease(base, 1);
      },
    };
  };

/** Readers count themselves in units of 512; a writer waits its turn for the word and then for readers (kernel/locking/qrwlock.c). */
const READER = 1 << 9;

const qrwlock: Maker = (cpu, { base }) => ({
  lock() {
    if ((cpu.fetchAddAcquire(base, READER) & (READER - 1)) !== 0)
      cpu.condLoadAcquire(base, isFree, READER - 1, FOREVER);
  },
  unlock() {
    cpu.fetchSubRelease(base, READER);
  },
});

/** A reader of preemptible RCU: a counter of its own thread, there and back. */
const rcuCounter: Maker = (cpu, { base, me }) => {
  const nesting = base + LINE_WORDS * (1 + me);
  return {
    lock: () => cpu.store(nesting, cpu.load(nesting) + 1),
    unlock: () => cpu.store(nesting, cpu.load(nesting) - 1),
  };
};

/** No lock: a reader counts itself in and out in one shared word. */
const refcount: Maker = (cpu, { base }) => ({
  lock() {
    cpu.fetchAdd(base, 1);
  },
  unlock() {
    cpu.fetchSub(base, 1);
  },
});

/** No lock at all: an increment of one word, which is what some measurements are of. */
const increment: Maker = (cpu, { base }) => ({
  lock() {
    cpu.fetchAdd(base, 1);
  },
  unlock: () => {},
});

/** No lock, and no shared word: each thread counts in its own, and sixteen of these share a line. */
const packedCounters: Maker = (cpu, { base, me }) => ({
  lock() {
    cpu.store(base + me, (cpu.load(base + me) + 1) | 0);
  },
  unlock: () => {},
});

export const textbook = {
  increment,
  'packed-counters': packedCounters,
  refcount,
  tas,
  ttas,
  backoff,
  ticket,
  mcs,
  clh,
  cohort,
  'mcs-park': mcsPark(PATIENCE),
  'mcs-sleep': mcsPark(1),
  'plain-qspinlock': queued(false, false),
  'plain-qspinlock-try': queued(true, false),
  'plain-qspinlock-prefetch': queued(false, true),
  'plain-qrwlock': qrwlock,
  'plain-rcu': rcuCounter,
  futex,
} as const;
export type TextbookName = keyof typeof textbook;

const Node = struct({ next: 1, locked: 1, pad: LINE_WORDS - 2 });
const Flag = struct({ locked: 1, pad: LINE_WORDS - 1 });
const padded = { pad: LINE_WORDS - 1 } as const;

/** The structs of a lock's memory, one behind the other. */
function layoutOf(name: TextbookName, { threads, perCohort }: Pick<Place, 'threads' | 'perCohort'>): Layout {
  const sockets = Math.ceil(threads / perCohort);
  switch (name) {
    case 'packed-counters':
      return struct({ count: threads });
    case 'ticket':
      return struct({ next: 1, serving: 1 });
    case 'mcs':
    case 'mcs-park':
    case 'mcs-sleep':
      return struct({ tail: 1, ...padded, node: arrayOf(threads, Node) });
    case 'plain-qspinlock':
    case 'plain-qspinlock-try':
    case 'plain-qspinlock-prefetch':
      return struct({ lock: 1, ...padded, node: arrayOf(threads, Node) });
    case 'plain-rcu':
      return struct({ unused: LINE_WORDS, thread: arrayOf(threads, struct({ nesting: 1, ...padded })) });
    case 'clh': {
      const Mine = struct({ node: 1, prev: 1, pad: LINE_WORDS - 2 });
      return struct({ tail: 1, ...padded, node: arrayOf(threads + 1, Flag), thread: arrayOf(threads, Mine) });
    }
    case 'cohort': {
      const Socket = struct({ tail: 1, passed: 1, pad: LINE_WORDS - 2 });
      const [socket, globalNode] = [arrayOf(sockets, Socket), arrayOf(sockets, Node)];
      return struct({ globalTail: 1, ...padded, node: arrayOf(threads, Node), socket, globalNode });
    }
    default:
      return struct({ word: 1 });
  }
}

/** Names for the words of a lock's memory, from `base` on. */
export function textbookWordNames(name: TextbookName, place: Pick<Place, 'base' | 'threads' | 'perCohort'>) {
  const layout = layoutOf(name, place);
  return (address: number): string => `${name}.${wordName(layout, address - place.base)}`;
}

/** Words that a lock of any kind needs. */
export function textbookWords(threads: number): number {
  return LINE_WORDS * (2 * threads + 2 * threads + 4);
}

/** What the lock's memory holds before anybody takes it. */
export function formatTextbook(
  name: TextbookName,
  memory: Int32Array,
  { base, threads }: Pick<Place, 'base' | 'threads'>,
): void {
  if (name !== 'clh') return;
  // A free node is at the tail, and each thread has one.
  memory[base] = base + LINE_WORDS * (1 + threads);
  for (let me = 0; me < threads; me++) memory[base + LINE_WORDS * (2 + threads + me)] = base + LINE_WORDS * (1 + me);
}
