/** Experiments: what they compare with what, and some whose figures the machine has to come near. */
import { expect, it } from 'vitest';
import { profiles } from '../../../native-sim/machine/profiles.ts';
import { experimentNamed, experiments, runExperiment, showExperiment } from '../../../native-sim/scale/experiments.ts';
import { lockNames } from '../../../native-sim/scale/locks.ts';

it.each(experiments.map((experiment) => [experiment.name, experiment] as const))('%s can be run', (_, experiment) => {
  const { profile, rows, isReference } = experiment;
  for (const row of rows) {
    expect(lockNames).toContain(row.lock);
    expect(row.cores).toBeLessThanOrEqual(profiles.get(profile)!.cores);
    if (isReference === undefined) continue;
    const reference = rows.filter((other) => isReference(other, row));
    expect(reference, `what ${row.lock} at ${row.cores} is relative to`).toHaveLength(1);
    expect(rows.find((other) => isReference(other, reference[0]!))).toBe(reference[0]);
  }
});

const ratios = async (name: string) => (await runExperiment(experimentNamed(name), 1)).rows;

it('eight cores of one die: all locks are as fast as each other', { timeout: 60_000 }, async () => {
  for (const { lock, ratio } of await ratios('litl-opteron-8')) {
    expect(ratio, lock).toBeGreaterThan(0.9);
    expect(ratio, lock).toBeLessThan(1.1);
  }
});

it("a ticket lock's hand-over grows with the waiters, that of MCS does not, as published", {
  timeout: 60_000,
}, async () => {
  for (const { lock, cores, ratio, isReference } of await ratios('hand-over')) {
    expect(isReference, `${lock} at ${cores}`).toBe(cores === 16);
    expect(ratio, `${lock} at ${cores}`).toBeGreaterThan(0.8);
    expect(ratio, `${lock} at ${cores}`).toBeLessThan(1.3);
  }
});

it('waiters that park cost a queue lock nearly all of its throughput from 16 cores on', {
  timeout: 60_000,
}, async () => {
  const { rows } = await runExperiment(experimentNamed('litl-parking'), 1);
  for (const { lock, cores, simulated, ratio } of rows) {
    if (lock !== 'mcs-park') continue;
    if (cores > 8) expect(simulated, `${cores}`).toBeLessThan(0.1);
    expect(Math.max(ratio, 1 / ratio), `${cores}`).toBeLessThan(1.5);
  }
});

it('four sockets: the winner is the lock that keeps to a socket, then MCS, ticket, and last TAS', {
  timeout: 60_000,
}, async () => {
  const rows = await ratios('pca-intel');
  const order = [...rows].sort((a, b) => b.simulated - a.simulated).map(({ lock }) => lock);
  expect(order).toEqual(['cohort', 'mcs', 'ticket', 'tas']);
});

it('a lock that is handed to a sleeping waiter does half the work of one that may be stolen', async () => {
  for (const { lock, ratio } of await ratios('lock-stealing')) {
    expect(ratio, lock).toBeGreaterThan(0.75);
    expect(ratio, lock).toBeLessThan(1.3);
  }
});

it("the kernel's qspinlock without journals: a second trylock and an early fetch of the successor's line gain nothing", async () => {
  const at48 = new Map(
    (await ratios('qspinlock')).filter(({ cores }) => cores === 48).map((row) => [row.lock, row.simulated]),
  );
  const plain = at48.get('plain-qspinlock')!;
  expect(plain).toBeGreaterThan(at48.get('qspinlock')!);
  for (const whatIf of ['try', 'prefetch']) {
    expect(at48.get(`plain-qspinlock-${whatIf}`)! / plain).toBeGreaterThan(0.9);
    expect(at48.get(`plain-qspinlock-${whatIf}`)! / plain).toBeLessThan(1.05);
  }
});

it('a row that others are relative to is marked, and has no deviation of its own', () => {
  const row = { lock: 'mcs', cores: 64, published: 1, simulated: 1, ratio: 1, isReference: true };
  const other = { lock: 'tas', cores: 64, published: 0.5, simulated: 1, ratio: 2, isReference: false };
  const text = showExperiment({ name: 'x', source: 'a paper', unit: 'of MCS', rows: [row, other] });
  expect(text.split('\n').slice(2, 4)).toEqual([
    expect.stringMatching(/^mcs +64 +1\.00 +1\.00 +\(reference\)$/),
    expect.stringMatching(/^tas +64 +0\.500 +1\.00 +x 2\.00$/),
  ]);
});
