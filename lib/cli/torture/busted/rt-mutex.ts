/** The locks of `types/` in the hands of wrappers that use them wrongly. */
import { rtMutex } from '../types/rt-mutex.ts';
import { rwLock } from '../types/rw-lock.ts';
import { seqLock } from '../types/seq-lock.ts';
import { wwMutex } from '../types/ww-mutex.ts';
import { hasty, twin } from './pthread.ts';

export const rtMutexBusted = twin(rtMutex, 'takes ETIMEDOUT for the lock', hasty);

export const seqLockBusted = twin(seqLock, 'takes ETIMEDOUT for the lock', hasty);

export const rwLockBusted = twin(rwLock, 'lets readers in at any time', (view) => ({
  lock: (mode, timeout) => mode === 'read' || view.lock(mode, timeout),
  unlock: (mode) => mode === 'read' || view.unlock(mode),
}));

export const wwMutexBusted = twin(wwMutex, 'lets go of the locks as soon as it has them all', (view) => ({
  lock(mode, timeout) {
    view.lock(mode, timeout);
    view.unlock(mode);
    return true;
  },
  unlock: () => {},
}));
