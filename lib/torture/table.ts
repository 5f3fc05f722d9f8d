import colors from 'picocolors';
import { count, duration, percent } from '../debug/reports/figures.ts';
import { type Column, fittedTable } from '../debug/reports/fitted-table.ts';
import type { Outcome } from './outcome.ts';

const COLUMNS: readonly Column<Outcome>[] = [
  { head: 'type', tier: 0, cell: ({ type }) => type, isText: true },
  { head: 'acq/s', tier: 0, cell: ({ perSecond }) => count(perSecond) },
  { head: 'least', tier: 1, cell: ({ leastShare }) => percent(leastShare) },
  { head: 'most', tier: 2, cell: ({ mostShare }) => percent(mostShare) },
  { head: 'wait p50', tier: 1, cell: ({ wait }) => duration(wait.p50) },
  { head: 'wait p99', tier: 1, cell: ({ wait }) => duration(wait.p99) },
  { head: 'wait max', tier: 0, cell: ({ wait }) => duration(wait.max) },
  { head: 'hold p50', tier: 2, cell: ({ hold }) => duration(hold.p50) },
  { head: 'hold p99', tier: 2, cell: ({ hold }) => duration(hold.p99) },
  { head: 'contended', tier: 1, cell: ({ contended }) => percent(contended) },
  { head: 'parks', tier: 2, cell: ({ parks }) => count(parks) },
  { head: 'handoffs', tier: 2, cell: ({ handoffs }) => count(handoffs) },
  { head: 'kills', tier: 0, cell: ({ kills }) => count(kills) },
  { head: 'recovered', tier: 1, cell: ({ recoveries }) => count(recoveries) },
  {
    head: 'verdict',
    tier: 0,
    cell: ({ verdict }) => (verdict === 'ok' ? colors.green('ok') : colors.red('VIOLATION')),
    isText: true,
  },
];

/**
 * The table at the end of a run: a row a type. `width`: of the terminal, in characters; columns that it has no room for are
 * left out.
 */
export function outcomeTable(outcomes: readonly Outcome[], width?: number): string {
  return fittedTable(COLUMNS, outcomes, width);
}

/** What the types have measured beside times, line by line. */
export function noteLines(outcomes: readonly Outcome[]): string[] {
  return outcomes.flatMap(({ type, notes }) => notes.map((text) => `${type}: ${text}`));
}

/** What went wrong, line by line; empty when nothing did. */
export function violationLines(outcomes: readonly Outcome[]): string[] {
  return outcomes.flatMap(({ type, violations }) => violations.map((text) => `${colors.red(type)}: ${text}`));
}
