import type { ObjectHandle } from '../../arena/shared-object.ts';
import type { SemaphoreGuard } from '../../locking/semaphore/guard.ts';
import { Semaphore } from '../../locking/semaphore/semaphore.ts';
import { isTimeout, type LockType, SLEEPING } from '../lock-type.ts';

/**
 * How long a synchronous waiter without a timeout waits, ms: a semaphore cannot tell it that its own thread's
 * asynchronous code has the permit.
 */
const PATIENCE = 5;

export const semaphore: LockType = {
  ...SLEEPING,
  name: 'semaphore',
  summary: 'Semaphore: one permit, taken with a guard, which comes back from the dead',
  isRobust: false,
  hasTry: false,
  create: (arena) => new Semaphore(arena, 'semaphore').handle,
  open(arena, handle) {
    const lock = Semaphore.from(arena, handle as ObjectHandle);
    let held: SemaphoreGuard | undefined;
    return {
      lock(_mode, timeout) {
        try {
          held = lock.acquire({ timeout: timeout ?? PATIENCE });
          return true;
        } catch (error) {
          if (timeout === undefined && isTimeout(error)) return false;
          throw error;
        }
      },
      unlock: () => held?.release(),
      lockAsync: async (_mode, options) => {
        const guard = await lock.acquireAsync(options);
        return () => guard.release();
      },
      ownerDied: false,
      makeConsistent: () => {},
      destroy: () => lock.destroy(),
    };
  },
};
