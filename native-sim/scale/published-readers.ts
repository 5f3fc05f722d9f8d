/** Published measurements of readers, counters, hash tables and messages between two cores. */
import { type Experiment, isRow, parallel, perOperation, type Row, throughput } from './experiment.ts';
import type { RunOptions } from './laboratory.ts';
import { BUCKETS } from './textbook-readers.ts';

/** Readers that go in and out. */
const reading = { section: 0, outside: 0, shared: 0, reads: 1, simulatedNs: 20_000 };
/** Those that wait for nobody make many pairs in little time. */
const brief = { simulatedNs: 10_000 };

/** Of a lookup beside its accesses, fitted to the global lock on one core. */
const lookup = { section: 9, outside: 0, shared: 0, simulatedNs: 60_000 };
/** Those of the table, which readers have in their caches. */
const cached = { warmLines: 1 + 2 * BUCKETS };
/** Five reads to one write. */
const mostlyReading = { section: 0, outside: 0, shared: 0, reads: 5 / 6, simulatedNs: 400_000 };

export const readerExperiments: readonly Experiment[] = [
  {
    name: 'increments',
    source: "perfbook, EPYC Milan: ns for each increment of one shared counter, and of counters of each thread's own",
    unit: 'ns',
    profile: 'epyc-128',
    options: { section: 0, outside: 0, shared: 0, simulatedNs: 100_000 },
    rows: [
      ...parallel('increment', { 1: 2.5, 2: 11.2, 8: 51.7, 16: 116, 32: 268, 64: 584, 128: 1605 }),
      ...parallel('own-counter', { 1: 3.6, 8: 3.7, 64: 3.7, 128: 3.8 }, { simulatedNs: 5000 }),
    ],
    measure: perOperation,
  },
  {
    name: 'read-side',
    source:
      'perfbook: ns for each pair of a reader, RCU without preemption and with it, SRCU, a shared count, rwlock and rwsem',
    unit: 'ns',
    profile: 'xeon-8',
    options: reading,
    rows: [
      ...parallel('empty-rcu', { 1: 0.27, 8: 0.55, 64: 0.41, 192: 0.36 }, { simulatedNs: 2000 }),
      ...parallel('plain-rcu', { 1: 2.9, 8: 3.4, 64: 3.7, 192: 3.8 }, brief),
      ...parallel('rcu', { 1: 2.9, 8: 3.4, 64: 3.7, 192: 3.8 }, brief),
      ...parallel('srcu', { 1: 14, 8: 14, 64: 16, 192: 18 }, brief),
      ...parallel('refcount', { 1: 9.5, 8: 128, 64: 2129, 192: 7005 }),
      ...parallel('plain-qrwlock', { 1: 11, 8: 130, 64: 2076, 192: 7287 }),
      ...parallel('rwlock', { 1: 11, 8: 130, 64: 2076, 192: 7287 }),
      ...parallel('plain-rwsem', { 1: 18, 8: 477, 64: 4578, 192: 15090 }),
      ...parallel('rwsem', { 1: 18, 8: 477, 64: 4578, 192: 15090 }, { simulatedNs: 200_000 }),
    ],
    measure: perOperation,
  },
  {
    name: 'rwlock-readers',
    source:
      "perfbook, 8-socket Xeon 8176: readers of glibc's rwlock, share of the throughput that one core alone would have",
    unit: 'of ideal',
    profile: 'xeon-8',
    options: reading,
    rows: [
      ...shareOfIdeal('empty', { section: 0 }, { 2: 0.17, 16: 0.0135, 64: 0.0024, 224: 0.00057 }),
      ...shareOfIdeal('9 us', { section: 9000, simulatedNs: 400_000 }, { 2: 0.997, 16: 0.465, 64: 0.1, 224: 0.023 }),
      ...shareOfIdeal('100 us', { section: 100_000, simulatedNs: 2e6 }, { 2: 1, 16: 0.99, 64: 0.72, 224: 0.135 }),
      ...shareOfIdeal('1 ms', { section: 1e6, simulatedNs: 1e7 }, { 2: 1, 16: 1, 64: 0.99, 224: 0.83 }),
    ],
    measure: (result) => result.throughput / result.cores,
    isReference: (row, of) => row.cores === 1 && row.options === of.options,
  },
  {
    name: 'qrwlock',
    source:
      'kernel commit 405963b6a57c, 80-core Westmere-EX, reads to writes 5 to 1: time of the old rwlock and of qrwlock, relative to the old one with 2 threads',
    unit: 'of 2 threads',
    profile: 'xeon-8',
    options: mostlyReading,
    rows: [
      ...parallel('plain-rwlock', { 2: 990, 4: 3166, 8: 6065, 20: 13767 }),
      ...parallel('plain-qrwlock', { 2: 895, 4: 2830, 8: 6004, 20: 13817 }),
    ],
    measure: perOperation,
    isReference: isRow('plain-rwlock', 2),
  },
  {
    name: 'hash-table',
    source: 'perfbook, 8-socket Xeon 8176: lookups a ms under a global lock, a lock for each bucket, RCU and QSBR',
    unit: 'lookups a ms',
    profile: 'xeon-8',
    options: lookup,
    rows: [
      ...parallel('hash-global', { 1: 50e3, 8: 7.7e3, 28: 6.2e3 }, cached),
      ...parallel('hash-buckets', { 1: 28e3, 8: 152e3, 28: 336e3, 224: 172e3 }, { simulatedNs: 300_000 }),
      ...parallel('hash-rcu', { 1: 56e3, 8: 336e3, 28: 1.14e6, 224: 7.5e6 }, { ...cached, simulatedNs: 20_000 }),
      ...parallel('hash-qsbr', { 1: 59e3, 8: 375e3, 28: 1.35e6, 224: 9e6 }, { ...cached, simulatedNs: 10_000 }),
    ],
    measure: (result) => throughput(result) / 1000,
  },
  {
    name: 'core-matrix',
    source:
      'ns from one core to another and back, halved: two cores that exchange a flag (perfbook: Xeon 8176; core-to-core-latency: the others)',
    unit: 'ns',
    profile: 'xeon-8',
    options: { section: 0, outside: 0, shared: 0, simulatedNs: 100_000 },
    rows: [
      ...pairs('xeon-8', { 1: 47.5, 28: 149, 112: 337 }),
      ...pairs('intel-48', { 6: 48, 12: 140 }),
      ...pairs('epyc-128', { 1: 25, 4: 120, 64: 255 }),
      ...pairs('graviton-64', { 4: 47 }),
      ...pairs('power7-16', { 1: 168, 8: 440 }),
      ...pairs('opteron-64', { 1: 52, 8: 94, 16: 122 }),
    ],
    measure: (result) => 1e9 / throughput(result),
  },
  {
    name: 'll-sc',
    source:
      'de Jesus and Weiland 2023, Graviton3 and ThunderX2: an increment by LL/SC is 2 to 3 times as fast as by compare-and-exchange',
    unit: 'of LL/SC',
    profile: 'graviton-64-llsc',
    options: { section: 0, outside: 0, shared: 0, simulatedNs: 200_000 },
    rows: [
      { lock: 'increment', cores: 64, published: 1 },
      { lock: 'cas-increment', cores: 64, published: 2.5, profile: 'graviton-64' },
    ],
    measure: perOperation,
    isReference: isRow('increment', 64),
  },
];

/** `note` says how long sections are. */
function shareOfIdeal(note: string, options: Partial<RunOptions>, figures: Readonly<Record<number, number>>): Row[] {
  return parallel('glibc-rwlock', { 1: 1, ...figures }, options).map((row) => ({ ...row, note }));
}

/** Two cores of another machine: core 0, and each of these. */
function pairs(profile: string, figures: Readonly<Record<number, number>>): Row[] {
  return parallel('ping-pong', figures).map(({ cores: other, ...row }) => ({
    ...row,
    profile,
    cores: 2,
    note: `${profile}, core ${other}`,
    options: { places: [0, other] },
  }));
}
