import type { SpinningLock } from '../../../locking/spinning-lock.ts';
import type { Arena } from '../../../sched/arena.ts';
import type { ObjectHandle } from '../../../sched/shared-object.ts';
import type { LockType, View } from '../lock-type.ts';

/** The lock type of a class of spinning locks. */
export function spinningType(
  name: string,
  summary: string,
  Lock: new (arena: Arena, which?: string | ObjectHandle) => SpinningLock,
): LockType {
  return {
    name,
    summary,
    isBusted: false,
    modes: ['write'],
    isRobust: true,
    isAsync: false,
    hasTry: true,
    hasTimeouts: false,
    longHold: 500,
    create: (arena) => new Lock(arena, name).handle,
    open: (arena, handle) => viewOf(new Lock(arena, handle as ObjectHandle)),
  };
}

function viewOf(lock: SpinningLock): View {
  return {
    lock: () => {
      lock.lock();
      return true;
    },
    unlock: () => lock.unlock(),
    tryLock: () => lock.tryLock(),
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
