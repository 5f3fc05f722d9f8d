import { inspect } from 'node:util';
import type { Arena } from '../arena/arena.ts';
import { checkExpiry } from '../arena/timer.ts';
import { checkOptionNames, HoldfastError, shown } from '../errors.ts';
import { limitsOf, type WaitOptions } from '../sched/drive.ts';
import { applyAttributes, attributesOf, type WorkqueueAttributes } from './attributes.ts';
import { Backlog } from './backlog.ts';
import { watchCall } from './call.ts';
import { isTraced, traced } from './channels.ts';
import { configure, type WorkqueueConfiguration } from './configuration.ts';
import { catchUp } from './freeze.ts';
import { CLOSED, OPEN, Pwq, Wq } from './layout.ts';
import { mapped } from './map.ts';
import { openQueue } from './open-queue.ts';
import { checkCount, clampActive, ORDERED, type RunOptions, UNBOUND, type WorkqueueOptions } from './options.ts';
import './pool-timer.ts';
import { adjust } from './pool-care.ts';
import { queueWork } from './pool-works.ts';
import { queuerOf } from './pools.ts';
import { currentPwq, pwqsOf } from './pwqs.ts';
import { QueueState, type WorkqueueCounts } from './queue-state.ts';
import { usableSlot } from './slots.ts';
import { statisticsOf, type WorkqueueStatistics } from './statistics.ts';
import type { Call, Submitter } from './submitter.ts';
import { submitterOf } from './submitters.ts';
import { checkTransferList } from './transfer.ts';
import type { Queueing } from './twins.ts';
import type { WorkFunction } from './work.ts';
import { delayWork, redelayWork } from './work-core.ts';
import { DelayedWork, expedite, Work } from './work-item.ts';

const notCloneable = () => 'a Workqueue is a view of one thread: send its name';

/**
 * A queue of calls that worker threads run: a concurrency-managed workqueue, as in the kernel. All queues of an arena share
 * its worker threads, which it starts and ends by itself: as many run at once as there are slots, and when one goes to sleep
 * in a lock, futex or wait of this library, another takes its place.
 *
 * Any thread of the arena queues to any queue, by its name. Items of one queue begin in the order in which they were
 * queued; those of one microtask are queued at its end, or 256 at a time. Which of two queues that share a pool comes first is the
 * order of their items.
 *
 * Source: kernel/workqueue.c, alloc_workqueue.
 */
export class Workqueue {
  /** @internal What rejects rather than throws once the queue was destroyed. */
  static readonly rejecting: readonly string[] = ['run', 'runWith', 'ready', 'flush', 'drain', 'close', 'destroy'];
  readonly name: string;
  /** Not cloneable: `postMessage` of a view is an error, with this function's text in it. */
  protected readonly cloning: () => string = notCloneable;
  readonly #arena: Arena;
  readonly #wq: number;
  readonly #root: number;
  readonly #pwqs: readonly number[];
  readonly #submitter: Submitter;
  readonly #state: QueueState;
  readonly #isOrdered: boolean;
  readonly #isUnbound: boolean;
  /** Calls by this view of the queue. */
  readonly #backlog = new Backlog();

