/** Tables for terminals, which leave out what there is no room for. */
import { stripVTControlCharacters } from 'node:util';
import Table from 'cli-table3';
import colors from 'picocolors';

export interface Column<Row> {
  readonly head: string;
  readonly cell: (row: Row) => string;
  /** 0: in every table; 1 and 2: where the terminal has room for it. */
  readonly tier: 0 | 1 | 2;
  /** Default: numbers, which are set to the right. */
  readonly isText?: true;
}

/** A table with a row for each of `rows`. `width`: of the terminal, in characters. */
export function fittedTable<Row>(
  columns: readonly Column<Row>[],
  rows: readonly Row[],
  width = Number.POSITIVE_INFINITY,
): string {
  const [narrow, ...wider] = [0, 1, 2].map((tier) =>
    draw(
      columns.filter((column) => column.tier <= tier),
      rows,
    ),
  ) as [string, ...string[]];
  const widest = wider.reverse().find((table) => widthOf(table) <= width);
  return widest ?? narrow;
}

function draw<Row>(columns: readonly Column<Row>[], rows: readonly Row[]): string {
  const table = new Table({
    head: columns.map(({ head }) => colors.bold(head)),
    // No colours of its own: it would print them to files as well.
    style: { head: [], border: [], compact: true },
    colAligns: columns.map(({ isText }) => (isText ? 'left' : 'right')),
  });
  for (const row of rows) table.push(columns.map(({ cell }) => cell(row)));
  return table.toString();
}

function widthOf(text: string): number {
  return Math.max(
    ...stripVTControlCharacters(text)
      .split('\n')
      .map((line) => line.length),
  );
}
