/**
 * Histograms of times in shared memory, for each pool_workqueue: bucket 0 counts times under a microsecond, bucket i those from
 * 2 ** (i - 1) us on, the last all from 16 s on. They are written under the pool's latch, and read without.
 */
import type { Cpu } from '../machine/cpu.ts';
import { TIMES } from './layout.ts';

/** How long items of a queue have taken, in microseconds. */
export interface WorkTimes {
  readonly count: number;
  /** Times below which half of all were, 90 and 99 of 100: each at most twice as long as it really was. 0 when there are none. */
  readonly p50: number;
  readonly p90: number;
  readonly p99: number;
  /** How many took less than 1 us, then less than 2, 4, 8, and so on; the last: how many took 16.8 s or longer. */
  readonly counts: readonly number[];
}

/** `cpu.now()` as items keep it. */
export function microseconds(now: number): number {
  return Math.floor(now / 1e3) | 0;
}

/** A clock that another thread read a moment later looks like a time below 0, by this much at most, us. */
const SKEW = 1 << 20;

/** `us`: 32 bits. A time of 35 minutes to 71 looks like one below 0. */
export function countTime(cpu: Cpu, times: number, us: number): void {
  const isNone = us <= 0 && us > -SKEW;
  const bucket = times + Math.min(isNone ? 0 : 32 - Math.clz32(us), TIMES - 1);
  cpu.write(bucket, cpu.read(bucket) + 1);
}

const SECOND = 1e6;

/** Adds a time to what the two words at `total` say, seconds and microseconds. */
export function addTime(cpu: Cpu, total: number, us: number): void {
  let sum = (cpu.read(total + 1) + us) | 0;
  if (sum >= SECOND) {
    cpu.write(total, cpu.read(total) + Math.floor(sum / SECOND));
    sum %= SECOND;
  }
  cpu.write(total + 1, sum);
}

/** Such a time, microseconds. */
export function readTime(cpu: Cpu, total: number): number {
  return (cpu.load(total) >>> 0) * 1e6 + cpu.load(total + 1);
}

/** The sum of the histograms at these addresses. */
export function readTimes(cpu: Cpu, histograms: readonly number[]): WorkTimes {
  const counts = Array.from({ length: TIMES }, (_, i) =>
    histograms.reduce((sum, times) => sum + (cpu.load(times + i) >>> 0), 0),
  );
  const count = counts.reduce((sum, n) => sum + n, 0);
  const quantile = (share: number) => {
    let left = Math.ceil(count * share);
    const bucket = counts.findIndex((n) => (left -= n) <= 0);
    return count === 0 ? 0 : 2 ** bucket;
  };
  return { count, p50: quantile(0.5), p90: quantile(0.9), p99: quantile(0.99), counts };
}
