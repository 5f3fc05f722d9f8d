/** test/faults.md: that every class is in every row, and that the tests which it names are there and know the class. */
import { existsSync, readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { CASES } from './support/objects.ts';

const HERE = new URL('./', import.meta.url);
const read = (path: string) => readFileSync(new URL(path, HERE), 'utf8');

/** The cells of each row of the table whose first column has that head. */
function tableOf(head: string): string[][] {
  const lines = read('faults.md').split('\n');
  const start = lines.findIndex((line) => line.startsWith(`| ${head} |`)) + 2;
  const end = lines.findIndex((line, i) => i >= start && !line.startsWith('|'));
  return lines.slice(start, end < 0 ? lines.length : end).map((line) =>
    line
      .slice(1, -1)
      .split('|')
      .map((cell) => cell.trim()),
  );
}

const groups = new Map(tableOf('group').map(([name, classes]) => [name as string, (classes as string).split(', ')]));
const classesIn = (names: string) => names.split(', ').flatMap((name) => groups.get(name) ?? [name]);
/** Of objects without a case: the arena's own, and words. */
const OTHERS = ['Rcu', 'RcuQsbr', 'Futex'];
const ALL = [...new Set(CASES.map(({ kind }) => kind.split(',')[0] as string)), ...OTHERS].sort();

/** A test's own text, and that of the tables which it takes from test/support. */
function textOf(path: string): string {
  const text = read(path);
  const tables = text.matchAll(/'(?:\.\.\/)+support\/(objects|waits)\.ts'/g);
  return [text, ...[...tables].map(([, name]) => read(`support/${name}.ts`))].join('\n');
}

const rows = tableOf('fault').map(([fault = '', tests = '', classes = '', leftOut = '']) => {
  const out = leftOut.split('; ').flatMap((each) => classesIn(each.slice(0, each.indexOf(': '))));
  const covered = classes === 'all' ? ALL.filter((name) => !out.includes(name)) : classesIn(classes);
  return { fault, files: tests.split(', ').map((name) => name.replaceAll('`', '')), covered, out, leftOut };
});

test('a group names a class that there is not', () => {
  expect([...groups.values()].flat().filter((name) => !ALL.includes(name))).toEqual([]);
});

test.each(rows)(
  'a test that is gone, or a class without a test or a reason: $fault',
  ({ files, covered, out, leftOut }) => {
    expect([...covered, ...out].sort()).toEqual(ALL);
    const named = [...files, ...[...leftOut.matchAll(/`([\w/-]+\.test\.ts)`/g)].map(([, name]) => name as string)];
    expect(named.filter((name) => !existsSync(new URL(name, HERE)))).toEqual([]);
    const text = files.map(textOf).join('\n');
    expect(covered.filter((name) => !new RegExp(`\\b${name}\\b`).test(text))).toEqual([]);
  },
);
