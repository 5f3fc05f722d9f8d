/** `holdfast sim`: what locks do on machines that are not here, as a table, as JSON, or as a page with plots. */
import { writeFileSync } from 'node:fs';
import { explainPage } from '../explain/page.ts';
import { explain, scenarios } from '../explain/programs.ts';
import { findProfile } from '../machine/find-profile.ts';
import { type Profile, SimError } from '../machine/profile.ts';
import { profiles } from '../machine/profiles.ts';
import { parseCauses } from '../machine/without.ts';
import { barrierTables, showBarriers } from './barrier-tables.ts';
import { candidates, compare, showComparison } from './compare.ts';
import { experimentReport } from './experiment-report.ts';
import { experimentNamed, experiments, runExperiment, showExperiment } from './experiments.ts';
import { runAll } from './jobs.ts';
import type { RunOptions, RunResult } from './laboratory.ts';
import { lockKind, lockNames } from './locks.ts';
import { simReport } from './report.ts';
import { showSharing } from './sharing.ts';

export interface SimCommandOptions {
  readonly list?: boolean | undefined;
  readonly experiment?: string | undefined;
  /** Which of the locks suits the work, by cores. */
  readonly compare?: boolean | undefined;
  /** A profile's name, or a JSON file. */
  readonly profile?: string | undefined;
  readonly cores?: readonly number[] | undefined;
  readonly lock?: readonly string[] | undefined;
  readonly threads?: number | undefined;
  readonly section?: number | undefined;
  readonly outside?: number | undefined;
  readonly shared?: number | undefined;
  readonly reads?: number | undefined;
  readonly spins?: number | undefined;
  readonly simulated?: number | undefined;
  readonly seed?: number | undefined;
  readonly preemptOffInSection?: boolean | undefined;
  /** What is taken out of the machine. */
  readonly without?: readonly string[] | undefined;
  /** Writes a page that steps through a scenario or a lock's hand-over, or all. */
  readonly explain?: string | undefined;
  /** What is said of DMB and DSB, beside what the machine does. */
  readonly barriers?: boolean | undefined;
  /** Which words share lines, and what that costs. */
  readonly falseSharing?: boolean | undefined;
  readonly workers?: number | undefined;
  readonly json?: boolean | undefined;
  readonly report?: string | undefined;
}

export interface Output {
  out(text: string): void;
  /** What a person sees while runs are under way; it overwrites itself. */
  progress?(text: string): void;
}

const DEFAULT_PROFILE = 'intel-48';
const DEFAULT_ARM = 'graviton-64';
const DEFAULT_LOCKS = ['ticket', 'mcs', 'qspinlock', 'mutex'];

/** Throws SimError for what no machine or lock can be, before anything runs. */
export async function runSimCommand(options: SimCommandOptions, output: Output): Promise<void> {
  if (options.list === true) {
    output.out(options.json === true ? `${JSON.stringify(listing(), null, 2)}\n` : listed());
    return;
  }
  if (options.falseSharing === true && (options.experiment !== undefined || options.compare === true)) {
    throw new SimError('false-sharing shows runs of locks: it goes with neither experiment nor compare');
  }
  if (options.barriers === true) return runBarriers(options, output);
  if (options.explain !== undefined) return runExplanation(options, options.explain, output);
  if (options.experiment !== undefined) return runExperiments(options, output);
  if (options.compare === true) return runComparison(options, output);
  const runs = runsOf(options);
  const results = await runAll(runs, options.workers ?? 1, (done) =>
    output.progress?.(`${done} of ${runs.length} runs`),
  );
  output.progress?.('');
  if (options.report !== undefined) writeFileSync(options.report, simReport(results));
  if (options.json === true) output.out(`${JSON.stringify(results, null, 2)}\n`);
  else output.out(options.falseSharing === true ? sharingOf(results) : table(results));
}

function runExplanation(options: SimCommandOptions, name: string, output: Output): void {
  const explanations = explain(name, options.profile === undefined ? undefined : findProfile(options.profile));
  if (options.json === true) {
    output.out(`${JSON.stringify(explanations, null, 2)}\n`);
    return;
  }
  const file = options.report ?? `holdfast-${name}.html`;
  writeFileSync(file, explainPage(explanations));
  for (const { title, outcome, recording } of explanations) {
    output.out(`${title}: ${recording.steps.length} steps; ${outcome}\n`);
  }
  output.out(`written to ${file}\n`);
}

async function runBarriers({ profile = DEFAULT_ARM, json }: SimCommandOptions, output: Output): Promise<void> {
  const tables = await barrierTables(findProfile(profile));
  output.out(json === true ? `${JSON.stringify(tables, null, 2)}\n` : showBarriers(tables));
}

async function runExperiments(options: SimCommandOptions, output: Output): Promise<void> {
  const chosen = options.experiment === 'all' ? experiments : [experimentNamed(options.experiment!)];
  const outcomes = [];
  for (const experiment of chosen) {
    const outcome = await runExperiment(experiment, options.workers ?? 1, (text) => output.progress?.(text));
    output.progress?.('');
    if (options.json !== true) output.out(`${showExperiment(outcome)}\n`);
    outcomes.push(outcome);
  }
  if (options.report !== undefined) writeFileSync(options.report, experimentReport(outcomes));
  if (options.json === true) output.out(`${JSON.stringify(outcomes, null, 2)}\n`);
}

