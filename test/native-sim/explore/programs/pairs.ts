/**
 * Programs made from parts: a lock, and for each thread what it does with it. The races that reading has found lay where two
 * features meet, so a pair of features is a line in a table (`pairs.test.ts`), and no program of its own.
 *
 * After each execution the arena is looked at as it was left: `fsck`, and an heir that takes every lock once more.
 */

import { Arena } from '../../../../lib/arena/arena.ts';
import { Place } from '../../../../lib/arena/place.ts';
import type { ObjectHandle } from '../../../../lib/arena/shared-object.ts';
import { HoldfastError } from '../../../../lib/errors.ts';
import { McsLock } from '../../../../lib/locking/mcs-lock.ts';
import { Mutex } from '../../../../lib/locking/mutex.ts';
import { PercpuRwSemaphore } from '../../../../lib/locking/percpu-rw-semaphore/percpu-rw-semaphore.ts';
import { RtMutex } from '../../../../lib/locking/rt-mutex/rt-mutex.ts';
import { RwSemaphore } from '../../../../lib/locking/rw-semaphore/rw-semaphore.ts';
import type { SemaphoreGuard } from '../../../../lib/locking/semaphore/guard.ts';
import { Semaphore } from '../../../../lib/locking/semaphore/semaphore.ts';
import { SeqLock } from '../../../../lib/locking/seqlock/seq-lock.ts';
import { SpinLock } from '../../../../lib/locking/spin-lock.ts';
import { TicketLock } from '../../../../lib/locking/ticket-lock.ts';
import { WwClass } from '../../../../lib/locking/ww-mutex/class.ts';
import { WwMutex } from '../../../../lib/locking/ww-mutex/ww-mutex.ts';
import type { Cpu } from '../../../../lib/machine/cpu.ts';
import { PthreadMutex } from '../../../../lib/pthread/mutex/mutex.ts';
import type { FinalMemory, Program } from '../../../../native-sim/explore/program.ts';
import { FUTEX_WORDS } from './futex.ts';
import { snapshot } from './holdfast.ts';
import { type Body, onObject } from './on-object.ts';
import { pthreadRwlock, type ReaderWriterLock, rwLock } from './readers-writers.ts';

/** A lock as the parts use it. `timeout`: ms. What a lock does not have it leaves out. */
export interface Part {
  readonly handle: ObjectHandle;
  take(): void;
  tryTake(): boolean;
  release(): void;
  takeWithin?(timeout: number): void;
  readonly tasks?: ForTasks | undefined;
  read?(): void;
  tryRead?(): boolean;
  readWithin?(timeout: number): void;
  releaseRead?(): void;
  downgrade?: (() => void) | undefined;
}

/** The lock as a task of an event loop takes it. */
interface ForTasks {
  acquire(): Promise<unknown>;
  isLocked(): boolean;
}

interface Asynchronous {
  readonly isLocked: boolean;
  acquireAsync(): Promise<unknown>;
}

interface WrittenAsynchronously {
  readonly isLocked: boolean;
  acquireWriteAsync(): Promise<unknown>;
}

interface Consistent {
  readonly handle: ObjectHandle;
  readonly ownerDied: boolean;
  makeConsistent(): void;
}

interface Exclusive extends Consistent, Partial<Asynchronous> {
  lock(options?: { timeout: number }): void;
  tryLock(): boolean;
  unlock(): void;
}

function consistent(lock: Consistent): void {
  if (lock.ownerDied) lock.makeConsistent();
}

function exclusive(lock: Exclusive): Part {
  return {
    handle: lock.handle,
    tasks: lock.acquireAsync && { acquire: () => lock.acquireAsync!(), isLocked: () => lock.isLocked === true },
    take() {
      lock.lock();
      consistent(lock);
    },
    tryTake() {
      if (!lock.tryLock()) return false;
      consistent(lock);
      return true;
    },
    takeWithin(timeout) {
      lock.lock({ timeout });
      consistent(lock);
    },
    release: () => lock.unlock(),
  };
}

