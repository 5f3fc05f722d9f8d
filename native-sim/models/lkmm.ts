/**
 * The Linux kernel memory model: "Frightening small children and disconcerting grown-ups" (Alglave, Maranget,
 * McKenney, Parri, Stern, ASPLOS 2018), kept up to date as tools/memory-model/ in the kernel and explained in its
 * explanation.txt. Its axioms:
 *
 *     coherence        acyclic po-loc | rf | co | fr
 *     atomic           empty rmw & (fre ; coe)
 *     happens-before   acyclic hb        what cannot be undone by any machine Linux runs on
 *     propagation      acyclic pb        a strong fence makes what was seen before it visible to all
 *     rcu              irreflexive rb    a grace period outlasts every critical section that began before it
 *     plain-coherence  plain accesses that are ordered by the above keep coherence too
 *
 * Plain accesses that race break no axiom; `flags` reports the race, as herd does with `Flag data-race`.
 *
 * A spin lock is a read (Acquire) and a write joined by `rmw`, an unlock is a write (Release), all of one word: the
 * axioms above then already say what the kernel's lock.cat says. RCU's own order is in `lkmm-rcu.ts`.
 */
import { isAtomic, isCoherent } from './axioms.ts';
import { type Execution, Fence, Kind, type Model, Tag } from './execution.ts';
import { flagSections } from './lkmm-flags.ts';
import { rcuOrder } from './lkmm-rcu.ts';
import type { EventSet, Relation } from './relation.ts';

/** What follows from the events and their dependencies alone. */
interface Fixed {
  readonly Marked: EventSet;
  readonly Plain: EventSet;
  readonly hasPlain: boolean;
  readonly hasGracePeriods: boolean;
  /** Unlocks, and the reads and writes of locks; whether there are any. */
  readonly UL: EventSet;
  readonly LKR: EventSet;
  readonly LKW: EventSet;
  readonly hasLocks: boolean;
  readonly R4rmb: EventSet;
  readonly poOrSelf: Relation;
  readonly poRel: Relation;
  readonly wmb: Relation;
  /** All but what begins with an unlock in one thread and goes on with a lock in another. */
  readonly strongFence: Relation;
  readonly nonrwFence: Relation;
  readonly fence: Relation;
}

function fixedOrders(x: Execution): Fixed {
  const { po, R, W, M, rmw } = x;
  const poOrSelf = po.optional();
  const Plain = x.tagged(Kind.read | Kind.write, Tag.plain);
  const Acquire = x.tagged(Kind.read, Tag.acquire);
  const Release = x.tagged(Kind.write, Tag.release);
  // An atomic operation that fails (cmpxchg) is one all the same, though it only reads.
  const RMW = rmw.domain().or(rmw.range()).or(x.tagged(Kind.read, Tag.rmw));
  const UL = x.tagged(Kind.write, Tag.unlock);
  const LKR = x.tagged(Kind.read, Tag.lockRead);
  const LKW = x.tagged(Kind.write, Tag.lockWrite);
  const SrcuUnlock = x.fences(Fence.srcuUnlock);
  const gracePeriods = x.fences(Fence.syncRcu, Fence.syncSrcu);
  const fencerel = (kind: number): Relation => po.via(x.fences(kind), po);

  const acqPo = po.between(Acquire, M);
  const poRel = po.between(M, Release);
  const R4rmb = R.minus(x.tagged(Kind.read, Tag.noReturn));
  const rmb = fencerel(Fence.rmb).between(R4rmb, R4rmb);
  const wmb = fencerel(Fence.wmb).between(W, W);
  const mb = fencerel(Fence.mb)
    .or(
      fencerel(Fence.beforeAtomic).to(RMW).seq(poOrSelf),
      poOrSelf.via(RMW, fencerel(Fence.afterAtomic)),
      poOrSelf.via(LKW, fencerel(Fence.afterSpinlock)),
      poOrSelf.via(SrcuUnlock, fencerel(Fence.afterSrcuReadUnlock)),
    )
    .between(M, M);
  const strongFence = mb.or(po.via(gracePeriods, poOrSelf));
  const nonrwFence = strongFence.or(poRel, acqPo);
  return {
    Marked: M.or(x.F).minus(Plain),
    Plain,
    hasPlain: !Plain.isEmpty(),
    hasGracePeriods: !gracePeriods.isEmpty(),
    UL,
    LKR,
    LKW,
    hasLocks: !LKW.isEmpty(),
    R4rmb,
    poOrSelf,
    poRel,
    wmb,
    strongFence,
    nonrwFence,
    fence: nonrwFence.or(wmb, rmb),
  };
}

