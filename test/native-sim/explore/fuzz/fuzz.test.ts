import { describe, expect, test } from 'vitest';
import { difference } from './compare.ts';
import type { Feature } from './program.ts';

const SEEDS = Number(process.env.EXPLORE_SEEDS ?? 100);
const FEATURES: Feature[] = ['plain', 'wait', 'spin', 'death'];

describe.each(FEATURES)('random programs with %s', (feature) => {
  test.each(['sc', 'x86-tso', 'armv8'] as const)('do on %s what an abstract machine does, and no more', (model) => {
    for (let seed = 1; seed <= (feature === 'death' ? SEEDS / 4 : SEEDS); seed++) {
      expect(difference(seed, feature, model)).toBeNull();
    }
  });
});
