/** What the Linux kernel's memory model says of RCU and SRCU, of the implementation. */
import { describe, expect, test } from 'vitest';
import { expectExplored } from '../../../native-sim/explore/expect.ts';
import { explore } from '../../../native-sim/explore/explore.ts';
import { type Around, type Line, rcuLitmus, ring } from './programs/rcu-litmus.ts';

/** Two threads: what they do, and the outcome that the model forbids, as what is read in the order of the lines. */
const SHAPES: [string, Line[], number[]][] = [
  [
    'RCU+sync+read',
    [
      ['reader', 'W0', 'W1'],
      ['gp', 'R0', 'R1'],
    ],
    [-1, -1, 1, 0],
  ],
  [
    'RCU+sync+read, expedited',
    [
      ['reader', 'W0', 'W1'],
      ['hurry', 'R0', 'R1'],
    ],
    [-1, -1, 1, 0],
  ],
  [
    'RCU-MP',
    [
      ['reader', 'R0', 'R1'],
      ['gp', 'W1', 'W0'],
    ],
    [1, 0, -1, -1],
  ],
  [
    'SRCU, nested',
    [
      ['nested', 'R0', 'R1'],
      ['gp', 'W1', 'W0'],
    ],
    [1, 0, -1, -1],
  ],
  [
    'SRCU, a guard',
    [
      ['guard', 'W0', 'W1'],
      ['hurry', 'R0', 'R1'],
    ],
    [-1, -1, 1, 0],
  ],
];

const is = (outcome: readonly number[]) => (seen: readonly number[]) => seen.join() === outcome.join();

/** Too many executions for all of them. */
const search = { model: 'armv8', maxEvents: 20_000, mode: 'random', executions: 200 } as const;

describe('the model forbids, and no execution shows', () => {
  test.each(SHAPES)('%s', async (_name, lines, forbidden) => {
    await expectExplored({ ...rcuLitmus(lines, is(forbidden)), ...search });
  });

  test.each([
    [['reader', 'gp']],
    [['guard', 'hurry']],
    [['reader', 'gp', 'gp']],
    [['reader', 'reader', 'gp', 'hurry']],
    [['nested', 'guard', 'hurry', 'gp']],
  ] as [Around[]][])('a ring of %j', async (arounds) => {
    await expectExplored({ ...ring(arounds), ...search });
  });
});

describe('the model allows, and an execution shows', () => {
  test.each([
    ['a period that has not waited for a reader of another domain', [-1, -1, 1, 0]],
    ['a reader that comes when all is read', [-1, -1, 0, 0]],
    ['a reader that comes between the two', [-1, -1, 0, 1]],
  ] as const)('%s', async (_name, outcome) => {
    const lines: Line[] = [
      ['other', 'W0', 'W1'],
      ['gp', 'R0', 'R1'],
    ];
    const { failure } = await explore({ ...rcuLitmus(lines, is(outcome)), ...search });
    expect(failure?.message).toContain(`the model forbids ${outcome.join()}`);
  });
});
