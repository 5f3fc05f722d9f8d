/**
 * What the instructions of a trace program compute: the one place that says so, for the interpreter, the compiler and the verifier.
 *
 * Registers hold whole numbers from -(2^53 - 1) to 2^53 - 1, in doubles. Words of 32 bits would end after 4.3 s of nanoseconds, and
 * BigInts, which have 64 bits, leave garbage and take some 50 ns a step. So additions, subtractions, multiplications and divisions are
 * exact; one whose result is larger gives the largest number, on either side. Bits are those of the number modulo 2^32, and the result of
 * an operation on bits is from 0 to 2^32 - 1. Nothing divides by zero: x / 0 is 0, and x % 0 is x, as in eBPF.
 */
export const LARGEST = Number.MAX_SAFE_INTEGER;

export function clamped(x: number): number {
  return Math.max(-LARGEST, Math.min(x, LARGEST));
}

/** Adding 0 makes a 0 of a -0, which prints and compares as one value then. */
export function product(a: number, b: number): number {
  return clamped(a * b + 0);
}

/** Rounded towards 0. */
export function quotient(a: number, b: number): number {
  return b === 0 ? 0 : Math.trunc(a / b) + 0;
}

/** What `quotient` leaves: it has the sign of `a`. */
export function remainder(a: number, b: number): number {
  return b === 0 ? a : (a % b) + 0;
}

/** The words of a number in shared memory: the lower 32 bits, and what is above them. */
export function lowWord(x: number): number {
  return x | 0;
}

export function highWord(x: number): number {
  return (x - (x >>> 0)) / 2 ** 32;
}

export function fromWords(low: number, high: number): number {
  return high * 2 ** 32 + (low >>> 0);
}
