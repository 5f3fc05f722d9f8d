/**
 * Power (Alglave, Maranget, Tautschnig: "Herding cats", TOPLAS 2014, section 6; as herd's `ppc.cat` states it). Not
 * multi-copy-atomic: a write may reach one thread before another, unless a sync stands in between. The axioms:
 *
 *     coherence    acyclic po-loc | rf | co | fr
 *     atomicity    no write of another thread between the halves of a read-modify-write
 *     no thin air  acyclic hb, where hb = ppo | fences | rfe
 *     observation  irreflexive fre ; prop ; hb*
 *     propagation  acyclic co | prop
 *     reservation  acyclic co | po between accesses of lwarx and stwcx.
 *
 * `prop` says which writes reach other threads in which order: those that fences separate (cumulatively), and, around a
 * sync, whatever the thread had seen by then. ppo comes from how a core may work: an access is initialised, and it
 * commits, and ii, ic, ci and cc relate those two moments of two accesses in the order that their letters say.
 */
import { isAtomic, isCoherent } from './axioms.ts';
import { type Execution, Fence, Kind, type Model, Tag } from './execution.ts';
import type { Relation } from './relation.ts';

/** What fences order directly: sync everything, lwsync all but a write before a read, eieio writes. */
function fences(x: Execution): { strong: Relation; light: Relation } {
  const { po, R, W, M } = x;
  const across = (kind: number): Relation => po.via(x.fences(kind), po).between(M, M);
  const lwsync = across(Fence.lwsync);
  const strong = across(Fence.sync);
  const light = lwsync.minus(lwsync.between(W, R)).addAll(across(Fence.eieio).between(W, W));
  return { strong, light };
}

/** The least ii, ic, ci and cc that hold what they begin with and are closed as the paper says. */
function preserved(x: Execution): Relation {
  const { po, R, W, M } = x;
  const poLoc = po.and(x.loc).between(M, M);
  const rfe = x.external(x.rf);
  const dd = x.addr.or(x.data).to(M);
  const rdw = poLoc.and(x.external(x.fr).seq(rfe));
  const detour = poLoc.and(x.external(x.co).seq(rfe));
  const controlIsync = x.ctrl.via(x.fences(Fence.isync), po).to(M);

  const ii = dd.or(x.internal(x.rf), rdw);
  const ci = controlIsync.or(detour);
  const cc = dd.or(poLoc, x.ctrl.to(M), x.addr.via(M, po).to(M));
  const ic = x.universe.relation();
  for (let before = -1, now = 0; now !== before; ) {
    before = now;
    ii.addAll(ci).addAll(ic.seq(ci)).addAll(ii.seq(ii));
    ic.addAll(ii).addAll(cc).addAll(ic.seq(cc)).addAll(ii.seq(ic));
    ci.addAll(ci.seq(ii)).addAll(cc.seq(ci));
    cc.addAll(ci).addAll(ci.seq(ic)).addAll(cc.seq(cc));
    now = ii.count() + ic.count() + ci.count() + cc.count();
  }
  return ii.between(R, R).addAll(ic.between(R, W));
}

export const power: Model = {
  name: 'power',
  violation(x: Execution): string | null {
    if (!isCoherent(x)) return 'coherence';
    if (!isAtomic(x)) return 'atomicity';
    const { W, co } = x;
    const rfe = x.external(x.rf);
    const coe = x.external(co);
    const fre = x.external(x.fr);
    const { strong, light } = fences(x);
    const fence = strong.or(light);

    const hb = preserved(x).or(fence, rfe);
    if (!hb.isAcyclic()) return 'no thin air';
    const hbs = hb.star();

    const base = fence.or(rfe.seq(fence)).seq(hbs);
    const seen = rfe.or(fre, coe, fre.seq(rfe), coe.seq(rfe)).optional();
    const prop = base.between(W, W).or(seen.seq(base.star()).seq(strong).seq(hbs));
    if (!co.or(prop).isAcyclic()) return 'propagation';
    if (!fre.seq(prop).seq(hbs).isIrreflexive()) return 'observation';

    const reserved = x.tagged(Kind.read | Kind.write, Tag.exclusive);
    return co.or(x.po.between(reserved, reserved)).isAcyclic() ? null : 'reservation';
  },
};
