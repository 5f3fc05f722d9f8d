import { PthreadMutex } from '../../../pthread/mutex.ts';
import type { ObjectHandle } from '../../../sched/shared-object.ts';
import type { LockType, View } from '../lock-type.ts';

export const pthreadMutex: LockType = {
  name: 'pthread-mutex',
  summary: 'PthreadMutex: normal, robust, synchronous and asynchronous',
  isBusted: false,
  modes: ['write'],
  isRobust: true,
  isAsync: true,
  hasTry: true,
  hasTimeouts: true,
  longHold: 5000,
  create: (arena) => new PthreadMutex(arena, 'pthread-mutex').handle,
  open: (arena, handle) => viewOf(PthreadMutex.from(arena, handle as ObjectHandle)),
};

export function viewOf(lock: PthreadMutex): View {
  let turn = 0;
  return {
    lock: (_mode, timeout) => {
      lock.lock(timeout === undefined ? undefined : { timeout });
      return true;
    },
    unlock: () => lock.unlock(),
    tryLock: () => lock.tryLock(),
    lockAsync: async (_mode, options) => {
      if (turn++ % 2 === 0) {
        await lock.lockAsync(options);
        return () => lock.unlock();
      }
      const guard = await lock.acquireAsync(options);
      return () => guard.release();
    },
    get isTaken() {
      return lock.isLocked;
    },
    get ownerDied() {
      return lock.ownerDied;
    },
    makeConsistent: () => lock.makeConsistent(),
    destroy: () => lock.destroy(),
  };
}
