/** Runs of locks: nobody is let in twice, nobody is forgotten, and one seed gives one run. */
import { describe, expect, it } from 'vitest';
import { profiles } from '../../../native-sim/machine/profiles.ts';
import { type RunOptions, type RunResult, runLock } from '../../../native-sim/scale/laboratory.ts';
import { lockKind, lockNames, type Setup } from '../../../native-sim/scale/locks.ts';

function run(lock: string, profile: string, cores: number, options: Partial<RunOptions> = {}): RunResult {
  return runLock({ profile: profiles.get(profile)!, lock, cores, simulatedNs: 60_000, ...options });
}

const digest = ({ operations, spins, acquisitions, messages, bytes, latencyNs }: RunResult) =>
  [operations, spins, acquisitions, messages, bytes, latencyNs.max].join();

describe.each(lockNames)('%s', (lock) => {
  it('lets one thread in at a time, and all get it, on machines of each model', { timeout: 60_000 }, () => {
    for (const machine of ['sc-8', 'intel-48', 'graviton-64', 'alpha-8']) {
      const result = run(lock, machine, 4, { outside: 1500, simulatedNs: 300_000 });
      expect(result.acquisitions, machine).toBeGreaterThan(30);
      expect(result.leastServed, machine).toBeGreaterThan(0);
    }
  });

  it('goes on with three threads a core, which are preempted in the middle of anything', { timeout: 60_000 }, () => {
    const profile = { ...profiles.get('vm-2')! };
    profile.system = { ...profile.system, sliceNs: 20_000, switchNs: 500, wakeLatencyNs: 1000 };
    const result = runLock({ profile, lock, cores: 2, threads: 6, simulatedNs: 3e6, outside: 9000, spins: 50 });
    expect(result.switches + result.sleeps).toBeGreaterThan(20);
    expect(result.leastServed).toBeGreaterThan(0);
  });

  it('one seed, one run; another seed, another', { timeout: 60_000 }, () => {
    const first = digest(run(lock, 'graviton-64', 5));
    expect(digest(run(lock, 'graviton-64', 5))).toBe(first);
    expect(digest(run(lock, 'graviton-64', 5, { seed: 2 }))).not.toBe(first);
  });
});

it.each(lockNames)('%s: views that are kept do what new ones do in each run of a step, for 10 seeds', (lock) => {
  const kind = lockKind(lock);
  const { prepare } = kind;
  // With threads that sleep in every other run.
  const options = (seed: number) => ({
    seed,
    simulatedNs: 30_000,
    ...(seed % 2 === 0 ? {} : { threads: 8, spins: 30 }),
  });
  const digests = () => Array.from({ length: 10 }, (_, seed) => digest(run(lock, 'graviton-64', 5, options(seed))));
  const kept = digests();
  Object.assign(kind, {
    prepare: (setup: Setup, base: number) => prepare.call(kind, { ...setup, opensEachRun: true }, base),
  });
  try {
    expect(digests()).toEqual(kept);
  } finally {
    Object.assign(kind, { prepare });
  }
});

// Textbook locks alone: a change of the library's own changes their runs.
it('the run of a seed is the same on every version of Node and every machine', () => {
  const digests = [
    digest(run('mcs', 'intel-48', 24)),
    digest(run('cohort', 'opteron-64', 20)),
    digest(run('ttas', 'vm-2', 2, { threads: 4, simulatedNs: 300_000 })),
    digest(run('clh', 'graviton-64', 8)),
    digest(run('ticket', 'alpha-8', 8)),
  ];
  expect(digests).toMatchInlineSnapshot(`
    [
      "1188,399555,119,2938,122720,11836.332999999999",
      "1943,280752,165,3530,157856,48851.745",
      "5106,52705,851,11475,499184,1197.5799999999872",
      "2703,119044,242,3448,150016,1832.5220000000008",
      "594,135555,96,3885,135376,4949.633999999998",
    ]
  `);
});

it('a ticket lock slows down with the waiters, MCS does not', () => {
  const at = (lock: string, cores: number) => run(lock, 'opteron-64', cores, { simulatedNs: 200_000 }).handoverNs!;
  expect(at('ticket', 48) / at('ticket', 16)).toBeGreaterThan(1.8);
  expect(at('mcs', 48) / at('mcs', 16)).toBeLessThan(1.7);
});

it("RCU's readers cost the same on every number of cores; counting them in one word does not scale", () => {
  const pair = (lock: string, cores: number) => {
    const options = { section: 0, outside: 0, shared: 0, reads: 1, simulatedNs: 5000 };
    return (1e9 * cores) / run(lock, 'xeon-8', cores, options).throughput;
  };
  for (const lock of ['rcu', 'srcu']) expect(pair(lock, 32) / pair(lock, 2)).toBeLessThan(1.1);
  expect(pair('refcount', 32) / pair('refcount', 2)).toBeGreaterThan(10);
});

it('a writer of RCU waits for readers that are inside', () => {
  const options = { section: 20_000, outside: 100, shared: 0, simulatedNs: 2e6 };
  // No spinlock sleeps here, so whoever sleeps waits for a grace period, and with readers inside somebody has to.
  expect(run('rcu', 'intel-48', 4, { ...options, reads: 0 }).sleeps).toBe(0);
  expect(run('rcu', 'intel-48', 4, { ...options, reads: 0.5 }).sleeps).toBeGreaterThan(0);
});

it('a holder that keeps its core is not waited for across a time slice', () => {
  const profile = { ...profiles.get('vm-2')! };
  profile.system = { ...profile.system, sliceNs: 20_000 };
  const options = { profile, lock: 'ttas', cores: 2, threads: 6, simulatedNs: 2e6, section: 3000, outside: 1000 };
  const kernel = runLock({ ...options, preemptOffInSection: true });
  expect(kernel.acquisitions / runLock(options).acquisitions).toBeGreaterThan(1.2);
});

it.each<[string, Partial<RunOptions>, string]>([
  ['more cores than there are', { cores: 49 }, 'cores must be a whole number from 1 to 48; received 49'],
  ['half a core', { cores: 1.5 }, 'cores must be a whole number from 1 to 48; received 1.5'],
  ['more threads than an arena has', { threads: 1001 }, 'threads must be a whole number from 1 to 1000; received 1001'],
  ['a lock that nobody knows', { lock: 'mcss' }, 'lock must be one of increment, cas-increment,'],
  ['a negative section', { section: -1 }, 'section must be a number from 0 to'],
  ['no time', { simulatedNs: 0 }, 'simulatedNs must be a number from 1000 to'],
  ['more than all read', { reads: 2 }, 'reads must be a number from 0 to 1; received 2'],
  ['no number', { section: Number.NaN }, 'section must be a number from 0 to 100000000; received NaN'],
])('%s', (_, options, message) => {
  const all = { profile: profiles.get('intel-48')!, lock: 'mcs', cores: 4, ...options };
  expect(() => runLock(all)).toThrow(message);
});

it('a lock that lets two in is noticed', () => {
  const mcs = lockKind('mcs');
  const prepare = mcs.prepare;
  Object.assign(mcs, { prepare: () => ({ open: () => ({ enter: () => {}, leave: () => {} }) }) });
  try {
    expect(() => run('mcs', 'intel-48', 4)).toThrow('mcs: two threads inside');
  } finally {
    Object.assign(mcs, { prepare });
  }
});
