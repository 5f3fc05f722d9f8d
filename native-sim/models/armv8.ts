/**
 * Armv8-A, other-multi-copy-atomic: section B2.3 of the Arm Architecture Reference Manual (DDI 0487), as Arm publishes
 * it in machine-readable form (`aarch64.cat`, issue M); its beginnings are in "Simplifying ARM concurrency" (Pulte, Flur,
 * Deacon, French, Sarkar, Sewell, POPL 2018). Three axioms:
 *
 *     internal  acyclic po-loc | rf | co | fr
 *     atomic    no write of another thread between the halves of a read-modify-write
 *     external  irreflexive ob, the transitive closure of what all threads agree on: what one thread saw of another
 *               (obs), and the orders inside a thread (lob, pick-lob, hazards, DSB, context synchronization)
 *
 * Dependencies: the execution gives those through registers. Here they go on through memory: from a store to the loads
 * that follow it at its address with no store in between (lrs), whichever store those loads read from. A pick
 * dependency is one in which a value only chose between others (CSEL), or whether something happens (CAS).
 *
 * Where the two forms of read-modify-write differ: only a single instruction with both acquire and release (SWPAL,
 * CASAL, LDADDAL) is a barrier for what follows it; a load-acquire-exclusive/store-release-exclusive pair is not.
 * Shareability: all threads are in one inner shareable domain, so ISH, OSH and SY are alike, and NSH reaches nobody.
 * Accesses of mixed size stand as several events, one for each part, that `sm` relates.
 */
import { isCoherent } from './axioms.ts';
import { type Execution, Fence, Kind, type Model, Tag } from './execution.ts';
import type { Relation } from './relation.ts';

/** lrs, local read successor: from a write to a later read of the same thread that nothing written in between hides. */
function localReadSuccessor(x: Execution): Relation {
  const { R, W } = x;
  const poLoc = x.po.and(x.loc);
  return poLoc.between(W, R).minus(poLoc.via(W, poLoc));
}

/** A pair with a store of its own thread in between is let off: such a store may, but need not, clear the monitor. */
function isAtomic(x: Execution): boolean {
  if (x.rmw.isEmpty()) return true;
  const intervened = x.rmw.and(x.fr.seq(x.co));
  if (intervened.isEmpty()) return true;
  return intervened.minus(x.internal(x.fr).seq(x.internal(x.co))).isEmpty();
}

interface Dependencies {
  /** From a read, and on through registers and memory, to what takes its value as an address, as data, as a condition. */
  readonly addr: Relation;
  readonly data: Relation;
  readonly ctrl: Relation;
}

function dependencies(x: Execution, lrs: Relation): Dependencies {
  if (lrs.isEmpty()) return { addr: x.addr, data: x.data.minus(x.si), ctrl: x.ctrl };
  const flow = x.addr.or(x.data, lrs).star();
  return {
    addr: flow.seq(x.addr).from(x.R),
    data: flow.seq(x.data).from(x.R).minus(x.si),
    ctrl: flow.seq(x.ctrl).from(x.R),
  };
}

/** pob and pick-lob: what dependencies order that merely pick. */
function addPicks(x: Execution, lrs: Relation, lob: Relation): void {
  const { po, R, W, M } = x;
  const ISB = x.fences(Fence.isb);
  const flow = x.addr.or(x.data, lrs, x.pickAddr, x.pickData, x.guard).star().from(R);
  const addr = flow.seq(x.addr.or(x.pickAddr)).minus(x.si);
  const data = flow.seq(x.data.or(x.pickData));
  const ctrl = flow.seq(x.ctrl.or(x.pickCtrl));
  lob.addAll(flow.to(W).minus(x.si)).addAll(ctrl.to(W)).addAll(addr.via(M, po).to(W));
  lob.addAll(ctrl.or(addr.via(M, po)).via(ISB, po).to(M));
  const begins = flow.seq(lob).addAll(data).addAll(data.seq(lrs));
  lob.addAll(begins.seq(lob.star()).to(W));
}

/** lob, locally-ordered-before, with pick-lob. */
function locallyOrderedBefore(x: Execution): Relation {
  const { po, R, W, M, rmw } = x;
  const A = x.tagged(Kind.read, Tag.acquire);
  const AQ = A.or(x.tagged(Kind.read, Tag.acquirePc));
  const L = x.tagged(Kind.write, Tag.release);
  const isb = x.fences(Fence.isb);
  const dmbFull = x.fences(Fence.dmbFull);
  const dmbLd = x.fences(Fence.dmbLd);
  const dmbSt = x.fences(Fence.dmbSt, Fence.dsbSt);
  const dsbSt = x.fences(Fence.dsbSt);

  const lrs = localReadSuccessor(x);

  // Local write successor, to every part of the write
  const lob = po.and(x.loc).between(M, W).seq(x.sm);

  // Dependency-ordered-before, and context synchronization
  if (!x.addr.isEmpty() || !x.data.isEmpty() || !x.ctrl.isEmpty()) {
    const { addr, data, ctrl } = dependencies(x, lrs);
    const dep = addr.or(data);
    lob.addAll(dep).addAll(dep.seq(lrs)).addAll(ctrl.to(W)).addAll(addr.via(M, po).to(W));
    if (!isb.isEmpty()) lob.addAll(ctrl.or(addr.via(M, po)).via(isb, po).to(M));
  }

  // Atomic-ordered-before
  if (!rmw.isEmpty()) lob.addAll(rmw).addAll(rmw.seq(lrs.to(AQ)));

  // Barrier-ordered-before; a DSB is a DMB that orders a little more
  const amo = rmw.between(A, L).minus(x.tagged(Kind.read, Tag.exclusive).times(M));
  const returning = R.minus(x.tagged(Kind.read, Tag.noReturn));
  if (!dmbFull.isEmpty()) lob.addAll(po.from(M).via(dmbFull, po).to(M));
  if (!dmbLd.isEmpty()) lob.addAll(po.from(returning).via(dmbLd, po).to(M));
  if (!dmbSt.isEmpty()) lob.addAll(po.from(W).via(dmbSt, po).to(W));
  if (!dsbSt.isEmpty()) lob.addAll(po.from(W).via(dsbSt, po).to(M));
  lob.addAll(po.between(amo.range(), M));
  lob.addAll(po.between(L, A)).addAll(po.between(AQ, M)).addAll(po.between(M, L));

  const picks = !(x.pickAddr.isEmpty() && x.pickData.isEmpty() && x.pickCtrl.isEmpty() && x.guard.isEmpty());
  if (picks) addPicks(x, lrs, lob);
  return lob;
}

export const armv8: Model = {
  name: 'armv8',
  dividesAccesses: true,
  fixed: locallyOrderedBefore,
  violation(x: Execution): string | null {
    if (!isCoherent(x)) return 'internal';
    if (!isAtomic(x)) return 'atomic';
    const { po, R, W, loc } = x;
    const coherenceAfter = x.external(x.fr.or(x.co));
    const ob = x.external(x.rf).addAll(coherenceAfter).seq(x.sm);
    // A read's hazard: a later read of the same address must not see what a write has yet to overwrite.
    ob.addAll(po.and(loc).between(R, R).seq(x.sm.between(R, R)).seq(coherenceAfter).seq(x.sm.between(W, W)));
    ob.addAll((x.fixed as Relation | null) ?? locallyOrderedBefore(x));
    return ob.isAcyclic() ? null : 'external';
  },
};
