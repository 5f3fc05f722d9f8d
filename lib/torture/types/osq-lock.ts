import type { ObjectHandle } from '../../arena/shared-object.ts';
import { OsqLock } from '../../locking/osq-lock.ts';
import { type LockType, SPINNING } from '../lock-type.ts';

export const osqLock: LockType = {
  ...SPINNING,
  name: 'osq-lock',
  summary: 'OsqLock: the queue of optimistic spinners, who may give up',
  isRobust: false,
  hasTry: false,
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
