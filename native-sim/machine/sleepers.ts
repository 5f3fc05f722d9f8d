/** Threads that sleep on words, first in first out on each: the kernel's futex queues. */
import type { SimThread } from './thread.ts';

export class Sleepers {
  readonly #queues = new Map<number, SimThread[]>();

  add(thread: SimThread): void {
    const queue = this.#queues.get(thread.address);
    if (queue === undefined) this.#queues.set(thread.address, [thread]);
    else queue.push(thread);
  }

  /** Takes the thread that has slept longest on the word. */
  first(address: number): SimThread | undefined {
    return this.#queues.get(address)?.shift();
  }

  remove(thread: SimThread): void {
    const queue = this.#queues.get(thread.address);
    const at = queue?.indexOf(thread) ?? -1;
    if (at >= 0) queue!.splice(at, 1);
  }
}
