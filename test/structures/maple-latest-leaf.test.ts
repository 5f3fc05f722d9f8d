/** A reader remembers the leaf of its latest key. Here it looks right before each of a writer's operations that change memory. */
import { describe, expect, test } from 'vitest';
import { MapleTree } from '../../lib/structures/maple/maple-tree.ts';
import { Head, MOST_CHANGES } from '../../lib/structures/maple/node.ts';
import { type Step, stepper } from '../support/stepper.ts';

const CHANGES: Record<string, (tree: MapleTree) => void> = {
  'a copied leaf': (tree) => tree.storeRange(33, 36, 77),
  'a slot that is overwritten': (tree) => tree.storeRange(30, 39, 77),
  'a leaf that is split': (tree) => {
    for (const first of [31, 34]) tree.storeRange(first, first + 1, 77);
  },
  'a range over all leaves': (tree) => tree.storeRange(12, 87, 77),
  'nothing in most leaves': (tree) => tree.storeRange(12, 87, undefined),
  'nothing at all': (tree) => tree.clear(),
};

const changing = (n: number) => {
  let seen = 0;
  return ({ op }: Step) => !/^(read|load|now|relax)/.test(op) && ++seen === n;
};

const make = () => {
  const machine = stepper(2, { words: 1 << 14 });
  const trees = machine.arenas.map((arena) => new MapleTree(arena, 'tree', {}, 4)) as [MapleTree, MapleTree];
  for (let i = 0; i < 10; i++) trees[0].storeRange(i * 10, i * 10 + 9, i);
  return { ...machine, trees };
};
const image = (tree: MapleTree) => [11, 15, 31, 33, 36, 55, 88, 99].map((index) => tree.load(index));

describe.each(Object.keys(CHANGES))('%s:', (name) => {
  const change = CHANGES[name] as (tree: MapleTree) => void;

  test.each([15, 35])(
    'a reader that looks again and again at index %i finds less than another, in the middle',
    (at) => {
      const { trees, before: stopAt, cancel } = make();
      const [writer, reader] = trees;
      let looks = 0;
      const look = () => {
        // This one goes down from the root.
        const { entry } = reader.findRange(at);
        expect(reader.load(at), `before step ${++looks}`).toBe(entry);
        stopAt(0, changing(1), look);
      };
      look();
      change(writer);
      cancel(0);
      expect(looks).toBeGreaterThan(4);
    },
  );

  test.each([15, 35])('a reader that looks once at index %i keeps a leaf that is no longer there', (at) => {
    for (let n = 1, isOver = false; !isOver; n++) {
      const { trees, before: stopAt, cancel } = make();
      const [writer, reader] = trees;
      stopAt(0, changing(n), () => reader.load(at));
      change(writer);
      isOver = cancel(0);
      // First the index at which it has looked, in one stretch.
      expect(reader.load(at), `looked before step ${n}`).toBe(writer.load(at));
      expect(image(reader)).toEqual(image(writer));
    }
  });
});

test('changes are counted from 0 again', () => {
  const { trees, real } = make();
  const [writer, reader] = trees;
  const changes = writer.address + Head.changes;
  real.store(changes, MOST_CHANGES - 1);
  expect(reader.load(35)).toBe(3);
  writer.storeRange(33, 36, 77);
  expect(real.load(changes)).toBe(0);
  expect(reader.load(35)).toBe(77);
  writer.storeRange(34, 35, 78);
  expect(reader.load(35)).toBe(78);
});
