/**
 * PercpuRef as a lock: readers hold a reference, and give up where there is none to be had; writers, kept apart by a Mutex, kill
 * the references, go in when they are drained, and make them live again.
 */
import type { ObjectHandle } from '../../arena/shared-object.ts';
import { Mutex } from '../../locking/mutex.ts';
import { PercpuRef } from '../../rcu/percpu-ref.ts';
import { type LockType, SLEEPING, within } from '../lock-type.ts';

interface Handle {
  readonly mutex: ObjectHandle;
  readonly ref: ObjectHandle;
}

export const percpuRef = percpuRefType(
  'percpu-ref',
  'PercpuRef: readers hold references, writers kill, drain and revive them',
);

/** `drains`: whether a writer waits for the last reference. */
export function percpuRefType(name: string, summary: string, drains = true): LockType {
  return {
    ...SLEEPING,
    name,
    summary,
    modes: ['write', 'read'],
    isAsync: false,
    longHold: 500,
    create: (arena): Handle => ({ mutex: new Mutex(arena).handle, ref: new PercpuRef(arena).handle }),
    open(arena, handle) {
      const { mutex, ref: which } = handle as Handle;
      const writers = Mutex.from(arena, mutex);
      const ref = PercpuRef.from(arena, which);
      const goIn = () => {
        // After a dead writer they may be killed already.
        ref.kill();
        if (drains) ref.drain();
      };
      return {
        lock(mode, timeout) {
          if (mode === 'read') return ref.tryGet();
          writers.lock(within(timeout));
          goIn();
          return true;
        },
        tryLock(mode) {
          if (mode === 'read') return ref.tryGet();
          if (!writers.tryLock()) return false;
          goIn();
          return true;
        },
        unlock(mode) {
          if (mode === 'read') return ref.put();
          if (!drains) ref.drain();
          ref.reinit();
          writers.unlock();
        },
        get ownerDied() {
          return writers.ownerDied;
        },
        makeConsistent: () => writers.makeConsistent(),
        destroy() {
          writers.destroy();
          ref.kill();
          ref.drain();
          ref.destroy();
        },
      };
    },
  };
}
