/**
 * XArray as a lock: writers store the record anew, two entries a word, at indices of its own; index 0 says which record is
 * the current one. The record before it is erased, so nodes come and go under the readers, which take a record for whole when
 * index 0 is the same before and after.
 */
import { XArray } from '../../structures/xarray/xarray.ts';
import type { LockType } from '../lock-type.ts';
import { publishedType } from './published.ts';

/** Indices of one record, and how many records have indices of their own. */
const SPAN = 4096;
const RECORDS = 8;
const HALF = 0xffff;

const firstOf = (stamp: number) => (1 + (stamp % RECORDS)) * SPAN;

export const xarray = xarrayType('xarray', 'XArray: records that readers find by index, and writers erase', true);

/** `looksAgain`: whether a reader asks if its record is still the current one. */
export function xarrayType(name: string, summary: string, looksAgain: boolean): LockType {
  return publishedType(name, summary, (arena, { address, words }, which) => {
    const { cpu } = arena;
    const xa = new XArray(arena, which);
    return {
      handle: xa.handle,
      // A writer that died may have left entries of the next record.
      publish() {
        const before = (xa.load(0) as number | undefined) ?? 0;
        const stamp = (before + 1) & 0x3fffffff;
        const first = firstOf(stamp);
        for (let i = 0; i < words; i++) {
          const word = cpu.load(address + i);
          xa.store(first + 2 * i, word & HALF);
          xa.store(first + 2 * i + 1, word >>> 16);
        }
        xa.store(0, stamp);
        const old = firstOf(before);
        for (let i = 0; i < 2 * words; i++) xa.erase(old + i);
      },
      snapshot(into) {
        const stamp = xa.load(0) as number;
        const first = firstOf(stamp);
        for (let i = 0; i < into.length; i++) {
          const [low, high] = [xa.load(first + 2 * i), xa.load(first + 2 * i + 1)];
          into[i] = (low as number) | ((high as number) << 16);
        }
        return !looksAgain || xa.load(0) === stamp;
      },
      destroy: () => xa.destroy(),
    };
  });
}
