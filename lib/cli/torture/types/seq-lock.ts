import { SeqLock } from '../../../locking/seq-lock.ts';
import type { ObjectHandle } from '../../../sched/shared-object.ts';
import type { LockType } from '../lock-type.ts';

/** The writers' side: readers hold nothing, so they are left to the unit tests and the model checker. */
export const seqLock: LockType = {
  name: 'seq-lock',
  summary: 'SeqLock: its writers',
  isBusted: false,
  modes: ['write'],
  isRobust: true,
  isAsync: false,
  hasTry: true,
  hasTimeouts: true,
  longHold: 500,
  create: (arena) => new SeqLock(arena, 'seq-lock').handle,
  open: (arena, handle) => {
    const lock = SeqLock.from(arena, handle as ObjectHandle);
    return {
      lock: (_mode, timeout) => {
        lock.lock(timeout === undefined ? undefined : { timeout });
        return true;
      },
      unlock: () => lock.unlock(),
      tryLock: () => lock.tryLock(),
      get ownerDied() {
        return lock.ownerDied;
      },
      makeConsistent: () => lock.makeConsistent(),
      destroy: () => lock.destroy(),
    };
  },
};
