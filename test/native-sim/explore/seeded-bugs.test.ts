import { describe, expect, test } from 'vitest';
import type { Change } from '../../../native-sim/explore/alter.ts';
import { explore } from '../../../native-sim/explore/explore.ts';
import type { Program } from '../../../native-sim/explore/program.ts';
import type { Site } from '../../../native-sim/explore/site.ts';
import { futexMutex, mcs, qspinlock, ticket, ttas } from './programs/locks.ts';
import { dekker, semaphore, waitQueue, wakeAfterStore } from './programs/sleepers.ts';
import { michaelScott, seqlock, treiber } from './programs/structures.ts';

interface Bug {
  name: string;
  make: () => Program;
  op: Site['op'];
  to?: Change;
  /** Which of the calls of that operation in the program, in the order of their lines. */
  nth?: number;
  kind: string;
  tso?: true;
  /** Where all executions are too many. */
  mode?: 'random';
}

const BUGS: Bug[] = [
  { name: 'MCS: the link to the one in front', make: () => mcs(2), op: 'storeRelease', nth: 0, kind: 'deadlock' },
  { name: 'MCS: the hand-over', make: () => mcs(2), op: 'storeRelease', nth: 1, kind: 'data-race' },
  { name: 'MCS: the spin', make: () => mcs(2), op: 'condLoadAcquire', nth: 0, kind: 'data-race' },
  { name: 'MCS: the tail exchange, release only', make: () => mcs(2), op: 'rmb', kind: 'data-race' },
  { name: 'MCS: the tail exchange, acquire only', make: () => mcs(2), op: 'xchgRelease', kind: 'deadlock' },
  { name: "MCS: unlock's compare-and-exchange", make: () => mcs(2), op: 'cmpxchgRelease', kind: 'data-race' },
  {
    name: 'qspinlock: the write barrier before the tail exchange',
    make: () => qspinlock(4),
    op: 'wmb',
    kind: 'deadlock',
    mode: 'random',
  },
  { name: 'qspinlock: the unlock', make: () => qspinlock(2), op: 'fetchAndRelease', kind: 'data-race' },
  { name: 'ticket: the spin', make: () => ticket(2), op: 'condLoadAcquire', kind: 'data-race' },
  { name: 'ticket: the unlock', make: () => ticket(2), op: 'storeRelease', kind: 'data-race' },
  { name: 'TTAS: the lock', make: () => ttas(2), op: 'cmpxchgAcquire', kind: 'data-race' },
  { name: 'TTAS: the unlock', make: () => ttas(2), op: 'storeRelease', kind: 'data-race' },
  { name: 'futex mutex: the lock', make: () => futexMutex(2), op: 'cmpxchgAcquire', kind: 'data-race' },
  { name: 'futex mutex: the contended lock', make: () => futexMutex(2), op: 'xchgAcquire', kind: 'data-race' },
  { name: 'futex mutex: the unlock', make: () => futexMutex(2), op: 'xchgRelease', kind: 'data-race' },
  { name: "futex: the waker's store", make: wakeAfterStore, op: 'storeRelease', kind: 'deadlock' },
  { name: 'seqlock: the first wmb', make: seqlock, op: 'wmb', nth: 0, kind: 'exception' },
  { name: 'seqlock: the second wmb', make: seqlock, op: 'wmb', nth: 1, kind: 'exception' },
  { name: 'seqlock: the first rmb', make: seqlock, op: 'rmb', nth: 0, kind: 'exception' },
  { name: 'seqlock: the second rmb', make: seqlock, op: 'rmb', nth: 1, kind: 'exception' },
  { name: 'semaphore: the full barrier of the sleeper', make: semaphore, op: 'xchg', nth: 0, kind: 'deadlock' },
  { name: 'Dekker: the full barriers', make: dekker, op: 'mb', kind: 'data-race', tso: true },
  { name: "wait queue: the sleeper's barrier", make: waitQueue, op: 'mb', nth: 0, kind: 'deadlock', tso: true },
  { name: "wait queue: the waker's barrier", make: waitQueue, op: 'mb', nth: 1, kind: 'deadlock', tso: true },
  { name: 'Treiber: the push', make: treiber, op: 'cmpxchgRelease', kind: 'data-race' },
  { name: 'Michael-Scott: the link', make: michaelScott, op: 'cmpxchgRelease', nth: 1, kind: 'data-race' },
];

/** The lines on which the program calls `op`, in order. */
async function linesOf(program: Program, op: Site['op']): Promise<number[]> {
  const lines = new Set<number>();
  const note = (site: Site) => {
    if (site.op === op) lines.add(site.line);
    return null;
  };
  await explore({ ...program, model: 'armv8', alter: note });
  return [...lines].sort((a, b) => a - b);
}

describe.each(BUGS)('$name, weakened', ({ make, op, to, nth, kind, tso, mode }) => {
  test.each(['armv8', 'x86-tso', 'sc'] as const)('is found on %s exactly if that machine shows it', async (model) => {
    const line = nth === undefined ? undefined : (await linesOf(make(), op))[nth];
    if (nth !== undefined) expect(line, 'no such call').toBeDefined();
    const match = (site: Site) => site.op === op && (line === undefined || site.line === line);
    const search = {
      mode: mode ?? 'exhaustive',
      executions: mode === 'random' ? 5000 : Number.POSITIVE_INFINITY,
    } as const;
    const result = await explore({
      ...make(),
      model,
      ...search,
      weaken: { match, ...(to === undefined ? {} : { to }) },
    });
    const isShown = model === 'armv8' || (model === 'x86-tso' && tso);
    expect(result.failure?.kind ?? 'none').toBe(isShown ? kind : 'none');
  });
});
