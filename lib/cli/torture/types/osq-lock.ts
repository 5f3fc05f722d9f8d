import { OsqLock } from '../../../locking/osq-lock.ts';
import type { ObjectHandle } from '../../../sched/shared-object.ts';
import type { LockType } from '../lock-type.ts';

export const osqLock: LockType = {
  name: 'osq-lock',
  summary: 'OsqLock: the queue of optimistic spinners, who may give up',
  isBusted: false,
  modes: ['write'],
  isRobust: false,
  isAsync: false,
  hasTry: false,
  hasTimeouts: false,
  longHold: 500,
  create: (arena) => new OsqLock(arena, 'osq-lock').handle,
  open: (arena, handle) => {
    const lock = OsqLock.from(arena, handle as ObjectHandle);
    return {
      lock: () => lock.lock(),
      unlock: () => lock.unlock(),
      ownerDied: false,
      makeConsistent: () => {},
      destroy: () => lock.destroy(),
    };
  },
};
