import type { ObjectHandle } from '../../arena/shared-object.ts';
import { PthreadOnce } from '../../pthread/once.ts';
import { type LockType, SLEEPING } from '../lock-type.ts';

/** What every routine throws, so that it counts as not run, and the next who calls runs it. */
const AGAIN = new Error('once more');

export const pthreadOnce = onceType(
  'pthread-once',
  'PthreadOnce: a routine that fails again and again, run by one after the other',
  PthreadOnce,
);

/** The section is an asynchronous routine. A synchronous one would have to run it in the call; it fails at once. */
export function onceType(name: string, summary: string, Once: typeof PthreadOnce): LockType {
  return {
    ...SLEEPING,
    name,
    summary,
    isRobust: false,
    hasTry: false,
    create: (arena) => new Once(arena, name).handle,
    open(arena, handle) {
      const once = new Once(arena, handle as ObjectHandle);
      const runAndFail = (timeout: number | undefined) => {
        try {
          once.call(
            () => {
              throw AGAIN;
            },
            { timeout },
          );
        } catch (error) {
          if (error !== AGAIN) throw error;
        }
      };
      return {
        lock(_mode, timeout) {
          runAndFail(timeout);
          return false;
        },
        unlock: () => {},
        /** For the look at the end. */
        tryLock() {
          runAndFail(0);
          return true;
        },
        lockAsync: (_mode, options) =>
          new Promise((entered, reject) => {
            const routine = () => new Promise<void>((_, fail) => entered(() => fail(AGAIN)));
            once.callAsync(routine, options).catch((error) => error === AGAIN || reject(error));
          }),
        ownerDied: false,
        makeConsistent: () => {},
        destroy: () => once.destroy(),
      };
    },
  };
}
