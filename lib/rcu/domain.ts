/**
 * What all flavours of RCU have in common for those who wait for readers: periods, polling, callbacks. A flavour says how its
 * readers go in and out.
 */

import type { Arena } from '../arena/arena.ts';
import type { ObjectHandle } from '../arena/shared-object.ts';
import { HoldfastError, shown } from '../errors.ts';
import type { Outcome } from '../locking/wait-queue-core.ts';
import { defineKind, type Kind } from '../memory/kinds.ts';
import type { Repairer } from '../memory/repairer.ts';
import { ALONE, ASYNC_ALONE } from '../sched/contention.ts';
import {
  ABORTABLE_OPTIONS,
  type AbortableOptions,
  block,
  blockAsync,
  type Limits,
  limitsOf,
  type Waitable,
  type WaitOptions,
} from '../sched/drive.ts';
import type { SlowPath, Waiter } from '../sched/slow-path.ts';
import { Callbacks } from './callbacks.ts';
import { threadsInside } from './dump.ts';
import { advance, isDomainBusy, isOver, isReading, repairPeriods, snapshot, tryAdvance } from './grace-period.ts';
import { Freeing } from './kfree.ts';
import {
  domainAt,
  EXPEDITED,
  formatDomain,
  GEOMETRY,
  type Geometry,
  Line,
  lineOf,
  NORMAL,
  type Pace,
  RcuWords,
  threadsOf,
  trailingWords,
} from './layout.ts';
import { RcuReadSide } from './read-side.ts';
import type { Readers } from './reader.ts';
import { endAfter, readSequence } from './sequence.ts';
import { checkStall } from './stall.ts';
import { synchronize, waitForEnd, waitWhile } from './wait.ts';

/**
 * A point in a domain's time: it is reached when all readers of the moment at which it was taken are out. Plain
 * structured-cloneable data, good on every thread of the arena. It holds for periods of both paces (the kernel's `_full`
 * and `_expedited` forms in one).
 */
export interface RcuCookie {
  /** The id of the arena, and the domain's address there. */
  readonly arena: number;
  readonly rcu: number;
  readonly normal: number;
  readonly expedited: number;
}

/**
 * The kind of a flavour's domains. `isShared`: the arena has one, for good. `rings`: its readers are what threads do at any time,
 * so a thread is rung when a period waits for it, and does not hold the domain.
 */
export function defineDomain(
  name: string,
  isShared: boolean,
  geometry: Geometry = GEOMETRY,
  rings = false,
): Kind<Repairer> {
  return defineKind<Repairer>({
    name,
    words: RcuWords,
    trailing: (cpu) => trailingWords(cpu, geometry),
    format: (cpu, rcu) => formatDomain(cpu, rcu, geometry, rings),
    holder: () => 0,
    isHeldBy: (cpu, rcu, id) => !rings && isReading(cpu, lineOf(domainAt(cpu, rcu), id - 1)),
    isBusy: (cpu, rcu) => isShared || isDomainBusy(cpu, rcu),
    repair: repairPeriods,
  });
}

const callbacks = new WeakMap<Readers, Callbacks>();
const freeing = new WeakMap<Readers, Freeing>();

/** A domain as those who wait for its readers see it. */
export abstract class RcuDomain extends RcuReadSide {
  readonly #callbacks: Callbacks;
  readonly #freeing: Freeing;

  /** @internal */
  protected constructor(kind: Kind, arena: Arena, which: string | ObjectHandle | undefined) {
    super(kind, arena, which);
    let own = callbacks.get(this.readers);
    if (own === undefined) callbacks.set(this.readers, (own = new Callbacks(this.readers, arena.heap)));
    this.#callbacks = own;
    let frees = freeing.get(this.readers);
    if (frees === undefined) {
      frees = new Freeing(this.readers, arena.heap, arena.objects, () => this.beforeSleep());
      freeing.set(this.readers, frees);
    }
    this.#freeing = frees;
  }

  /**
   * Waits until all readers are out that are inside now, blocking the thread. Throws EDEADLK inside a reader of this
   * thread, also an asynchronous one, which cannot leave while the thread blocks; ETIMEDOUT, and EINVAL for bad options.
   */
  synchronize(options?: WaitOptions): void {
    this.#synchronize(NORMAL, this.#limitsOf(options));
  }

  /**
   * `synchronize` in a period of its own: a normal period that began earlier, and whose readers are still inside, does not
   * hold it up beyond these readers.
   */
  synchronizeExpedited(options?: WaitOptions): void {
    this.#synchronize(EXPEDITED, this.#limitsOf(options));
  }

  /**
   * Waits without blocking the event loop; all calls of one turn of the loop share a period. Rejects with EDEADLK between
   * `readLock` and `readUnlock` of this thread, with ETIMEDOUT, EINVAL, ENOMEM, or the signal's reason. A reader with a
   * guard is not taken for the caller's own: who waits inside one waits for ever.
   */
  synchronizeAsync(options?: AbortableOptions): Promise<void> {
    return this.#synchronizeAsync(NORMAL, options);
  }

