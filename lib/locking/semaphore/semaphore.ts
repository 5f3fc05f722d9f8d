import { inspect } from 'node:util';
import type { Arena } from '../../arena/arena.ts';
import { checkSection, runHolding, runHoldingAsync } from '../../arena/guard.ts';
import { type ObjectHandle, SharedObject } from '../../arena/shared-object.ts';
import { checkOptionNames, HoldfastError, shown } from '../../errors.ts';
import type { Cpu } from '../../machine/cpu.ts';
import { defineKind, type Kind } from '../../memory/kinds.ts';
import type { Repairer } from '../../memory/repairer.ts';
import { ALONE, ASYNC_ALONE } from '../../sched/contention.ts';
import {
  ASYNC_OPTIONS,
  type AsyncWaitOptions,
  block,
  blockAsync,
  type Limits,
  limitsOf,
  SYNC_OPTIONS,
  type Waitable,
  type WaitOptions,
} from '../../sched/drive.ts';
import { claimHold, findHold, holdsOf, isAnyHeld } from '../../sched/holds.ts';
import { noteGuard, noteTaken, UNOWNED } from '../../sched/lock-observer.ts';
import { NOBODY } from '../../sched/offer.ts';
import { maxThreads } from '../../sched/slot.ts';
import type { Waiter } from '../../sched/slow-path.ts';
import { Task } from '../../sched/task.ts';
import { DETACHED } from '../../sched/thread.ts';
import { firstWaiter, isListBusy } from '../../sched/wait-list.ts';
import type { Wanted } from '../../sched/watch.ts';
import {
  downSlow,
  type Held,
  reordered,
  rise,
  tryAcquire,
  tryDown,
  tryDownLatched,
  trySit,
  up,
  upRecorded,
} from './core.ts';
import { type Returning, SemaphoreGuard } from './guard.ts';
import { repair } from './repair.ts';
import { CONTENDED, close, freePermits, MOST_PERMITS, PERMIT, SemaphoreWords, seatedTask } from './words.ts';

const KIND = defineKind<Repairer>({
  name: 'semaphore',
  words: SemaphoreWords,
  format: formatWith(1),
  holder: () => 0,
  isHeldBy(cpu, semaphore, id) {
    const seated = seatedTask(cpu, semaphore);
    if (seated !== 0 && cpu.load(seated + Task.thread) === id) return true;
    return holdsOf(cpu, id, semaphore, (other) => other === id).length > 0;
  },
  isAnyOf: true,
  isBusy: (cpu, semaphore) =>
    isListBusy(cpu, semaphore + SemaphoreWords.waiters) ||
    seatedTask(cpu, semaphore) !== 0 ||
    isAnyHeld(cpu, maxThreads(cpu), semaphore),
  close,
  reordered,
  repair,
});

export interface SemaphoreOptions {
  /**
   * How many permits are free at first, 0 to 2^30 - 2. Default 1; where the semaphore exists, as many as it was made
   * with, and EINVAL for any other number.
   */
  permits?: number | undefined;
}

export interface DownOptions extends WaitOptions {
  /** How many permits to take, all at once. Default 1. */
  permits?: number | undefined;
}

export interface AsyncDownOptions extends AsyncWaitOptions {
  /** How many permits to take, all at once. Default 1. */
  permits?: number | undefined;
}

const DOWN_OPTIONS = [...SYNC_OPTIONS, 'permits'];
const ASYNC_DOWN_OPTIONS = [...ASYNC_OPTIONS, 'permits'];

/**
 * A number of permits, to be taken and given back: how many may use something at once. Any thread may give permits,
 * also ones that it never took.
 *
 * Fairness: first come, first served, but a synchronous waiter that is next may be passed by once, while it wakes up; then
 * `up` itself gives it the permits. Asynchronous waiters are given theirs at once; what their event loop does not come for within 1 ms
 * (then 2, 4, and so on) goes to the next in line, if a synchronous call waits. A call for several permits waits in line
 * until there are as many; those behind wait too, even if there were enough for them. Only a synchronous waiter goes in
 * front of its own thread's asynchronous ones.
 *
 * Death: permits that a thread took with a guard (`acquire`, `acquireAsync`) come back when it dies, and so do those
 * that it was given while it waited and never saw. Permits that `down` or `downAsync` took do not: nobody can
 * know who was to give them back.
 *
 * A semaphore has no owner, so no deadlock is found: whoever waits for permits that only it could give waits for ever.
 *
 * Source: kernel/locking/semaphore.c.
 */
