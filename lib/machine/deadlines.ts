/**
 * The deadlines of the sleeps on one thread's event loop. `Atomics.waitAsync` with a timeout of its own keeps the timer
 * of a wait that was notified until the timeout passes, some 300 bytes for up to 24.8 days; so an asynchronous sleep has
 * no timeout there, and its deadline stands here until the sleep ends, however it ends.
 *
 * Each thread serves its own: what a missed deadline sets off has to run on that very event loop, so a timer on another
 * thread would come no earlier, and would need a system thread where there may be only one. One timer of the host is
 * armed at a time, for the earliest deadline. It is not taken back when that sleep ends, which is the common case: it
 * fires once, finds nothing due, and is armed for what is the earliest then.
 *
 * A binary heap whose entries know their place: O(log n) to add and to remove.
 */
import { clearTimeout, setTimeout } from './host.ts';

export interface Deadline {
  /** On the clock of the Deadlines, ns. */
  readonly at: number;
  readonly onMissed: () => void;
  /** Place in the heap, or -1 outside. */
  place: number;
}

/** The longest delay of a host timer, ms. It is armed again for what is left. */
const LONGEST_DELAY = 2 ** 31 - 1;

export class Deadlines {
  readonly #now: () => number;
  readonly #heap: Deadline[] = [];
  #timer: NodeJS.Timeout | undefined;
  /** When the timer fires, ns; Infinity when it is not armed. */
  #armedFor = Number.POSITIVE_INFINITY;

  /** `now`: ns, on the clock of the deadlines. */
  constructor(now: () => number) {
    this.#now = now;
  }

  get size(): number {
    return this.#heap.length;
  }

  /** Once the clock has reached `at`, `onMissed` is called, and the deadline is no longer here. */
  add(at: number, onMissed: () => void): Deadline {
    const deadline = { at, onMissed, place: this.#heap.length };
    this.#heap.push(deadline);
    this.#up(deadline);
    this.#arm();
    return deadline;
  }

  /** Nothing when the deadline has passed, or was removed before. */
  remove(deadline: Deadline): void {
    const { place } = deadline;
    if (place < 0) return;
    deadline.place = -1;
    const last = this.#heap.pop() as Deadline;
    if (last === deadline) return;
    this.#put(last, place);
    this.#up(last);
    this.#down(last);
  }

  #arm(): void {
    const first = this.#heap[0];
    if (first === undefined || first.at >= this.#armedFor) return;
    clearTimeout(this.#timer);
    const delay = Math.min(Math.max(Math.ceil((first.at - this.#now()) / 1e6), 0), LONGEST_DELAY);
    this.#armedFor = first.at;
    // The sleeping tasks keep the process alive, not this timer; see `holdEventLoop` in sched/drive.ts.
    this.#timer = setTimeout(this.#fire, delay).unref();
  }

  readonly #fire = () => {
    this.#armedFor = Number.POSITIVE_INFINITY;
    const now = this.#now();
    for (let first = this.#heap[0]; first !== undefined && first.at <= now; first = this.#heap[0]) {
      this.remove(first);
      first.onMissed();
    }
    this.#arm();
  };

  #put(deadline: Deadline, place: number): void {
    this.#heap[place] = deadline;
    deadline.place = place;
  }

  #up(deadline: Deadline): void {
    while (deadline.place > 0) {
      const { place } = deadline;
      const above = this.#heap[(place - 1) >> 1] as Deadline;
      if (above.at <= deadline.at) return;
      this.#put(above, place);
      this.#put(deadline, (place - 1) >> 1);
    }
  }

  #down(deadline: Deadline): void {
    for (;;) {
      const { place } = deadline;
      const [left, right] = [this.#heap[2 * place + 1], this.#heap[2 * place + 2]];
      const below = right !== undefined && left !== undefined && right.at < left.at ? right : left;
      if (below === undefined || below.at >= deadline.at) return;
      const to = below.place;
      this.#put(below, place);
      this.#put(deadline, to);
    }
  }
}