async function runComparison(options: SimCommandOptions, output: Output): Promise<void> {
  const { profile, cores } = machineOf(options);
  const locks = options.lock ?? candidates(options.reads);
  for (const lock of locks) lockKind(lock);
  const comparisons = await compare(profile, cores, locks, workOf(options), options.workers ?? 1, (done, of) =>
    output.progress?.(`${done} of ${of} runs`),
  );
  output.progress?.('');
  output.out(
    options.json === true
      ? `${JSON.stringify(comparisons, null, 2)}\n`
      : `${comparisons.map(showComparison).join('\n')}`,
  );
}

function runsOf(options: SimCommandOptions): RunOptions[] {
  const { profile, cores } = machineOf(options);
  const locks = options.lock ?? DEFAULT_LOCKS;
  for (const lock of locks) lockKind(lock);
  const work = workOf(options);
  // With preemption, and beside it without.
  const cases =
    options.preemptOffInSection === true ? [false, true].map((off) => ({ preemptOffInSection: off })) : [{}];
  return locks.flatMap((lock) =>
    cores.flatMap((count) => cases.map((of) => ({ profile, lock, cores: count, ...work, ...of }))),
  );
}

function machineOf(options: SimCommandOptions): { profile: Profile; cores: readonly number[] } {
  const profile = findProfile(options.profile ?? DEFAULT_PROFILE);
  const cores = options.cores ?? powersOfTwo(profile.cores);
  for (const count of cores) {
    if (!Number.isInteger(count) || count < 1 || count > profile.cores) {
      throw new SimError(
        `cores must be whole numbers from 1 to ${profile.cores}, the cores of ${profile.name}; received ${count}`,
      );
    }
  }
  return { profile, cores };
}

/** What threads do, as far as it was said. */
function workOf(options: SimCommandOptions) {
  return optional({
    threads: options.threads,
    section: options.section,
    outside: options.outside,
    shared: options.shared,
    reads: options.reads,
    spins: options.spins,
    simulatedNs: options.simulated,
    seed: options.seed,
    preemptOffInSection: options.preemptOffInSection,
    sharing: options.falseSharing,
    without: options.without === undefined ? undefined : parseCauses(options.without),
  });
}

function optional<T extends object>(fields: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
  const given = Object.entries(fields).filter(([, value]) => value !== undefined);
  return Object.fromEntries(given) as { [K in keyof T]?: Exclude<T[K], undefined> };
}

function powersOfTwo(most: number): number[] {
  const counts = [];
  for (let count = 1; count < most; count *= 2) counts.push(count);
  return [...counts, most];
}

function listing() {
  return {
    profiles: [...profiles.values()].map(({ name, cores, description }) => ({ name, cores, description })),
    locks: lockNames.map((name) => ({ name, description: lockKind(name).description })),
    experiments: experiments.map(({ name, source }) => ({ name, description: source })),
    scenarios: scenarios.map(({ name, title }) => ({ name, description: title })),
  };
}

function listed(): string {
  const sections = Object.entries(listing()).map(([title, entries]) => {
    const width = Math.max(...entries.map(({ name }) => name.length));
    const lines = entries.map(({ name, description }) => `  ${name.padEnd(width)}  ${description}`);
    return `${title}:\n${lines.join('\n')}\n`;
  });
  return sections.join('\n');
}

function sharingOf(results: readonly RunResult[]): string {
  return results
    .map(({ profile, lock, cores, sharing }) => showSharing(`${lock} on ${cores} cores of ${profile}`, sharing!))
    .join('\n');
}

const COLUMNS: readonly (readonly [string, (result: RunResult) => string])[] = [
  ['lock', ({ lock, preemptOffInSection }) => (preemptOffInSection === true ? `${lock}, not preempted` : lock)],
  ['cores', ({ cores }) => String(cores)],
  ['threads', ({ threads }) => String(threads)],
  ['per us', ({ throughput }) => (throughput / 1e6).toFixed(3)],
  ['hand-over ns', ({ handoverNs }) => (handoverNs === null ? '-' : handoverNs.toFixed(0))],
  ['p50 ns', ({ latencyNs }) => latencyNs.p50.toFixed(0)],
  ['p99 ns', ({ latencyNs }) => latencyNs.p99.toFixed(0)],
  ['Jain', ({ jain }) => jain.toFixed(3)],
  ['least', ({ leastServed }) => String(leastServed)],
  ['most', ({ mostServed }) => String(mostServed)],
  ['messages', ({ messagesPerAcquisition }) => messagesPerAcquisition.toFixed(1)],
  ['bytes', ({ bytesPerAcquisition }) => bytesPerAcquisition.toFixed(0)],
  ['sleeps', ({ sleeps }) => String(sleeps)],
];

function table(results: readonly RunResult[]): string {
  const rows = [COLUMNS.map(([title]) => title), ...results.map((result) => COLUMNS.map(([, cell]) => cell(result)))];
  const widths = COLUMNS.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)));
  const lines = rows.map((row) =>
    row.map((cell, column) => (column === 0 ? cell.padEnd(widths[0]!) : cell.padStart(widths[column]!))).join('  '),
  );
  return `${lines.join('\n')}\n`;
}
