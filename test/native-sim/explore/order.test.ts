import { expect, test } from 'vitest';
import { Exhaustive } from '../../../native-sim/explore/exhaustive.ts';
import { makeBench } from '../../../native-sim/explore/session.ts';
import { lock } from './programs/holdfast.ts';
import { futexMutex, mcs } from './programs/locks.ts';

test.each([
  ['futex mutex, 3 threads', () => futexMutex(3), []],
  ['MCS, 3 threads', () => mcs(3), []],
  ['mutex that sleeps', () => lock('mutex', 2, 1), []],
  ['mutex whose owner dies', () => lock('mutex', 2, 1), [{ thread: 1, step: 9 }]],
])('the order kept up to date never drifts from the order computed anew: %s', (_name, make, kills) => {
  for (const model of ['sc', 'x86-tso', 'armv8'] as const) {
    const { machine } = makeBench(Exhaustive, make(), model, kills, 4000);
    let count = 0;
    for (let outcome = machine.start() as string | null; outcome !== null; outcome = machine.next()) {
      if (outcome === 'dropped') continue;
      count++;
      const { g } = machine;
      const anew = g.clone();
      expect(machine.ordering.rebuild(anew)).toBe(true);
      const rows = g.before.subarray(0, g.n * g.stride);
      expect(
        rows.every((bits, i) => bits === anew.before[i]),
        `execution ${count}`,
      ).toBe(true);
      if (count > 1000) break;
    }
    expect(count).toBeGreaterThan(10);
  }
});
