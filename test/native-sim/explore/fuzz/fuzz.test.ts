/** A few of the random programs that `npm run fuzz:explore` makes many of. */
import { describe, expect, test } from 'vitest';
import { comparison } from './compare.ts';
import { FEATURES } from './program.ts';

const SEEDS = 100;

describe.each(FEATURES)('random programs with %s', (feature) => {
  test.each(['sc', 'x86-tso', 'armv8'] as const)('do on %s what an abstract machine does, and no more', (model) => {
    const seeds = feature === 'death' ? SEEDS / 4 : SEEDS;
    let equal = 0;
    for (let seed = 1; seed <= seeds; seed++) {
      const found = comparison(seed, feature, model);
      expect(found).not.toMatchObject({ kind: 'different' });
      if (found.kind === 'equal') equal++;
    }
    expect(equal).toBe(seeds);
  });
});
