/**
 * Futex queues as values. Each word has a hidden location that holds who sleeps on it, oldest first, and who was
 * removed by the last change; `wait` and `wake` are read-modify-writes of it, so coherence order is the order in which
 * they held the kernel's hash bucket (V8's wait list):
 *
 *     wait(a, expected)   take the queue; load a; if it holds `expected`, append myself (else leave it alone)
 *                         sleep: await a change that removed me; with a deadline, remove myself instead
 *     wake(a, n)          take the queue and remove the first n
 *
 * The load stands between the halves of the read-modify-write, so no wake comes between comparison and enqueue. A wake
 * that comes first is ordered before the load, so a lost wake-up is found exactly when the waker's store is not
 * ordered before its wake. Taking the queue is an acquire and no more: code that leans on a full barrier in the system
 * call is reported.
 *
 * Locations hold 32-bit words, so a state of a queue is interned.
 */

interface QueueState {
  readonly sleepers: readonly number[];
  readonly removed: readonly number[];
}

/** A sleeper is named by its thread, and by the position of its `wait` in that thread. */
export const MAX_THREADS = 16;

const EMPTY: QueueState = { sleepers: [], removed: [] };

export class FutexQueues {
  readonly #states: QueueState[] = [EMPTY];
  readonly #numbers = new Map<string, number>();

  #intern(sleepers: number[], removed: number[]): number {
    const key = `${sleepers.join()}|${removed.join()}`;
    let number = this.#numbers.get(key);
    if (number === undefined) {
      number = this.#states.push({ sleepers, removed }) - 1;
      this.#numbers.set(key, number);
    }
    return number;
  }

  sleepers(state: number): readonly number[] {
    return this.#states[state]!.sleepers;
  }

  append(state: number, sleeper: number): number {
    return this.#intern([...this.#states[state]!.sleepers, sleeper], []);
  }

  /** The state after waking the first `count`. */
  wake(state: number, count: number): number {
    const { sleepers } = this.#states[state]!;
    return this.#intern(sleepers.slice(count), sleepers.slice(0, count));
  }

  leave(state: number, sleeper: number): number {
    return this.#intern(
      this.#states[state]!.sleepers.filter((s) => s !== sleeper),
      [],
    );
  }

  isAsleep(state: number, sleeper: number): boolean {
    return this.#states[state]!.sleepers.includes(sleeper);
  }

  wasRemovedBy(state: number, sleeper: number): boolean {
    return this.#states[state]!.removed.includes(sleeper);
  }

  describe(state: number): string {
    return `asleep: ${this.#states[state]!.sleepers.map((s) => `thread ${s % MAX_THREADS}`).join(', ') || 'nobody'}`;
  }
}
