import { stripVTControlCharacters } from 'node:util';
import { expect, test } from 'vitest';
import { LOCK_TYPES } from '../../lib/torture/lock-types.ts';
import type { Outcome } from '../../lib/torture/outcome.ts';
import { outcomeTable } from '../../lib/torture/table.ts';

const times = { p50: 999e6, p99: 999e6, max: 999e6 };
const outcomes = LOCK_TYPES.filter(({ isBusted }) => !isBusted).map(
  ({ name }) =>
    ({
      type: name,
      verdict: 'ok',
      wait: times,
      hold: times,
      perSecond: 99_999_999,
      leastShare: 0.999,
      mostShare: 0.999,
      contended: 0.999,
      parks: 9_999_999,
      handoffs: 9_999_999,
      kills: 99_999,
      recoveries: 99_999,
    }) as Outcome,
);

test.each([80, 100, 120, 160, 240])(
  'a table that a terminal of %i columns breaks, or that lacks the verdict',
  (width) => {
    const lines = stripVTControlCharacters(outcomeTable(outcomes, width)).split('\n');
    for (const line of lines) expect(line.length).toBeLessThanOrEqual(width);
    for (const { type } of outcomes) {
      const row = lines.find((line) => line.startsWith(`│ ${type} `));
      expect(row).toMatch(/99,999,999.*│ ok/);
    }
  },
);

test('more room, and no more columns', () => {
  const heads = (width?: number) => outcomeTable(outcomes, width).split('\n')[1]!.split('│').length;
  expect(heads(80)).toBeLessThan(heads(125));
  expect(heads(125)).toBeLessThan(heads());
  expect(heads()).toBe(heads(1000));
});
