import Table from 'cli-table3';
import colors from 'picocolors';
import { count, duration, percent } from './figures.ts';
import type { Outcome } from './outcome.ts';

const COLUMNS = [
  'type',
  'acq/s',
  'least',
  'most',
  'wait p50',
  'p99',
  'max',
  'hold p50',
  'p99',
  'contended',
  'parks',
  'handoffs',
  'kills',
  'deaths recovered',
  'verdict',
];

/** The table at the end of a run: a row a type. */
export function outcomeTable(outcomes: readonly Outcome[]): string {
  const table = new Table({
    head: COLUMNS.map((column) => colors.bold(column)),
    // No colours of its own: it would print them to files as well.
    style: { head: [], border: [], compact: true },
    colAligns: ['left', ...Array.from({ length: COLUMNS.length - 2 }, () => 'right' as const), 'left'],
    wordWrap: true,
    colWidths: COLUMNS.map((column) => (column === 'deaths recovered' ? 11 : null)),
  });
  for (const outcome of outcomes) {
    table.push([
      outcome.type,
      count(outcome.perSecond),
      percent(outcome.leastShare),
      percent(outcome.mostShare),
      ...[outcome.wait.p50, outcome.wait.p99, outcome.wait.max, outcome.hold.p50, outcome.hold.p99].map(duration),
      percent(outcome.contended),
      count(outcome.parks),
      count(outcome.handoffs),
      count(outcome.kills),
      count(outcome.recoveries),
      outcome.verdict === 'ok' ? colors.green('ok') : colors.red('VIOLATION'),
    ]);
  }
  return table.toString();
}

/** What went wrong, line by line; empty when nothing did. */
export function violationLines(outcomes: readonly Outcome[]): string[] {
  return outcomes.flatMap(({ type, violations }) => violations.map((text) => `${colors.red(type)}: ${text}`));
}
