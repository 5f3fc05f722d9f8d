/** The locks of `types/` in the hands of wrappers that use them wrongly. */
import { percpuRwSemaphore, rwSemaphore } from '../types/rw-semaphore.ts';
import { semaphore } from '../types/semaphore.ts';
import { twin } from './pthread.ts';

export const rwSemaphoreBusted = twin(rwSemaphore, 'writes as a reader', (view) => ({
  lock: (_mode, timeout) => view.lock('read', timeout),
  unlock: () => view.unlock('read'),
}));

export const percpuRwSemaphoreBusted = twin(percpuRwSemaphore, 'lets readers in at any time', (view) => ({
  lock: (mode, timeout) => mode === 'read' || view.lock(mode, timeout),
  unlock: (mode) => mode === 'read' || view.unlock(mode),
}));

export const semaphoreBusted = twin(semaphore, 'gives the permit back before it has done with it', (view) => ({
  lock(mode, timeout) {
    if (!view.lock(mode, timeout)) return false;
    view.unlock(mode);
    return true;
  },
  unlock: () => {},
}));
