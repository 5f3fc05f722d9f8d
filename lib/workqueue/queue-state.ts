/** One workqueue's state, as one thread sees it: whether it takes items, and the waits for all that it has. */
import type { Arena } from '../arena/arena.ts';
import { HoldfastError, shown } from '../errors.ts';
import { block, type Limits, limitsOf, type WaitOptions } from '../sched/drive.ts';
import { DETACHED } from '../sched/thread.ts';
import { isInWorkOf } from './context.ts';
import { untilFlushed } from './flush.ts';
import { CLOSED, DRAINER_SHIFT, DRAINING, isDraining, OPEN, Pwq, Wq } from './layout.ts';
import { WQ_KIND } from './objects.ts';
import { isDrained } from './pool-works.ts';
import { pwqsOf } from './pwqs.ts';
import { runsItemOf } from './runner.ts';
import type { Submitter } from './submitter.ts';

/** What a workqueue has in all its pools; out of date as soon as it is read. */
export interface WorkqueueCounts {
  /** Items that run, are awaited, or are next. */
  active: number;
  /** Items that wait for `maxActive`. */
  inactive: number;
  /** Items that have ended since the queue was made. */
  ended: number;
}

export class QueueState {
  readonly #arena: Arena;
  readonly #name: string;
  readonly #wq: number;
  readonly #submitter: Submitter;

  constructor(arena: Arena, name: string, wq: number, submitter: Submitter) {
    this.#arena = arena;
    this.#name = name;
    this.#wq = wq;
    this.#submitter = submitter;
  }

  /** Whether the queue takes the item as one that the draining has to wait for. Throws when it takes none. */
  admit(): boolean {
    const state = this.#arena.cpu.load(this.#wq + Wq.state);
    if (state === OPEN) return false;
    if (isDraining(state) && runsItemOf(this.#arena, this.#wq)) return true;
    this.#checkOpen();
    return false;
  }

  async flush(): Promise<void> {
    this.#checkOutside();
    await this.#flush();
  }

  async drain(): Promise<void> {
    this.#checkOutside();
    const state = this.#beginDrain();
    try {
      do {
        await this.#flush();
        this.checkThere();
      } while (!this.#isDrained());
    } finally {
      this.#endDrain(state);
    }
  }

  async close(): Promise<void> {
    this.#arena.thread.current();
    this.#checkOutside();
    this.#close();
    await this.#flush();
  }

  /** `close`, and its memory is given back. `destroy_workqueue`. */
  async destroy(): Promise<void> {
    await this.close();
    this.checkThere();
    this.#destroy();
  }

  destroySync(options?: WaitOptions): void {
    this.closeSync(options);
    this.#destroy();
  }

  /** Throws EINVAL when the queue was destroyed: then this has become what throws at everything (`Views`). */
  checkThere(): void {}

  #destroy(): void {
    const { objects } = this.#arena;
    // Under the latches: no worker is about to count an item that has ended.
    if (this.#isDrained()) objects.destroy(WQ_KIND, this.#wq, () => false);
    else throw new HoldfastError('EBUSY', `the workqueue ${shown(this.#name)} was opened again meanwhile`);
  }

  flushSync(options?: WaitOptions): void {
    this.#flushSync(this.#checkSync(options));
  }

  drainSync(options?: WaitOptions): void {
    const limits = this.#checkSync(options);
    const state = this.#beginDrain();
    try {
      do this.#flushSync(limits);
      while (!this.#isDrained());
    } catch (error) {
      // What ends a simulated thread goes through without another step.
      if (error instanceof HoldfastError) this.#endDrain(state);
      throw error;
    }
    this.#endDrain(state);
  }

  closeSync(options?: WaitOptions): void {
    const limits = this.#checkSync(options);
    this.#close();
    this.#flushSync(limits);
  }

  get counts(): WorkqueueCounts {
    const { cpu } = this.#arena;
    const sum = (field: number) => pwqsOf(cpu, this.#wq).reduce((all, pwq) => all + cpu.load(pwq + field), 0);
    return { active: sum(Pwq.nrActive), inactive: sum(Pwq.nrInactive), ended: sum(Pwq.ended) >>> 0 };
  }

  #close(): void {
    this.#submitter.publish();
    this.#arena.cpu.xchg(this.#wq + Wq.state, CLOSED);
  }

  async #flush(): Promise<void> {
    this.#arena.thread.current();
    await Promise.all(pwqsOf(this.#arena.cpu, this.#wq).map((pwq) => this.#submitter.flush(pwq)));
  }

  /** Returns the state that says so. */
  #beginDrain(): number {
    const { cpu, thread } = this.#arena;
    this.#submitter.publish();
    const mine = DRAINING | (thread.id << DRAINER_SHIFT);
    do this.#checkOpen();
    while (cpu.cmpxchg(this.#wq + Wq.state, OPEN, mine) !== OPEN);
    return mine;
  }

  #isDrained(): boolean {
    const { cpu } = this.#arena;
    return pwqsOf(cpu, this.#wq).every((pwq) => isDrained(this.#submitter.pool(cpu.read(pwq + Pwq.pool)), pwq));
  }

  #endDrain(state: number): void {
    const { cpu, thread } = this.#arena;
    // A thread that has detached has opened it then (`WQ_KIND.repair`), and its id may be another's; or the queue was destroyed.
    const isThere = thread.self !== DETACHED && Object.getPrototypeOf(this) === QueueState.prototype;
    if (isThere) cpu.cmpxchg(this.#wq + Wq.state, state, OPEN);
  }

  #checkSync(options: WaitOptions | undefined): Limits {
    const { cpu, thread } = this.#arena;
    thread.current();
    const limits = limitsOf(cpu, options);
    if (!runsItemOf(this.#arena, this.#wq)) return limits;
    throw new HoldfastError(
      'EDEADLK',
      `this thread runs or awaits an item of the workqueue ${shown(this.#name)}: waiting for it would never end`,
    );
  }

  #flushSync(limits: Limits): void {
    const { cpu, thread } = this.#arena;
    const flushers = pwqsOf(cpu, this.#wq).map((pwq) => this.#submitter.flusherFor(pwq, thread.current()));
    block(thread, limits, (waiter) => untilFlushed(waiter, flushers), this);
  }

  /** For `block`. */
  notInTime(timeout: number | undefined): HoldfastError {
    const { active, inactive } = this.counts;
    return new HoldfastError(
      'ETIMEDOUT',
      `the workqueue ${shown(this.#name)} is not through within ${timeout} ms: ${active} active, ${inactive} inactive`,
    );
  }

  #checkOpen(): void {
    this.#arena.thread.current();
    const state = this.#arena.cpu.load(this.#wq + Wq.state);
    if (state === CLOSED) throw new HoldfastError('EINVAL', `the workqueue ${shown(this.#name)} is closed`);
    if (isDraining(state)) throw new HoldfastError('EBUSY', `the workqueue ${shown(this.#name)} is being drained`);
  }

  #checkOutside(): void {
    if (!isInWorkOf(this.#arena, this.#wq)) return;
    throw new HoldfastError('EDEADLK', `a function of the workqueue ${shown(this.#name)} would wait for itself`);
  }
}
