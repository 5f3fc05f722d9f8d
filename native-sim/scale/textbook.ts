/**
 * The locks of the textbooks, without what surviving deaths costs the library's own: test-and-set, test-and-test-and-set,
 * with back-off (Anderson 1990), ticket and MCS (Mellor-Crummey and Scott 1991), CLH (Craig 1993), a cohort of MCS locks
 * (Dice, Marathe, Shavit 2012), and two whose waiters sleep. Words stand on lines of their own.
 */
import { LINE_WORDS } from '../machine/caches.ts';
import { cna, cohort } from './textbook-numa.ts';
import { equals, FOREVER, isFree, isNotZero, isZero, type Maker, mcsLock, mcsUnlock } from './textbook-parts.ts';
import * as readers from './textbook-readers.ts';

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

export const textbook = {
  increment: readers.increment,
  'cas-increment': readers.casIncrement,
  'ping-pong': readers.pingPong,
  baton: readers.baton,
  'own-counter': readers.ownCounter,
  'packed-counters': readers.packedCounters,
  refcount: readers.refcount,
  tas,
  ttas,
  backoff,
  ticket,
  mcs,
  clh,
  cohort,
  cna,
  'mcs-park': mcsPark(PATIENCE),
  'mcs-sleep': mcsPark(1),
  'plain-qspinlock': queued(false, false),
  'plain-qspinlock-try': queued(true, false),
  'plain-qspinlock-prefetch': queued(false, true),
  'plain-qrwlock': readers.qrwlock,
  'plain-rwlock': readers.unfairRwlock,
  'glibc-rwlock': readers.glibcRwlock,
  'plain-rwsem': readers.rwsem,
  'plain-rcu': readers.rcuCounter,
  'empty-rcu': readers.emptyReader,
  'hash-global': readers.hashGlobal,
  'hash-buckets': readers.hashBuckets,
  'hash-rcu': readers.hashRcu,
  'hash-qsbr': readers.hashQsbr,
  futex,
} as const;
export type TextbookName = keyof typeof textbook;
