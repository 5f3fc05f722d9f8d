/** What a thread tells whoever watches it: of its waits (`contention.ts`), and of its locks (`lock-observer.ts`). */

/** How a call waits: for its thread, or on an event loop; for a lock that it will share, or have alone. */
export interface WaitForm {
  readonly async: boolean;
  readonly shared: boolean;
}

/** One call that waits, while somebody watches. */
export interface Wait extends WaitForm {
  readonly watch: Watch;
  /** When the call began to wait, ns on `cpu.now()`. */
  readonly start: number;
  /** Of an asynchronous call: where it was made, not read yet. */
  readonly trace: { readonly stack?: unknown } | undefined;
  /** The object, or the word of the program's, that it waits for; 0 until it is known. */
  object: number;
  /** Who held that when the call went to sleep first: a CPU number plus one, or 0. */
  holder: number;
  slept: boolean;
}

/** Hears what one thread waits for, in one session of a profile. */
export interface Watch {
  readonly session: number;
  begin(object: number, form: WaitForm): Wait;
  /** `wait` is about to sleep, for the first time. */
  sleeps(wait: Wait): void;
  /** `outcome`: what the slow path came back with. */
  end(wait: Wait, outcome: unknown): void;
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
  /** `task` has given the lock back, which it had alone or shared. Illegal to touch it: its memory may be another object's. */
  gave(lock: ObservedLock, task: number): void;
  /** `task`, which has the lock alone, shares it from here on. */
  shares(lock: ObservedLock, task: number): void;
  /** A call was to give the lock back, and the caller does not hold it. */
  notHeld(lock: ObservedLock): void;
}
