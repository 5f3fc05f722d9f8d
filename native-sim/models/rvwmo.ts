/**
 * RVWMO, the memory model of RISC-V (The RISC-V Instruction Set Manual, volume I, chapter 17 and appendix A; as herd's
 * `riscv.cat` states it). Other-multi-copy-atomic, and close to Armv8. Three axioms:
 *
 *     coherence   acyclic po-loc | rf | co | fr
 *     atomicity   no write of another thread between the halves of a read-modify-write
 *     model       acyclic ppo | rfe | co | fr
 *
 * where ppo, preserved program order, is the manual's list of thirteen rules. The manual's RCsc annotations are Tag.acquire
 * and Tag.release on an access of an atomic instruction; either may stand on either half. A store-conditional is what
 * later instructions depend on that use its success: those dependencies begin at a write.
 */
import { isAtomic, isCoherent } from './axioms.ts';
import { type Execution, Fence, Kind, type Model, Tag } from './execution.ts';
import type { EventSet, Relation } from './relation.ts';

/** Predecessor and successor sets of the nine ordinary fences. */
const fences: readonly (readonly [kind: number, before: 'R' | 'W' | 'M', after: 'R' | 'W' | 'M'])[] = [
  [Fence.riscvRR, 'R', 'R'],
  [Fence.riscvRW, 'R', 'W'],
  [Fence.riscvRM, 'R', 'M'],
  [Fence.riscvWR, 'W', 'R'],
  [Fence.riscvWW, 'W', 'W'],
  [Fence.riscvWM, 'W', 'M'],
  [Fence.riscvMR, 'M', 'R'],
  [Fence.riscvMW, 'M', 'W'],
  [Fence.riscvMM, 'M', 'M'],
];

function fenced(x: Execution): Relation {
  const ordered = x.universe.relation();
  if (x.F.isEmpty()) return ordered;
  for (const [kind, before, after] of fences) {
    const set = x.fences(kind);
    if (!set.isEmpty()) ordered.addAll(x.po.from(x[before]).via(set, x.po).to(x[after]));
  }
  const tso = x.fences(Fence.riscvTso);
  if (tso.isEmpty()) return ordered;
  const across = x.po.via(tso, x.po);
  return ordered.addAll(across.between(x.W, x.W)).addAll(across.between(x.R, x.M));
}

/** What holds whatever is read from where: all rules but those that speak of rf. */
function fixedOrder(x: Execution): Relation {
  const { po, loc, W, M } = x;
  const either = Kind.read | Kind.write;
  const acquire = x.tagged(either, Tag.acquire);
  const release = x.tagged(either, Tag.release);
  const rcsc = x.tagged(either, Tag.acquire | Tag.rmw).or(x.tagged(either, Tag.release | Tag.rmw));
  return fenced(x)
    .addAll(po.and(loc).between(M, W))
    .addAll(po.between(acquire, M))
    .addAll(po.between(M, release))
    .addAll(po.between(rcsc, rcsc))
    .addAll(x.rmw)
    .addAll(x.addr.to(M))
    .addAll(x.data.to(W))
    .addAll(x.ctrl.to(W))
    .addAll(x.addr.via(M, po).to(W));
}

/** Reads of one location with no write of it between, unless both take their value from the same write. */
function sameLocationReads(x: Execution, R: EventSet): Relation {
  const poLoc = x.po.and(x.loc).between(x.M, x.M);
  const noWriteBetween = poLoc.between(R, R).minus(poLoc.via(x.W, poLoc));
  const sameSource = x.rf.inverse().seq(x.rf);
  const initial = R.minus(x.rf.range());
  return noWriteBetween.minus(sameSource).minus(initial.times(initial));
}

export const rvwmo: Model = {
  name: 'rvwmo',
  fixed: fixedOrder,
  violation(x: Execution): string | null {
    if (!isCoherent(x)) return 'coherence';
    if (!isAtomic(x)) return 'atomicity';
    const { R, W } = x;
    const rfi = x.internal(x.rf);
    const atomicWrites = x.tagged(Kind.write, Tag.rmw);
    const order = x
      .external(x.rf)
      .addAll(x.co)
      .addAll(x.fr)
      .addAll((x.fixed as Relation | null) ?? fixedOrder(x))
      .addAll(sameLocationReads(x, R))
      .addAll(rfi.from(atomicWrites))
      .addAll(x.addr.or(x.data).via(W, rfi));
    return order.isAcyclic() ? null : 'model';
  },
};
