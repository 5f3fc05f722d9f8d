/**
 * PercpuRef: references that threads take and give back without a shared write, until the object is to go; kernel
 * lib/percpu-refcount.c.
 *
 *   state (generation, phase) | a line for each thread: the references that it holds
 *
 *   phase       what a thread does to its own line
 *   LIVE        plain stores, in a reader of QSBR in which it has seen LIVE
 *   KILLED      atomics; some thread may still be in such a reader
 *   CONFIRMED   atomics; none is. A line that is 0 stays 0, so the references are gone for good when all lines are 0
 *   CLOSED      nothing: destroyed
 *
 *   kill     LIVE -> KILLED
 *   confirm  a grace period that began after that, then KILLED -> CONFIRMED, by whichever thread waited for one
 *   reinit   CONFIRMED -> LIVE of the next generation, when all lines are 0
 *   destroy  CONFIRMED -> CLOSED, when all lines are 0
 *
 * A confirmer of an older generation finds another state than the one that it waited for. A waiter that finds another
 * generation is done: its own was drained, and `reinit` came before the waiter had woken up. In the phases after LIVE the last
 * reference of a thread is given back by a full atomic, and then the queue is looked at; a waiter joins the queue, and then
 * looks at the lines.
 *
 * Death: a line is one word, and belongs to one thread. The reaper sets it to 0, and all waiters look again.
 */
import type { Arena } from '../arena/arena.ts';
import { type ObjectHandle, SharedObject } from '../arena/shared-object.ts';
import { HoldfastError } from '../errors.ts';
import {
  type Outcome,
  repair as repairQueue,
  SHARED,
  WaitQueueWords,
  waitUntil,
  wakeUp,
} from '../locking/wait-queue-core.ts';
import type { Cpu } from '../machine/cpu.ts';
import { defineKind } from '../memory/kinds.ts';
import type { Repairer } from '../memory/repairer.ts';
import { inLines, LINE_WORDS, struct } from '../memory/struct.ts';
import {
  ABORTABLE_OPTIONS,
  type AbortableOptions,
  abortReason,
  block,
  blockAsync,
  checkOptions,
  deadlineOf,
  type WaitOptions,
} from '../sched/drive.ts';
import { maxThreads } from '../sched/slot.ts';
import { RcuQsbr } from './rcu-qsbr.ts';

const HEAD = struct({ queue: WaitQueueWords, state: 1 });
const Words = struct({ queue: WaitQueueWords, state: 1, pad: inLines(HEAD.words) - HEAD.words });

/** Phases, in the last two bits of the state. */
const LIVE = 0;
const KILLED = 1;
const CONFIRMED = 2;
const CLOSED = 3;
const PHASE = 3;
const GENERATION = 4;

function lineOf(ref: number, number: number): number {
  return ref + Words.words + number * LINE_WORDS;
}

function areAllBack(cpu: Cpu, ref: number): boolean {
  // Acquire: pairs with the `fetchSub` in `put`. A thread that finds no reference left has seen all uses end.
  for (let number = 0; number < maxThreads(cpu); number++) {
    if (cpu.loadAcquire(lineOf(ref, number)) !== 0) return false;
  }
  return true;
}

