/**
 * What the program expects to hold. Where lockdep runs, each of these reports that it is not so, once a class of locks, and the
 * program goes on; where it does not, they do nothing. `lockdep_assert_held` and its kin.
 */
import type { Arena } from '../../arena/arena.ts';
import { HoldfastError, shown } from '../../errors.ts';
import { lookForObserver } from '../../sched/lock-observer.ts';
import type { ObservedLock } from '../../sched/watch.ts';
import { SUBCLASSES } from './classes.ts';
import { type Validator, validatorOf } from './validator.ts';

/** A lock of the library. */
export interface CheckedLock extends ObservedLock {
  readonly arena: Arena;
}

function validatorFor(lock: CheckedLock): Validator | undefined {
  if (typeof lock?.arena?.thread?.current !== 'function') {
    throw new HoldfastError('EINVAL', `expected a lock, received ${shown(lock)}`);
  }
  return validatorIn(lock.arena);
}

/** What runs since the thread has made its last call that waits, it hears of here. */
function validatorIn({ thread }: Arena): Validator | undefined {
  lookForObserver(thread);
  return validatorOf(thread);
}

/** This thread's code holds the lock, alone or shared. */
export function assertHeld(lock: CheckedLock): void {
  const validator = validatorFor(lock);
  if (validator?.isHeld(lock) === false) validator.expected('it should hold the lock', lock);
}

/** This thread's code holds the lock for reading. */
export function assertHeldRead(lock: CheckedLock): void {
  const validator = validatorFor(lock);
  if (validator?.isHeld(lock, true) === false) validator.expected('it should hold the lock for reading', lock);
}

/** This thread's code holds the lock alone. */
export function assertHeldWrite(lock: CheckedLock): void {
  const validator = validatorFor(lock);
  if (validator?.isHeld(lock, false) === false) validator.expected('it should hold the lock for writing', lock);
}

/** This thread's code does not hold the lock. */
export function assertNotHeld(lock: CheckedLock): void {
  const validator = validatorFor(lock);
  if (validator?.isHeld(lock) === true) validator.expected('it should not hold the lock', lock);
}

/**
 * Runs `acquire`, whose first lock is of a subclass of its class, 1 to 7: for code that takes two locks of one class in an order
 * that it knows, such as a parent before its child. Returns what `acquire` returns. Throws EINVAL. `mutex_lock_nested`.
 */
export function nested<Result>(arena: Arena, subclass: number, acquire: () => Result): Result {
  if (!Number.isInteger(subclass) || subclass < 0 || subclass >= SUBCLASSES) {
    throw new HoldfastError(
      'EINVAL',
      `a subclass is a whole number from 0 to ${SUBCLASSES - 1}, received ${shown(subclass)}`,
    );
  }
  if (typeof arena?.thread?.current !== 'function') {
    throw new HoldfastError('EINVAL', `nested() expects an Arena, received ${shown(arena)}`);
  }
  const validator = validatorIn(arena);
  if (validator === undefined) return acquire();
  validator.subclass = subclass;
  try {
    return acquire();
  } finally {
    validator.subclass = 0;
  }
}
