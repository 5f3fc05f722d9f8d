import { describe, expect, test } from 'vitest';
import { expectExplored } from '../../../native-sim/explore/expect.ts';
import { vdso, withoutClock } from './programs/vdso.ts';
import { testsOfWeakOrders } from './weakened.ts';

const MODELS = ['sc', 'x86-tso', 'armv8', 'javascript'] as const;
const maxEvents = 20_000;

describe.each(MODELS)('the page of a clock, on %s', (model) => {
  test('is never read torn', async () => {
    expect((await expectExplored({ ...vdso(['coarse']), model, maxEvents })).complete).toBe(true);
    await expectExplored({ ...vdso(['hres'], { updates: 2 }), model, maxEvents, mode: 'random', executions: 600 });
    await expectExplored({ ...vdso(['hres', 'coarse']), model, maxEvents, mode: 'random', executions: 300 });
  });

  test('is never read torn, and no reader loops for ever, when its updater dies at any step', async () => {
    const { complete, kills } = await expectExplored({ ...vdso(['coarse']), model, maxEvents, kill: { threads: [0] } });
    expect(complete).toBe(true);
    expect(kills).toBeGreaterThan(50);
    const random = { mode: 'random', executions: 600 } as const;
    await expectExplored({ ...vdso(['hres']), model, maxEvents, ...random, kill: { threads: [0] } });
  });

  test('is never read torn when another updater takes over from a dead one', async () => {
    const random = { mode: 'random', executions: 600 } as const;
    for (const reader of ['hres', 'coarse'] as const) {
      const program = vdso([reader], { replaces: true });
      const { kills } = await expectExplored({ ...program, model, maxEvents, ...random, kill: { threads: [0] } });
      expect(kills).toBeGreaterThan(20);
    }
  });
});

test('a page that has no clock any more gives a coarse time, and no other', async () => {
  await expectExplored({ ...withoutClock(), model: 'sc', maxEvents });
});

const coarse = () => vdso(['coarse']);
testsOfWeakOrders([
  { name: "the updater's wmb", make: coarse, file: 'update.ts', op: 'wmb' },
  { name: "the updater's release", make: coarse, file: 'update.ts', op: 'storeRelease' },
  {
    name: "the reader's acquire",
    make: coarse,
    file: 'read.ts',
    op: 'loadAcquire',
    within: 'copyCoarse',
  },
  { name: "the reader's rmb", make: coarse, file: 'read.ts', op: 'rmb', within: 'copyCoarse' },
]);
