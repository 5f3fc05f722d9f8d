/**
 * The machine's random numbers: xorshift32 (Marsaglia 2003) from a mixed seed. Whole numbers only, so that a seed gives
 * the same run on every version of Node.
 */
export class Random {
  #state: number;

  constructor(seed: number) {
    let h = Math.imul(seed ^ 0x9e3779b9, 0x85ebca6b);
    h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
    this.#state = (h ^ (h >>> 16)) | 1;
  }

  /** A whole number from 0 up to, not including, `limit`, which is at most 2^20. */
  below(limit: number): number {
    let x = this.#state;
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    this.#state = x;
    return (x >>> 8) % limit;
  }
}
