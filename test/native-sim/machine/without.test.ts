/** Each of the four causes of delay taken out of a machine: the weak outcomes that it is the cause of vanish, others stay. */
import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { readLitmus } from '../../../native-sim/litmus/read.ts';
import { runOnMachine } from '../../../native-sim/machine/litmus.ts';
import { SimError } from '../../../native-sim/machine/profile.ts';
import { type Cause, parseCauses, withoutCauses } from '../../../native-sim/machine/without.ts';
import { runLock } from '../../../native-sim/scale/laboratory.ts';
import { profile } from './play.ts';

const folder = new URL('../../../native-sim/litmus/tests/', import.meta.url);

function outcomes(machine: string, test: string, ...causes: Cause[]) {
  const read = readLitmus(readFileSync(new URL(`${test}.litmus`, folder), 'utf8'));
  const result = runOnMachine(read, { profile: withoutCauses(profile(machine), causes), runs: 1000 });
  expect(result.forbidden).toEqual([]);
  return result;
}

// A line whose invalidation waits may answer the load that follows a store as if it had been made before: either will do.
it.each(['intel-48', 'graviton-64'])('%s with neither store buffer nor invalidate queue shows no SB', (machine) => {
  const whole = outcomes(machine, 'SB').positive;
  expect(whole).toBeGreaterThan(0);
  expect(outcomes(machine, 'SB', 'lazy-coherence').positive).toBeGreaterThan(0);
  expect(outcomes(machine, 'SB', 'store-buffer').positive).toBeLessThan(whole);
  expect(outcomes(machine, 'SB', 'store-buffer', 'lazy-coherence').positive).toBe(0);
});

it.each(['MP', 'LB', 'S', '2+2W', 'IRIW'])(
  'graviton-64 in order does not show %s, and still has a store buffer',
  (test) => {
    expect(outcomes('graviton-64', test).positive).toBeGreaterThan(0);
    expect(outcomes('graviton-64', test, 'out-of-order').positive).toBe(0);
    expect(outcomes('graviton-64', 'SB', 'out-of-order').positive).toBeGreaterThan(0);
  },
);

it('no load is answered by a line whose invalidation waits, where none waits', () => {
  expect(outcomes('graviton-64', 'MP').stale).toBeGreaterThan(0);
  expect(outcomes('graviton-64', 'MP', 'lazy-coherence').stale).toBe(0);
});

it('without all of them a machine is sequentially consistent in what it shows', () => {
  for (const test of ['SB', 'R', 'MP', 'LB', 'IRIW']) {
    const { positive } = outcomes('graviton-64', test, 'lazy-coherence', 'store-buffer', 'out-of-order');
    expect(positive, test).toBe(0);
  }
});

it('what they cost: a store that is waited for, a message for each store', () => {
  const run = (...without: Cause[]) =>
    runLock({ profile: profile('graviton-64'), lock: 'mcs', cores: 8, shared: 4, simulatedNs: 50_000, without });
  const whole = run();
  const waiting = run('store-buffer');
  expect(waiting.profile).toBe('graviton-64 without store-buffer');
  expect(waiting.acquisitions).toBeLessThan(0.9 * whole.acquisitions);
  const written = run('write-back');
  expect(written.byMessage['write-back'] / written.acquisitions).toBeGreaterThan(
    3 + whole.byMessage['write-back'] / whole.acquisitions,
  );
});

it('an unknown cause is refused with those that there are', () => {
  expect(() => parseCauses(['caches'])).toThrow(SimError);
  expect(() => parseCauses(['caches'])).toThrow(
    'without must be some of write-back, lazy-coherence, store-buffer, out-of-order; received caches',
  );
  expect(parseCauses(['store-buffer', 'write-back'])).toEqual(['write-back', 'store-buffer']);
});
