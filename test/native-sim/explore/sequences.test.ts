import { describe, expect, test } from 'vitest';
import { expectExplored } from '../../../native-sim/explore/expect.ts';
import { SEQUENCE_NAMES, type SequenceAct, sequence } from './programs/sequences.ts';

const MODELS = ['sc', 'x86-tso', 'armv8'] as const;
const maxEvents = 6000;
const forever = Number.POSITIVE_INFINITY;

const CAST: SequenceAct[][] = [
  ['twice', 'read'],
  ['twice', 'section'],
  ['write', 'read', 'section'],
];

describe.each(SEQUENCE_NAMES)('%s', (name) => {
  test.each(MODELS)('is never read torn, on %s', async (model) => {
    for (const acts of CAST) {
      const { complete } = await expectExplored({ ...sequence(name, acts, forever), model, maxEvents });
      expect(complete).toBe(true);
    }
  });
});

const random = { maxEvents, mode: 'random', executions: 1000 } as const;

test.each(MODELS)('writers of a seq-lock keep each other out, on %s', async (model) => {
  await expectExplored({ ...sequence('seq-lock', ['write', 'write', 'read'], 1), model, ...random });
});

test('what a writer left torn when it died is not read', async () => {
  for (const acts of [
    ['write', 'read'],
    ['write', 'write', 'read'],
  ] as const) {
    const { kills } = await expectExplored({ ...sequence('seq-lock', acts, 1), ...random, kill: { threads: [0] } });
    expect(kills).toBeGreaterThan(10);
  }
  // Without a bound, for a reader of a latch waits for nobody.
  await expectExplored({ ...sequence('seq-count-latch', ['twice', 'read'], forever), maxEvents, kill: true });
});
