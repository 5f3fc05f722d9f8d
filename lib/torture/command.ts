/** What `holdfast torture` does, once its command line has been understood. */
import { writeFile } from 'node:fs/promises';
import { duration } from '../debug/reports/figures.ts';
import { directTorture } from './direct.ts';
import type { LockType } from './lock-type.ts';
import type { Outcome, Settings } from './outcome.ts';
import { ProgressLine } from './progress.ts';
import { noteLines, outcomeTable, violationLines } from './table.ts';
import { prepareWorkers } from './worker-source.ts';

export interface Request {
  readonly types: readonly LockType[];
  readonly settings: Settings;
  readonly json: boolean;
  /** File to write the report to. */
  readonly report: string | undefined;
}

/** Runs everything, shows it, and returns what was found. */
export async function runTorture({ types, settings, json, report }: Request): Promise<Outcome[]> {
  const source = await prepareWorkers();
  const { threads, seconds, kill, seed } = settings;
  if (!json) {
    const deaths = kill ? ', killing workers' : '';
    const each = duration(seconds * 1e9);
    process.stdout.write(`torture: ${threads} threads, ${each} for each type${deaths}, --seed ${seed}\n`);
  }
  const line = process.stderr.isTTY ? new ProgressLine(process.stderr, settings, types.length) : undefined;
  const outcomes: Outcome[] = [];
  for (const [done, type] of types.entries()) {
    outcomes.push(await directTorture(type, settings, source, (progress) => line?.show(type.name, progress, done)));
  }
  line?.end();
  if (report !== undefined) {
    const { reportPage } = await import('./report.ts');
    await writeFile(report, await reportPage(outcomes, settings));
  }
  if (json) {
    process.stdout.write(`${JSON.stringify({ settings, node: process.version, outcomes })}\n`);
  } else {
    process.stdout.write(
      `${[outcomeTable(outcomes, process.stdout.columns), ...noteLines(outcomes), ...violationLines(outcomes)].join('\n')}\n`,
    );
    if (report !== undefined) process.stdout.write(`report: ${report}\n`);
  }
  return outcomes;
}
