import { inspect } from 'node:util';
import { type Guard, guardShown, releasedBefore } from '../../arena/guard.ts';
import type { Held } from './core.ts';

/** What a guard asks its semaphore to do; one object for all guards of a view. */
export interface Returning {
  /** The view. The first field, so that `postMessage` of a guard fails by it; see `arena/guard.ts`. */
  readonly semaphore: object;
  giveBack(permits: number, task: number, held: Held, guard: SemaphoreGuard): void;
  [inspect.custom](): string;
}

/** Permits that are held until `release`, or until the end of the scope that `using` gives them. */
export class SemaphoreGuard implements Guard {
  readonly permits: number;
  readonly #task: number;
  readonly #held: Held;
  /** Undefined once `release` was called. */
  private returning: Returning | undefined;

  /** @internal By `acquire` alone. */
  constructor(permits: number, task: number, held: Held, returning: Returning) {
    this.permits = permits;
    this.#task = task;
    this.#held = held;
    this.returning = returning;
  }

  /** Gives the permits back. Throws EPERM when that was done before. */
  release(): void {
    const returning = this.returning;
    if (returning === undefined) throw releasedBefore();
    this.returning = undefined;
    returning.giveBack(this.permits, this.#task, this.#held, this);
  }

  [Symbol.dispose](): void {
    if (this.returning !== undefined) this.release();
  }

  toString(): string {
    return guardShown(this.returning);
  }

  toJSON(): string {
    return guardShown(this.returning);
  }

  [inspect.custom](): string {
    return guardShown(this.returning);
  }
}
