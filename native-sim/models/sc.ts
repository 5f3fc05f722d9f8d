/**
 * Sequential consistency (Lamport 1979): one order of all accesses, which keeps every thread's own, and in which each
 * read returns the latest write. As an axiom: `acyclic po | rf | co | fr`, and read-modify-writes are indivisible.
 */
import { isAtomic } from './axioms.ts';
import type { Execution, Model } from './execution.ts';

export const sc: Model = {
  name: 'sc',
  dividesAccesses: true,
  violation(x: Execution): string | null {
    if (!isAtomic(x)) return 'atomicity';
    const order = x.po.or(x.rf, x.co, x.fr);
    // The parts of an instruction happen at once: what comes before one of them comes before all.
    const whole = x.divided ? order.minus(x.si).seq(x.si) : order;
    return whole.isAcyclic() ? null : 'sequential consistency';
  },
};
