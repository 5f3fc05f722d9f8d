import type { Arena } from '../arena/arena.ts';
import { type ObjectHandle, SharedObject } from '../arena/shared-object.ts';
import { report } from '../arena/spawn.ts';
import { HoldfastError, shown } from '../errors.ts';
import type { Kind } from '../memory/kinds.ts';
import { latch, unlatch } from '../memory/latch.ts';
import { ObjectHeader } from '../memory/objects.ts';
import {
  ABORTABLE_OPTIONS,
  type AbortableOptions,
  block,
  blockAsync,
  type Limits,
  limitsOf,
  type WaitOptions,
} from '../sched/drive.ts';
import type { Waiter } from '../sched/slow-path.ts';
import { defineTimerAction, TIMER_KIND, TimerWords } from '../sched/timer.ts';
import { currentItem } from './context.ts';

import { Item, LISTED, Pwq, RUNNING, twinAt, WorkWords, Wq } from './layout.ts';
import { WORK_KIND } from './objects.ts';
import { queuerOf } from './pools.ts';
import { awaitReaders } from './rcu-work.ts';
import { itemsHeldIn } from './runner.ts';
import { awaitsReaders, latchOf, pendingTwin, runnerOf, twinIn } from './twins.ts';
import { addressOf, type WorkFunction } from './work.ts';
import { encodeArguments } from './work-arguments.ts';
import { cancelWork, expireWork, waitForWork } from './work-core.ts';

/** What a work is at; out of date as soon as it is read. `work_busy`. */
export interface WorkBusy {
  /** It is queued, or waits for its timer. */
  readonly pending: boolean;
  readonly running: boolean;
}

/**
 * Something to be done, in shared memory, that any thread can queue again and again: `work_struct`. It is a function that its
 * module has declared with `work`, and its arguments, for good. `Workqueue.queueWork` queues it, once until it begins: a
 * thousand threads that find something to do make one run. It never runs on two workers at once: queued while it runs, it runs
 * again when that is over, on whatever queue.
 *
 * It returns nothing to nobody: an error of its function goes to the standard error stream, and is counted in `failures`.
 *
 * Death: of whoever queued it, changes nothing. When a worker dies in it, it counts as over, and as a failure; flushes
 * return. What a dead thread has disabled stays so.
 *
 * Source: include/linux/workqueue.h, kernel/workqueue.c.
 */
export class Work<F extends WorkFunction = WorkFunction> extends SharedObject {
  /**
   * Opens the work of that name, making it if there is none, or that of a handle; with neither, a new one. The call that
   * makes it says with what arguments. Throws EINVAL for a function that is no work or not the one that it has, and for arguments that
   * can't be cloned; ENOMEM.
   */
  constructor(arena: Arena, which: string | ObjectHandle | undefined, run?: F, ...args: Parameters<F> | []) {
    super(kindOf(arena, which, run, args), arena, which);
    const fn = arena.cpu.read(this.address + WorkWords.fn);
    if (run !== undefined && fn !== addressOf(arena, run)) {
      throw new HoldfastError('EINVAL', `the ${this.label} is there, with another function than ${shown(run)}`);
    }
  }

  static from(arena: Arena, handle: ObjectHandle): Work {
    return new Work(arena, handle);
  }

  /**
   * Waits until nothing of it is queued or runs that was queued before, blocking the thread. False when there was nothing. A
   * timer is not waited for. Throws ETIMEDOUT; EDEADLK where this thread runs or awaits it, and where it waits for `maxActive` behind
   * nothing but what this thread runs or awaits. `flush_work`.
   */
  flushWork(options?: WaitOptions): boolean {
    const limits = this.#check(options);
    this.#checkFlush(false);
    return this.#wait(limits) === 'over';
  }