/** What a candidate adds: the orders that depend on what is read from where, and on what overwrites what. */
interface Orders {
  readonly fixed: Fixed;
  readonly strongFence: Relation;
  readonly nonrwFence: Relation;
  readonly fence: Relation;
  readonly addr: Relation;
  /** (rf ; rmw)*: a release goes on through the read-modify-writes that follow it. */
  readonly rmwSequence: Relation;
  /** cumul-fence* */
  readonly cumulFences: Relation;
  readonly prop: Relation;
  readonly hb: Relation;
}

/** What is ordered by a lock that is taken after another, or the same one, was released. */
function lockOrders(x: Execution, { UL, LKR, LKW, hasLocks }: Fixed): { lock: Relation; mb: Relation } {
  const { po, M } = x;
  if (!hasLocks) return { lock: x.universe.relation(), mb: x.universe.relation() };
  const after = po.via(x.fences(Fence.afterUnlockLock), po);
  return {
    lock: po.via(UL, x.rf.or(po)).via(LKR, po),
    mb: po.via(UL, x.co.or(po)).via(LKW, after).between(M, M),
  };
}

function derive(x: Execution): Orders {
  const fixed = (x.fixed as Fixed | null) ?? fixedOrders(x);
  const { Marked, Plain, poRel, wmb } = fixed;
  const { W, rf, co, fr, rmw } = x;
  const rfe = x.external(rf);
  const rfi = x.internal(rf);
  const locks = lockOrders(x, fixed);
  const widen = (order: Relation): Relation => (fixed.hasLocks ? order.or(locks.mb) : order);
  const strongFence = widen(fixed.strongFence);
  const nonrwFence = widen(fixed.nonrwFence);
  const fence = widen(fixed.fence);

  // A dependency goes on through a write to memory that the same thread reads back.
  const carried = x.data.seq(rfi);
  const carry = (dependency: Relation): Relation => (carried.isEmpty() ? dependency : carried.star().seq(dependency));
  const addr = carry(x.addr);
  const data = carry(x.data);

  // Preserved program order
  const overwrite = co.or(fr);
  const dep = addr.or(data);
  const ppo = dep.or(carry(x.ctrl)).to(W).addAll(addr).addAll(fence).addAll(x.internal(overwrite));
  ppo.addAll(dep.via(Marked, rfi)).addAll(x.internal(locks.lock));
  if (fixed.hasPlain) ppo.addAll(addr.via(Plain, wmb));

  // Propagation: what release operations and fences carry along with them
  const release = strongFence.or(poRel);
  const rmwSequence = rf.seq(rmw).star();
  const cumulFence = release.or(rfe.to(Marked).seq(release), wmb, locks.lock).between(Marked, Marked);
  const cumulFences = (rmw.isEmpty() ? cumulFence : cumulFence.seq(rmwSequence)).star();
  const prop = x.external(overwrite).optional().from(Marked).seq(cumulFences).via(Marked, rfe.optional()).to(Marked);

  const hb = ppo.or(rfe, x.internal(prop).minus(x.universe.identity())).between(Marked, Marked);
  return { fixed, strongFence, nonrwFence, fence, addr, rmwSequence, cumulFences, prop, hb };
}

/** Propagates before: a strong fence makes what was seen before it visible to all. */
function propagatesBefore({ prop, strongFence, fixed }: Orders, hbs: Relation): Relation {
  return prop.seq(strongFence).seq(hbs).to(fixed.Marked);
}

/** rcu-fence: a grace period, or what amounts to one. */
function rcuFences(x: Execution, { fixed, prop }: Orders, hbs: Relation, pbs: Relation): Relation {
  if (!fixed.hasGracePeriods) return x.universe.relation();
  const link = fixed.poOrSelf.seq(hbs).seq(pbs).seq(prop).seq(x.po);
  return x.po.seq(rcuOrder(x, link)).seq(fixed.poOrSelf);
}

function rcuBefore({ fixed, prop }: Orders, rcuFence: Relation, hbs: Relation, pbs: Relation): Relation {
  return prop.seq(rcuFence).seq(hbs).seq(pbs).to(fixed.Marked);
}

