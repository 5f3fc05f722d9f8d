import type { Arena } from '../arena/arena.ts';
import { type ObjectHandle, SharedObject } from '../arena/shared-object.ts';
import { HoldfastError } from '../errors.ts';
import { defineKind } from '../memory/kinds.ts';
import type { Repairer } from '../memory/repairer.ts';
import { ASYNC_OPTIONS, type AsyncWaitOptions, block, blockAsync, limitsOf, type WaitOptions } from '../sched/drive.ts';
import type { Waiter } from '../sched/slow-path.ts';
import { firstWaiter, isListBusy } from '../sched/wait-list.ts';
import { downSlow, reordered, reset, tryDown, tryDownLatched, up } from './semaphore/core.ts';
import { repair } from './semaphore/repair.ts';
import { close, MOST_PERMITS, SemaphoreWords, UNBOUNDED } from './semaphore/words.ts';

const KIND = defineKind<Repairer>({
  name: 'completion',
  words: SemaphoreWords,
  format: () => {},
  holder: () => 0,
  isBusy: (cpu, completion) => isListBusy(cpu, completion + SemaphoreWords.waiters),
  close,
  reordered,
  repair,
});

/**
 * Something that others wait for: a result that is ready, a thread that has started. `complete()` lets one waiter go, now
 * or later; `completeAll()` lets all go, now and from then on, until `reinit()`.
 *
 * Fairness: first come, first served. Only a synchronous waiter goes in front of its own thread's asynchronous ones.
 *
 * Death: if a waiter dies, what `complete()` gave it goes to the next. If the one dies who was to complete, nobody
 * does it instead: wait with a timeout where that can happen.
 *
 * Source: kernel/sched/completion.c. It is a semaphore that starts at 0.
 */
export class Completion extends SharedObject {
  readonly #count: number;

  /** Opens the completion of that name, making it if there is none, or that of a handle; with neither, a new one. */
  constructor(arena: Arena, which?: string | ObjectHandle) {
    super(KIND, arena, which);
    this.#count = this.address + SemaphoreWords.count;
  }

  static from(arena: Arena, handle: ObjectHandle): Completion {
    return new Completion(arena, handle);
  }

  /** Lets one waiter go; if nobody waits, the next that comes. */
  complete(): void {
    const { thread, address } = this;
    thread.current();
    while (!up(thread, address, 1)) {
      if (this.count < MOST_PERMITS) continue;
      throw new HoldfastError('EINVAL', `the ${this.label} was completed ${this.count} times more than waited for`);
    }
  }

  /** Lets all go that wait, and all that come later. */
  completeAll(): void {
    this.thread.current();
    while (!up(this.thread, this.address, UNBOUNDED)) this.checkThere();
  }

  /** Takes back all `complete` and `completeAll` that nobody has waited for. */
  reinit(): void {
    this.current();
    reset(this.thread, this.address, 0);
  }

  /** Waits for a `complete`, blocking the thread. Throws ETIMEDOUT, and EINVAL for bad options. */
  wait(options?: WaitOptions): void {
    const { thread, address } = this;
    thread.current();
    const limits = limitsOf(thread.cpu, options);
    if (tryDown(thread.cpu, address, 1)) return;
    block(thread, limits, (waiter) => downSlow(address, 1, false, waiter), this);
  }

  /** Waits without blocking the event loop. Rejects with ETIMEDOUT, EINVAL, ENOMEM, or the signal's reason. */
  async waitAsync(options?: AsyncWaitOptions): Promise<void> {
    const { thread, address } = this;
    thread.current();
    const limits = limitsOf(thread.cpu, options, ASYNC_OPTIONS);
    if (tryDown(thread.cpu, address, 1)) return;
    const path = (waiter: Waiter) => downSlow(address, 1, false, waiter);
    const { task } = await blockAsync(thread, this.arena.heap, limits, path, this);
    thread.returnTask(task);
  }

  /** Takes a `complete` if there is one and nobody waits. */
  tryWait(): boolean {
    const { thread, address } = this;
    thread.current();
    if (tryDown(thread.cpu, address, 1) || tryDownLatched(thread, address, 1)) return true;
    this.checkThere();
    return false;
  }

  /** How many more waiters may go; Infinity after `completeAll`. Out of date as soon as it is read. */
  get count(): number {
    const free = this.living.load(this.#count) >> 1;
    return free === UNBOUNDED ? Number.POSITIVE_INFINITY : free;
  }

  /** Whether a waiter would go on at once; out of date as soon as it is read. */
  get isDone(): boolean {
    return this.count > 0;
  }

  protected override get shown(): string {
    const { count } = this;
    const waiting = firstWaiter(this.thread.cpu, this.address + SemaphoreWords.waiters) !== 0;
    const state = count === Number.POSITIVE_INFINITY ? 'complete' : count > 0 ? `complete for ${count}` : 'incomplete';
    return `Completion(${this.name ?? this.address}, ${state}${waiting ? ', waited for' : ''})`;
  }

  /** @internal */
  override notInTime(timeout: number | undefined): HoldfastError {
    return new HoldfastError('ETIMEDOUT', `the ${this.label} was not completed within ${timeout} ms`);
  }
}
