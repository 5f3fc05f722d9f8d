/** The real locks, in the hands of wrappers that use them wrongly. */
import type { LockType, View } from '../lock-type.ts';
import { futexMutex, piFutex } from '../types/futex-mutex.ts';
import { pthreadCond } from '../types/pthread-cond.ts';
import { pthreadMutex } from '../types/pthread-mutex.ts';
import { pthreadRwlock } from '../types/pthread-rwlock.ts';

/** How long a hasty waiter waits, ms. */
const HASTE = 0.05;

export function twin(of: LockType, summary: string, spoil: (view: View) => Pick<View, 'lock' | 'unlock'>): LockType {
  return {
    ...of,
    name: `${of.name}-busted`,
    summary,
    isBusted: true,
    isAsync: false,
    hasTry: false,
    open(arena, handle) {
      const view = of.open(arena, handle);
      return {
        ...spoil(view),
        get ownerDied() {
          return view.ownerDied;
        },
        makeConsistent: () => view.makeConsistent(),
        destroy: () => view.destroy(),
      };
    },
  };
}

/** Goes in when the wait has timed out, without the lock. */
export function hasty(view: View): Pick<View, 'lock' | 'unlock'> {
  let isMine = false;
  return {
    lock(mode) {
      try {
        isMine = view.lock(mode, HASTE);
      } catch {
        isMine = false;
      }
      return true;
    },
    unlock(mode) {
      if (isMine) view.unlock(mode);
    },
  };
}

export const futexMutexBusted = twin(futexMutex, 'takes ETIMEDOUT for the lock', hasty);

export const piFutexBusted = twin(piFutex, 'takes ETIMEDOUT for the lock', hasty);

export const pthreadMutexBusted = twin(pthreadMutex, 'takes ETIMEDOUT for the lock', hasty);

export const pthreadCondBusted = twin(pthreadCond, 'returns from the wait without the mutex', (view) => ({
  lock(mode, timeout) {
    view.lock(mode, timeout);
    view.unlock(mode);
    return true;
  },
  unlock: () => {},
}));

export const pthreadRwlockBusted = twin(pthreadRwlock, 'lets readers in unasked', (view) => ({
  lock: (mode, timeout) => mode === 'read' || view.lock(mode, timeout),
  unlock: (mode) => void (mode === 'write' && view.unlock(mode)),
}));
