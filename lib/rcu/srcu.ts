import type { Arena } from '../arena/arena.ts';
import type { Guard } from '../arena/guard.ts';
import type { ObjectHandle } from '../arena/shared-object.ts';
import { HoldfastError, shown } from '../errors.ts';
import { isPresent } from '../memory/objects.ts';
import { ASYNC_SHARED } from '../sched/contention.ts';
import { defineDomain, RcuDomain } from './domain.ts';
import { advance } from './grace-period.ts';
import { PACES, RcuWords } from './layout.ts';
import { ReadGuard } from './read-guard.ts';
import { destroyStacks } from './stacks.ts';

const KIND = defineDomain('srcu', false);

/**
 * RCU domains of one's own: who waits in one domain waits for its readers only, however long those of others sleep or
 * await.
 *
 * Every reader goes in by itself and says with the index that `readLock` returned which one goes out; they may overlap in
 * any way, as the guards of `Rcu` do.
 *
 * Cost: an atomic exchange in for the first reader of a thread that is inside, a store out for the last one. A domain takes
 * 64 bytes for each thread of the arena.
 *
 * Fairness and death: as with `Rcu`.
 *
 * Source: kernel/rcu/srcutree.c. There the updater turns the index; here a reader's own thread does.
 */
export class Srcu extends RcuDomain {
  /** Opens the domain of that name, making it if there is none, or that of a handle; with neither, a new one. */
  constructor(arena: Arena, which?: string | ObjectHandle) {
    super(KIND, arena, which);
    this.begin();
  }

  static from(arena: Arena, handle: ObjectHandle): Srcu {
    return new Srcu(arena, handle);
  }

  /** A reader goes in. Returns the index for its `readUnlock`. Throws EINVAL after `arena.detach()`. */
  readLock(): 0 | 1 {
    return this.thread.observer === undefined ? this.#join() : this.#joinObserved();
  }

  #join(): 0 | 1 {
    const index = this.readers.join(this.readLock);
    // The thread that destroys the domain finds the reader inside, or this finds that the domain is to go.
    return isPresent(this.cpu, this.address) ? index : this.#joinAgain(index);
  }

  #joinObserved(): 0 | 1 {
    const { thread } = this;
    const wanted = thread.observer?.wants(this, ASYNC_SHARED);
    const index = this.#join();
    thread.observer?.has(wanted, readerOf(index));
    return index;
  }

  /**
   * The reader goes out. Throws EPERM when no reader of this thread is inside with that index: it belongs to another thread,
   * or was out already; EINVAL for what is no index.
   */
  readUnlock(index: 0 | 1): void {
    if (index !== 0 && index !== 1) {
      throw new HoldfastError(
        'EINVAL',
        `readUnlock() takes what readLock() returned, 0 or 1; received ${shown(index)}`,
      );
    }
    if (!this.readers.leave(index)) {
      throw this.unheld(
        new HoldfastError('EPERM', `no reader of this thread is inside the ${this.label} with the index ${index}`),
      );
    }
    this.thread.observer?.gave(this, readerOf(index));
  }

  /**
   * Frees the domain and its name. Throws EBUSY while a reader is inside, or a callback to be run, EINVAL for a domain that was
   * destroyed.
   */
  override destroy(): void {
    this.current();
    // A period that was begun by `startPoll`, and that nobody has asked after since its readers went.
    const { arena, address, thread, readers } = this;
    for (const pace of PACES) advance(thread, readers.domain, pace, 0);
    const stacks = this.cpu.load(address + RcuWords.stacks);
    super.destroy();
    destroyStacks(arena.objects, stacks);
  }

  protected override get maySleep(): boolean {
    return true;
  }

  /** A reader that is inside until the guard is released. */
  read(): Guard {
    return new ReadGuard({ join: () => this.readLock(), leave: (index) => this.readUnlock(index) });
  }

  /** `#join`, once inside, of a domain that is destroyed or was to be. */
  #joinAgain(index: 0 | 1): 0 | 1 {
    this.readers.leave(index);
    this.checkThere();
    return this.#join();
  }

  protected override get shown(): string {
    return `Srcu(${this.name ?? this.address}, ${this.readLockHeld ? 'reading' : 'not reading'})`;
  }
}

/** What stands for a task of one that reads with that index. */
function readerOf(index: 0 | 1): number {
  return index + 1;
}
