/**
 * The relation algebra against the obvious definition of each operator on sets of pairs, on random relations of sizes
 * around the edges of a 32-bit word: a bit that is lost or carried over makes a model forget or invent an order.
 */
import { describe, expect, it } from 'vitest';
import { type EventSet, type Relation, Universe } from '../../../native-sim/models/relation.ts';

/** A fixed sequence of numbers below `bound`. */
function generator(seed: number): (bound: number) => number {
  let state = seed;
  return (bound) => {
    state = (Math.imul(state, 1103515245) + 12345) & 0x7fffffff;
    return (state >>> 8) % bound;
  };
}

type Pairs = ReadonlySet<string>;
const key = (a: number, b: number): string => `${a},${b}`;
const pairs = (r: Relation): Pairs => new Set(r.pairs().map(([a, b]) => key(a, b)));

function composed(n: number, r: Pairs, s: Pairs, through: (m: number) => boolean): Pairs {
  const result = new Set<string>();
  for (let a = 0; a < n; a++) {
    for (let m = 0; m < n; m++) {
      if (!through(m) || !r.has(key(a, m))) continue;
      for (let b = 0; b < n; b++) if (s.has(key(m, b))) result.add(key(a, b));
    }
  }
  return result;
}

function closed(n: number, r: Pairs): Pairs {
  let before = r;
  for (;;) {
    const next = new Set([...before, ...composed(n, before, before, () => true)]);
    if (next.size === before.size) return next;
    before = next;
  }
}

describe.each([1, 5, 31, 32, 33, 64, 70])('relations on %i events', (n) => {
  const random = generator(n);
  const u = new Universe();
  u.reset(n);
  const someRelation = (): Relation => {
    const r = u.relation();
    for (let k = 0; k < n; k++) r.add(random(n), random(n));
    return r;
  };
  const someSet = (): EventSet => {
    const s = u.set();
    for (let k = 0; k < n / 2; k++) s.add(random(n));
    return s;
  };
  const r = someRelation();
  const s = someRelation();
  const A = someSet();
  const B = someSet();
  const rp = pairs(r);
  const sp = pairs(s);
  const only = (p: Pairs, keep: (a: number, b: number) => boolean): Pairs =>
    new Set([...p].filter((pair) => keep(...(pair.split(',').map(Number) as [number, number]))));

  it('union, intersection and difference', () => {
    expect(pairs(r.or(s))).toEqual(new Set([...rp, ...sp]));
    expect(pairs(r.and(s))).toEqual(only(rp, (a, b) => sp.has(key(a, b))));
    expect(pairs(r.minus(s))).toEqual(only(rp, (a, b) => !sp.has(key(a, b))));
  });

  it('restriction, product, inverse, domain and range', () => {
    expect(pairs(r.from(A))).toEqual(only(rp, (a) => A.has(a)));
    expect(pairs(r.to(B))).toEqual(only(rp, (_, b) => B.has(b)));
    expect(pairs(r.between(A, B))).toEqual(only(rp, (a, b) => A.has(a) && B.has(b)));
    expect(pairs(A.times(B).and(r))).toEqual(pairs(r.between(A, B)));
    expect(pairs(r.inverse())).toEqual(new Set(r.pairs().map(([a, b]) => key(b, a))));
    for (let a = 0; a < n; a++) {
      expect(r.domain().has(a)).toBe(r.pairs().some(([from]) => from === a));
      expect(r.range().has(a)).toBe(r.pairs().some(([, to]) => to === a));
    }
  });

  it('composition, closure and reflexive closure', () => {
    expect(pairs(r.seq(s))).toEqual(composed(n, rp, sp, () => true));
    expect(pairs(r.via(A, s))).toEqual(composed(n, rp, sp, (m) => A.has(m)));
    expect(pairs(r.plus())).toEqual(closed(n, rp));
    expect(r.star().has(0, 0)).toBe(true);
  });

  it('a cycle is found exactly where the closure is reflexive', () => {
    for (let attempt = 0; attempt < 40; attempt++) {
      const sparse = u.relation();
      for (let k = 0; k < n * 0.7; k++) sparse.add(random(n), random(n));
      expect(sparse.isAcyclic()).toBe(sparse.plus().isIrreflexive());
    }
  });

  it('operators leave their operands alone', () => {
    expect(pairs(r)).toEqual(rp);
    expect(pairs(s)).toEqual(sp);
  });
});

it('a pool that is reset hands out empty relations, of the new size', () => {
  const u = new Universe();
  u.reset(40);
  u.relation().add(39, 39);
  u.reset(3);
  expect(u.relation().isEmpty()).toBe(true);
  u.reset(100);
  const large = u.relation();
  large.add(99, 0);
  expect(large.pairs()).toEqual([[99, 0]]);
});
