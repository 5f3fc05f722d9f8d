import type { Arena } from '../../arena/arena.ts';
import { isTimeout, type LockType, type View } from '../lock-type.ts';

/** How long a hasty waiter waits, ms. */
const HASTE = 0.05;

/** A sound lock in the hands of a wrapper that uses it wrongly. */
export function twin(of: LockType, summary: string, spoil: (view: View, arena: Arena) => Partial<View>): LockType {
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
        lock: (mode, timeout) => view.lock(mode, timeout),
        unlock: (mode) => view.unlock(mode),
        ...(view.snapshot && { snapshot: view.snapshot }),
        ...spoil(view, arena),
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
export function hasty(view: View): Partial<View> {
  let isMine = false;
  return {
    lock(mode) {
      try {
        isMine = view.lock(mode, HASTE);
      } catch (error) {
        if (!isTimeout(error)) throw error;
        isMine = false;
      }
      return true;
    },
    unlock(mode) {
      if (isMine) view.unlock(mode);
    },
  };
}

/** Lets go at once of what it has waited for. */
export function fleeting(view: View): Partial<View> {
  return {
    lock(mode, timeout) {
      if (!view.lock(mode, timeout)) return false;
      view.unlock(mode);
      return true;
    },
    unlock: () => {},
  };
}

/** Lets readers in unasked. */
export function hospitable(view: View): Partial<View> {
  return {
    lock: (mode, timeout) => mode === 'read' || view.lock(mode, timeout),
    unlock: (mode) => mode === 'read' || view.unlock(mode),
  };
}
