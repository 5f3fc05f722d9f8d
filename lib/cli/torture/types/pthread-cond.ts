import { HoldfastError } from '../../../errors.ts';
import { PthreadCond } from '../../../pthread/cond.ts';
import { PthreadMutex } from '../../../pthread/mutex.ts';
import type { ObjectHandle } from '../../../sched/shared-object.ts';
import type { LockType } from '../lock-type.ts';
import { viewOf } from './pthread-mutex.ts';

/** How long a holder waits for a signal before it goes in, ms. */
const WAIT = 1;

export const pthreadCond: LockType = {
  name: 'pthread-cond',
  summary: 'PthreadCond: a PthreadMutex that is had by waiting, signal and broadcast by turns',
  isBusted: false,
  modes: ['write'],
  isRobust: true,
  isAsync: false,
  hasTry: false,
  hasTimeouts: true,
  longHold: 1000,
  create: (arena) => ({
    mutex: new PthreadMutex(arena, 'pthread-cond.mutex').handle,
    cond: new PthreadCond(arena, 'pthread-cond').handle,
  }),
  open(arena, handle) {
    const handles = handle as { mutex: ObjectHandle; cond: ObjectHandle };
    const mutex = PthreadMutex.from(arena, handles.mutex);
    const cond = PthreadCond.from(arena, handles.cond);
    const view = viewOf(mutex);
    let turn = 0;
    return {
      lock(mode, timeout) {
        view.lock(mode, timeout);
        // To wait with an owner's death not seen to would make the mutex unrecoverable.
        if (!mutex.ownerDied && turn++ % 2 === 0) wait();
        return true;
      },
      unlock() {
        if (turn % 4 < 3) cond.signal();
        else cond.broadcast();
        mutex.unlock();
      },
      get isTaken() {
        return mutex.isLocked;
      },
      get ownerDied() {
        return mutex.ownerDied;
      },
      makeConsistent: () => mutex.makeConsistent(),
      destroy() {
        cond.destroy();
        mutex.destroy();
      },
    };

    function wait(): void {
      try {
        cond.wait(mutex, { timeout: WAIT });
      } catch (error) {
        if (!(error instanceof HoldfastError && error.code === 'ETIMEDOUT')) throw error;
      }
    }
  },
};
