import type { ObjectHandle } from '../../arena/shared-object.ts';
import { Mutex } from '../../locking/mutex.ts';
import type { LockType } from '../lock-type.ts';
import { mutex, viewOf } from '../types/mutex.ts';

/** The real mutex, in the hands of a wrapper that keeps the death of an owner to itself. */
export const mutexAmnesiac: LockType = {
  ...mutex,
  name: 'mutex-amnesiac',
  summary: 'does not say that its owner has died; found with --kill only',
  isBusted: true,
  open: (arena, handle) => {
    const lock = Mutex.from(arena, handle as ObjectHandle);
    const view = viewOf(lock);
    return {
      ...view,
      unlock(mode) {
        if (lock.ownerDied) lock.makeConsistent();
        view.unlock(mode);
      },
      ownerDied: false,
    };
  },
};
