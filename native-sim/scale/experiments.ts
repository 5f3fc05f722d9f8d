/**
 * Published measurements of locks, each beside what the machine says. The work of an application is fitted to what its
 * authors measured with MCS; everything else is predicted. A figure in other units than the machine's is compared
 * relative to a row of its own, which is then exact by construction and marked so.
 */
import { SimError } from '../machine/profile.ts';
import { profiles } from '../machine/profiles.ts';
import { runAll } from './jobs.ts';
import type { RunOptions, RunResult } from './laboratory.ts';

interface Row {
  lock: string;
  cores: number;
  published: number;
  /** What differs from the experiment's own options. */
  options?: Partial<RunOptions>;
}

export interface Experiment {
  name: string;
  source: string;
  unit: string;
  profile: string;
  options: Partial<RunOptions>;
  rows: readonly Row[];
  /** What is compared with the published figure. */
  measure: (result: RunResult) => number;
  /** Whether `row` is the one that both figures of `of` are divided by, where units differ. */
  isReference?: (row: Row, of: Row) => boolean;
}

export interface ExperimentRow {
  lock: string;
  cores: number;
  published: number;
  simulated: number;
  /** Simulated over published. */
  ratio: number;
  isReference: boolean;
}

export interface ExperimentOutcome {
  name: string;
  source: string;
  unit: string;
  rows: ExperimentRow[];
}

const throughput = ({ throughput: value }: RunResult) => value;
/** ns that one thread spends on an operation. */
const perOperation = (result: RunResult) => (1e9 * result.cores) / result.throughput;

const rowsOf = (cores: number, figures: Readonly<Record<string, number>>): Row[] =>
  Object.entries(figures).map(([lock, published]) => ({ lock, cores, published }));

const parallel = (lock: string, figures: Readonly<Record<number, number>>, options?: Partial<RunOptions>): Row[] =>
  Object.entries(figures).map(([cores, published]) => ({
    lock,
    cores: Number(cores),
    published,
    ...(options === undefined ? {} : { options }),
  }));

const isRow =
  (lock: string, cores: number): NonNullable<Experiment['isReference']> =>
  (row) =>
    row.lock === lock && row.cores === cores;

/** Of one acquisition of radiosity's busiest lock, fitted to MCS at 8 to 64 cores of the Opteron. */
const radiosity = { section: 75, outside: 6200, shared: 0, simulatedNs: 1e6 };
/** A back-off of up to 3 ms takes its time to show. */
const longer = { simulatedNs: 4e6 };
/** Of pca's, fitted to MCS at 8 and at 64 cores: the section's data moves with the lock. */
const pca = { section: 300, outside: 9500, shared: 8, simulatedNs: 1e6 };
/** Readers that go in and out. */
const reading = { section: 0, outside: 0, shared: 0, reads: 1, simulatedNs: 20_000 };
/** Those that wait for nobody make many pairs in little time. */
const brief = { simulatedNs: 10_000 };

