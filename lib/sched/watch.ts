/** What a thread tells whoever watches it: of its waits (`contention.ts`), and of its locks (`lock-observer.ts`). */

/** How a call waits: for its thread, or on an event loop; for a lock that it will share, or have alone. */
export interface WaitForm {
  readonly async: boolean;
  readonly shared: boolean;
}

/** One call that waits, while somebody watches. */
export interface Wait extends WaitForm {
  /** Those that have heard of its begin. */
  readonly watches: readonly Watch[];
  /** When the call began to wait, ns on `cpu.now()`. */
  readonly start: number;
  /** Of an asynchronous call: where it was made, not read yet, if one of them has noted it. */
  trace: { readonly stack?: unknown } | undefined;
  /** The task that waits; 0 until an asynchronous call has one. */
  task: number;
  /** The object, or the word of the program's, that it waits for; 0 until it is known. */
  object: number;
  /** The thread that held it when the call went to sleep first: a CPU number plus one, or 0. */
  holder: number;
  slept: boolean;
}

/** Hears what one thread waits for, in one session of a profile or a trace. */
export interface Watch {
  /** The word of the header that says in which session it is wanted. */
  readonly word: number;
  readonly session: number;
  begin(wait: Wait): void;
  /** `wait` is about to sleep, for the first time: what it waits for is known. */
  sleeps(wait: Wait): void;
  /** It is about to sleep, each time; it runs again. */
  parks?(wait: Wait): void;
  resumes?(wait: Wait): void;
  /** `outcome`: what the slow path came back with. */
  end(wait: Wait, outcome: unknown): void;
  /** Its session is over, and the thread has another watch from here on, or none. */
  close?(): void;
}

/** Hears of the unlocks of a thread that others have waited for. */
export interface UnlockHearer {
  /** `task` was asleep, and is woken by the thread. */
  wakes(task: number): void;
  /** The lock was given to `task`, which waits for it. */
  handsOver(lock: number, task: number): void;
}

/** Hears of what a thread does beside its own waits and locks, while it is traced. Objects are addresses. */
export interface Tracer {
  /** A thread was killed, and what it left is repaired. */
  buries(thread: number): void;
  /** A grace period of the domain has begun, or ended: its number is the same both times. */
  period(domain: number, isExpedited: boolean, number: number, isOver: boolean): void;
  /** A callback is queued behind `pending` others of the thread's; so many have run. */
  queuesCallback(domain: number, pending: number): void;
  ranCallbacks(domain: number, count: number, ns: number): void;
  /** An item of a workqueue is queued, begins to run, is done. */
  queuesWork(workqueue: number, item: number): void;
  startsWork(workqueue: number, item: number): void;
  endsWork(workqueue: number, item: number): void;
}

/** A lock as its observer sees it: a view. */
export interface ObservedLock {
  readonly address: number;
  readonly name: string | undefined;
  /** What locks are taken together in no fixed order have in common, if that is not their names. */
  readonly lockClass?: string;
}

/** A call that wants a lock: what the observer has to know until the call has it. */
export type Wanted = object;

/**
 * Hears of the locks that one thread takes and gives back. `within`: what sees to it that the locks of one `lockClass` that are
 * taken in it do not deadlock with each other, such as an acquire context.
 */
export interface LockObserver {
  /** True where `took` says as much of a lock that a waiting call finds free as `wants` and `has` do: one call in place of two. */
  readonly tookIsEnough?: boolean;
  /** `timeout` is the call's own, ms. With 0 it does not wait. */
  wants(
    lock: ObservedLock,
    form: WaitForm,
    options?: { readonly timeout?: number | undefined },
    within?: object,
  ): Wanted;
  /** `task` holds the lock from here on. `wanted` is undefined for a call that has begun before anybody observed the thread. */
  has(wanted: Wanted | undefined, task: number): void;
  /** A call that does not wait has the lock. */
  took(lock: ObservedLock, form: WaitForm, task: number, within?: object): void;
  /**
   * `task` has given the lock back, which it had alone or shared. Illegal to touch it: its memory may be another object's. `guard`: which one did,
   * of a lock that a task may have more of.
   */
  gave(lock: ObservedLock, task: number, guard?: object): void;
  /** `task`, which has the lock alone, shares it from here on. */
  shares(lock: ObservedLock, task: number): void;
  /** A call was to give the lock back, and the caller does not hold it. */
  notHeld(lock: ObservedLock): void;
  /** What `task` has just taken is given back by `guard`, and in no other way. */
  guards?(lock: ObservedLock, task: number, guard: object): void;
}
