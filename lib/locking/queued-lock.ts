import { isPresent } from '../memory/objects.ts';
import { ALONE } from '../sched/contention.ts';
import { SpinningLock } from './spinning-lock.ts';

/**
 * A spinning lock in which each thread that wants it gets a place in line. No word keeps a thread from lining up, so a lock
 * that was destroyed can be had as well: each call looks at the object once it is in, and leaves again if that is gone.
 * The thread that destroys the lock finds the place taken, or the call finds that the lock is to go.
 */
export abstract class QueuedLock extends SpinningLock {
  lock(): void {
    const { observer } = this.thread;
    if (observer === undefined) {
      this.#enter();
      return;
    }
    const wanted = observer.wants(this, ALONE);
    this.#enter();
    this.thread.observer?.has(wanted, this.thread.self);
  }

  tryLock(): boolean {
    const { thread } = this;
    for (;;) {
      thread.current();
      const place = this.ownPlace() === 0 ? this.tryTakePlace() : 0;
      if (isPresent(thread.cpu, this.address)) {
        if (place !== 0) thread.observer?.took(this, ALONE, thread.self);
        return place !== 0;
      }
      if (place !== 0) this.leavePlace(place);
      this.checkThere();
    }
  }

  unlock(): void {
    const { thread } = this;
    thread.current();
    const place = this.ownPlace();
    if (place === 0) throw this.unheld(this.notOwner('unlock'));
    this.leavePlace(place);
    thread.observer?.gave(this, thread.self);
  }

  /** Lines up, waits until the lock is this thread's, and returns its place. Throws EDEADLK, EAGAIN. */
  protected abstract takePlace(): number;
  /** Returns the place if nobody is in line, else 0. The thread has none. Throws EAGAIN. */
  protected abstract tryTakePlace(): number;
  /** The place that this thread has in line, or 0. */
  protected abstract ownPlace(): number;
  /** Lets the next one in line have the lock. */
  protected abstract leavePlace(place: number): void;

  #enter(): void {
    for (;;) {
      const place = this.takePlace();
      if (isPresent(this.thread.cpu, this.address)) return;
      this.leavePlace(place);
      this.checkThere();
    }
  }
}
