/**
 * The observer of a thread is told of every lock that the thread takes and gives back, free ones too: lockdep, a room above.
 *
 * A fast path has no line for it where a word is compared. It expects a value of the thread's in the lock's word: `free` in one that it takes,
 * `mine` or `mineById` in one that it gives back. While somebody observes the thread these are NEVER, which no word holds. So
 * each call goes the way that it goes for a lock that is not free, and the hooks are there. Locks whose way in
 * compares nothing look at `observer`, or whether `free` is 0 where they have to ask whether the thread has detached.
 *
 *   wants, has   a call that may wait: before it does, and once it has the lock; of one that fails, `wants` alone
 *   took         a call that does not wait has the lock
 *   gave         the lock is given back; it may be another object's memory by now
 *   notHeld      the call to give it back threw: the caller does not hold it
 *
 * The word `Header.lockdep` says whether somebody observes. A thread looks there when it attaches, and in each slow path.
 */
import type { Cpu } from '../machine/cpu.ts';
import { Header } from '../memory/header.ts';
import { DETACHED, type Thread } from './thread.ts';
import type { LockObserver, ObservedLock, WaitForm } from './watch.ts';

type Observe = (thread: Thread) => LockObserver | undefined;

let observe: Observe | undefined;

/** Declares who observes threads: once, when the room that does so is loaded. */
export function defineLockObserver(open: Observe): void {
  if (observe !== undefined) throw new Error('a lock observer is defined once');
  observe = open;
}

/** The thread has its observer from here on, if somebody observes the arena. */
export function lookForObserver(thread: Thread): void {
  if (observe === undefined || thread.observer !== undefined || !isObserved(thread.cpu)) return;
  // Its slot may be another's, where the observer would write.
  if (thread.self === DETACHED) return;
  thread.observe(observe(thread));
}

/** A call that does not wait has the lock, if `isTaken`. Returns that. */
export function noteTaken(thread: Thread, lock: ObservedLock, form: WaitForm, isTaken: boolean): boolean {
  if (isTaken) thread.observer?.took(lock, form, thread.self);
  return isTaken;
}

function isObserved(cpu: Cpu): boolean {
  // Pairs with the exchange that starts it: what the observer writes to is ready.
  return cpu.loadAcquire(Header.lockdep) !== 0;
}
