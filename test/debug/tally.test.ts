/** A sum in two words, and a histogram in many, that threads add to and die in the middle of. */
import { describe, expect, test } from 'vitest';
import { BUCKETS, bucketOf, bucketStart, quantile } from '../../lib/debug/profile/histogram.ts';
import { Tally, tallyAdd, tallyRead } from '../../lib/debug/profile/tally.ts';
import { step, stepper } from '../support/stepper.ts';

function stage() {
  const { arenas, before, killBefore, stopBefore, real } = stepper(2);
  const at = arenas[0]!.alloc(Tally.words);
  real.store(at, 0);
  real.store(at + 1, 0);
  return { cpus: arenas.map(({ cpu }) => cpu), before, killBefore, stopBefore, real, at };
}

describe('a tally', () => {
  test('loses a carry, or makes one too many', () => {
    const { real, at } = stage();
    let sum = 0;
    for (const amount of [1, 2 ** 28 - 1, 2 ** 31, 2 ** 32 - 1, 2 ** 32, 2 ** 32 + 5, 2 ** 45 + 3, 2 ** 28, 7]) {
      tallyAdd(real, at, amount);
      sum += amount;
      expect(tallyRead(real, at), `after ${amount}`).toBe(sum);
    }
  });

  test('takes a part of an addition with the thread that is killed in it, or four seconds for the carry', () => {
    for (const [before, amount] of [
      [0, 100],
      [2 ** 28 - 1, 1],
      [2 ** 32 - 10, 2 ** 28 + 20],
      [5 * 2 ** 32 - 1, 2 ** 31 + 1],
    ] as const) {
      const reached: number[] = [];
      for (let n = 1; ; n++) {
        const { cpus, killBefore, real, at } = stage();
        tallyAdd(real, at, before);
        if (!killBefore(1, step(n), () => tallyAdd(cpus[1]!, at, amount))) break;
        const left = tallyRead(real, at) - before;
        expect([0, amount], `before step ${n}`).toContain(left);
        reached.push(left);
        // The next thread pays what the dead one owes.
        tallyAdd(cpus[0]!, at, 1);
        expect(tallyRead(real, at), `before step ${n}`).toBe(before + left + 1);
        expect((real.load(at + Tally.high) & 15) - (real.load(at + Tally.low) >>> 28)).toBe(0);
      }
      expect(reached).toContain(0);
      expect(reached).toContain(amount);
    }
  });

  test('counts an addition twice, or not at all, when another thread adds at any step of it', () => {
    for (let n = 1; ; n++) {
      const { cpus, before: rightBefore, real, at } = stage();
      tallyAdd(real, at, 2 ** 32 - 1);
      let isBetween = false;
      rightBefore(1, step(n), () => {
        isBetween = true;
        tallyAdd(cpus[0]!, at, 3 * 2 ** 28);
      });
      tallyAdd(cpus[1]!, at, 2 ** 29);
      if (!isBetween) break;
      expect(tallyRead(real, at), `before step ${n}`).toBe(2 ** 32 - 1 + 5 * 2 ** 28);
    }
  });

  test('reads half of an addition', () => {
    for (let n = 1; ; n++) {
      const { cpus, before: rightBefore, real, at } = stage();
      tallyAdd(real, at, 2 ** 28 - 1);
      let isBetween = false;
      rightBefore(1, step(n), () => {
        isBetween = true;
        tallyAdd(cpus[0]!, at, 2 ** 28);
      });
      const sum = tallyRead(cpus[1]!, at);
      if (!isBetween) break;
      expect([2 ** 28 - 1, 2 ** 29 - 1], `before step ${n}`).toContain(sum);
    }
  });
});

describe('a histogram', () => {
  test('has a bucket that a duration falls in and that does not hold it', () => {
    expect(bucketStart(BUCKETS)).toBe(Number.POSITIVE_INFINITY);
    const durations = Array.from({ length: 60 * 40 }, (_, i) => Math.floor(2 ** (i / 40)));
    for (const ns of [0, 1, 255, 256, 257, 2 ** 31 - 1, 2 ** 31, 2 ** 34 - 1, 2 ** 34, 2 ** 50, ...durations]) {
      const bucket = bucketOf(ns);
      expect(bucketStart(bucket), `${ns}`).toBeLessThanOrEqual(ns);
      expect(bucketStart(bucket + 1), `${ns}`).toBeGreaterThan(ns);
    }
  });

  test('has a bucket more than a quarter wider than where it begins', () => {
    for (let bucket = 1; bucket < BUCKETS - 1; bucket++) {
      const start = bucketStart(bucket);
      expect(bucketOf(start), `bucket ${bucket}`).toBe(bucket);
      expect(bucketStart(bucket + 1) - start).toBeLessThanOrEqual(start / 4);
    }
  });

  test('takes a quantile from a wrong bucket, or one above the longest', () => {
    const counts = Array.from({ length: BUCKETS }, () => 0);
    expect(quantile(counts, 0.5, 0)).toBe(0);
    counts[bucketOf(1000)] = 98;
    counts[bucketOf(1e6)] = 2;
    const near = (ns: number) => [bucketStart(bucketOf(ns)), bucketStart(bucketOf(ns) + 1)] as const;
    for (const [share, ns] of [
      [0.01, 1000],
      [0.5, 1000],
      [0.98, 1000],
      [0.99, 1e6],
      [1, 1e6],
    ] as const) {
      const value = quantile(counts, share, 2e6);
      expect(value, `${share}`).toBeGreaterThanOrEqual(near(ns)[0]);
      expect(value, `${share}`).toBeLessThan(near(ns)[1]);
    }
    expect(quantile(counts, 0.99, near(1e6)[0])).toBe(near(1e6)[0]);
    counts[BUCKETS - 1] = 1000;
    expect(quantile(counts, 0.99, 30e9)).toBe(30e9);
  });
});
