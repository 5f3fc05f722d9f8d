import type { Arena } from '../arena/arena.ts';
import type { Guard } from '../arena/guard.ts';
import { HoldfastError } from '../errors.ts';
import { SHARED } from '../sched/contention.ts';
import { defineDomain, RcuDomain } from './domain.ts';
import { ReadGuard } from './read-guard.ts';
import type { ReaderChecks } from './reader.ts';
import { OFFLINE, type Stretch, stretchOf, WATCHED } from './stretch.ts';

const KIND = defineDomain('rcu-qsbr', true);

/**
 * RCU whose readers cost nothing: a quiescent state of a thread is the end of a synchronous stretch of its code, when the
 * stack is empty. An arena has one, beside and apart from its `Rcu`.
 *
 * A reader may not await: the thread stays online until such a reader is out, and a warning says so. The first reader of a
 * stretch costs an atomic exchange and a microtask. Idle threads are offline, and so are those that sleep in a lock of the
 * library; a thread that loops or sleeps by other means after it has read holds up every grace period, unless it calls
 * `quiescent()`.
 *
 * Fairness and death: as with `Rcu`. `arena.detach()` is a quiescent state, too; inside a reader it is EBUSY.
 *
 * Source: user-space RCU's QSBR flavour (Desnoyers, McKenney et al. 2012), and kernel/rcu/tree.c without preemption.
 */
export class RcuQsbr extends RcuDomain {
  /** Not `#stretch`: what a field of this kind holds, V8 knows when it compiles a reader of an object that it knows. */
  private readonly stretch: Stretch;

  constructor(arena: Arena) {
    super(KIND, arena, 'holdfast.rcu-qsbr');
    this.stretch = stretchOf(this.readers);
    this.begin();
  }

  /** A reader goes in. Pairs nest. Throws EINVAL after `arena.detach()`. */
  readLock(): void {
    const { stretch } = this;
    // A constant, not a sum: the next reader's check does not wait for this store to come back from the store buffer.
    if (stretch.depth === 0) stretch.depth = 1;
    else this.#nest();
  }

  /** The reader goes out with the outermost `readUnlock`. Throws EPERM without a `readLock`. */
  readUnlock(): void {
    const { stretch } = this;
    if (stretch.depth === 1) stretch.depth = 0;
    else this.#unnest();
  }

  /** Tells the thread's observer of the outermost reader. */
  #nest(): void {
    const { thread } = this;
    const { depth } = this.stretch;
    const isOutermost = depth === OFFLINE || depth === WATCHED;
    const wanted = isOutermost ? thread.observer?.wants(this, SHARED) : undefined;
    this.stretch.nest(this.readLock);
    if (isOutermost) thread.observer?.has(wanted, thread.self);
  }

  #unnest(): void {
    const { observer, self } = this.thread;
    const wasInside = this.stretch.depth > 0;
    if (!wasInside) observer?.notHeld(this);
    this.stretch.unnest();
    if (wasInside && this.stretch.depth <= 0) observer?.gave(this, self);
  }

  /** `readLock`, and `readUnlock` when the guard is released. */
  read(): Guard {
    return new ReadGuard({
      join: () => {
        this.readLock();
        return 0;
      },
      leave: () => this.readUnlock(),
    });
  }

  /**
   * For a thread that does not return to its event loop: no reader is inside, and periods need not wait for the end of the
   * stretch. Throws EPERM inside a reader.
   */
  quiescent(): void {
    this.current();
    if (!this.stretch.quiescent()) throw new HoldfastError('EPERM', 'quiescent() inside a reader of this thread');
  }

  /** Whether grace periods wait for this thread, in a reader or not. */
  get isOnline(): boolean {
    return this.stretch.depth !== OFFLINE;
  }

  override get readLockHeld(): boolean {
    return this.stretch.depth > 0;
  }

  protected override get isSyncReader(): boolean {
    return this.stretch.depth > 0;
  }

  protected override watch(checks: ReaderChecks | undefined): void {
    super.watch(checks);
    this.stretch.settle();
  }

  protected override beforeSleep(): void {
    this.stretch.quiescent();
  }

  protected override get shown(): string {
    return `RcuQsbr(${this.isOnline ? 'online' : 'offline'})`;
  }
}
