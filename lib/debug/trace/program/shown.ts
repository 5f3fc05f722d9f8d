/** How maps are printed: as bpftrace does. */
import { bucketStart } from './histogram.ts';
import type { MapSpec } from './program.ts';

/** Numbers from `from` on and below `to`. */
export interface TraceBucket {
  readonly from: number;
  readonly to: number;
  /** How many there were. */
  readonly count: number;
}

/** What a program has kept for one key, with keys and values that can be read. */
export interface TraceEntry {
  /** One for each of the map's keys: numbers, and texts for names, locks and stacks. */
  readonly key: readonly (number | string)[];
  /** What was stored; the count, the sum, the least, the largest, the average; of a histogram how many numbers are in it. */
  readonly value: number | string;
  /** Of `avg`, `stats` and histograms: how many numbers it is made of. */
  readonly count?: number;
  /** Of `stats`: their sum. */
  readonly total?: number;
  /** Of histograms, those in which there are any. */
  readonly buckets?: readonly TraceBucket[];
}

export interface TraceMap {
  /** `@name`. */
  readonly name: string;
  readonly value: 'number' | 'count' | 'sum' | 'avg' | 'min' | 'max' | 'stats' | 'hist' | 'lhist';
  readonly entries: readonly TraceEntry[];
  /** Events whose key found no room in the map. */
  readonly dropped: number;
  /** Values that were not stored because another thread was about to store one, and was stopped there. */
  readonly lost: number;
}

export function bucketsOf(linear: MapSpec['linear'], counts: readonly number[]): TraceBucket[] {
  const buckets = counts.map((count, i) => ({ from: bucketStart(linear, i), to: bucketStart(linear, i + 1), count }));
  return buckets.filter(({ count }) => count > 0);
}

const BAR = 40;

/** Lines, the largest values last. */
export function mapText({ name, value, entries, dropped, lost }: TraceMap): string {
  const sorted = [...entries].sort((a, b) => rank(a) - rank(b));
  const lines = sorted.map((entry) => {
    const key = entry.key.length === 0 ? '' : `[${entry.key.join(', ')}]`;
    return `${name}${key}: ${entry.buckets === undefined ? valueText(entry, value) : `\n${histogramText(entry.buckets)}`}\n`;
  });
  if (dropped > 0) lines.push(`${name}: ${dropped} events found no room: let ${name} = hash(...) makes more\n`);
  if (lost > 0) lines.push(`${name}: ${lost} values were lost to a thread that was stopped while it stored one\n`);
  return lines.join('');
}

function rank({ value }: TraceEntry): number {
  return typeof value === 'number' ? value : 0;
}

function valueText({ value, count, total }: TraceEntry, kind: MapSpec['value']): string {
  return kind === 'stats' ? `count ${count}, average ${value}, total ${total}` : `${value}`;
}

function histogramText(buckets: readonly TraceBucket[]): string {
  const most = Math.max(...buckets.map(({ count }) => count));
  return buckets
    .map(({ from, to, count }) => {
      const range = `[${bound(from)}, ${bound(to)})`;
      const bar = '@'.repeat(Math.round((BAR * count) / most)).padEnd(BAR);
      return `${range.padEnd(20)} ${`${count}`.padStart(10)} |${bar}|`;
    })
    .join('\n');
}

const SUFFIXES = ['', 'K', 'M', 'G', 'T', 'P'];

/** Powers of two in short, as 4K for 4,096. */
function bound(number: number): string {
  if (!Number.isFinite(number)) return number < 0 ? '-inf' : 'inf';
  let [rest, suffix] = [number, 0];
  while (rest !== 0 && rest % 1024 === 0 && suffix < SUFFIXES.length - 1) [rest, suffix] = [rest / 1024, suffix + 1];
  return `${rest}${SUFFIXES[suffix]}`;
}