export const lkmm: Model = {
  name: 'lkmm',
  fixed: fixedOrders,

  violation(x: Execution): string | null {
    if (!isCoherent(x)) return 'coherence';
    if (!isAtomic(x)) return 'atomic';
    const orders = derive(x);
    if (!orders.hb.isAcyclic()) return 'happens-before';
    const hbs = orders.hb.star();
    const pb = propagatesBefore(orders, hbs);
    if (!pb.isAcyclic()) return 'propagation';
    const { hasGracePeriods, hasPlain } = orders.fixed;
    if (!hasGracePeriods && !hasPlain) return null;
    const pbs = pb.star();
    const rcuFence = rcuFences(x, orders, hbs, pbs);
    const rb = rcuBefore(orders, rcuFence, hbs, pbs);
    if (hasGracePeriods && !rb.isIrreflexive()) return 'rcu';
    return !hasPlain || plainCoherence(x, visibility(x, orders, rcuFence, pb, rb)) ? null : 'plain-coherence';
  },

  flags(x: Execution): string[] {
    const flags = flagSections(x);
    if (x.tagged(Kind.read | Kind.write, Tag.plain).isEmpty()) return flags;
    const orders = derive(x);
    const hbs = orders.hb.star();
    const pb = propagatesBefore(orders, hbs);
    const pbs = pb.star();
    const rcuFence = rcuFences(x, orders, hbs, pbs);
    const rb = rcuBefore(orders, rcuFence, hbs, pbs);
    if (hasDataRace(x, orders.fixed, visibility(x, orders, rcuFence, pb, rb))) flags.push('data-race');
    return flags;
  },
};

interface Visibility {
  readonly wwVis: Relation;
  readonly wrVis: Relation;
  readonly rwXb: Relation;
  readonly preRace: Relation;
}

/** Where a plain access may and must take effect, as bounds by marked ones around it. */
function visibility(x: Execution, o: Orders, rcuFence: Relation, pb: Relation, rb: Relation): Visibility {
  const { po } = x;
  const { Marked, Plain, R4rmb } = o.fixed;
  const xbs = o.hb.or(pb, rb).star();
  const strongFence = o.strongFence.or(rcuFence);
  const fence = o.fence.or(rcuFence);
  const vis = o.cumulFences
    .seq(x.external(x.rf).optional())
    .via(Marked, strongFence.via(Marked, xbs).or(x.internal(xbs)));
  const rmbFrom = po.via(x.fences(Fence.rmb), po);
  const returning = x.M.or(x.F).minus(x.tagged(Kind.read, Tag.noReturn));

  const wPre = o.addr.or(fence).optional().from(Marked);
  const rPre = o.addr.or(o.nonrwFence, rmbFrom.between(R4rmb, returning)).optional().from(Marked);
  const wPost = fence.optional().to(Marked).seq(o.rmwSequence);
  const rPost = o.nonrwFence.or(rmbFrom.between(returning, R4rmb)).optional().to(Marked);

  const afterStrong = strongFence.seq(xbs);
  const wwVis = fence.or(afterStrong.seq(wPre), wPost.seq(vis).seq(wPre));
  const wrVis = fence.or(afterStrong.seq(rPre), wPost.seq(vis).seq(rPre));
  const rwXb = fence.or(rPost.seq(xbs).seq(wPre));
  const preRace = x.external(Plain.times(x.M).or(x.M.times(Plain)));
  return { wwVis, wrVis, rwXb, preRace };
}

function plainCoherence(x: Execution, { wwVis, wrVis, rwXb, preRace }: Visibility): boolean {
  const wrIncoherent = preRace.and(x.rf).and(rwXb.inverse());
  const rwIncoherent = preRace.and(x.fr).and(wrVis.inverse());
  const wwIncoherent = preRace.and(x.co).and(wwVis.inverse());
  return wrIncoherent.isEmpty() && rwIncoherent.isEmpty() && wwIncoherent.isEmpty();
}

function hasDataRace(x: Execution, { Marked }: Fixed, { wwVis, wrVis, rwXb, preRace }: Visibility): boolean {
  const { W } = x;
  const wwNonrace = wwVis.and(Marked.times(W).or(rwXb)).and(W.times(Marked).or(wrVis));
  const wwRace = preRace.and(x.co).minus(wwNonrace);
  const wrRace = preRace.and(x.co.optional().seq(x.rf)).minus(wrVis).minus(rwXb.inverse());
  const rwRace = preRace.and(x.fr).minus(rwXb);
  return !(wwRace.isEmpty() && wrRace.isEmpty() && rwRace.isEmpty());
}
