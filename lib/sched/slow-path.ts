/**
 * Slow paths are generators that `yield` where they would sleep, after prepareToPark; what `yield` gives back says why the
 * task runs again. The drivers are in `drive.ts`.
 */
import type { WaitsFor } from '../errors.ts';
import type { Member } from '../machine/roster.ts';
import { latch, tryLatchBriefly } from '../memory/latch.ts';
import type { Woken } from './schedule.ts';
import type { Aside, Thread } from './thread.ts';
import type { Wait } from './watch.ts';

/**
 * Says with what a wait ended, and throws only before it has lined up. It yields nothing where it would sleep, and the
 * address of a latch that it waits for: see `latched`.
 */
export type SlowPath<Ending> = Generator<number | undefined, Ending, Woken>;

/** How a wait ends that has not got what it waited for. */
export type GaveUp = 'timed-out' | 'aborted';

/** How the acquisition of a lock ends. No lock knows all of these; `exhausted`: no memory to note that it is held. */
export type Outcome = 'acquired' | 'owner-died' | GaveUp | 'deadlock' | 'back-off' | 'unrecoverable' | 'exhausted';

/** How it ends if the call has not given up. */
export type Concluded = Exclude<Outcome, GaveUp>;

/** One acquisition under way: which task waits, and until when. An asynchronous one is among its thread's `waiters`. */
export interface Waiter extends Member {
  readonly thread: Thread;
  readonly task: number;
  /** On the clock of `cpu.now()`, ns; Infinity for none. A path that has to end in order may put it off. */
  deadline: number;
  /** A task on an event loop: it neither spins nor may it be waited for by its own thread. */
  readonly async: boolean;
  /** Of a synchronous one: it goes on at that time as if it had been woken. On the clock of `cpu.now()`, ns. */
  lookAgain?: number | undefined;
  /** What it has seen offered to another event loop (`offer.ts`), while `lookAgain` is set. */
  offer?: number;
  /** Set where the timeout is 0: such a call does not spin either. */
  readonly onlyTries?: boolean | undefined;
  aborted: boolean;
  /** Of a wait on an event loop that was asked for one. */
  readonly priority?: number | undefined;
  /** Of a wait on an event loop: see `Aside`. */
  aside?: Aside | undefined;
  /** Set while somebody watches the thread. */
  readonly wait?: Wait | undefined;
  /** The cycle that the wait would close, once it was found. */
  deadlock?: readonly WaitsFor[] | undefined;
}

/** The caller of `latched`: a waiter, or a thread that may block. */
export type Latching = Pick<Waiter, 'thread' | 'async'>;

/** Runs a path that only takes latches, for a caller that may block. */
export function runLatching<Result>(thread: Thread, path: (caller: Latching) => SlowPath<Result>): Result {
  return path({ thread, async: false }).next().value as Result;
}

/**
 * A slow path takes the latch at `address`: `yield* latched(waiter, address)`. Illegal to call `latch` in a slow path
 * instead: nothing that runs for a task of an event loop blocks its thread, whether the latch's holder is preempted,
 * stopped or dead. Such a task tries, spins for a moment, and else goes on in a later turn. Illegal, too, while the caller
 * holds another latch: no task holds a latch across turns.
 */
export function* latched({ thread, async }: Latching, address: number): Generator<number, void, Woken> {
  const { cpu, id } = thread;
  if (!async) latch(cpu, address, id);
  else while (!tryLatchBriefly(cpu, address, id)) yield address;
}