const KIND = defineKind<Repairer>({
  name: 'percpu-ref',
  words: Words,
  trailing: (cpu) => maxThreads(cpu) * LINE_WORDS,
  format: () => {},
  holder: () => 0,
  isHeldBy: (cpu, ref, id) => cpu.load(lineOf(ref, id - 1)) > 0,
  isBusy: (cpu, ref) => !areAllBack(cpu, ref),
  close(cpu, ref) {
    const state = cpu.load(ref + Words.state);
    if ((state & PHASE) === CLOSED) return true;
    // While they are live a thread may have a reference that is in no line yet.
    if ((state & PHASE) !== CONFIRMED || !areAllBack(cpu, ref)) return false;
    return cpu.cmpxchg(ref + Words.state, state, state | CLOSED) === state;
  },
  repair(repairer, ref) {
    const { cpu, threads, isDead } = repairer;
    if (!repairQueue(repairer, ref)) return false;
    for (let number = 0; number < threads; number++) if (isDead(number + 1)) cpu.store(lineOf(ref, number), 0);
    return true;
  },
});

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
  readonly #line: number;

  /** Opens the references of that name, making them, live, if there are none, or those of a handle; with neither, new ones. */
  constructor(arena: Arena, which?: string | ObjectHandle) {
    super(KIND, arena, which);
    this.#cpu = this.thread.cpu;
    this.#qsbr = new RcuQsbr(arena);
    this.#state = this.address + Words.state;
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
    const live = this.#cpu.load(this.#state);
    return (live & PHASE) === LIVE && this.#cpu.cmpxchg(this.#state, live, live + KILLED) === live;
  }

  /**
   * Waits until no `tryGet` of any thread succeeds any more, blocking the thread: a grace period of `RcuQsbr`. Throws EINVAL
   * before `kill`, ETIMEDOUT, EDEADLK inside a reader of `RcuQsbr`.
   */
  confirm(options?: WaitOptions): void {
    const killed = this.#killed();
    checkOptions(options);
    if ((killed & PHASE) === CONFIRMED) return;
    this.#qsbr.synchronize(options);
    this.#cpu.cmpxchg(this.#state, killed, killed - KILLED + CONFIRMED);
  }

  /** `confirm` without blocking the event loop. */
  async confirmAsync(options?: AbortableOptions): Promise<void> {
    const killed = this.#killed();
    checkOptions(options, ABORTABLE_OPTIONS);
    if ((killed & PHASE) === CONFIRMED) return;
    await this.#qsbr.synchronizeAsync(options);
    this.current();
    this.#cpu.cmpxchg(this.#state, killed, killed - KILLED + CONFIRMED);
  }

  /**
   * Waits until no thread has a reference any more that was taken before the last `kill`, blocking the thread. Throws EINVAL
   * before `kill`, EDEADLK when this thread has references itself, ETIMEDOUT.
   */
  drain(options?: WaitOptions): void {
    const { thread } = this;
    const deadline = deadlineOf(this.#cpu, options?.timeout);
    const killed = this.#killed();
    if (this.held > 0) throw new HoldfastError('EDEADLK', `this thread has references of the ${this.label} itself`);
    this.confirm(options);
    const outcome = block(
      thread,
      options && { ...options, ...this.#left(options, deadline) },
      (waiter) => waitUntil(this.address, SHARED, () => this.#wasDrained(killed), waiter),
      this,
    );
    this.#check(outcome, options);
  }

  /** `drain` without blocking the event loop. This thread may have references, which its other tasks give back. */
  async drainAsync(options?: AbortableOptions): Promise<void> {
    const { thread, arena } = this;
    const deadline = deadlineOf(this.#cpu, options?.timeout);
    const killed = this.#killed();
    await this.confirmAsync(options);
    const left = options && { ...options, ...this.#left(options, deadline) };
    const { outcome, task, asked } = await blockAsync(
      thread,
      arena.heap,
      left,
      (waiter) => waitUntil(this.address, SHARED, () => this.#wasDrained(killed), waiter),
      this,
    );
    thread.returnTask(task);
    if (outcome === 'aborted') throw abortReason(asked.signal);
    this.#check(outcome, options);
  }

  /** Live again. Throws EBUSY unless they were killed, and are drained. `percpu_ref_reinit`. */
  reinit(): void {
    this.current();
    const confirmed = this.#cpu.load(this.#state);
    const next = (confirmed - CONFIRMED + GENERATION) | 0;
    if (!this.isDrained || this.#cpu.cmpxchg(this.#state, confirmed, next) !== confirmed) {
      throw this.#notDrained();
    }
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
    return (this.living.load(this.#state) & PHASE) !== LIVE;
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
    const isLive = (cpu.load(this.#state) & PHASE) === LIVE;
    if (isLive) cpu.storeUnordered(this.#line, cpu.loadUnordered(this.#line) + difference);
    this.#qsbr.readUnlock();
    return isLive;
  }

  #notDrained(): HoldfastError {
    return new HoldfastError('EBUSY', `the ${this.label} is not drained: kill() and drain() come first`);
  }

  #killed(): number {
    this.current();
    const state = this.#cpu.load(this.#state);
    if ((state & PHASE) === LIVE) throw new HoldfastError('EINVAL', `the ${this.label} is live: kill() comes first`);
    return state;
  }

  #left(options: { timeout?: number | undefined }, deadline: number): { timeout?: number } {
    return options.timeout === undefined ? {} : { timeout: Math.max(deadline - this.#cpu.now(), 0) / 1e6 };
  }

  #check(outcome: Outcome, options: WaitOptions | AbortableOptions | undefined): void {
    if (outcome === 'done') return;
    const numbers = Array.from({ length: maxThreads(this.#cpu) }, (_, number) => number);
    const holders = numbers.filter((number) => this.#cpu.load(lineOf(this.address, number)) > 0);
    throw this.notInTime(options, `references of ${holders.map((number) => `thread ${number}`).join(', ')}`);
  }

  protected override get shown(): string {
    return `PercpuRef(${this.name ?? this.address}, ${this.isDying ? 'killed' : 'live'})`;
  }
}
