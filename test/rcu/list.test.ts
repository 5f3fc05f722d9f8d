import { describe, expect, test } from 'vitest';
import { Arena, RcuHlist, RcuList } from '../../lib/index.ts';
import { step, stepper } from '../support/stepper.ts';
import { thrown } from '../support/threads.ts';

/** An entry: a value, and two words for the list. */
const AT = 1;
const entriesOf = (list: Iterable<number>, arena: Arena) => [...list].map((entry) => arena.words[entry]);

function stage() {
  const arena = Arena.create({ bytes: 1 << 20, maxThreads: 2 });
  const make = (value: number) => {
    const entry = arena.alloc(3);
    arena.words.set([value, 0, 0], entry);
    return entry;
  };
  const list = new RcuList(arena, arena.alloc(2), { at: AT });
  const hlist = new RcuHlist(arena, arena.alloc(1), { at: AT });
  list.init();
  hlist.init();
  return { arena, make, list, hlist, values: (from: Iterable<number>) => entriesOf(from, arena) };
}

describe('RcuList', () => {
  test('loses its order, or an entry', () => {
    const { make, list, values } = stage();
    expect(list.isEmpty).toBe(true);
    const [a, b, c, d] = [1, 2, 3, 4].map(make) as [number, number, number, number];
    list.addTail(b);
    list.addHead(a);
    list.addTail(c);
    expect(values(list)).toEqual([1, 2, 3]);
    expect([list.first(), list.next(a), list.next(c)]).toEqual([a, b, 0]);
    list.replace(b, d);
    expect(values(list)).toEqual([1, 4, 3]);
    list.delete(a);
    list.delete(c);
    expect(values(list)).toEqual([4]);
    list.addTail(a);
    expect(values(list.entries(a))).toEqual([1]);
    list.delete(d);
    list.delete(a);
    expect(list.isEmpty).toBe(true);
  });

  test('leads a reader nowhere that stands on an entry which is taken out, or replaced', () => {
    const { make, list, values } = stage();
    const [a, b, c, d] = [1, 2, 3, 4].map(make) as [number, number, number, number];
    for (const entry of [a, b, c]) list.addTail(entry);
    const [onDeleted, onReplaced] = [list.entries(), list.entries()];
    expect(onDeleted.next().value).toBe(a);
    onReplaced.next();
    expect(onReplaced.next().value).toBe(b);
    list.delete(a);
    list.replace(b, d);
    // What was behind the entry when it was taken out.
    expect(values(onDeleted)).toEqual([2, 3]);
    expect(values(onReplaced)).toEqual([3]);
  });

  test.each(['splice', 'spliceTail'] as const)(
    '%s moves nothing before the readers of the other list are out',
    (call) => {
      const { arena, make, list, values } = stage();
      const other = new RcuList(arena, arena.alloc(2), { at: AT });
      other.init();
      for (const value of [1, 2]) list.addTail(make(value));
      for (const value of [3, 4]) other.addTail(make(value));
      let waits = 0;
      list[call](other, () => {
        waits++;
        expect([values(list), values(other)]).toEqual([[1, 2], []]);
      });
      expect(values(list)).toEqual(call === 'splice' ? [3, 4, 1, 2] : [1, 2, 3, 4]);
      list[call](other, () => waits++);
      expect(waits).toBe(1);
      const last = make(5);
      list.addTail(last);
      expect([...list].at(-1)).toBe(last);
      for (const entry of [...list].reverse()) list.delete(entry);
      expect(list.isEmpty).toBe(true);
    },
  );

  test('a mistake is an error that changes nothing', () => {
    const { arena, make, list } = stage();
    const [a, b] = [make(1), make(2)];
    list.addTail(a);
    list.addTail(b);
    list.delete(b);
    const before = [...arena.words];
    for (const call of [
      () => list.delete(b),
      () => list.delete(1),
      () => list.replace(b, a),
      () => list.replace(a, -5),
      () => list.addHead(Number.NaN),
      () => new RcuList(arena, 3),
      () => new RcuList(arena, list.head, { at: 0.5 }),
    ]) {
      expect(thrown(call)).toMatchObject({ code: 'EINVAL' });
    }
    expect([...arena.words]).toEqual(before);
    expect(thrown(() => list.delete(b)).message).toMatch('any more');
  });
});

