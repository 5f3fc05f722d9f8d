/**
 * SharedCache as a lock: writers set the record, as bytes, under a key that is pinned, and others for which entries are put out.
 * Readers get the record, and values that are computed by one of them, which may be killed at it.
 */
import { SharedCache } from '../../structures/cache/shared-cache.ts';
import type { LockType } from '../lock-type.ts';
import { Violation } from '../section.ts';
import { getParts, publishedType, putParts } from './published.ts';

/** Entries that the cache has room for, and keys that writers set at a time. */
const ROOM = 24;
const OTHERS = 16;
/** Keys whose values are computed. */
const COMPUTED = 6;

export const sharedCache = sharedCacheType(
  'shared-cache',
  'SharedCache: a record that readers get, among entries that are put out and values that one computes',
  1,
);

/** `parts`, `pause`: as in `putParts`. */
export function sharedCacheType(name: string, summary: string, parts: number, pause = 0): LockType {
  return publishedType(name, summary, (arena, original, which) => {
    const cache = new SharedCache<string, Uint8Array | number>(arena, which, { max: ROOM });
    let turn = 0;
    return {
      handle: cache.handle,
      publish() {
        putParts(arena, original, { parts, pause }, (part, bytes) => {
          cache.set(`record ${part}`, bytes);
          // Only where the cache is made: a set keeps the pin.
          if (which === undefined && cache.stats().pinned === part) cache.pin(`record ${part}`);
        });
        for (let i = 0; i < OTHERS; i++) cache.set(`other ${turn++ % (2 * ROOM)}`, turn);
        if (turn % 5 === 0) cache.delete(`computed ${turn % COMPUTED}`);
      },
      snapshot(into) {
        getParts(into, parts, (part) => {
          const record = cache.get(`record ${part}`) as Uint8Array | undefined;
          if (record === undefined) throw new Violation('a pinned entry was put out');
          return record;
        });
        const number = turn++ % COMPUTED;
        const value = cache.getOrComputeSync(`computed ${number}`, () => number);
        if (value !== number) throw new Violation(`the computed value of ${number} is ${value}`);
        return true;
      },
      destroy: () => cache.destroy(),
    };
  });
}
