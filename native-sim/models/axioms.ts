/**
 * The two axioms that every hardware model shares (Alglave, Maranget, Tautschnig: "Herding cats", 2014).
 */
import type { Execution } from './execution.ts';

/** Sequential consistency per location, also called coherence or internal visibility: `acyclic po-loc | rf | co | fr`. */
export function isCoherent(x: Execution): boolean {
  return x.po.and(x.loc).to(x.M).from(x.M).addAll(x.rf).addAll(x.co).addAll(x.fr).isAcyclic();
}

/** No write of another thread comes between the halves of a read-modify-write: `empty rmw & (fre ; coe)`. */
export function isAtomic(x: Execution): boolean {
  if (x.rmw.isEmpty()) return true;
  return x.external(x.fr).seq(x.external(x.co)).and(x.rmw).isEmpty();
}