export class Semaphore extends SharedObject {
  readonly #count: number;
  /** The word as this thread saw it last: what the fast paths take it for. */
  #seen = 0;
  readonly #returning: Returning = {
    semaphore: this,
    giveBack: (permits, task, held, guard) => this.#giveBack(permits, task, held, guard),
    [inspect.custom]: () => inspect(this),
  };
  readonly #returningAsync: Returning = {
    semaphore: this,
    giveBack: (permits, task, held, guard) => {
      this.#giveBack(permits, task, held, guard);
      this.thread.returnTask(task);
    },
    [inspect.custom]: () => inspect(this),
  };

  /** Opens the semaphore of that name, making it if there is none, or that of a handle; with neither, a new one. */
  constructor(arena: Arena, which?: string | ObjectHandle, options: SemaphoreOptions = {}) {
    checkOptionNames(options, ['permits']);
    const { permits } = options;
    super(kindWith(permits ?? 1), arena, which);
    this.#count = this.address + SemaphoreWords.count;
    const made = arena.cpu.read(this.address + SemaphoreWords.made);
    if (permits !== undefined && permits !== made) {
      throw new HoldfastError('EINVAL', `the ${this.label} was made with ${made} permits, not ${permits}`);
    }
  }

  static from(arena: Arena, handle: ObjectHandle): Semaphore {
    return new Semaphore(arena, handle);
  }

  /** Waits for permits, blocking the thread. Throws ETIMEDOUT, and EINVAL for bad options. */
  down(options?: DownOptions): void {
    const { thread } = this;
    const seen = this.#seen;
    // Pairs with the release of `up`.
    if (
      options === undefined &&
      thread.free === 0 &&
      seen >= PERMIT &&
      !(seen & CONTENDED) &&
      thread.cpu.cmpxchgAcquire(this.#count, seen, seen - PERMIT) === seen
    ) {
      this.#seen = seen - PERMIT;
    } else {
      this.#downSlow(options);
    }
  }

  /** Takes that many permits if they are free and nobody waits. */
  tryDown(permits = 1): boolean {
    const { thread } = this;
    thread.current();
    checkPermits(permits, 1);
    if (this.#tryDown(permits) || tryDownLatched(thread, this.address, permits)) {
      return noteTaken(thread, this, ALONE, true, UNOWNED);
    }
    this.checkThere();
    return false;
  }

  /** Gives that many permits. Throws EINVAL when there would be more than 2^30 - 2. */
  up(permits = 1): void {
    const { thread } = this;
    const seen = this.#seen;
    // n -> n + 1. Pairs with the acquires in `tryDown` (core.ts) and `freeze` (words.ts).
    if (
      permits === 1 &&
      !(seen & CONTENDED) &&
      seen < MOST_PERMITS * PERMIT &&
      thread.free === 0 &&
      thread.cpu.cmpxchgRelease(this.#count, seen, seen + PERMIT) === seen
    ) {
      this.#seen = seen + PERMIT;
    } else {
      this.#upSlow(permits);
    }
  }

  /**
   * `down`, returning a guard for `using`; the permits come back when the thread dies. Throws ENOMEM when there
   * is no memory to note another lock.
   */
  acquire(options?: DownOptions): SemaphoreGuard {
    const { cpu, self, free } = this.thread;
    if (options === undefined && free === 0 && trySit(cpu, this.address, self)) {
      return new SemaphoreGuard(1, self, 'seat', this.#returning);
    }
    return this.#acquireSlow(options);
  }

  /**
   * Waits for permits without blocking the event loop. Rejects with ETIMEDOUT, EINVAL, ENOMEM (no memory for another
   * waiting task), or the signal's reason.
   */
  async downAsync(options?: AsyncDownOptions): Promise<void> {
    const limits = this.#check(options, ASYNC_DOWN_OPTIONS);
    const permits = permitsOf(options);
    const wanted = this.thread.observer?.wants(this, ASYNC_ALONE, limits);
    if (!this.#tryDown(permits)) this.thread.returnTask(await this.#waitAsync(permits, limits, false));
    this.thread.observer?.has(wanted, UNOWNED);
  }

  /** `downAsync`, with a guard; the permits come back when the thread dies. */
  async acquireAsync(options?: AsyncDownOptions): Promise<SemaphoreGuard> {
    const { thread } = this;
    const limits = this.#check(options, ASYNC_DOWN_OPTIONS);
    const permits = permitsOf(options);
    const wanted = thread.observer?.wants(this, ASYNC_ALONE, limits);
    let task = thread.tryTakeTask(this.arena.heap);
    let held: Held | undefined;
    if (task !== undefined) {
      held = this.#tryNow(permits, task, true);
      if (held === undefined) thread.returnTask(task);
    }
    if (held === undefined) task = await this.#waitAsync(permits, limits, true);
    return this.#guard(permits, task as number, held ?? 'record', this.#returningAsync, wanted);
  }

  /**
   * Runs `section` while it holds permits, which come back however that ends. Returns what it returns; throws as
   * `acquire`, what it throws, and EINVAL when it is asynchronous.
   */
  runExclusive<Result>(section: (held: SemaphoreGuard) => Result, options?: DownOptions): Result {
    return runHolding(checkSection(section), this.acquire(options));
  }

  /** `runExclusive` that never blocks the event loop, also for a section that awaits. Rejects as `acquireAsync`. */
  runExclusiveAsync<Result>(
    section: (held: SemaphoreGuard) => Result | PromiseLike<Result>,
    options?: AsyncDownOptions,
  ): Promise<Result> {
    return runHoldingAsync(section, () => this.acquireAsync(options));
  }

  /** How many permits are free; out of date as soon as it is read. */
  get permits(): number {
    return freePermits(this.living, this.address);
  }

  /** Whether anybody waits; out of date as soon as it is read. */
  get isContended(): boolean {
    return firstWaiter(this.living, this.address + SemaphoreWords.waiters) !== 0;
  }

  protected override get shown(): string {
    const { permits } = this;
    const waiting = this.isContended ? ', waited for' : '';
    return `Semaphore(${this.name ?? this.address}, ${permits} ${permits === 1 ? 'permit' : 'permits'}${waiting})`;
  }

  #tryDown(permits: number): boolean {
    const { cpu } = this.thread;
    const takes = tryDown(cpu, this.address, permits);
    this.#seen = cpu.load(this.#count);
    return takes;
  }

  #downSlow(options: DownOptions | undefined): void {
    const limits = this.#check(options, DOWN_OPTIONS);
    const permits = permitsOf(options);
    const { thread } = this;
    const wanted = thread.observer?.wants(this, ALONE, limits);
    if (!this.#tryDown(permits)) {
      const path = (waiter: Waiter) => downSlow(this.address, permits, false, waiter, true);
      block(thread, limits, path, this.#awaiting(permits));
    }
    thread.observer?.has(wanted, UNOWNED);
  }

  #upSlow(permits: number): void {
    const { thread } = this;
    thread.current();
    checkPermits(permits, 1);
    while (!up(thread, this.address, permits)) {
      if (this.permits + permits <= MOST_PERMITS) continue;
      throw new HoldfastError('EINVAL', `the ${this.label} would have more than ${MOST_PERMITS} permits`);
    }
    this.#seen = thread.cpu.load(this.#count);
    thread.observer?.gave(this, UNOWNED);
  }

  async #waitAsync(permits: number, limits: Limits, recorded: boolean): Promise<number> {
    const { thread, arena } = this;
    const path = (waiter: Waiter) => downSlow(this.address, permits, recorded, waiter);
    const { outcome, task } = await blockAsync(thread, arena.heap, limits, path, this.#awaiting(permits));
    if (outcome === 'acquired') return task;
    thread.returnTask(task);
    throw this.#exhausted();
  }

  #acquireSlow(options: DownOptions | undefined): SemaphoreGuard {
    const { thread } = this;
    const task = thread.current();
    const limits = this.#check(options, DOWN_OPTIONS);
    const permits = permitsOf(options);
    const wanted = thread.observer?.wants(this, ALONE, limits);
    const held = this.#tryNow(permits, task, false);
    if (held === undefined) {
      const path = (waiter: Waiter) => downSlow(this.address, permits, true, waiter, true);
      if (block(thread, limits, path, this.#awaiting(permits)) !== 'acquired') throw this.#exhausted();
    }
    return this.#guard(permits, task, held ?? 'record', this.#returning, wanted);
  }

  /** For a call that has its permits, whose observer has said `wanted`. */
  #guard(permits: number, task: number, held: Held, returning: Returning, wanted: Wanted | undefined): SemaphoreGuard {
    const { thread } = this;
    thread.observer?.has(wanted, task);
    return noteGuard(thread, this, task, new SemaphoreGuard(permits, task, held, returning));
  }

  /** Takes permits for a guard of `task` if they are free and nobody waits. */
  #tryNow(permits: number, task: number, async: boolean): Held | undefined {
    const { thread, address } = this;
    if (permits === 1 && trySit(thread.cpu, address, task)) return 'seat';
    // An asynchronous task always has a record.
    const record = claimHold(thread.cpu, task, address);
    if (record === 0) throw this.#exhausted();
    return tryAcquire(thread, address, permits, task, record, async);
  }

  #giveBack(permits: number, task: number, held: Held, guard: SemaphoreGuard): void {
    const { thread, address } = this;
    // After detach another thread may have the slot, and so a task of the same address.
    if (thread.self === DETACHED) thread.current();
    if (held === 'seat') rise(thread, address, task);
    else upRecorded(thread, address, permits, findHold(thread.cpu, task, address));
    thread.observer?.gave(this, task, guard);
  }

  /** Throws before anything has changed. */
  #check(options: AsyncDownOptions | undefined, known: readonly string[]): Limits {
    const { thread } = this;
    thread.current();
    return limitsOf(thread.cpu, options, known);
  }

  #awaiting(permits: number): Waitable {
    return this.awaiting(
      (timeout) =>
        new HoldfastError('ETIMEDOUT', `no ${permits} of the ${this.label} within ${timeout} ms: ${this.permits} free`),
    );
  }

  #exhausted(): HoldfastError {
    return new HoldfastError('ENOMEM', `no guard of the ${this.label}: there is no memory to note another lock`);
  }
}

/** How many permits a call takes. Throws EINVAL. */
function permitsOf(options: DownOptions | undefined): number {
  if (options === undefined) return 1;
  const { permits = 1 } = options;
  checkPermits(permits, 1);
  return permits;
}

function checkPermits(permits: number, least: number): void {
  if (!Number.isInteger(permits) || permits < least || permits > MOST_PERMITS) {
    throw new HoldfastError(
      'EINVAL',
      `permits is a whole number from ${least} to ${MOST_PERMITS}; received ${shown(permits)}`,
    );
  }
}

/** The kind, with the permits that a semaphore starts with if it has to be made. */
function kindWith(permits: number): Kind {
  checkPermits(permits, 0);
  return permits === 1 ? (KIND as Kind) : ({ ...KIND, format: formatWith(permits) } as Kind);
}

function formatWith(permits: number) {
  return (cpu: Cpu, semaphore: number) => {
    cpu.write(semaphore + SemaphoreWords.count, permits * PERMIT);
    cpu.write(semaphore + SemaphoreWords.made, permits);
    cpu.write(semaphore + SemaphoreWords.round, NOBODY);
  };
}
