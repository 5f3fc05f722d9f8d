import type { ObjectHandle } from '../../arena/shared-object.ts';
import { HoldfastError } from '../../errors.ts';
import { Mutex } from '../../locking/mutex.ts';
import { WaitQueue } from '../../locking/wait-queue.ts';
import { type LockType, SLEEPING } from '../lock-type.ts';

interface Handles {
  readonly mutex: ObjectHandle;
  readonly queue: ObjectHandle;
}

export const waitQueue = waitQueueType(
  'wait-queue',
  'WaitQueue: waiting, alone or with others, for a Mutex that is never waited for to be free',
  WaitQueue,
);

/**
 * The condition is a step that one of those who look at it can take. When an owner dies, the mutex is free again before
 * all look, and nobody has to wake them.
 */
export function waitQueueType(name: string, summary: string, Queue: typeof WaitQueue): LockType {
  return {
    ...SLEEPING,
    name,
    summary,
    create: (arena): Handles => ({ mutex: new Mutex(arena).handle, queue: new Queue(arena).handle }),
    open(arena, handle) {
      const handles = handle as Handles;
      const mutex = Mutex.from(arena, handles.mutex);
      const queue = new Queue(arena, handles.queue);
      let turn = 0;
      const isAlone = () => ({ exclusive: turn++ % 2 === 0 });
      const isMine = () => {
        if (mutex.tryLock()) return true;
        if (mutex.owner?.thread !== arena.thread.number) return false;
        throw new HoldfastError('EDEADLK', "this thread's asynchronous code holds the mutex");
      };
      const unlock = () => {
        mutex.unlock();
        queue.wake();
      };
      return {
        lock(_mode, timeout) {
          queue.wait(isMine, { timeout, ...isAlone() });
          return true;
        },
        tryLock: () => mutex.tryLock(),
        unlock,
        async lockAsync(_mode, options) {
          await queue.waitAsync(() => mutex.tryLock(), { ...options, ...isAlone() });
          return unlock;
        },
        get isTaken() {
          return mutex.isLocked;
        },
        get ownerDied() {
          return mutex.ownerDied;
        },
        makeConsistent: () => mutex.makeConsistent(),
        destroy() {
          queue.destroy();
          mutex.destroy();
        },
      };
    },
  };
}
