import { PthreadRwlock } from '../../../pthread/rwlock.ts';
import type { ObjectHandle } from '../../../sched/shared-object.ts';
import type { LockType } from '../lock-type.ts';

/** A rwlock whose readers give up while a dead writer's record waits for a writer to put it in order. */
export const pthreadRwlock: LockType = {
  name: 'pthread-rwlock',
  summary: 'PthreadRwlock: writer-preferring, readers and writers',
  isBusted: false,
  modes: ['write', 'read'],
  isRobust: true,
  isAsync: false,
  hasTry: true,
  hasTimeouts: true,
  longHold: 5000,
  create: (arena) => new PthreadRwlock(arena, 'pthread-rwlock').handle,
  open(arena, handle) {
    const lock = PthreadRwlock.from(arena, handle as ObjectHandle);
    const entered = (mode: string, isMine: boolean) => {
      if (!isMine || mode === 'write' || !lock.ownerDied) return isMine;
      lock.unlock();
      return false;
    };
    return {
      lock(mode, timeout) {
        const options = timeout === undefined ? undefined : { timeout };
        if (mode === 'write') lock.writeLock(options);
        else lock.readLock(options);
        return entered(mode, true);
      },
      tryLock: (mode) => entered(mode, mode === 'write' ? lock.tryWriteLock() : lock.tryReadLock()),
      unlock: () => lock.unlock(),
      get ownerDied() {
        return lock.ownerDied;
      },
      makeConsistent: () => lock.makeConsistent(),
      destroy: () => lock.destroy(),
    };
  },
};
