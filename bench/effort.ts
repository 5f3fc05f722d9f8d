/** How long to measure. */
export interface Effort {
  readonly rounds: number;
  /** Of one contended measurement. */
  readonly milliseconds: number;
  /** Of one single-threaded measurement. */
  readonly seconds: number;
}

export const DEFAULT: Effort = { rounds: 5, milliseconds: 750, seconds: 0.2 };
export const QUICK: Effort = { rounds: 3, milliseconds: 250, seconds: 0.1 };
