/** Whose turn it is on each core: threads stay on their core, and take turns of one time slice, first in first out. */
import type { SimThread } from './thread.ts';

export class Scheduler {
  readonly switchPs: number;
  readonly slicePs: number;
  readonly #current: (SimThread | null)[];
  readonly #queues: SimThread[][];
  /** By core: a slice runs; it is over. */
  readonly #hasSlice: boolean[];
  readonly #isOver: boolean[];

  constructor(cores: number, switchPs: number, slicePs: number) {
    this.switchPs = switchPs;
    this.slicePs = slicePs;
    this.#current = new Array<SimThread | null>(cores).fill(null);
    this.#queues = Array.from({ length: cores }, () => []);
    this.#hasSlice = new Array<boolean>(cores).fill(false);
    this.#isOver = new Array<boolean>(cores).fill(false);
  }

  current(core: number): SimThread | null {
    return this.#current[core]!;
  }

  isCurrent(thread: SimThread): boolean {
    return this.#current[thread.core] === thread;
  }

  /** A thread that can run. Returns whether it has its core at once. */
  arrive(thread: SimThread): boolean {
    if (this.#current[thread.core] === null) {
      this.#current[thread.core] = thread;
      return true;
    }
    this.#queues[thread.core]!.push(thread);
    return false;
  }

  /** The thread's slice is over, and another waits for the core. */
  isPreempted(thread: SimThread): boolean {
    const { core } = thread;
    return this.#isOver[core]! && !thread.holdsCore && this.#current[core] === thread && this.#queues[core]!.length > 0;
  }

  /** The current thread leaves the core, for the end of the queue or for good. Returns the next, or null. */
  switch(core: number, goesToEnd: boolean): SimThread | null {
    const queue = this.#queues[core]!;
    const leaving = this.#current[core]!;
    if (goesToEnd && leaving !== null) queue.push(leaving);
    const next = queue.shift() ?? null;
    this.#current[core] = next;
    this.#isOver[core] = false;
    return next;
  }

  /** Whether a slice begins: somebody waits, and none runs yet. */
  beginSlice(core: number): boolean {
    if (this.#hasSlice[core] || this.#queues[core]!.length === 0) return false;
    this.#hasSlice[core] = true;
    return true;
  }

  endSlice(core: number): void {
    this.#hasSlice[core] = false;
    this.#isOver[core] = this.#queues[core]!.length > 0;
  }
}
