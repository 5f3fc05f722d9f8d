/**
 * How long waits took, as counts in buckets of a log-linear histogram: four to each power of two, so that a bucket is at most
 * a quarter wider than where it begins.
 *
 *   bucket 0         less than 256 ns
 *   bucket 1 + 4k+q  from (4 + q) * 2^(6+k) ns to before (5 + q) * 2^(6+k) ns, for q from 0 to 3
 *   the last         all longer ones: from 2^34 ns, 17 s, on
 *
 * A bucket is a word, counts to 2^32, and is added to in one step.
 */
import type { Cpu } from '../../machine/cpu.ts';

const FIRST_POWER = 8;
const LAST_POWER = 34;
const QUARTERS = 4;

export const BUCKETS = 2 + (LAST_POWER - FIRST_POWER) * QUARTERS;

/** The bucket of a duration in ns. */
export function bucketOf(ns: number): number {
  if (ns < 2 ** FIRST_POWER) return 0;
  if (ns >= 2 ** LAST_POWER) return BUCKETS - 1;
  // Without `**`, which is a call of some 60 ns where its exponent is no constant.
  const power = ns < 2 ** 31 ? 31 - Math.clz32(ns) : 62 - Math.clz32(ns / 2 ** 31);
  const quarters = ns < 2 ** 31 ? ns >>> (power - 2) : (ns / 2 ** 8) >>> (power - 10);
  return 1 + (power - FIRST_POWER) * QUARTERS + (quarters - QUARTERS);
}

/** Where a bucket begins, ns; that of the bucket behind the last is Infinity. */
export function bucketStart(bucket: number): number {
  if (bucket === 0) return 0;
  if (bucket >= BUCKETS) return Number.POSITIVE_INFINITY;
  const step = bucket - 1;
  return (QUARTERS + (step % QUARTERS)) * 2 ** (FIRST_POWER - 2 + Math.floor(step / QUARTERS));
}

/** Where the bucket ends that begins at `start`, ns. */
export function bucketEnd(start: number): number {
  return bucketStart(bucketOf(start) + 1);
}

/** The counts of the histogram at `address`. */
export function readBuckets(cpu: Cpu, address: number): number[] {
  return Array.from({ length: BUCKETS }, (_, bucket) => cpu.load(address + bucket) >>> 0);
}

/** What `share` of the waits took at most, ns: the middle of the bucket in which that one is, and not more than `max`. */
export function quantile(counts: readonly number[], share: number, max: number): number {
  const total = counts.reduce((sum, count) => sum + count, 0);
  let rest = Math.max(1, Math.ceil(total * share));
  for (const [bucket, count] of counts.entries()) {
    rest -= count;
    if (rest > 0) continue;
    const [start, end] = [bucketStart(bucket), bucketStart(bucket + 1)];
    return Math.min(max, end === Number.POSITIVE_INFINITY ? max : (start + end) / 2);
  }
  return 0;
}
