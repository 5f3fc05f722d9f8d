/**
 * The observer of a thread is told of every lock that the thread takes and gives back, free ones too: lockdep and the trace, rooms above.
 *
 * A fast path has no line for it where a word is compared. It expects a value of the thread's in the lock's word: `free` in one that it takes,
 * `mine` or `mineById` in one that it gives back. While somebody observes the thread these are NEVER, which no word holds. So
 * each call goes the way that it goes for a lock that is not free, and the hooks are there. Locks whose way in
 * compares nothing look at `observer`, or whether `free` is 0 where they have to ask whether the thread has detached.
 *
 *   wants, has   a call that may wait: before it does, and once it has the lock; of one that fails, `wants` alone
 *   took         a call that does not wait has the lock; or one that may wait and has found it free, where `tookIsEnough`
 *   gave         the lock is given back; it may be another object's memory by now
 *   notHeld      the call to give it back threw: the caller does not hold it
 *   guards       what a call has just taken is given back by a guard
 *
 * Permits that a semaphore gives out without a guard are taken and given by UNOWNED.
 *
 * Each room that observes has a word of the header which says whether it does. A thread looks there when it attaches, and in each slow
 * path. Where two rooms observe it, its observer is an `ObserverGroup`, which tells both.
 */
import { DETACHED, type Thread } from './thread.ts';
import type { LockObserver, ObservedLock, WaitForm, Wanted } from './watch.ts';

/** In place of a task: permits that belong to nobody, which one task may take and another one give. */
export const UNOWNED = 0;

interface Observation {
  /** Of the header: not 0 while the room observes the arena. */
  readonly word: number;
  readonly open: (thread: Thread) => LockObserver | undefined;
}

const observations: Observation[] = [];

/**
 * Declares that `open` makes a thread's observer, or undefined for none now, while `word` of the header is not 0: once for each room that
 * observes.
 */
export function defineLockObserver(word: number, open: (thread: Thread) => LockObserver | undefined): void {
  if (observations.some((other) => other.word === word)) throw new Error('a lock observer is defined once');
  observations.push({ word, open });
}

/** The thread has its observers from here on, if somebody observes the arena. */
export function lookForObserver(thread: Thread): void {
  // Its slot may be another's, where the observer would write.
  if (thread.self === DETACHED) return;
  for (const { word, open } of observations) {
    // Pairs with the exchange that starts it: what the observer writes to is ready.
    if (thread.cpu.loadAcquire(word) === 0 || thread.observers.has(word)) continue;
    const observer = open(thread);
    if (observer !== undefined) setObservers(thread, new Map(thread.observers).set(word, observer));
  }
}

/** That one hears of the thread no more. */
export function endObserver(thread: Thread, observer: LockObserver): void {
  const others = [...thread.observers].filter(([, other]) => other !== observer);
  if (others.length < thread.observers.size) setObservers(thread, new Map(others));
}

/** Whether the thread tells that one of its locks. */
export function isObservedBy(thread: Thread, observer: LockObserver): boolean {
  return [...thread.observers.values()].includes(observer);
}

/** A call that does not wait has the lock, if `isTaken`, as `task`. Returns that. */
export function noteTaken(
  thread: Thread,
  lock: ObservedLock,
  form: WaitForm,
  isTaken: boolean,
  task = thread.self,
): boolean {
  if (isTaken) thread.observer?.took(lock, form, task);
  return isTaken;
}

/** `guard` stands for what `task` has just taken: an observer of the thread may find that it was collected. Returns it. */
export function noteGuard<Guard extends object>(thread: Thread, lock: ObservedLock, task: number, guard: Guard): Guard {
  thread.observer?.guards?.(lock, task, guard);
  return guard;
}

function setObservers(thread: Thread, observers: ReadonlyMap<number, LockObserver>): void {
  const [first, ...others] = observers.values();
  thread.observe(first === undefined || others.length === 0 ? first : new ObserverGroup([first, ...others]));
  thread.observers = observers;
}

/** What the observers of a group have said to one call. */
class WantedByGroup {
  readonly #parts: readonly (readonly [LockObserver, Wanted])[];

  constructor(parts: readonly (readonly [LockObserver, Wanted])[]) {
    this.#parts = parts;
  }

  of(observer: LockObserver): Wanted | undefined {
    return this.#parts.find(([other]) => other === observer)?.[1];
  }
}

/**
 * What that observer has said to the call. It may have said so in a group that is no more, or before there was one: then `wanted` may also be
 * what another one has said.
 */
export function ownWanted(observer: LockObserver, wanted: Wanted | undefined): Wanted | undefined {
  return wanted instanceof WantedByGroup ? wanted.of(observer) : wanted;
}

/** Several that observe one thread. */
class ObserverGroup implements LockObserver {
  readonly #all: readonly LockObserver[];

  constructor(all: readonly LockObserver[]) {
    this.#all = all;
  }

  wants(
    lock: ObservedLock,
    form: WaitForm,
    options?: { readonly timeout?: number | undefined },
    within?: object,
  ): Wanted {
    return new WantedByGroup(this.#all.map((one) => [one, one.wants(lock, form, options, within)] as const));
  }

  has(wanted: Wanted | undefined, task: number): void {
    for (const one of this.#all) one.has(wanted, task);
  }

  took(lock: ObservedLock, form: WaitForm, task: number, within?: object): void {
    for (const one of this.#all) one.took(lock, form, task, within);
  }

  gave(lock: ObservedLock, task: number, guard?: object): void {
    for (const one of this.#all) one.gave(lock, task, guard);
  }

  shares(lock: ObservedLock, task: number): void {
    for (const one of this.#all) one.shares(lock, task);
  }

  notHeld(lock: ObservedLock): void {
    for (const one of this.#all) one.notHeld(lock);
  }

  guards(lock: ObservedLock, task: number, guard: object): void {
    for (const one of this.#all) one.guards?.(lock, task, guard);
  }
}
