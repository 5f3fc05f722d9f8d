/** What the project holds itself to: how many times one figure may be another. */
import { difference, type Figure, median, ratio } from './figure.ts';

export interface Verdict {
  readonly scenario: string;
  readonly what: string;
  readonly measured: number;
  readonly bound: 'at most' | 'at least';
  readonly bar: number;
  readonly holds: boolean;
}

interface Bar {
  readonly scenario: RegExp;
  readonly unit: Figure['unit'];
  readonly peer: string;
  /** A figure to take off first: what the language's own construct costs, whatever the lock. */
  readonly less?: string;
  /** Undefined for a bar on the figure itself. */
  readonly against?: string;
  readonly bound: Verdict['bound'];
  readonly bar: number;
}

const ALONE = /^uncontended$/;
const ASYNC = /^uncontended, async$/;
const CONTENDED = /^contended/;
const PROFILE_SHORT = /^a contention profile, short/;
const PROFILE_MEDIUM = /^a contention profile, medium/;
const PROGRAMS = /^a trace program/;
const SPINNING = /^spinning/;
const GARBAGE = /^garbage/;
const READING = /^95 % reads/;
const SELDOM_WRITTEN = /^99.9 % reads/;
const PERMITS = /^2 permits/;
const INVERSION = /^priority inversion/;
const SETS = /^sets/;
const TABLE = /^reads of a shared table/;
const READERS = /^RCU readers$/;
const FREES = /^memory freed$/;
const STRETCH = /^a stretch$/;
const PERIODS_OF_8 = /^grace periods, 8 threads/;
const TIME = /^the time$/;
const SAME_KEYS = /^get, the same/;
const FRESH_KEYS = /^get, fresh/;
const TEXTS = /^get, values/;
const XARRAY = /^XArray load/;
const MAPLE_LOAD = /^maple load/;
const MAPLE_STORE = /^maple store/;
const MAPLE_BYTES = /^maple, a range/;
const MAPLE_AREA = /^maple emptyArea/;
const REDIS = /^get, beside a Redis/;
const ZIPF = /^Zipf [\d.]+, \d/;
const SCANS = /^Zipf .*scans/;
const SHIFTING = /^(popularity|window)/;
const SMALL_CALLS = /^small calls/;
const ROUND_TRIP = /^round trip$/;
const BARE = 'bare cmpxchg pair';
const ASYNC_HOLDFAST = 'holdfast acquireAsync';

/** What one compare-and-exchange takes and another lets go of. */
const PAIRS = ['RwSemaphore, read', 'RwSemaphore, write', 'Semaphore', 'RtMutex', 'PthreadMutex'];

/** Where a reader of `Rcu` leaves with an ordinary store. */
const IS_X64 = process.arch === 'x64';

