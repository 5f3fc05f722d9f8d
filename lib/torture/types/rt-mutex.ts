import type { ObjectHandle } from '../../arena/shared-object.ts';
import { RtMutex } from '../../locking/rt-mutex/rt-mutex.ts';
import { type LockType, SLEEPING, within } from '../lock-type.ts';

/** Priorities that each thread goes through, acquisition by acquisition. */
const PRIORITIES = 4;

export const rtMutex: LockType = {
  ...SLEEPING,
  name: 'rt-mutex',
  summary: 'RtMutex: sleeping, robust, by priority, with inheritance',
  create: (arena) => new RtMutex(arena, 'rt-mutex').handle,
  open: (arena, handle) => {
    const lock = RtMutex.from(arena, handle as ObjectHandle);
    let turn = 0;
    return {
      lock: (_mode, timeout) => {
        arena.thread.setPriority(turn++ % PRIORITIES);
        lock.lock(within(timeout));
        return true;
      },
      unlock: () => lock.unlock(),
      tryLock: () => lock.tryLock(),
      lockAsync: async (_mode, options) => {
        const guard = await lock.acquireAsync({ ...options, priority: turn++ % PRIORITIES });
        return () => guard.release();
      },
      get ownerDied() {
        return lock.ownerDied;
      },
      makeConsistent: () => lock.makeConsistent(),
      destroy: () => lock.destroy(),
    };
  },
};