  /** `synchronizeExpedited` without blocking the event loop. */
  synchronizeExpeditedAsync(options?: AbortableOptions): Promise<void> {
    return this.#synchronizeAsync(EXPEDITED, options);
  }

  /** The point at which all readers of this moment are out. Begins no period; see `startPoll`. */
  getState(): RcuCookie {
    const { thread, readers } = this;
    this.current();
    return this.#cookie(snapshot(thread, readers.domain, NORMAL), snapshot(thread, readers.domain, EXPEDITED));
  }

  /** `getState`, and a period that gets there. */
  startPoll(): RcuCookie {
    const cookie = this.getState();
    advance(this.thread, this.readers.domain, NORMAL, cookie.normal);
    return cookie;
  }

  /** `startPoll` with an expedited period. */
  startPollExpedited(): RcuCookie {
    const cookie = this.getState();
    advance(this.thread, this.readers.domain, EXPEDITED, cookie.expedited);
    return cookie;
  }

  /** Whether that point is reached. Throws EINVAL for a cookie of another domain, or none. */
  pollState(cookie: RcuCookie): boolean {
    const { thread, readers } = this;
    this.current();
    this.#check(cookie);
    if (this.#isReached(cookie)) return true;
    // It may be this thread that the period waits for.
    this.beforeSleep();
    // The thread that was about to end the period may be dead, and nobody else waits for it.
    for (const pace of [NORMAL, EXPEDITED]) advance(thread, readers.domain, pace, 0);
    if (this.#isReached(cookie)) return true;
    for (const pace of [NORMAL, EXPEDITED]) checkStall(thread, readers.domain, pace);
    return false;
  }

  /** `synchronize`, unless that point is reached. */
  condSynchronize(cookie: RcuCookie, options?: WaitOptions): void {
    if (!this.pollState(cookie)) this.synchronize(options);
  }

  /** `synchronizeAsync`, unless that point is reached. */
  async condSynchronizeAsync(cookie: RcuCookie, options?: AbortableOptions): Promise<void> {
    if (!this.pollState(cookie)) await this.synchronizeAsync(options);
  }

  /** A cookie whose point is reached. */
  get completedState(): RcuCookie {
    return this.#cookie(0, 0);
  }

  /** Whether the two cookies stand for the same point. */
  sameState(one: RcuCookie, other: RcuCookie): boolean {
    this.#check(one);
    this.#check(other);
    return one.normal === other.normal && one.expedited === other.expedited;
  }

  /**
   * Runs `callback` on this thread's event loop once all readers of this moment are out. It may not wait: there is one
   * queue. What it throws is an uncaught error of the thread. With the thread it is lost. Throws EINVAL for what is no
   * function, ENOMEM. The process stays alive until it has run, and the thread cannot detach.
   */
  call(callback: () => unknown): void {
    this.current();
    if (typeof callback !== 'function') {
      throw new HoldfastError('EINVAL', `call() takes a function, received ${shown(callback)}`);
    }
    if (this.readers.checks?.debug && this.#callbacks.has(callback)) this.reportDouble(this.call);
    if (this.#callbacks.size > 0) void this.#callbacks.add(callback);
    else this.changing(() => void this.#callbacks.add(callback));
  }

  /**
   * Frees an object of a `KmemCache`, or a block from `arena.alloc`, once all readers of this moment are out; nothing is
   * written to it before. On this thread's event loop, or in a later `kfree`; if the thread dies, another does it with its
   * own next one. Throws EINVAL, and changes nothing, when no such memory in use starts there (freed before, by whatever
   * call), and for an object whose cache frees by another domain; ENOMEM. The process stays alive until it is done, and the
   * thread cannot detach.
   */
  kfree(address: number): void {
    this.current();
    if (this.#freeing.size > 0) this.#freeing.kfree(address);
    else this.changing(() => this.#freeing.kfree(address));
  }

  /**
   * Waits until all callbacks are over that any thread has queued so far, and all is freed that it has given to `kfree`,
   * blocking this one. Throws EDEADLK when this thread has queued callbacks, which cannot run meanwhile, or is inside a
   * reader and has something to free; ETIMEDOUT and EINVAL.
   */
  barrier(options?: WaitOptions): void {
    const { thread, readers } = this;
    const limits = this.#limitsOf(options);
    if (this.#callbacks.pending > 0) {
      throw new HoldfastError('EDEADLK', `this thread has callbacks of the ${this.label}: they run on its event loop`);
    }
    while (this.#freeing.size > 0) {
      this.#synchronize(NORMAL, limits);
      this.#freeing.reclaim();
    }
    const isWaiting = this.#callbacksOfNow();
    block(thread, limits, (waiter) => waitWhile(readers.domain, waiter, isWaiting), this.#awaitingCallbacks);
  }

  /** `barrier` without blocking the event loop. Rejects with ETIMEDOUT, EINVAL, ENOMEM, or the signal's reason. */
  async barrierAsync(options?: AbortableOptions): Promise<void> {
    this.current();
    const limits = limitsOf(this.cpu, options, ABORTABLE_OPTIONS);
    const isWaiting = this.#callbacksOfNow();
    const { domain } = this.readers;
    await this.#waitAsync(limits, this.#awaitingCallbacks, (waiter) => waitWhile(domain, waiter, isWaiting));
    // From here on the thread may detach.
    if (this.#freeing.size === 0) await this.#freeing.rest;
  }

  protected reclaim(): void {
    this.#freeing.reclaim();
  }

  #synchronize(pace: Pace, limits: Limits): void {
    const { thread, readers } = this;
    const { domain } = readers;
    if (this.readLockHeld) throw this.#insideReader();
    thread.observer?.wants(this, ALONE);
    this.beforeSleep();
    synchronize(thread, domain, pace, limits, this);
  }

  #limitsOf(options: WaitOptions | undefined): Limits {
    this.current();
    return limitsOf(this.cpu, options);
  }

  async #synchronizeAsync(pace: Pace, options: AbortableOptions | undefined): Promise<void> {
    const { thread, readers } = this;
    const { domain } = readers;
    this.current();
    const limits = limitsOf(this.cpu, options, ABORTABLE_OPTIONS);
    if (this.isSyncReader) throw this.#insideReader();
    thread.observer?.wants(this, ASYNC_ALONE);
    const end = snapshot(thread, domain, pace);
    // Others of this turn find the period begun by the first of them, or over.
    await undefined;
    // The thread may have detached, and its number be another's.
    this.current();
    if (isOver(thread, domain, pace, end)) return;
    tryAdvance(thread, domain, pace, end);
    if (isOver(thread, domain, pace, end)) return;
    await this.#waitAsync(limits, this, (waiter) => waitForEnd(domain, pace, end, waiter));
  }

  async #waitAsync(limits: Limits, what: Waitable, path: (waiter: Waiter) => SlowPath<Outcome>): Promise<void> {
    const { thread, arena } = this;
    const { task } = await blockAsync(thread, arena.heap, limits, path, what);
    thread.returnTask(task);
  }

  get #awaitingCallbacks(): Waitable {
    return this.awaiting(
      (timeout) => new HoldfastError('ETIMEDOUT', `no ${this.label} within ${timeout} ms: callbacks are under way`),
    );
  }

  /** Whether a callback is not over that was queued before this call. */
  #callbacksOfNow(): () => boolean {
    const { cpu, readers, address } = this;
    const targets: { done: number; queued: number }[] = [];
    // Pairs with the store in `Callbacks.add`, as far as the caller has heard of it.
    cpu.mb();
    const threads = threadsOf(cpu, address);
    for (let number = 0; number < threads; number++) {
      const line = lineOf(readers.domain, number);
      targets.push({ done: line + Line.done, queued: cpu.loadAcquire(line + Line.queued) });
      targets.push({ done: line + Line.reclaimed, queued: cpu.loadAcquire(line + Line.kfreed) });
    }
    return () => targets.some(({ done, queued }) => ((cpu.loadAcquire(done) - queued) | 0) < 0);
  }

  #cookie(normal: number, expedited: number): RcuCookie {
    return { arena: this.arena.id, rcu: this.address, normal, expedited };
  }

  #isReached({ normal, expedited }: RcuCookie): boolean {
    const { thread, readers } = this;
    return isOver(thread, readers.domain, NORMAL, normal) || isOver(thread, readers.domain, EXPEDITED, expedited);
  }

  #check(cookie: RcuCookie): void {
    const { thread, address, arena } = this;
    if (cookie?.rcu !== address || cookie.arena !== arena.id) {
      throw new HoldfastError('EINVAL', `expected a cookie of the ${this.label}, received ${shownCookie(cookie)}`);
    }
    const isLater = ({ period }: Pace, end: number) =>
      !Number.isSafeInteger(end) ||
      end > endAfter(readSequence(thread, address, period === NORMAL.period ? NORMAL : EXPEDITED));
    if (isLater(NORMAL, cookie.normal) || isLater(EXPEDITED, cookie.expedited)) {
      throw new HoldfastError('EINVAL', `the ${this.label} has given no such cookie: ${shownCookie(cookie)}`);
    }
  }

  #insideReader(): HoldfastError {
    return new HoldfastError(
      'EDEADLK',
      `this thread is inside a reader of the ${this.label}: it would wait for itself`,
    );
  }

  protected override get obstacle(): string {
    const inside = threadsInside(this.cpu, this.readers.domain);
    return inside.length === 0
      ? 'nobody reads any more'
      : `inside readers: ${inside.map((number) => `thread ${number}`).join(', ')}`;
  }
}

function shownCookie(cookie: RcuCookie): string {
  if (typeof cookie?.normal !== 'number') return shown(cookie);
  return `one of domain ${shown(cookie.rcu)}: ${shown(cookie.normal)}, ${shown(cookie.expedited)}`;
}
