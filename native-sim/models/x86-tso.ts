/**
 * x86-TSO (Owens, Sarkar, Sewell 2009), in its axiomatic form, as herd's `x86tso.cat` states it: each core has a FIFO
 * store buffer that its own reads look into first, so the one order that may be lost is a write before a later read.
 *
 *     uniproc    acyclic po-loc | rf | co | fr
 *     atomicity  empty rmw & (fre ; coe)
 *     tso        acyclic po \ (W * R) | mfence | implied | rfe | co | fr
 *
 * Accesses of mixed size stand as several events, one for each part, that `si` relates.
 *
 * where a locked instruction is a full barrier both ways (`implied`). LFENCE and SFENCE order nothing more between
 * ordinary write-back accesses.
 */
import { isAtomic, isCoherent } from './axioms.ts';
import { type Execution, Fence, Kind, type Model, Tag } from './execution.ts';
import type { Relation } from './relation.ts';

/** What program order keeps: all but a write before a later read, and that too across a barrier. */
function preserved(x: Execution): Relation {
  const { po, R, W, M } = x;
  const locked = x.tagged(Kind.read | Kind.write, Tag.rmw);
  const poWR = po.between(W, R);
  return po
    .between(W, W)
    .addAll(po.between(R, M))
    .addAll(po.from(M).via(x.fences(Fence.mfence), po).to(M))
    .addAll(poWR.from(locked))
    .addAll(poWR.to(locked));
}

export const x86Tso: Model = {
  name: 'x86-tso',
  dividesAccesses: true,
  fixed: preserved,
  violation(x: Execution): string | null {
    if (!isCoherent(x)) return 'uniproc';
    if (!isAtomic(x)) return 'atomicity';
    const communicated = x.external(x.rf).addAll(x.fr).addAll(x.co);
    // What another core sees of one part of an instruction, it sees of all.
    const ghb = (x.divided ? x.external(communicated).seq(x.si) : communicated).addAll(
      (x.fixed as Relation | null) ?? preserved(x),
    );
    return ghb.isAcyclic() ? null : 'tso';
  },
};
