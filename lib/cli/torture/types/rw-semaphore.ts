import { PercpuRwSemaphore } from '../../../locking/percpu-rw-semaphore.ts';
import { RwSemaphore } from '../../../locking/rw-semaphore.ts';
import type { AsyncWaitOptions } from '../../../sched/drive.ts';
import type { ObjectHandle } from '../../../sched/shared-object.ts';
import type { LockType, Mode, View } from '../lock-type.ts';

const COMMON = {
  isBusted: false,
  modes: ['write', 'read'],
  isRobust: true,
  isAsync: true,
  hasTry: true,
  hasTimeouts: true,
  longHold: 5000,
} satisfies Partial<LockType>;

export const rwSemaphore: LockType = {
  ...COMMON,
  name: 'rw-semaphore',
  summary: 'RwSemaphore: readers and writers, sleeping, robust, synchronous and asynchronous',
  create: (arena) => new RwSemaphore(arena, 'rw-semaphore').handle,
  open: (arena, handle) => viewOf(RwSemaphore.from(arena, handle as ObjectHandle)),
};

export const percpuRwSemaphore: LockType = {
  ...COMMON,
  name: 'percpu-rw-semaphore',
  summary: 'PercpuRwSemaphore: readers and writers, a record for each reader, sleeping, robust',
  create: (arena) => new PercpuRwSemaphore(arena, 'percpu-rw-semaphore').handle,
  open: (arena, handle) => viewOf(PercpuRwSemaphore.from(arena, handle as ObjectHandle)),
};

/** Its readers give up while a dead writer's record waits for a writer to put it in order. */
function viewOf(lock: RwSemaphore | PercpuRwSemaphore): View {
  const unlock = (mode: Mode) => (mode === 'read' ? lock.upRead() : lock.upWrite());
  const entered = (mode: Mode, isMine: boolean) => {
    if (!isMine || mode === 'write' || !lock.ownerDied) return isMine;
    lock.upRead();
    return false;
  };
  let turn = 0;
  const lockAsync = async (mode: Mode, options: AsyncWaitOptions): Promise<() => void> => {
    if (mode === 'read') {
      for (;;) {
        const guard = await lock.acquireReadAsync(options);
        if (!guard.ownerDied) return () => guard.release();
        guard.release();
        await new Promise((resolve) => setImmediate(resolve));
      }
    }
    if (turn++ % 2 === 0) {
      await lock.downWriteAsync(options);
      return () => lock.upWrite();
    }
    const guard = await lock.acquireWriteAsync(options);
    return () => guard.release();
  };
  return {
    lock(mode, timeout) {
      const options = timeout === undefined ? undefined : { timeout };
      if (mode === 'read') lock.downRead(options);
      else lock.downWrite(options);
      return entered(mode, true);
    },
    unlock,
    tryLock: (mode) => entered(mode, mode === 'read' ? lock.tryDownRead() : lock.tryDownWrite()),
    lockAsync,
    get ownerDied() {
      return lock.ownerDied;
    },
    makeConsistent: () => lock.makeConsistent(),
    destroy: () => lock.destroy(),
  };
}