  /** `flushWork` that never blocks the event loop. Throws EDEADLK in its own function, and in an item of the same ordered queue. */
  async flushWorkAsync(options?: AbortableOptions): Promise<boolean> {
    const limits = this.#check(options, ABORTABLE_OPTIONS);
    this.#checkFlush(true);
    return (await this.#waitAsync(limits)) === 'over';
  }

  /** Takes it from its queue, or its timer: it does not run. False when it was not pending. It may run still. `cancel_work`. */
  cancelWork(): boolean {
    this.current();
    return this.change(() => cancelWork(queuerOf(this.arena), this.address));
  }

  /**
   * `cancelWork`, and waits until it does not run, blocking the thread; nobody can queue it meanwhile. Throws ETIMEDOUT, with
   * it cancelled; EDEADLK where this thread runs or awaits it. `cancel_work_sync`.
   */
  cancelWorkSync(options?: WaitOptions): boolean {
    const limits = this.#check(options);
    this.#checkRunner(false);
    let wasPending = false;
    this.#wait(limits, () => {
      wasPending = this.cancelWork();
    });
    return wasPending;
  }

  /** `cancelWorkSync` that never blocks the event loop. */
  async cancelWorkAsync(options?: AbortableOptions): Promise<boolean> {
    const limits = this.#check(options, ABORTABLE_OPTIONS);
    this.#checkRunner(true);
    let wasPending = false;
    await this.#waitAsync(limits, () => {
      wasPending = this.cancelWork();
    });
    return wasPending;
  }

  /** `cancelWork`; and nobody can queue it until `enableWork` has been called as often. `disable_work`. */
  disableWork(): boolean {
    this.current();
    this.#disable(1);
    return this.cancelWork();
  }

  /** `disableWork`, and waits until it does not run, as `cancelWorkSync` does. `disable_work_sync`. */
  disableWorkSync(options?: WaitOptions): boolean {
    const limits = this.#check(options);
    this.#checkRunner(false);
    const wasPending = this.disableWork();
    this.#wait(limits);
    return wasPending;
  }

  /** `disableWorkSync` that never blocks the event loop. */
  async disableWorkAsync(options?: AbortableOptions): Promise<boolean> {
    const limits = this.#check(options, ABORTABLE_OPTIONS);
    this.#checkRunner(true);
    const wasPending = this.disableWork();
    await this.#waitAsync(limits);
    return wasPending;
  }

  /**
   * Takes back one `disableWork`. True when it can be queued again; what was refused meanwhile is not made up for. Throws EINVAL when
   * it is not disabled. `enable_work`.
   */
  enableWork(): boolean {
    this.current();
    return this.#disable(-1) === 0;
  }

  /** Whether it is pending, and whether it runs. `work_busy`. */
  get workBusy(): WorkBusy {
    const cpu = this.living;
    return { pending: pendingTwin(cpu, this.address) !== 0, running: twinIn(cpu, this.address, RUNNING) !== 0 };
  }

  /** How often it has been disabled, and not enabled since. */
  get disabled(): number {
    return this.living.load(this.address + WorkWords.disabled);
  }

  /** How often it has come to an end, whether well or not. A worker that is killed right there may leave it uncounted. */
  get runs(): number {
    return this.living.load(this.address + WorkWords.runs) >>> 0;
  }

  /** How often its function has thrown, or its worker died in it. */
  get failures(): number {
    return this.living.load(this.address + WorkWords.failures) >>> 0;
  }

  /** @internal `body` changes the work, which cannot be destroyed meanwhile. */
  change<Result>(body: () => Result): Result {
    let result: Result | undefined;
    this.changing(() => {
      result = body();
    });
    return result as Result;
  }

  protected override get shown(): string {
    const { pending, running } = this.workBusy;
    const state = `${pending ? 'pending' : 'not pending'}, ${running ? 'running' : 'not running'}`;
    return `${this.constructor.name}(${this.name ?? this.address}, ${state})`;
  }

  protected override get obstacle(): string {
    return 'it is under way';
  }

  #wait(limits: Limits, cancel?: () => void): 'idle' | 'over' {
    return block(this.thread, limits, (waiter) => waitForWork(waiter, this.address, cancel), this);
  }

  async #waitAsync(limits: Limits, cancel?: () => void): Promise<'idle' | 'over'> {
    const { thread, arena, address } = this;
    const path = (waiter: Waiter) => waitForWork(waiter, address, cancel);
    const { outcome, task } = await blockAsync(thread, arena.heap, limits, path, this);
    thread.returnTask(task);
    return outcome;
  }

  #check(options: (AbortableOptions & WaitOptions) | undefined, known?: readonly string[]): Limits {
    this.current();
    return limitsOf(this.thread.cpu, options, known);
  }

  #disable(by: number): number {
    const { cpu, id } = this.thread;
    const { address } = this;
    const depth = this.change(() => {
      latch(cpu, latchOf(address), id);
      const next = cpu.load(address + WorkWords.disabled) + by;
      if (next >= 0) cpu.store(address + WorkWords.disabled, next);
      unlatch(cpu, latchOf(address));
      return next;
    });
    if (depth < 0) throw new HoldfastError('EINVAL', `the ${this.label} is not disabled`);
    return depth;
  }

  /** Throws EDEADLK where its end can't come before the caller's. */
  #checkFlush(isAsync: boolean): void {
    this.#checkRunner(isAsync);
    const { cpu } = this.arena;
    const twin = twinIn(cpu, this.address, LISTED);
    if (twin === 0) return;
    const pwq = cpu.load(twin + Item.pwq);
    const item = currentItem(this.arena);
    const ahead = !isAsync ? itemsHeldIn(this.arena, pwq) : item !== 0 && cpu.load(item + Item.pwq) === pwq ? 1 : 0;
    if (ahead < cpu.load(cpu.read(pwq + Pwq.workqueue) + Wq.savedMaxActive)) return;
    throw this.#deadlock('is queued behind the work that flushes it');
  }

  #checkRunner(isAsync: boolean): void {
    const { cpu, thread } = this.arena;
    const item = currentItem(this.arena);
    const isOwn = item === twinAt(this.address, 0) || item === twinAt(this.address, 1);
    if (isOwn || (!isAsync && runnerOf(cpu, this.address) === thread.id)) {
      throw this.#deadlock('runs in this very thread, or is awaited there');
    }
  }

  #deadlock(why: string): HoldfastError {
    return new HoldfastError('EDEADLK', `the ${this.label} ${why}: waiting for it would never end`);
  }
}

