import { describe, expect, test } from 'vitest';
import { McsLock } from '../../../lib/locking/mcs-lock.ts';
import { Mutex } from '../../../lib/locking/mutex.ts';
import { SpinLock } from '../../../lib/locking/spin-lock.ts';
import { TicketLock } from '../../../lib/locking/ticket-lock.ts';
import type { Change } from '../../../native-sim/explore/alter.ts';
import { explore } from '../../../native-sim/explore/explore.ts';
import type { Program } from '../../../native-sim/explore/program.ts';
import type { Site } from '../../../native-sim/explore/site.ts';
import { exclusion, latchExclusion, osqExclusion, parkUnpark } from './programs/holdfast.ts';

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

const ticket = () => exclusion(2, forever, (arena, handle) => new TicketLock(arena, handle));
const mcs = () => exclusion(2, forever, (arena, handle) => new McsLock(arena, handle));
const spin = (spins: number, threads = 2) => () =>
  exclusion(threads, spins, (arena, handle) => new SpinLock(arena, handle));
const mutex = (spins: number, threads = 2) => () =>
  exclusion(threads, spins, (arena, handle) => new Mutex(arena, handle));
const osq = (spins: number) => () => osqExclusion(2, spins);

const BUGS: Bug[] = [
  { name: "ticket: the waiter's acquire", make: ticket, file: 'ticket-lock.ts', op: 'condLoadAcquire' },
  { name: "ticket: unlock's release", make: ticket, file: 'ticket-lock.ts', op: 'storeRelease' },
  { name: "MCS: the waiter's acquire", make: mcs, file: 'mcs-lock.ts', op: 'condLoadAcquire' },
  { name: 'MCS: the grant', make: mcs, file: 'spin-queue.ts', op: 'cmpxchgRelease' },
  { name: 'MCS: the tail exchange, relaxed', make: mcs, file: 'mcs-lock.ts', op: 'xchg' },
  { name: 'MCS: the tail exchange, release only', make: mcs, file: 'mcs-lock.ts', op: 'xchg', to: 'release' },
  { name: "MCS: unlock's compare-and-exchange", make: mcs, file: 'mcs-lock.ts', op: 'cmpxchgRelease' },
  { name: "qspinlock: the lock's acquire", make: spin(forever), file: 'spin-lock.ts', op: 'cmpxchgAcquire' },
  { name: "qspinlock: the waiter's acquire", make: spin(forever), file: 'spin-lock.ts', op: 'condLoadAcquire' },
  { name: "qspinlock: unlock's release", make: spin(forever), file: 'spin-lock.ts', op: 'cmpxchgRelease' },
  { name: 'qspinlock: the tail exchange', make: spin(forever, 4), file: 'spin-lock.ts', op: 'cmpxchg', within: 'exchangeTail' },
  { name: 'osq: the tail exchange', make: osq(forever), file: 'osq.ts', op: 'cmpxchg', within: 'osqLock' },
  { name: "osq: the waiter's acquire", make: osq(forever), file: 'osq.ts', op: 'condLoadAcquire', within: 'osqLock' },
  { name: "mutex: the lock's acquire", make: mutex(1), file: 'mutex-core.ts', op: 'cmpxchgAcquire' },
  { name: "mutex: unlock's release, uncontended", make: mutex(forever), file: 'mutex.ts', op: 'cmpxchgRelease' },
  { name: "mutex: unlock's release, contended", mode: 'random', make: mutex(1, 3), file: 'mutex-core.ts', op: 'cmpxchgRelease' },
  { name: 'latch: the acquire', make: () => latchExclusion(2), file: 'latch.ts', op: 'cmpxchgAcquire' },
  { name: 'latch: the release', make: () => latchExclusion(2), file: 'latch.ts', op: 'xchgRelease' },
  { name: 'park: saying that one sleeps', make: () => parkUnpark(), file: 'task.ts', op: 'xchg', within: 'prepareToPark', tso: true },
  { name: 'unpark: looking for a sleeper', make: () => parkUnpark(), file: 'task.ts', op: 'xchg', within: 'unpark' },
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
    const { failure, verdict } = await explore({ ...make(), model: 'armv8', maxEvents: 2000, mode: mode ?? 'exhaustive', alter });
    expect(weakened, 'no such call').toBeGreaterThan(0);
    expect(verdict).toBe('failure');
    expect(['data-race', 'deadlock', 'check', 'exception']).toContain(failure?.kind);
  });
});
