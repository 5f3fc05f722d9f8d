/**
 * Sequential consistency (Lamport 1979): one order of all accesses, which keeps every thread's own, and in which each
 * read returns the latest write. As an axiom: `acyclic po | rf | co | fr`, and read-modify-writes are indivisible.
 */
import { isAtomic } from './axioms.ts';
import type { Execution, Model } from './execution.ts';

export const sc: Model = {
  name: 'sc',
  violation(x: Execution): string | null {
    if (!isAtomic(x)) return 'atomicity';
    if (!x.po.or(x.rf, x.co, x.fr).isAcyclic()) return 'sequential consistency';
    return null;
  },
};
