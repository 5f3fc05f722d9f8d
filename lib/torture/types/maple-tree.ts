/**
 * MapleTree as a lock: writers store the record anew, a half word a range, in a stretch of its own; index 0 says which record
 * is the current one. The record before it is taken out as one range, so nodes come and go under the readers, which take a
 * record for whole when index 0 is the same before and after.
 */
import { MapleTree } from '../../structures/maple/maple-tree.ts';
import type { LockType } from '../lock-type.ts';
import { publishedType } from './published.ts';

/** Indices of one record, and how many records have indices of their own; indices of a half word. */
const SPAN = 1 << 20;
const RECORDS = 8;
const WIDTH = 10;
const HALF = 0xffff;

const firstOf = (stamp: number) => (1 + (stamp % RECORDS)) * SPAN;

export const mapleTree = mapleType(
  'maple-tree',
  'MapleTree: records that readers find by ranges, and writers erase',
  true,
);

/** `looksAgain`: whether a reader asks if its record is still the current one. */
export function mapleType(name: string, summary: string, looksAgain: boolean): LockType {
  return publishedType(name, summary, (arena, { address, words }, which) => {
    const { cpu } = arena;
    const tree = new MapleTree(arena, which);
    return {
      handle: tree.handle,
      // A writer that died may have left ranges of the next record.
      publish() {
        const before = (tree.load(0) as number | undefined) ?? 0;
        const stamp = (before + 1) & 0x3fffffff;
        const first = firstOf(stamp);
        for (let i = 0; i < 2 * words; i++) {
          const word = cpu.load(address + (i >> 1));
          const at = first + i * WIDTH;
          // Every other one with a gap behind it.
          tree.storeRange(at, at + WIDTH - 1 - (i & 1), i & 1 ? word >>> 16 : word & HALF);
        }
        tree.store(0, stamp);
        const old = firstOf(before);
        tree.storeRange(old, old + SPAN - 1, undefined);
      },
      snapshot(into) {
        const stamp = tree.load(0) as number;
        const first = firstOf(stamp);
        for (let i = 0; i < into.length; i++) {
          const at = first + 2 * i * WIDTH;
          const [low, high] = [tree.load(at + 5), tree.find({ first: at + WIDTH })?.entry];
          into[i] = (low as number) | ((high as number) << 16);
        }
        return !looksAgain || tree.load(0) === stamp;
      },
      destroy: () => tree.destroy(),
    };
  });
}
