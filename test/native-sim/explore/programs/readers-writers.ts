/** The locks that one can hold for writing or several for reading, as programs to explore. */

import type { Arena } from '../../../../lib/arena/arena.ts';
import type { ObjectHandle } from '../../../../lib/arena/shared-object.ts';
import { PercpuRwSemaphore } from '../../../../lib/locking/percpu-rw-semaphore/percpu-rw-semaphore.ts';
import { RwLock } from '../../../../lib/locking/rw-lock.ts';
import { RwSemaphore } from '../../../../lib/locking/rw-semaphore/rw-semaphore.ts';
import { PthreadRwlock, type PthreadRwlockPreference } from '../../../../lib/pthread/rwlock.ts';
import type { Program } from '../../../../native-sim/explore/program.ts';
import { FUTEX_WORDS } from './futex.ts';
import { type Body, onObject } from './on-object.ts';

/** The names of RwSemaphore for all of them. `timeout`: ms, where the lock has timeouts. */
export interface ReaderWriterLock {
  readonly handle: ObjectHandle;
  readonly ownerDied: boolean;
  makeConsistent(): void;
  downRead(options?: { timeout: number }): void;
  tryDownRead(): boolean;
  upRead(): void;
  downWrite(options?: { timeout: number }): void;
  tryDownWrite(): boolean;
  upWrite(): void;
  downgradeWrite?(): void;
}

export function rwLock(arena: Arena, handle?: ObjectHandle): ReaderWriterLock {
  const lock = new RwLock(arena, handle);
  return {
    handle: lock.handle,
    get ownerDied() {
      return lock.ownerDied;
    },
    makeConsistent: () => lock.makeConsistent(),
    downRead: () => lock.readLock(),
    tryDownRead: () => lock.tryReadLock(),
    upRead: () => lock.readUnlock(),
    downWrite: () => lock.writeLock(),
    tryDownWrite: () => lock.tryWriteLock(),
    upWrite: () => lock.writeUnlock(),
  };
}

export function pthreadRwlock(preference: PthreadRwlockPreference) {
  return (arena: Arena, handle?: ObjectHandle): ReaderWriterLock => {
    const lock = new PthreadRwlock(arena, handle, { preference });
    return {
      handle: lock.handle,
      get ownerDied() {
        return lock.ownerDied;
      },
      makeConsistent: () => lock.makeConsistent(),
      downRead: (options) => lock.readLock(options),
      tryDownRead: () => lock.tryReadLock(),
      upRead: () => lock.unlock(),
      downWrite: (options) => lock.writeLock(options),
      tryDownWrite: () => lock.tryWriteLock(),
      upWrite: () => lock.unlock(),
    };
  };
}

const MAKERS = {
  'rw-lock': rwLock,
  'rw-semaphore': (arena: Arena, handle?: ObjectHandle) => new RwSemaphore(arena, handle),
  'fifo rw-semaphore': (arena: Arena, handle?: ObjectHandle) => new RwSemaphore(arena, handle, { fifo: true }),
  'percpu-rw-semaphore': (arena: Arena, handle?: ObjectHandle) => new PercpuRwSemaphore(arena, handle),
  'pthread rwlock': pthreadRwlock('writers'),
  'reader-preferring pthread rwlock': pthreadRwlock('readers'),
};

export type RwLockName = keyof typeof MAKERS;
export const RW_LOCK_NAMES = Object.keys(MAKERS) as RwLockName[];

export type Act = 'read' | 'write' | 'downgrade' | 'twice' | 'try to read' | 'read again' | 'write again';

/**
 * Each thread reads or writes one word. `twice`: it reads inside while it reads; `downgrade`: it writes, then reads;
 * `read again`, `write again`: it reads or writes, leaves, and does so once more; `try to read`: it may read nothing.
 */
export function readersAndWriters(name: RwLockName, acts: readonly Act[], spins: number): Program {
  const make: (arena: Arena, handle?: ObjectHandle) => ReaderWriterLock = MAKERS[name];
  const groups = [...new Set(acts)].map((act) => [...acts.keys()].filter((t) => acts[t] === act));
  // The others look at all threads one after the other, or are too large to show that they do not.
  const alike = name.startsWith('rw-') ? groups : undefined;
  // A thread that releases one may wait for a futex bucket that a dead one holds, with the lock's latch.
  const options = name.includes('pthread')
    ? { words: FUTEX_WORDS, settleSpins: 1, remembers: true }
    : { remembers: true };
  return onObject((arena, first) => make(arena, first?.handle), acts.map(bodyOf), spins, { ...options, alike });
}

function bodyOf(act: Act): Body<ReaderWriterLock> {
  return (cpu, _me, _arena, lock, cell) => {
    if (act === 'try to read') {
      if (!lock.tryDownRead()) return;
      cpu.read(cell);
      lock.upRead();
      return;
    }
    if (act === 'read again') {
      lock.downRead();
      lock.upRead();
    }
    if (act === 'read' || act === 'read again' || act === 'twice') {
      lock.downRead();
      if (act === 'twice') lock.downRead();
      cpu.read(cell);
      lock.upRead();
      if (act === 'twice') {
        cpu.read(cell);
        lock.upRead();
      }
      return;
    }
    if (act === 'write again') {
      lock.downWrite();
      lock.upWrite();
    }
    lock.downWrite();
    if (lock.ownerDied) lock.makeConsistent();
    cpu.write(cell, cpu.read(cell) + 1);
    if (act === 'downgrade') {
      lock.downgradeWrite?.();
      cpu.read(cell);
      lock.upRead();
    } else {
      lock.upWrite();
    }
  };
}

/**
 * Thread 0 reads by one lock, leaves it, and reads by another, so that its record is that one's; thread 1 tries to write
 * by the first.
 */
export function readerOfTwo(spins: number): Program {
  type Locks = { first: PercpuRwSemaphore; second: PercpuRwSemaphore };
  const open = (arena: Arena, locks?: Locks): Locks => ({
    first: new PercpuRwSemaphore(arena, locks?.first.handle),
    second: new PercpuRwSemaphore(arena, locks?.second.handle),
  });
  const reads: Body<Locks> = (cpu, _me, _arena, { first, second }, cell) => {
    first.downRead();
    cpu.read(cell);
    first.upRead();
    second.downRead();
  };
  const writes: Body<Locks> = (cpu, _me, _arena, { first }, cell) => {
    if (!first.tryDownWrite()) return;
    cpu.write(cell, 1);
    first.upWrite();
  };
  return onObject(open, [reads, writes], spins, { remembers: true, isLeft: true });
}