export const experiments: readonly Experiment[] = [
  {
    name: 'litl-opteron',
    source: 'LiTL, radiosity on 4 x Opteron 6272: throughput relative to MCS at 64 cores',
    unit: 'of MCS at 64',
    profile: 'opteron-64',
    options: radiosity,
    rows: [
      ...parallel('mcs', { 8: 94, 16: 175, 32: 242, 48: 226, 64: 218 }),
      ...rowsOf(64, { tas: 10, ttas: 16, ticket: 34, clh: 209 }),
      { lock: 'backoff', cores: 64, published: 166, options: longer },
    ],
    measure: throughput,
    isReference: isRow('mcs', 64),
  },
  {
    name: 'litl-opteron-8',
    source: 'LiTL, radiosity on 4 x Opteron 6272, 8 cores: all locks within 8 %',
    unit: 'of MCS',
    profile: 'opteron-64',
    options: radiosity,
    rows: rowsOf(8, { tas: 1, ttas: 1, ticket: 1, backoff: 1, clh: 1, mcs: 1 }),
    measure: throughput,
    isReference: isRow('mcs', 8),
  },
  {
    name: 'litl-intel',
    source: 'LiTL, radiosity on 4 x Xeon E7-4830 v3, 48 cores: throughput relative to MCS',
    unit: 'of MCS',
    profile: 'intel-48',
    options: radiosity,
    rows: [
      ...rowsOf(48, { tas: 28, ttas: 86, ticket: 98, mcs: 289, cohort: 432 }),
      { lock: 'backoff', cores: 48, published: 230, options: longer },
    ],
    measure: throughput,
    isReference: isRow('mcs', 48),
  },
  {
    name: 'litl-parking',
    source: 'LiTL, radiosity on 4 x Opteron 6272, waiters that sleep: throughput relative to spinning MCS at 64 cores',
    unit: 'of MCS at 64',
    profile: 'opteron-64',
    options: radiosity,
    rows: [
      { lock: 'mcs', cores: 64, published: 218 },
      ...parallel('mcs-park', { 8: 93, 16: 16, 32: 15, 48: 11, 64: 10 }),
      ...parallel('futex', { 8: 86, 16: 95, 32: 66, 48: 48, 64: 39 }),
    ],
    measure: throughput,
    isReference: isRow('mcs', 64),
  },
  {
    name: 'pca-opteron',
    source: 'LiTL, pca_ll on 4 x Opteron 6272: throughput at 8 and 64 cores relative to MCS at 8',
    unit: 'of MCS at 8',
    profile: 'opteron-64',
    options: pca,
    rows: [
      ...rowsOf(8, { cohort: 285, mcs: 268, clh: 277, ticket: 275, ttas: 292, tas: 286 }),
      { lock: 'backoff', cores: 8, published: 267, options: longer },
      { lock: 'cohort', cores: 32, published: 558 },
      ...rowsOf(64, { cohort: 397, mcs: 251, clh: 248, ticket: 164, ttas: 80, tas: 55 }),
      { lock: 'backoff', cores: 64, published: 432, options: longer },
    ],
    measure: throughput,
    isReference: isRow('mcs', 8),
  },
  {
    name: 'pca-intel',
    source: 'LiTL, pca_ll on 4 x Xeon E7-4830 v3, 48 cores: throughput relative to MCS',
    unit: 'of MCS',
    profile: 'intel-48',
    options: pca,
    rows: rowsOf(48, { cohort: 1079, mcs: 809, ticket: 408, tas: 127 }),
    measure: throughput,
    isReference: isRow('mcs', 48),
  },
  {
    name: 'increments',
    source: 'perfbook, EPYC Milan: ns for each increment of one shared counter',
    unit: 'ns',
    profile: 'epyc-128',
    options: { section: 0, outside: 0, shared: 0, simulatedNs: 100_000 },
    rows: parallel('increment', { 1: 2.5, 2: 11.2, 8: 51.7, 16: 116, 32: 268, 64: 584, 128: 1605 }),
    measure: perOperation,
  },
  {
    name: 'read-side',
    source: 'perfbook: ns for each pair of a reader, preemptible RCU, SRCU, a shared count and rwlock',
    unit: 'ns',
    profile: 'xeon-8',
    options: reading,
    rows: [
      ...parallel('plain-rcu', { 1: 2.9, 8: 3.4, 64: 3.7, 192: 3.8 }, brief),
      ...parallel('rcu', { 1: 2.9, 8: 3.4, 64: 3.7, 192: 3.8 }, brief),
      ...parallel('srcu', { 1: 14, 8: 14, 64: 16, 192: 18 }, brief),
      ...parallel('refcount', { 1: 9.5, 8: 128, 64: 2129, 192: 7005 }),
      ...parallel('plain-qrwlock', { 1: 11, 8: 130, 64: 2076, 192: 7287 }),
      ...parallel('rwlock', { 1: 11, 8: 130, 64: 2076, 192: 7287 }),
    ],
    measure: perOperation,
  },
  {
    name: 'rwlock-readers',
    source: 'perfbook, 8-socket Xeon 8176: readers of a rwlock, share of the throughput that one core alone would have',
    unit: 'of ideal',
    profile: 'xeon-8',
    options: reading,
    rows: [
      ...shareOfIdeal({ section: 0 }, { 2: 0.17, 16: 0.0135, 64: 0.0024, 224: 0.00057 }),
      ...shareOfIdeal({ section: 9000, simulatedNs: 400_000 }, { 2: 0.997, 16: 0.465, 64: 0.1, 224: 0.023 }),
      ...shareOfIdeal({ section: 100_000, simulatedNs: 2e6 }, { 2: 1, 16: 0.99, 64: 0.72, 224: 0.135 }),
    ],
    measure: (result) => result.throughput / result.cores,
    isReference: (row, of) => row.cores === 1 && row.options === of.options,
  },
  {
    name: 'hand-over',
    source:
      'Boyd-Wickizer et al. 2012, 48 cores: hand-over of a ticket lock grows with the waiters, of MCS it does not; relative to 16 cores',
    unit: 'of 16 cores',
    profile: 'opteron-64',
    options: { section: 100, outside: 50, simulatedNs: 200_000 },
    rows: [
      ...[16, 32, 48].map((cores) => ({ lock: 'ticket', cores, published: cores / 16 })),
      ...[16, 32, 48].map((cores) => ({ lock: 'mcs', cores, published: 1 })),
    ],
    measure: ({ handoverNs }) => handoverNs ?? 0,
    isReference: (row, of) => row.lock === of.lock && row.cores === 16,
  },
  {
    name: 'qspinlock',
    source: "qspinlock's commit: two contenders on a par with ticket, many threads 1.96 times as fast",
    unit: 'of ticket',
    profile: 'intel-48',
    options: { section: 100, outside: 200, simulatedNs: 400_000 },
    rows: [2, 48].flatMap((cores) => [
      { lock: 'ticket', cores, published: 1 },
      ...['plain-qspinlock', 'plain-qspinlock-try', 'plain-qspinlock-prefetch', 'qspinlock'].map((lock) => ({
        lock,
        cores,
        published: cores === 2 ? 1 : 1.96,
      })),
    ]),
    measure: throughput,
    isReference: (row, of) => row.lock === 'ticket' && row.cores === of.cores,
  },
  {
    name: 'lock-stealing',
    source:
      '"The big kernel lock strikes again" (LWN 281938): where a lock is handed to a waiter that sleeps, the machine idles almost half of the time',
    unit: 'of a lock that may be stolen',
    profile: 'intel-48',
    options: { section: 1000, outside: 7000, simulatedNs: 4e6 },
    rows: rowsOf(4, { futex: 1, 'mcs-sleep': 0.5 }),
    measure: throughput,
    isReference: isRow('futex', 4),
  },
];

