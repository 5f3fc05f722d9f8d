/**
 * Published measurements of locks, each beside what the machine says. The work of an application is fitted to what its
 * authors measured with MCS; everything else is predicted. A figure in other units than the machine's is compared
 * relative to a row of its own, which is then exact by construction and marked so.
 */
import { SimError } from '../machine/profile.ts';
import { profiles } from '../machine/profiles.ts';
import type { Experiment } from './experiment.ts';
import { runAll } from './jobs.ts';
import type { RunOptions } from './laboratory.ts';
import { lockExperiments } from './published-locks.ts';
import { readerExperiments } from './published-readers.ts';

export interface ExperimentRow {
  lock: string;
  cores: number;
  /** What tells the row from others of the same lock and cores. */
  note?: string;
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

export const experiments: readonly Experiment[] = [...lockExperiments, ...readerExperiments];

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
  const runs = rows.map(({ lock, cores, options: own, profile: other = profile }): RunOptions => {
    return { ...options, ...own, profile: profiles.get(other)!, lock, cores };
  });
  const results = await runAll(runs, workers, (done) => onProgress(`${name}: ${done} of ${runs.length} runs`));
  return {
    name,
    source,
    unit,
    rows: rows.map((row, index) => {
      const at = isReference === undefined ? -1 : rows.findIndex((other) => isReference(other, row));
      const published = row.published / (at < 0 ? 1 : rows[at]!.published);
      const simulated = measure(results[index]!) / (at < 0 ? 1 : measure(results[at]!));
      const { lock, cores, note } = row;
      return {
        lock,
        cores,
        ...(note === undefined ? {} : { note }),
        published,
        simulated,
        ratio: simulated / published,
        isReference: at === index,
      };
    }),
  };
}

/** The lock, and what tells the row from others. */
export const titleOf = ({ lock, note }: ExperimentRow): string => (note === undefined ? lock : `${lock}, ${note}`);

export function showExperiment({ name, source, unit, rows }: ExperimentOutcome): string {
  const width = Math.max(12, ...rows.map((row) => titleOf(row).length));
  const lines = rows.map((row) => {
    const { cores, published, simulated, ratio, isReference } = row;
    const cells = [
      titleOf(row).padEnd(width),
      String(cores).padStart(5),
      published.toPrecision(3).padStart(10),
      simulated.toPrecision(3).padStart(10),
    ];
    return `${cells.join('  ')}  ${isReference ? '(reference)' : `x ${ratio.toFixed(2)}`}`;
  });
  const head = ['lock'.padEnd(width), 'cores', 'published'.padStart(10), 'simulated'.padStart(10)].join('  ');
  return `${name}: ${source}; ${unit}\n${head}\n${lines.join('\n')}\n`;
}
