import type { Arena } from '../arena/arena.ts';
import { type ObjectHandle, SharedObject } from '../arena/shared-object.ts';
import { HoldfastError } from '../errors.ts';
import { type Outcome, SHARED, waitUntil, wakeUp } from '../locking/wait-queue-core.ts';
import type { Cpu } from '../machine/cpu.ts';
import {
  ABORTABLE_OPTIONS,
  type AbortableOptions,
  block,
  blockAsync,
  limitsOf,
  type WaitOptions,
} from '../sched/drive.ts';
import { maxThreads } from '../sched/slot.ts';
import type { SlowPath, Waiter } from '../sched/slow-path.ts';
import {
  ATOMIC,
  addAtomically,
  areAllBack,
  CONFIRMED,
  GENERATION,
  isLiveIn,
  KILLED,
  KIND,
  LIVE,
  lineOf,
  PHASE,
  SWITCHING,
  Words,
  wereNone,
  withPhase,
} from './percpu-ref-core.ts';
import { RcuQsbr } from './rcu-qsbr.ts';

/**
 * Counts the uses of something that is to go some day, such as a connection pool or a version of a configuration. While it is
 * live, a thread counts on a line of its own, by plain stores inside readers of `RcuQsbr`: threads do not slow each other down.
 * Once it was killed, references are counted by atomics, and `drain` waits for the last one.
 *
 * A reference belongs to the thread that took it, and to no reader or task of it: it may be held across `await`. References
 * of a thread that dies are given back. With references a thread does not detach (EBUSY).
 *
 *     if (pool.tryGet()) try { await query(); } finally { pool.put(); }
 *     pool.kill(); await pool.drainAsync();      // no query is under way, and none begins
 *
 * Fairness: only `drain` waits; all its callers go on together. Source: kernel lib/percpu-refcount.c.
 */
export class PercpuRef extends SharedObject {
  readonly #cpu: Cpu;
  readonly #qsbr: RcuQsbr;
  readonly #state: number;
  readonly #taken: number;
  readonly #line: number;

  /** Opens the references of that name, making them, live, if there are none, or those of a handle; with neither, new ones. */
  constructor(arena: Arena, which?: string | ObjectHandle) {
    super(KIND, arena, which);
    this.#cpu = this.thread.cpu;
    this.#qsbr = new RcuQsbr(arena);
    this.#state = this.address + Words.state;
    this.#taken = this.address + Words.taken;
    this.#line = lineOf(this.address, this.thread.number);
  }

  static from(arena: Arena, handle: ObjectHandle): PercpuRef {
    return new PercpuRef(arena, handle);
  }

