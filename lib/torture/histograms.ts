import { createHistogram, type RecordableHistogram } from 'node:perf_hooks';
import type { Times } from './outcome.ts';

/** Of durations in ns, up to two hours, to two digits: 43 KB. A clone in another thread records into the same memory. */
export function durations(): RecordableHistogram {
  return createHistogram({ lowest: 1, highest: 2 ** 43, figures: 2 });
}

export function merged(histograms: readonly RecordableHistogram[]): RecordableHistogram {
  const all = durations();
  for (const histogram of histograms) if (histogram.count > 0) all.add(histogram);
  return all;
}

export function timesOf(histogram: RecordableHistogram): Times {
  if (histogram.count === 0) return { p50: 0, p99: 0, max: 0 };
  return { p50: histogram.percentile(50), p99: histogram.percentile(99), max: histogram.max };
}

/** Share of durations that are longer than each of some. */
export function tailOf(histogram: RecordableHistogram): (readonly [number, number])[] {
  const points: (readonly [number, number])[] = [];
  const { count } = histogram;
  for (let longer = 1; longer > 0.9 / Math.max(count, 1); longer *= 0.87) {
    const duration = histogram.percentile(Math.max(100 * (1 - longer), 0.0001));
    if (points.at(-1)?.[0] === duration) points.pop();
    points.push([duration, longer]);
  }
  return count === 0 ? [] : points;
}
