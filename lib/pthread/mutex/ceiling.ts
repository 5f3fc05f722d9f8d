/** PTHREAD_PRIO_PROTECT: a thread is at least as urgent as the most urgent ceiling of the mutexes that it holds. */
import { NO_CEILING, setCeiling } from '../../sched/priority.ts';
import type { Thread } from '../../sched/thread.ts';
import { ThreadLocal } from '../../sched/thread-local.ts';

/** The mutexes with a ceiling that one thread holds. There are few: a list is quicker than a map. */
export class Ceilings {
  readonly #thread: Thread;
  readonly #mutexes: number[] = [];
  /** Of the mutexes, in their order. */
  readonly #ceilings: number[] = [];

  constructor(thread: Thread) {
    this.#thread = thread;
  }

  /** The thread has `mutex`, and is at least as urgent as `ceiling` until `drop`. */
  raise(mutex: number, ceiling: number): void {
    const place = this.#mutexes.length === 0 ? -1 : this.#mutexes.indexOf(mutex);
    if (place < 0) {
      this.#mutexes.push(mutex);
      this.#ceilings.push(ceiling);
    } else this.#ceilings[place] = ceiling;
    setCeiling(this.#thread, this.#lowest());
  }

  drop(mutex: number): void {
    // As a rule the latest one goes first.
    const last = this.#mutexes.length - 1;
    const place = this.#mutexes[last] === mutex ? last : this.#mutexes.indexOf(mutex);
    if (place < 0) return;
    this.#mutexes[place] = this.#mutexes[last] as number;
    this.#ceilings[place] = this.#ceilings[last] as number;
    this.#mutexes.pop();
    this.#ceilings.pop();
    setCeiling(this.#thread, this.#lowest());
  }

  #lowest(): number {
    let lowest = NO_CEILING;
    for (const ceiling of this.#ceilings) if (ceiling < lowest) lowest = ceiling;
    return lowest;
  }
}

export const ceilingsOfThread = new ThreadLocal((thread) => new Ceilings(thread));
