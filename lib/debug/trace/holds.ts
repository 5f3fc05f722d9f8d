/** What one thread holds, in its own memory. Locks of synchronous code are given back in reverse order, as a rule. */

export interface Hold {
  address: number;
  task: number;
  /** Its number in the trace's table. */
  lock: number;
  mode: number;
  /** `cpu.now()`. */
  since: number;
}

/** Holds that a thread remembers: a program that takes more at a time, or never gives them back, has no hold times for those. */
const MOST = 1 << 14;

export class Holds {
  /** In the order in which they were taken; those from `#count` on are to be used again. */
  readonly #all: Hold[] = [];
  #count = 0;

  /** Undefined when there are too many. Its caller says since when. */
  begin(address: number, task: number, lock: number, mode: number): Hold | undefined {
    if (this.#count === MOST) return undefined;
    const hold = this.#all[this.#count++];
    if (hold === undefined) {
      // With a fraction, so that V8 keeps a place for floats there and makes no object of each.
      const first = { address, task, lock, mode, since: 0.5 };
      this.#all.push(first);
      return first;
    }
    hold.address = address;
    hold.task = task;
    hold.lock = lock;
    hold.mode = mode;
    return hold;
  }

  /** The last acquisition of the lock at `address` by `task`. */
  find(address: number, task: number): Hold | undefined {
    const at = this.#placeOf(address, task);
    return at < 0 ? undefined : this.#all[at];
  }

  /** That one is over; what comes back is good until the next call. */
  end(address: number, task: number): Hold | undefined {
    const at = this.#placeOf(address, task);
    if (at < 0) return undefined;
    const hold = this.#all[at] as Hold;
    this.#count--;
    // It goes behind those that are held still.
    if (at !== this.#count) {
      this.#all.copyWithin(at, at + 1, this.#count + 1);
      this.#all[this.#count] = hold;
    }
    return hold;
  }

  clear(): void {
    this.#count = 0;
  }

  #placeOf(address: number, task: number): number {
    for (let at = this.#count - 1; at >= 0; at--) {
      const hold = this.#all[at] as Hold;
      if (hold.address === address && hold.task === task) return at;
    }
    return -1;
  }
}
