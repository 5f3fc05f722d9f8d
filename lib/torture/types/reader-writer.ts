import { setImmediate as turn } from 'node:timers/promises';
import type { ObjectHandle } from '../../arena/shared-object.ts';
import { PercpuRwSemaphore } from '../../locking/percpu-rw-semaphore/percpu-rw-semaphore.ts';
import { RwLock } from '../../locking/rw-lock.ts';
import { RwSemaphore } from '../../locking/rw-semaphore/rw-semaphore.ts';
import { PthreadRwlock } from '../../pthread/rwlock.ts';
import type { AsyncWaitOptions } from '../../sched/drive.ts';
import { type LockType, type Mode, SLEEPING, SPINNING, type View, within } from '../lock-type.ts';

const MODES = { modes: ['write', 'read'] } satisfies Partial<LockType>;

export const rwLock: LockType = {
  ...SPINNING,
  ...MODES,
  name: 'rw-lock',
  summary: 'RwLock: queued reader-writer spinlock',
  create: (arena) => new RwLock(arena, 'rw-lock').handle,
  open(arena, handle) {
    const lock = RwLock.from(arena, handle as ObjectHandle);
    return viewOf(lock, {
      lock: (mode) => (mode === 'read' ? lock.readLock() : lock.writeLock()),
      tryLock: (mode) => (mode === 'read' ? lock.tryReadLock() : lock.tryWriteLock()),
      unlock: (mode) => (mode === 'read' ? lock.readUnlock() : lock.writeUnlock()),
    });
  },
};

export const rwSemaphore: LockType = {
  ...SLEEPING,
  ...MODES,
  name: 'rw-semaphore',
  summary: 'RwSemaphore: readers and writers, sleeping, robust, synchronous and asynchronous',
  create: (arena) => new RwSemaphore(arena, 'rw-semaphore').handle,
  open: (arena, handle) => semaphoreView(RwSemaphore.from(arena, handle as ObjectHandle)),
};

export const percpuRwSemaphore: LockType = {
  ...SLEEPING,
  ...MODES,
  name: 'percpu-rw-semaphore',
  summary: 'PercpuRwSemaphore: readers and writers, a record for each reader, sleeping, robust',
  create: (arena) => new PercpuRwSemaphore(arena, 'percpu-rw-semaphore').handle,
  open: (arena, handle) => semaphoreView(PercpuRwSemaphore.from(arena, handle as ObjectHandle)),
};

export const pthreadRwlock: LockType = {
  ...SLEEPING,
  ...MODES,
  name: 'pthread-rwlock',
  summary: 'PthreadRwlock: writer-preferring, readers and writers, synchronous and asynchronous',
  create: (arena) => new PthreadRwlock(arena, 'pthread-rwlock').handle,
  open(arena, handle) {
    const lock = PthreadRwlock.from(arena, handle as ObjectHandle);
    return viewOf(lock, {
      lock: (mode, options) => (mode === 'read' ? lock.readLock(options) : lock.writeLock(options)),
      tryLock: (mode) => (mode === 'read' ? lock.tryReadLock() : lock.tryWriteLock()),
      unlock: () => lock.unlock(),
      async acquireAsync(mode, options) {
        const guard = await (mode === 'read' ? lock.acquireReadAsync(options) : lock.acquireWriteAsync(options));
        return () => guard.release();
      },
    });
  },
};

function semaphoreView(lock: RwSemaphore | PercpuRwSemaphore): View {
  let calls = 0;
  return viewOf(lock, {
    lock: (mode, options) => (mode === 'read' ? lock.downRead(options) : lock.downWrite(options)),
    tryLock: (mode) => (mode === 'read' ? lock.tryDownRead() : lock.tryDownWrite()),
    unlock: (mode) => (mode === 'read' ? lock.upRead() : lock.upWrite()),
    async acquireAsync(mode, options) {
      if (mode === 'write' && calls++ % 2 === 0) {
        await lock.downWriteAsync(options);
        return () => lock.upWrite();
      }
      const guard = await (mode === 'read' ? lock.acquireReadAsync(options) : lock.acquireWriteAsync(options));
      return () => guard.release();
    },
  });
}

interface Calls {
  lock(mode: Mode, options: AsyncWaitOptions | undefined): void;
  tryLock(mode: Mode): boolean;
  unlock(mode: Mode): void;
  acquireAsync?(mode: Mode, options: AsyncWaitOptions): Promise<() => void>;
}

/** Its readers give up while a dead writer's record waits for a writer to put it in order. */
function viewOf(lock: RwLock | RwSemaphore | PercpuRwSemaphore | PthreadRwlock, calls: Calls): View {
  const { acquireAsync } = calls;
  const entered = (mode: Mode, isMine: boolean) => {
    if (!isMine || mode === 'write' || !lock.ownerDied) return isMine;
    calls.unlock('read');
    return false;
  };
  const lockAsync = async (mode: Mode, options: AsyncWaitOptions): Promise<() => void> => {
    for (;;) {
      const release = await acquireAsync?.(mode, options);
      if (mode === 'write' || !lock.ownerDied) return release as () => void;
      release?.();
      await turn();
    }
  };
  return {
    lock(mode, timeout) {
      calls.lock(mode, within(timeout));
      return entered(mode, true);
    },
    tryLock: (mode) => entered(mode, calls.tryLock(mode)),
    unlock: (mode) => calls.unlock(mode),
    ...(acquireAsync && { lockAsync }),
    get ownerDied() {
      return lock.ownerDied;
    },
    makeConsistent: () => lock.makeConsistent(),
    destroy: () => lock.destroy(),
  };
}
