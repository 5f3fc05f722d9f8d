/**
 * Sequence counts. Their readers hold nothing: what they tell the section is a copy, to be checked like what one finds
 * who has the lock.
 */

import type { ObjectHandle } from '../../arena/shared-object.ts';
import { HoldfastError } from '../../errors.ts';
import { Mutex } from '../../locking/mutex.ts';
import { SeqCount } from '../../locking/seqlock/seq-count.ts';
import { SeqCountLatch } from '../../locking/seqlock/seq-count-latch.ts';
import { SeqLock } from '../../locking/seqlock/seq-lock.ts';
import type { Cpu } from '../../machine/cpu.ts';
import { type LockType, SLEEPING, type View, within } from '../lock-type.ts';
import type { Scene } from '../words.ts';

const COMMON = {
  ...SLEEPING,
  modes: ['write', 'read'],
  isAsync: false,
  longHold: 500,
} satisfies Partial<LockType>;

export const seqLock: LockType = {
  ...COMMON,
  name: 'seq-lock',
  summary: 'SeqLock: its writers, and readers that write nothing',
  create: (arena) => new SeqLock(arena, 'seq-lock').handle,
  open(arena, handle) {
    const lock = SeqLock.from(arena, handle as ObjectHandle);
    return viewOf(lock, { snapshot: reader(arena.cpu, lock), destroy: () => lock.destroy() });
  },
};

interface Handles {
  readonly mutex: ObjectHandle;
  readonly sequence: ObjectHandle;
}

export const seqCount: LockType = {
  ...COMMON,
  name: 'seq-count',
  summary: 'SeqCount: writers kept apart by a Mutex, and readers that write nothing',
  create(arena): Handles {
    // The reaper goes by addresses: the mutex of a dead writer is free while the count still names that writer.
    const mutex = new Mutex(arena).handle;
    return { mutex, sequence: new SeqCount(arena).handle };
  },
  open(arena, handle) {
    const { mutex, sequence } = handle as Handles;
    const writers = Mutex.from(arena, mutex);
    const count = SeqCount.from(arena, sequence);
    return viewOf(writers, {
      entered: () => count.writeBegin(),
      leaving: () => count.writeEnd(),
      snapshot: reader(arena.cpu, count),
      destroy() {
        writers.destroy();
        count.destroy();
      },
    });
  },
};

interface LatchHandles extends Handles {
  readonly original: Scene;
  readonly copies: number;
}

export const seqCountLatch: LockType = {
  ...COMMON,
  name: 'seq-count-latch',
  summary: 'SeqCountLatch: what is written under a Mutex, copied for readers that never wait',
  create(arena, { address, words, threads }): LatchHandles {
    const copies = arena.alloc(2 * words);
    const latch = new SeqCountLatch(arena);
    latch.write(copies, arena.words.subarray(address, address + words));
    const original = { address, words, threads };
    return { mutex: new Mutex(arena).handle, sequence: latch.handle, original, copies };
  },
  open(arena, handle) {
    const { mutex, sequence, original, copies } = handle as LatchHandles;
    const writers = Mutex.from(arena, mutex);
    const latch = SeqCountLatch.from(arena, sequence);
    const words = arena.words.subarray(original.address, original.address + original.words);
    return viewOf(writers, {
      leaving: () => latch.write(copies, words),
      snapshot(_address, into) {
        latch.read(copies, into);
        return true;
      },
      destroy() {
        writers.destroy();
        latch.destroy();
        arena.free(copies);
      },
    });
  },
};

/** By `read` and by hand in turn. Finds out nothing while a dead writer's record waits for a writer. */
function reader(cpu: Cpu, lock: SeqLock | SeqCount): (address: number, into: Int32Array) => boolean {
  let turn = 0;
  const readByHand = (address: number, into: Int32Array) => {
    let begun: number;
    do {
      begun = lock.readBegin();
      for (let i = 0; i < into.length; i++) into[i] = cpu.load(address + i);
    } while (lock.readRetry(begun));
  };
  return (address, into) => {
    try {
      if (turn++ % 2 === 0) lock.read(address, into);
      else readByHand(address, into);
      return true;
    } catch (error) {
      if (error instanceof HoldfastError && error.code === 'EOWNERDEAD') return false;
      throw error;
    }
  };
}

interface Sides {
  /** Of a writer, when it has the lock. */
  entered?(): void;
  leaving?(): void;
  snapshot(address: number, into: Int32Array): boolean;
  destroy(): void;
}

function viewOf(writers: SeqLock | Mutex, { entered, leaving, snapshot, destroy }: Sides): View {
  return {
    lock(mode, timeout) {
      if (mode === 'read') return true;
      writers.lock(within(timeout));
      entered?.();
      return true;
    },
    tryLock(mode) {
      if (mode === 'read') return true;
      const isMine = writers.tryLock();
      if (isMine) entered?.();
      return isMine;
    },
    unlock(mode) {
      if (mode === 'read') return;
      leaving?.();
      writers.unlock();
    },
    snapshot,
    get ownerDied() {
      return writers.ownerDied;
    },
    makeConsistent: () => writers.makeConsistent(),
    destroy,
  };
}