  /** Takes a reference, unless they were killed: then false. `percpu_ref_tryget_live`. Throws EINVAL after `arena.detach()`. */
  tryGet(): boolean {
    this.thread.current();
    if (this.#addWhileLive(1)) return true;
    // What is destroyed is not live either.
    this.checkThere();
    return false;
  }

  /**
   * One more reference for a thread that has one, or while they are live. `percpu_ref_get`. Throws EPERM for another thread,
   * and EINVAL after `arena.detach()`.
   */
  get(): void {
    if (this.tryGet()) return;
    if (this.held === 0) {
      throw new HoldfastError('EPERM', `get() of the ${this.label}, which was killed, on a thread without a reference`);
    }
    this.#cpu.fetchAdd(this.#line, 1);
  }

  /** Gives a reference of this thread back. `percpu_ref_put`. Throws EPERM when it has none. */
  put(): void {
    this.thread.current();
    if (this.#cpu.loadUnordered(this.#line) === 0) {
      throw new HoldfastError('EPERM', `this thread has no reference of the ${this.label}`);
    }
    if (this.#addWhileLive(-1)) return;
    if (this.#cpu.fetchSub(this.#line, 1) === 1) wakeUp(this.thread, this.address, 0);
  }

  /** From here on `tryGet` is refused, on other threads a moment later: see `confirm`. False when that was so already. */
  kill(): boolean {
    this.current();
    for (let live = this.#cpu.load(this.#state); isLiveIn(live); ) {
      const seen = this.#cpu.cmpxchg(this.#state, live, withPhase(live, KILLED));
      if (seen === live) return true;
      live = seen;
    }
    return false;
  }

  /**
   * Waits until no `tryGet` of any thread succeeds any more, blocking the thread: a grace period of `RcuQsbr`. Throws EINVAL
   * before `kill`, ETIMEDOUT, EDEADLK inside a reader of `RcuQsbr`.
   */
  confirm(options?: WaitOptions): void {
    const killed = this.#killed();
    limitsOf(this.#cpu, options);
    if ((killed & PHASE) === CONFIRMED) return;
    this.#qsbr.synchronize(options);
    this.#cpu.cmpxchg(this.#state, killed, withPhase(killed, CONFIRMED));
  }

  /** `confirm` without blocking the event loop. */
  async confirmAsync(options?: AbortableOptions): Promise<void> {
    const killed = this.#killed();
    limitsOf(this.#cpu, options, ABORTABLE_OPTIONS);
    if ((killed & PHASE) === CONFIRMED) return;
    await this.#qsbr.synchronizeAsync(options);
    this.current();
    this.#cpu.cmpxchg(this.#state, killed, withPhase(killed, CONFIRMED));
  }

  /**
   * Waits until no thread has a reference any more that was taken before the last `kill`, blocking the thread. Throws EINVAL
   * before `kill`, EDEADLK when this thread has references itself, ETIMEDOUT.
   */
  drain(options?: WaitOptions): void {
    const { thread } = this;
    const limits = limitsOf(this.#cpu, options);
    const killed = this.#killed();
    if (this.held > 0) throw new HoldfastError('EDEADLK', `this thread has references of the ${this.label} itself`);
    this.confirm(options);
    block(thread, limits, (waiter) => this.#untilDrained(killed, waiter), this);
  }

  /** `drain` without blocking the event loop. This thread may have references, which its other tasks give back. */
  async drainAsync(options?: AbortableOptions): Promise<void> {
    const { thread, arena } = this;
    const limits = limitsOf(this.#cpu, options, ABORTABLE_OPTIONS);
    const killed = this.#killed();
    await this.confirmAsync(options);
    const path = (waiter: Waiter) => this.#untilDrained(killed, waiter);
    const { task } = await blockAsync(thread, arena.heap, limits, path, this);
    thread.returnTask(task);
  }

  /** Live again. Throws EBUSY unless they were killed, and are drained. `percpu_ref_reinit`. */
  reinit(): void {
    this.current();
    const confirmed = this.#cpu.load(this.#state);
    const next = (withPhase(confirmed, LIVE) + GENERATION) | 0;
    if (!this.isDrained || this.#cpu.cmpxchg(this.#state, confirmed, next) !== confirmed) {
      throw this.#notDrained();
    }
  }

  /**
   * Counts by atomics from here on, so that `isZero` can tell, and waits until all threads do: a grace period of `RcuQsbr`. Blocks
   * the thread. References can be taken all the while; each costs two atomics, one of them on a word of all threads.
   * `percpu_ref_switch_to_atomic_sync`. Throws EINVAL when they were killed, or meanwhile are, or are switched back; ETIMEDOUT,
   * EDEADLK inside a reader of `RcuQsbr`.
   */
  switchToAtomic(options?: WaitOptions): void {
    this.current();
    limitsOf(this.#cpu, options);
    const switching = this.#beginSwitch();
    if (switching === undefined) return;
    this.#qsbr.synchronize(options);
    this.#endSwitch(switching);
  }

  /** `switchToAtomic` without blocking the event loop. `percpu_ref_switch_to_atomic`, whose callback is this promise. */
  async switchToAtomicAsync(options?: AbortableOptions): Promise<void> {
    this.current();
    limitsOf(this.#cpu, options, ABORTABLE_OPTIONS);
    const switching = this.#beginSwitch();
    if (switching === undefined) return;
    await this.#qsbr.synchronizeAsync(options);
    this.current();
    this.#endSwitch(switching);
  }

  /** Counts by plain stores again. False when it did already, or they were killed. `percpu_ref_switch_to_percpu`. */
  switchToPercpu(): boolean {
    this.current();
    for (let state = this.#cpu.load(this.#state); isLiveIn(state) && (state & PHASE) !== LIVE; ) {
      const seen = this.#cpu.cmpxchg(this.#state, state, (withPhase(state, LIVE) + GENERATION) | 0);
      if (seen === state) return true;
      state = seen;
    }
    return false;
  }

  /** Whether references are live and counted by atomics, on all threads. */
  get isAtomic(): boolean {
    return (this.living.load(this.#state) & PHASE) === ATOMIC;
  }

  /**
   * Whether there was a moment during this call at which no thread had a reference. Soon out of date while references are live.
   * `percpu_ref_is_zero`. Throws EINVAL while they are counted by plain stores: `switchToAtomic`, or `kill` and `confirm`, first.
   */
  get isZero(): boolean {
    const state = this.living.load(this.#state);
    if ((state & PHASE) === CONFIRMED) return areAllBack(this.#cpu, this.address);
    const lines = Array.from({ length: maxThreads(this.#cpu) }, (_, number) => lineOf(this.address, number));
    const isZero = (state & PHASE) === ATOMIC && wereNone(this.#cpu, this.#taken, lines);
    // Nobody has gone back to plain stores, or the next generation would be there.
    if ((state & PHASE) === ATOMIC && this.#cpu.loadAcquire(this.#state) === state) return isZero;
    throw new HoldfastError(
      'EINVAL',
      `references of the ${this.label} are not counted by atomics: switchToAtomic() first`,
    );
  }

  /** Whether it was killed, and no thread has a reference. Stays so until `reinit`. */
  get isDrained(): boolean {
    return (this.living.loadAcquire(this.#state) & PHASE) === CONFIRMED && areAllBack(this.#cpu, this.address);
  }

  /** Whether the references that were killed then are drained, or were before a `reinit`. */
  #wasDrained(killed: number): boolean {
    // Acquire: pairs with the cmpxchg in `reinit`, whose caller has found no reference left.
    const state = this.#cpu.loadAcquire(this.#state);
    return (state & ~PHASE) !== (killed & ~PHASE) || this.isDrained;
  }

  /** Whether it was killed. `percpu_ref_is_dying`. */
  get isDying(): boolean {
    return !isLiveIn(this.living.load(this.#state));
  }

  /** References of this thread. */
  get held(): number {
    this.current();
    return this.#cpu.loadUnordered(this.#line);
  }

  /** Frees them, and their name. Throws EBUSY unless they were killed, and are drained. `percpu_ref_exit`. */
  override destroy(): void {
    if (!this.isDrained) throw this.#notDrained();
    super.destroy();
  }

  /** In a reader, which ends before the next phase is confirmed: adds to the line, unless the reader finds them killed. */
  #addWhileLive(difference: number): boolean {
    const cpu = this.#cpu;
    this.#qsbr.readLock();
    const phase = cpu.load(this.#state) & PHASE;
    if (phase === LIVE) cpu.storeUnordered(this.#line, cpu.loadUnordered(this.#line) + difference);
    else if (phase >= SWITCHING) addAtomically(cpu, { line: this.#line, taken: this.#taken }, difference);
    this.#qsbr.readUnlock();
    return phase === LIVE || phase >= SWITCHING;
  }

  /** The state that a grace period is to confirm; undefined where it is confirmed. */
  #beginSwitch(): number | undefined {
    for (let state = this.#cpu.load(this.#state); ; ) {
      if ((state & PHASE) === ATOMIC) return undefined;
      if (!isLiveIn(state)) throw this.#notLive();
      const switching = withPhase(state, SWITCHING);
      const seen = this.#cpu.cmpxchg(this.#state, state, switching);
      if (seen === state) return switching;
      state = seen;
    }
  }

  #endSwitch(switching: number): void {
    const atomic = withPhase(switching, ATOMIC);
    const seen = this.#cpu.cmpxchg(this.#state, switching, atomic);
    if (seen !== switching && seen !== atomic) throw this.#notLive();
  }

  #notLive(): HoldfastError {
    return new HoldfastError('EINVAL', `the ${this.label} was killed, or switched back meanwhile`);
  }

  #notDrained(): HoldfastError {
    return new HoldfastError('EBUSY', `the ${this.label} is not drained: kill() and drain() come first`);
  }

  #killed(): number {
    this.current();
    const state = this.#cpu.load(this.#state);
    if (isLiveIn(state)) throw new HoldfastError('EINVAL', `the ${this.label} is live: kill() comes first`);
    return state;
  }

  #untilDrained(killed: number, waiter: Waiter): SlowPath<Outcome> {
    return waitUntil(this.address, SHARED, () => this.#wasDrained(killed), waiter);
  }

  protected override get obstacle(): string {
    const numbers = Array.from({ length: maxThreads(this.#cpu) }, (_, number) => number);
    const holders = numbers.filter((number) => this.#cpu.load(lineOf(this.address, number)) > 0);
    return `references of ${holders.map((number) => `thread ${number}`).join(', ')}`;
  }

  protected override get shown(): string {
    return `PercpuRef(${this.name ?? this.address}, ${this.isDying ? 'killed' : 'live'})`;
  }
}
