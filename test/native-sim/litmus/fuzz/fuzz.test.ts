/** A few of the random tests that `npm run fuzz:litmus` makes many of. */
import { expect, test } from 'vitest';
import { compare, targets } from './compare.ts';

test.each(targets.map((target) => [target.name, target] as const))(
  'random tests in %s have the verdicts of a slow search',
  (_, target) => {
    let equal = 0;
    for (let seed = 1; seed <= 60; seed++) {
      const comparison = compare(target, seed, 300);
      expect(comparison).not.toMatchObject({ kind: 'different' });
      if (comparison.kind === 'equal') equal++;
    }
    expect(equal).toBeGreaterThan(40);
  },
);
