import { RwLock } from '../../../locking/rw-lock.ts';
import type { ObjectHandle } from '../../../sched/shared-object.ts';
import type { LockType } from '../lock-type.ts';

/** Its readers give up while a dead writer's record waits for a writer to put it in order. */
export const rwLock: LockType = {
  name: 'rw-lock',
  summary: 'RwLock: queued reader-writer spinlock',
  isBusted: false,
  modes: ['write', 'read'],
  isRobust: true,
  isAsync: false,
  hasTry: true,
  hasTimeouts: false,
  longHold: 500,
  create: (arena) => new RwLock(arena, 'rw-lock').handle,
  open: (arena, handle) => {
    const lock = RwLock.from(arena, handle as ObjectHandle);
    const entered = (mode: string, isMine: boolean) => {
      if (!isMine || mode === 'write' || !lock.ownerDied) return isMine;
      lock.readUnlock();
      return false;
    };
    return {
      lock: (mode) => {
        if (mode === 'read') lock.readLock();
        else lock.writeLock();
        return entered(mode, true);
      },
      unlock: (mode) => (mode === 'read' ? lock.readUnlock() : lock.writeUnlock()),
      tryLock: (mode) => entered(mode, mode === 'read' ? lock.tryReadLock() : lock.tryWriteLock()),
      get ownerDied() {
        return lock.ownerDied;
      },
      makeConsistent: () => lock.makeConsistent(),
      destroy: () => lock.destroy(),
    };
  },
};
