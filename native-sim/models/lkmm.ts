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
import { flagLockSections, rcuOrder } from './lkmm-rcu.ts';
import type { EventSet, Relation } from './relation.ts';

export const lkmm: Model = {
  name: 'lkmm',

  violation(x: Execution): string | null {
    if (!isCoherent(x)) return 'coherence';
    if (!isAtomic(x)) return 'atomic';
    const orders = derive(x);
    if (!orders.hb.isAcyclic()) return 'happens-before';
    if (!orders.pb.isAcyclic()) return 'propagation';
    if (!orders.rb.isIrreflexive()) return 'rcu';
    if (!plainCoherence(x, orders)) return 'plain-coherence';
    return null;
  },

  flags(x: Execution): string[] {
    const flags = flagLockSections(x);
    if (hasDataRace(x, derive(x))) flags.push('data-race');
    return flags;
  },
};

interface Orders {
  Marked: EventSet;
  R4rmb: EventSet;
  strongFence: Relation;
  nonrwFence: Relation;
  fence: Relation;
  addr: Relation;
  rcuFence: Relation;
  /** (rf ; rmw)*: a release goes on through the read-modify-writes that follow it. */
  rmwSequence: Relation;
  /** cumul-fence* */
  cumulFences: Relation;
  hb: Relation;
  pb: Relation;
  rb: Relation;
}

function derive(x: Execution): Orders {
  const { po, R, W, M, rf, co, fr, rmw } = x;
  const id = x.universe.identity();
  const poOrSelf = po.optional();
  const Plain = x.tagged(Kind.read | Kind.write, Tag.plain);
  const Marked = M.or(x.F).minus(Plain);
  const Acquire = x.tagged(Kind.read, Tag.acquire);
  const Release = x.tagged(Kind.write, Tag.release);
  // An atomic operation that fails (cmpxchg) is one all the same, though it only reads.
  const RMW = rmw.domain().or(rmw.range()).or(x.tagged(Kind.read, Tag.rmw));
  const UL = x.tagged(Kind.write, Tag.unlock);
  const LKR = x.tagged(Kind.read, Tag.lockRead);
  const LKW = x.tagged(Kind.write, Tag.lockWrite);
  const SrcuUnlock = x.fences(Fence.srcuUnlock);
  const fencerel = (kind: number): Relation => po.via(x.fences(kind), po);
  const rfe = x.external(rf);
  const rfi = x.internal(rf);

  // A dependency goes on through a write to memory that the same thread reads back.
  const carryDep = x.data.seq(rfi).star();
  const addr = carryDep.seq(x.addr);
  const ctrl = carryDep.seq(x.ctrl);
  const data = carryDep.seq(x.data);

  // Release, acquire, and locks
  const acqPo = po.between(Acquire, M);
  const poRel = po.between(M, Release);
  const poUnlockLockPo = po.via(UL, rf.or(po)).via(LKR, po);

  // Fences
  const R4rmb = R.minus(x.tagged(Kind.read, Tag.noReturn));
  const rmb = fencerel(Fence.rmb).between(R4rmb, R4rmb);
  const wmb = fencerel(Fence.wmb).between(W, W);
  const mb = fencerel(Fence.mb)
    .or(
      fencerel(Fence.beforeAtomic).to(RMW).seq(poOrSelf),
      poOrSelf.via(RMW, fencerel(Fence.afterAtomic)),
      poOrSelf.via(LKW, fencerel(Fence.afterSpinlock)),
      po.via(UL, co.or(po)).via(LKW, fencerel(Fence.afterUnlockLock)),
      poOrSelf.via(SrcuUnlock, fencerel(Fence.afterSrcuReadUnlock)),
    )
    .between(M, M);
  const gp = po.via(x.fences(Fence.syncRcu, Fence.syncSrcu), poOrSelf);
  const strongFence = mb.or(gp);
  const nonrwFence = strongFence.or(poRel, acqPo);
  const fence = nonrwFence.or(wmb, rmb);

  // Preserved program order
  const dep = addr.or(data);
  const overwrite = co.or(fr);
  const rwdep = dep.or(ctrl).to(W);
  const toW = rwdep.or(x.internal(overwrite), addr.via(Plain, wmb));
  const toR = addr.or(dep.via(Marked, rfi));
  const ppo = toR.or(toW, fence, x.internal(poUnlockLockPo));

  // Propagation: what release operations and fences carry along with them
  const cumul = (r: Relation): Relation => rfe.to(Marked).or(id).seq(r);
  const rmwSequence = rf.seq(rmw).star();
  const cumulFence = cumul(strongFence.or(poRel)).or(wmb, poUnlockLockPo).between(Marked, Marked).seq(rmwSequence);
  const cumulFences = cumulFence.star();
  const prop = x.external(overwrite).or(id).from(Marked).seq(cumulFences).via(Marked, rfe.optional()).to(Marked);

  // Happens before, propagates before
  const hb = ppo.or(rfe, x.internal(prop.minus(id))).between(Marked, Marked);
  const hbs = hb.star();
  const pb = prop.seq(strongFence).seq(hbs).to(Marked);

  // RCU
  const pbs = pb.star();
  const rcuLink = poOrSelf.seq(hbs).seq(pbs).seq(prop).seq(po);
  const rcuFence = po.seq(rcuOrder(x, rcuLink)).seq(poOrSelf);
  const rb = prop.seq(rcuFence).seq(hbs).seq(pbs).to(Marked);

  return { Marked, R4rmb, strongFence, nonrwFence, fence, addr, rcuFence, rmwSequence, cumulFences, hb, pb, rb };
}