function shareOfIdeal(options: Partial<RunOptions>, figures: Readonly<Record<number, number>>): Row[] {
  return parallel('rwlock', { 1: 1, ...figures }, options);
}

export function experimentNamed(name: string): Experiment {
  const found = experiments.find((experiment) => experiment.name === name);
  if (found !== undefined) return found;
  const names = experiments.map((experiment) => experiment.name).join(', ');
  throw new SimError(`experiment must be all or one of ${names}; received ${name}`);
}

export async function runExperiment(
  { name, source, unit, profile, options, rows, measure, isReference }: Experiment,
  workers: number,
  onProgress: (text: string) => void = () => {},
): Promise<ExperimentOutcome> {
  const machine = profiles.get(profile)!;
  const runs = rows.map(
    ({ lock, cores, options: own }): RunOptions => ({ ...options, ...own, profile: machine, lock, cores }),
  );
  const results = await runAll(runs, workers, (done) => onProgress(`${name}: ${done} of ${runs.length} runs`));
  return {
    name,
    source,
    unit,
    rows: rows.map((row, index) => {
      const at = isReference === undefined ? -1 : rows.findIndex((other) => isReference(other, row));
      const published = row.published / (at < 0 ? 1 : rows[at]!.published);
      const simulated = measure(results[index]!) / (at < 0 ? 1 : measure(results[at]!));
      const { lock, cores } = row;
      return { lock, cores, published, simulated, ratio: simulated / published, isReference: at === index };
    }),
  };
}

export function showExperiment({ name, source, unit, rows }: ExperimentOutcome): string {
  const lines = rows.map(({ lock, cores, published, simulated, ratio, isReference }) => {
    const cells = [
      lock.padEnd(12),
      String(cores).padStart(5),
      published.toPrecision(3).padStart(10),
      simulated.toPrecision(3).padStart(10),
    ];
    return `${cells.join('  ')}  ${isReference ? '(reference)' : `x ${ratio.toFixed(2)}`}`;
  });
  const head = ['lock'.padEnd(12), 'cores', 'published'.padStart(10), 'simulated'.padStart(10)].join('  ');
  return `${name}: ${source}; ${unit}\n${head}\n${lines.join('\n')}\n`;
}
