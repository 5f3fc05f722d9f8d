import type { ObjectHandle } from '../../arena/shared-object.ts';
import { WwClass } from '../../locking/ww-mutex/class.ts';
import type { WwContext } from '../../locking/ww-mutex/context.ts';
import { WwMutex } from '../../locking/ww-mutex/ww-mutex.ts';
import { type LockType, SLEEPING } from '../lock-type.ts';

interface Handles {
  readonly wwClass: ObjectHandle;
  readonly locks: readonly ObjectHandle[];
}

const LOCKS = 3;

/** A thread that is inside holds all the locks, taken in changing order. */
export const wwMutex: LockType = {
  ...SLEEPING,
  name: 'ww-mutex',
  summary: `WwMutex: ${LOCKS} of them by acquire contexts, in any order`,
  isAsync: false,
  hasTry: false,
  hasTimeouts: false,
  create: (arena): Handles => {
    const wwClass = new WwClass(arena, 'ww-class');
    const locks = Array.from({ length: LOCKS }, (_, i) => new WwMutex(wwClass, `ww-mutex ${i}`).handle);
    return { wwClass: wwClass.handle, locks };
  },
  open: (arena, handle) => {
    const handles = handle as Handles;
    const wwClass = WwClass.from(arena, handles.wwClass);
    const locks = handles.locks.map((lock) => WwMutex.from(wwClass, lock));
    let turn = 0;
    const inTurn = () => locks.map((_, i) => locks[(i + turn) % LOCKS] as WwMutex);
    let context: WwContext | undefined;
    return {
      lock: () => {
        turn++;
        const mine = wwClass.begin({ injectDeadlocks: turn % 2 === 0 });
        try {
          mine.acquireAll(inTurn());
        } catch (error) {
          mine.release();
          throw error;
        }
        context = mine;
        return true;
      },
      unlock: () => context?.release(),
      get ownerDied() {
        return locks.some((lock) => lock.ownerDied);
      },
      makeConsistent: () => {
        for (const lock of locks) if (lock.ownerDied) lock.makeConsistent();
      },
      destroy: () => {
        for (const lock of locks) lock.destroy();
        wwClass.destroy();
      },
    };
  },
};
