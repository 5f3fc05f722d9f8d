/** An arena's state as metrics of Prometheus, and in its text format 0.0.4: https://prometheus.io/docs/instrumenting/exposition_formats. */
import type { ContentionProfile, WaitTimes } from '../profile/read.ts';
import { classNameOf } from '../profile/rows.ts';
import type { ArenaState } from './state.ts';

export const METRICS_TYPE = 'text/plain; version=0.0.4; charset=utf-8';

type Labels = Readonly<Record<string, string>>;

/** Ends of buckets, ns: some of those where the profile's own buckets end, so that the counts are exact. 1 us to 9 s. */
const ENDS = [10, 13, 17, 20, 23, 27, 30, 33].map((power) => 2 ** power);

/** A metric at one moment. */
export interface PromFigures {
  readonly name: string;
  readonly help: string;
  readonly type: 'gauge' | 'counter' | 'histogram';
  /** `metricName` is of a line of a histogram. */
  readonly values: readonly { value: number; labels: Record<string, string>; metricName?: string }[];
  /** Of several processes. */
  readonly aggregator: 'sum' | 'average';
}

export interface Metric extends PromFigures {
  /** False for what only a profile knows, where none is made. */
  readonly isKnown: boolean;
}

type Samples = readonly (readonly [Labels, number])[];

/** All metrics, in the order of their names in `/metrics`: always the same ones. */
export function metricsOf({ arena, threads, waits, deadlocks, profile, pressure }: ArenaState): Metric[] {
  const waiting = grouped(waits, ({ object, async }) => ({ class: classNameOf(object), mode: modeOf(async) }));
  const { avg10, avg60, avg300 } = pressure ?? { avg10: 0, avg60: 0, avg300: 0 };
  return [
    gauge('arena_bytes', 'Size of the heap.', [[{}, arena.bytes]]),
    gauge('arena_used_bytes', 'Bytes of the heap that are in use.', [[{}, arena.used]]),
    gauge('threads_max', 'Threads that can be attached.', [[{}, arena.maxThreads]]),
    gauge('threads', 'Attached threads.', [
      [{ state: 'alive' }, threads.filter(({ isAlive }) => isAlive).length],
      [{ state: 'dead' }, threads.filter(({ isAlive }) => !isAlive).length],
    ]),
    gauge('deadlocks', 'Cycles of threads that wait for each other.', [[{}, deadlocks.length]]),
    gauge(
      'waiting',
      'Calls that wait at this moment.',
      [...waiting.values()].map(({ labels, members }) => [labels, members.length] as const),
    ),
    {
      ...gauge('pressure', 'Share of their time that threads wait for locks.', [
        [{ window: '10s' }, avg10],
        [{ window: '60s' }, avg60],
        [{ window: '300s' }, avg300],
      ]),
      ...(pressure === undefined && UNKNOWN),
      aggregator: 'average',
    },
    ...contention(profile).map((metric) => ({ ...metric, ...(profile === undefined && UNKNOWN) })),
  ];
}

const UNKNOWN = { isKnown: false, values: [] };

/** The waits of one class of locks, which have the labels. */
interface Waits {
  readonly labels: Labels;
  readonly times: readonly WaitTimes[];
}

function contention(profile: ContentionProfile | undefined): Metric[] {
  const rows = (profile?.locks ?? []).flatMap((lock) =>
    (['sync', 'async'] as const).map((mode) => ({ lock, mode, times: lock[mode] })).filter(hasWaits),
  );
  const classes = grouped(rows, ({ lock, mode }) => {
    return { class: lock.class, mode, access: lock.shared ? 'shared' : 'exclusive' };
  });
  const waits = [...classes.values()].map(({ labels, members }) => ({
    labels,
    times: members.map(({ times }) => times),
  }));
  const total = (name: string, help: string, field: 'slept' | 'timeouts' | 'aborts' | 'ownerDeaths') =>
    counter(
      `lock_${name}_total`,
      help,
      waits.map(({ labels, times }) => [labels, times.reduce((sum, wait) => sum + wait[field], 0)]),
    );
  return [
    histogram('lock_wait_seconds', 'How long calls have waited.', waits),
    total('sleeps', 'Waits that went to sleep.', 'slept'),
    total('timeouts', 'Waits that ended by their timeout.', 'timeouts'),
    total('aborts', 'Waits that a signal ended.', 'aborts'),
    total('owner_deaths', 'Waits that got the lock of a dead thread.', 'ownerDeaths'),
    counter('profile_dropped_waits_total', 'Waits that found no room in the tables.', [
      [{}, profile?.dropped.waits ?? 0],
    ]),
  ];
}

const modeOf = (async: boolean) => (async ? 'async' : 'sync');
const hasWaits = ({ times }: { times: WaitTimes }) => times.contentions > 0;

function grouped<Item>(items: readonly Item[], labelsOf: (item: Item) => Labels) {
  const groups = new Map<string, { labels: Labels; members: Item[] }>();
  for (const item of items) {
    const labels = labelsOf(item);
    const key = JSON.stringify(labels);
    const group = groups.get(key) ?? { labels, members: [] };
    group.members.push(item);
    groups.set(key, group);
  }
  return groups;
}

function metric(name: string, type: Metric['type'], help: string, values: PromFigures['values']): Metric {
  return { name: `holdfast_${name}`, help, type, values, aggregator: 'sum', isKnown: true };
}

const valuesOf = (samples: Samples) => samples.map(([labels, value]) => ({ labels, value }));
const gauge = (name: string, help: string, samples: Samples) => metric(name, 'gauge', help, valuesOf(samples));
const counter = (name: string, help: string, samples: Samples) => metric(name, 'counter', help, valuesOf(samples));

function histogram(name: string, help: string, waits: readonly Waits[]): Metric {
  const values = waits.flatMap(({ labels, times }) => {
    const line = (end: string, more: Labels, of: (wait: WaitTimes) => number, unit = 1) => ({
      metricName: `holdfast_${name}_${end}`,
      labels: { ...labels, ...more },
      value: times.reduce((sum, wait) => sum + of(wait), 0) / unit,
    });
    const count = (wait: WaitTimes) => wait.contentions;
    return [
      ...ENDS.map((end) => line('bucket', { le: `${end / 1e9}` }, (wait) => countBefore(wait, end))),
      line('bucket', { le: '+Inf' }, count),
      line('sum', {}, ({ total }) => total, 1e9),
      line('count', {}, count),
    ];
  });
  return metric(name, 'histogram', help, values);
}

/** What `/metrics` says: what is known. */
export function metricsText(state: ArenaState): string {
  const known = metricsOf(state).filter(({ isKnown }) => isKnown);
  return known.map(textOf).join('');
}

function textOf({ name, help, type, values }: Metric): string {
  const lines = values.map(({ metricName = name, labels, value }) => {
    const shown = Object.entries(labels).map(([label, text]) => `${label}="${quoted(text)}"`);
    return `${metricName}${shown.length === 0 ? '' : `{${shown.join(',')}}`} ${value}\n`;
  });
  return `# HELP ${name} ${help}\n# TYPE ${name} ${type}\n${lines.join('')}`;
}

function countBefore({ histogram }: WaitTimes, end: number): number {
  return histogram.reduce((sum, [start, count]) => (start < end ? sum + count : sum), 0);
}

function quoted(text: string): string {
  return text.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n');
}