// A lock is N times faster where its time is at most 1/N.
const BARS: readonly Bar[] = [
  { scenario: ALONE, unit: 'ns', peer: 'holdfast lock + unlock', against: BARE, bound: 'at most', bar: 1.15 },
  { scenario: ALONE, unit: 'ns', peer: 'holdfast acquire + release', against: BARE, bound: 'at most', bar: 1.3 },
  ...PAIRS.map((peer): Bar => ({ scenario: ALONE, unit: 'ns', peer, against: BARE, bound: 'at most', bar: 1.25 })),
  ...(
    [
      ['RwSemaphore, read in company', 'RwSemaphore, read', 2.2],
      ['Semaphore, guard', 'Semaphore', 1.5],
      ['PercpuRwSemaphore, read', 'two exchanges', 1.3],
      ['PthreadRwlock, read', 'RwSemaphore, read', 2],
      ['PthreadMutex, protect', 'holdfast lock + unlock', 3],
    ] as const
  ).map(([peer, against, bar]): Bar => ({ scenario: ALONE, unit: 'ns', peer, against, bound: 'at most', bar })),
  {
    scenario: /^reading/,
    unit: 'ns',
    peer: 'SeqLock, 4 words',
    less: '4 atomic loads',
    bound: 'at most',
    bar: 10,
  },
  { scenario: GARBAGE, unit: 'bytes', peer: 'holdfast acquire + release', bound: 'at most', bar: 32 },
  ...['native', 'compiled'].flatMap((how): Bar[] => {
    const peer = `holdfast using, ${how}`;
    const less = `using of nothing, ${how}`;
    return [
      { scenario: ALONE, unit: 'ns', peer, against: BARE, bound: 'at most', bar: 1.5 },
      { scenario: ALONE, unit: 'ns', peer, less, against: BARE, bound: 'at most', bar: 1.5 },
      { scenario: GARBAGE, unit: 'bytes', peer, bound: 'at most', bar: 32 },
      { scenario: GARBAGE, unit: 'bytes', peer, less, bound: 'at most', bar: 32 },
    ];
  }),
  {
    scenario: /^uncontended, beside/,
    unit: 'ns',
    peer: 'holdfast lock + unlock',
    against: 'v8',
    bound: 'at most',
    bar: 0.8,
  },
  { scenario: ASYNC, unit: 'ns', peer: ASYNC_HOLDFAST, against: 'async-mutex', bound: 'at most', bar: 1 / 5 },
  { scenario: ASYNC, unit: 'ns', peer: ASYNC_HOLDFAST, against: 'navigator.locks', bound: 'at most', bar: 1 / 20 },
  { scenario: CONTENDED, unit: 'k/s', peer: 'Mutex', against: 'v8', bound: 'at least', bar: 1 },
  { scenario: CONTENDED, unit: 'k/s', peer: 'Mutex', against: 'textbook', bound: 'at least', bar: 1 },
  // The longest wait is a slice of the scheduler, of every lock alike.
  { scenario: CONTENDED, unit: 'us, p99.9', peer: 'Mutex', against: 'v8', bound: 'at most', bar: 1 },
  { scenario: PROFILE_SHORT, unit: 'k/s', peer: 'Mutex, profiled', against: 'Mutex', bound: 'at least', bar: 0.65 },
  { scenario: PROFILE_MEDIUM, unit: 'k/s', peer: 'Mutex, profiled', against: 'Mutex', bound: 'at least', bar: 0.8 },
  { scenario: PROGRAMS, unit: 'ns', peer: 'histogram, compiled', less: 'a call', bound: 'at most', bar: 30 },
  { scenario: PROGRAMS, unit: 'ns', peer: 'histogram, interpreted', less: 'a call', bound: 'at most', bar: 60 },
  { scenario: PROGRAMS, unit: 'ns', peer: 'histogram by name, compiled', less: 'a call', bound: 'at most', bar: 30 },
  { scenario: PROGRAMS, unit: 'ns', peer: 'filtered out, compiled', less: 'a call', bound: 'at most', bar: 10 },
  { scenario: SPINNING, unit: 'k/s', peer: 'SpinLock', against: 'Mutex', bound: 'at least', bar: 0.5 },
  ...['Mutex', 'textbook RwLock', 'multithreading RwLock'].map(
    (against): Bar => ({ scenario: READING, unit: 'k/s', peer: 'RwSemaphore', against, bound: 'at least', bar: 1 }),
  ),
  { scenario: READING, unit: 'ms', peer: 'RwSemaphore', against: 'textbook RwLock', bound: 'at most', bar: 1 / 4 },
  {
    scenario: SELDOM_WRITTEN,
    unit: 'k/s',
    peer: 'PercpuRwSemaphore',
    against: 'RwSemaphore',
    bound: 'at least',
    bar: 2,
  },
  { scenario: PERMITS, unit: 'k/s', peer: 'Semaphore', against: 'multithreading Semaphore', bound: 'at least', bar: 1 },
  { scenario: INVERSION, unit: 'ms', peer: 'RtMutex', against: 'RtMutex, held by the low', bound: 'at most', bar: 1 },
  { scenario: INVERSION, unit: 'ms', peer: 'RtMutex', against: 'Mutex', bound: 'at most', bar: 1 / 2 },
  { scenario: TABLE, unit: 'k/s', peer: 'RcuQsbr', against: 'unprotected', bound: 'at least', bar: 0.9 },
  { scenario: TABLE, unit: 'k/s', peer: 'RcuQsbr', against: 'RwSemaphore', bound: 'at least', bar: 30 },
  { scenario: TABLE, unit: 'k/s', peer: 'Rcu', against: 'RwSemaphore', bound: 'at least', bar: IS_X64 ? 12 : 8 },
  {
    scenario: READERS,
    unit: 'ns',
    peer: 'Rcu',
    against: 'two Atomics.store',
    bound: 'at most',
    bar: IS_X64 ? 0.7 : 1.1,
  },
  { scenario: READERS, unit: 'ns', peer: 'RcuQsbr', bound: 'at most', bar: 2 },
  { scenario: STRETCH, unit: 'ns', peer: 'RcuQsbr', less: 'none', bound: 'at most', bar: 120 },
  { scenario: PERIODS_OF_8, unit: 'ns', peer: 'synchronizeExpedited', bound: 'at most', bar: 10_000 },
  { scenario: PERIODS_OF_8, unit: 'ns', peer: 'synchronize', bound: 'at most', bar: 150_000 },
  // 3 and 1 million a second.
  { scenario: FREES, unit: 'ns', peer: 'slab, kfree', bound: 'at most', bar: 1e9 / 3e6 },
  { scenario: FREES, unit: 'ns', peer: 'heap, kfree', bound: 'at most', bar: 1000 },
  ...['slab', 'heap'].map(
    (what): Bar => ({
      scenario: FREES,
      unit: 'ns',
      peer: `${what}, kfree`,
      against: `${what}, free`,
      bound: 'at most',
      bar: 1.5,
    }),
  ),
  { scenario: TIME, unit: 'ns', peer: 'MONOTONIC_COARSE', against: 'Date.now', bound: 'at most', bar: 1 / 2 },
  { scenario: TIME, unit: 'ns', peer: 'MONOTONIC_COARSE', against: 'performance.now', bound: 'at most', bar: 1 / 3 },
  {
    scenario: TIME,
    unit: 'ns',
    peer: 'MONOTONIC, into an array',
    against: 'process.hrtime.bigint',
    bound: 'at most',
    bar: 1 / 2,
  },
  { scenario: SAME_KEYS, unit: 'ns', peer: 'SharedMap', against: 'Map', bound: 'at most', bar: 2.5 },
  { scenario: FRESH_KEYS, unit: 'ns', peer: 'SharedMap', against: 'Map', bound: 'at most', bar: 1.3 },
  { scenario: TEXTS, unit: 'ns', peer: 'SharedMap', against: 'Map', bound: 'at most', bar: 4 },
  { scenario: XARRAY, unit: 'ns', peer: 'XArray', against: 'Map', bound: 'at most', bar: 1 },
  { scenario: MAPLE_LOAD, unit: 'ns', peer: 'MapleTree', against: 'sorted-btree', bound: 'at most', bar: 1 / 2 },
  { scenario: MAPLE_STORE, unit: 'ns', peer: 'MapleTree', against: 'sorted-btree', bound: 'at most', bar: 1 },
  { scenario: MAPLE_BYTES, unit: 'bytes', peer: 'MapleTree', bound: 'at most', bar: 32 },
  { scenario: MAPLE_AREA, unit: 'ns', peer: 'MapleTree', bound: 'at most', bar: 2000 },
  { scenario: REDIS, unit: 'ns', peer: 'SharedCache', against: 'Redis', bound: 'at most', bar: 1 / 20 },
  // Points of per cent.
  { scenario: ZIPF, unit: '% hits', peer: 'SharedCache', less: 'lru-cache', bound: 'at least', bar: 2 },
  { scenario: SCANS, unit: '% hits', peer: 'SharedCache', less: 'lru-cache', bound: 'at least', bar: 3 },
  { scenario: SHIFTING, unit: '% hits', peer: 'SharedCache', less: 'lru-cache', bound: 'at least', bar: -1 },
  { scenario: SMALL_CALLS, unit: 'k/s', peer: 'holdfast', against: 'Piscina', bound: 'at least', bar: 20 },
  {
    scenario: SMALL_CALLS,
    unit: 'k/s',
    peer: 'holdfast',
    against: 'Piscina, 64 tasks a worker',
    bound: 'at least',
    bar: 10,
  },
  { scenario: ROUND_TRIP, unit: 'ns', peer: 'holdfast', against: 'Piscina', bound: 'at most', bar: 1 / 2 },
  ...['wound-wait', 'wait-die'].map(
    (peer): Bar => ({ scenario: SETS, unit: 'unended', peer, bound: 'at most', bar: 0 }),
  ),
];

