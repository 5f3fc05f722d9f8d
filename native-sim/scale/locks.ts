/**
 * What the laboratory can run: the textbooks' locks on bare memory, and the library's own, unmodified, each on an arena in
 * the machine's memory. A thread's `enter` and `leave` are one acquisition; `isReader` says which side of a lock that has two.
 */
import { Arena, format } from '../../lib/arena/arena.ts';
import { Place } from '../../lib/arena/place.ts';
import type { ObjectHandle } from '../../lib/arena/shared-object.ts';
import { McsLock } from '../../lib/locking/mcs-lock.ts';
import { Mutex } from '../../lib/locking/mutex.ts';
import { MutexWords } from '../../lib/locking/mutex-core.ts';
import { osqLock, osqUnlock } from '../../lib/locking/osq.ts';
import { PercpuRwSemaphore } from '../../lib/locking/percpu-rw-semaphore/percpu-rw-semaphore.ts';
import { RtMutex } from '../../lib/locking/rt-mutex/rt-mutex.ts';
import { RwLock } from '../../lib/locking/rw-lock.ts';
import { RwSemaphore } from '../../lib/locking/rw-semaphore/rw-semaphore.ts';
import { Semaphore } from '../../lib/locking/semaphore/semaphore.ts';
import { SeqLock } from '../../lib/locking/seqlock/seq-lock.ts';
import { SpinLock } from '../../lib/locking/spin-lock.ts';
import { TicketLock } from '../../lib/locking/ticket-lock.ts';
import { RealCpu } from '../../lib/machine/real.ts';
import { NORMAL } from '../../lib/rcu/layout.ts';
import { enter, Readers, SYNC } from '../../lib/rcu/reader.ts';
import { Srcu } from '../../lib/rcu/srcu.ts';
import { synchronize } from '../../lib/rcu/wait.ts';
import { Slot } from '../../lib/sched/slot.ts';
import { LINE_WORDS } from '../machine/caches.ts';
import type { Machine } from '../machine/machine.ts';
import { SimError } from '../machine/profile.ts';
import { type TextbookName, textbook } from './textbook.ts';
import { formatTextbook, textbookWordNames, textbookWords } from './textbook-layout.ts';
import { arenaWordNames, type WordNames } from './word-names.ts';

export interface Lock {
  enter(isReader: boolean): void;
  leave(isReader: boolean): void;
  /** A read section that may have to be repeated, instead of `enter` and `leave`. */
  read?(section: () => void): void;
}

export interface Setup {
  machine: Machine;
  threads: number;
  /** Loads that a waiter of the library spends before it sleeps. */
  spins: number;
  perCohort: number;
  /** Each run of a step begins with a new view of its lock, also where views keep nothing: slower, and the same. */
  opensEachRun?: boolean;
}

export interface LockKind {
  readonly description: string;
  readonly hasReaders: boolean;
  /** One thread at a time is inside, when none reads. */
  readonly isExclusive: boolean;
  /** Words of the machine's memory that the lock needs for so many threads. */
  words(threads: number): number;
  /** Fills memory from word `base` on. */
  prepare(setup: Setup, base: number): Prepared;
}

export interface Prepared {
  /** How thread `me` gets at the lock, called once for each run of a step. */
  open(me: number): Lock;
  /** Names for the lock's memory as it is now. */
  wordNames(): WordNames;
}

interface TextbookKind {
  readonly hasReaders?: boolean;
  readonly isExclusive?: boolean;
}

function fromTextbook(
  name: TextbookName,
  description: string,
  { hasReaders = false, isExclusive = true }: TextbookKind = {},
): LockKind {
  return {
    description,
    hasReaders,
    isExclusive,
    words: (threads) => textbookWords(threads, name),
    prepare({ machine, threads, perCohort }, base) {
      formatTextbook(name, machine.system.memory, { base, threads });
      const views = Array.from({ length: threads }, (_, me): Lock => {
        const cpu = machine.cpu(me);
        const pause = (turns: number) => cpu.ndelay(turns * machine.profile.spinNs);
        const lock = textbook[name](cpu, { base, me, threads, perCohort, pause });
        return { enter: (isReader) => lock.lock(isReader), leave: (isReader) => lock.unlock(isReader) };
      });
      return {
        open: (me) => views[me]!,
        wordNames: () => textbookWordNames(name, { base, threads, perCohort }),
      };
    },
  };
}

interface View {
  readonly handle: ObjectHandle;
}

/** An arena holds its header, a slot for each thread, and what `heapWords` says. */
const HEADER_WORDS = 4096;
const HEAP_WORDS = 4096;

interface LibraryLock {
  readonly hasReaders?: boolean;
  /**
   * Its views keep something from call to call. Then each run of a step begins with a new view, because a run that is
   * unwound has changed what its view keeps.
   */
  readonly hasMemory?: boolean;
}

