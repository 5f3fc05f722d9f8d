/**
 * Histograms of waits and of holds as a log of HdrHistogram's, for its plotters and readers: version 1.3 of the log, V2 of the histograms.
 * A line for each lock and each way in which it was waited for or held, with that as its tag. Values are ns, to two digits.
 *
 * Source: HdrHistogram's HistogramLogWriter and AbstractHistogram.encodeIntoByteBuffer.
 */
import { deflateSync } from 'node:zlib';
import { bucketEnd } from '../profile/histogram.ts';
import type { ContentionProfile } from '../profile/read.ts';

const COOKIE = 0x1c849313;
const COMPRESSED_COOKIE = 0x1c849314;
const HEADER_BYTES = 40;
const DIGITS = 2;
/** Sub-buckets of a bucket that are its own: half of those for two digits. A power of two. */
const HALF_POWER = 7;
const HALF = 1 << HALF_POWER;
/** The longest wait that has a bucket of its own, ns, and more. */
const HIGHEST = 2 ** 36;

interface Times {
  readonly longest: number;
  readonly histogram: readonly (readonly [number, number])[];
}

export function hdrLog(profile: ContentionProfile): string {
  const start = Date.parse(profile.startedAt) / 1000;
  const lines = profile.locks.flatMap(({ lock, shared, sync, async, held }) => {
    const name = `${lock}${shared ? ', shared' : ''}`;
    const ways: readonly (readonly [string, Times | undefined])[] = [
      ['waits', sync],
      ['waits, async', async],
      ['holds', held?.sync],
      ['holds, async', held?.async],
    ];
    return ways.flatMap(([way, times]) =>
      times === undefined || times.histogram.length === 0 ? [] : [line(`${name}: ${way}`, profile.duration, times)],
    );
  });
  return [
    '#[Histogram log format version 1.3]',
    `#[StartTime: ${start.toFixed(3)} (seconds since epoch), ${profile.startedAt}]`,
    '"StartTimestamp","Interval_Length","Interval_Max","Interval_Compressed_Histogram"',
    ...lines,
    '',
  ].join('\n');
}

/** Tags have no commas and no blanks. The maximum is in ms. */
function line(tag: string, duration: number, times: Times): string {
  const histogram = encoded(times).toString('base64');
  const safe = tag.replace(/[,\s"]+/g, '_').replace(/^_|_$/g, '');
  return `Tag=${safe},0.000,${(duration / 1e9).toFixed(3)},${(times.longest / 1e6).toFixed(3)},${histogram}`;
}

function encoded({ histogram, longest }: Times): Buffer {
  const counts = new Map<number, number>();
  for (const [start, count] of histogram) {
    // As the quantiles of the profile: the middle of the bucket.
    const value = Math.max(1, Math.min(longest, (start + Math.min(bucketEnd(start), HIGHEST)) / 2));
    const index = indexOf(Math.floor(value));
    counts.set(index, (counts.get(index) ?? 0) + count);
  }
  const bytes: number[] = [];
  let next = 0;
  for (const [index, count] of [...counts].sort(([a], [b]) => a - b)) {
    // So many that are zero.
    if (index > next) putZigZag(bytes, -(index - next));
    putZigZag(bytes, count);
    next = index + 1;
  }
  const header = Buffer.alloc(HEADER_BYTES);
  header.writeInt32BE(COOKIE, 0);
  header.writeInt32BE(bytes.length, 4);
  header.writeInt32BE(DIGITS, 12);
  header.writeBigInt64BE(1n, 16);
  header.writeBigInt64BE(BigInt(HIGHEST), 24);
  header.writeDoubleBE(1, 32);
  const packed = deflateSync(Buffer.concat([header, Buffer.from(bytes)]));
  const outer = Buffer.alloc(8);
  outer.writeInt32BE(COMPRESSED_COOKIE, 0);
  outer.writeInt32BE(packed.length, 4);
  return Buffer.concat([outer, packed]);
}

/** Where HdrHistogram counts a value, a whole number from 1. */
function indexOf(value: number): number {
  const bucket = Math.max(0, Math.floor(Math.log2(value)) - HALF_POWER);
  return (bucket + 1) * HALF + Math.floor(value / 2 ** bucket) - HALF;
}

/** LEB128 of the number with its sign in the lowest bit. */
function putZigZag(bytes: number[], value: number): void {
  let rest = value < 0 ? -2 * value - 1 : 2 * value;
  for (; rest >= 128; rest = Math.floor(rest / 128)) bytes.push((rest % 128) | 128);
  bytes.push(rest);
}
