/** What an experiment is, and how its rows are written. */
import type { RunOptions, RunResult } from './laboratory.ts';

export interface Row {
  lock: string;
  cores: number;
  published: number;
  /** What tells the row from others of the same lock and cores. */
  note?: string;
  /** Another machine than the experiment's. */
  profile?: string;
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

export const throughput = ({ throughput: value }: RunResult) => value;
/** ns that one thread spends on an operation. */
export const perOperation = (result: RunResult) => (1e9 * result.cores) / result.throughput;

export const rowsOf = (cores: number, figures: Readonly<Record<string, number>>): Row[] =>
  Object.entries(figures).map(([lock, published]) => ({ lock, cores, published }));

export const parallel = (
  lock: string,
  figures: Readonly<Record<number, number>>,
  options?: Partial<RunOptions>,
): Row[] =>
  Object.entries(figures).map(([cores, published]) => ({
    lock,
    cores: Number(cores),
    published,
    ...(options === undefined ? {} : { options }),
  }));

export const isRow =
  (lock: string, cores: number): NonNullable<Experiment['isReference']> =>
  (row) =>
    row.lock === lock && row.cores === cores;
