import type { Arena } from '../arena/arena.ts';
import { type ObjectHandle, SharedObject } from '../arena/shared-object.ts';
import { HoldfastError } from '../errors.ts';
import { defineKind } from '../memory/kinds.ts';
import { isPresent, ObjectHeader } from '../memory/objects.ts';
import type { Repairer } from '../memory/repairer.ts';
import { struct } from '../memory/struct.ts';
import { ALONE, contend } from '../sched/contention.ts';
import { noteTaken } from '../sched/lock-observer.ts';
import { slotAddress } from '../sched/slot.ts';
import { isInOsq, osqLock, osqUnlock, repairOsq } from './osq.ts';

const Osq = struct({ header: ObjectHeader, tail: 1 });

const KIND = defineKind<Repairer>({
  name: 'osq-lock',
  words: Osq,
  format: () => {},
  holder: () => 0,
  isHeldBy: (cpu, lock, id) => isInOsq(cpu, slotAddress(cpu, id - 1), lock + Osq.tail),
  isBusy: (cpu, lock) => cpu.load(lock + Osq.tail) !== 0,
  repair: (repairer, lock) => repairOsq(repairer, lock + Osq.tail),
});

/**
 * The queue of optimistic spinners as a lock of its own: for building locks whose waiters spin before they sleep.
 * `lock` gives up after about as long as a sleep would cost, so it is a lock that need not be had.
 *
 * Fairness: order of arrival among those who have not given up. A thread can be in one such queue at a time. If a
 * thread dies in it, everyone is turned away until the queue is empty. Source: kernel/locking/osq_lock.c.
 */
export class OsqLock extends SharedObject {
  #isHeld = false;

  /** Opens the lock of that name, making it if there is none, or the lock of a handle; with neither, a new one. */
  constructor(arena: Arena, which?: string | ObjectHandle) {
    super(KIND, arena, which);
  }

  static from(arena: Arena, handle: ObjectHandle): OsqLock {
    return new OsqLock(arena, handle);
  }

  /** Lines up; false when it gave up. Throws EDEADLK when this view of the lock holds it already. */
  lock(): boolean {
    this.thread.current();
    if (this.#isHeld) throw new HoldfastError('EDEADLK', `this thread already holds the ${this.label}`);
    this.#isHeld = this.#lineUp();
    // The thread that destroys the lock finds this one in line, or this one finds that the lock is to go.
    while (!isPresent(this.thread.cpu, this.address)) {
      if (this.#isHeld) this.#leave();
      this.checkThere();
      this.#isHeld = this.#lineUp();
    }
    // Nothing before it is an order: it gives up, where it would wait for long.
    return noteTaken(this.thread, this, ALONE, this.#isHeld);
  }

  /** Returns whether the thread has the lock now. Behind others it waits. */
  #lineUp(): boolean {
    const { thread } = this;
    const tail = this.address + Osq.tail;
    const isFree = thread.cpu.load(tail) === 0;
    return isFree ? osqLock(thread, tail) : contend(thread, this.address, ALONE, () => osqLock(thread, tail));
  }

  /** Throws EPERM unless this view of the lock holds it. */
  unlock(): void {
    if (!this.#isHeld || !isInOsq(this.thread.cpu, this.thread.slot, this.address + Osq.tail)) {
      throw new HoldfastError('EPERM', `unlock of the ${this.label}, which thread ${this.thread.number} does not hold`);
    }
    this.#leave();
    this.thread.observer?.gave(this, this.thread.self);
  }

  #leave(): void {
    this.#isHeld = false;
    osqUnlock(this.thread, this.address + Osq.tail);
  }

  protected override get shown(): string {
    const state = this.thread.cpu.load(this.address + Osq.tail) === 0 ? 'free' : 'held';
    return `OsqLock(${this.name ?? this.address}, ${state})`;
  }
}
