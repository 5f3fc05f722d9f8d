import { inspect } from 'node:util';
import { type Guard, notCloneable, releasedBefore } from '../arena/guard.ts';

/** Where a reader with a guard is inside; `lane` is what `join` said. */
export interface Joinable {
  join(): 0 | 1;
  leave(lane: 0 | 1): unknown;
}

/** A reader that is inside until the guard is released. */
export class ReadGuard implements Guard {
  protected readonly cloning: () => string = notCloneable;
  /** Undefined once `release` was called. Illegal to keep it then: a later `release` would end another reader. */
  #readers: Joinable | undefined;
  readonly #lane: 0 | 1;

  constructor(readers: Joinable) {
    this.#readers = readers;
    this.#lane = readers.join();
  }

  release(): void {
    const readers = this.#readers;
    if (readers === undefined) throw releasedBefore();
    this.#readers = undefined;
    readers.leave(this.#lane);
  }

  [Symbol.dispose](): void {
    if (this.#readers !== undefined) this.release();
  }

  toString(): string {
    return inspect(this);
  }

  toJSON(): string {
    return inspect(this);
  }

  [inspect.custom](): string {
    return `ReadGuard(${this.#readers === undefined ? 'released' : 'inside'})`;
  }
}
