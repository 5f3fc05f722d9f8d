/**
 * Published measurements of locks, each beside what the machine says. The machine's sections are fitted to one row,
 * LiTL's MCS; everything else is predicted. A figure in other units than the machine's is compared relative to one of its
 * own rows, which is then exact by construction and marked so.
 */
import { SimError } from '../machine/profile.ts';
import { profiles } from '../machine/profiles.ts';
import { runAll } from './jobs.ts';
import type { RunOptions, RunResult } from './laboratory.ts';

interface Row {
  lock: string;
  cores: number;
  published: number;
  threads?: number;
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
  /** The row that both are divided by, where units differ. */
  reference?: { lock: string; cores: number };
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

const increments = (figures: Readonly<Record<number, number>>): Row[] =>
  Object.entries(figures).map(([cores, published]) => ({ lock: 'increment', cores: Number(cores), published }));

/** Of one acquisition of radiosity's busiest lock, fitted to its MCS row. */
const radiosity = { section: 150, outside: 1200, simulatedNs: 400_000 };

export const experiments: readonly Experiment[] = [
  {
    name: 'litl-opteron',
    source: 'LiTL, radiosity on 4 x Opteron 6272, 64 cores: throughput relative to MCS',
    unit: 'of MCS',
    profile: 'opteron-64',
    options: radiosity,
    rows: rowsOf(64, { tas: 10, ttas: 16, ticket: 34, backoff: 166, clh: 209, mcs: 218 }),
    measure: throughput,
    reference: { lock: 'mcs', cores: 64 },
  },
  {
    name: 'litl-intel',
    source: 'LiTL, radiosity on 4 x Xeon E7-4830 v3, 48 cores: throughput relative to MCS',
    unit: 'of MCS',
    profile: 'intel-48',
    options: radiosity,
    rows: rowsOf(48, { tas: 28, ttas: 86, ticket: 98, backoff: 230, mcs: 289, cohort: 432 }),
    measure: throughput,
    reference: { lock: 'mcs', cores: 48 },
  },
  {
    name: 'litl-opteron-8',
    source: 'LiTL, radiosity on 4 x Opteron 6272, 8 cores: all locks within 8 %',
    unit: 'of MCS',
    profile: 'opteron-64',
    options: radiosity,
    rows: rowsOf(8, { tas: 1, ttas: 1, ticket: 1, backoff: 1, clh: 1, mcs: 1 }),
    measure: throughput,
    reference: { lock: 'mcs', cores: 8 },
  },
  {
    name: 'pca-opteron',
    source: 'LiTL, pca_ll on 4 x Opteron 6272: throughput at 8 and 64 cores relative to MCS at 8',
    unit: 'of MCS at 8',
    profile: 'opteron-64',
    options: { section: 250, outside: 2500, simulatedNs: 400_000 },
    rows: [
      ...rowsOf(8, { backoff: 267, cohort: 285, mcs: 268, clh: 277, ticket: 275, ttas: 292, tas: 286 }),
      ...rowsOf(64, { backoff: 432, cohort: 397, mcs: 251, clh: 248, ticket: 164, ttas: 80, tas: 55 }),
    ],
    measure: throughput,
    reference: { lock: 'mcs', cores: 8 },
  },
  {
    name: 'increments',
    source: 'perfbook, EPYC Milan: ns for each increment of one shared counter',
    unit: 'ns',
    profile: 'epyc-128',
    options: { section: 0, outside: 0, shared: 0, simulatedNs: 100_000 },
    rows: increments({ 1: 2.5, 2: 11.2, 8: 51.7, 16: 116, 32: 268, 64: 584, 128: 1605 }),
    measure: perOperation,
  },
  {
    name: 'hand-over',
    source:
      'Boyd-Wickizer et al. 2012, 48 cores: hand-over of a ticket lock grows with the waiters, of MCS it does not; relative to 2 cores',
    unit: 'of 2 cores',
    profile: 'opteron-64',
    options: { section: 100, outside: 50, simulatedNs: 200_000 },
    rows: [
      ...[2, 8, 16, 32, 48].map((cores) => ({ lock: 'ticket', cores, published: cores / 2 })),
      ...[8, 16, 32, 48].map((cores) => ({ lock: 'mcs', cores, published: 1 })),
    ],
    measure: ({ handoverNs }) => handoverNs ?? 0,
    reference: { lock: 'ticket', cores: 2 },
  },
  {
    name: 'qspinlock',
    source: "qspinlock's commit: two contenders on a par with ticket, many threads 1.96 times as fast",
    unit: 'of ticket',
    profile: 'intel-48',
    options: { section: 100, outside: 200, simulatedNs: 400_000 },
    rows: [
      { lock: 'ticket', cores: 2, published: 1 },
      { lock: 'qspinlock', cores: 2, published: 1 },
    ],
    measure: throughput,
    reference: { lock: 'ticket', cores: 2 },
  },
];

export function experimentNamed(name: string): Experiment {
  const found = experiments.find((experiment) => experiment.name === name);
  if (found !== undefined) return found;
  const names = experiments.map((experiment) => experiment.name).join(', ');
  throw new SimError(`experiment must be all or one of ${names}; received ${name}`);
}

export async function runExperiment(
  { name, source, unit, profile, options, rows, measure, reference }: Experiment,
  workers: number,
  onProgress: (text: string) => void = () => {},
): Promise<ExperimentOutcome> {
  const machine = profiles.get(profile)!;
  const runs = rows.map(({ lock, cores }): RunOptions => ({ ...options, profile: machine, lock, cores }));
  const results = await runAll(runs, workers, (done) => onProgress(`${name}: ${done} of ${runs.length} runs`));
  const isReference = (row: Row) =>
    reference !== undefined && row.lock === reference.lock && row.cores === reference.cores;
  const at = rows.findIndex(isReference);
  const [byPublished, bySimulated] = at < 0 ? [1, 1] : [rows[at]!.published, measure(results[at]!)];
  return {
    name,
    source,
    unit,
    rows: rows.map((row, index) => {
      const published = row.published / byPublished;
      const simulated = measure(results[index]!) / bySimulated;
      const { lock, cores } = row;
      return { lock, cores, published, simulated, ratio: simulated / published, isReference: isReference(row) };
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
