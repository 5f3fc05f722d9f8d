/**
 * Three threads and a death, or two, in the rooms above the locks: a line for each program. `npm run explore` runs all of them,
 * `room-trios.test.ts` the first steps of one of each room.
 */

import { COUNTER_ACTS, REFERENCE_ACTS } from './counters.ts';
import { RETIRED_ACTS, RETIRED_LOCKS } from './retired.ts';
import { POOL_ACTS, type PoolAct } from './submitters.ts';
import { threes } from './trios.ts';

export interface RoomTrio {
  readonly room: string;
  readonly module: string;
  readonly exported: string;
  /** In front of the number of deaths. */
  readonly args: readonly unknown[];
}

/** All pairs of `acts`, the same twice too. */
function twos<Act>(acts: readonly Act[]): [Act, Act][] {
  return acts.flatMap((first, i) => acts.slice(i).map((second): [Act, Act] => [first, second]));
}

/** One or two workers, and threads that submit. */
function submitting(): PoolAct[][] {
  const others = POOL_ACTS.filter((act) => act !== 'work');
  return [
    ...twos(others).map((acts): PoolAct[] => ['work', ...acts]),
    ...others.map((act): PoolAct[] => ['work', 'work', act]),
  ];
}

/** Each pair of `acts`, each time with another one of `others` beside. */
function withOne<Act>(acts: readonly Act[], others: readonly Act[]): [Act[]][] {
  return twos(acts).map((two, i) => [[...two, others[i % others.length] as Act]]);
}

const lines = (room: string, module: string, exported: string, all: readonly (readonly unknown[])[]): RoomTrio[] =>
  all.map((args) => ({ room, module, exported, args }));

export const ROOM_TRIOS: readonly RoomTrio[] = [
  ...RETIRED_LOCKS.flatMap((lock) =>
    lines(
      'memory of tasks',
      'retired',
      'retired',
      twos(RETIRED_ACTS).map((acts) => [lock, acts]),
    ),
  ),
  ...[1, 4].flatMap((maxActive) =>
    lines(
      'workqueue',
      'submitters',
      'submitters',
      submitting().map((acts) => [acts, maxActive]),
    ),
  ),
  ...lines('workqueue', 'workqueue', 'workqueue', [
    [{ items: ['run', 'run'], workers: 2, maxActive: 1 }],
    [{ items: ['run', 'run', 'run'], workers: 2, together: true }],
    [{ items: ['sleep', 'open'], workers: 2 }],
    [{ items: ['sleep', 'open', 'run'], workers: 2, together: true }],
    [{ items: ['offline', 'open'], workers: 2, isBound: true }],
  ]),
  ...lines('work', 'work', 'workProgram', [
    [[['queue 0', 'flush'], ['queue 0']], 1],
    [[['queue 0', 'cancel', 'queue 0'], ['flush']], 1],
    [
      [
        ['queue 0', 'cancel sync'],
        ['queue 0', 'cancel'],
      ],
      1,
    ],
    [[['queue 0', 'queue 1'], ['flush']], 2],
    [[['queue 0', 'queue 1', 'cancel'], ['queue 1']], 2],
  ]),
  ...lines('callbacks', 'callbacks', 'callbacks', [
    ...withOne(['call', 'barrier', 'barrier sync', 'replace', 'hurry', 'later'], ['read', 'overlap']),
    [['call', 'call', 'barrier']],
    [['call', 'barrier', 'barrier sync']],
    [['call', 'hurry', 'later']],
  ]),
  ...lines('sequences', 'sequences', 'sequence', [
    ...threes(['write', 'twice', 'read', 'section'] as const, ['write', 'twice']).map((acts) => ['seq-lock', acts, 1]),
    // Writers that nothing keeps apart; and who waits for a dead writer of a seq-count naps without end.
    ...twos(['read', 'section'] as const).map((acts) => ['seq-count-latch', ['twice', ...acts], 1]),
  ]),
  ...lines('rescue', 'rescue', 'rescue', [[1], [2], [3]]),
  ...lines(
    'counts',
    'counters',
    'percpuCounter',
    threes(COUNTER_ACTS, ['add', 'less']).map((acts) => [acts]),
  ),
  ...lines(
    'counts',
    'counters',
    'references',
    threes(REFERENCE_ACTS, ['use', 'twice']).map((acts) => [acts]),
  ),
];
