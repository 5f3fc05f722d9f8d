import type { Arena } from '../arena/arena.ts';
import type { Guard } from '../arena/guard.ts';
import { ASYNC_SHARED, SHARED } from '../sched/contention.ts';
import { defineDomain, RcuDomain } from './domain.ts';
import { type Joinable, ReadGuard } from './read-guard.ts';
import { enter, leave, SYNC, WATCHED } from './reader.ts';

const KIND = defineDomain('rcu', true);

/**
 * Read-copy-update: readers that never wait and write no word that another thread writes; writers that publish a new
 * version, and free the old one when no reader can see it any more.
 *
 * An arena has one; every `new Rcu(arena)` leads to it. Between `readLock` and `readUnlock`, or as long as a guard of
 * `read()` is held, nothing that the reader could have found is freed by who waits with `synchronize`, `call` or `kfree`.
 * A reader may sleep and await. Overlapping readers of one thread's asynchronous code should each have a guard: all pairs
 * of `readLock` and `readUnlock` count as one reader, which is out when none is open.
 *
 * Cost: an atomic exchange in, one out; nested ones cost nothing.
 *
 * Fairness: readers never wait. Writers that wait at the same time share a grace period; a period waits for the readers
 * that were inside when it began, and for no later one.
 *
 * Death: the readers of a thread that ends are over.
 *
 * Source: kernel/rcu/tree_plugin.h (preemptible RCU), kernel/rcu/srcutree.c (overlapping readers).
 */
export class Rcu extends RcuDomain {
  constructor(arena: Arena) {
    super(KIND, arena, 'holdfast.rcu');
    this.begin();
  }

  /** A reader goes in. Pairs nest. Throws EINVAL after `arena.detach()`. */
  readLock(): void {
    const { readers } = this;
    if (readers.depth !== 0) {
      this.#nest();
      return;
    }
    enter(readers.cpu, readers.sync);
    readers.depth = 1;
  }

  /** The reader goes out with the outermost `readUnlock`. Throws EPERM without a `readLock`. */
  readUnlock(): void {
    const { readers } = this;
    if (readers.depth !== 1) {
      this.#unnest();
      return;
    }
    readers.depth = 0;
    if (leave(readers.cpu, readers.sync)) readers.report(SYNC);
  }

  /** Tells the thread's observer of the outermost reader. */
  #nest(): void {
    const { thread, readers } = this;
    const isOutermost = readers.depth === WATCHED;
    const wanted = isOutermost ? thread.observer?.wants(this, SHARED) : undefined;
    readers.nest(this.readLock);
    if (isOutermost) thread.observer?.has(wanted, thread.self);
  }

  #unnest(): void {
    const { thread, readers } = this;
    if (readers.depth === WATCHED) thread.observer?.notHeld(this);
    readers.unnest();
    if (readers.depth === WATCHED) thread.observer?.gave(this, thread.self);
  }

  /**
   * A reader of its own, inside until the guard is released. It may be held across an `await`, and overlap with any number
   * of others.
   */
  read(): Guard {
    return new ReadGuard(this.thread.observer === undefined ? this.readers : this.#observedReader());
  }

  #observedReader(): Joinable {
    const { thread, readers } = this;
    const reader = -++readers.observed;
    return {
      join: () => {
        const wanted = thread.observer?.wants(this, ASYNC_SHARED);
        const lane = readers.join();
        thread.observer?.has(wanted, reader);
        return lane;
      },
      leave: (lane) => {
        readers.leave(lane);
        thread.observer?.gave(this, reader);
      },
    };
  }

  protected override get shown(): string {
    return `Rcu(${this.readLockHeld ? 'reading' : 'not reading'})`;
  }
}