function fromLibrary<T extends View>(
  description: string,
  open: (arena: Arena, handle?: ObjectHandle) => T,
  use: (view: T, arena: Arena) => Lock,
  { hasReaders = false, hasMemory = false }: LibraryLock = {},
): LockKind {
  return {
    description,
    hasReaders,
    isExclusive: true,
    words: (threads) => HEADER_WORDS + HEAP_WORDS + (threads + 1) * (Slot.words + 64),
    prepare({ machine, threads, spins, opensEachRun = false }, base) {
      if (base !== 0) throw new SimError('an arena begins at word 0');
      format(machine.cpu(0), machine.system.memory.length - LINE_WORDS * SHARED_LINES, threads, 1);
      const arenas = Array.from({ length: threads }, (_, me) => new Arena(new Place(machine.cpu(me), me, { spins })));
      for (const { cpu, thread } of arenas) cpu.store(thread.slot + Slot.life, 1 + thread.number);
      const { handle } = open(arenas[0]!);
      const view = (me: number) => machine.atNoCost(() => use(open(arenas[me]!, handle), arenas[me]!));
      const kept = hasMemory || opensEachRun ? [] : arenas.map((_, me) => view(me));
      return {
        open: (me) => kept[me] ?? view(me),
        wordNames: () => arenaWordNames(new RealCpu(machine.system.memory)),
      };
    },
  };
}

/** Lines behind the lock's memory that the critical section works on. */
export const SHARED_LINES = 8;

interface ExclusiveLock extends View {
  lock(): void;
  unlock(): void;
}

interface SharedLock extends View {
  downRead(): void;
  upRead(): void;
  downWrite(): void;
  upWrite(): void;
}

const exclusive = (lock: ExclusiveLock): Lock => ({
  enter: () => lock.lock(),
  leave: () => lock.unlock(),
});

const semaphore = (lock: SharedLock): Lock => ({
  enter: (isReader) => (isReader ? lock.downRead() : lock.downWrite()),
  leave: (isReader) => (isReader ? lock.upRead() : lock.upWrite()),
});

/** The queue of optimistic spinners of a lock: a thread that gives up lines up again. */
function osq(tail: number, arena: Arena): Lock {
  return {
    enter() {
      while (!osqLock(arena.thread, tail)) arena.cpu.relax();
    },
    leave: () => osqUnlock(arena.thread, tail),
  };
}

interface ReaderKind {
  enter(readers: Readers): unknown;
  leave(readers: Readers): void;
}

/**
 * RCU: readers of one of its two ways in; a writer changes the data under a spinlock and waits for a grace period when it
 * has left. Which readers of a thread are inside is the thread's own to know: a step that is run again begins with none.
 */
function fromRcu(description: string, { enter: join, leave }: ReaderKind): LockKind {
  return fromLibrary(
    description,
    (arena, handle) => {
      const domain = new Srcu(arena, handle);
      return { handle: domain.handle, address: domain.address, updates: new SpinLock(arena, 'updates') };
    },
    ({ address, updates }, { thread }) => {
      const readers = new Readers(thread, address);
      return {
        enter: (isReader) => (isReader ? join(readers) : updates.lock()),
        leave(isReader) {
          if (isReader) return leave(readers);
          updates.unlock();
          synchronize(thread, readers.domain, NORMAL);
        },
      };
    },
    { hasReaders: true, hasMemory: true },
  );
}

/** Several threads may be inside. */
const OPEN = { isExclusive: false } as const;