/** Where a plain access may and must take effect, as bounds by marked ones around it. */
function visibility(x: Execution, o: Orders) {
  const { po } = x;
  const { Marked } = o;
  const xbs = o.hb.or(o.pb, o.rb).star();
  const strongFence = o.strongFence.or(o.rcuFence);
  const fence = o.fence.or(o.rcuFence);
  const vis = o.cumulFences
    .seq(x.external(x.rf).optional())
    .via(Marked, strongFence.via(Marked, xbs).or(x.internal(xbs)));
  const rmbFrom = po.via(x.fences(Fence.rmb), po);
  const returning = x.M.or(x.F).minus(x.tagged(Kind.read, Tag.noReturn));

  const wPre = o.addr.or(fence).optional().from(Marked);
  const rPre = o.addr.or(o.nonrwFence, rmbFrom.between(o.R4rmb, returning)).optional().from(Marked);
  const wPost = fence.optional().to(Marked).seq(o.rmwSequence);
  const rPost = o.nonrwFence.or(rmbFrom.between(returning, o.R4rmb)).optional().to(Marked);

  const afterStrong = strongFence.seq(xbs);
  const wwVis = fence.or(afterStrong.seq(wPre), wPost.seq(vis).seq(wPre));
  const wrVis = fence.or(afterStrong.seq(rPre), wPost.seq(vis).seq(rPre));
  const rwXb = fence.or(rPost.seq(xbs).seq(wPre));

  const Plain = x.tagged(Kind.read | Kind.write, Tag.plain);
  const preRace = x.external(Plain.times(x.M).or(x.M.times(Plain)));
  return { wwVis, wrVis, rwXb, preRace };
}

function plainCoherence(x: Execution, o: Orders): boolean {
  if (x.tagged(Kind.read | Kind.write, Tag.plain).isEmpty()) return true;
  const { wwVis, wrVis, rwXb, preRace } = visibility(x, o);
  const wrIncoherent = preRace.and(x.rf).and(rwXb.inverse());
  const rwIncoherent = preRace.and(x.fr).and(wrVis.inverse());
  const wwIncoherent = preRace.and(x.co).and(wwVis.inverse());
  return wrIncoherent.isEmpty() && rwIncoherent.isEmpty() && wwIncoherent.isEmpty();
}

function hasDataRace(x: Execution, o: Orders): boolean {
  if (x.tagged(Kind.read | Kind.write, Tag.plain).isEmpty()) return false;
  const { wwVis, wrVis, rwXb, preRace } = visibility(x, o);
  const { W } = x;
  const { Marked } = o;
  const wwNonrace = wwVis.and(Marked.times(W).or(rwXb)).and(W.times(Marked).or(wrVis));
  const wwRace = preRace.and(x.co).minus(wwNonrace);
  const wrRace = preRace.and(x.co.optional().seq(x.rf)).minus(wrVis).minus(rwXb.inverse());
  const rwRace = preRace.and(x.fr).minus(rwXb);
  return !(wwRace.isEmpty() && wrRace.isEmpty() && rwRace.isEmpty());
}