function readerWriter(lock: ReaderWriterLock & Partial<WrittenAsynchronously>): Part {
  return {
    handle: lock.handle,
    tasks: lock.acquireWriteAsync && {
      acquire: () => lock.acquireWriteAsync!(),
      isLocked: () => lock.isLocked === true,
    },
    take() {
      lock.downWrite();
      consistent(lock);
    },
    tryTake() {
      if (!lock.tryDownWrite()) return false;
      consistent(lock);
      return true;
    },
    takeWithin(timeout) {
      lock.downWrite({ timeout });
      consistent(lock);
    },
    release: () => lock.upWrite(),
    read: () => lock.downRead(),
    tryRead: () => lock.tryDownRead(),
    readWithin: (timeout) => lock.downRead({ timeout }),
    releaseRead: () => lock.upRead(),
    downgrade: lock.downgradeWrite && (() => lock.downgradeWrite?.()),
  };
}

/** A semaphore of one permit: with guards, whose permits come back after a death. */
function guarded(semaphore: Semaphore): Part {
  let held: SemaphoreGuard | undefined;
  return {
    handle: semaphore.handle,
    take() {
      held = semaphore.acquire();
    },
    tryTake() {
      try {
        held = semaphore.acquire({ timeout: 0 });
      } catch (error) {
        if (isTimeout(error)) return false;
        throw error;
      }
      return true;
    },
    takeWithin(timeout) {
      held = semaphore.acquire({ timeout });
    },
    tasks: { acquire: () => semaphore.acquireAsync(), isLocked: () => semaphore.permits === 0 },
    release: () => held?.release(),
  };
}

function wwMutex(arena: Arena, handle?: ObjectHandle): Part {
  const mutex = new WwMutex(new WwClass(arena, 'pairs', { policy: 'wound-wait' }), handle);
  return exclusive({
    handle: mutex.handle,
    get ownerDied() {
      return mutex.ownerDied;
    },
    makeConsistent: () => mutex.makeConsistent(),
    lock: (options) => mutex.lock(undefined, options),
    tryLock: () => mutex.tryLock(),
    unlock: () => mutex.unlock(),
  });
}

const LOCKS = {
  mutex: (arena: Arena, handle?: ObjectHandle) => exclusive(new Mutex(arena, handle)),
  'rt-mutex': (arena: Arena, handle?: ObjectHandle) => exclusive(new RtMutex(arena, handle)),
  'ww-mutex': (arena: Arena, handle?: ObjectHandle) => wwMutex(arena, handle),
  'pthread mutex': (arena: Arena, handle?: ObjectHandle) => exclusive(new PthreadMutex(arena, handle)),
  'seq-lock': (arena: Arena, handle?: ObjectHandle) => exclusive(new SeqLock(arena, handle)),
  qspinlock: (arena: Arena, handle?: ObjectHandle) => exclusive(new SpinLock(arena, handle)),
  ticket: (arena: Arena, handle?: ObjectHandle) => exclusive(new TicketLock(arena, handle)),
  mcs: (arena: Arena, handle?: ObjectHandle) => exclusive(new McsLock(arena, handle)),
  semaphore: (arena: Arena, handle?: ObjectHandle) => guarded(new Semaphore(arena, handle)),
  'rw-lock': (arena: Arena, handle?: ObjectHandle) => readerWriter(rwLock(arena, handle)),
  'rw-semaphore': (arena: Arena, handle?: ObjectHandle) => readerWriter(new RwSemaphore(arena, handle)),
  'percpu-rw-semaphore': (arena: Arena, handle?: ObjectHandle) => readerWriter(new PercpuRwSemaphore(arena, handle)),
  'pthread rwlock': (arena: Arena, handle?: ObjectHandle) => readerWriter(pthreadRwlock('writers')(arena, handle)),
};

export type PairLock = keyof typeof LOCKS;
export const PAIR_LOCKS = Object.keys(LOCKS) as PairLock[];

