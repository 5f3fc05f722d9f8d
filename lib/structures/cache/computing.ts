/**
 * What a caller does that finds a value missing: it waits for the one that computes it, or is told to compute it itself. The
 * steps on shared memory are those of `flights.ts`.
 */
import { HoldfastError } from '../../errors.ts';
import type { Futexes } from '../../futex/table.ts';
import { wait } from '../../futex/wait.ts';
import { MATCH_ANY, wake } from '../../futex/wake.ts';
import type { GaveUp, SlowPath, Waiter } from '../../sched/slow-path.ts';
import type { Packed } from '../map/codec.ts';
import type { FlightTable, Start } from './flights.ts';

/** How a call of `getOrCompute` goes on. */
type Joined<V> =
  | { readonly is: 'value'; readonly value: V }
  | { readonly is: 'compute'; readonly flight: number }
  | { readonly is: 'deadlock' }
  | GaveUp;

/** Of the cache whose values are computed. */
interface Cache<V> {
  readonly label: string;
  /** The calling thread. */
  readonly thread: number;
  valueOf(entry: number): V;
  beginWait(task: number): void;
}

export class Computing<V> {
  readonly #table: FlightTable;
  readonly #futexes: Futexes;
  readonly #cache: Cache<V>;

  constructor(table: FlightTable, futexes: Futexes, cache: Cache<V>) {
    this.#table = table;
    this.#futexes = futexes;
    this.#cache = cache;
  }

  /** Until the value is there, or the caller is to compute it. */
  *join(key: Packed, waiter: Waiter): SlowPath<Joined<V>> {
    const table = this.#table;
    for (let hasWaited = false; ; ) {
      table.enter();
      const entry = table.find(key);
      if (table.isThereFor(hasWaited, entry)) return { is: 'value', value: this.#cache.valueOf(entry) };
      const written = yield* table.writeIn(waiter, () => table.takeOff(key, hasWaited));
      this.wakeAll();
      // It throws nothing, and waits for no memory.
      if (written === 'aborted') return written;
      const start: Start = written !== 'timed-out' && written.is === 'done' ? written.result : { is: 'alone' };
      if (start.is === 'there') continue;
      if (start.is === 'alone') return { is: 'compute', flight: 0 };
      if (start.is === 'mine') return { is: 'compute', flight: start.flight };
      if (!waiter.async && start.owner === this.#cache.thread) return { is: 'deadlock' };
      const result = yield* wait(this.#futexes, start.turn, start.seen, MATCH_ANY, waiter);
      if (result === 'timed-out' || result === 'aborted') return result;
      hasWaited = true;
      // `destroy` looks for those who have lined up for the cache, and then at its flights: this moves from one to the other once.
      this.#cache.beginWait(waiter.task);
    }
  }

  /** The value was computed, or could not be. Without memory for it nothing is stored. */
  *land(flight: number, key: Packed, value: Packed | undefined, expires: number, waiter: Waiter): SlowPath<void> {
    if (flight === 0) return;
    const table = this.#table;
    const landed = yield* table.writeIn(waiter, () => table.land(flight, key, value, expires));
    const isOver = typeof landed !== 'string' && landed.is === 'done';
    if (!isOver) yield* table.writeIn(waiter, () => table.land(flight, key, undefined, 0));
    this.wakeAll();
  }

  /** Those who wait for flights that are over look again. */
  wakeAll(): void {
    for (const turn of this.#table.takeOver()) wake(this.#futexes, turn, Number.POSITIVE_INFINITY, MATCH_ANY);
  }

  /** The EDEADLK of a synchronous call. */
  own(): HoldfastError {
    return new HoldfastError(
      'EDEADLK',
      `this thread is computing the value itself: waiting for the ${this.#cache.label} would never end`,
    );
  }
}