const LOCKS: Readonly<Record<string, LockKind>> = {
  increment: fromTextbook('increment', 'no lock: an atomic increment of one shared word', OPEN),
  'cas-increment': fromTextbook('cas-increment', 'the same as a loop of compare-and-exchange', OPEN),
  'ping-pong': fromTextbook('ping-pong', 'no lock: two threads exchange a flag', OPEN),
  baton: fromTextbook('baton', 'no lock: the same by a spin loop and a store', OPEN),
  'own-counter': fromTextbook('own-counter', 'no lock: a counter for each thread, on a line of its own', OPEN),
  'packed-counters': fromTextbook('packed-counters', 'no lock: a counter for each thread, sixteen on a line', OPEN),
  tas: fromTextbook('tas', 'test-and-set'),
  ttas: fromTextbook('ttas', 'test-and-test-and-set'),
  backoff: fromTextbook('backoff', 'test-and-test-and-set with exponential back-off'),
  ticket: fromTextbook('ticket', 'ticket lock'),
  mcs: fromTextbook('mcs', 'MCS queue lock'),
  clh: fromTextbook('clh', 'CLH queue lock'),
  cohort: fromTextbook('cohort', 'cohort lock: an MCS queue for each socket, and one of sockets'),
  cna: fromTextbook('cna', 'compact NUMA-aware queue lock: waiters of other sockets go to a second queue'),
  'mcs-park': fromTextbook('mcs-park', 'MCS whose waiters sleep after a while'),
  'mcs-sleep': fromTextbook(
    'mcs-sleep',
    'a queue whose waiters sleep at once, and are handed the lock: nobody steals it',
  ),
  futex: fromTextbook('futex', 'the futex mutex of glibc: waiters sleep at once'),
  'plain-qspinlock': fromTextbook('plain-qspinlock', "the kernel's qspinlock, without the journals of the library's"),
  'plain-qspinlock-try': fromTextbook('plain-qspinlock-try', 'the same with a second trylock before it lines up'),
  'plain-qspinlock-prefetch': fromTextbook(
    'plain-qspinlock-prefetch',
    "the same with a write that fetches the successor's line early",
  ),
  'plain-qrwlock': fromTextbook('plain-qrwlock', "the kernel's qrwlock, without journals", { hasReaders: true }),
  'plain-rwlock': fromTextbook('plain-rwlock', 'the rwlock that qrwlock replaced: no queue', { hasReaders: true }),
  'glibc-rwlock': fromTextbook('glibc-rwlock', "readers of glibc's pthread_rwlock", OPEN),
  'plain-rwsem': fromTextbook('plain-rwsem', "readers of the kernel's rwsem", OPEN),
  'plain-rcu': fromTextbook('plain-rcu', "readers of preemptible RCU: a counter of the thread's own", OPEN),
  'empty-rcu': fromTextbook('empty-rcu', 'readers of RCU in a kernel without preemption: nothing but a loop', OPEN),
  refcount: fromTextbook('refcount', 'no lock: in and out count one shared word', OPEN),
  'hash-global': fromTextbook('hash-global', 'lookups in a hash table under one spinlock', OPEN),
  'hash-buckets': fromTextbook('hash-buckets', 'lookups under a spinlock for each bucket', OPEN),
  'hash-rcu': fromTextbook('hash-rcu', 'lookups by readers of a user-space RCU', OPEN),
  'hash-qsbr': fromTextbook('hash-qsbr', 'lookups by readers that do nothing (QSBR)', OPEN),
  'holdfast-ticket': fromLibrary('TicketLock', (arena, handle) => new TicketLock(arena, handle), exclusive),
  'holdfast-mcs': fromLibrary('McsLock', (arena, handle) => new McsLock(arena, handle), exclusive),
  qspinlock: fromLibrary('SpinLock', (arena, handle) => new SpinLock(arena, handle), exclusive),
  mutex: fromLibrary('Mutex', (arena, handle) => new Mutex(arena, handle), exclusive),
  'rt-mutex': fromLibrary('RtMutex', (arena, handle) => new RtMutex(arena, handle), exclusive),
  semaphore: fromLibrary(
    'Semaphore of one permit',
    (arena, handle) => new Semaphore(arena, handle),
    (lock) => ({
      enter: () => lock.down(),
      leave: () => lock.up(),
    }),
    { hasMemory: true },
  ),
  osq: fromLibrary(
    'the queue of optimistic spinners',
    (arena, handle) => new Mutex(arena, handle),
    (lock, arena) => osq(lock.address + MutexWords.osq, arena),
  ),
  rwlock: fromLibrary(
    'RwLock',
    (arena, handle) => new RwLock(arena, handle),
    (lock) => ({
      enter: (isReader) => (isReader ? lock.readLock() : lock.writeLock()),
      leave: (isReader) => (isReader ? lock.readUnlock() : lock.writeUnlock()),
    }),
    { hasReaders: true },
  ),
  rwsem: fromLibrary('RwSemaphore', (arena, handle) => new RwSemaphore(arena, handle), semaphore, {
    hasReaders: true,
    hasMemory: true,
  }),
  'percpu-rwsem': fromLibrary('PercpuRwSemaphore', (arena, handle) => new PercpuRwSemaphore(arena, handle), semaphore, {
    hasReaders: true,
    hasMemory: true,
  }),
  seqlock: fromLibrary(
    'SeqLock',
    (arena, handle) => new SeqLock(arena, handle),
    (lock) => ({
      ...exclusive(lock),
      read(section) {
        for (let begun = lock.readBegin(); ; begun = lock.readBegin()) {
          section();
          if (!lock.readRetry(begun)) return;
        }
      },
    }),
    { hasReaders: true },
  ),
  rcu: fromRcu('Rcu: readers; writers under a SpinLock, each with a grace period', {
    enter: ({ cpu, sync }) => enter(cpu, sync),
    leave: (readers) => readers.exit(SYNC),
  }),
  srcu: fromRcu('Srcu: the same, with readers that may overlap', {
    enter: (readers) => readers.join(),
    leave: (readers) => void (readers.leave(0) || readers.leave(1)),
  }),
};

export const lockNames: readonly string[] = Object.keys(LOCKS);

export function lockKind(name: string): LockKind {
  const kind = LOCKS[name];
  if (kind === undefined) throw new SimError(`lock must be one of ${lockNames.join(', ')}; received ${name}`);
  return kind;
}