/** The lock by its handle, or a new one. */
export function openPart(name: PairLock, arena: Arena, handle?: ObjectHandle): Part {
  return LOCKS[name](arena, handle);
}

/**
 * What a thread does. `again`: it takes the lock twice, one after the other; `urgent`: it waits with a better priority than
 * the others; `boosted`: it gets that once it holds the lock, and gives it up before it leaves it.
 */
export const ACTS = [
  'take',
  'again',
  'try',
  'give up',
  'urgent',
  'boosted',
  'read',
  'try to read',
  'give up reading',
] as const;
/** In programs of three threads besides. downgrade: it writes, then reads on; read twice: it reads inside while it reads. */
export const MORE_ACTS = ['downgrade', 'read twice'] as const;
export type Act = (typeof ACTS)[number] | (typeof MORE_ACTS)[number];

/** ms; the explored clock stands still but for waits that time out. */
const SOON = 1;

/** Whether the lock has what the act needs. */
export function can(lock: PairLock, act: Act): boolean {
  const hasReaders = READERS.includes(lock);
  if (act === 'give up') return !SPINNERS.includes(lock);
  if (act === 'downgrade') return lock === 'rw-semaphore';
  if (act === 'read twice') return hasReaders && lock !== 'rw-lock';
  if (act === 'read' || act === 'try to read') return hasReaders;
  return act !== 'give up reading' || (hasReaders && !SPINNERS.includes(lock));
}

/** All pairs of acts that the lock is capable of. */
export function pairsOf(lock: PairLock): [Act, Act][] {
  const acts = ACTS.filter((act) => can(lock, act));
  return acts.flatMap((first, i) => acts.slice(i).map((second): [Act, Act] => [first, second]));
}

const SPINNERS: readonly PairLock[] = ['qspinlock', 'ticket', 'mcs', 'rw-lock'];
const READERS: readonly PairLock[] = ['rw-lock', 'rw-semaphore', 'percpu-rw-semaphore', 'pthread rwlock'];

/**
 * A thread for each act; with several that hold the lock for writing the counts must add up. `slices`: reapers have an event loop,
 * and the clock goes on as it likes.
 */
export function pair(name: PairLock, acts: readonly Act[], spins: number, deaths = 1, slices = false): Program {
  const make = LOCKS[name];
  const open = (arena: Arena, first?: Part) => {
    arena.thread.setPriority(acts[arena.thread.number] === 'urgent' ? -1 : 0);
    return make(arena, first?.handle);
  };
  const words = name.includes('pthread') ? { words: FUTEX_WORDS, settleSpins: 1 } : {};
  return onObject(open, acts.map(bodyOf), spins, {
    ...words,
    ...(slices && { slices, clock: [5e6] }),
    deaths,
    stalls: true,
    // A guard is the view's; percpu-rw-semaphores and semaphores keep what they have seen.
    remembers: true,
    check(memory, cell, [{ handle }]) {
      const counts = acts.map((_act, me) => memory.read(cell + 1 + me));
      const sum = counts.reduce((a, b) => a + b);
      if (memory.died.length === 0 && memory.read(cell) !== sum) {
        throw new Error(`${memory.read(cell)} of ${sum} counts`);
      }
      inherit(memory, acts.length + deaths - 1, cell, (arena) => make(arena, handle));
    },
  });
}

/**
 * Priority inheritance meets the lock's queue: thread 0 takes the lock while it holds an rt-mutex, for which thread 1 waits
 * with the best priority of all; thread 2 waits for the lock itself, with a priority in between.
 */
