/** A writer is killed right before each of its operations. */
import { describe, expect, test } from 'vitest';
import { XArray } from '../../lib/structures/xarray/xarray.ts';
import { step, stepper } from '../support/stepper.ts';

const open = (arena: ConstructorParameters<typeof XArray>[0]) => new XArray(arena, 'xa', { alloc: 'from-0' }, 2);

/** What readers see: all entries with their orders, and which are marked. */
function image(xa: XArray): string {
  const entries = [...xa].map(([index, entry]) => `${index}+${xa.getOrder(index)}: ${entry}`);
  const marked = [1, 2].map((mark) => [...xa.entries({ mark: mark as 1 })].map(([index]) => index).join());
  return [...entries, ...marked, xa.marked(1), xa.marked(2), xa.empty].join('; ');
}

const CHANGES: Record<string, (xa: XArray) => void> = {
  'a first entry': (xa) => xa.store(5, 1),
  'an entry in a new node': (xa) => xa.store(200, 9),
  'a taller tree': (xa) => xa.store(1 << 20, 9),
  'the last entry of a node': (xa) => xa.erase(70),
  'a lower tree': (xa) => xa.erase(900),
  'a mark': (xa) => xa.setMark(70, 2),
  'no mark': (xa) => xa.clearMark(3, 1),
  'an allocation': (xa) => xa.alloc(4),
  'an entry of eight indices over two nodes': (xa) => xa.storeOrder(8, 3, 6),
  'nothing at eight indices': (xa) => xa.storeOrder(16, 3, undefined),
  'a split': (xa) => xa.split(33, 0),
  'nothing at one index of many': (xa) => xa.erase(33),
  'all at once': (xa) => xa.clear(),
};

describe.each(Object.keys(CHANGES))('%s: a step that is half made', (name) => {
  test('is made or not, for readers and for the next writer, and loses no block', () => {
    const change = CHANGES[name] as (xa: XArray) => void;
    const make = () => {
      const machine = stepper(2);
      const arrays = machine.arenas.map(open) as [XArray, XArray];
      if (name !== 'a first entry') {
        for (const index of [0, 3, 8, 9, 12, 17, 18, 70, 900]) arrays[0].store(index, index + 1);
        arrays[0].storeOrder(32, 4, 77);
        arrays[0].setMark(3, 1);
        arrays[0].setMark(32, 1);
      }
      return { ...machine, arrays };
    };
    const whole = make();
    const before = image(whole.arrays[0]);
    change(whole.arrays[0]);
    const after = image(whole.arrays[0]);
    // A tree that is taller than it must be gets lower with the next erase.
    const used = (xa: XArray) => {
      xa.store(2000, 1);
      xa.erase(2000);
      const { bytes, free } = xa.use();
      return bytes - free;
    };
    const most = used(whole.arrays[0]);
    expect(after).not.toBe(before);
    const seen = new Set<string>();
    for (let n = 1; ; n++) {
      const { killBefore, reap, arenas, arrays } = make();
      if (!killBefore(0, step(n), () => change(arrays[0]))) break;
      // Readers do not wait for the reaper. Marks are words of their own, and come one after the other.
      const midway = image(arrays[1])
        .split('; ')
        .filter((part) => part.includes(':'));
      expect(
        [before, after].map((each) =>
          each
            .split('; ')
            .filter((part) => part.includes(':'))
            .join(),
        ),
      ).toContain(midway.join());
      expect(reap(1)).toBe('done');
      seen.add(image(arrays[1]));
      expect([before, after]).toContain(image(arrays[1]));
      if (image(arrays[1]) === before) change(arrays[1]);
      expect(image(arrays[1])).toBe(after);
      expect(used(arrays[1])).toBeLessThanOrEqual(most);
      arrays[1].destroy();
      expect(arenas[1]!.fsck()).toEqual([]);
    }
    expect(seen.size).toBe(2);
  });
});

test('a range that a dead writer has left half stored is not finished by the next', () => {
  for (let n = 1; ; n++) {
    const { arenas, killBefore, reap } = stepper(2);
    const [first, second] = arenas.map(open) as [XArray, XArray];
    first.store(0, 1);
    first.store(40, 2);
    if (!killBefore(0, step(n), () => first.storeRange(3, 45, 8))) break;
    expect(reap(1)).toBe('done');
    second.store(0, 5);
    const stored = Array.from({ length: 46 }, (_, index) => second.load(index)).slice(3);
    const isAll = stored.every((entry) => entry === 8);
    const isNone = stored.every((entry, i) => entry === (i === 37 ? 2 : undefined));
    expect([isAll, isNone], `killed before step ${n}: ${stored}`).toContain(true);
  }
});

test('a step that was made good is made again after the next death', () => {
  for (let n = 1; ; n++) {
    const { arenas, killBefore, reap } = stepper(3);
    const [first, second, third] = arenas.map(open) as [XArray, XArray, XArray];
    first.store(3, 1);
    // In one node, so that the next step changes a slot and the words of marks.
    for (const index of [200, 201, 202]) first.store(index, 1);
    first.setMark(200, 1);
    first.setMark(202, 1);
    const died = killBefore(0, step(n), () => first.erase(200));
    if (!died) break;
    expect(reap(2)).toBe('done');
    // Steps of one word, which need no journal.
    third.setMark(201, 1);
    third.store(3, 5);
    const before = image(third);
    expect(killBefore(1, step(4), () => second.store(3, 6))).toBe(true);
    expect(reap(2)).toBe('done');
    expect(image(third), `killed before step ${n}`).toBe(before);
  }
});
