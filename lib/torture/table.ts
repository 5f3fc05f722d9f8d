import { stripVTControlCharacters } from 'node:util';
import Table from 'cli-table3';
import colors from 'picocolors';
import { count, duration, percent } from './figures.ts';
import type { Outcome } from './outcome.ts';

interface Column {
  readonly head: string;
  readonly cell: (outcome: Outcome) => string;
  /** 0: in every table; 1 and 2: where the terminal has room for it. */
  readonly tier: 0 | 1 | 2;
}

const COLUMNS: readonly Column[] = [
  { head: 'type', tier: 0, cell: ({ type }) => type },
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
  },
];

/**
 * The table at the end of a run: a row a type. `width`: of the terminal, in characters; columns that it has no room for are
 * left out.
 */
export function outcomeTable(outcomes: readonly Outcome[], width = Number.POSITIVE_INFINITY): string {
  const [narrow, ...wider] = [0, 1, 2].map((tier) =>
    draw(
      COLUMNS.filter((column) => column.tier <= tier),
      outcomes,
    ),
  ) as [string, ...string[]];
  const widest = wider.reverse().find((table) => widthOf(table) <= width);
  return widest ?? narrow;
}

function draw(columns: readonly Column[], outcomes: readonly Outcome[]): string {
  const table = new Table({
    head: columns.map(({ head }) => colors.bold(head)),
    // No colours of its own: it would print them to files as well.
    style: { head: [], border: [], compact: true },
    colAligns: columns.map(({ head }) => (head === 'type' || head === 'verdict' ? 'left' : 'right')),
  });
  for (const outcome of outcomes) table.push(columns.map(({ cell }) => cell(outcome)));
  return table.toString();
}

function widthOf(text: string): number {
  return Math.max(
    ...stripVTControlCharacters(text)
      .split('\n')
      .map((line) => line.length),
  );
}

/** What the types have measured beside times, line by line. */
export function noteLines(outcomes: readonly Outcome[]): string[] {
  return outcomes.flatMap(({ type, notes }) => notes.map((text) => `${type}: ${text}`));
}

/** What went wrong, line by line; empty when nothing did. */
export function violationLines(outcomes: readonly Outcome[]): string[] {
  return outcomes.flatMap(({ type, violations }) => violations.map((text) => `${colors.red(type)}: ${text}`));
}
