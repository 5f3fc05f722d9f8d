/**
 * JavaScript: the ECMAScript memory model (ECMA-262, "Memory Model") as repaired in Watt, Pulte, Podkopaev, Barbier,
 * Dolan, Flur, Pichon-Pharabod, Guo, "Repairing and mechanising the JavaScript relaxed memory model" (PLDI 2020). Every
 * access is either an Atomics operation or an ordinary one (`Tag.plain`), and there are no fences.
 *
 *     happens-before    acyclic hb, where hb = (po | sw)+ and sw = rf between two Atomics
 *     reads-from        a read sees no write that happens after it, and none that another write, between the two in
 *                       hb, hides
 *     atomicity         nothing comes between the halves of a read-modify-write
 *     SC atomics        one order of all Atomics agrees with hb, and each atomic read returns its latest write
 *
 * Ordinary accesses that race have no coherence whatever; `flags` reports the race, for a program that has one is
 * wrong, not weak.
 */
import { type Execution, Kind, type Model, Tag } from './execution.ts';
import type { Relation } from './relation.ts';

function happensBefore(x: Execution): Relation {
  const atomic = x.M.minus(x.tagged(Kind.read | Kind.write, Tag.plain));
  return x.po.or(x.rf.between(atomic, atomic)).plus();
}

export const javascript: Model = {
  name: 'javascript',

  violation(x: Execution): string | null {
    const { rf, co, fr, W, R, loc } = x;
    const atomic = x.M.minus(x.tagged(Kind.read | Kind.write, Tag.plain));
    const hb = happensBefore(x);
    if (!hb.isIrreflexive()) return 'happens-before';

    // A read that takes the initial value has no rf edge: any earlier write of its address hides that value.
    const initial = R.minus(rf.range());
    const hidden = hb.between(W, W).and(loc).seq(hb.and(loc));
    if (!rf.and(hb.inverse()).isEmpty() || !rf.and(hidden).isEmpty()) return 'reads-from';
    if (!hb.between(W, initial).and(loc).isEmpty()) return 'reads-from';

    if (!x.rmw.and(x.external(fr).seq(x.external(co))).isEmpty()) return 'atomicity';

    // What a read of an ordinary write precedes is not told by the place of that write: see below.
    const ofOrdinary = rf.between(x.W.minus(atomic), R).range();
    const tot = hb.or(co.between(atomic, atomic), fr.between(atomic.minus(ofOrdinary), atomic));
    // An atomic read that takes an ordinary write, which happens before it, precedes every atomic write that happens
    // after that ordinary one.
    tot.addAll(
      rf
        .and(hb)
        .inverse()
        .from(atomic)
        .seq(hb.and(loc).between(W, W.and(atomic))),
    );
    if (!tot.isAcyclic()) return 'SC atomics';
    const overwritten = co.between(atomic, atomic).seq(hb.and(loc));
    if (!rf.and(hb).and(overwritten).isEmpty()) return 'SC atomics';
    return null;
  },

  flags(x: Execution): string[] {
    const plain = x.tagged(Kind.read | Kind.write, Tag.plain);
    const hb = happensBefore(x);
    const conflict = x.external(x.loc.and(x.W.times(x.M).or(x.M.times(x.W))));
    const notBothAtomic = plain.times(x.M).or(x.M.times(plain));
    return conflict.and(notBothAtomic).minus(hb).minus(hb.inverse()).isEmpty() ? [] : ['data-race'];
  },
};
