import { inspect } from 'node:util';
import type { Arena } from '../arena/arena.ts';
import { checkOptionNames, HoldfastError, shown } from '../errors.ts';
import { abortReason, checkOptions, deadlineOf } from '../sched/drive.ts';
import { DETACHED } from '../sched/thread.ts';
import { isInWorkOf } from './context.ts';
import { localSlot, runsItemOf } from './kworker.ts';
import { CLOSED, DRAINER_SHIFT, DRAINING, MOST_WORKERS, OPEN, Pwq, pwqAt, Wq } from './layout.ts';
import { isDraining, MAX_AWAITED, MAX_WORKERS, openPool, openRoot, openWq } from './objects.ts';
import { type Call, type Submitter, submitterOf } from './submitter.ts';
import type { WorkFunction } from './work.ts';

export interface WorkqueueOptions {
  /**
   * Items that run, or are awaited, at once: of an unbound queue all in all, of a bound one in each slot. 1 to 2048; what
   * is out of range is clamped, with a warning. @default 1024
   */
  maxActive?: number | undefined;
  /** Whether any worker runs the items, instead of those of the slot that they were queued in. @default true */
  unbound?: boolean | undefined;
  /** Whether the items go to workers of their own, with a nice of -20 where the system allows it. @default false */
  highpri?: boolean | undefined;
  /** Whether the items run one after the other, in the order in which they were queued: unbound, maxActive 1. @default false */
  ordered?: boolean | undefined;
}

/** Options of a single call. */
export interface RunOptions {
  /** The call rejects with its reason when it aborts. It does not run, if it has not begun; else its function is told. */
  signal?: AbortSignal | undefined;
  /** Reject with ETIMEDOUT after so many milliseconds, as an abort does. */
  timeout?: number | undefined;
  /** The slot whose workers run it, of a bound queue: `queue_work_on`. @default the calling thread's */
  slot?: number | undefined;
}

/** What a workqueue has in all its pools; out of date as soon as it is read. */
export interface WorkqueueCounts {
  /** Items that run, are awaited, or are next. */
  active: number;
  /** Items that wait for `maxActive`. */
  inactive: number;
  /** Items that have ended since the queue was made. */
  ended: number;
}

/** What is the same for all workqueues of an arena. */
export interface WorkqueueConfiguration {
  /** Slots: workers that run at once in the unbound pools; and as many pools with one worker each. @default the cores */
  slots?: number | undefined;
  /** Threads in each pool at most, 1 to 64. @default 16 */
  maxWorkers?: number | undefined;
  /** Items that each worker may await at once. @default 1024 */
  maxAwaited?: number | undefined;
}

/** The kernel's WQ_MAX_ACTIVE and WQ_DFL_ACTIVE, since 6.13. */
const MAX_ACTIVE = 2048;
const DEFAULT_ACTIVE = 1024;

const UNBOUND = 1 << 1;
const HIGHPRI = 1 << 4;
const ORDERED = 1 << 17;

/**
 * A queue of calls that worker threads run: a concurrency-managed workqueue, as in the kernel. All queues of an arena share
 * its worker threads, which it starts and ends by itself: as many run at once as there are slots, and when one goes to sleep
 * in a lock, futex or wait of this library, another takes its place.
 *
 * Any thread of the arena queues to any queue, by its name. Items of one queue begin in the order in which they were
 * queued; those of one microtask are queued at its end. Which of two queues that share a pool comes first is the order of their items.
 *
 * Source: kernel/workqueue.c, alloc_workqueue.
 */
export class Workqueue {
  readonly name: string;
  readonly #arena: Arena;
  readonly #wq: number;
  readonly #pwqs: readonly number[];
  readonly #submitter: Submitter;
  readonly #isOrdered: boolean;