  /**
   * Opens the queue of that name, making it if there is none; one that was closed is open again. Throws EINVAL for
   * options that are none, and where the queue is there already and bound, high priority or ordered otherwise; ENOMEM.
   */
  constructor(arena: Arena, name: string, options: WorkqueueOptions = {}) {
    const { root, wq, flags, maxActive, pwqs } = openQueue(arena, name, options);
    const { cpu } = arena;
    this.#arena = arena;
    this.name = name;
    this.#root = root;
    this.#wq = wq;
    this.#pwqs = pwqs;
    this.#submitter = submitterOf(arena);
    this.#state = new QueueState(arena, name, this.#wq, this.#submitter);
    for (const view of [this, this.#state]) arena.objects.views.add(this.#wq, view);
    this.#isOrdered = (flags & ORDERED) !== 0;
    this.#isUnbound = (flags & UNBOUND) !== 0;
    if (cpu.cmpxchg(this.#wq + Wq.state, CLOSED, OPEN) === CLOSED && !this.#isOrdered) this.setMaxActive(maxActive);
    catchUp(arena, this.#wq);
  }

  /**
   * What is the same for all workqueues of the arena: to be called before the first of them is made. Throws EINVAL for
   * values that are none, EBUSY when others hold already.
   */
  static configure(arena: Arena, configuration: WorkqueueConfiguration): void {
    configure(arena, configuration);
  }

  /**
   * Calls `run`, a function that its module has declared with `work`, on a worker thread, and resolves to what it returns
   * or what a promise of it brings. Rejects with what it throws, with the worker's stack; with EOWNERDEAD when the worker dies in
   * it; and, with nothing queued, EINVAL for a function that is no work, for arguments that can't be cloned, for a closed queue,
   * ENOMEM when the arena has no room for them.
   */
  run<F extends WorkFunction>(run: F, ...args: Parameters<F>): Promise<Awaited<ReturnType<F>>> {
    if (isTraced()) return traced(this.name, run, args, () => this.#run(run, args));
    return this.#run(run, args);
  }

  #run<F extends WorkFunction>(run: F, args: Parameters<F>): Promise<Awaited<ReturnType<F>>> {
    try {
      return this.#submit(this.#localPwq(), run, args).promise as Promise<Awaited<ReturnType<F>>>;
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /** `run` with a signal, a timeout, a slot, or buffers that go with it: `runWith({ timeout: 50 }, resize, path)`. */
  runWith<F extends WorkFunction>(
    options: RunOptions,
    run: F,
    ...args: Parameters<F>
  ): Promise<Awaited<ReturnType<F>>> {
    if (isTraced()) return traced(this.name, run, args, () => this.#runWith(options, run, args));
    return this.#runWith(options, run, args);
  }

  #runWith<F extends WorkFunction>(options: RunOptions, run: F, args: Parameters<F>): Promise<Awaited<ReturnType<F>>> {
    try {
      limitsOf(this.#arena.cpu, options, ['signal', 'timeout', 'slot', 'transferList']);
      if (options.transferList !== undefined) checkTransferList(options.transferList);
      const call = this.#submit(this.#pwqOf(options.slot), run, args);
      return watchCall(this.#submitter, call, options) as Promise<Awaited<ReturnType<F>>>;
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /**
   * Queues a work, for the workers of the calling thread's slot if the queue is bound. False when it is pending already, in whatever
   * queue, or disabled. Items of this thread that were queued before, in this microtask as well, come before it. Throws EINVAL
   * when the queue is closed, EBUSY when it is drained. Nothing keeps the process alive for it. `queue_work`.
   */
  queueWork(work: Work): boolean {
    return this.#queueWork(work, this.#localPwq());
  }

  /** `queueWork` for the workers of that slot. Throws EINVAL when there is none. `queue_work_on`. */
  queueWorkOn(slot: number, work: Work): boolean {
    return this.#queueWork(work, this.#pwqOf(slot));
  }

  /** Queues a work in `ms` milliseconds; with 0 at once. False when it is pending already, or disabled. `queue_delayed_work`. */
  queueDelayedWork(work: DelayedWork, ms: number): boolean {
    return this.#queueDelayedWork(work, ms, this.#localPwq());
  }

  /** `queueDelayedWork` for the workers of that slot. `queue_delayed_work_on`. */
  queueDelayedWorkOn(slot: number, work: DelayedWork, ms: number): boolean {
    return this.#queueDelayedWork(work, ms, this.#pwqOf(slot));
  }

  /**
   * Queues a work in `ms` milliseconds from now, and no more when, or where, it was to be: true when it was pending. `mod_delayed_work`.
   */
  modDelayedWork(work: DelayedWork, ms: number): boolean {
    return this.#modDelayedWork(work, ms, this.#localPwq());
  }

  /** `modDelayedWork` for the workers of that slot. `mod_delayed_work_on`. */
  modDelayedWorkOn(slot: number, work: DelayedWork, ms: number): boolean {
    return this.#modDelayedWork(work, ms, this.#pwqOf(slot));
  }

  /**
   * Queues a work once all readers of `Rcu` are out which are inside now, whatever becomes of this thread. False when it is pending
   * already, or disabled. `flushWork` waits for it, and `cancelWork` takes it back. `queue_rcu_work`.
   */
  queueRcuWork(work: DelayedWork): boolean {
    this.#checkWork(work, DelayedWork);
    this.#admit();
    const queuer = queuerOf(this.#arena);
    const [pwq, now] = [this.#localPwq(), queuer.cpu.now()];
    return work.change(() => delayWork(queuer, work.address, pwq, now, true)) === 'queued';
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
    yield* mapped(values, (value) => this.run(run, value) as Promise<Awaited<Result>>, ordered, concurrency);
  }

  /**
   * Waits until all items have ended that were queued before, by whatever thread: `flush_workqueue`. Rejects with EDEADLK in a
   * function of this queue, before its first await: it would wait for itself. Later nobody can tell, and the wait never ends.
   */
  flush(): Promise<void> {
    return this.#state.flush();
  }

  /**
   * Waits until all items have ended, and those that they queue meanwhile; nobody else can queue any. Rejects with EINVAL when the
   * queue is closed, EBUSY while it is drained already, EDEADLK as `flush` does. `drain_workqueue`.
   */
  drain(): Promise<void> {
    return this.#state.drain();
  }

  /**
   * `flush` that blocks the thread; its slot is another worker's meanwhile. Throws ETIMEDOUT; EDEADLK where this thread runs or awaits an
   * item of the queue, which could not end.
   */
  flushSync(options?: WaitOptions): void {
    this.#state.flushSync(options);
  }

  /** `drain` that blocks the thread. Throws what `drain` does, and ETIMEDOUT: the queue takes items again then. */
  drainSync(options?: WaitOptions): void {
    this.#state.drainSync(options);
  }

  /** `close` that blocks the thread. Throws ETIMEDOUT, with the queue closed. */
  closeSync(options?: WaitOptions): void {
    this.#state.closeSync(options);
  }

  /** No thread can queue items any more; waits until those that are queued have ended. Twice is the same as once. */
  close(): Promise<void> {
    return this.#state.close();
  }

  /**
   * `close`, and the queue and its name are no more: from then on all calls of all views of it, in all threads, throw or reject with EINVAL.
   * Its memory can be had again as that of any shared object, and once nothing leads there: a delayed work does until its
   * time. Rejects with EBUSY where a thread has opened it again meanwhile, EDEADLK as `close` does. `destroy_workqueue`.
   */
  destroy(): Promise<void> {
    return this.#state.destroy();
  }

  /** `destroy` that blocks the thread. Throws ETIMEDOUT, with the queue closed. */
  destroySync(options?: WaitOptions): void {
    this.#state.destroySync(options);
  }

  /** What its workers are. Of a bound queue: those of slot 0. */
  get attributes(): Required<WorkqueueAttributes> {
    return attributesOf(this.#arena, this.#wq);
  }

  /**
   * Items that are queued from now on run on workers that are so, which queues with equal attributes share; those that are queued run
   * where they are, and may be overtaken. What is left out is the default. Throws EINVAL for a bound or ordered queue, a nice
   * that is none, and slots that there are not; ENOMEM; with nothing changed. `apply_workqueue_attrs`.
   */
  applyAttrs(attributes: WorkqueueAttributes): void {
    this.#arena.thread.current();
    applyAttributes(this.#arena, this.#wq, attributes);
  }

  /**
   * Back-pressure: resolves once fewer than `limit` calls by this view of the queue are under way, calls that were given up
   * and have not come back included: `for (const path of paths) { await wq.ready(); wq.run(resize, path).then(save); }` keeps
   * workers busy, and memory bounded. Several that wait go on together. Rejects with EINVAL for a limit that is none.
   * @param limit 1 or more. @default `maxActive`, of all pools
   */
  async ready(limit: number = this.maxActive * this.#pwqs.length): Promise<void> {
    const { thread } = this.#arena;
    thread.current();
    checkCount('limit', limit, Number.MAX_SAFE_INTEGER);
    await this.#backlog.below(limit);
    thread.current();
  }

  /** Items that may be active at once, in each pool. */
  get maxActive(): number {
    return this.#arena.cpu.load(this.#wq + Wq.savedMaxActive);
  }

  /** Changes that. EINVAL for an ordered queue. `workqueue_set_max_active`. */
  setMaxActive(maxActive: number): void {
    const { cpu, thread } = this.#arena;
    thread.current();
    if (this.#isOrdered)
      throw new HoldfastError('EINVAL', `the workqueue ${shown(this.name)} is ordered: its maxActive is 1`);
    // Full: pairs with the barrier in `applyAttributes`, which adds a pwq.
    cpu.xchg(this.#wq + Wq.savedMaxActive, clampActive(maxActive));
    for (const pwq of pwqsOf(cpu, this.#wq)) adjust(this.#submitter.pool(cpu.read(pwq + Pwq.pool)), pwq);
  }

  /** How long its items have waited and taken, and how many there are. Out of date as soon as it is read. */
  get statistics(): WorkqueueStatistics {
    return statisticsOf(this.#arena, this.#wq);
  }

  /** How many items the queue has. */
  get counts(): WorkqueueCounts {
    return this.#state.counts;
  }

  #submit(pwq: number, run: WorkFunction, args: readonly unknown[]): Call {
    this.#admit();
    return this.#submitter.submit(pwq, run, args, this.#backlog);
  }

  /** `QueueState.admit`, which sees to everything but the rule. */
  #admit(): boolean {
    return this.#arena.cpu.load(this.#wq + Wq.state) !== OPEN && this.#state.admit();
  }

  #queueWork(work: Work, pwq: number): boolean {
    this.#checkWork(work, Work);
    return this.#tryQueue(work, pwq) === 'queued';
  }

  #tryQueue(work: Work, pwq: number): Queueing {
    this.#submitter.publish();
    const pool = this.#submitter.pool(this.#arena.cpu.read(pwq + Pwq.pool));
    let outcome: Queueing;
    // The queue may be closed or drained from one line to the next; then `admit` says so.
    do {
      const isChained = this.#admit();
      outcome = work.change(() => queueWork(pool, work.address, pwq, isChained));
    } while (outcome === 'refused');
    return outcome;
  }

  #queueDelayedWork(work: DelayedWork, ms: number, pwq: number): boolean {
    checkExpiry(ms);
    this.#checkWork(work, DelayedWork);
    if (ms === 0) return this.#queueWork(work, pwq);
    this.#admit();
    const deadline = this.#arena.cpu.now() + ms * 1e6;
    return work.change(() => delayWork(queuerOf(this.#arena), work.address, pwq, deadline)) === 'queued';
  }

  #modDelayedWork(work: DelayedWork, ms: number, pwq: number): boolean {
    checkExpiry(ms);
    this.#checkWork(work, DelayedWork);
    this.#admit();
    const queuer = queuerOf(this.#arena);
    const deadline = queuer.cpu.now() + ms * 1e6;
    for (;;) {
      const wasPending = work.change(() => redelayWork(queuer, work.address, pwq, deadline));
      // Where there is no time to pass, a timer stands for the queueing until it is done, should this thread die.
      if (wasPending && ms === 0) expedite(work);
      if (wasPending) return true;
      const delay = () => delayWork(queuer, work.address, pwq, deadline);
      const outcome = ms === 0 ? this.#tryQueue(work, pwq) : work.change(delay);
      if (outcome !== 'pending') return false;
    }
  }

  #checkWork(work: Work, Kind: typeof Work): void {
    this.#arena.thread.current();
    if (!(work instanceof Kind)) {
      throw new HoldfastError('EINVAL', `expected a ${Kind.name}, received ${shown(work)}`);
    }
    if (work.arena.id !== this.#arena.id) {
      throw new HoldfastError('EINVAL', `${shown(work)} is in another arena than the workqueue ${shown(this.name)}`);
    }
  }

  #localPwq(): number {
    return this.#isUnbound ? currentPwq(this.#arena.cpu, this.#wq) : this.#pwqOf(undefined);
  }

  #pwqOf(slot: number | undefined): number {
    const { length } = this.#pwqs;
    if (slot !== undefined && (!Number.isInteger(slot) || slot < 0 || slot >= length)) {
      throw new HoldfastError(
        'EINVAL',
        `the workqueue ${shown(this.name)} has slots 0 to ${length - 1}, received ${shown(slot)}`,
      );
    }
    if (this.#isUnbound) return currentPwq(this.#arena.cpu, this.#wq);
    return this.#pwqs[slot ?? (length === 1 ? 0 : usableSlot(this.#arena, this.#root, length))] as number;
  }

  /** In a log line, or another JSON text, a queue is what `util.inspect` shows. */
  toJSON(): string {
    return inspect(this);
  }

  toString(): string {
    return inspect(this);
  }

  [inspect.custom](): string {
    const { active, inactive } = this.counts;
    return `Workqueue(${this.name}, ${active} active, ${inactive} inactive)`;
  }
}
