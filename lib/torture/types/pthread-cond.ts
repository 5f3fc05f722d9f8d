import type { ObjectHandle } from '../../arena/shared-object.ts';
import { PthreadCond } from '../../pthread/cond.ts';
import { PthreadMutex } from '../../pthread/mutex/mutex.ts';
import { isTimeout, type LockType, SLEEPING } from '../lock-type.ts';
import { viewOf } from './mutex.ts';

/** How long a holder waits for a signal before it goes in, ms. */
const WAIT = 1;

interface Handles {
  readonly mutex: ObjectHandle;
  readonly cond: ObjectHandle;
}

export const pthreadCond: LockType = {
  ...SLEEPING,
  name: 'pthread-cond',
  summary: 'PthreadCond: a PthreadMutex that is had by waiting, signal and broadcast by turns',
  hasTry: false,
  longHold: 1000,
  create: (arena): Handles => ({
    mutex: new PthreadMutex(arena, 'pthread-cond.mutex').handle,
    cond: new PthreadCond(arena, 'pthread-cond').handle,
  }),
  open(arena, handle) {
    const handles = handle as Handles;
    const mutex = PthreadMutex.from(arena, handles.mutex);
    const cond = PthreadCond.from(arena, handles.cond);
    const view = viewOf(mutex);
    let turn = 0;
    // To wait with an owner's death not seen to would make the mutex unrecoverable.
    const waitsFirst = () => !mutex.ownerDied && turn++ % 2 === 0;
    const tell = () => (turn % 4 < 3 ? cond.signal() : cond.broadcast());
    return {
      lock(mode, timeout) {
        view.lock(mode, timeout);
        if (waitsFirst()) {
          try {
            cond.wait(mutex, { timeout: WAIT });
          } catch (error) {
            if (!isTimeout(error)) throw error;
          }
        }
        return true;
      },
      unlock() {
        tell();
        mutex.unlock();
      },
      async lockAsync(_mode, options) {
        const guard = await mutex.acquireAsync(options);
        if (waitsFirst()) {
          try {
            await cond.waitAsync(guard, { ...options, timeout: WAIT });
          } catch (error) {
            // An aborted wait has the mutex again as well.
            if (!isTimeout(error) && !options.signal?.aborted) throw error;
          }
        }
        return () => {
          tell();
          guard.release();
        };
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
  },
};