  /**
   * Opens the queue of that name, making it if there is none; one that was closed is open again. Throws EINVAL for
   * options that are none, and where the queue is there already and bound, high priority or ordered otherwise; ENOMEM.
   */
  constructor(arena: Arena, name: string, options: WorkqueueOptions = {}) {
    if (typeof arena?.thread?.current !== 'function') {
      throw new HoldfastError('EINVAL', `a workqueue lives in an Arena, received ${shown(arena)}`);
    }
    arena.thread.current();
    const { flags, maxActive } = checkWorkqueueOptions(options);
    if (typeof name !== 'string' || name === '') {
      throw new HoldfastError('EINVAL', `a workqueue has a name, received ${shown(name)}`);
    }
    const root = openRoot(arena);
    const slots = flags & UNBOUND ? [-1] : Array.from({ length: root.slots }, (_, slot) => slot);
    const pools = slots.map((slot) => openPool(arena, root, slot, (flags & HIGHPRI) !== 0));
    const { cpu } = arena;
    this.#arena = arena;
    this.name = name;
    this.#wq = openWq(arena, `wq/${name}`, flags, maxActive, pools);
    if (cpu.read(this.#wq + Wq.flags) !== flags) {
      throw new HoldfastError(
        'EINVAL',
        `the workqueue ${shown(name)} is there, and is ${flagsShown(cpu.read(this.#wq + Wq.flags))}`,
      );
    }
    this.#pwqs = pools.map((_, i) => pwqAt(this.#wq, i));
    this.#submitter = submitterOf(arena);
    this.#isOrdered = (flags & ORDERED) !== 0;
    if (cpu.cmpxchg(this.#wq + Wq.state, CLOSED, OPEN) === CLOSED && !this.#isOrdered) this.setMaxActive(maxActive);
  }

  /**
   * What is the same for all workqueues of the arena: to be called before the first of them is made. Throws EINVAL for
   * values that are none, EBUSY when others hold already.
   */
  static configure(arena: Arena, configuration: WorkqueueConfiguration): void {
    arena.thread.current();
    checkOptionNames(configuration, ['slots', 'maxWorkers', 'maxAwaited']);
    const { slots, maxWorkers = MAX_WORKERS, maxAwaited = MAX_AWAITED } = configuration;
    checkCount('slots', slots ?? 1, 64);
    checkCount('maxWorkers', maxWorkers, MOST_WORKERS);
    checkCount('maxAwaited', maxAwaited, 2 ** 20);
    const root = openRoot(arena, { ...(slots === undefined ? {} : { slots }), maxWorkers, maxAwaited });
    const isSame = slots === undefined || root.slots === slots;
    if (isSame && root.maxWorkers === maxWorkers && root.maxAwaited === maxAwaited) return;
    throw new HoldfastError('EBUSY', `workqueues of this arena have been made, with ${JSON.stringify(root)}`);
  }

  /**
   * Calls `run`, a function that its module has declared with `work`, on a worker thread, and resolves to what it returns
   * or what a promise of it brings. Rejects with what it throws, with the worker's stack; with EOWNERDEAD when the worker dies in
   * it; and, with nothing queued, EINVAL for a function that is no work, for arguments that can't be cloned, for a closed queue,
   * ENOMEM when the arena has no room for them.
   */
  run<F extends WorkFunction>(run: F, ...args: Parameters<F>): Promise<Awaited<ReturnType<F>>> {
    try {
      return this.#submit(this.#localPwq(), run, args).promise as Promise<Awaited<ReturnType<F>>>;
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /** `run` with a signal, a timeout, or a slot: `runWith({ timeout: 50 }, resize, path)`. */
  runWith<F extends WorkFunction>(
    options: RunOptions,
    run: F,
    ...args: Parameters<F>
  ): Promise<Awaited<ReturnType<F>>> {
    try {
      checkOptions(options, ['signal', 'timeout', 'slot']);
      deadlineOf(this.#arena.cpu, options.timeout);
      const call = this.#submit(this.#pwqOf(options.slot), run, args);
      return this.#watch(call, options) as Promise<Awaited<ReturnType<F>>>;
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /**
   * Calls `run` with each value of the iterable, `concurrency` at a time, and brings the results: as they come, or with `ordered`
   * in the order of the values. It takes the next value only when there is room for it.
   */
  async *map<Value, Result>(
    values: Iterable<Value> | AsyncIterable<Value>,
    run: (value: Value) => Result,
    options: { ordered?: boolean | undefined; concurrency?: number | undefined } = {},
  ): AsyncGenerator<Awaited<Result>, void, void> {
    checkOptionNames(options, ['ordered', 'concurrency']);
    const { ordered = false, concurrency = this.maxActive * this.#pwqs.length } = options;
    checkCount('concurrency', concurrency, Number.MAX_SAFE_INTEGER);
    const under = new Set<Promise<{ value: Awaited<Result>; self: unknown }>>();
    const next = async () => {
      const { value, self } = ordered
        ? await ([...under][0] as typeof under extends Set<infer P> ? P : never)
        : await Promise.race(under);
      under.delete(self as never);
      return value;
    };
    for await (const value of values) {
      const call: Promise<{ value: Awaited<Result>; self: unknown }> = this.run(run, value).then((result) => ({
        value: result as Awaited<Result>,
        self: call,
      }));
      // Who leaves the loop early hears of no further failure.
      call.catch(() => {});
      under.add(call);
      if (under.size >= concurrency) yield await next();
    }
    while (under.size > 0) yield await next();
  }

  /**
   * Waits until all items have ended that were queued before, by whatever thread: `flush_workqueue`. Rejects with EDEADLK in a
   * function of this queue, before its first await: it would wait for itself. Later nobody can tell, and the wait never ends.
   */
  async flush(): Promise<void> {
    this.#checkOutside();
    await this.#flush();
  }

  async #flush(): Promise<void> {
    this.#arena.thread.current();
    await Promise.all(this.#pwqs.map((pwq) => this.#submitter.flush(pwq)));
  }

  /**
   * Waits until all items have ended, and those that they queue meanwhile; nobody else can queue any. Rejects with EINVAL when the
   * queue is closed, EBUSY while it is drained already, EDEADLK as `flush` does. `drain_workqueue`.
   */
  async drain(): Promise<void> {
    const { cpu, thread } = this.#arena;
    this.#checkOutside();
    this.#submitter.publish();
    const mine = DRAINING | (thread.id << DRAINER_SHIFT);
    do this.#checkOpen();
    while (cpu.cmpxchg(this.#wq + Wq.state, OPEN, mine) !== OPEN);
    try {
      do await this.#flush();
      while (!this.#pwqs.every((pwq) => this.#submitter.pool(cpu.read(pwq + Pwq.pool)).isDrained(pwq)));
    } finally {
      // A thread that has detached has opened it then (`WQ_KIND.repair`), and its id may be another's.
      if (thread.self !== DETACHED) cpu.cmpxchg(this.#wq + Wq.state, mine, OPEN);
    }
  }

  /** No thread can queue items any more; waits until those that are queued have ended. Twice is the same as once. */
  async close(): Promise<void> {
    this.#arena.thread.current();
    this.#checkOutside();
    this.#submitter.publish();
    this.#arena.cpu.xchg(this.#wq + Wq.state, CLOSED);
    await this.#flush();
  }

  /** Items that may be active at once, in each pool. */
  get maxActive(): number {
    return this.#arena.cpu.load((this.#pwqs[0] as number) + Pwq.maxActive);
  }

  /** Changes that. EINVAL for an ordered queue. `workqueue_set_max_active`. */
  setMaxActive(maxActive: number): void {
    const { cpu, thread } = this.#arena;
    thread.current();
    if (this.#isOrdered)
      throw new HoldfastError('EINVAL', `the workqueue ${shown(this.name)} is ordered: its maxActive is 1`);
    const clamped = clampActive(maxActive);
    for (const pwq of this.#pwqs) {
      cpu.store(pwq + Pwq.maxActive, clamped);
      this.#submitter.pool(cpu.read(pwq + Pwq.pool)).activate(pwq);
    }
  }

  /** How many items the queue has. */
  get counts(): WorkqueueCounts {
    const { cpu } = this.#arena;
    const sum = (field: number) => this.#pwqs.reduce((all, pwq) => all + cpu.load(pwq + field), 0);
    return { active: sum(Pwq.nrActive), inactive: sum(Pwq.nrInactive), ended: sum(Pwq.ended) >>> 0 };
  }

  #submit(pwq: number, run: WorkFunction, args: readonly unknown[]): Call {
    const state = this.#arena.cpu.load(this.#wq + Wq.state);
    if (state !== OPEN && !(isDraining(state) && runsItemOf(this.#arena, this.#wq))) this.#checkOpen();
    return this.#submitter.submit(pwq, run, args);
  }

  #checkOpen(): void {
    this.#arena.thread.current();
    const state = this.#arena.cpu.load(this.#wq + Wq.state);
    if (state === CLOSED) throw new HoldfastError('EINVAL', `the workqueue ${shown(this.name)} is closed`);
    if (isDraining(state)) throw new HoldfastError('EBUSY', `the workqueue ${shown(this.name)} is being drained`);
  }

  #checkOutside(): void {
    if (!isInWorkOf(this.#arena, this.#wq)) return;
    throw new HoldfastError('EDEADLK', `a function of the workqueue ${shown(this.name)} would wait for itself`);
  }

  #localPwq(): number {
    return this.#pwqs.length === 1 ? (this.#pwqs[0] as number) : this.#pwqOf(undefined);
  }

  #pwqOf(slot: number | undefined): number {
    const { length } = this.#pwqs;
    if (slot !== undefined && (!Number.isInteger(slot) || slot < 0 || slot >= length)) {
      throw new HoldfastError(
        'EINVAL',
        `the workqueue ${shown(this.name)} has slots 0 to ${length - 1}, received ${shown(slot)}`,
      );
    }
    return this.#pwqs[slot ?? (length === 1 ? 0 : localSlot(this.#arena, length))] as number;
  }

  /** Gives the call up when the signal aborts or the time is over. */
  async #watch(call: Call, { signal, timeout }: RunOptions): Promise<unknown> {
    const abort = () => this.#submitter.abandon(call, abortReason(signal));
    const late = () =>
      this.#submitter.abandon(call, new HoldfastError('ETIMEDOUT', `the call has not ended within ${timeout} ms`));
    signal?.addEventListener('abort', abort, { once: true });
    const timer = timeout === undefined ? undefined : setTimeout(late, timeout);
    try {
      return await call.promise;
    } finally {
      clearTimeout(timer);
      signal?.removeEventListener('abort', abort);
    }
  }

  [inspect.custom](): string {
    const { active, inactive } = this.counts;
    return `Workqueue(${this.name}, ${active} active, ${inactive} inactive)`;
  }
}

function checkWorkqueueOptions(options: WorkqueueOptions): { flags: number; maxActive: number } {
  checkOptionNames(options, ['maxActive', 'unbound', 'highpri', 'ordered']);
  const { maxActive, unbound = true, highpri = false, ordered = false } = options;
  for (const [name, value] of Object.entries({ unbound, highpri, ordered })) {
    if (typeof value !== 'boolean')
      throw new HoldfastError('EINVAL', `${name} is true or false, received ${shown(value)}`);
  }
  if (ordered && (!unbound || (maxActive ?? 1) !== 1)) {
    throw new HoldfastError('EINVAL', 'an ordered workqueue is unbound, and its maxActive is 1');
  }
  // As in the kernel up to 6.5: an unbound queue with maxActive 1 is ordered.
  const isOrdered = ordered || (unbound && maxActive === 1);
  const flags = (unbound ? UNBOUND : 0) | (highpri ? HIGHPRI : 0) | (isOrdered ? ORDERED : 0);
  return { flags, maxActive: isOrdered ? 1 : clampActive(maxActive ?? DEFAULT_ACTIVE) };
}

function clampActive(maxActive: number): number {
  if (!Number.isInteger(maxActive)) {
    throw new HoldfastError(
      'EINVAL',
      `maxActive is a whole number from 1 to ${MAX_ACTIVE}, received ${shown(maxActive)}`,
    );
  }
  const clamped = Math.min(Math.max(maxActive, 1), MAX_ACTIVE);
  if (clamped !== maxActive) {
    process.emitWarning(
      `maxActive is from 1 to ${MAX_ACTIVE}: ${maxActive} is taken for ${clamped}`,
      'HoldfastWarning',
    );
  }
  return clamped;
}

function checkCount(name: string, value: number, most: number): void {
  if (Number.isInteger(value) && value >= 1 && value <= most) return;
  throw new HoldfastError('EINVAL', `${name} is a whole number from 1 to ${most}, received ${shown(value)}`);
}

function flagsShown(flags: number): string {
  const words = [
    flags & UNBOUND ? 'unbound' : 'bound',
    ...(flags & HIGHPRI ? ['highpri'] : []),
    ...(flags & ORDERED ? ['ordered'] : []),
  ];
  return words.join(', ');
}