describe('RcuHlist', () => {
  test('loses its order, or an entry', () => {
    const { make, hlist, values } = stage();
    const [a, b, c, d] = [1, 2, 3, 4].map(make) as [number, number, number, number];
    for (const entry of [a, b, c, d]) hlist.initEntry(entry);
    hlist.addHead(b);
    hlist.addBefore(a, b);
    hlist.addTail(c);
    hlist.addBehind(d, a);
    expect(values(hlist)).toEqual([1, 4, 2, 3]);
    expect([hlist.first(), hlist.next(b), hlist.next(c)]).toEqual([a, c, 0]);
    expect(hlist.deleteInit(a)).toBe(true);
    expect(hlist.deleteInit(a)).toBe(false);
    hlist.delete(c);
    hlist.replace(d, a);
    expect(values(hlist)).toEqual([1, 2]);
    expect([a, b, c, d].map((entry) => hlist.isListed(entry))).toEqual([true, true, false, false]);
    hlist.delete(b);
    hlist.delete(a);
    expect(hlist.isEmpty).toBe(true);
    expect(thrown(() => hlist.delete(a))).toMatchObject({ code: 'EINVAL' });
    expect(thrown(() => hlist.addBefore(a, b))).toMatchObject({ code: 'EINVAL' });
  });

  test('a reader that was carried to another bucket takes its end for that of its own', () => {
    const { arena, make } = stage();
    const heads = arena.alloc(2);
    const buckets = [7, 8].map((nulls, i) => new RcuHlist(arena, heads + i, { at: AT, nulls })) as [RcuHlist, RcuHlist];
    for (const bucket of buckets) bucket.init();
    const entry = make(1);
    buckets[0].addHead(entry);
    expect([buckets[0].endOf(entry), buckets[1].endOf(0)]).toEqual([7, 8]);
    expect(buckets[0].endOf(0)).toBeNaN();
    // A reader of the first bucket stands on it now.
    buckets[0].delete(entry);
    buckets[1].addHead(entry);
    expect(buckets[0].next(entry)).toBe(0);
    expect(buckets[0].endOf(entry)).toBe(8);
    expect([buckets[0].endOf(0), [...buckets[0]].length, [...buckets[1]]]).toEqual([7, 0, [entry]]);
    expect(thrown(() => new RcuHlist(arena, heads, { nulls: 2 ** 30 }))).toMatchObject({ code: 'EINVAL' });
  });
});

/** At each step of a writer, and when it dies there, readers see the list of before or of after. */
test.each(['list', 'hlist'] as const)('%s is none in the middle of a change', (kind) => {
  const changes: [string, (list: RcuList & RcuHlist, [a, b, c, d]: number[]) => void, number[]][] = [
    ['addHead', (list, [, , , d]) => list.addHead(d as number), [4, 1, 2, 3]],
    ['addTail', (list, [, , , d]) => list.addTail(d as number), [1, 2, 3, 4]],
    ['delete', (list, [, b]) => list.delete(b as number), [1, 3]],
    ['replace', (list, [, b, , d]) => list.replace(b as number, d as number), [1, 4, 3]],
  ];
  for (const [name, change, after] of changes) {
    for (let n = 1; ; n++) {
      const { arenas, killBefore } = stepper(2);
      const [mine, killed] = arenas as [Arena, Arena];
      const head = mine.alloc(2);
      const open = (arena: Arena) =>
        (kind === 'list' ? new RcuList(arena, head, { at: AT }) : new RcuHlist(arena, head, { at: AT })) as RcuList &
          RcuHlist;
      const list = open(mine);
      list.init();
      const entries = [1, 2, 3, 4].map((value) => {
        const entry = mine.alloc(3);
        mine.words.set([value, 0, 0], entry);
        return entry;
      });
      for (const entry of entries.slice(0, 3)) list.addTail(entry);
      const isOver = !killBefore(1, step(n), () => change(open(killed), entries));
      const seen = entriesOf(list, mine);
      expect([[1, 2, 3], after], `${name}, step ${n}`).toContainEqual(seen);
      list.mend();
      for (const entry of [...list].reverse()) list.delete(entry);
      expect(list.isEmpty, `${name}, step ${n}`).toBe(true);
      if (isOver) break;
    }
  }
});
