/**
 * Histograms of trace programs: a counter for each bucket, a word that wraps at 2^32, which one thread adds to.
 *
 *   hist    powers of two       0: less than 0; 1: 0; 2 + k: from 2^k to before 2^(k + 1)
 *   lhist   steps of one width  0: less than `min`; 1 + i: from min + i * step; the last: from `max` on
 */
import type { Cpu } from '../../../machine/cpu.ts';
import type { MapSpec } from './program.ts';

/** Of a `hist`: numbers have at most 53 bits. */
export const POWERS = 2 + 53;
/** Of an `lhist`, those for what is outside included. */
export const MOST_STEPS = 256;

export type Linear = NonNullable<MapSpec['linear']>;

export function powerBucket(x: number): number {
  if (x <= 0) return x < 0 ? 0 : 1;
  return x < 2 ** 31 ? 33 - Math.clz32(x) : 64 - Math.clz32(x / 2 ** 31);
}

export function linearBucket({ min, max, step }: Linear, x: number): number {
  if (x < min) return 0;
  return 1 + Math.floor((Math.min(x, max) - min) / step);
}

export function linearBuckets({ min, max, step }: Linear): number {
  return 2 + Math.ceil((max - min) / step);
}

/** Where a bucket begins; where the next one does is its end. */
export function bucketStart(linear: Linear | undefined, bucket: number): number {
  if (bucket === 0) return Number.NEGATIVE_INFINITY;
  if (linear !== undefined) {
    const start = linear.min + (bucket - 1) * linear.step;
    return bucket > linearBuckets(linear) - 1 ? Number.POSITIVE_INFINITY : Math.min(start, linear.max);
  }
  if (bucket >= POWERS) return Number.POSITIVE_INFINITY;
  return bucket === 1 ? 0 : 2 ** (bucket - 2);
}

/** One more in a bucket that only the calling thread adds to. */
export function countIn(cpu: Cpu, bucket: number): void {
  cpu.storeReleaseLight(bucket, cpu.loadUnordered(bucket) + 1);
}