const MEASURES: Record<Figure['unit'], string> = {
  ns: 'time',
  'k/s': 'throughput',
  ms: 'longest wait',
  'us, p99.9': 'p99.9 of waits',
  bytes: 'bytes',
  'least/most': 'evenness',
  'back-offs/set': 'back-offs in a set',
  unended: 'sets that never ended',
  '% hits': 'hits',
};

/** The bars whose figures were measured, in the order of the figures. */
export function verdicts(figures: readonly Figure[]): Verdict[] {
  const scenarios = [...new Set(figures.map((figure) => figure.scenario))];
  return scenarios.flatMap((scenario) => BARS.flatMap((bar) => verdict(bar, scenario, figures) ?? []));
}

function verdict(bar: Bar, scenario: string, figures: readonly Figure[]): Verdict | undefined {
  if (!bar.scenario.test(scenario)) return undefined;
  const find = (peer: string | undefined) =>
    figures.find((figure) => figure.scenario === scenario && figure.peer === peer && figure.unit === bar.unit);
  const [peer, less, against] = [find(bar.peer), find(bar.less), find(bar.against)];
  if (peer === undefined || (bar.against !== undefined && against === undefined)) return undefined;
  const mine = less === undefined ? peer : difference(peer, less);
  const measured = against === undefined ? median(mine.rounds) : ratio(mine, against);
  return {
    scenario,
    what: `${bar.peer}${bar.less ? ` - ${bar.less}` : ''}: ${MEASURES[bar.unit]}${bar.against ? ` / ${bar.against}` : ''}`,
    measured,
    bound: bar.bound,
    bar: bar.bar,
    holds: bar.bound === 'at most' ? measured <= bar.bar : measured >= bar.bar,
  };
}
