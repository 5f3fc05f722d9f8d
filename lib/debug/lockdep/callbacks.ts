/**
 * What callbacks of one thread wait for in its synchronous code, and what its asynchronous sections hold while they await. A callback can come
 * in the middle of a section, and while the thread sleeps for its lock, the section does not go on. So the section's lock before the
 * callback's is an order, though the two have not met yet.
 *
 * That is what an interrupt is to the kernel: a lock that is taken in one is safe, one that is held while it is let in is unsafe.
 *
 * Source: kernel/locking/lockdep.c, check_irq_usage.
 */
import type { Hold } from './holds.ts';

export class Callbacks {
  /** By class and mode, the first of each. Copies: `end` takes the stack from the hold itself. */
  readonly #sections = new Map<number, Hold>();
  readonly #waits = new Map<number, Hold>();

  /** A callback waits for that lock. The sections that may be open then, if they are not known to be. */
  waits(hold: Hold): Iterable<Hold> {
    return keep(this.#waits, hold) ? this.#sections.values() : [];
  }

  /** A section has held that lock while it awaited. What callbacks may wait for meanwhile, if that is not known. */
  awaited(hold: Hold): Iterable<Hold> {
    return keep(this.#sections, hold) ? this.#waits.values() : [];
  }

  clear(): void {
    this.#sections.clear();
    this.#waits.clear();
  }
}

/** Whether it is the first one of its class and mode. */
function keep(known: Map<number, Hold>, hold: Hold): boolean {
  const key = hold.class * 3 + hold.reading;
  if (known.has(key)) return false;
  known.set(key, { ...hold });
  return true;
}
