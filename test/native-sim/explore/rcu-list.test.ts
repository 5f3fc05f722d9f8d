import { expect, test } from 'vitest';
import { expectExplored } from '../../../native-sim/explore/expect.ts';
import { listChanges } from './programs/rcu-list.ts';
import { testsOfWeakOrders } from './weakened.ts';

const KINDS = ['list', 'hlist'] as const;
const MODELS = ['sc', 'x86-tso', 'armv8'] as const;
const maxEvents = 20_000;

test.each(KINDS.flatMap((kind) => MODELS.map((model) => [kind, model] as const)))(
  'readers of a %s find what stays, and nothing unfinished, on %s',
  async (kind, model) => {
    const { complete } = await expectExplored({ ...listChanges(kind), model, maxEvents });
    expect(complete).toBe(true);
  },
);

testsOfWeakOrders(
  KINDS.map((kind) => ({
    name: `the release with which a writer of a ${kind} publishes an entry`,
    make: () => listChanges(kind),
    file: `rcu/${kind}.ts`,
    op: 'storeRelease' as const,
  })),
);
