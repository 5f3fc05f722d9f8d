/**
 * Armv8-A, other-multi-copy-atomic: "Simplifying ARM concurrency" (Pulte, Flur, Deacon, French, Sarkar, Sewell, POPL
 * 2018) and section B2.3 of the Arm Architecture Reference Manual (DDI 0487), which is what herd's `aarch64.cat` follows. Three axioms:
 *
 *     internal  acyclic po-loc | rf | co | fr
 *     atomic    empty rmw & (fre ; coe)
 *     external  acyclic ob, where ob = obs | dob | pob | aob | bob | lws
 *
 * `ob`, ordered-before, is what all threads agree on: what one thread saw of another (obs), and, within a thread, what
 * dependencies (dob; pob for those that merely pick a value), atomics (aob), barriers (bob) and writes that follow on
 * the same address (lws) keep in place.
 *
 * Where the two forms of read-modify-write differ: only a single instruction with both acquire and release (SWPAL,
 * CASAL, LDADDAL) is a barrier for what surrounds it; a load-acquire-exclusive/store-release-exclusive pair is not.
 * Shareability: all threads are in one inner shareable domain, so ISH, OSH and SY are alike, and NSH reaches nobody.
 */
import { isAtomic, isCoherent } from './axioms.ts';
import { type Execution, Fence, Kind, type Model, Tag } from './execution.ts';
import type { Relation } from './relation.ts';

/** Local read successor: from a write to a later read of the same thread that nothing written in between hides. */
function localReadSuccessor(x: Execution): Relation {
  const { R, W } = x;
  const poLoc = x.po.and(x.loc);
  return poLoc.between(W, R).minus(poLoc.via(W, poLoc));
}

export const armv8: Model = {
  name: 'armv8',
  violation(x: Execution): string | null {
    if (!isCoherent(x)) return 'internal';
    if (!isAtomic(x)) return 'atomic';

    const { po, R, W, M, addr, data, ctrl, rmw } = x;
    const A = x.tagged(Kind.read, Tag.acquire);
    const Q = x.tagged(Kind.read, Tag.acquirePc);
    const L = x.tagged(Kind.write, Tag.release);
    const ISB = x.fences(Fence.isb);
    const dmbFull = x.fences(Fence.dmbFull);
    const dmbLd = x.fences(Fence.dmbLd);
    const dmbSt = x.fences(Fence.dmbSt);

    // Observed-by
    const ob = x.external(x.rf.or(x.fr, x.co));

    // Dependency-ordered-before
    const dep = addr.or(data);
    const depends = !dep.isEmpty() || !ctrl.isEmpty();
    if (depends) {
      ob.addAll(dep).addAll(ctrl.to(W));
      ob.addAll(ctrl.or(addr.via(M, po)).via(ISB, po).to(R));
      ob.addAll(addr.via(M, po).to(W));
      ob.addAll(dep.seq(localReadSuccessor(x)));
    }

    // Pick-ordered-before
    const pick = x.pickAddr.or(x.pickData, x.pickCtrl);
    if (!pick.isEmpty()) {
      ob.addAll(pick.to(W)).addAll(x.pickAddr.via(M, po).to(W));
      ob.addAll(x.pickCtrl.or(x.pickAddr.via(M, po)).via(ISB, po).to(R));
    }

    // Atomic-ordered-before
    if (!rmw.isEmpty()) ob.addAll(rmw).addAll(localReadSuccessor(x).between(rmw.range(), A.or(Q)));

    // Barrier-ordered-before
    const amo = rmw.between(A, L).minus(x.tagged(Kind.read, Tag.exclusive).times(M));
    const RtoLd = R.minus(x.tagged(Kind.read, Tag.noReturn));
    if (!dmbFull.isEmpty()) ob.addAll(po.from(M).via(dmbFull, po).to(M));
    if (!dmbLd.isEmpty()) ob.addAll(po.from(RtoLd).via(dmbLd, po).to(M));
    if (!dmbSt.isEmpty()) ob.addAll(po.from(W).via(dmbSt, po).to(W));
    ob.addAll(po.between(amo.range(), M));
    ob.addAll(po.between(L, A));
    ob.addAll(po.between(A.or(Q), M));
    ob.addAll(po.between(M, L));

    // Local write successor
    ob.addAll(po.and(x.loc).between(M, W));

    return ob.isAcyclic() ? null : 'external';
  },
};
