import type { Arena } from '../../arena/arena.ts';
import type { ObjectHandle } from '../../arena/shared-object.ts';
import { Mutex } from '../../locking/mutex.ts';
import { PthreadMutex } from '../../pthread/mutex/mutex.ts';
import { type LockType, SLEEPING, type View, within } from '../lock-type.ts';

export const mutex = mutexType('mutex', 'Mutex: sleeping, robust, synchronous and asynchronous', Mutex);

export const pthreadMutex = mutexType(
  'pthread-mutex',
  'PthreadMutex: normal, robust, synchronous and asynchronous',
  PthreadMutex,
);

class Inheriting extends PthreadMutex {
  constructor(arena: Arena, which: string | ObjectHandle) {
    super(arena, which, { protocol: 'inherit' });
  }
}

export const pthreadMutexInherit = mutexType(
  'pthread-mutex-inherit',
  'PthreadMutex: with priority inheritance, synchronous and asynchronous',
  Inheriting,
);

function mutexType(
  name: string,
  summary: string,
  Lock: new (arena: Arena, which: string | ObjectHandle) => Mutex | PthreadMutex,
): LockType {
  return {
    ...SLEEPING,
    name,
    summary,
    create: (arena) => new Lock(arena, name).handle,
    open: (arena, handle) => viewOf(new Lock(arena, handle as ObjectHandle)),
  };
}

export function viewOf(lock: Mutex | PthreadMutex): View {
  let turn = 0;
  return {
    lock: (_mode, timeout) => {
      lock.lock(within(timeout));
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