/**
 * A work that can be queued in some time: `delayed_work`. Its timer is the arena's (`Timer`): it expires whatever becomes of the
 * thread that started it.
 */
export class DelayedWork<F extends WorkFunction = WorkFunction> extends Work<F> {
  constructor(arena: Arena, which: string | ObjectHandle | undefined, run?: F, ...args: Parameters<F> | []) {
    super(arena, which, run, ...args);
    const { cpu } = arena;
    const word = this.address + WorkWords.timer;
    if (cpu.load(word) !== 0) return;
    const timer = makeTimer(arena, this.address);
    if (cpu.cmpxchg(word, 0, timer) !== 0) arena.heap.free(timer);
  }

  static override from(arena: Arena, handle: ObjectHandle): DelayedWork {
    return new DelayedWork(arena, handle);
  }

  /** `flushWork` that also waits for what waits for its timer: that is queued now. `flush_delayed_work`. */
  flushDelayedWork(options?: WaitOptions): boolean {
    this.current();
    expedite(this);
    return this.flushWork(options);
  }

  /** `flushDelayedWork` that never blocks the event loop. */
  async flushDelayedWorkAsync(options?: AbortableOptions): Promise<boolean> {
    this.current();
    expedite(this);
    return this.flushWorkAsync(options);
  }
}

const EXPIRE = defineTimerAction<Arena>('workqueue/expire', expire);

/** @internal A work that waits for its timer is queued now. */
export function expedite(work: DelayedWork): void {
  work.change(() => expire(work.arena, work.address, 0));
}

function expire(arena: Arena, work: number, timer: number): void {
  if (timer !== 0 && awaitsReaders(arena.cpu, work)) {
    // It is there: its timer is active.
    const view = new Work(arena, handleOf(arena, work));
    awaitReaders(arena, work, timer, (number) => {
      view.change(() => tellDropped(arena, work, expireWork(queuerOf(arena), work, 0, number)));
    });
    return;
  }
  tellDropped(arena, work, expireWork(queuerOf(arena), work, timer));
}

function handleOf({ cpu, id }: Arena, work: number): ObjectHandle {
  return { type: `holdfast.${WORK_KIND.name}`, arena: id, address: work, serial: cpu.read(work + ObjectHeader.serial) };
}

function tellDropped(arena: Arena, work: number, outcome: 'queued' | 'dropped' | 'not'): void {
  if (outcome !== 'dropped') return;
  // The kernel warns as well, and forgets it.
  report(`the ${arena.objects.labelOf(work)} was to be queued, and its workqueue is closed: it does not run`);
}

/** It goes with the work: `WORK_KIND.release`. */
function makeTimer(arena: Arena, work: number): number {
  return arena.objects.create({
    ...TIMER_KIND,
    format(cpu, timer) {
      cpu.store(timer + TimerWords.action, EXPIRE);
      cpu.store(timer + TimerWords.data, work);
    },
  } as Kind);
}

/** The kind of a work that is made with that function and those arguments. */
function kindOf(
  arena: Arena,
  which: string | ObjectHandle | undefined,
  run: WorkFunction | undefined,
  args: readonly unknown[],
): Kind {
  if (typeof which === 'object' || typeof arena?.thread?.current !== 'function') return WORK_KIND;
  arena.thread.current();
  const fn = addressOf(arena, run as WorkFunction);
  const encoded = encodeArguments(args);
  return {
    ...WORK_KIND,
    words: WorkWords.words + encoded.words,
    format(cpu, work) {
      cpu.write(work + WorkWords.fn, fn);
      encoded.write(cpu, work);
      for (const twin of [twinAt(work, 0), twinAt(work, 1)]) {
        cpu.write(twin + Item.index, work);
        cpu.write(twin + Item.fn, fn);
      }
    },
  } as Kind;
}
