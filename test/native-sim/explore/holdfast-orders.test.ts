import { describe, expect, test } from 'vitest';
import type { Change } from '../../../native-sim/explore/alter.ts';
import { explore } from '../../../native-sim/explore/explore.ts';
import type { Program } from '../../../native-sim/explore/program.ts';
import type { Site } from '../../../native-sim/explore/site.ts';
import { type LockName, lock, parkUnpark } from './programs/holdfast.ts';

const forever = Number.POSITIVE_INFINITY;

interface Bug {
  name: string;
  make: () => Program;
  /** The file and the operation, all of whose calls are weakened; or only those in one function. */
  file: string;
  op: Site['op'];
  within?: string;
  /** Where the state space is large and the bug is not deep. */
  mode?: 'random';
  to?: Change;
  tso?: true;
}

const make =
  (name: LockName, threads = 2, spins = forever) =>
  () =>
    lock(name, threads, spins);

const BUGS: Bug[] = [
  { name: "ticket: the waiter's acquire", make: make('ticket'), file: 'ticket-lock.ts', op: 'condLoadAcquire' },
  { name: "ticket: unlock's release", make: make('ticket'), file: 'ticket-lock.ts', op: 'storeRelease' },
  { name: "MCS: the waiter's acquire", make: make('mcs'), file: 'mcs-lock.ts', op: 'condLoadAcquire' },
  { name: 'MCS: the grant', make: make('mcs'), file: 'spin-queue.ts', op: 'cmpxchgRelease' },
  { name: 'MCS: the tail exchange, relaxed', make: make('mcs'), file: 'mcs-lock.ts', op: 'xchg' },
  { name: 'MCS: the tail exchange, release only', make: make('mcs'), file: 'mcs-lock.ts', op: 'xchg', to: 'release' },
  { name: "MCS: unlock's compare-and-exchange", make: make('mcs'), file: 'mcs-lock.ts', op: 'cmpxchgRelease' },
  { name: "qspinlock: the lock's acquire", make: make('qspinlock'), file: 'spin-lock.ts', op: 'cmpxchgAcquire' },
  { name: "qspinlock: the waiter's acquire", make: make('qspinlock'), file: 'spin-lock.ts', op: 'condLoadAcquire' },
  { name: "qspinlock: unlock's release", make: make('qspinlock'), file: 'spin-lock.ts', op: 'cmpxchgRelease' },
  {
    name: 'qspinlock: the tail exchange',
    make: make('qspinlock', 4),
    file: 'spin-lock.ts',
    op: 'cmpxchg',
    within: 'exchangeTail',
  },
  { name: 'osq: the tail exchange', make: make('osq'), file: 'osq.ts', op: 'cmpxchg', within: 'osqLock' },
  { name: "osq: the waiter's acquire", make: make('osq'), file: 'osq.ts', op: 'condLoadAcquire', within: 'osqLock' },
  { name: "mutex: the lock's acquire", make: make('mutex', 2, 1), file: 'mutex-core.ts', op: 'cmpxchgAcquire' },
  { name: "mutex: unlock's release, uncontended", make: make('mutex'), file: 'mutex.ts', op: 'cmpxchgRelease' },
  {
    name: "mutex: unlock's release, contended",
    mode: 'random',
    make: make('mutex', 3, 1),
    file: 'mutex-core.ts',
    op: 'cmpxchgRelease',
  },
  { name: 'latch: the acquire', make: make('latch'), file: 'latch.ts', op: 'cmpxchgAcquire' },
  { name: 'latch: the release', make: make('latch'), file: 'latch.ts', op: 'xchgRelease' },
  {
    name: 'park: saying that one sleeps',
    make: parkUnpark,
    file: 'task.ts',
    op: 'xchg',
    within: 'prepareToPark',
    tso: true,
  },
  { name: 'unpark: looking for a sleeper', make: parkUnpark, file: 'task.ts', op: 'xchg', within: 'unpark' },
];

describe.each(BUGS)('$name, weakened', ({ make, file, op, within, to, mode }) => {
  test('is found', async () => {
    const match = (site: Site) =>
      site.op === op && site.file.endsWith(`/${file}`) && (within === undefined || site.stack[0]!.includes(within));
    let weakened = 0;
    const alter = (site: Site) => {
      if (!match(site)) return null;
      weakened++;
      return to ?? 'relaxed';
    };
    const { failure, verdict } = await explore({
      ...make(),
      model: 'armv8',
      maxEvents: 2000,
      mode: mode ?? 'exhaustive',
      alter,
    });
    expect(weakened, 'no such call').toBeGreaterThan(0);
    expect(verdict).toBe('failure');
    expect(['data-race', 'deadlock', 'check', 'exception']).toContain(failure?.kind);
  });
});
