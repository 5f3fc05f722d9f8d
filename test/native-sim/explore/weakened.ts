/** Seeded bugs: programs that use the library as it is, but for an order that is taken away. */
import { expect, test } from 'vitest';
import { alteration, type Change } from '../../../native-sim/explore/alter.ts';
import { explore } from '../../../native-sim/explore/explore.ts';
import type { Program } from '../../../native-sim/explore/program.ts';
import type { Site } from '../../../native-sim/explore/site.ts';

export interface WeakOrder {
  name: string;
  make: () => Program;
  /** The file and the operation, all of whose calls are weakened; or only those in one function. */
  file: string;
  op: Site['op'] | readonly Site['op'][];
  within?: string;
  /** Others that happen to order the same in this program, and are weakened, too. */
  also?: readonly { file: string; op: Site['op']; within: string }[];
  /** Where the state space is large and the bug is not deep. */
  mode?: 'random';
  /** Of the random search: one that finds it early. */
  seed?: number;
  /** What is left. @default 'relaxed', and for a fence nothing */
  to?: Change;
}

/**
 * The barrier of a look whether an object was destroyed. It happens to order what comes before and after it in many calls, and
 * none of them may count on that.
 */
const LOOK = { file: 'arena/shared-object.ts', op: 'rmb', within: 'checkThere' } as const;

export function testsOfWeakOrders(orders: readonly WeakOrder[]): void {
  for (const order of orders) test(`${order.name}, weakened, is found`, () => expectFound(order));
}

async function expectFound({ make, file, op, within, also, to, mode, seed }: WeakOrder): Promise<void> {
  const ops: readonly Site['op'][] = typeof op === 'string' ? [op] : op;
  let weakened = 0;
  const asked = [...ops, LOOK.op, ...(also ?? []).map((at) => at.op)];
  const alter = alteration(asked, (site) => {
    const isAt = (at: { file: string; op: Site['op']; within: string }) =>
      site.op === at.op && site.file.endsWith(`/${at.file}`) && site.stack[0]!.includes(at.within);
    if (isAt(LOOK) || also?.some(isAt)) return 'relaxed';
    if (!ops.includes(site.op) || !site.file.endsWith(`/${file}`)) return null;
    if (within !== undefined && !site.stack[0]!.includes(within)) return null;
    weakened++;
    return to ?? 'relaxed';
  });
  const options = {
    model: 'armv8',
    maxEvents: 20_000,
    mode: mode ?? 'exhaustive',
    ...(seed !== undefined && { seed }),
    alter,
  } as const;
  const { failure, verdict } = await explore({ ...make(), ...options });
  expect(weakened, 'no such call').toBeGreaterThan(0);
  expect(verdict).toBe('failure');
  expect(['data-race', 'deadlock', 'check', 'exception']).toContain(failure?.kind);
}