export function inheriting(name: PairLock, spins: number): Program {
  type Locks = { outer: RtMutex; inner: Part };
  const open = (arena: Arena, first?: Locks): Locks => {
    arena.thread.setPriority([0, -2, -1][arena.thread.number] ?? 0);
    return { outer: new RtMutex(arena, first?.outer.handle), inner: openPart(name, arena, first?.inner.handle) };
  };
  const countInside = (cpu: Cpu, lock: Part, cell: number) => {
    lock.take();
    cpu.write(cell, cpu.read(cell) + 1);
    lock.release();
  };
  const countOutside = (outer: RtMutex, inside: () => void) => {
    outer.lock();
    consistent(outer);
    inside();
    outer.unlock();
  };
  const bodies: Body<Locks>[] = [
    (cpu, _me, _arena, { outer, inner }, cell) => countOutside(outer, () => countInside(cpu, inner, cell)),
    (_cpu, _me, _arena, { outer }) => countOutside(outer, () => {}),
    (cpu, _me, _arena, { inner }, cell) => countInside(cpu, inner, cell),
  ];
  return onObject(open, bodies, spins, {
    ...(name.includes('pthread') && { words: FUTEX_WORDS }),
    settleSpins: 1,
    stalls: true,
    remembers: true,
    check(memory, cell, [{ inner }]) {
      if (memory.died.length === 0 && memory.read(cell) !== 2) throw new Error(`${memory.read(cell)} of 2 counts`);
      inherit(memory, bodies.length, cell, (arena) => openPart(name, arena, inner.handle));
    },
  });
}

/** What is left: whole, and free for the next thread, and for a task of its event loop. */
export function inherit(memory: FinalMemory, number: number, words: number, open: (arena: Arena) => Part): void {
  const arena = new Arena(new Place(snapshot(memory, words), number, { spins: 1 }));
  const problems = arena.fsck();
  if (problems.length > 0) throw new Error(problems.join('; '));
  const lock = open(arena);
  if (!lock.tryTake()) throw new Error('the lock is not free in the end');
  lock.release();
  if (lock.tryRead !== undefined && !lock.tryRead()) throw new Error('nobody can read in the end');
  lock.releaseRead?.();
  // Nobody else is there, so it has the lock before the call is back.
  lock.tasks?.acquire().catch(() => {});
  if (lock.tasks?.isLocked() === false) throw new Error('a task does not get the lock in the end');
  const left = arena.waits();
  if (left.length > 0) throw new Error(`in the end ${JSON.stringify(left)}`);
}

function isTimeout(error: unknown): boolean {
  return error instanceof HoldfastError && error.code === 'ETIMEDOUT';
}

/** Whether `take` got the lock before it gave up. */
function inTime(take: () => void): boolean {
  try {
    take();
  } catch (error) {
    if (isTimeout(error)) return false;
    throw error;
  }
  return true;
}

function bodyOf(act: Act): Body<Part> {
  return (cpu, me, { thread }, lock, cell) => {
    const count = () => {
      cpu.write(cell, cpu.read(cell) + 1);
      cpu.write(cell + 1 + me, cpu.read(cell + 1 + me) + 1);
    };
    const counted = () => {
      count();
      lock.release();
    };
    const looked = () => {
      cpu.read(cell);
      lock.releaseRead?.();
    };
    switch (act) {
      case 'take':
      case 'urgent':
        lock.take();
        counted();
        break;
      case 'again':
        for (let i = 0; i < 2; i++) {
          lock.take();
          counted();
        }
        break;
      case 'try':
        if (lock.tryTake()) counted();
        break;
      case 'give up':
        if (inTime(() => lock.takeWithin?.(SOON))) counted();
        break;
      case 'boosted':
        lock.take();
        thread.setPriority(-2);
        count();
        thread.setPriority(0);
        lock.release();
        break;
      case 'read':
        lock.read?.();
        looked();
        break;
      case 'read twice':
        lock.read?.();
        lock.read?.();
        looked();
        looked();
        break;
      case 'downgrade':
        lock.take();
        count();
        lock.downgrade?.();
        looked();
        break;
      case 'try to read':
        if (lock.tryRead?.()) looked();
        break;
      case 'give up reading':
        if (inTime(() => lock.readWithin?.(SOON))) looked();
        break;
    }
  };
}
